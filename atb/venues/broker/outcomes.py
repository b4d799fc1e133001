"""Classifies how a request ended: done, definitely rejected, or unknown. Anything on no list of rejections is unknown.

A broken response says nothing about the order. An exchange can execute the order and then lose the response in at least nine ways
(time-out, reset, HTTP 5xx, half a body, ...), and ccxt maps them to five exception classes, one of which rejections have too.
So a request counts as rejected only if the whole response was read and its words are on the exchange's list of rejections.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from atb.domain.venue import Outcome
from atb.errors import VenueError
from atb.venues.broker.transport import Reply

Purpose = Literal["place", "cancel", "replace", "check"]

SKEWED = "-1021"  # the timestamp was outside the window: not executed, and the clock must be measured again
UNKNOWN_ORDER = "-2013"
ARCHIVED_ORDER = "-2026"  # cancelled or expired without an execution, over 90 days ago
NOTHING_TO_CANCEL = -2011
_REFUSED = {-1013, -2010, -1021, *(code for code in range(-1199, -1099) if code != -1112)}
_UNAUTHORISED = {-2014, -2015}
_SIGNATURE = -1022
_TOO_MANY = {-1003, -1015}
_DUPLICATE = "duplicate order"


@dataclass(frozen=True, slots=True)
class Classification:
    """How a request ended, the venue's code for it, and its message without secrets."""

    outcome: Outcome
    code: str = ""
    text: str = ""


Classifier = Callable[[Reply, Purpose], Classification]


def classify_binance(reply: Reply, purpose: Purpose) -> Classification:
    """Classify a response of Binance Spot by HTTP status, code and body."""
    code = binance_code(reply)
    if reply.status == 200 and reply.body is not None and code is None:
        return Classification("done")
    unknown = Classification("unknown", _named(code, reply), reply.described())
    if purpose == "replace" and code in {-2021, -2022}:
        return _classify_replacement(reply.body, unknown)
    return _rejected(unknown) if _is_binance_refusal(reply, code, purpose) else unknown


def _is_binance_refusal(reply: Reply, code: int | None, purpose: Purpose) -> bool:
    """Return True if a response is a definite rejection.

    For a cancellation only "nothing to cancel" is one: after any other failure the order may still be open.
    """
    if purpose == "cancel":
        return reply.status == 400 and code == NOTHING_TO_CANCEL
    if reply.status == 418 or code is None:
        return reply.status == 418
    if reply.status == 429 or code in _TOO_MANY:
        return True
    if reply.status == 401:
        return code in _UNAUTHORISED
    return reply.status == 400 and _refuses(code, reply.described())


def binance_code(reply: Reply) -> int | None:
    """Return the code of an error response, None for other responses."""
    code = reply.body.get("code") if isinstance(reply.body, dict) else None
    return code if isinstance(code, int) and "msg" in reply.body else None


def _refuses(code: int, text: str) -> bool:
    """Return True if a code of HTTP 400 means that no order was placed.

    "Duplicate order sent" means the opposite: an order with this id exists and must be queried.
    """
    return code in _REFUSED and _DUPLICATE not in text.lower()


def _classify_replacement(body: Any, unknown: Classification) -> Classification:
    """Classify a failed cancel-replace: rejected only if the new order was certainly not placed."""
    data = body.get("data") or {}
    if data.get("newOrderResult") == "NOT_ATTEMPTED":
        failed = data.get("cancelResponse") or {}
        certain = data.get("cancelResult") == "FAILURE" and failed.get("code") in {NOTHING_TO_CANCEL, *_REFUSED}
        return Classification(
            "rejected" if certain else "unknown", str(failed.get("code", unknown.code)), _message(failed)
        )
    failed = data.get("newOrderResponse") or {}
    code, text = failed.get("code"), _message(failed)
    certain = isinstance(code, int) and _refuses(code, text)
    return Classification("rejected" if certain else "unknown", str(code), text)


def _message(failed: Any) -> str:
    return str(failed.get("msg", ""))[:200] if isinstance(failed, dict) else ""


_COINBASE_REFUSALS = (
    "INSUFFICIENT_FUND", "INVALID_", "UNSUPPORTED_ORDER_CONFIGURATION", "PREVIEW_", "ORDER_ENTRY_DISABLED", "INELIGIBLE_PAIR",
    "UNTRADABLE_PRODUCT", "BELOW_MIN", "EXCEEDS_MAX", "POST_ONLY_NOT_ALLOWED_WITH_FOK", "MARKET_STRICT_IOC_IS_NOT_ALLOWED",
)  # fmt: skip


def classify_coinbase(reply: Reply, purpose: Purpose) -> Classification:
    """Classify a response of Coinbase Advanced, which refuses orders with HTTP 200 and `success: false`."""
    body = reply.body if isinstance(reply.body, dict) else {}
    unknown = Classification("unknown", f"http:{reply.status}" if reply.status else reply.fault, reply.described())
    if reply.status == 200 and body:
        return _classify_coinbase_order(body, purpose)
    error = str(body.get("error", ""))
    if (reply.status == 429 and body) or (reply.status == 401 and body):
        return _rejected(unknown)
    if reply.status == 400 and error == "INVALID_ARGUMENT":
        return Classification("rejected", error, reply.described())
    return unknown


def _classify_coinbase_order(body: dict[str, Any], purpose: Purpose) -> Classification:
    if purpose == "cancel":
        first = (body.get("results") or [{}])[0]
        if first.get("success") is True:
            return Classification("done")
        reason = str(first.get("failure_reason", ""))
        return Classification("rejected" if reason == "UNKNOWN_CANCEL_ORDER" else "unknown", reason, reason)
    if purpose == "check":
        errors = body.get("errs") or []
        return Classification("rejected", str(errors[0]), str(errors[0])) if errors else Classification("done")
    if body.get("success") is True:
        return Classification("done")
    failure = body.get("error_response") or {}
    reason = str(failure.get("error") or failure.get("new_order_failure_reason") or body.get("failure_reason") or "")
    certain = body.get("success") is False and reason.startswith(_COINBASE_REFUSALS)
    return Classification("rejected" if certain else "unknown", reason, str(failure.get("message", ""))[:200])


_KRAKEN_REFUSALS = ("EOrder:", "EGeneral:Invalid arguments", "EGeneral:Permission denied", "EAPI:Invalid", "EAPI:Rate limit",
                    "EAPI:Bad request", "EService:Deadline elapsed", "EService:Market in", "EQuery:Unknown asset pair",
                    "EFunding:Unknown", "ETrade:Locked")  # fmt: skip


def classify_kraken(reply: Reply, purpose: Purpose) -> Classification:
    """Classify a response of Kraken: HTTP 200 with a list of errors, empty on success."""
    body = reply.body if isinstance(reply.body, dict) else {}
    errors = [str(error) for error in body.get("error") or []]
    if reply.status == 200 and "result" in body and not errors:
        return Classification("done")
    if reply.status == 200 and errors:
        known = ("EOrder:Unknown order",) if purpose == "cancel" else _KRAKEN_REFUSALS
        certain = all(error.startswith(known) for error in errors)
        return Classification("rejected" if certain else "unknown", errors[0], "; ".join(errors)[:200])
    return Classification("unknown", f"http:{reply.status}" if reply.status else reply.fault, reply.described())


def classify_unlisted(reply: Reply, purpose: Purpose) -> Classification:  # noqa: ARG001 - the signature of a Classifier
    """Classify a response of an exchange without a list of refusals: done if ccxt could read it, else unknown."""
    if reply.status == 200 and reply.body is not None and not reply.fault:
        return Classification("done")
    return Classification("unknown", f"http:{reply.status}" if reply.status else reply.fault, reply.described())


def _rejected(unknown: Classification) -> Classification:
    return Classification("rejected", unknown.code, unknown.text)


def _named(code: int | None, reply: Reply) -> str:
    if code is not None:
        return str(code)
    return reply.fault if reply.status in {0, 200} and reply.fault else f"http:{reply.status}"


class UnansweredError(VenueError):
    """A read request failed; carries the reply for callers that can interpret it."""

    def __init__(self, venue: str, reply: Reply, *, classified: Classification, retry_after_ms: int) -> None:
        code = f"{classified.code}: " if classified.code else ""
        super().__init__(
            f"{venue} did not answer",
            found=f"{code}{classified.text}",
            retry_after_ms=retry_after_ms,
            unauthorised=reply.status == 401 or classified.code in {str(code) for code in (_SIGNATURE, *_UNAUTHORISED)},
        )
        self.reply, self.classified = reply, classified

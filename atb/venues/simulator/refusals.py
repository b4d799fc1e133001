"""Binance's error responses: HTTP status, code and message."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Refusals that pass: the same request may be accepted a moment later (details of a fault of the kind `refuse`).
PASSING: tuple[dict[str, Any], ...] = (
    {"code": -1003, "msg": "Too many requests queued.", "status": 429, "retry_after_s": 2},
    {"code": -1008, "msg": "Server is currently overloaded with other requests. Please try again in a few minutes.", "status": 503},
    {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."},
    {"code": -1013, "msg": "Market is closed."},
    {"code": -2010, "msg": "The relationship of the prices for the orders is not correct."},
    {"code": -2010, "msg": "Stop price would trigger immediately."},
    {"code": -2010, "msg": "Order would immediately match and take."},
)  # fmt: skip


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - an answer of the exchange, not a fault of this program
    """An error response: HTTP status, Binance's code and message, and the data that some carry."""

    code: int
    message: str
    status: int = 400
    data: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        body: dict[str, Any] = {"code": self.code, "msg": self.message}
        return body if self.data is None else body | {"data": self.data}


def bad_symbol() -> Refusal:
    """Return the refusal of a symbol that is not traded."""
    return Refusal(-1121, "Invalid symbol.")


def bad_interval() -> Refusal:
    """Return the refusal of an unknown interval."""
    return Refusal(-1120, "Invalid interval.")


def too_many_requests(retry_after_s: int = 1) -> Refusal:
    """Return the refusal of a client that is over its request weight."""
    text = "Too much request weight used; please use WebSocket Streams for live updates to avoid polling the API."
    return Refusal(-1003, text, status=429, headers={"Retry-After": str(retry_after_s)})


def banned(until_ms: int, retry_after_s: int) -> Refusal:
    """Return the refusal of a client that is banned."""
    text = f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams."
    return Refusal(-1003, text, status=418, headers={"Retry-After": str(retry_after_s)})


def too_many_orders(limit: int, interval: str) -> Refusal:
    """Return the refusal of a client that is over an order limit."""
    text = f"Too many new orders; current limit is {limit} orders per {interval}."
    return Refusal(-1015, text, status=429, headers={"Retry-After": "10" if interval == "10 SECOND" else "3600"})


def missing_parameter(name: str) -> Refusal:
    """Return the refusal of a request without a mandatory parameter."""
    return Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal_parameter(name: str, legal: str = "^[0-9]{1,20}$") -> Refusal:
    """Return the refusal of a parameter with characters it may not have."""
    return Refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def unneeded_parameter(name: str) -> Refusal:
    """Return the refusal of a parameter that this request does not take."""
    return Refusal(-1106, f"Parameter '{name}' sent when not required.")


def too_precise(name: str) -> Refusal:
    """Return the refusal of a number with more than eight decimals."""
    return Refusal(-1111, f"Parameter '{name}' has too much precision.")


def bad_enum(name: str) -> Refusal:
    """Return the refusal of an unknown side, type or time in force."""
    codes = {"timeInForce": (-1115, "Invalid timeInForce."), "side": (-1117, "Invalid side.")}
    return Refusal(*codes.get(name, (-1116, "Invalid orderType.")))


def filter_failure(name: str) -> Refusal:
    """Return the refusal of an order that breaks a trading rule."""
    return Refusal(-1013, f"Filter failure: {name}")


def unsupported(what: str) -> Refusal:
    """Return the refusal of something that a symbol does not allow; `what` is the sentence up to "not supported"."""
    return Refusal(-1013, f"{what} not supported for this symbol.")


def prices_related() -> Refusal:
    """Return the refusal of a pair whose prices do not lie on both sides of the last price."""
    return rejected("The relationship of the prices for the orders is not correct.")


def cancel_refused(text: str) -> Refusal:
    """Return the matching engine's refusal of a cancellation."""
    return Refusal(-2011, text)


def no_reference_price() -> Refusal:
    """Return the response to a query for a reference price that a symbol never had."""
    return Refusal(-2043, "This symbol doesn't have a reference price.")


def market_closed() -> Refusal:
    """Return the refusal of an order while its symbol is not traded."""
    return Refusal(-1013, "Market is closed.")


def rejected(text: str) -> Refusal:
    """Return the matching engine's refusal of a new order."""
    return Refusal(-2010, text)


def insufficient_balance() -> Refusal:
    """Return the refusal of an order that the account cannot pay."""
    return rejected("Account has insufficient balance for requested action.")


def unknown_order() -> Refusal:
    """Return the refusal to cancel an order that is not open."""
    return Refusal(-2011, "Unknown order sent.")


def no_such_order() -> Refusal:
    """Return the response to a query for an unknown order."""
    return Refusal(-2013, "Order does not exist.")


def no_such_list() -> Refusal:
    """Return the response to a query for an unknown list."""
    return Refusal(-2013, "Order list does not exist.")


def bad_key() -> Refusal:
    """Return the refusal of a request without a key where one is needed."""
    return Refusal(-2014, "API-key format invalid.", status=401)


def unknown_key() -> Refusal:
    """Return the refusal of a key that may not do this."""
    return Refusal(-2015, "Invalid API-key, IP, or permissions for action.", status=401)


def bad_signature() -> Refusal:
    """Return the refusal of a request whose signature does not fit."""
    return Refusal(-1022, "Signature for this request is not valid.")


def outside_window(*, ahead: bool) -> Refusal:
    """Return the refusal of a timestamp that is too old, or ahead of the exchange's clock."""
    if ahead:
        return Refusal(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    return Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")


def bad_window() -> Refusal:
    """Return the refusal of a recvWindow that is too long."""
    return Refusal(-1131, "recvWindow must be less than 60000")


def not_found() -> Refusal:
    """Return the response to an unknown path."""
    return Refusal(-1000, "Path not found.", status=404)


def archived() -> Refusal:
    """Return the response to a query for an order that ended long ago without an execution."""
    return Refusal(-2026, "Order was canceled or expired with no executed qty over 90 days ago and has been archived.")


def named(values: Mapping[str, Any]) -> Refusal:
    """Return the refusal that a fault describes by `code`, `msg`, `status` and `retry_after_s`; by default a closed market."""
    wait = values.get("retry_after_s")
    return Refusal(
        int(values.get("code", -1013)), str(values.get("msg", "Market is closed.")), status=int(values.get("status", 400)),
        headers={} if wait is None else {"Retry-After": str(wait)},
    )  # fmt: skip

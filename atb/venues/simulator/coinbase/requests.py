"""Requests to Coinbase's endpoints, and its error responses."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from multidict import MultiDict

from atb.venues.simulator.refusals import Refusal

if TYPE_CHECKING:
    from aiohttp import web
    from multidict import MultiMapping

    from atb.venues.simulator.configuration import Key

# Words in the matching engine's refusals, and Coinbase's error and preview failure reason for each.
_REASONS = {
    "insufficient balance": ("INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND"),
    "trigger immediately": ("UNKNOWN_FAILURE_REASON", "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE"),
    "match and take": ("INVALID_LIMIT_PRICE_POST_ONLY", "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY"),
    "PRICE_FILTER": ("INVALID_PRICE_PRECISION", "PREVIEW_INVALID_PRICE_PRECISION"),
    "LOT_SIZE": ("INVALID_SIZE_PRECISION", "PREVIEW_INVALID_SIZE_PRECISION"),
    "NOTIONAL": ("UNKNOWN_FAILURE_REASON", "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
    "Market is closed": ("ORDER_ENTRY_DISABLED", "PREVIEW_ORDER_ENTRY_DISABLED"),
}


@dataclass(frozen=True)
class CoinbaseRequest:
    """One request.

    Parameters
    ----------
    method, host, path
        The endpoint.
    query, names, body
        Parameters of the query and of the path, and the JSON object of the body, empty if there is none.
    authorization
        The header of that name.
    key
        The key that signed it, once it is verified.
    """

    method: str
    host: str
    path: str
    query: "MultiMapping[str]" = field(default_factory=MultiDict)
    names: Mapping[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    authorization: str | None = None
    key: "Key | None" = None

    @classmethod
    async def read(cls, request: "web.Request") -> "CoinbaseRequest":
        """Read an HTTP request; a body that is no JSON object counts as empty."""
        try:
            body = await request.json() if request.body_exists else {}
        except ValueError:
            body = {}
        where = (request.method, request.host, request.path)
        terms = body if isinstance(body, dict) else {}
        return cls(*where, request.query, dict(request.match_info), terms, request.headers.get("Authorization"))

    @property
    def client_id(self) -> str:
        """The client id of the order, empty if the request has none."""
        return str(self.body.get("client_order_id", ""))

    def signed_by(self, key: "Key") -> "CoinbaseRequest":
        """Return the request with the key that signed it."""
        return replace(self, key=key)


class CoinbaseError(Exception):
    """An error response: status, Coinbase's error word, and a sentence."""

    def __init__(self, status: int, error: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.body = {"error": error, "error_details": text, "message": text}


def invalid(text: str) -> CoinbaseError:
    """Return the response to an invalid request."""
    return CoinbaseError(400, "INVALID_ARGUMENT", text)


def failure(refusal: Refusal, terms: dict[str, Any]) -> dict[str, Any]:
    """Return the response to a refused order; its status is 200."""
    found = (words for text, words in _REASONS.items() if text in refusal.message)
    error, preview = next(found, ("UNKNOWN_FAILURE_REASON", "UNKNOWN_PREVIEW_FAILURE_REASON"))
    body = {"error": error, "message": refusal.message, "error_details": "", "preview_failure_reason": preview}
    return {"success": False, "error_response": body, "order_configuration": terms}

"""What is asked of Coinbase's endpoints, and how it says no."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from multidict import MultiDict

from atb.venues.simulator.refusals import Refusal

if TYPE_CHECKING:
    from aiohttp import web
    from multidict import MultiMapping

    from atb.venues.simulator.configuration import Key

# Binance's words for why the matching engine takes no order, and Coinbase's: its error, and its reason in a preview.
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
        Where it went.
    query, names, body
        Parameters of the query, of the path, and the JSON object that was sent, empty where none was.
    authorization
        The header of that name.
    key
        Who asked, once that is known.
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
    async def of(cls, request: "web.Request") -> "CoinbaseRequest":
        """Read a request; a body that is no object counts as empty."""
        try:
            body = await request.json() if request.body_exists else {}
        except ValueError:
            body = {}
        where = (request.method, request.host, request.path)
        said = body if isinstance(body, dict) else {}
        return cls(*where, request.query, dict(request.match_info), said, request.headers.get("Authorization"))

    @property
    def client_id(self) -> str:
        """The order's own name, empty where the request is about none."""
        return str(self.body.get("client_order_id", ""))

    def by(self, key: "Key") -> "CoinbaseRequest":
        """Return the request as one that a key has asked."""
        return replace(self, key=key)


class CoinbaseError(Exception):
    """An answer other than 200: status, Coinbase's word for it, and a sentence."""

    def __init__(self, status: int, error: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.body = {"error": error, "error_details": text, "message": text}


def invalid(text: str) -> CoinbaseError:
    """Return the answer to a request that makes no sense."""
    return CoinbaseError(400, "INVALID_ARGUMENT", text)


def failure(refusal: Refusal, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer, with status 200, to an order that is not taken."""
    found = (words for text, words in _REASONS.items() if text in refusal.message)
    error, preview = next(found, ("UNKNOWN_FAILURE_REASON", "UNKNOWN_PREVIEW_FAILURE_REASON"))
    told = {"error": error, "message": refusal.message, "error_details": "", "preview_failure_reason": preview}
    return {"success": False, "error_response": told, "order_configuration": asked}

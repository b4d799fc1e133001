"""Capabilities of exchanges: a table of what no exchange publishes, and what Binance publishes for each symbol.

An exchange without a row gets a cautious one from ccxt's flags. What Binance publishes is not in the table: order lists, order
types, cancel-replace and the status differ from symbol to symbol, and change.
"""

from dataclasses import replace
from typing import Any

from atb.domain.venue import Capabilities, ListKind, MarketStatus

RECV_WINDOW_MS = 3_000  # short, so that a lost stop is proven absent and placed again within 5 s

BINANCE = Capabilities(
    client_id_parameter="newClientOrderId",
    looks_up_client_ids=True,
    id_unique="open",
    late_bound_ms=RECV_WINDOW_MS,
    stops=False,  # a symbol's own, like lists and cancel-replace: `binance_capabilities` reads them
    user_stream=True,
)

# ccxt replaces `clientOrderId` here, so the exchange's own parameter is used. Stops become limit orders: a price gap beyond both
# prices leaves them resting. No timestamp bounds late execution; sending the same client id again is safe.
COINBASE = Capabilities(
    client_id_parameter="client_order_id",
    looks_up_client_ids=False,
    id_unique="ever",
    late_bound_ms=None,
    stops=True,
    stops_at_market=False,
    user_stream=True,
)

# Kraken's `deadline` parameter bounds late execution.
KRAKEN = Capabilities(
    client_id_parameter="cl_ord_id",
    looks_up_client_ids=False,
    id_unique="open",
    late_bound_ms=RECV_WINDOW_MS,
    stops=True,
    user_stream=True,
)

VENUES = {"binance": BINANCE, "coinbase": COINBASE, "kraken": KRAKEN}


def capabilities_of(exchange_id: str, exchange: Any, *, recv_window_ms: int = RECV_WINDOW_MS) -> Capabilities:
    """Return an exchange's capabilities; ccxt's `exchange` is used if the table has no row."""
    known = VENUES.get(exchange_id)
    if known is None:
        return _according_to_ccxt(exchange)
    return replace(known, late_bound_ms=recv_window_ms) if known.late_bound_ms is not None else known


_STATUSES: dict[str, MarketStatus] = {"TRADING": "trading", "CANCEL_ONLY": "cancel_only"}  # all others are closed
_NEEDS: dict[ListKind, tuple[str, ...]] = {  # what a symbol must allow for a list of ours
    "oco": ("oco", "STOP_LOSS", "LIMIT_MAKER"),
    "opo": ("oto", "opo", "LIMIT", "STOP_LOSS"),
    "opoco": ("oto", "opo", "oco", "LIMIT", "STOP_LOSS", "LIMIT_MAKER"),
}


def binance_capabilities(venue: Capabilities, info: dict[str, Any]) -> Capabilities:
    """Return the capabilities of a symbol of Binance's `exchangeInfo`; what is not said is not allowed."""
    allowed = {kind for kind in ("oco", "oto", "opo") if info.get(f"{kind}Allowed")} | set(info.get("orderTypes") or ())
    filters = {row["filterType"]: row for row in info.get("filters") or ()}
    most = filters.get("MAX_NUM_ALGO_ORDERS", {}).get("maxNumAlgoOrders")
    return replace(
        venue,
        lists=frozenset(kind for kind, needs in _NEEDS.items() if allowed.issuperset(needs)),
        stops="STOP_LOSS" in allowed,
        replaces=bool(info.get("cancelReplaceAllowed")),
        stops_per_symbol=None if most is None else int(most),
        status=_STATUSES.get(str(info.get("status")), "closed"),
    )


def _according_to_ccxt(exchange: Any) -> Capabilities:
    features = ((exchange.features or {}).get("spot") or {}).get("createOrder") or {}
    return Capabilities(
        client_id_parameter="clientOrderId",
        looks_up_client_ids=False,
        id_unique="never",
        late_bound_ms=None,
        stops=bool(features.get("stopLossPrice") or features.get("triggerPrice")),
        user_stream=bool(exchange.has.get("watchOrders")),
        checks=False,
    )

"""Values at a venue's edge: what is sent in one request, what came back, and what a venue can do; money in exact decimals."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from atb.domain.orders import Fill, Order
from atb.domain.symbol import Symbol

ListKind = Literal["oco", "opo", "opoco"]
OrderState = Literal["pending", "new", "partially_filled", "filled", "cancelled", "rejected", "expired"]
Outcome = Literal["done", "rejected", "unknown"]
Ended = Literal["answered", "refused", "lost"]
MarketStatus = Literal["trading", "cancel_only", "closed"]


@dataclass(frozen=True, slots=True)
class OrderList:
    """Orders that a venue ties together and takes in one request.

    `oco`: (stop, target), one cancels the other. `opo`: (entry, stop), the stop comes alive when the entry is filled, with what
    the entry received net of fees. `opoco`: (entry, stop, target), likewise with a pair.
    """

    client_id: str
    kind: ListKind
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class OrderReport:
    """A venue's report on one order; quantities in base, `filled` so far; `exchange_id` is the venue's id of it."""

    client_id: str
    exchange_id: str
    symbol: Symbol
    side: Literal["buy", "sell"]
    type: Literal["market", "limit", "stop"]
    state: OrderState
    quantity: Decimal
    filled: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    list_id: str | None = None
    time_ms: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended.

    `done`: the venue did it. `rejected`: the venue definitely did not, by an error on the whitelist.
    `unknown`: anything else; the request may have been executed, or may still be until the late-execution bound is over.

    Parameters
    ----------
    code, text
        The venue's code and words (without secrets), or the fault's class.
    reports, fills
        Orders and executions that the answer reports; evidence for `unknown`, facts for `done`.
    retry_after_ms
        How long the venue asks to be left alone.
    sent_ms
        The request's timestamp, in exchange time: the late-execution bound counts from it.
    """

    outcome: Outcome
    code: str = ""
    text: str = ""
    reports: tuple[OrderReport, ...] = ()
    fills: tuple[Fill, ...] = ()
    retry_after_ms: int = 0
    sent_ms: int = 0


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's balance of one asset."""

    free: Decimal
    locked: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """Free and locked together."""
        return self.free + self.locked


@dataclass(frozen=True, slots=True)
class Commissions:
    """The account's commission rates in a symbol, as fractions of an order's value.

    Parameters
    ----------
    taker, maker
        Rates in the asset that the order receives: a buy pays in base, a sell in quote.
    third_asset
        Asset that the account pays fees in as long as it has enough of it (BNB), None without one.
    third_taker, third_maker
        Rates in that asset.
    """

    taker: Decimal
    maker: Decimal
    third_asset: str | None = None
    third_taker: Decimal = Decimal(0)
    third_maker: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Permissions:
    """The permissions of a key."""

    trade: bool
    withdraw: bool
    ip_restricted: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of a venue, or of one of its symbols, that the runner depends on.

    Parameters
    ----------
    client_id_parameter
        The request parameter that carries our order id.
    looks_up_client_ids
        True if an order can be looked up by it; otherwise orders are listed and matched.
    id_unique
        Scope in which the venue refuses a second use of an id: open orders, all orders ever, or none.
    late_bound_ms
        How long after its timestamp a request may still execute; None where the venue gives no bound.
    lists
        Supported kinds of order list.
    stops
        True if stop orders rest at the venue.
    stops_at_market
        True if a triggered stop sells at any price; otherwise it becomes a limit order, which a jump can leave behind.
    replaces
        True if one request can cancel an order and place another, or neither.
    user_stream
        True if executions are pushed.
    shorts
        True if short selling is supported.
    stops_per_symbol
        Maximum number of stops resting in one symbol; None if unknown.
    checks
        True if the venue can validate an order without placing it.
    status
        What a symbol's market takes: orders, only cancellations, or nothing.
    """

    client_id_parameter: str
    looks_up_client_ids: bool
    id_unique: Literal["open", "ever", "never"]
    late_bound_ms: int | None
    lists: frozenset[ListKind] = frozenset()
    stops: bool = True
    replaces: bool = False
    user_stream: bool = False
    shorts: bool = False
    stops_at_market: bool = True
    checks: bool = True
    stops_per_symbol: int | None = None
    status: MarketStatus = "trading"

    def missing(self) -> tuple[str, ...]:
        """Return, in words, what the venue lacks of what the runner can use."""
        lacks = {
            "look-up by client id": not self.looks_up_client_ids,
            "a bound on late execution": self.late_bound_ms is None,
            "stops that rest at the venue": not self.stops,
            "stops that sell at any price": self.stops and not self.stops_at_market,
            "pairs of stop and target (OCO)": "oco" not in self.lists,
            "entries that bring their stop along (OPO)": "opo" not in self.lists,
            "replacing an order in one request": not self.replaces,
            "a stream of executions": not self.user_stream,
            "judging an order without placing it": not self.checks,
        }
        return tuple(words for words, lacking in lacks.items() if lacking)


@dataclass(frozen=True, slots=True)
class Contact:
    """A request that was made: what for, whether it was `answered`, `refused` or `lost`, and how long that took (s).

    `weight_used` is the request weight used in the venue's current minute, as far as it is known here.
    """

    kind: str
    outcome: Ended
    seconds: float
    weight_used: int


@dataclass(frozen=True, slots=True)
class StreamUpdate:
    """A stream said that something happened; whoever gets it asks the venue what. `gap` says that updates may be lost."""

    kind: Literal["order", "bar", "balance", "gap"]
    symbol: Symbol | None = None
    detail: dict[str, str] = field(default_factory=dict)

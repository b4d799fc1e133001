"""Events that the exchange publishes to its subscribers, one frozen value each, in the order in which they happen."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from atb.venues.simulator.market import Candle
from atb.venues.simulator.orders import Order, OrderList, Trade

ExecutionType = Literal["NEW", "CANCELED", "REPLACED", "REJECTED", "TRADE", "EXPIRED"]


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """An order changed (`executionReport`).

    Parameters
    ----------
    time_ms
        When.
    type
        Kind of change.
    order
        A copy of the order as it is now.
    trade
        The execution, for `TRADE`.
    client_id, original_id
        Binance's `c` and `C`: a cancellation has its own client id, and the order's id is the original one.
    reason
        Reason of a rejection, `NONE` otherwise.
    """

    time_ms: int
    type: ExecutionType
    order: Order
    trade: Trade | None = None
    client_id: str = ""
    original_id: str = ""
    reason: str = "NONE"


@dataclass(frozen=True, slots=True)
class AccountPosition:
    """Balances changed (`outboundAccountPosition`): (asset, free, locked) of each that did."""

    time_ms: int
    balances: tuple[tuple[str, Decimal, Decimal], ...]


@dataclass(frozen=True, slots=True)
class BalanceUpdate:
    """A deposit, or if negative a withdrawal (`balanceUpdate`)."""

    time_ms: int
    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class ListStatus:
    """An order list changed (`listStatus`); holds a copy of the list as it is now."""

    time_ms: int
    orders: OrderList
    members: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Kline:
    """A candle opened, or closed (`kline`, whose `x` is `closed`)."""

    time_ms: int
    symbol: str
    interval: str
    candle: Candle
    closed: bool


@dataclass(frozen=True, slots=True)
class MarketTrade:
    """A trade on the market (`trade`): one at each moment of a bar, and the account's own."""

    time_ms: int
    symbol: str
    id: int
    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool


@dataclass(frozen=True, slots=True)
class BookTicker:
    """The best prices changed (`bookTicker`)."""

    time_ms: int
    symbol: str
    update_id: int
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal


AccountEvent = ExecutionReport | AccountPosition | BalanceUpdate | ListStatus
MarketEvent = Kline | MarketTrade | BookTicker
Event = AccountEvent | MarketEvent

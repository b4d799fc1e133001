"""Orders, fills, positions and decisions as frozen values, money in exact decimals: for exchange and journal."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from atb.domain.symbol import Symbol


@dataclass(frozen=True, slots=True)
class Order:
    """An intent on its way to a venue; `client_id` is a function of what it is for: a restart computes it again.

    `price` is a limit order's, or the worst one at which a market order may be filled; `stop_price` is a stop order's; `reason` is
    the kernel's word for why it is sent.
    """

    client_id: str
    symbol: Symbol
    side: Literal["buy", "sell"]
    role: Literal["entry", "exit", "stop", "target"]
    type: Literal["market", "limit", "stop"]
    quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution: price in quote per base, quantity in base; time in epoch milliseconds.

    `fee` is in `fee_asset`; `fee_value` is what it is worth in quote, the same number where it is paid in quote. `order_id` is the
    venue's name for the order; `client_id` is empty where the venue does not tell it with the execution.
    """

    trade_id: str
    client_id: str
    symbol: Symbol
    side: Literal["buy", "sell"]
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    fee_value: Decimal
    time_ms: int
    order_id: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """What is held of a symbol: signed quantity in base, average entry price in quote per base."""

    symbol: Symbol
    quantity: Decimal
    entry_price: Decimal
    stop: Decimal | None = None
    target: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the kernel decided at one bar's close, with its reason; `time_ms` is that close."""

    symbol: Symbol
    strategy: str
    time_ms: int
    side: float
    orders: tuple[Order, ...]
    reason: str = ""

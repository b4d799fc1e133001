"""Orders and fills as frozen values with exact decimals, for exchange and journal, and how our client order ids are made up."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from atb.domain.symbol import Symbol

CLIENT_ID_PREFIX = "atb-"  # of every client order id that is ours
# What stands for a role in a client order id: `<prefix><slot>-<bar>-<letter><attempt>`.
ROLE_LETTERS = {"entry": "e", "exit": "x", "stop": "s", "target": "t", "list": "l"}


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

    `fee` is in `fee_asset`; `fee_value` is its value in quote, the same number where it is paid in quote. `order_id` is the
    venue's name for the order; `client_id` is empty where the venue does not send it with the execution.
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

"""Orders, order lists and trades of the exchange; amounts are exact decimals, times epoch milliseconds."""

from dataclasses import dataclass, field
from decimal import Decimal

ZERO = Decimal(0)
OPEN = frozenset(("NEW", "PARTIALLY_FILLED", "PENDING_NEW"))
STOPS = frozenset(("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"))
PAIRS = frozenset(("OCO", "OTOCO", "OPOCO"))  # kinds of lists of which one leg ends the other
PAYS = frozenset(("OPO", "OPOCO"))  # kinds of lists whose pending legs sell what was received
TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")


@dataclass(slots=True)
class Trade:
    """One execution of an order; `commission` is in `commission_asset`."""

    id: int
    order_id: int
    list_id: int
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    time_ms: int
    maker: bool

    @property
    def value(self) -> Decimal:
        """Price times quantity, in quote."""
        return self.price * self.quantity


@dataclass(slots=True)
class Order:
    """One order; only the exchange changes it, and events carry copies.

    Parameters
    ----------
    id, client_id, symbol, side, type, tif
        As Binance calls them (`tif` is `timeInForce`).
    quantity, price, stop_price
        In base, and quote per base; 0 if the order has none. A pending leg of an OPO has quantity 0 until its working order
        is filled.
    quote_quantity
        Amount of quote that a market order trades instead of a quantity (`quoteOrderQty`).
    status
        NEW, PENDING_NEW, PARTIALLY_FILLED, FILLED, CANCELED, REJECTED or EXPIRED.
    filled, spent
        Executed quantity, and its value in quote.
    list_id
        Id of its list, -1 if it has none.
    locked
        Amount set aside for it (base of a sell, quote of a buy); of an OCO it is on the first leg.
    triggered
        Whether its stop price was reached: from then on a stop limit order is a limit order.
    commission
        Commission taken so far from what it received: an OPO's pending leg sells the rest.
    expiry_reason
        Why it expired (`expiryReason`), where Binance says so.
    inside
        Where in its bar it was filled: 0 at the open, 1 as a stop inside the bar, 2 as a limit inside the bar.
    """

    id: int
    client_id: str
    symbol: str
    side: str
    type: str
    quantity: Decimal
    time_ms: int
    price: Decimal = ZERO
    stop_price: Decimal = ZERO
    quote_quantity: Decimal = ZERO
    tif: str = "GTC"
    status: str = "NEW"
    filled: Decimal = ZERO
    spent: Decimal = ZERO
    list_id: int = -1
    update_ms: int = 0
    working_ms: int = -1
    locked: Decimal = ZERO
    triggered: bool = False
    commission: Decimal = ZERO
    expiry_reason: str = ""
    inside: int = 0
    trades: list[Trade] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether it may still trade."""
        return self.status in OPEN

    @property
    def working(self) -> bool:
        """Whether it is on the book: not pending, and a stop order only once it was triggered."""
        return self.working_ms >= 0

    @property
    def rest(self) -> Decimal:
        """Quantity still to be executed, in base."""
        return self.quantity - self.filled

    @property
    def is_stop(self) -> bool:
        """Whether it is a stop order that was not triggered yet."""
        return self.type in STOPS and not self.triggered

    @property
    def sells(self) -> bool:
        """Whether it sells."""
        return self.side == "SELL"


@dataclass(slots=True)
class OrderList:
    """A list of contingent orders.

    Parameters
    ----------
    kind
        OCO, OTO, OTOCO, OPO or OPOCO; Binance's `contingencyType` is derived from it.
    orders
        Ids of the members: an OCO's pair, or the working order followed by what is pending.
    status_type
        RESPONSE, EXEC_STARTED, UPDATED or ALL_DONE (`listStatusType`).
    order_status
        EXECUTING, ALL_DONE or REJECT (`listOrderStatus`).
    """

    id: int
    client_id: str
    symbol: str
    kind: str
    orders: tuple[int, ...]
    time_ms: int
    status_type: str = "EXEC_STARTED"
    order_status: str = "EXECUTING"

    @property
    def contingency(self) -> str:
        """Binance's `contingencyType`; OPO counts as OTO."""
        return "OCO" if self.kind == "OCO" else "OTO"

    @property
    def open(self) -> bool:
        """Whether a member may still trade."""
        return self.order_status == "EXECUTING"

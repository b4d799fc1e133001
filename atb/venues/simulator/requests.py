"""Reads orders from request parameters: mandatory, unneeded and malformed parameters are refused as at Binance."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from atb.venues.simulator import refusals
from atb.venues.simulator.floor import Floor
from atb.venues.simulator.orders import STOPS, TYPES, ZERO, Order
from atb.venues.simulator.tape import Tape

Params = Mapping[str, str]

_NAME = re.compile(r"[a-zA-Z0-9\-_.:/]{1,36}")
_NAMES = "^[a-zA-Z0-9-_.:/]{1,36}$"
_PRICED = frozenset(("LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"))
_TIMED = frozenset(("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"))


def required_text(params: Params, name: str) -> str:
    """Return a mandatory parameter.

    Raises
    ------
    Refusal
        -1102 where it is missing or empty.
    """
    value = params.get(name)
    if not value:
        raise refusals.missing_parameter(name)
    return value


def integer(params: Params, name: str) -> int | None:
    """Return an integer parameter, None if it is not given.

    Raises
    ------
    Refusal
        -1100 if it is malformed.
    """
    value = params.get(name)
    if value is None:
        return None
    if not value.isdecimal() or len(value) > 20:
        raise refusals.illegal_parameter(name)
    return int(value)


def decimal(params: Params, name: str) -> Decimal | None:
    """Return a positive number with at most eight decimals, None if the parameter is not given.

    Raises
    ------
    Refusal
        -1100, -1111 or -1013 if it is malformed.
    """
    value = params.get(name)
    if value is None:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise refusals.illegal_parameter(name, "^([0-9]{1,20})(\\.[0-9]{1,20})?$") from None
    if not number.is_finite() or number < 0 or "e" in value.lower():
        raise refusals.illegal_parameter(name, "^([0-9]{1,20})(\\.[0-9]{1,20})?$")
    if number != number.quantize(Decimal("0.00000001")):
        raise refusals.too_precise(name)
    if number == 0:
        raise refusals.Refusal(-1013, f"Invalid {name}.")
    return number


def choice(params: Params, name: str, known: Sequence[str], *, default: str | None = None) -> str:
    """Return a parameter that must be one of the known words.

    Raises
    ------
    Refusal
        -1102 where it is missing and has no default, -1115 to -1117 where it is unknown.
    """
    value = params.get(name) or default
    if value is None:
        raise refusals.missing_parameter(name)
    if value not in known:
        kind = "side" if name.lower().endswith("side") else "timeInForce" if name.endswith("InForce") else name
        raise refusals.bad_enum(kind)
    return value


def client_id_of(exchange: Floor, params: Params, name: str) -> str:
    """Return the client id in a parameter, a new one if none is given.

    Raises
    ------
    Refusal
        -1100 where it has other characters or is too long.
    """
    value = params.get(name)
    if not value:
        return exchange.trading.book.new_client_id()
    if not _NAME.fullmatch(value):
        raise refusals.illegal_parameter(name, _NAMES)
    return value


def tape_of(exchange: Floor, params: Params, name: str = "symbol") -> Tape:
    """Return the symbol's tape.

    Raises
    ------
    Refusal
        -1102 without a symbol, -1121 for one that is not traded.
    """
    tape = exchange.tapes.get(required_text(params, name))
    if tape is None:
        raise refusals.bad_symbol()
    return tape


@dataclass(frozen=True, slots=True)
class ParameterNames:
    """Names of one order's parameters in a request: the prefix `pendingAbove` turns `price` into `pendingAbovePrice`."""

    prefix: str = ""
    side: str = "side"
    quantity: str = "quantity"
    client_id: str = "newClientOrderId"

    def spell(self, name: str) -> str:
        """Return a parameter's name."""
        return self.prefix + name[0].upper() + name[1:] if self.prefix else name


PLAIN = ParameterNames()


def read_order(exchange: Floor, params: Params, names: ParameterNames = PLAIN, *, sized: bool = True) -> Order:
    """Read one order.

    Parameters
    ----------
    exchange
        Where it is placed.
    params, names
        The request, and the names that this order's parameters have in it.
    sized
        Whether it must have a quantity; that of an OPO's leg follows from its working order.

    Raises
    ------
    Refusal
        If a parameter is missing, unneeded or malformed.
    """
    tape = tape_of(exchange, params)
    side = choice(params, names.side, ("BUY", "SELL"))
    kind = choice(params, names.spell("type"), TYPES)
    order = Order(0, "", tape.symbol, side, kind, ZERO, exchange.now_ms())
    _read_prices(order, params, names)
    if sized:
        _read_quantity(order, params, names)
    order.client_id = client_id_of(exchange, params, names.client_id)
    return order


def _read_prices(order: Order, params: Params, names: ParameterNames) -> None:
    price, stop, tif = (names.spell(name) for name in ("price", "stopPrice", "timeInForce"))
    for name, wanted in ((price, order.type in _PRICED), (stop, order.type in STOPS)):
        if wanted and not params.get(name):
            raise refusals.missing_parameter(name)
        if not wanted and params.get(name):
            raise refusals.unneeded_parameter(name)
    order.price, order.stop_price = decimal(params, price) or ZERO, decimal(params, stop) or ZERO
    if order.type in _TIMED:
        order.tif = choice(params, tif, ("GTC", "IOC", "FOK"))
    elif params.get(tif) and order.type in {"MARKET", "LIMIT_MAKER"}:
        raise refusals.unneeded_parameter(tif)


def _read_quantity(order: Order, params: Params, names: ParameterNames) -> None:
    quantity, quote = decimal(params, names.quantity), decimal(params, "quoteOrderQty")
    if order.type == "MARKET" and names is PLAIN and quote is not None:
        if quantity is not None:
            raise refusals.unneeded_parameter("quoteOrderQty")
        order.quote_quantity = quote
    elif quantity is None:
        raise refusals.missing_parameter(names.quantity)
    else:
        order.quantity = quantity


def read_pair(exchange: Floor, params: Params, prefix: str = "", *, sized: bool = True) -> list[Order]:
    """Read the two legs of a pair, the stop first.

    Raises
    ------
    Refusal
        If a leg is malformed, or the two cannot form a pair.
    """
    side = "pendingSide" if prefix else "side"
    quantity = "pendingQuantity" if prefix else "quantity"
    legs = []
    for end in ("Above", "Below"):
        base = f"{prefix}{end}" if prefix else end.lower()
        names = ParameterNames(base, side, quantity, f"{base}ClientOrderId")
        legs.append(read_order(exchange, params, names, sized=sized))
    above, below = legs
    if not {above.type, below.type} <= {"LIMIT_MAKER", *STOPS}:
        raise refusals.bad_enum("type")
    prices = [leg.price if leg.type == "LIMIT_MAKER" else leg.stop_price for leg in legs]
    if prices[0] <= prices[1] or (above.type in STOPS and below.type in STOPS and above.type[:4] == below.type[:4]):
        raise refusals.prices_related()
    return sorted(legs, key=lambda leg: not leg.type.startswith("STOP"))


def read_working_order(exchange: Floor, params: Params) -> Order:
    """Read the working order of a list.

    Raises
    ------
    Refusal
        If it is malformed or no limit order.
    """
    order = read_order(
        exchange, params, ParameterNames("working", "workingSide", "workingQuantity", "workingClientOrderId")
    )
    if order.type not in {"LIMIT", "LIMIT_MAKER"}:
        raise refusals.bad_enum("workingType")
    return order

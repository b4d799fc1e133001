"""Capabilities of a symbol: its status, the order types and lists it allows, its reference price and price range."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from atb.errors import InputError, did_you_mean
from atb.venues.simulator import refusals
from atb.venues.simulator.orders import TYPES

TRADING = "TRADING"
STATUSES = (TRADING, "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY")
_LISTS = {
    "OCO": ("oco",), "OTO": ("oto",), "OTOCO": ("oto", "oco"), "OPO": ("oto", "opo"), "OPOCO": ("oto", "opo", "oco"),
}  # fmt: skip
# Fields by the name that `exchangeInfo` or another request shows; the last one is shown nowhere.
_FIELDS = {
    "status": "status", "ocoAllowed": "oco", "otoAllowed": "oto", "opoAllowed": "opo", "orderTypes": "order_types",
    "cancelReplaceAllowed": "cancel_replace", "quoteOrderQtyMarketAllowed": "quote_quantity",
    "referencePrice": "reference_price", "priceRange": "price_range", "cancelsWhileClosed": "cancels_while_closed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of one symbol; by default everything is allowed.

    Parameters
    ----------
    status
        Orders are accepted and matched while it is TRADING; otherwise "Market is closed.", and in CANCEL_ONLY cancellations pass.
    oco, oto, opo, cancel_replace, quote_quantity, order_types
        As `exchangeInfo` says.
    cancels_while_closed
        Whether cancellations also pass in HALT, BREAK and END_OF_DAY, which no page says.
    reference_price
        Quote per base; None where the symbol has none.
    price_range
        Multiples of the reference price (down, up) beyond which a taker order expires; None where the symbol has no such rule.
    """

    status: str = TRADING
    oco: bool = True
    oto: bool = True
    opo: bool = True
    cancel_replace: bool = True
    quote_quantity: bool = True
    order_types: tuple[str, ...] = TYPES
    cancels_while_closed: bool = True
    reference_price: Decimal | None = None
    price_range: tuple[Decimal, Decimal] | None = None

    def __post_init__(self) -> None:
        """Refuse a status or an order type that Binance does not have."""
        for value, known in ((self.status, STATUSES), *((kind, TYPES) for kind in self.order_types)):
            if value not in known:
                raise InputError("There is no such status or order type", found=value, todo=did_you_mean(value, known))

    def changed(self, values: Mapping[str, Any]) -> "Capabilities":
        """Return these capabilities with others in their place, by the names that Binance shows.

        Raises
        ------
        InputError
            If there is no such name, or a value is none of its kind.
        """
        return replace(self, **{_field(name): _read(name, value) for name, value in values.items()})

    def restored(self, names: Mapping[str, Any], usual: "Capabilities") -> "Capabilities":
        """Return these capabilities with the usual ones again under some of the names that Binance shows."""
        return replace(self, **{_field(name): getattr(usual, _field(name)) for name in names})

    def to_json(self) -> dict[str, Any]:
        """Return the capabilities by the names that Binance shows; amounts as text."""
        return {name: _plain(getattr(self, field)) for name, field in _FIELDS.items()}

    # --- refusals

    def check_type(self, kind: str, *, by_quote: bool = False) -> None:
        """Refuse an order whose type is not enabled.

        Raises
        ------
        Refusal
            "... orders are not supported for this symbol."
        """
        if kind not in self.order_types:
            raise refusals.unsupported(f"{kind.replace('_', ' ').capitalize()} orders are")
        if by_quote and not self.quote_quantity:
            raise refusals.unsupported("Quote order qty market orders are")

    def check_list(self, kind: str) -> None:
        """Refuse a list of a kind that is not enabled.

        Raises
        ------
        Refusal
            "... orders are not supported for this symbol."
        """
        for name in _LISTS[kind]:
            if not getattr(self, name):
                raise refusals.unsupported(f"{name.upper()} orders are")

    def check_cancel_replace(self) -> None:
        """Refuse to cancel and replace where that is not enabled.

        Raises
        ------
        Refusal
            "Order cancel-replace is not supported for this symbol."
        """
        if not self.cancel_replace:
            raise refusals.unsupported("Order cancel-replace is")

    def check_cancel(self) -> None:
        """Refuse a cancellation while the symbol is closed for those too.

        Raises
        ------
        Refusal
            "Market is closed."
        """
        if self.status not in {TRADING, "CANCEL_ONLY"} and not self.cancels_while_closed:
            raise refusals.cancel_refused("Market is closed.")

    def executes_at(self, price: Decimal) -> bool:
        """Return whether a taker may trade at a price."""
        if self.reference_price is None or self.price_range is None:
            return True
        down, up = self.price_range
        return down * self.reference_price <= price <= up * self.reference_price


EVERYTHING = Capabilities()


def _field(name: str) -> str:
    if name not in _FIELDS:
        raise InputError("A symbol has no such property", found=name, todo=did_you_mean(name, _FIELDS))
    return _FIELDS[name]


def _read(name: str, value: Any) -> Any:
    """Return a property's value as it is kept, from JSON."""
    if name in {"referencePrice", "priceRange"} and value is None:
        return None
    if name == "referencePrice":
        return _number(name, value)
    if name == "priceRange":
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise InputError(f"{name} is two numbers, down and up", found=value)
        return tuple(_number(name, part) for part in value)
    if name == "orderTypes":
        if not isinstance(value, list | tuple):
            raise InputError(f"{name} is a list", found=value)
        return tuple(map(str, value))
    if name == "status":
        return str(value)
    if not isinstance(value, bool):
        raise InputError(f"{name} is true or false", found=value)
    return value


def _number(name: str, value: Any) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number <= 0:
        raise InputError(f"{name} is a number above 0", found=value)
    return number


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return f"{value:f}" if isinstance(value, Decimal) else value

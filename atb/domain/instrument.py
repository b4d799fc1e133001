"""The trading rules of one symbol at one venue, in exact decimals, and where they are from.

No rule has a default: a price step that suits one coin moves another's price by a tenth. Rules are a venue's published ones, or
read off the data (`atb.domain.observed`), and `source` says which.
"""

from dataclasses import asdict, dataclass, field
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Self

from atb.domain.symbol import Symbol
from atb.errors import InputError

_RULES = ("tick", "lot", "min_quantity", "min_notional")


@dataclass(frozen=True, slots=True)
class Instrument:
    """Tick (quote per base), lot and minimum quantity (base), minimum notional (quote).

    `source` says where they are from: a venue and a date, or the data. It is no part of what makes two instruments equal.
    """

    symbol: Symbol
    tick: Decimal
    lot: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    source: str = field(default="given by hand", compare=False)

    def __post_init__(self) -> None:
        """Refuse rules that no venue has."""
        for name in _RULES:
            value = getattr(self, name)
            if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
                raise InputError(f"{name} must be a finite Decimal of at least 0", found=value)
        if self.tick == 0 or self.lot == 0:
            raise InputError("tick and lot must be above 0", found=f"tick={self.tick} lot={self.lot}")

    def __str__(self) -> str:
        """Return the rules and where they are from, as one sentence without its full stop."""
        base, quote = self.symbol.base, self.symbol.quote
        least = [
            f"{value:f} {asset}" for value, asset in ((self.min_quantity, base), (self.min_notional, quote)) if value
        ]
        return (
            f"Trading rules of {self.symbol} ({self.source}): price step {self.tick:f}, lot {self.lot:f}, least order "
            f"{' and '.join(least) or 'not known'}"
        )

    def floor_quantity(self, quantity: Decimal) -> Decimal:
        """Floor a quantity (base) to the lot."""
        return (quantity / self.lot).to_integral_value(ROUND_DOWN) * self.lot

    def round_price(self, price: Decimal) -> Decimal:
        """Round a price to the nearest tick."""
        return (price / self.tick).to_integral_value() * self.tick

    def to_json(self) -> dict[str, str]:
        """Return the rules as plain text values."""
        return {key: str(value) for key, value in asdict(self).items() if key != "symbol"} | {
            "symbol": str(self.symbol)
        }

    @classmethod
    def from_json(cls, values: dict[str, str]) -> Self:
        """Read what `to_json` wrote; rules that were written before they had a source come without one.

        Raises
        ------
        InputError
            If a rule is missing, unknown or no number.
        """
        rest = {key: value for key, value in values.items() if key != "source"}
        if sorted(rest) != sorted(("symbol", *_RULES)):
            raise InputError(
                f"An instrument has symbol, {', '.join(_RULES)} and source", found=", ".join(sorted(values))
            )
        source = values.get("source", "not told")
        if not isinstance(source, str):
            raise InputError("An instrument's source is text", found=source)
        try:
            rules = {key: Decimal(rest[key]) for key in _RULES}
        except (InvalidOperation, TypeError, ValueError) as error:
            raise InputError("An instrument's rules are numbers as text", found=str(values)) from error
        return cls(Symbol.parse(values["symbol"]), **rules, source=source)

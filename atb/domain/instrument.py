"""The trading rules of one symbol at one venue, in exact decimals."""

from dataclasses import asdict, dataclass
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Self

from atb.domain.symbol import Symbol
from atb.errors import InputError


@dataclass(frozen=True, slots=True)
class Instrument:
    """Tick (quote per base), lot and minimum quantity (base), minimum notional (quote)."""

    symbol: Symbol
    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal("0.00001")
    min_quantity: Decimal = Decimal("0.00001")
    min_notional: Decimal = Decimal(5)

    def __post_init__(self) -> None:
        """Refuse rules that no venue has."""
        for name in ("tick", "lot", "min_quantity", "min_notional"):
            value = getattr(self, name)
            if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
                raise InputError(f"{name} must be a finite Decimal of at least 0", found=value)
        if self.tick == 0 or self.lot == 0:
            raise InputError("tick and lot must be above 0", found=f"tick={self.tick} lot={self.lot}")

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
        """Read what `to_json` wrote.

        Raises
        ------
        InputError
            If a rule is missing, unknown or no number.
        """
        wanted = ("symbol", "tick", "lot", "min_quantity", "min_notional")
        if sorted(values) != sorted(wanted):
            raise InputError(f"An instrument has {', '.join(wanted)}", found=", ".join(sorted(values)))
        try:
            rules = {key: Decimal(value) for key, value in values.items() if key != "symbol"}
        except (InvalidOperation, TypeError, ValueError) as error:
            raise InputError("An instrument's rules are numbers as text", found=str(values)) from error
        return cls(Symbol.parse(values["symbol"]), **rules)

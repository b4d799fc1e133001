"""How to size, protect and pay: frozen values that become the kernel's parameter records."""

import math
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

from atb.domain.instrument import Instrument
from atb.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _check_fraction(name: str, value: float | None, *, low: float, high: float, optional: bool = False) -> None:
    """Refuse a value that is not a finite number in (low, high], or in [0, high] when `low` is 0 and 0 means none."""
    if value is None and optional:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high:  # type: ignore[operator]
        bounds = f"a number from {low} to {high}" + (", or None for off" if optional else "")
        raise InputError(f"{name} must be {bounds}", found=value)


class _Values:
    """Strict JSON for frozen dataclasses of plain values."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what `to_json` wrote; an unknown name is an error."""
        known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        for name in values:
            if name not in known:
                raise InputError(f"{cls.__name__} has no {name!r}", todo=did_you_mean(name, known))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class RiskPolicy(_Values):
    """How one slot sizes and protects its positions.

    Parameters
    ----------
    fraction
        Value of a new position as a fraction of the account's equity at the decision.
    stop_loss, take_profit
        Distance of the resting stop and target from the average entry price, as fractions of it; None is off.
    allow_short
        Whether a signal of -1 may open a short position.
    reenter
        Whether a side may be re-entered right after a stop or target. By default the signal must leave that side first: a
        signal that merely goes on would buy back at once what the stop has just sold.
    """

    fraction: float = 0.95
    stop_loss: float | None = None
    take_profit: float | None = None
    allow_short: bool = False
    reenter: bool = False

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _check_fraction("fraction", self.fraction, low=1e-6, high=10.0)
        _check_fraction("stop_loss", self.stop_loss, low=1e-6, high=0.999, optional=True)
        _check_fraction("take_profit", self.take_profit, low=1e-6, high=1000.0, optional=True)


@dataclass(frozen=True, slots=True)
class ExecutionModel(_Values):
    """What trading costs and how a bar is read.

    Parameters
    ----------
    fee
        Taker fee as a fraction of value: market orders and stops.
    maker_fee
        Maker fee of targets, which are limit orders; None is the taker fee.
    slippage
        How much worse than the reference price market orders and stops fill, as a fraction.
    target_first
        Which of stop and target fills when one bar touches both inside its range: the stop, unless this is set.
    """

    fee: float = 0.001
    maker_fee: float | None = None
    slippage: float = 0.0005
    target_first: bool = False

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _check_fraction("fee", self.fee, low=0.0, high=0.5)
        _check_fraction("maker_fee", self.maker_fee, low=0.0, high=0.5, optional=True)
        _check_fraction("slippage", self.slippage, low=0.0, high=0.5)


@dataclass(frozen=True, slots=True)
class AccountPolicy(_Values):
    """What the account starts with and its account-wide limits.

    Parameters
    ----------
    cash
        Starting cash in the quote currency.
    max_gross
        Limit of summed absolute position values as a fraction of equity; a new entry is cut to what is left of it.
    reserve
        Fraction of equity that no entry may spend, so that an order sized at a close can still be paid at a higher open.
    """

    cash: float = 10_000.0
    max_gross: float = 1.0
    reserve: float = 0.01

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _check_fraction("cash", self.cash, low=1e-6, high=1e15)
        _check_fraction("max_gross", self.max_gross, low=0.0, high=100.0)
        _check_fraction("reserve", self.reserve, low=0.0, high=0.999)

    def record(self) -> "NDArray[np.void]":
        """Return the kernel's account parameters: one record."""
        import numpy as np

        from atb.engine.records import ACCOUNT_PARAMETERS

        record = np.zeros(1, ACCOUNT_PARAMETERS)
        record[0]["max_gross"], record[0]["reserve"] = self.max_gross, self.reserve
        return record


def _inverse(step: str) -> float:
    """Return 1 / step where that is a whole number, else 0: the kernel divides by it to hit the nearest double."""
    ratio = 1 / Fraction(step)
    return float(ratio) if ratio.denominator == 1 and ratio > 1 else 0.0


def slot_parameters(policy: RiskPolicy, execution: ExecutionModel, instrument: Instrument) -> Any:
    """Return one slot's parameter record from its policy, costs and instrument rules."""
    import numpy as np

    from atb.engine.records import SLOT_PARAMETERS

    off = float("nan")
    values = {
        "fraction": policy.fraction,
        "stop_loss": off if policy.stop_loss is None else policy.stop_loss,
        "take_profit": off if policy.take_profit is None else policy.take_profit,
        "allow_short": int(policy.allow_short),
        "reenter": int(policy.reenter),
        "taker_fee": execution.fee,
        "maker_fee": execution.fee if execution.maker_fee is None else execution.maker_fee,
        "slippage": execution.slippage,
        "target_first": int(execution.target_first),
        "tick": float(instrument.tick),
        "tick_inverse": _inverse(str(instrument.tick)),
        "lot": float(instrument.lot),
        "lot_inverse": _inverse(str(instrument.lot)),
        "min_quantity": float(instrument.min_quantity),
        "min_notional": float(instrument.min_notional),
    }
    record = np.zeros(1, SLOT_PARAMETERS)
    for name in SLOT_PARAMETERS.names or ():
        record[0][name] = values[name]
    return record[0]

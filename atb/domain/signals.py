"""A strategy's signals at the close of each bar; the kernel alone turns them into orders."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from atb.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.float64]

_NUMBERS = tuple("fiub")  # numpy's kinds: floats, whole numbers, booleans


@dataclass(frozen=True)
class Signals:
    """One signal per bar, stamped at the bar's close and never shifted by the strategy.

    Parameters
    ----------
    side
        Wanted position: 1 long, 0 flat, -1 short; NaN is no signal (warm-up, missing input): keep the position.
    confidence
        In [0, 1]; scales size where the policy says so. None means 1 everywhere.
    atr
        Average true range in price units, for policies that measure in it. None means not given: measured where it is read.
    volatility
        Annualised volatility of returns as a fraction, for sizing by it. None means not given: measured where it is read.
    stop
        Absolute stop price wanted by the strategy. None means not given (NaN).
    price
        Absolute price at which a limit or stop entry is to rest. None means not given (NaN).
    """

    side: "Column"
    confidence: "Column | None" = None
    atr: "Column | None" = None
    volatility: "Column | None" = None
    stop: "Column | None" = None
    price: "Column | None" = None

    def __post_init__(self) -> None:
        """Refuse columns of different lengths and sides that are no side."""
        import numpy as np

        self._refuse_other_than_numbers()
        for name in ("confidence", "atr", "volatility", "stop", "price"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.side):
                raise InputError(f"{name} must be as long as side", found=f"{len(column)} and {len(self.side)} rows")
        if (
            self.confidence is not None
            and not ((self.confidence >= 0) & (self.confidence <= 1) | np.isnan(self.confidence)).all()
        ):
            raise InputError("confidence must lie in [0, 1] or be NaN", found=float(np.nanmax(np.abs(self.confidence))))
        fits = (self.side == 0) | (self.side == 1) | (self.side == -1) | np.isnan(self.side)
        if not fits.all():
            raise InputError("side must be -1, 0, 1 or NaN", found=float(np.asarray(self.side)[np.asarray(~fits)][0]))

    def _refuse_other_than_numbers(self) -> None:
        for field in fields(self):
            column = getattr(self, field.name)
            kind = getattr(getattr(column, "dtype", None), "kind", "")
            if (column is not None or field.name == "side") and kind not in _NUMBERS:
                found = f"{type(column).__name__} of {getattr(column, 'dtype', 'no type')}"
                raise InputError(
                    f"{field.name} must be an array of numbers", found=found, todo="Write np.asarray(..., float)"
                )

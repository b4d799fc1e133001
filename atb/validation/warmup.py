"""The check that a declared warm-up is long enough: a history that starts just before a bar must say the same about it."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from atb.engine.prepare import Slot, columns
from atb.errors import InputError


@dataclass(frozen=True)
class WarmupReport:
    """`flipped` of `checked` bars got another side when only `warmup` bars were known before them."""

    sufficient: bool
    warmup: int
    checked: int
    flipped: int
    largest_difference: float

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        """Return the verdict in one line."""
        verdict = "is enough" if self.sufficient else "is TOO SHORT"
        return (
            f"A warm-up of {self.warmup} bars {verdict}: {self.flipped} of {self.checked} sides flipped, "
            f"prediction moved by at most {self.largest_difference:.1e}"
        )


def check_warmup(slot: Slot, *, samples: int = 20, seed: int = 7) -> WarmupReport:
    """Recompute the last row of histories cut to the declared warm-up and compare it with the full history.

    Sides must be equal. Predictions may move by rounding: recursive indicators forget their start only to the last few bits.

    Raises
    ------
    InputError
        If the history is not longer than the warm-up.
    """
    total, warmup = len(slot.bars), slot.warmup
    if total < warmup + 2:
        raise InputError(f"The history must be longer than the warm-up of {warmup} bars", found=total, todo="Load more")
    rng = np.random.default_rng(seed)
    rows = np.unique(rng.integers(warmup, total, size=samples))
    full = columns(slot)
    flipped, largest = 0, 0.0
    for row in rows:
        window = slot.bars.frame.iloc[row - warmup : row + 1]
        short = columns(replace(slot, bars=replace(slot.bars, frame=window)))
        left, right = full.signals["side"][row], short.signals["side"][-1]
        flipped += int(left != right and not (np.isnan(left) and np.isnan(right)))
        if full.prediction is not None and short.prediction is not None:
            largest = max(largest, float(np.nan_to_num(abs(full.prediction[row] - short.prediction[-1]), nan=1.0)))
    return WarmupReport(flipped == 0 and largest < 1e-6, warmup, len(rows), flipped, largest)

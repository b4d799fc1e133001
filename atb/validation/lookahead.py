"""The check that no feature, prediction or signal knows the future: cut the history, and nothing before the cut may move."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from atb.engine import records
from atb.engine.columns import Columns
from atb.engine.prepare import Slot, columns
from atb.errors import InputError


@dataclass(frozen=True)
class LookaheadReport:
    """`checked` cuts were made; `first_difference` names the first value that moved when the bars after it went away."""

    clean: bool
    checked: int
    first_difference: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        """Return the verdict in one line."""
        if self.clean:
            return f"No look-ahead: {self.checked} cuts of the history moved nothing before them"
        return f"LOOK-AHEAD: {self.first_difference}"


def check_lookahead(slot: Slot, *, samples: int = 20, seed: int = 7) -> LookaheadReport:
    """Recompute the slot's columns on histories that end early and compare every row, bit by bit, with the full history.

    Raises
    ------
    InputError
        If there are not enough bars after the warm-up to cut anywhere.
    """
    total = len(slot.bars)
    first = min(slot.warmup + 1, total - 1)
    if first < 1:
        raise InputError("Too few bars to check for look-ahead", found=total, todo="Load more history")
    rng = np.random.default_rng(seed)
    cuts = np.unique(rng.integers(first, total, size=samples))
    full = columns(slot)
    for cut in cuts:
        shorter = replace(slot, bars=replace(slot.bars, frame=slot.bars.frame.iloc[:cut]))
        moved = _first_moved(full, columns(shorter))
        if moved:
            opened = slot.bars.frame.index[moved["row"]]
            return LookaheadReport(False, len(cuts), moved | {"bar": opened.isoformat(), "cut": int(cut)})
    return LookaheadReport(True, len(cuts), None)


def _first_moved(full: Columns, part: Columns) -> dict[str, Any] | None:
    """Return the first row and column in which the shorter history says something else, or None."""
    rows = len(part.signals)
    series = {name: (full.signals[name][:rows], part.signals[name]) for name in records.SIGNAL.names or ()}
    if full.prediction is not None and part.prediction is not None:
        series["prediction"] = (full.prediction[:rows], part.prediction)
    found: list[dict[str, Any]] = []
    for name, (left, right) in series.items():
        unequal = np.flatnonzero((left != right) & ~(np.isnan(left) & np.isnan(right)))
        if len(unequal):
            row = int(unequal[0])
            found.append({"row": row, "column": name, "full": _plain(left[row]), "cut_short": _plain(right[row])})
    return min(found, key=lambda difference: int(difference["row"])) if found else None


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)

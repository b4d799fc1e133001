"""Precomputed sides, such as those of vectorbt's indicators, as strategies for backtests and sweeps.

They have no source that could run on tomorrow's bars, so they are not registered and cannot be promoted. They apply to exactly the
bars they were computed for, and nothing here can check them for look-ahead.
"""

import hashlib
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class GivenSides:
    """A column of sides under a label; two are equal when label, times and sides are.

    Parameters
    ----------
    sides
        One side per bar, as of its close and not shifted: 1 long, 0 flat, -1 short, NaN no signal. Indexed by the bars' opens, UTC.
    label
        Its name, such as the indicator's parameters.

    Raises
    ------
    InputError
        If the index holds no increasing UTC times, or a side is no side.
    """

    name: ClassVar[str] = "given"
    predicts: ClassVar[bool] = False
    sides: InitVar["pd.Series[float]"]
    label: str = "given"
    fingerprint: str = field(init=False)

    def __post_init__(self, sides: "pd.Series[float]") -> None:
        """Keep times and sides as arrays beside the fields, which stay short enough for a table and a JSON file."""
        opened = _milliseconds(sides.index)
        side = np.array(sides, dtype=np.float64)
        Signals(side)
        if not (np.diff(opened) > 0).all():
            raise InputError("Given sides must be in time order, one per bar", found=self.label)
        digest = hashlib.sha256(opened.tobytes())
        digest.update(np.nan_to_num(side, nan=9.0).astype(np.int8).tobytes())
        object.__setattr__(self, "fingerprint", digest.hexdigest())
        object.__setattr__(self, "_opened", opened)
        object.__setattr__(self, "_side", side)

    @property
    def warmup(self) -> int:
        """0: what was unknown is NaN."""
        return 0

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return no columns: everything it knows was given."""
        return bars[[]]

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return the sides given for these bars.

        Raises
        ------
        InputError
            If no side was given for one of the bars.
        """
        known: NDArray[np.int64] = self._opened  # type: ignore[attr-defined] # set with `object.__setattr__`
        wanted = _milliseconds(frame.index)
        rows = np.searchsorted(known, wanted)
        inside = rows < len(known)
        found = inside & (known[np.where(inside, rows, 0)] == wanted) if len(known) else inside
        if not found.all():
            raise InputError(
                f"{self.label}: no side was given for a bar",
                found=f"{frame.index[~found][0]} and {int((~found).sum()) - 1} more",
                todo="Compute the sides from the very bars of the slot",
            )
        return Signals(self._side[rows])  # type: ignore[attr-defined] # set with `object.__setattr__`


def _milliseconds(index: "pd.Index[Any]") -> "NDArray[np.int64]":
    if getattr(index, "tz", None) is None:
        raise InputError("Sides are indexed by their bars' opens, in UTC", found=str(index.dtype))
    return index.as_unit("ms").asi8.copy()  # type: ignore[attr-defined,no-any-return] # untyped in its stubs


def sides_from(
    entries: "pd.DataFrame",
    exits: "pd.DataFrame",
    *,
    short_entries: "pd.DataFrame | None" = None,
    short_exits: "pd.DataFrame | None" = None,
) -> "pd.DataFrame":
    """Return sides for entries and exits as vectorbt's indicators and signal generators give them: what was entered is held.

    Parameters
    ----------
    entries, exits
        Booleans of equal shape, one column per combination, stamped at the close that shows them and not shifted. Where
        both are true in one row, neither counts, as in vectorbt.
    short_entries, short_exits
        The same for short positions; an entry takes precedence over the other side's exit. None: no shorts.

    Returns
    -------
    DataFrame
        1, 0 and -1 on the same index and columns; NaN before the first entry or exit.

    Notes
    -----
    A side lasts from an entry to an exit. A second entry on the way is no event in it, so after a stop the kernel waits for the
    next entry that follows an exit, unless the policy says `reenter`.
    """
    import pandas as pd

    none = entries & False
    given = {
        "entries": entries,
        "exits": exits,
        "short_entries": none if short_entries is None else short_entries,
        "short_exits": none if short_exits is None else short_exits,
    }
    for name, frame in given.items():
        _check_booleans(name, frame, like=entries)
    enter, leave, enter_short, leave_short = (frame.to_numpy() for frame in given.values())
    clash = enter & leave, enter_short & leave_short, enter & enter_short
    enter, enter_short = enter & ~clash[0] & ~clash[2], enter_short & ~clash[1] & ~clash[2]
    leave, leave_short = leave & ~clash[0], leave_short & ~clash[1]
    sides = np.empty(enter.shape, np.float64)
    held = np.full(enter.shape[1], np.nan)
    for row in range(len(sides)):
        held[leave[row] & (held != -1)] = 0.0
        held[leave_short[row] & (held != 1)] = 0.0
        held[enter[row]] = 1.0
        held[enter_short[row]] = -1.0
        sides[row] = held
    return pd.DataFrame(sides, index=entries.index, columns=entries.columns)


def _check_booleans(name: str, frame: "pd.DataFrame", *, like: "pd.DataFrame") -> None:
    columns = getattr(frame, "columns", None)
    if columns is None or any(dtype != np.bool_ for dtype in frame.dtypes):
        raise InputError(
            f"{name} must be a frame of booleans", found=type(frame).__name__, todo="A Series: .to_frame()"
        )
    if not (frame.index.equals(like.index) and columns.equals(like.columns)):
        raise InputError(f"{name} must have the index and the columns of entries")


def strategies_from(sides: "pd.DataFrame") -> list[GivenSides]:
    """Return one strategy per column of sides, in their order, labelled by the column.

    A column of a MultiIndex, as vectorbt's `IndicatorFactory` names its combinations, becomes "fast_window=10, slow_window=50".

    Raises
    ------
    InputError
        If two columns have one label.
    """
    names = [str(name) if name is not None else "" for name in sides.columns.names]
    labels = [_label(names, column) for column in sides.columns]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise InputError("Two columns of sides have one label", found=twice, todo="Name them apart")
    return [GivenSides(sides.iloc[:, i], label) for i, label in enumerate(labels)]


def _label(names: list[str], column: object) -> str:
    values = column if isinstance(column, tuple) else (column,)
    return ", ".join(f"{name}={value}" if name else str(value) for name, value in zip(names, values, strict=True))

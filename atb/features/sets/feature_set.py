"""A feature set: named, versioned, ordered columns of bars and inputs, over whole histories and live with equal bits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from atb.domain.inputs import Input, Known
from atb.errors import InputError
from atb.features.indicators import Array, Stream

if TYPE_CHECKING:
    import pandas as pd

BAR = ("open", "high", "low", "close", "volume")
OPENED = "opened"  # a row's stated time, a bar's open: epoch milliseconds
LIMIT = 8.0  # unbounded columns are cut here: one crash must not outweigh a year in a fitted scale
Columns = dict[str, Any]  # arrays, or live columns


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Ordered columns computed from bars, and from inputs beside them.

    Parameters
    ----------
    name, version
        What it is called, and which of its forms: a set whose numbers or columns change has another version.
    question
        What it says about a market, in a sentence.
    columns
        Names in the order in which a model reads them.
    warmup
        Bars that must come before a row for its values to be trusted; an input declares its own.
    function
        Columns by name in (the bars' own, `opened` and, of an input `x`, its aligned columns as `x.name`), one column per name of
        `columns` out: written with this package's indicators and `columns`, causal, and without windows over aligned columns,
        which have holes where an input is missing or too old.
    inputs
        Declarations of what it reads beside its bars.
    of_input
        For each input a function over its own columns and `opened`; what it returns is aligned to the bars.
    """

    name: str
    version: int
    question: str
    columns: tuple[str, ...]
    warmup: int
    function: Callable[[Columns], Columns]
    inputs: Mapping[str, Input] = field(default_factory=dict)
    of_input: Mapping[str, "InputColumns"] = field(default_factory=dict)

    def compute(self, bars: "pd.DataFrame", inputs: Mapping[str, Known] | None = None) -> "pd.DataFrame":
        """Return the columns (float64, no units) on the index of `bars`.

        Rows before `warmup` are NaN, so that a value is either trustworthy or absent; and so are the columns of an input where
        it is missing or too old. Row t uses bars up to and including t, and what was known at its close.

        Raises
        ------
        InputError
            If a column of the bars is missing or has no number in some row, or an input was not given.
        """
        import pandas as pd

        return pd.DataFrame(self.values(bars, inputs), index=bars.index, columns=list(self.columns), copy=False)

    def values(self, bars: "pd.DataFrame", inputs: Mapping[str, Known] | None = None) -> Array:
        """Return the same as an array, rows x columns."""
        columns = _columns_of(bars) | {OPENED: _milliseconds(bars.index)}
        computed = self.function(columns | self._aligned(inputs or {}))
        table = np.column_stack([computed[name] for name in self.columns])
        table[: self.warmup] = np.nan
        return table

    def stream(self) -> Stream:
        """Return the live form: `update` takes `opened`, the bar's columns, and the aligned columns of inputs, NaN if missing.

        Its values equal those of `values` to the last bit, from the `warmup`-th bar on.
        """
        aligned = tuple(f"{name}.{column}" for name, of in self.of_input.items() for column in of.columns)

        def function(*columns: Any) -> tuple[Any, ...]:
            computed = self.function(dict(zip((OPENED, *BAR, *aligned), columns, strict=True)))
            return tuple(computed[name] for name in self.columns)

        return Stream(function, (OPENED, *BAR, *aligned), self.columns, holes=aligned)

    def _aligned(self, inputs: Mapping[str, Known]) -> Columns:
        if lacking := [name for name in self.inputs if name not in inputs]:
            raise InputError(f"The feature set {self.name} needs an input that was not given",
                             found=f"{lacking[0]} ({self.inputs[lacking[0]]})")  # fmt: skip
        return {
            f"{name}.{column}": inputs[name].as_of(values)
            for name, of in self.of_input.items()
            for column, values in of.compute(inputs[name]).items()
        }


@dataclass(frozen=True, slots=True)
class InputColumns:
    """The columns computed on an input's own rows.

    Parameters
    ----------
    reads
        Columns of the input, beside `opened`, the rows' stated times.
    columns
        Names of the results.
    function
        Columns by name in, one column per name out.
    """

    reads: tuple[str, ...]
    columns: tuple[str, ...]
    function: Callable[[Columns], Columns]

    def compute(self, known: Known) -> Columns:
        """Return the columns on the input's rows."""
        read = {name: known.frame[name].to_numpy(dtype=np.float64) for name in self.reads}
        return self.function(read | {OPENED: _milliseconds(known.frame.index)})

    def stream(self) -> Stream:
        """Return the live form: `update` takes `opened` and the values of `reads` of the next row."""

        def function(*columns: Any) -> tuple[Any, ...]:
            computed = self.function(dict(zip((OPENED, *self.reads), columns, strict=True)))
            return tuple(computed[name] for name in self.columns)

        return Stream(function, (OPENED, *self.reads), self.columns)


def _columns_of(bars: "pd.DataFrame") -> Columns:
    """Return the bars' columns; at once where there are no others, since pandas takes longer to find one than a window's mean."""
    names = tuple(bars.columns)
    if names == BAR:
        return dict(zip(BAR, bars.to_numpy(dtype=np.float64).T, strict=True))
    if missing := [name for name in BAR if name not in names]:
        raise InputError("Bars lack a column", found=missing[0], todo="Features need open high low close volume")
    return {name: bars[name].to_numpy(dtype=np.float64) for name in BAR}


def _milliseconds(index: Any) -> Array:
    """Return times as epoch milliseconds; of an index without times, 0."""
    import pandas as pd

    if not isinstance(index, pd.DatetimeIndex):
        return np.zeros(len(index))
    return np.asarray(index.as_unit("ms").asi8, dtype=np.float64)

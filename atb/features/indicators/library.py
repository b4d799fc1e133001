"""TA-Lib's functions over arrays and live columns: whole columns, stateful streams, or restarted at every row."""

from collections.abc import Mapping
from functools import cache
from operator import itemgetter
from typing import Any

import numpy as np

from atb.features.indicators.live import NAN, Live, derived


def library(function: str, *columns: Any, **parameters: Any) -> Any:
    """Return TA-Lib's function of the columns; live, by its stateful stream. Outputs as a tuple if there are several."""
    if isinstance(columns[0], Live):
        made = derived(_Handle(function, parameters), *columns)
        return parts(made, _outputs(function)) if _outputs(function) > 1 else made
    import talib  # loads pandas: kept out of the start-up of everything that only names a strategy

    return getattr(talib, function)(*columns, **parameters)


def restarted(function: str, rows: int, *columns: Any, **parameters: Any) -> Any:
    """Return TA-Lib's function of the last `rows` rows alone, row by row; outputs as a tuple if there are several.

    For functions whose state follows a path, such as a stop that trails a trend: run over a whole history they may keep for ever
    what they began with. A row takes some microseconds in either form.
    """
    if isinstance(columns[0], Live):
        made = derived(_Restarted(function, rows, len(columns), parameters), *columns)
        return parts(made, _outputs(function)) if _outputs(function) > 1 else made
    import talib

    compute, first = getattr(talib, function), rows - 1 + int(np.isnan(columns).any(axis=0).sum())
    found = [np.full(len(columns[0]), np.nan) for _ in range(_outputs(function))]
    for row in range(first, len(columns[0])):
        made = compute(*(column[row + 1 - rows : row + 1] for column in columns), **parameters)
        for output, one in zip(found, made if isinstance(made, tuple) else (made,), strict=True):
            output[row] = one[-1]
    return tuple(found) if len(found) > 1 else found[0]


def parts(column: Live, count: int) -> tuple[Live, ...]:
    """Return the live columns of the parts of a column of tuples."""
    return tuple(derived(itemgetter(at), column) for at in range(count))


@cache
def _outputs(function: str) -> int:
    from talib import abstract

    return len(abstract.Function(function).output_names)  # type: ignore[attr-defined]  # its stub leaves it out


class _Handle:
    """A stateful stream of TA-Lib, opened as soon as there are bars enough; bars before its inputs' first numbers do not count."""

    def __init__(self, function: str, parameters: Mapping[str, Any]) -> None:
        from talib import abstract, stream

        self._open, self._parameters = getattr(stream, function), parameters
        self._lookback = abstract.Function(function, **parameters).lookback  # type: ignore[attr-defined]
        self._history: list[tuple[float, ...]] = []
        self._empty: Any = NAN if _outputs(function) == 1 else (NAN,) * _outputs(function)
        self._handle: Any = None

    def __call__(self, *values: float) -> Any:
        if self._handle is not None:
            return self._handle.update(*values)
        if any(value != value for value in values):  # noqa: PLR0124
            return self._empty
        self._history.append(values)
        return self._empty if len(self._history) <= self._lookback else self._opened()

    def _opened(self) -> Any:
        from talib import InsufficientHistory  # type: ignore[attr-defined]  # its stub leaves it out

        try:
            columns = np.array(self._history, dtype=np.float64).T.copy()
            self._handle = self._open(*columns, **self._parameters)
        except InsufficientHistory:
            return self._empty
        self._history.clear()
        return self._handle.value


class _Restarted:
    """The last `rows` rows in an array twice as long, so that they always lie side by side."""

    def __init__(self, function: str, rows: int, inputs: int, parameters: Mapping[str, Any]) -> None:
        import talib

        self._compute, self._parameters, self._rows = getattr(talib, function), parameters, rows
        self._kept, self._end = np.full((inputs, 2 * rows), np.nan), 0
        self._seen, self._outputs = 0, _outputs(function)

    def __call__(self, *values: float) -> Any:
        if self._end == 2 * self._rows:
            self._kept[:, : self._rows] = self._kept[:, self._rows :]
            self._end = self._rows
        self._kept[:, self._end] = values
        self._end += 1
        self._seen = self._seen + 1 if all(value == value for value in values) else 0  # noqa: PLR0124
        if self._seen < self._rows:
            return NAN if self._outputs == 1 else (NAN,) * self._outputs
        made = self._compute(*self._kept[:, self._end - self._rows : self._end], **self._parameters)
        return tuple(float(one[-1]) for one in made) if isinstance(made, tuple) else float(made[-1])

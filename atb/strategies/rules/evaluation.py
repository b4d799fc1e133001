"""Computes the column of a rule over bars and inputs: the same function in a backtest and at each close of a runner."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from atb.domain.inputs import Input, Known
from atb.strategies.rules.functions import (
    Array,
    Function,
    Parameters,
    arguments_of,
    both,
    compared,
    constant_of,
    either,
    function_of,
)
from atb.strategies.rules.rows import CALENDAR, VALUES, Rows, rows_of, rows_of_column, scope_of
from atb.strategies.rules.tree import (
    Arithmetic,
    Call,
    Column,
    Comparison,
    Kind,
    Logic,
    Negative,
    Node,
    Not,
)

if TYPE_CHECKING:
    import pandas as pd

_DAY_MS, _HOUR_MS, _THURSDAY = 86_400_000, 3_600_000, 3  # the epoch began on a Thursday; Monday is 0


@dataclass(frozen=True)
class Evaluation:
    """One computation over bars and inputs; what occurs twice is computed once.

    Parameters
    ----------
    bars
        Columns `open high low close volume`, one row per bar.
    inputs
        The rows of each other kind that the rule reads.
    """

    bars: "pd.DataFrame"
    inputs: Mapping[Input, Known]
    _done: dict[tuple[Node, Rows], Array] = field(default_factory=dict)

    def column(self, node: Node) -> Array:
        """Return a node at each of the bars: NaN where it is not known; conditions are 1 or 0."""
        return self._met(node, None, wanted=None)

    def _met(self, node: Node, scope: Rows, *, wanted: Rows) -> Array:
        """Return a node at each of the wanted rows; what lives on other rows is taken as known at each bar's close."""
        if node.kind == Kind.CONSTANT:
            return np.full(self._length(wanted), float(constant_of(node)))
        own = rows_of(node, scope)
        values = self._own(node, scope, own)
        if own == wanted:
            return values
        assert own is not None  # rows that differ meet at the bars
        return self.inputs[own].as_of(values)

    def _own(self, node: Node, scope: Rows, rows: Rows) -> Array:
        """Return a node at each of the rows that it is computed on."""
        key = node, scope
        if key not in self._done:
            self._done[key] = self._computed(node, scope, rows)
        return self._done[key]

    def _computed(self, node: Node, scope: Rows, rows: Rows) -> Array:
        if isinstance(node, Column):
            return self._given(node.name, rows_of_column(node, scope))
        if isinstance(node, Call):
            return self._called(node, scope_of(node, scope), rows)
        operands = [self._met(each, scope, wanted=rows) for each in node.children]
        match node:
            case Negative():
                found = -operands[0]
            case Not():
                found = 1.0 - operands[0]
            case Arithmetic():
                found = arithmetic(node.operator, *operands)
            case Comparison():
                found = compared(node.operator, *operands)
            case Logic():
                found = functools.reduce(both if node.operator == "and" else either, operands)
            case _:
                raise TypeError(f"no column: {node}")
        return found

    def _called(self, call: Call, scope: Rows, rows: Rows) -> Array:
        function = function_of(call.function)
        assert function is not None  # the tree was checked
        nodes, parameters = arguments_of(call)
        columns = [self._met(each, scope, wanted=rows) for each in nodes]
        if function.unbroken:
            return over_runs(function, columns, parameters, output=call.output)
        return np.asarray(function.compute(*columns, **parameters), dtype=np.float64)

    def _given(self, name: str, rows: Rows) -> Array:
        """Return a column as it is in its frame."""
        if name in CALENDAR:
            assert rows is not None  # calendar columns live on an input
            return _calendar(name, self.inputs[rows].known_ms)
        frame = self.bars if rows is None else self.inputs[rows].frame
        return np.asarray(frame[VALUES.get(name, name)], dtype=np.float64)

    def _length(self, rows: Rows) -> int:
        return len(self.bars) if rows is None else len(self.inputs[rows].frame)


def over_runs(function: Function, columns: list[Array], parameters: Parameters, *, output: str = "") -> Array:
    """Return a function over each run of rows where all its columns are known; NaN elsewhere and for its memory into each run.

    So nothing reaches over a hole: an average that met a missing value would carry it on, or be refused.
    """
    memory = function.memory(**parameters)
    found = np.full(len(columns[0]), np.nan)
    for first, end in _runs(columns):
        if end - first > memory:
            part = [np.ascontiguousarray(column[first:end]) for column in columns]
            with np.errstate(all="ignore"):
                given: Any = function.compute(*part, **parameters)
            values = given[function.outputs.index(output)] if output else given
            found[first + memory : end] = known_numbers(np.asarray(values, dtype=np.float64))[memory:]
    return found


def _runs(columns: list[Array]) -> list[tuple[int, int]]:
    """Return the runs [first, end) of rows where all columns are numbers."""
    known = np.ones(len(columns[0]), bool)
    for column in columns:
        known &= ~np.isnan(column)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.view(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def arithmetic(sign: str, left: Array, right: Array) -> Array:
    """Return the two numbers added, subtracted, multiplied or divided; NaN where that gives no finite number."""
    with np.errstate(all="ignore"):
        return known_numbers(_OPERATIONS[sign](left, right))


_OPERATIONS: dict[str, Any] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


def known_numbers(values: Array) -> Array:
    """Return the values with NaN for those that are no finite number: what was divided by 0 is not known."""
    return values if np.isfinite(values).all() else np.where(np.isfinite(values), values, np.nan)


def _calendar(name: str, closes_ms: "np.ndarray[Any, np.dtype[np.int64]]") -> Array:
    """Return the hour (0 to 23) or weekday (Monday 0 to Sunday 6) of each close, UTC."""
    if name == "hour":
        return (closes_ms % _DAY_MS // _HOUR_MS).astype(np.float64)
    return ((closes_ms // _DAY_MS + _THURSDAY) % 7).astype(np.float64)

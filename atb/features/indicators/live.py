"""Live indicators: the same functions over a graph that holds the newest value of each column, fed one closed bar at a time.

An indicator is written once. Called with arrays it computes whole columns; called with `Live` columns it builds the graph of its
steps, and `Stream.update` runs these steps for one bar. Each step does in the same order the additions, multiplications and
comparisons that the array form does for a row, or updates a stateful stream of TA-Lib, so that both forms agree to the last bit.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from atb.errors import InputError

NAN = float("nan")


class Graph:
    """The steps of a live indicator in the order in which they run; equal calls of an indicator share their steps."""

    def __init__(self) -> None:
        self.steps: list[Callable[[], None]] = []
        self.known: dict[Any, Any] = {}


class Live:
    """A column of which only the newest value exists; arithmetic and comparison make further columns of the same graph."""

    __array_ufunc__ = None  # a NumPy function would compute with the object itself
    __hash__ = object.__hash__
    __slots__ = ("graph", "value")

    def __init__(self, graph: Graph, value: Any = NAN) -> None:
        self.graph = graph
        self.value = value

    def __add__(self, other: "Live | float") -> "Live":
        return derived(operator.add, self, other)

    def __radd__(self, other: float) -> "Live":
        return derived(operator.add, other, self)

    def __sub__(self, other: "Live | float") -> "Live":
        return derived(operator.sub, self, other)

    def __rsub__(self, other: float) -> "Live":
        return derived(operator.sub, other, self)

    def __mul__(self, other: "Live | float") -> "Live":
        return derived(operator.mul, self, other)

    def __rmul__(self, other: float) -> "Live":
        return derived(operator.mul, other, self)

    def __truediv__(self, other: float) -> "Live":
        return derived(operator.truediv, self, other)  # by a number; columns are divided by `columns.quotient`

    def __mod__(self, other: float) -> "Live":
        return derived(operator.mod, self, other)

    def __neg__(self) -> "Live":
        return derived(operator.neg, self)

    def __abs__(self) -> "Live":
        return derived(operator.abs, self)

    def __gt__(self, other: "Live | float") -> "Live":
        return derived(operator.gt, self, other)

    def __ge__(self, other: "Live | float") -> "Live":
        return derived(operator.ge, self, other)

    def __lt__(self, other: "Live | float") -> "Live":
        return derived(operator.lt, self, other)

    def __le__(self, other: "Live | float") -> "Live":
        return derived(operator.le, self, other)

    def __eq__(self, other: "Live | float") -> "Live":  # type: ignore[override]  # a column of comparisons, as in NumPy
        return derived(operator.eq, self, other)

    def __and__(self, other: "Live") -> "Live":
        return derived(operator.and_, self, other)

    def __or__(self, other: "Live") -> "Live":
        return derived(operator.or_, self, other)


def derived(function: Callable[..., Any], *operands: Any) -> Live:
    """Return the column whose newest value is `function` of the operands' newest values; the function may keep a state."""
    graph = next(operand.graph for operand in operands if isinstance(operand, Live))
    made = Live(graph)
    columns = [operand if isinstance(operand, Live) else Live(graph, operand) for operand in operands]
    graph.steps.append(_step(function, made, columns))
    return made


def _step(function: Callable[..., Any], made: Live, columns: list[Live]) -> Callable[[], None]:
    """Return the step as a closure; one and two operands, by far the most, have their own."""
    if len(columns) == 1:
        (only,) = columns

        def one() -> None:
            made.value = function(only.value)

        return one
    if len(columns) == 2:
        first, second = columns

        def two() -> None:
            made.value = function(first.value, second.value)

        return two

    def several() -> None:
        made.value = function(*[column.value for column in columns])

    return several


class Stream:
    """A live indicator or feature set: one closed bar in, its values out, equal to the last bit to the whole column's.

    Parameters
    ----------
    function
        A function over columns, written with this package's indicators and `columns` alone; it returns one column or several.
    inputs, outputs
        Names of the columns that go in and of those that come out.
    parameters
        Further arguments of `function`.
    holes
        Inputs that may be NaN at any bar.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        *,
        parameters: Mapping[str, Any] | None = None,
        holes: tuple[str, ...] = (),
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        graph = Graph()
        self._sources = [Live(graph) for _ in inputs]
        made = function(*self._sources, **(parameters or {}))
        self._results: tuple[Live, ...] = tuple(made) if isinstance(made, tuple) else (made,)
        self._steps = graph.steps
        self._waiting = set(inputs)  # columns that have had no number yet
        self._holes = frozenset(holes)
        self._one = not isinstance(made, tuple)

    def update(self, *bar: float) -> Any:
        """Take the next bar's values in the order of `inputs`; return the newest value, a tuple if there are several outputs.

        Raises
        ------
        InputError
            If a value is NaN after the first number of its column, or infinite; the stream is then as it was before.
        """
        if len(bar) != len(self._sources):
            raise InputError("A bar has one value per input", found=len(bar), todo=f"Give {' '.join(self.inputs)}")
        if not all(value - value == 0.0 for value in bar) or self._waiting:
            self._check(bar)
        for source, value in zip(self._sources, bar, strict=True):
            source.value = float(value)
        for step in self._steps:
            step()
        return self.value

    def _check(self, bar: tuple[float, ...]) -> None:
        """Refuse a bar with a hole, and note which columns have begun."""
        for name, value in zip(self.inputs, bar, strict=True):
            if value - value != 0.0 and (name not in self._waiting or value == value):  # noqa: PLR0124 - NaN or infinite
                raise InputError(f"A bar has no number for {name}", found=value, todo="Repair the bar first")
        begun = {name for name, value in zip(self.inputs, bar, strict=True) if value == value}  # noqa: PLR0124
        self._waiting -= begun - self._holes

    @property
    def value(self) -> Any:
        """The newest value, a tuple if there are several outputs; NaN before the first bar."""
        return self._results[0].value if self._one else tuple(result.value for result in self._results)

    def seed(self, *columns: Any) -> "Stream":
        """Feed a history, one column per input, oldest row first; return this stream."""
        for bar in zip(*(np.asarray(column, dtype=np.float64).tolist() for column in columns), strict=True):
            self.update(*bar)
        return self

"""Which rows each part of a rule is computed on, and so how many a rule needs and which inputs it declares.

A column of the bars lives on the strategy's own bars, or on those that a timeframe or symbol names; funding lives on its payments
and sentiment on its days. What is computed from columns of one kind of row alone stays on these rows: `sma(funding, 3)` is the
mean of three payments, `lag(close(timeframe="4h"), 1)` the close of the four hours before. Where columns of different rows meet,
each is taken as it was known at the close of the strategy's bar.
"""

from collections.abc import Callable, Mapping

from atb.domain.bars import BAR_COLUMNS
from atb.domain.inputs import BarsInput, FundingInput, Input, SentimentInput
from atb.strategies.rules.functions import arguments_of, function_of
from atb.strategies.rules.tree import Call, Column, Node

Rows = Input | None  # None: the strategy's own bars

CALENDAR = ("hour", "weekday")  # of a bar's close, UTC; Monday is 0
OF_BARS = (*BAR_COLUMNS, *CALENDAR)
BAR_OPTIONS = ("timeframe", "symbol", "max_age")
OPTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(OF_BARS, BAR_OPTIONS),
    "funding": ("symbol", "max_age"),
    "sentiment": ("source", "max_age"),
}
VALUES = {"funding": "funding_rate", "sentiment": "value"}  # their columns in an input
_KINDS: dict[str, Callable[..., Input]] = {"funding": FundingInput, "sentiment": SentimentInput}


def input_of(name: str, options: Mapping[str, str]) -> Input:
    """Return the input that a column with options, or the options of a call, name.

    Raises
    ------
    InputError
        If an option's value is none.
    """
    return _KINDS.get(name, BarsInput)(**options)


def scope_of(call: Call, scope: Rows) -> Rows:
    """Return the rows that columns of the bars are of inside a call."""
    return input_of("", dict(call.options)) if call.options else scope


def rows_of_column(column: Column, scope: Rows) -> Rows:
    """Return the rows of a column."""
    if column.options or column.name not in OF_BARS:
        return input_of(column.name, dict(column.options))
    if scope is None and column.name in CALENDAR:
        return BarsInput()  # an input says when its rows close, a frame of bars does not
    return scope


def operands_of(node: Node) -> tuple[Node, ...]:
    """Return the columns that a node is computed from, those that were left out included."""
    return arguments_of(node)[0] if isinstance(node, Call) else node.children


def all_rows(node: Node, scope: Rows) -> frozenset[Rows]:
    """Return the rows of everything that a node is computed from, each of its operands counted on the rows it is computed on."""
    if isinstance(node, Column):
        return frozenset([rows_of_column(node, scope)])
    inside = scope_of(node, scope) if isinstance(node, Call) else scope
    found: set[Rows] = set()
    for operand in operands_of(node):
        below = all_rows(operand, inside)
        found |= {_met(below)} if below else set()
    return frozenset(found)


def rows_of(node: Node, scope: Rows) -> Rows:
    """Return the rows that a node is computed on: those of all its operands, or the strategy's own where these differ."""
    return _met(all_rows(node, scope))


def _met(rows: frozenset[Rows]) -> Rows:
    return next(iter(rows)) if len(rows) == 1 else None


def needed(node: Node, scope: Rows = None) -> dict[Rows, int]:
    """Return how many rows before the newest a node reads, of every kind of rows that it reads."""
    if isinstance(node, Column):
        return {rows_of_column(node, scope): 0}
    inside = scope_of(node, scope) if isinstance(node, Call) else scope
    found: dict[Rows, int] = {}
    for operand in operands_of(node):
        for rows, count in needed(operand, inside).items():
            found[rows] = max(found.get(rows, 0), count)
    if memory := memory_of(node):
        own = rows_of(node, scope)
        found[own] = found.get(own, 0) + memory
    return found


def memory_of(node: Node) -> int:
    """Return how many rows before the newest a node itself reads of its operands."""
    function = function_of(node.function) if isinstance(node, Call) else None
    if function is None or not isinstance(node, Call):
        return 0
    return int(function.memory(**arguments_of(node)[1]))

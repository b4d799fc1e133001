"""A rule, or a number, as a value: its text, its constants, its warm-up, its inputs, and its column over bars."""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from atb.domain.inputs import BarsInput, FundingInput, Input, Known, SentimentInput
from atb.errors import InputError
from atb.strategies.rules.building import build, constants_in
from atb.strategies.rules.evaluation import Evaluation
from atb.strategies.rules.functions import LARGEST, Array
from atb.strategies.rules.rows import Rows, needed
from atb.strategies.rules.tree import Kind, Named, Node, Value, canonical, nodes_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Expression:
    """A typed tree; equal where the canonical texts are.

    `str()` is the canonical text, from which `parse` gives an equal expression.
    """

    root: Node

    def __str__(self) -> str:
        """Return the canonical text."""
        return str(self.root)

    def __repr__(self) -> str:
        """Return the canonical text and what it is."""
        return f"<{self.kind}: {self}>"

    @property
    def kind(self) -> Kind:
        """A condition or a number, at each row."""
        return self.root.kind

    @property
    def constants(self) -> dict[str, Value]:
        """The named constants with their values."""
        return {node.name: node.value for node in nodes_of(self.root) if isinstance(node, Named)}

    @functools.cached_property
    def needs(self) -> dict[Rows, int]:
        """Rows before the newest that it reads: of the bars under None, and of each input."""
        return {None: 0, **needed(self.root)}

    @property
    def warmup(self) -> int:
        """Bars needed before the first value."""
        return self.needs[None]

    @property
    def inputs(self) -> Mapping[str, Input]:
        """Inputs that it reads beside the bars, by name, each with its warm-up."""
        return named_inputs([self])

    def column(self, bars: "pd.DataFrame", inputs: Mapping[str, Known] | None = None) -> Array:
        """Return its value at the close of each bar: a number, or 1 and 0 for a condition; NaN where it is not known.

        Parameters
        ----------
        bars
            Columns `open high low close volume` by open time.
        inputs
            What `inputs` declares, by the same names.
        """
        (column,) = columns_of([self], bars, inputs)
        return column


def parse(text: str, constants: Mapping[str, Value] | None = None) -> Expression:
    """Return the expression of a text.

    >>> str(parse("close>sma( close,{n=50} )", {"n": 20}))
    'close > sma(close, {n=20})'

    Parameters
    ----------
    text
        As the package's docstring explains.
    constants
        Values of constants that the text names; they go before those written in it.

    Raises
    ------
    InputError
        If something in the text does not fit, with a caret under its place, or a constant is not in it.
    """
    found = _parsed(text, tuple(sorted((name, number_of(name, value)) for name, value in (constants or {}).items())))
    if other := sorted({*(constants or {})} - {*found.constants}):
        raise InputError("The text names no such constant", found=", ".join(other), todo="Write it as {name}")
    return found


def number_of(name: str, value: object) -> Value:
    """Return the value of a constant as rules write it.

    Raises
    ------
    InputError
        If it is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise InputError(f"The constant {name} is a number", found=value)
    return canonical(value)


@functools.lru_cache(maxsize=1_024)
def _parsed(text: str, constants: tuple[tuple[str, Value], ...]) -> Expression:
    written = {name: value for name, value in constants_in(text).items() if value is not None}
    return Expression(build(text, {**written, **dict(constants)}))


def columns_of(
    expressions: Iterable[Expression], bars: "pd.DataFrame", inputs: Mapping[str, Known] | None = None
) -> list[Array]:
    """Return the columns of several expressions over the same bars; what they share is computed once.

    Raises
    ------
    InputError
        If an input that they read is missing, or an indicator refuses its values.
    """
    several = list(expressions)
    sources = {_plain(declared): name for name, declared in named_inputs(several).items()}
    if missing := [name for name in sources.values() if name not in (inputs or {})]:
        raise InputError(
            "The text reads more than the bars", found=", ".join(missing), todo="Pass inputs by these names"
        )
    evaluation = Evaluation(bars, {source: (inputs or {})[name] for source, name in sources.items()})
    return [evaluation.column(each.root) for each in several]


def named_inputs(expressions: Iterable[Expression]) -> Mapping[str, Input]:
    """Return the inputs that the expressions read beside the bars, by names such as `bars_4h`, with the longest warm-up of each."""
    needs: dict[Input, int] = {}
    for each in expressions:
        for rows, count in each.needs.items():
            if rows is not None:
                needs[rows] = max(needs.get(rows, 0), count)
    found: dict[str, Input] = {}
    for rows, count in needs.items():
        name = _name(rows)
        while name in found:
            name += "_"
        found[name] = replace(rows, warmup=count)
    return MappingProxyType(found)


def _plain(declared: Input) -> Input:
    return replace(declared, warmup=0)


def _name(declared: Input) -> str:
    match declared:
        case BarsInput():
            parts = ["bars", declared.timeframe, declared.symbol]
        case FundingInput():
            parts = ["funding", declared.symbol]
        case SentimentInput():
            parts = ["sentiment", declared.source]
        case _:
            parts = [declared.kind]
    return re.sub(r"\W", "_", "_".join(part for part in parts if part))

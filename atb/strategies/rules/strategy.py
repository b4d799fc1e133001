"""Rules as a strategy: what is written about entries and exits becomes signals, without a file of your own.

A signal is a wish for a position and knows nothing of what is held. So an exit is a wish to be flat, and with rules for both sides
it must say which side it means: the side of the last entry within the `memory`. Beyond that the side that is held cannot be known
from a bounded number of bars, and a strategy may depend on no others: either exit counts then.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from atb.domain.inputs import Input, Known
from atb.domain.signals import Signals
from atb.errors import InputError
from atb.strategies.rules.building import constants_in
from atb.strategies.rules.expression import Expression, columns_of, named_inputs, number_of, parse
from atb.strategies.rules.functions import Array
from atb.strategies.rules.tree import Kind, Value

if TYPE_CHECKING:
    import pandas as pd

RULES = ("entry", "exit", "short_entry", "short_exit")
EXAMPLE = {
    "entry": "cross_above(sma(close, 20), sma(close, 50))",
    "exit": "cross_below(sma(close, 20), sma(close, 50))",
}
_ALL_RULES = {
    **EXAMPLE,
    "short_entry": "close < lag(lowest(low, 30), 1)",
    "short_exit": "rising(close, 3)",
    "memory": 40,
}
_MOST_MEMORY = 100_000
_NAMED = re.compile(r"\{(\w+)=[^}]*\}")


@dataclass(frozen=True, slots=True)
class Rule:
    """Long and short by rules as text; which words they have, the docstring of `atb.strategies.rules` says.

    The texts are kept in their canonical form, with the values of their constants. With no text at all it is an example, the cross
    of two averages.

    Parameters
    ----------
    entry, exit
        When to be long, and when to be flat again. Empty: never.
    short_entry, short_exit
        The same for short positions.
    memory
        Bars within which the last entry tells whether an exit means a long or a short position; read with rules for both alone.
    """

    name: ClassVar[str] = "rule"
    predicts: ClassVar[bool] = False
    question: ClassVar[str] = "Do the rules that you write earn anything?"
    example: ClassVar[Mapping[str, Any]] = _ALL_RULES
    other_texts: ClassVar[tuple[str, ...]] = ("close > open",)
    entry: str = ""
    exit: str = ""
    short_entry: str = ""
    short_exit: str = ""
    memory: int = 500

    def __post_init__(self) -> None:
        """Read the texts and write them canonically; refuse rules that are none or cannot enter."""
        if not any(getattr(self, name) for name in RULES):
            _set(self, EXAMPLE)
        _set(self, bound({name: getattr(self, name) for name in RULES}, {}))
        for enters, leaves in (("entry", "exit"), ("short_entry", "short_exit")):
            if getattr(self, leaves) and not getattr(self, enters):
                raise InputError(f"There is a rule for {leaves} and none for {enters}", todo=f"Give {enters} too")
        if not 1 <= self.memory <= _MOST_MEMORY:
            raise InputError(f"memory lies between 1 and {_MOST_MEMORY:,} bars", found=self.memory)

    @classmethod
    def named_parameters(cls, given: Mapping[str, Any]) -> dict[str, type]:
        """Return the parameters that the given texts name beside the fields: their constants, as numbers."""
        found: dict[str, type] = {}
        for name in RULES:
            text = given.get(name)
            if isinstance(text, str) and text:
                found |= dict.fromkeys(_in_rule(name, constants_in, text), float)
        if taken := sorted({*found} & {field.name for field in fields(cls)}):
            raise InputError("A constant has the name of a parameter", found=", ".join(taken), todo="Name it otherwise")
        return found

    @classmethod
    def with_parameters(cls, given: Mapping[str, Any]) -> Self:
        """Return the strategy of fields and constants by their names."""
        own = {field.name: given[field.name] for field in fields(cls) if field.name in given}
        constants = {name: value for name, value in given.items() if name not in own}
        texts = {name: own.get(name, "") for name in RULES}
        return cls(**{**own, **(bound(texts, constants) if constants else {})})

    @property
    def constants(self) -> dict[str, Value]:
        """The named constants of all texts with their values."""
        return {name: value for each in self._expressions().values() for name, value in each.constants.items()}

    @property
    def table_values(self) -> dict[str, Any]:
        """The parameters as a table of many strategies shows them: texts without the values of their constants, which follow."""
        texts = {name: _NAMED.sub(r"{\1}", getattr(self, name)) for name in RULES}
        return {**texts, "memory": self.memory, **self.constants}

    @property
    def shorts(self) -> bool:
        """Whether it may want a short position."""
        return bool(self.short_entry)

    @property
    def inputs(self) -> Mapping[str, Input]:
        """Inputs that the rules read beside the bars."""
        return named_inputs(self._expressions().values())

    @property
    def warmup(self) -> int:
        """Bars needed before the first signal."""
        longest = max(each.warmup for each in self._expressions().values())
        return longest + (self.memory if self._has_both_sides() else 0)

    def features(self, bars: "pd.DataFrame", inputs: Mapping[str, Known] | None = None) -> "pd.DataFrame":
        """Return a column for each rule, by its name: 1 where it holds, 0 where it does not, NaN where it is not known."""
        import pandas as pd

        expressions = self._expressions()
        columns = columns_of(expressions.values(), bars, inputs)
        return pd.DataFrame(dict(zip(expressions, columns, strict=True)), index=bars.index)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 where a rule says to enter, 0 where one says to leave, -1 for short; NaN elsewhere, which keeps what is held.

        Nothing is entered while any rule is not known. Where rules contradict each other, entry and exit of one side or entries of
        both, neither counts, as in vectorbt; an entry goes before the other side's exit. After a stop the kernel waits for an exit
        or the other side before it takes an entry of the same side again, unless the policy says `reenter`.
        """
        columns = {name: frame[name].to_numpy(dtype=np.float64) for name in RULES if getattr(self, name)}
        nought = np.zeros(len(frame))
        side = _sides(
            tuple(columns.get(name, nought) for name in RULES), self.memory if self._has_both_sides() else None
        )
        side[: self.warmup] = np.nan
        return Signals(side)

    def _expressions(self) -> dict[str, Expression]:
        return {name: _in_rule(name, parse, text) for name in RULES if (text := getattr(self, name))}

    def _has_both_sides(self) -> bool:
        return bool(self.entry and self.short_entry and (self.exit or self.short_exit))


def bound(texts: Mapping[str, str], constants: Mapping[str, Value]) -> dict[str, str]:
    """Return the rules in canonical form with values for all their constants; a value given in one text holds in the others.

    Raises
    ------
    InputError
        If a text is no rule, or a constant has no value, two values, or is in no text.
    """
    written: dict[str, Value] = {}
    named: set[str] = set()
    for rule, text in texts.items():
        for name, value in (_in_rule(rule, constants_in, text) if text else {}).items():
            named.add(name)
            if value is not None and name not in constants and written.setdefault(name, value) != value:
                found = f"{written[name]!r} and {value!r}"
                raise InputError(f"{{{name}}} has two values in the rules", found=found, todo="Write its value once")
    if other := sorted({*constants} - named):
        raise InputError("The rules name no such constant", found=", ".join(other), todo="Write it as {name}")
    values = {**written, **{name: number_of(name, value) for name, value in constants.items()}}
    return {rule: _canonical(rule, text, values) if text else "" for rule, text in texts.items()}


def _canonical(rule: str, text: str, values: Mapping[str, Value]) -> str:
    own = {name: values[name] for name in _in_rule(rule, constants_in, text) if name in values}
    found = _in_rule(rule, lambda each: parse(each, own), text)
    if found.kind != Kind.CONDITION:
        raise InputError(
            f"{rule}: a rule is a condition, and {found} is a {found.kind}", todo="Compare it, such as > 0"
        )
    return str(found)


def _in_rule(rule: str, read: Callable[[str], Any], text: str) -> Any:
    """Read a rule's text; errors name the rule."""
    try:
        return read(text)
    except InputError as error:
        raise InputError(f"{rule}: {error}") from None


def _set(strategy: Rule, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        object.__setattr__(strategy, name, text)


def _sides(columns: tuple[Array, ...], memory: int | None) -> Array:
    """Return the wanted side at each row; `memory` is None where only one side has rules or there are no exits."""
    known = ~np.isnan(columns).any(axis=0)
    enter, leave, enter_short, leave_short = (column == 1 for column in columns)
    long = known & enter & ~leave & ~enter_short
    short = known & enter_short & ~leave_short & ~enter
    leave, leave_short = leave & ~enter, leave_short & ~enter_short
    if memory is not None:
        last = _last_entry(long, short, memory)
        leave, leave_short = leave & (last >= 0), leave_short & (last <= 0)
    return np.select([long, short, leave | leave_short], [1.0, -1.0, 0.0], np.nan)


def _last_entry(long: "np.ndarray[Any, Any]", short: "np.ndarray[Any, Any]", memory: int) -> Array:
    """Return the side of the newest entry within the last `memory` rows and the row itself; 0 where there is none."""
    rows = np.arange(len(long))
    newest = np.maximum.accumulate(np.where(long | short, rows, -1)) if len(rows) else rows
    side = np.where(long, 1.0, -1.0)[newest] if len(rows) else np.zeros(0)
    return np.where((newest >= 0) & (rows - newest <= memory), side, 0.0)

"""The typed tree of a rule, and its canonical text: printing a tree and parsing the text gives an equal tree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

Value = int | float


class Kind(StrEnum):
    """A part of a rule is a number at each row, a condition at each row, or a constant, the same at all rows."""

    NUMBER = "number"
    CONDITION = "condition"
    CONSTANT = "constant"


# How strongly an operator binds: brackets stand around an operand that binds weaker than its place asks for.
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN, _ATOM = range(8)
_BINDS: Mapping[str, int] = {"or": _OR, "and": _AND, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT}


@dataclass(frozen=True, slots=True)
class Number:
    """A constant written as a number, 0 or above; a sign before it is a `Negative`."""

    kind: ClassVar[Kind] = Kind.CONSTANT
    binds: ClassVar[int] = _ATOM
    children: ClassVar[tuple["Node", ...]] = ()
    value: Value

    def __str__(self) -> str:
        """Return the number."""
        return repr(self.value)


@dataclass(frozen=True, slots=True)
class Named:
    """A constant with a name, by which a sweep sets its value: `{n=14}`."""

    kind: ClassVar[Kind] = Kind.CONSTANT
    binds: ClassVar[int] = _ATOM
    children: ClassVar[tuple["Node", ...]] = ()
    name: str
    value: Value

    def __str__(self) -> str:
        """Return name and value."""
        return f"{{{self.name}={self.value!r}}}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is there without computing: of the bars, their calendar, funding or sentiment; and options by name."""

    kind: ClassVar[Kind] = Kind.NUMBER
    binds: ClassVar[int] = _ATOM
    children: ClassVar[tuple["Node", ...]] = ()
    name: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return the name, and its options in brackets."""
        return f"{self.name}({', '.join(_options(self.options))})" if self.options else self.name


@dataclass(frozen=True, slots=True)
class Negative:
    """The operand with the other sign."""

    binds: ClassVar[int] = _SIGN
    operand: "Node"

    @property
    def kind(self) -> Kind:
        """Kind of the operand."""
        return self.operand.kind

    @property
    def children(self) -> tuple["Node", ...]:
        """The operand."""
        return (self.operand,)

    def __str__(self) -> str:
        """Return the sign and the operand."""
        return f"-{_within(self.operand, _SIGN)}"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`+ - * /` of two numbers."""

    operator: str
    left: "Node"
    right: "Node"

    @property
    def kind(self) -> Kind:
        """A constant if both sides are."""
        return Kind.CONSTANT if self.left.kind == self.right.kind == Kind.CONSTANT else Kind.NUMBER

    @property
    def binds(self) -> int:
        """By the operator."""
        return _BINDS[self.operator]

    @property
    def children(self) -> tuple["Node", ...]:
        """Both sides."""
        return self.left, self.right

    def __str__(self) -> str:
        """Return both sides; what stands on the right is computed first only in brackets."""
        return f"{_within(self.left, self.binds)} {self.operator} {_within(self.right, self.binds + 1)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`< <= > >= == !=` of two numbers."""

    kind: ClassVar[Kind] = Kind.CONDITION
    binds: ClassVar[int] = _COMPARISON
    operator: str
    left: "Node"
    right: "Node"

    @property
    def children(self) -> tuple["Node", ...]:
        """Both sides."""
        return self.left, self.right

    def __str__(self) -> str:
        """Return both sides."""
        return f"{_within(self.left, _SUM)} {self.operator} {_within(self.right, _SUM)}"


@dataclass(frozen=True, slots=True)
class Logic:
    """`and` or `or` of two or more conditions, none of which is the same operation."""

    kind: ClassVar[Kind] = Kind.CONDITION
    operator: str
    children: tuple["Node", ...]

    @classmethod
    def of(cls, operator: str, parts: tuple["Node", ...]) -> "Logic":
        """Return the conditions joined; a part that is joined in the same way is taken apart."""
        flat: list[Node] = []
        for part in parts:
            flat += part.children if isinstance(part, Logic) and part.operator == operator else (part,)
        return cls(operator, tuple(flat))

    @property
    def binds(self) -> int:
        """By the operator."""
        return _BINDS[self.operator]

    def __str__(self) -> str:
        """Return the conditions."""
        return f" {self.operator} ".join(_within(part, self.binds + 1) for part in self.children)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    kind: ClassVar[Kind] = Kind.CONDITION
    binds: ClassVar[int] = _NOT
    operand: "Node"

    @property
    def children(self) -> tuple["Node", ...]:
        """The operand."""
        return (self.operand,)

    def __str__(self) -> str:
        """Return the word and the condition."""
        return f"not {_within(self.operand, _NOT)}"


@dataclass(frozen=True, slots=True)
class Call:
    """A function of columns and constants.

    Parameters
    ----------
    function
        Its name: an indicator's, or one of the language.
    kind
        What it gives.
    columns, parameters
        Arguments as they were written: columns first, then constants by their place.
    named
        Constants by name.
    options
        Which rows it is computed on: a timeframe, a symbol.
    output
        Which of its outputs; empty for its only one.
    """

    binds: ClassVar[int] = _ATOM
    function: str
    kind: Kind
    columns: tuple["Node", ...] = ()
    parameters: tuple["Node", ...] = ()
    named: tuple[tuple[str, "Node"], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    output: str = ""

    @property
    def children(self) -> tuple["Node", ...]:
        """All arguments."""
        return (*self.columns, *self.parameters, *(value for _, value in self.named))

    def __str__(self) -> str:
        """Return the name, the arguments and the output."""
        arguments = [str(each) for each in (*self.columns, *self.parameters)]
        arguments += [f"{name}={value}" for name, value in self.named]
        output = f".{self.output}" if self.output else ""
        return f"{self.function}({', '.join([*arguments, *_options(self.options)])}){output}"


Node = Number | Named | Column | Negative | Arithmetic | Comparison | Logic | Not | Call


def nodes_of(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it."""
    yield node
    for child in node.children:
        yield from nodes_of(child)


def canonical(value: Value) -> Value:
    """Return a number as rules write it: a whole one below 2**53 as such, every other as a float."""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)


def _options(options: tuple[tuple[str, str], ...]) -> list[str]:
    return [f'{name}="{value}"' for name, value in options]


def _within(node: Node, least: int) -> str:
    """Return the text of an operand, in brackets where it binds weaker than `least`."""
    return str(node) if node.binds >= least else f"({node})"

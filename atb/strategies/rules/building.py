"""From the syntax tree of a rule to its typed tree: every name, kind and number is checked here, each error with its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atb.errors import InputError, did_you_mean
from atb.strategies.rules.functions import (
    LARGEST,
    Function,
    arguments_of,
    check_parameters,
    constant_of,
    function_names,
    function_of,
)
from atb.strategies.rules.grammar import parse_syntax, place_of
from atb.strategies.rules.rows import BAR_OPTIONS, OPTIONS, all_rows, input_of, needed, scope_of
from atb.strategies.rules.tree import (
    Arithmetic,
    Call,
    Column,
    Comparison,
    Kind,
    Logic,
    Named,
    Negative,
    Node,
    Not,
    Number,
    Value,
    canonical,
)

if TYPE_CHECKING:
    from atb.strategies.rules.grammar import Syntax

Constants = Mapping[str, Value]
MOST_ROWS = 1_000_000


def build(text: str, constants: Constants) -> Node:
    """Return the typed tree of a rule.

    Parameters
    ----------
    text
        The rule.
    constants
        Values of the constants that are named in it; they go before those written in the text.

    Raises
    ------
    InputError
        If the text is no rule, or names, kinds or numbers do not fit.
    """
    syntax = parse_syntax(text)
    node = _Builder(text, constants).node(syntax.children[0])
    if (rows := max(needed(node).values(), default=0)) > MOST_ROWS:
        raise place_of(text, syntax).error(f"A rule reads at most {MOST_ROWS:,} rows, and this one {rows:,}")
    return node


def constants_in(text: str) -> dict[str, Value | None]:
    """Return the constants that a rule names, with the value written at the first place that has one.

    Raises
    ------
    InputError
        If the text does not follow the grammar, or one constant has two values.
    """
    found: dict[str, Value | None] = {}
    for syntax in parse_syntax(text).find_data("constant"):
        name, value = str(syntax.children[0]), _written_value(text, syntax)
        if value is not None and found.get(name) not in {None, value}:
            raise place_of(text, syntax).error(f"{{{name}}} has two values, {found[name]!r} and {value!r}")
        found[name] = found.get(name) if value is None else value
    return found


def _written_value(text: str, syntax: "Syntax") -> Value | None:
    signs = [str(each) for each in syntax.children[1:]]
    if not signs:
        return None
    value = _value_of(text, syntax, signs[-1])
    return -value if signs[0] == "-" else value


def _value_of(text: str, syntax: Any, digits: str) -> Value:
    value = float(digits)
    if value > LARGEST:
        raise place_of(text, syntax).error("The number is too large")
    return canonical(value)


@dataclass(frozen=True)
class _Builder:
    """Makes nodes of one text."""

    text: str
    constants: Constants

    def error(self, part: Any, wrong: str, todo: str = "") -> InputError:
        return place_of(self.text, part).error(wrong, todo)

    def node(self, syntax: Any) -> Node:
        make: Any = getattr(self, f"_{syntax.data}")
        made: Node = make(syntax, *syntax.children)
        return made

    def numeric(self, syntax: Any) -> Node:
        """Return a number or a constant."""
        node = self.node(syntax)
        if node.kind == Kind.CONDITION:
            raise self.error(syntax, "A number is needed here, and this is a condition")
        return node

    def condition(self, syntax: Any) -> Node:
        node = self.node(syntax)
        if node.kind != Kind.CONDITION:
            todo = "Compare it with something, such as > 0"
            raise self.error(syntax, f"A condition is needed here, and this is a {node.kind}", todo)
        return node

    # --- one method for each rule of the grammar; called with the syntax and its children ------------------------------

    def _number(self, syntax: Any, digits: Any) -> Node:
        return Number(_value_of(self.text, syntax, str(digits)))

    def _constant(self, syntax: Any, name: Any, *_: Any) -> Node:
        value = self.constants.get(str(name), _written_value(self.text, syntax))
        if value is None:
            todo = f"Write {{{name}=14}}, or give {name} as a parameter"
            raise self.error(syntax, f"The constant {name} has no value", todo)
        return Named(str(name), value)

    def _column(self, syntax: Any, name: Any) -> Node:
        if str(name) in OPTIONS:
            return Column(str(name))
        if (function := function_of(str(name))) is not None:
            raise self.error(syntax, f"{name} is a function", f"Write {function.signature}")
        raise self._unknown(name)

    def _unknown(self, name: Any) -> InputError:
        near = did_you_mean(str(name), [*OPTIONS, *function_names()])
        if not near.startswith("Did"):
            near = f"Columns: {', '.join(OPTIONS)}. Functions: {', '.join(function_names())}"
        return self.error(name, f"Rules know no {str(name)!r}", near)

    def _negative(self, _: Any, __: Any, operand: Any) -> Node:
        return Negative(self.numeric(operand))

    def _arithmetic(self, syntax: Any, *parts: Any) -> Node:
        left, sign, right = parts
        node = Arithmetic(str(sign), self.numeric(left), self.numeric(right))
        self._check_constant(syntax, node)
        return node

    _sum = _product = _arithmetic

    def _check_constant(self, syntax: Any, node: Node) -> None:
        if node.kind != Kind.CONSTANT:
            return
        try:
            constant_of(node)
        except ArithmeticError as error:
            reason = "divides by 0" if isinstance(error, ZeroDivisionError) else "is too large"
            raise self.error(syntax, f"This constant {reason}") from None

    def _comparison(self, syntax: Any, *parts: Any) -> Node:
        left, sign, right = parts
        node = Comparison(str(sign), self.numeric(left), self.numeric(right))
        if node.left.kind == node.right.kind == Kind.CONSTANT:
            raise self.error(syntax, "Both sides are constants, so this never changes")
        return node

    def _both(self, _: Any, *parts: Any) -> Node:
        return Logic.of("and", tuple(self.condition(part) for part in parts))

    def _either(self, _: Any, *parts: Any) -> Node:
        return Logic.of("or", tuple(self.condition(part) for part in parts))

    def _not_(self, _: Any, operand: Any) -> Node:
        return Not(self.condition(operand))

    def _call(self, syntax: Any, name: Any, *parts: Any) -> Node:
        options = self._options(name, [part for part in parts if part.data == "option"])
        others = [part for part in parts if part.data != "option"]
        if str(name) in OPTIONS:
            return self._column_with_options(syntax, others, options)
        function = function_of(str(name))
        if function is None:
            raise self._unknown(name)
        return _Arguments(self, syntax, function).call(others, options)

    def _options(self, name: Any, parts: list[Any]) -> dict[str, str]:
        """Return the options of a call in their canonical spelling."""
        known = OPTIONS.get(str(name), BAR_OPTIONS)
        found: dict[str, str] = {}
        for part in parts:
            key, value = str(part.children[0]), str(part.children[1])[1:-1]
            if key not in known:
                raise self.error(part, f"{name} has no option {key!r}", did_you_mean(key, known))
            if key in found:
                raise self.error(part, f"{key} is given twice")
            try:
                found[key] = getattr(input_of(str(name), {key: value}), key)
            except InputError as odd:
                raise self.error(part, str(odd)) from None
        if found and known is BAR_OPTIONS and {*found} == {"max_age"}:
            raise self.error(parts[0], "max_age goes with a timeframe or a symbol")
        return found

    def _column_with_options(self, syntax: Any, others: list[Any], options: dict[str, str]) -> Node:
        name = str(syntax.children[0])
        if others:
            known = ", ".join(OPTIONS[name])
            raise self.error(others[0], f"{name} is a column: it takes options alone", f"Its options: {known}")
        if not options:
            raise self.error(syntax, f"{name} is a column: write it without brackets")
        return Column(name, tuple(options.items()))


@dataclass(frozen=True)
class _Arguments:
    """Sorts the arguments of one call into columns and parameters."""

    builder: _Builder
    syntax: Any
    function: Function

    def error(self, part: Any, wrong: str) -> InputError:
        return self.builder.error(part, wrong, f"It is written {self.function.signature}")

    def call(self, parts: list[Any], options: dict[str, str]) -> Node:
        output = [str(part.children[0]) for part in parts if part.data == "output"]
        columns, parameters = self._by_place([part for part in parts if part.data not in {"named", "output"}])
        named = self._by_name([part for part in parts if part.data == "named"], len(parameters))
        self._check_order(parts)
        self._check_output(output)
        node = Call(
            self.function.name, self._kind(columns), columns, parameters, named, tuple(options.items()), "".join(output)
        )
        self._check(node, columns)
        return node

    def _by_place(self, parts: list[Any]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """Return the columns and the constants that follow them."""
        make = self.builder.node if self.function.any_kind else self.builder.numeric
        nodes = [make(part) for part in parts]
        if not self.function.parameters:
            self._check_count(parts, len(nodes))
            return tuple(nodes), ()
        constant = [node.kind == Kind.CONSTANT for node in nodes]
        first = constant.index(True) if True in constant else len(nodes)
        if not all(constant[first:]):
            late = parts[constant.index(False, first)]
            raise self.error(late, f"Columns of {self.function.name} come before its constants")
        self._check_count(parts, first)
        if len(nodes) - first > len(self.function.parameters):
            raise self.error(
                parts[first + len(self.function.parameters)], f"{self.function.name} takes no more constants"
            )
        return tuple(nodes[:first]), tuple(nodes[first:])

    def _check_count(self, parts: list[Any], count: int) -> None:
        """Refuse too few or too many columns."""
        wanted, name = len(self.function.inputs), self.function.name
        if count == wanted or (self.function.more and count > wanted) or (not count and self.function.has_defaults):
            return
        part = parts[wanted] if count > wanted else self.syntax
        noun = "column" if self.function.parameters else "argument"
        raise self.error(part, f"{name} takes {wanted} {noun}{'s' * (wanted != 1)}, and {count} are given")

    def _by_name(self, parts: list[Any], by_place: int) -> tuple[tuple[str, Node], ...]:
        known = [one.name for one in self.function.parameters]
        found: dict[str, Node] = {}
        for part in parts:
            name, value = part.children
            if str(name) in BAR_OPTIONS:
                raise self.error(part, f'{name} is a text: {name}="..."')
            if str(name) not in known:
                near = f". {did_you_mean(str(name), known)}" if known else ""
                raise self.error(name, f"{self.function.name} has no parameter {str(name)!r}{near}")
            if str(name) in found or str(name) in known[:by_place]:
                raise self.error(name, f"{name} is given twice")
            found[str(name)] = self.builder.node(value)
            if found[str(name)].kind != Kind.CONSTANT:
                raise self.error(value, f"{name} is a constant")
        return tuple(found.items())

    def _check_order(self, parts: list[Any]) -> None:
        named = [at for at, part in enumerate(parts) if part.data == "named"]
        late = [part for part in parts[named[0] if named else len(parts) :] if part.data not in {"named", "output"}]
        if late:
            raise self.error(late[0], "Constants by name come last")

    def _check_output(self, output: list[str]) -> None:
        known = self.function.outputs
        if output and output[0] not in known:
            todo = did_you_mean(output[0], known) if known else "It has one"
            raise self.error(self.syntax, f"{self.function.name} has no output {output[0]!r}. {todo}")
        if known and not output:
            raise self.error(self.syntax, f"{self.function.name} has several outputs: {', '.join(known)}")

    def _kind(self, columns: tuple[Node, ...]) -> Kind:
        if self.function.kind is not None:
            return self.function.kind
        kinds = {column.kind for column in columns}
        return next(kind for kind in (Kind.CONDITION, Kind.NUMBER, Kind.CONSTANT) if kind in kinds)

    def _check(self, node: Call, columns: tuple[Node, ...]) -> None:
        """Refuse a call of constants alone, parameters that do not fit, and rows other than those of its options."""
        if node.kind == Kind.CONSTANT:
            self.builder._check_constant(self.syntax, node)  # noqa: SLF001 - one task in two classes
        elif columns and all(column.kind == Kind.CONSTANT for column in columns):
            raise self.error(self.syntax, "All its arguments are constants, so this never changes")
        self._check_parameters(node)
        if node.options and all_rows(node, None) != {scope_of(node, None)}:
            names = " and ".join(name for name, _ in node.options)
            raise self.builder.error(self.syntax, f"A call with a {names} reads columns of these bars alone")

    def _check_parameters(self, node: Call) -> None:
        given = {
            *(name for name, _ in node.named),
            *(one.name for one in self.function.parameters[: len(node.parameters)]),
        }
        for one in self.function.parameters:
            if one.default is None and one.name not in given:
                raise self.error(self.syntax, f"{self.function.name} needs {one.name}")
        for one, value in self._valued(node):
            if one.whole and constant_of(value) != int(constant_of(value)):
                raise self.error(self.syntax, f"{one.name} is a whole number, and {constant_of(value)!r} is not")
        try:
            check_parameters(self.function, arguments_of(node)[1])
        except (InputError, ValueError, TypeError) as odd:
            raise self.error(self.syntax, str(odd)) from None

    def _valued(self, node: Call) -> list[tuple[Any, Node]]:
        by_name = dict(node.named)
        placed = list(zip(self.function.parameters, node.parameters, strict=False))
        return placed + [(one, by_name[one.name]) for one in self.function.parameters if one.name in by_name]

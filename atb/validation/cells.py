"""The text of a class that is in no module, such as one of a notebook's cell, with everything that it uses.

Another process makes the class from this text. So it gets the class as it was written, without what its attributes or the
notebook's variables have held since: a strategy that reads the notebook's bars, say, would know the future there as it does here.

The text has the definitions that the class uses, wherever in the notebook they are, imports of the modules and names that it uses,
and the plain constants. Anything else that it reads is refused by name. Python keeps the text of a notebook's cells and of files.
It keeps none of what `exec` or `python -c` ran, and a class inside a function has no text that could stand alone: for these
`text_of` returns None.
"""

import ast
import builtins
import linecache
import math
import symtable
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

from atb.errors import InputError

_PLAIN = (bool, int, float, str, bytes, type(None))
_MOST_ITEMS = 32  # of a constant: more is data
_FUTURE_ANNOTATIONS = 0x1000000  # the flag of code under `from __future__ import annotations`


def text_of(kind: type) -> str | None:
    """Return a module's text that defines a class; None if Python kept no text of it.

    Raises
    ------
    InputError
        If it reads a variable that is no constant, function, class or module.
    """
    function = next(_functions(kind), None)
    if "<" in kind.__qualname__ or function is None:
        return None
    found = _Text(kind.__name__, function.__globals__)
    if not found.define(kind.__name__, kind):
        return None
    return "\n".join([*found.head(function), *found.parts, ""])


def refuse_data(kind: type) -> None:
    """Refuse a class whose functions hold variables of an enclosing function or a notebook that are data.

    Raises
    ------
    InputError
        Naming the variable.
    """
    for function in _functions(kind):
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        given = {name: cell.cell_contents for name, cell in cells if name != "__class__"}
        known = function.__globals__
        given |= {name: known[name] for name in function.__code__.co_names if name in known}
        for name, value in given.items():
            if type(value).__module__.partition(".")[0] in {"pandas", "numpy"} and hasattr(value, "__len__"):
                raise _refusal(kind.__name__, name, value)


def imports_for(text: str, known: Mapping[str, Any]) -> list[str]:
    """Return the lines that must stand above a cell's text for it to run alone: what it takes from the notebook's other cells.

    Raises
    ------
    InputError
        If it reads a variable that is no constant, function, class or module.
    """
    found = _Text("The cell", known)
    for name in sorted(_global_names(text)):
        if name in known and name not in found.seen:
            found.add(name, known[name])
    return found.parts


def _functions(kind: type) -> Iterator[FunctionType]:
    """Yield the functions that a class itself defines, without those that `dataclass` made."""
    for name, value in vars(kind).items():
        function = getattr(value, "fget", None) or getattr(value, "__func__", value)
        if isinstance(function, FunctionType):
            made = name.startswith("__") and function.__code__.co_filename.startswith("<string")
            if not made:
                yield function


def _refusal(user: str, name: str, value: Any) -> InputError:
    return InputError(
        f"{user} reads the variable {name}, which a runner does not have",
        found=type(value).__name__,
        todo="Compute it from the bars in features, or make it a parameter with a plain value",
    )


@dataclass
class _Text:
    """Parts of a text, in the order in which they must run."""

    user: str
    known: Mapping[str, Any]
    parts: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def head(self, function: FunctionType) -> list[str]:
        """Return the lines that must come first."""
        return ["from __future__ import annotations"] if function.__code__.co_flags & _FUTURE_ANNOTATIONS else []

    def define(self, name: str, value: Any) -> bool:
        """Add the definition of a class or function after what it uses; return False if there is no text of it."""
        text = _definition(value)
        if text is None:
            return False
        self.seen.add(name)
        for used in sorted(_global_names(text)):
            if used in self.known and used not in self.seen:
                self.add(used, self.known[used])
        self.parts.append(text)
        return True

    def add(self, name: str, value: Any) -> None:
        """Add what gives a name its value: an import, a constant or a definition."""
        self.seen.add(name)
        if isinstance(value, ModuleType):
            self.parts.append(f"import {_named(value.__name__, name)}")
        elif (place := _importable(value)) is not None:
            self.parts.append(f"from {place[0]} import {_named(place[1], name)}")
        elif _is_constant(value):
            self.parts.append(f"{name} = {_literal(value)}")
        elif not self.define(name, value):
            raise _refusal(self.user, name, value)


def _named(what: str, name: str) -> str:
    return what if what == name else f"{what} as {name}"


def _importable(value: Any) -> tuple[str, str] | None:
    """Return module and name from which a value can be imported; None if it cannot."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or getattr(value, "_name", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__" or not name.isidentifier():
        return None
    return (module, name) if getattr(sys.modules.get(module), name, None) is value else None


def _is_constant(value: Any) -> bool:
    return _count(value) <= _MOST_ITEMS


def _count(value: Any) -> float:
    """Return the number of plain values in a value; infinity if it holds anything else."""
    if type(value) in _PLAIN:
        return 1 if not isinstance(value, str | bytes) or len(value) <= 1_000 else math.inf
    if type(value) is dict:
        return sum(_count(key) + _count(item) for key, item in value.items())
    return sum(map(_count, value)) if type(value) in {tuple, list, set, frozenset} else math.inf


def _literal(value: Any) -> str:
    """Return an expression of a constant; those of infinities and NaN need a call."""
    if type(value) is float and not math.isfinite(value):
        return f"float({str(value)!r})"
    if type(value) is dict:
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    if type(value) in {tuple, list, set, frozenset}:
        return f"{type(value).__name__}([{', '.join(map(_literal, value))}])"
    return repr(value)


def _definition(value: Any) -> str | None:
    """Return the text of a class or function with its decorators, from the cell or file that Python kept."""
    value = getattr(value, "py_func", None) or getattr(
        value, "__wrapped__", value
    )  # compiled or wrapped by a decorator
    function = (
        value if isinstance(value, FunctionType) else next(_functions(value), None) if isinstance(value, type) else None
    )
    if function is None:
        return None
    lines = linecache.getlines(function.__code__.co_filename, function.__globals__)
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == value.__name__:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if first <= function.__code__.co_firstlineno <= (node.end_lineno or 0):
                return textwrap.dedent("".join(lines[first - 1 : node.end_lineno])).rstrip()
    return None


def _global_names(text: str) -> set[str]:
    """Return the names that a definition takes from its module, its own and those of Python left out.

    Those of annotations count, which `from __future__ import annotations` would hide.
    """
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")]
    table = symtable.symtable(ast.unparse(tree), "definition", "exec")
    defined = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    waiting = list(table.get_children())
    while waiting:
        inner = waiting.pop()
        waiting += inner.get_children()
        names |= {symbol.get_name() for symbol in inner.get_symbols() if symbol.is_global() and symbol.is_referenced()}
    return {name for name in names - defined if not hasattr(builtins, name)}

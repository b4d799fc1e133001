"""Finds the one strategy that a module defines, and says in one sentence what is wrong with its declaration."""

import dataclasses
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, get_type_hints

from atb.domain.inputs import declared_inputs
from atb.domain.ports import Strategy
from atb.domain.raised import described, named_errors
from atb.domain.symbol import Symbol
from atb.errors import AtbError, InputError

KINDS: dict[type, str] = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text"}
_FUNCTIONS = ("features", "signals")
_EXAMPLES = {"name": 'name: ClassVar[str] = "{name}"', "predicts": "predicts: ClassVar[bool] = False"}


def declared_strategy(module: ModuleType, name: str) -> type[Strategy]:
    """Return the strategy that a module defines, which must have this name.

    Raises
    ------
    InputError
        If it defines none or two, or one that is no frozen dataclass of plain parameters with defaults under this name.
    """
    file = str(module.__file__)
    found = [kind for kind in _classes(module) if any(hasattr(kind, function) for function in _FUNCTIONS)]
    if not found:
        raise InputError(
            f"The file of {name} defines no strategy", found=file, todo="Write a class with features and signals"
        )
    if len(found) > 1:
        both = ", ".join(kind.__name__ for kind in found)
        todo = "Give each a file of its own; begin the name of a class that only helps with _"
        raise InputError(f"The file of {name} defines more than one strategy", found=f"{both} in {file}", todo=todo)
    check_declaration(found[0], name, place=file)
    return found[0]


def refuse_other_than_strategy(value: object) -> None:
    """Refuse what is no instance of a strategy, such as its class, or lacks a part of one.

    Raises
    ------
    InputError
        With the first part that is missing and the line to write.
    """
    if isinstance(value, type):
        raise InputError("A strategy is wanted, not its class", found=value.__name__, todo=f"Write {value.__name__}()")
    kind: Any = type(value)
    if not any(hasattr(kind, function) for function in _FUNCTIONS):
        todo = "Make one by its name: make_strategy(NAME), or write a class with features and signals"
        raise InputError("A strategy is wanted", found=value, todo=todo)
    own = getattr(value, "__dict__", {})  # a parameter without a default is no attribute of the class
    if not all(hasattr(kind, part) or part in own for part in ("name", "predicts", "warmup", *_FUNCTIONS)):
        check_declaration(
            kind, str(getattr(kind, "name", kind.__name__.lower())), place=f"an object of {kind.__name__}"
        )


def legs_of(strategy: Strategy, symbols: Sequence[Symbol]) -> tuple[Strategy, ...]:
    """Return the strategy of each symbol's slot: `strategy.legs(symbols)` where it has that function, else the same for every one.

    Raises
    ------
    InputError
        If the strategy refuses these symbols, raises another error, or does not return one strategy for each.
    """
    if len(symbols) < 2 or not hasattr(strategy, "legs"):
        return (strategy,) * len(symbols)
    with named_errors(strategy, strategy.name):
        legs = tuple(strategy.legs(tuple(symbols)))
    if len(legs) != len(symbols):
        raise InputError(
            f"{strategy.name}.legs returns one strategy for each symbol", found=f"{len(legs)} for {len(symbols)}"
        )
    return legs


def _classes(module: ModuleType) -> Iterator[type]:
    """Yield the public classes that a module itself defines."""
    for key, value in vars(module).items():
        if isinstance(value, type) and value.__module__ == module.__name__ and not key.startswith("_"):
            yield value


def check_declaration(kind: type, name: str, *, place: str) -> None:
    """Refuse a class that is no strategy of this name.

    Raises
    ------
    InputError
        With the first fault and the line to write.
    """
    for fault, todo in _faults(kind, name):
        raise InputError(f"{kind.__name__} {fault}", found=place, todo=todo)


def _faults(kind: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield each fault in a declaration with what to write."""
    for attribute, example in _EXAMPLES.items():
        if not isinstance(getattr(kind, attribute, None), str if attribute == "name" else bool):
            yield f"has no {attribute}", f"Write {example.format(name=name)}"
    if kind.name != name:
        yield (
            f"has the name {kind.name!r} in a file of another name",
            f"Name the file {kind.name}.py, or the class {name!r}",
        )
    for attribute in ("warmup", *_FUNCTIONS):
        if not hasattr(kind, attribute):
            yield f"has no {attribute}", f"Write a {'property' if attribute == 'warmup' else 'function'} {attribute}"
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is None or "__dataclass_fields__" not in vars(kind) or not parameters.frozen:
        yield "is no frozen dataclass", "Write @dataclass(frozen=True) above the class"
    yield from _parameter_faults(kind)
    yield from _default_faults(kind)


def _default_faults(kind: Any) -> Iterator[tuple[str, str]]:
    """Yield what fails where the strategy is made with its defaults and asked what it needs."""
    try:
        usual = kind()
        warmup = usual.warmup
        declared_inputs(usual)
    except AtbError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever its code raises
        yield f"raises an error with its defaults: {described(error, kind)}", "Correct it"
        return
    if isinstance(warmup, bool) or not isinstance(warmup, int) or warmup < 0:
        yield f"has the warm-up {warmup!r}", "Return a whole number of bars, 0 or more"


def _parameter_faults(kind: Any) -> Iterator[tuple[str, str]]:
    try:
        hints = get_type_hints(kind)
    except Exception as error:  # noqa: BLE001 - whatever an annotation raises
        yield f"has an annotation that cannot be read: {error}", "Import the name where the file is loaded"
        return
    for field in dataclasses.fields(kind):
        if field.name in _EXAMPLES:
            yield f"takes {field.name} for a parameter", f"Write {_EXAMPLES[field.name].format(name=kind.name)}"
        if hints[field.name] not in KINDS:
            allowed = ", ".join(kind.__name__ for kind in KINDS)
            yield f"has a parameter {field.name} that is no plain value", f"A parameter is one of {allowed}"
        if field.default is dataclasses.MISSING:
            yield f"has a parameter {field.name} without a default", f"Write {field.name}: TYPE = VALUE"

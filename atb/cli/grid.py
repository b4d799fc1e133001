"""The axes of a sweep, given as `NAME=VALUES` or in a YAML file, typed and sorted into a strategy's parameters and rules.

Values are listed (`fast=10,20,30`) or counted (`fast=10:30:10`, both ends included; exact for decimals such as 0.01:0.05:0.01).
Texts, which may hold commas, are listed with semicolons (`entry=close > open; rising(close, 3)`).
A YAML file has one list, or one such text, by name:

    fast: [10, 20, 30]
    slow: 40:120:20
    stop_loss: [0.02, 0.05, null]
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation, Overflow, localcontext
from pathlib import Path
from typing import Any

from atb.cli.parameters import sort_pairs
from atb.errors import InputError

MOST = 1_000_000  # combinations; each is a row of the table
_EXAMPLE = "Such as --grid fast=10,20,30, --grid fast=10:30:10 or --grid grid.yaml"
_LARGEST_FILE = 1 << 20  # bytes


@dataclass
class Axes:
    """The swept values by name: of the strategy, and of the policy."""

    params: dict[str, list[Any]] = field(default_factory=dict)
    rules: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Combinations of the grid."""
        return math.prod(len(values) for values in (*self.params.values(), *self.rules.values()))


def read_axes(given: Sequence[str], strategy: str, shared: Mapping[str, object] | None = None) -> Axes:
    """Return the axes, each value in the type that the strategy or the policy declares.

    Parameters
    ----------
    given
        Axes as texts, or names of files.
    strategy
        A registered one.
    shared
        Parameters that all combinations share; texts among them may name further ones, as a rule names its constants.

    Raises
    ------
    InputError
        A name is unknown, given twice or no field of the policy; a value does not fit or is given twice; a text is no axis; a file
        cannot be read; there is no axis, or too many combinations.
    """
    from dataclasses import fields

    from atb.engine.policy import RiskPolicy
    from atb.strategies import parameter_types

    swept = {rule.name for rule in fields(RiskPolicy)}
    found = Axes()
    texts = _texts(given, [name for name, kind in parameter_types(strategy).items() if kind is str])
    types = _types(strategy, [shared or {}, *({name: value} for name, values in texts.items() for value in values)])
    for name, values in texts.items():
        for value in values:
            typed = sort_pairs({name: value}, strategy, types=types)
            if name in typed.rules and name not in swept:
                raise InputError(
                    "Costs and limits of the account are those of the whole sweep",
                    found=name,
                    todo=f"Give it once: -p {name}=...",
                )
            home, axis = (found.params, typed.params) if typed.params else (found.rules, typed.rules)
            home.setdefault(name, []).append(axis[name])
    for name, values in {**found.params, **found.rules}.items():
        if len(values) > len({repr(value) for value in values}):
            raise InputError("A value of the grid is given twice", found=f"{name}: {values}"[:200])
    if not found.params and not found.rules:
        raise InputError("A sweep needs a grid", todo=_EXAMPLE)
    if found.count > MOST:
        raise InputError(
            f"A grid has at most {MOST:,} combinations", found=f"{found.count:,}", todo="Sweep it in parts"
        )
    return found


def _types(strategy: str, given: Sequence[Mapping[str, object]]) -> dict[str, type]:
    """Return the strategy's parameters, and those that the given texts name."""
    from atb.strategies import parameter_types

    found: dict[str, type] = {}
    for values in given:
        found |= parameter_types(strategy, values)
    return found


def _texts(given: Sequence[str], with_semicolons: Sequence[str]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for text in given:
        name, equals, values = text.partition("=")
        between = ";" if name.strip() in with_semicolons else ","
        axes = {name.strip(): read_axis(name, values, between)} if equals else _file(Path(text), with_semicolons)
        for axis, listed in axes.items():
            if axis in found:
                raise InputError("An axis is given twice", found=axis, todo="Give all its values once")
            found[axis] = listed
    return found


def read_axis(name: str, text: str, between: str = ",") -> list[object]:
    """Return the values of an axis given as text: counted, or listed between commas or semicolons."""
    if between == "," and text.count(":") == 2 and "," not in text:
        return list(_counted(name, text))
    values = [value.strip() for value in text.split(between)]
    if not name.strip() or not all(values):
        raise InputError("An axis is NAME=VALUES", found=f"{name}={text}"[:200], todo=_EXAMPLE)
    return list(values)


def _counted(name: str, text: str) -> list[str]:
    """Return start, start + step, ... up to and with the end; in decimals, so that 0.1 + 0.2 is 0.3."""
    try:
        start, end, step = (Decimal(part.strip()) for part in text.split(":"))
    except InvalidOperation:
        raise InputError("A counted axis is NAME=START:END:STEP", found=f"{name}={text}"[:200], todo=_EXAMPLE) from None
    if not all(number.is_finite() for number in (start, end, step)) or step <= 0 or end < start:
        raise InputError("A counted axis goes up from START to END by a STEP above 0", found=f"{name}={text}"[:200])
    with localcontext() as context:
        context.traps[Overflow] = False  # too many to count are infinitely many
        steps = (end - start) / step
    if steps >= MOST:
        raise InputError(f"A grid has at most {MOST:,} combinations", found=f"{name}={text}"[:200])
    return [f"{(start + number * step).normalize():f}" for number in range(int(steps) + 1)]


def _file(path: Path, with_semicolons: Sequence[str]) -> dict[str, list[object]]:
    found = read_grid_file(path)
    if not isinstance(found, Mapping):
        raise InputError(
            "A grid's file has one list of values by name", found=str(path), todo="Such as fast: [10, 20, 30]"
        )
    return {
        str(name): _listed(str(name), values, ";" if name in with_semicolons else ",") for name, values in found.items()
    }


def read_grid_file(path: Path) -> Mapping[Any, Any] | list[Any]:
    """Return the content of a YAML file of axes or runs.

    Raises
    ------
    InputError
        If it cannot be read, is no YAML, or is neither a mapping nor a list, or empty.
    """
    import yaml

    from atb.reading import read_file

    try:
        found = yaml.safe_load(read_file(path, max_bytes=_LARGEST_FILE))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"The grid cannot be read ({reason})", found=str(path)[:200], todo=_EXAMPLE) from None
    except (yaml.YAMLError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" in line {place.line + 1}" if place else ""
        raise InputError(f"The grid is no YAML{where}", found=str(path), todo=_EXAMPLE) from None
    if not isinstance(found, Mapping | list) or not found:
        raise InputError(
            "A grid's file has one list of values by name", found=str(path), todo="Such as fast: [10, 20, 30]"
        )
    return found


def _listed(name: str, values: object, between: str) -> list[object]:
    if isinstance(values, str):
        return read_axis(name, values, between)
    if not isinstance(values, list) or not values or any(isinstance(value, list | dict) for value in values):
        raise InputError("An axis is a list of plain values", found=f"{name}: {values}"[:200], todo=_EXAMPLE)
    return values

"""The register of strategies: one line each; everything that offers a choice of strategies reads it here.

Built-in strategies stand in `STRATEGIES`. Beside them are those of the folder of your own strategies (`atb.strategies.own`), which
are found by the names of their files; a file under the name of a built-in strategy is never loaded.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, get_type_hints

from atb.domain.declaration import KINDS, check_declaration
from atb.domain.ports import Strategy
from atb.errors import InputError, did_you_mean
from atb.strategies.ml_basic import MlBasic
from atb.strategies.own import load_own, own_names
from atb.strategies.sma_cross import SmaCross

STRATEGIES: dict[str, type[Strategy]] = {
    "ml_basic": MlBasic,
    "sma_cross": SmaCross,
}
_LARGEST = 2**63 - 1


def make_strategy(name: str, **params: Any) -> Strategy:
    """Return a registered strategy with its parameters; those not given keep their defaults.

    Raises
    ------
    InputError
        If the name or a parameter is unknown (the message names the nearest), a value has the wrong type (whole numbers
        pass as floats, nothing else is converted) or the strategy itself refuses the values.
    """
    cls = _registered(name)
    types = dict(_types(cls))
    for key in params:
        if key not in types:
            raise InputError(f"{name} has no such parameter", found=key, todo=did_you_mean(key, types))
    values = {key: _typed(f"{name}.{key}", value, types[key]) for key, value in params.items()}
    try:
        return cls(**values)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{name} refuses its parameters: {error}") from error


def grid(name: str | type[Strategy], **axes: Iterable[Any]) -> list[Strategy]:
    """Return a strategy with every combination of the axes that it accepts, the last axis changing fastest.

    It is given by its name, or as a class, such as one of a notebook's cell.

    Combinations that the strategy refuses, such as a fast window above the slow one, are left out.

    >>> [strategy.slow for strategy in grid("sma_cross", fast=[10, 30], slow=[20, 40])]
    [20, 40, 40]

    Raises
    ------
    InputError
        If the name or an axis is unknown, a value has the wrong type, or no combination is left.
    """
    cls = strategy_class(name)
    name, types = cls.name, dict(_types(cls))
    values = {}
    for key, axis in axes.items():
        if key not in types:
            raise InputError(f"{name} has no such parameter", found=key, todo=did_you_mean(key, types))
        values[key] = [_typed(f"{name}.{key}", value, types[key]) for value in axis]
    found = []
    for chosen in itertools.product(*values.values()):
        with suppress(ValueError):  # InputError is one: the strategy refuses this combination
            found.append(cls(**dict(zip(values, chosen, strict=True))))
    if not found:
        raise InputError(f"{name} accepts no combination of these axes", found=values)
    return found


def parameter_types(name: str | type[Strategy]) -> dict[str, type]:
    """Return the parameters of a strategy, given by name or class, with their types (`int`, `float`, `bool` or `str`)."""
    return dict(_types(strategy_class(name)))


@functools.cache
def _types(cls: type[Strategy]) -> tuple[tuple[str, type], ...]:
    hints = get_type_hints(cls)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(cls))  # type: ignore[arg-type] # a dataclass


def strategy_params(strategy: Strategy) -> dict[str, Any]:
    """Return every parameter of a strategy as plain values: `make_strategy(name, **params)` gives an equal one back."""
    return dataclasses.asdict(strategy)  # type: ignore[call-overload,no-any-return] # a dataclass


def strategy_module(name: str) -> str:
    """Return the name of the module that defines a registered strategy: what a promotion hashes."""
    return _registered(name).__module__


def strategy_names() -> list[str]:
    """Return the names of all strategies: the built-in ones, then your own, whether their files can be loaded or not."""
    return [*STRATEGIES, *(name for name in own_names() if name not in STRATEGIES)]


def strategy_class(name: str | type[Strategy]) -> type[Strategy]:
    """Return the class of a registered strategy; a class itself is checked and returned.

    Raises
    ------
    InputError
        If there is none of this name (the message names the nearest), its file cannot be loaded, or the class is no strategy.
    """
    if isinstance(name, type):
        check_declaration(name, getattr(name, "name", name.__name__.lower()), place=f"class {name.__qualname__}")
        return name
    return _registered(name)


def is_own(name: str) -> bool:
    """Return True if a strategy comes from the folder of your own strategies."""
    return name not in STRATEGIES and name in own_names()


def _registered(name: str) -> type[Strategy]:
    if name in STRATEGIES:
        return STRATEGIES[name]
    if name not in own_names():
        raise InputError("Unknown strategy", found=name, todo=did_you_mean(str(name), strategy_names()))
    return load_own(name)


def _typed(name: str, value: Any, wanted: type) -> Any:
    """Return the value as `wanted`; a bool is never a number, and a float must be finite."""
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise InputError(f"{name} must be {KINDS[wanted]} of 64 bits", found=value)
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif isinstance(value, wanted) and not (isinstance(value, bool) and wanted is not bool):
        return value
    raise InputError(f"{name} must be {KINDS[wanted]}", found=value)

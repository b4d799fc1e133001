"""The register of strategies: one line each; everything that offers a choice of strategies reads it here.

Built-in strategies stand in `STRATEGIES`. Beside them are those of the folder of your own strategies (`atb.strategies.own`), which
are found by the names of their files; a file under the name of a built-in strategy is never loaded.

A strategy's parameters are the fields of its class. One that reads texts may take more, which these texts name: it then has two
class methods, `named_parameters(given)` for their types and `with_parameters(given)` to make it (`atb.strategies.rules`).
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any, get_type_hints

from atb.domain.declaration import KINDS, check_declaration
from atb.domain.ports import Strategy
from atb.errors import InputError, did_you_mean
from atb.strategies.adaptive import Adaptive
from atb.strategies.bear import Bear
from atb.strategies.breakout import Breakout
from atb.strategies.bull import Bull
from atb.strategies.ensemble import Ensemble
from atb.strategies.hold import Hold
from atb.strategies.mean_reversion import MeanReversion
from atb.strategies.ml_adaptive import MlAdaptive
from atb.strategies.ml_basic import MlBasic
from atb.strategies.ml_sentiment import MlSentiment
from atb.strategies.momentum import Momentum
from atb.strategies.own import load_own, own_names
from atb.strategies.pairs import Pairs
from atb.strategies.random import Random
from atb.strategies.rules.strategy import Rule
from atb.strategies.sma_cross import SmaCross

STRATEGIES: dict[str, type[Strategy]] = {
    "adaptive": Adaptive,
    "bear": Bear,
    "breakout": Breakout,
    "bull": Bull,
    "ensemble": Ensemble,
    "hold": Hold,
    "mean_reversion": MeanReversion,
    "ml_adaptive": MlAdaptive,
    "ml_basic": MlBasic,
    "ml_sentiment": MlSentiment,
    "momentum": Momentum,
    "pairs": Pairs,
    "random": Random,
    "rule": Rule,
    "sma_cross": SmaCross,
}
_LARGEST = 2**63 - 1


def make_strategy(name: str, /, **params: Any) -> Strategy:
    """Return a registered strategy with its parameters; those not given keep their defaults.

    Raises
    ------
    InputError
        If the name or a parameter is unknown (the message names the nearest), a value has the wrong type (whole numbers
        pass as floats, nothing else is converted) or the strategy itself refuses the values.
    """
    cls = _registered(name)
    types = _all_types(cls, [params])
    _check_names(name, params, types)
    values = {key: _typed(f"{name}.{key}", value, types[key]) for key, value in params.items()}
    try:
        return _made(cls, values)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{name} refuses its parameters: {error}") from error


def grid(name: str | type[Strategy], /, **axes: Any) -> list[Strategy]:
    """Return a strategy with every combination of the axes that it accepts, the last axis changing fastest.

    It is given by its name, or as a class, such as one of a notebook's cell. An axis is several values, or one that all share.

    Combinations that the strategy refuses, such as a fast window above the slow one, are left out.

    >>> [strategy.slow for strategy in grid("sma_cross", fast=[10, 30], slow=[20, 40])]
    [20, 40, 40]
    >>> [strategy.entry for strategy in grid("rule", entry="rsi({n}) < 30", n=[7, 14])]
    ['rsi({n=7}) < 30', 'rsi({n=14}) < 30']

    Raises
    ------
    InputError
        If the name or an axis is unknown, a value has the wrong type, or no combination is left.
    """
    cls = strategy_class(name)
    name = cls.name
    given = {key: _values(axis) for key, axis in axes.items()}
    types = _all_types(cls, [{key: value} for key, axis in given.items() for value in axis])
    _check_names(name, given, types)
    values = {key: [_typed(f"{name}.{key}", value, types[key]) for value in axis] for key, axis in given.items()}
    found, refusals = [], []
    for chosen in itertools.product(*values.values()):
        try:
            found.append(_made(cls, dict(zip(values, chosen, strict=True))))
        except ValueError as error:  # InputError is one: the strategy refuses this combination
            refusals.append(error)
    if not found:
        reason = f": {refusals[0]}" if refusals else ""
        raise InputError(f"{name} accepts no combination of these axes{reason}", found=None if reason else values)
    return found


def _values(axis: Any) -> list[Any]:
    return list(axis) if isinstance(axis, Iterable) and not isinstance(axis, str) else [axis]


def parameter_types(name: str | type[Strategy], given: Mapping[str, Any] | None = None) -> dict[str, type]:
    """Return the parameters of a strategy, given by name or class, with their types (`int`, `float`, `bool` or `str`).

    Those that texts among the `given` values name are among them, such as the constants of a rule.
    """
    return _all_types(strategy_class(name), [given or {}])


def _all_types(cls: type[Strategy], given: Iterable[Mapping[str, Any]]) -> dict[str, type]:
    """Return the types of the fields and of what the given texts name."""
    types = dict(_types(cls))
    for values in given if hasattr(cls, "named_parameters") else ():
        types |= cls.named_parameters(values)  # type: ignore[attr-defined] # it has one
    return types


def _check_names(name: str, given: Iterable[str], types: Mapping[str, type]) -> None:
    for key in given:
        if key not in types:
            raise InputError(f"{name} has no such parameter", found=key, todo=did_you_mean(key, types))


def _made(cls: type[Strategy], values: dict[str, Any]) -> Strategy:
    if hasattr(cls, "with_parameters"):
        return cls.with_parameters(values)  # type: ignore[no-any-return] # it has one
    return cls(**values)


@functools.cache
def _types(cls: type[Strategy]) -> tuple[tuple[str, type], ...]:
    hints = get_type_hints(cls)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(cls))  # type: ignore[arg-type] # a dataclass


def strategy_params(strategy: Strategy) -> dict[str, Any]:
    """Return every parameter of a strategy as plain values: `make_strategy(name, **params)` gives an equal one back.

    Raises
    ------
    InputError
        If it is no dataclass, whose parameters cannot be known.
    """
    given: Any = strategy  # a class of a notebook's cell may be anything
    if not dataclasses.is_dataclass(given):
        todo = "Write @dataclass(frozen=True) above the class"
        raise InputError("A strategy is a frozen dataclass of its parameters", found=type(strategy).__name__, todo=todo)
    return dict(dataclasses.asdict(given))  # type: ignore[arg-type] # an instance


def differing_params(strategies: Iterable[Strategy]) -> list[dict[str, Any]]:
    """Return for each strategy those of its parameters in which another one has another value, or lacks it."""
    every = [strategy_params(one) for one in strategies]
    return [{name: value for name, value in own.items() if any(name not in other or other[name] != value for other in every)}
            for own in every]  # fmt: skip


def strategy_module(name: str) -> str:
    """Return the name of the module that defines a registered strategy: what a promotion hashes."""
    return _registered(name).__module__


def strategy_names() -> list[str]:
    """Return the names of all strategies: the built-in ones, then your own, whether their files can be loaded or not.

    What is wrong with a file says `strategy_class`; a list that no file can keep waiting is `atb.workbench.own.own_strategies`.
    """
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

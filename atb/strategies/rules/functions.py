"""The functions of rules: those of the language, written here, and every registered indicator.

A function reads columns and parameters and gives one column of the same rows. Numbers that are not known are NaN; conditions
are 1, 0 or NaN (not known). At row t a function depends on its `memory` of rows before t and on nothing later, so a rule is causal
and its warm-up is derived from its functions alone. An indicator says nothing before its warm-up has passed.
"""

import functools
import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.domain.bars import BAR_COLUMNS
from atb.errors import InputError
from atb.features.indicators import INDICATORS
from atb.strategies.rules.tree import Arithmetic, Call, Column, Kind, Named, Negative, Node, Number, Value

Array = NDArray[np.float64]
Parameters = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A constant that a function takes; it must be given where there is no default."""

    name: str
    whole: bool = True
    default: Value | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A function of rules.

    Parameters
    ----------
    name
        How it is called.
    inputs
        Names of the columns it reads, in order. Where they are columns of bars, they may be left out.
    kind
        What it gives; None: what its first column is.
    parameters
        What follows the columns.
    memory
        Parameters in, rows before the newest that it reads out.
    compute
        Columns and parameters in, one column out, or one for each output.
    outputs
        Names of its outputs; empty where it has one.
    more
        Whether further columns may follow.
    any_kind
        Whether its columns may be conditions.
    unbroken
        Whether it cannot read missing values: it then begins anew after each.
    """

    name: str
    inputs: tuple[str, ...]
    kind: Kind | None
    parameters: tuple[Parameter, ...]
    memory: Callable[..., int]
    compute: Callable[..., Any]
    outputs: tuple[str, ...] = ()
    more: bool = False
    any_kind: bool = False
    unbroken: bool = False

    @property
    def has_defaults(self) -> bool:
        """Whether its columns may be left out."""
        return all(name in BAR_COLUMNS for name in self.inputs)

    @property
    def signature(self) -> str:
        """How it is written, for messages: `ema(close, n)`."""
        parts = [*self.inputs, *(["..."] if self.more else [])]
        parts += [one.name if one.default is None else f"{one.name}={one.default!r}" for one in self.parameters]
        return f"{self.name}({', '.join(parts)})"


def function_names() -> list[str]:
    """Return the names of all functions, sorted."""
    return sorted({*LANGUAGE, *INDICATORS})


def function_of(name: str) -> Function | None:
    """Return a function by its name, or None."""
    if name in LANGUAGE:
        return LANGUAGE[name]
    return _of_indicator(name) if name in INDICATORS else None


@functools.lru_cache(maxsize=1_024)
def _of_indicator(name: str) -> Function:
    indicator = INDICATORS[name]
    declared = inspect.signature(indicator.function).parameters
    parameters = tuple(
        Parameter(key, declared[key].annotation is int, value) for key, value in indicator.parameters.items()
    )
    return Function(
        name, indicator.inputs, Kind.NUMBER, parameters, indicator.warmup, indicator.function,
        outputs=indicator.outputs if len(indicator.outputs) > 1 else (), unbroken=True,
    )  # fmt: skip


# --- what a comparison says about numbers that may be missing ----------------------------------------------------------


def compared(sign: str, left: Array, right: Array) -> Array:
    """Return 1 where the comparison holds, 0 where it does not and NaN where one of the numbers is missing."""
    held = _COMPARES[sign](left, right)
    return np.where(np.isnan(left) | np.isnan(right), np.nan, held)


def both(left: Array, right: Array) -> Array:
    """Return `and`: 0 where one is 0 whatever the other, NaN where it depends on what is missing."""
    return np.where((left == 0) | (right == 0), 0.0, left * right)


def either(left: Array, right: Array) -> Array:
    """Return `or`: 1 where one is 1 whatever the other, NaN where it depends on what is missing."""
    return np.where((left == 1) | (right == 1), 1.0, np.maximum(left, right))


_COMPARES: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
}  # fmt: skip


# --- the functions of the language ------------------------------------------------------------------------------------


def _lag(x: Array, n: int) -> Array:
    """Return the value `n` rows ago."""
    found = np.full(len(x), np.nan)
    found[n:] = x[: max(0, len(x) - n)]
    return found


def _all_of_last(x: Array, n: int) -> Array:
    """Return whether a condition held at each of the last `n` rows, out of whether it did at 1, 2, 4, 8... of them."""
    part, length = x, 1
    while 2 * length <= n:
        part, length = both(part, _lag(part, length)), 2 * length
    return both(part, _lag(part, n - length))


def _cross_above(a: Array, b: Array) -> Array:
    """Return whether `a` is above `b` and was not one row ago."""
    return both(compared(">", a, b), compared("<=", _lag(a, 1), _lag(b, 1)))


def _cross_below(a: Array, b: Array) -> Array:
    return _cross_above(b, a)


def _rising(x: Array, n: int) -> Array:
    """Return whether each of the last `n` values is above the one before it."""
    return _all_of_last(compared(">", x, _lag(x, 1)), n)


def _falling(x: Array, n: int) -> Array:
    return _rising(-x, n)


def _between(x: Array, low: Array, high: Array) -> Array:
    return both(compared(">=", x, low), compared("<=", x, high))


def _none(**_: Value) -> int:
    return 0


def _one(**_: Value) -> int:
    return 1


_ONE = (Parameter("n", default=1),)
_REGISTERED = (
    Function("abs", ("x",), None, (), _none, np.abs),
    Function("between", ("x", "low", "high"), Kind.CONDITION, (), _none, _between),
    Function("cross_above", ("a", "b"), Kind.CONDITION, (), _one, _cross_above),
    Function("cross_below", ("a", "b"), Kind.CONDITION, (), _one, _cross_below),
    Function("falling", ("x",), Kind.CONDITION, _ONE, lambda n: n, _falling),
    Function("lag", ("x",), None, _ONE, lambda n: n, _lag, any_kind=True),
    Function("max", ("a", "b"), None, (), _none, lambda *x: functools.reduce(np.maximum, x), more=True),
    Function("min", ("a", "b"), None, (), _none, lambda *x: functools.reduce(np.minimum, x), more=True),
    Function("rising", ("x",), Kind.CONDITION, _ONE, lambda n: n, _rising),
)
LANGUAGE: dict[str, Function] = {one.name: one for one in _REGISTERED}
_LEAST = {"lag": 0}
_MOST = 1_000_000  # rows


def arguments_of(call: Call) -> tuple[tuple[Node, ...], dict[str, Value]]:
    """Return the columns and parameters of a checked call, what was left out filled in."""
    function = function_of(call.function)
    assert function is not None  # the tree was checked
    columns = call.columns or tuple(Column(name) for name in function.inputs)
    given = dict(zip((one.name for one in function.parameters), call.parameters, strict=False)) | dict(call.named)
    found: dict[str, Value] = {}
    for one in function.parameters:
        value = constant_of(given[one.name]) if one.name in given else one.default
        assert value is not None  # the tree was checked
        found[one.name] = int(value) if one.whole else float(value)
    return columns, found


def constant_of(node: Node) -> Value:
    """Return the value of a constant.

    Raises
    ------
    ArithmeticError
        If it has none: a division by 0, or a number too large.
    """
    match node:
        case Number(value) | Named(_, value):
            return value
        case Negative(operand):
            return -constant_of(operand)
        case Arithmetic(sign, left, right):
            return _finite(_ARITHMETIC[sign](constant_of(left), constant_of(right)))
        case Call(function, _, columns):
            return _finite(_OF_CONSTANTS[function](constant_of(each) for each in columns))
        case _:
            raise TypeError(f"no constant: {node}")


def _finite(value: Value) -> Value:
    if not abs(value) <= LARGEST:
        raise OverflowError
    return value


LARGEST = 1e300
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip
_OF_CONSTANTS: dict[str, Callable[..., Any]] = {"abs": lambda values: abs(*values), "max": max, "min": min}


def check_parameters(function: Function, parameters: Parameters) -> None:
    """Refuse parameters that the function refuses.

    Raises
    ------
    InputError
        With the function's own reason.
    """
    for one in function.parameters:
        value = parameters[one.name]
        if one.whole and value > _MOST:
            raise InputError(f"{one.name} is at most {_MOST:,} rows", found=value)
        if function.name in LANGUAGE and value < (least := _LEAST.get(function.name, 1)):
            raise InputError(f"{one.name} is a whole number of rows, at least {least}", found=value)
    if function.name not in LANGUAGE:
        row = np.ones(1)
        function.compute(*(row for _ in function.inputs), **parameters)

"""The register of indicators: what each reads, gives and needs, and the door through which every call of one goes.

The door takes Series, float64 arrays or live columns and gives the same kind back; it checks columns and parameters, and during a
sweep it remembers what was computed.
"""

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from atb.errors import InputError, did_you_mean
from atb.features.indicators.columns import Array
from atb.features.indicators.live import Live, Stream

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Column = TypeVar("Column", "pd.Series[float]", Array)
Function = TypeVar("Function", bound=Callable[..., Any])

_MEMORY: ContextVar["OrderedDict[Any, Any] | None"] = ContextVar("indicators", default=None)
_REMEMBERED_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Indicator:
    """An indicator as users, rules and the contract suite see it.

    Parameters
    ----------
    name, family
        Its name, which is the function's, and the kind it is listed under.
    function
        Takes the columns of `inputs` in that order, then parameters by name.
    inputs
        Which columns of the bars it reads, unless it is given others.
    outputs
        Names of its results; with more than one, the function returns a named tuple of columns.
    parameters
        Names and defaults; None where a value must be given.
    bars
        Parameters in, bars needed before a trusted value out; `warmup` fills in the defaults.
    exact
        True if a value is of its warm-up's bars alone, to the last bit; False if to one part in a billion (recursive).
    example
        Parameters the contract suite runs it with.
    """

    name: str
    family: str
    function: Callable[..., Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[str, float | None]
    bars: Callable[..., int]
    exact: bool = True
    example: Mapping[str, float] = field(default_factory=dict)

    def warmup(self, **parameters: float) -> int:
        """Return the number of bars that must come before a row for its value to be trusted."""
        return self.bars(**self._complete(parameters))

    def stream(self, **parameters: float) -> Stream:
        """Return the live form: `update` takes the next closed bar's values of `inputs` and returns the newest value."""
        return Stream(self.function, self.inputs, self.outputs, parameters=self._complete(parameters))

    def _complete(self, parameters: Mapping[str, float]) -> dict[str, Any]:
        if unknown := sorted(parameters.keys() - self.parameters.keys()):
            todo = did_you_mean(unknown[0], self.parameters) if self.parameters else f"{self.name} takes none"
            raise InputError(f"{self.name} has no such parameter", found=unknown[0], todo=todo)
        complete = {**self.parameters, **parameters}
        if missing := [name for name, value in complete.items() if value is None]:
            raise InputError(
                f"{self.name} needs a value for {missing[0]}", todo=f"Give {missing[0]}, it has no default"
            )
        return complete


INDICATORS: dict[str, Indicator] = {}


def indicator(
    *inputs: str,
    family: str,
    warmup: Callable[..., int],
    outputs: tuple[str, ...] = ("value",),
    least: int = 1,
    exact: bool = True,
    example: Mapping[str, float] | None = None,
) -> Callable[[Function], Function]:
    """Register a function over columns as an indicator and put the door in front of it.

    Parameters
    ----------
    inputs
        Names of the bars' columns that are its first arguments; all further arguments are parameters.
    least
        Smallest period (a parameter declared int) that it takes.
    """

    def registered(function: Function) -> Function:
        signature = inspect.signature(function)
        parameters = dict(list(signature.parameters.items())[len(inputs) :])
        entered = _door(function, signature, count=len(inputs), least=least)
        name = function.__name__
        defaults = {key: None if one.default is one.empty else one.default for key, one in parameters.items()}
        INDICATORS[name] = Indicator(
            name, family, entered, inputs, outputs, defaults, warmup, exact, dict(example or {})
        )
        return entered

    return registered


def _door(function: Function, signature: inspect.Signature, *, count: int, least: int) -> Function:
    given = signature.parameters
    names, defaults = tuple(given), {name: one.default for name, one in given.items() if one.default is not one.empty}
    by_place = tuple(name for name in names if given[name].kind is not inspect.Parameter.KEYWORD_ONLY)
    kinds = {name: given[name].annotation for name in names[count:]}

    @wraps(function)
    def entered(*args: Any, **kwargs: Any) -> Any:
        placed = dict(zip(by_place, args, strict=False))
        values = {**defaults, **placed, **kwargs}
        if len(args) > len(by_place) or values.keys() != given.keys() or placed.keys() & kwargs.keys():
            signature.bind(*args, **kwargs)  # raises, and says what is missing or too much
        columns = [values[name] for name in names[:count]]
        parameters = {
            name: _parameter(function.__name__, name, values[name], kind=kind, least=least)
            for name, kind in kinds.items()
        }
        if isinstance(columns[0], Live):
            return _shared(function, columns, parameters)
        return _like(columns[0], _remembered(function, columns, parameters))

    return entered  # type: ignore[return-value]  # wraps keeps the signature


def _parameter(function: str, name: str, value: Any, *, kind: Any, least: int) -> Any:
    """Return a parameter of an indicator: a period (int), or a positive finite number (float)."""
    if kind is int:
        return _period(name, value, least)
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < math.inf:
            raise InputError(f"{function} needs a {name} above 0", found=value)
        return float(value)
    return value


def _period(name: str, n: Any, least: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not least <= n <= 100_000:
        what = f"{name} is a whole number of bars, " if name != "n" else "A period is a whole number of bars, "
        raise InputError(f"{what}{least} to 100,000", found=n)
    return int(n)


def check_bar_counts(owner: object, least: Mapping[str, int]) -> None:
    """Refuse attributes, each with the least it may be, that are no whole number of bars."""
    for name, low in least.items():
        value = getattr(owner, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InputError(f"{name} is a whole number of bars, at least {low}", found=value)


def check_spans(name: str, fast: int, slow: int) -> None:
    """Refuse two spans of which the fast one is not the shorter."""
    if fast >= slow:
        raise InputError(f"{name} needs fast below slow", found=f"fast={fast} slow={slow}")


def _shared(function: Callable[..., Any], columns: list[Live], parameters: Mapping[str, Any]) -> Any:
    """Return an indicator's live columns: in one graph, those of an equal call made before."""
    known, key = columns[0].graph.known, (function, *map(id, columns), *parameters.items())
    if key not in known:
        known[key] = function(*columns, **parameters)
    return known[key]


@contextmanager
def remembered() -> Iterator[None]:
    """Cache each indicator by input and parameters during a sweep; the oldest entries are dropped above 64 MB.

    Inputs are identified by their memory address and kept alive as long as their results.
    """
    token = _MEMORY.set(OrderedDict())
    try:
        yield
    finally:
        _MEMORY.reset(token)


def _remembered(function: Callable[..., Any], columns: list[Any], parameters: Mapping[str, Any]) -> Any:
    memory = _MEMORY.get()
    if memory is None:
        return _computed(function, columns, parameters)
    inputs: list[NDArray[Any]] = [np.asarray(column) for column in columns]
    key = (function, *parameters.items(), *((x.ctypes.data, x.strides, x.shape, x.dtype.str) for x in inputs))
    if key not in memory:
        memory[key] = (inputs, _computed(function, inputs, parameters))
        while len(memory) > 1 and sum(_size(kept) for _, kept in memory.values()) > _REMEMBERED_BYTES:
            memory.popitem(last=False)
    memory.move_to_end(key)
    return memory[key][1]


def _size(found: Any) -> int:
    return sum(part.nbytes for part in found) if isinstance(found, tuple) else int(found.nbytes)


def _computed(function: Callable[..., Any], columns: list[Any], parameters: Mapping[str, Any]) -> Any:
    arrays = [_array(column) for column in columns]
    if len({len(array) for array in arrays}) > 1:
        raise InputError("Columns must be equally long", found=" ".join(str(len(array)) for array in arrays))
    return function(*arrays, **parameters)


def _array(x: Any) -> Array:
    """Return a contiguous float64 copy or view that has no hole after its first value."""
    array = np.ascontiguousarray(x, dtype=np.float64)
    if array.ndim != 1:
        raise InputError("An indicator reads one column", found=f"shape {array.shape}")
    if not (sound := np.isfinite(array)).all():
        bad = ~sound
        leading = int(np.argmin(np.isnan(array))) if not np.isnan(array).all() else len(array)
        if bad[leading:].any():
            row = leading + int(np.argmax(bad[leading:]))
            raise InputError(f"Row {row} has no number", found=float(array[row]), todo="Repair or drop the row first")
    return array


def _like(x: Any, values: Any) -> Any:
    """Return `values` on the index of `x` if it has one."""
    if isinstance(x, np.ndarray) or not hasattr(x, "index"):
        return values
    if isinstance(values, tuple):
        return values._make(_like(x, one) for one in values)  # type: ignore[attr-defined]  # a named tuple
    return type(x)(values, index=x.index, name=x.name, copy=False)

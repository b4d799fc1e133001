"""How a strategy and its predictor go to another process: as sources and plain values, so that nothing they remember goes along."""

import dataclasses
import pickle
import sys
from typing import TYPE_CHECKING, Any

from atb.errors import InputError
from atb.validation.isolated import Source

if TYPE_CHECKING:
    from atb.engine.slot import Slot

_PLAIN = (bool, int, float, str, bytes)


def parts_of(slot: "Slot") -> dict[str, Any]:
    """Return a slot as what another process can make it from."""
    names = [one.name for one in dataclasses.fields(slot) if one.name not in {"strategy", "funding"}]
    values = {name: getattr(slot, name) for name in names} | {"bars": slot.bars.last(0)}
    return {name: _carried(value) for name, value in values.items()} | {"strategy": _source(slot.strategy)}


def _source(strategy: Any) -> Source | bytes:
    """Return a strategy by its class and parameters, so that nothing it remembers comes along; whole where that cannot be done."""
    kind = type(strategy)
    values = _parameters(strategy)
    file = getattr(sys.modules.get(kind.__module__), "__file__", None) or _file_of(kind)
    if values is None or file is None or kind.__module__ == "__main__" or "<" in kind.__qualname__:
        return _carried(strategy)
    return Source(kind.__module__, file, kind.__qualname__, values)


def _file_of(kind: type) -> str | None:
    """Return the file of a class whose module is in no register of modules."""
    return next((code.co_filename for name in ("signals", "features")
                 if (code := getattr(getattr(kind, name, None), "__code__", None)) is not None), None)  # fmt: skip


def _parameters(strategy: Any) -> dict[str, Any] | None:
    """Return the plain values that such an instance is made of, None where it takes others, or is made in another way.

    What is not plain and has a default is left to it: a memory is no parameter.
    """
    if not dataclasses.is_dataclass(strategy):
        return None
    values = {one.name: getattr(strategy, one.name) for one in dataclasses.fields(strategy) if one.init}
    plain = {name: value for name, value in values.items() if _is_plain(value)}
    kind: Any = type(strategy)
    try:
        made = kind(**plain)
    except Exception:  # noqa: BLE001 - then it is no such class
        return None
    return plain if all(getattr(made, name, None) == value for name, value in plain.items()) else None


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(map(_is_plain, value)))


def _carried(value: Any) -> bytes:
    """Return a value as bytes; a class that is in no module, such as one of a notebook's cell, goes along as it is."""
    try:
        if type(value).__module__ != "__main__" and "<" not in type(value).__qualname__:
            return pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError):
        pass
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(value))
    except (pickle.PicklingError, TypeError) as error:
        raise InputError(f"{type(value).__name__} cannot be taken to a process of its own", found=error,
                         todo="Put it into a module, with parameters that are plain values") from error  # fmt: skip

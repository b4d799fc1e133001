"""Sends a strategy and its predictor to another process as sources and plain values, without their memory.

A class of a module goes as the place of its file, a class of a notebook's cell as its text (`atb.validation.cells`). Where there is
neither, or an instance cannot be made from plain values, it goes by value, and what it has kept goes with it, unless that is data.
"""

import dataclasses
import pickle
import sys
from typing import TYPE_CHECKING, Any

from atb.errors import InputError
from atb.validation import cells
from atb.validation.isolated import Source

if TYPE_CHECKING:
    from atb.engine.slot import Slot

_CELL = "cell"  # the module that a cell's text becomes
_PLAIN = (bool, int, float, str, bytes)


def parts_of(slot: "Slot") -> dict[str, Any]:
    """Return the parts from which another process makes the slot."""
    names = [field.name for field in dataclasses.fields(slot) if field.name not in {"strategy", "funding"}]
    values = {name: getattr(slot, name) for name in names} | {"bars": slot.bars.last(0)}
    values["inputs"] = {name: series.part(0, 0) for name, series in slot.handed.items()}
    return {name: _pickled(value) for name, value in values.items()} | {"strategy": _source(slot.strategy)}


def _source(strategy: Any) -> Source | bytes:
    """Return a strategy as class and parameters, without its memory; as a whole pickle if that cannot be done."""
    kind = type(strategy)
    values = _parameters(strategy)
    file = getattr(sys.modules.get(kind.__module__), "__file__", None) or _file_of(kind)
    if values is None or file is None or kind.__module__ == "__main__" or "<" in kind.__qualname__:
        text = None if values is None else cells.text_of(kind)
        if text is None:
            cells.refuse_data(kind)
            return _pickled(strategy)
        return Source(_CELL, None, kind.__name__, values or {}, text)
    return Source(kind.__module__, file, kind.__qualname__, values)


def _file_of(kind: type) -> str | None:
    """Return the file of a class whose module is not in `sys.modules`."""
    return next((code.co_filename for name in ("signals", "features")
                 if (code := getattr(getattr(kind, name, None), "__code__", None)) is not None), None)  # fmt: skip


def _parameters(strategy: Any) -> dict[str, Any] | None:
    """Return the plain values from which an equal instance can be made, or None.

    Fields that are not plain and have a default are left to that default: memory is no parameter.
    """
    if not dataclasses.is_dataclass(strategy):
        return None
    values = {field.name: getattr(strategy, field.name) for field in dataclasses.fields(strategy) if field.init}
    plain = {name: value for name, value in values.items() if _is_plain(value)}
    kind: Any = type(strategy)
    try:
        made = kind(**plain)
    except Exception:  # noqa: BLE001 - then it is no such class
        return None
    return plain if all(getattr(made, name, None) == value for name, value in plain.items()) else None


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(map(_is_plain, value)))


def _pickled(value: Any) -> bytes:
    """Return a value as bytes; a class in no importable module, such as one of a notebook's cell, is pickled by value."""
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

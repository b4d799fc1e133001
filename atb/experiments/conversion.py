"""Values of notebook parameters: from text or Python objects to plain int, float, bool, str, list and dict, or an error.

papermill turns `false` into a true string, `007` into 7, the ticker `NAN` into a float and numpy numbers into text. Here
only the declared type decides, and a value that does not fit is refused.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atb.errors import InputError
from atb.reading import parse_json

Plain = None | bool | int | float | str | list[Any] | dict[str, Any]

INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]*)")
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
NOTHING = ("None", "none", "null")
ADVICE = {
    "tuple": "Use a list",
    "set": "Use a list",
    "frozenset": "Use a list",
    "Decimal": "Use float(value), or str(value) for a parameter declared str",
    "Timestamp": "Use a string: value.isoformat()",
    "datetime": "Use a string: value.isoformat()",
    "date": "Use a string: value.isoformat()",
    "Path": "Use str(path)",
    "PosixPath": "Use str(path)",
    "ndarray": "Use value.tolist()",
}


LONGEST = 65_536  # characters of a value given as text


@dataclass(frozen=True)
class Kind:
    """A declared type: one of `int float bool str list dict`, the type of a list's items, and whether None is allowed."""

    base: str
    item: str | None = None
    optional: bool = False

    def __str__(self) -> str:
        """Return the annotation in Python's notation."""
        text = f"{self.base}[{self.item}]" if self.item else self.base
        return f"{text} | None" if self.optional else text


def convert(name: str, kind: Kind, value: object) -> Plain:
    """Return `value` as a plain value of the declared kind.

    Raises
    ------
    InputError
        If the value does not fit; the message names the parameter, its type and the value.
    """
    value = _plain_scalar(value)
    if isinstance(value, str) and len(value) > LONGEST:
        raise InputError(f"Parameter {name!r} is longer than {LONGEST:,} characters", found=f"{len(value):,}")
    if value is None or (isinstance(value, str) and value in NOTHING and kind.optional):
        if kind.optional:
            return None
        raise _type_error(name, kind, value)
    if kind.base == "list":
        return _list(name, kind, value)
    return _SCALARS[kind.base](name, kind, value)


def _type_error(name: str, kind: Kind, value: object, *, todo: str = "") -> InputError:
    advice = ADVICE.get(type(value).__name__, todo)
    return InputError(f"Parameter {name!r} is declared {kind}", found=value, todo=advice)


def _plain_scalar(value: object) -> object:
    """Return a numpy number as a Python number; papermill would write it as text."""
    item = getattr(value, "item", None)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 and callable(item):
        return item()
    return value


def _bool(name: str, kind: Kind, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise _type_error(name, kind, value, todo="Use true or false")


def _int(name: str, kind: Kind, value: object) -> int:
    if isinstance(value, str) and INTEGER.fullmatch(value) and len(value) <= 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return int(value)
    raise _type_error(
        name, kind, value, todo="Use a whole number of 64 bits: digits only, no leading zero, no underscores"
    )


def _float(name: str, kind: Kind, value: object) -> float:
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = _nearest(value)
    elif isinstance(value, str) and NUMBER.fullmatch(value):
        number = float(value)
    if not math.isfinite(number):
        raise _type_error(name, kind, value, todo="Use a finite number such as 0.5 or 1e-3")
    return number


def _nearest(value: float) -> float:
    """Return the float equal to `value`; NaN for an integer that has none."""
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if number == value else math.nan


def _str(name: str, kind: Kind, value: object) -> str:
    if not isinstance(value, str):
        raise _type_error(name, kind, value)
    text = str.__str__(value)
    if "\0" in text or not _is_encodable(text):
        raise _type_error(name, kind, value, todo="Use text without NUL and lone surrogates")
    return text


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _list(name: str, kind: Kind, value: object) -> list[Any]:
    items = value
    if isinstance(value, str):
        items = _json(name, kind, value) if value.lstrip().startswith("[") or not kind.item else value.split(",")
    if not isinstance(items, list):
        raise _type_error(name, kind, value, todo="Use [1, 2] or 1,2")
    if kind.item is None:
        return [_plain(name, kind, item) for item in items]
    item_kind = Kind(kind.item)
    return [_item(name, item_kind, item.strip() if isinstance(item, str) else item) for item in items]


def _item(name: str, kind: Kind, item: object) -> Plain:
    if item == "":
        raise InputError(f"An item of the list {name!r} is empty", todo="Use [] for an empty list")
    return convert(name, kind, item)


def _dict(name: str, kind: Kind, value: object) -> dict[str, Any]:
    found = _json(name, kind, value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise _type_error(name, kind, value, todo='Use a JSON object such as {"fast": 10}')
    plain = _plain(name, kind, found)
    assert isinstance(plain, dict)
    return plain


def _plain(name: str, kind: Kind, value: object) -> Plain:
    """Return a nested value of JSON types only: no NaN, and only text as keys."""
    value = _plain_scalar(value)
    if isinstance(value, dict):
        wrong = next((key for key in value if not isinstance(key, str)), None)
        if wrong is not None:
            raise InputError(f"Keys inside parameter {name!r} must be text", found=wrong, todo=f"Use {str(wrong)!r}")
        return {_str(name, kind, key): _plain(name, kind, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(name, kind, item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    for types, to in ((str, _str), (int, _int), (float, _float)):
        if isinstance(value, types):
            return to(name, kind, value)
    raise _type_error(name, kind, value)


def _json(name: str, kind: Kind, text: str) -> object:
    try:
        return parse_json(text)
    except ValueError as error:
        raise _type_error(name, kind, text, todo=f"That is not JSON: {error}") from None


_SCALARS: dict[str, Callable[[str, Kind, object], Plain]] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": _str,
    "dict": _dict,
}

"""Checks of a policy's values, each refused with one clear error, and their strict JSON."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, Self

from atb.errors import InputError, did_you_mean


class Values:
    """Strict JSON for frozen dataclasses of plain values; tuples become lists there and back."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return {name: _plain(value) for name, value in asdict(self).items()}  # type: ignore[call-overload] # a dataclass

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what `to_json` wrote; an unknown name is an error."""
        known = [field.name for field in fields(cls)]  # type: ignore[arg-type] # a dataclass
        for name in values:
            if name not in known:
                raise InputError(f"{cls.__name__} has no {name!r}", todo=did_you_mean(name, known))
        return cls(**values)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def check_number(name: str, value: Any, *, low: float, high: float, optional: bool = False) -> None:
    """Refuse a value that is no finite number in [low, high]; None passes where the rule is optional."""
    if value is None and optional:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # NaN is in no range; a whole number of any length can be compared
        bounds = f"a number from {low} to {high}" + (", or None for off" if optional else "")
        raise InputError(f"{name} must be {bounds}", found=value)


def check_count(name: str, value: Any, *, low: int = 0) -> None:
    """Refuse a value that is no whole number of at least `low`, or has more than 64 bits."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value < 1 << 63:
        raise InputError(f"{name} must be a whole number of at least {low}", found=value)


def check_flag(name: str, value: Any) -> None:
    """Refuse a value that is neither True nor False."""
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false", found=value)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices, naming the nearest."""
    if value not in choices:
        raise InputError(
            f"{name} must be one of {', '.join(choices)}", found=value, todo=did_you_mean(str(value), choices)
        )


def check_pairs(name: str, pairs: Any, meaning: str, *, most: int) -> tuple[tuple[float, float], ...]:
    """Return pairs (level, share in [0, 1]) of ascending levels above 0 as tuples, or refuse them."""
    wrong = f"{name} must be at most {most} pairs {meaning}, nearest first"
    try:
        found = tuple((level, share) for level, share in pairs)
    except (TypeError, ValueError) as error:
        raise InputError(wrong, found=pairs) from error
    levels = [level for level, _ in found]
    for level, share in found:
        check_number(f"{name}: each level", level, low=1e-6, high=1000.0)
        check_number(f"{name}: each share", share, low=0.0, high=1.0)
    if len(found) > most or levels != sorted(set(levels)):
        raise InputError(wrong, found=pairs)
    return found


def clock_minutes(session: Any) -> tuple[int, int]:
    """Return the minutes of the UTC day of a session ("HH:MM", "HH:MM"), or refuse it."""
    try:
        start, end = (_minute(text) for text in session)
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError('session must be two UTC times ("HH:MM", "HH:MM")', found=session) from error
    if start == end:
        raise InputError("A session must end at another time than it starts", found=session)
    return start, end


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        raise ValueError(text)
    return int(hours) * 60 + int(minutes)

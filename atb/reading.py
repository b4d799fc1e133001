"""Reading what others may have written: regular files of bounded size, and JSON that nothing further on stumbles over.

A few bytes can be made to cost a process its memory or its stack: a device instead of a file, brackets 50,000 deep, a whole number
of 400 digits that no float holds. Whoever reads a manifest, a card, parameters or rules reads them here, so that one sentence is
said instead. Errors are `ValueError`s that say what was wrong; who reads says which file it was and what to do.
"""

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

MIB = 1 << 20
DEEPEST = 64  # levels of lists and objects in each other; what atb writes has at most ten
_LARGEST = 1 << 63


def read_file(path: Path, *, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no regular file, or is larger.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        found = stat.S_IFMT(os.fstat(file.fileno()).st_mode)
        if found != stat.S_IFREG:
            raise ValueError("it is no regular file")
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {_size(most)}")
    return content


def parse_json(text: bytes | str) -> Any:
    """Return what JSON text says: finite numbers, whole ones within 64 bits, no key twice, not deeper than `DEEPEST` levels.

    Raises
    ------
    ValueError
        Saying which of this does not hold, or where the text is no JSON in UTF-8.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        found = json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_unique
        )
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    _check(found)
    return found


def read_json(path: Path, *, most: int = MIB) -> Any:
    """Return what a JSON file says: `parse_json` of `read_file`, with their errors."""
    return parse_json(read_file(path, most=most))


def _without_waiting(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count // 1024} KiB"


def _whole(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else _LARGEST
    if not -_LARGEST <= number < _LARGEST:
        raise ValueError(f"a whole number has {len(digits)} digits, and at most 64 bits are read")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is no finite number")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it holds the key {next(name for name in names if names.count(name) > 1)[:40]!r} twice")
    return found


def _check(found: Any) -> None:
    """Refuse what is nested too deep, and text that is no Unicode; without recursion, whose depth is the question."""
    waiting = [(found, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            value.encode()  # half a pair of surrogates is a UnicodeEncodeError, which is a ValueError
        elif isinstance(value, dict | list):
            if depth > DEEPEST:
                raise ValueError(f"it is nested deeper than {DEEPEST} levels")
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            waiting += [(one, depth + 1) for one in inner]

"""Reads untrusted files: regular files of bounded size, and JSON with bounded depth and numbers.

A few bytes can exhaust a process's memory or stack: a device instead of a file, brackets nested 50,000 deep, an integer of 400
digits that no float holds. Manifests, model cards, parameters and rules are read here, so that such input ends in one clear
sentence. Errors are `ValueError`s that say what was wrong; the caller adds which file it was and what to do.
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


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a regular file of at most `max_bytes` bytes.

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
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it is larger than {_size(max_bytes)}")
    return content


def parse_json(text: bytes | str) -> Any:
    """Parse JSON with finite numbers, integers of at most 64 bits, no duplicate key, and at most `DEEPEST` levels.

    Raises
    ------
    ValueError
        If a limit is broken (the message says which), or the text is no JSON in UTF-8.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        found = json.loads(
            text, parse_int=_integer, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_unique
        )
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    _check_depth_and_text(found)
    return found


def read_json(path: Path, *, max_bytes: int = MIB) -> Any:
    """Read and parse a JSON file: `parse_json` of `read_file`, with their errors."""
    return parse_json(read_file(path, max_bytes=max_bytes))


def _without_waiting(path: str, flags: int) -> int:
    """Open without blocking on a named pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count // 1024} KiB"


def _integer(digits: str) -> int:
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


def _check_depth_and_text(found: Any) -> None:
    """Refuse deep nesting and text that is no valid Unicode; written as a loop, because recursion is what deep nesting breaks."""
    waiting = [(found, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            value.encode()  # half a pair of surrogates is a UnicodeEncodeError, which is a ValueError
        elif isinstance(value, dict | list):
            if depth > DEEPEST:
                raise ValueError(f"it is nested deeper than {DEEPEST} levels")
            children = [*value, *value.values()] if isinstance(value, dict) else value
            waiting += [(child, depth + 1) for child in children]

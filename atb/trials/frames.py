"""The form of the ledger's files: frames one after another, each with its length and checksum, read past what is broken.

A frame is `MAGIC`, the sizes of header and body and their CRC-32 (three unsigned words of 32 bits, little-endian), the header
(JSON, deflated), and the body: arrays whose types and lengths the header names. A frame that a killed process or a full disk left
unfinished ends at the next `MAGIC`; what lies between is counted as broken.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORM = 1  # of the headers that are written
LOST = "lost"  # kind of a frame that only says how many trials could not be recorded
MAGIC = b"\x93ATBTRY1"
_SIZES = struct.Struct("<III")
_SMALL = (1, zlib.DEFLATED, 12, 4)  # level, method, window and memory of deflate: a kilobyte needs no more


@dataclass(frozen=True)
class Frame:
    """Trials that were made together: what they share as JSON types, and one array for each figure of theirs."""

    header: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def packed(frame: Frame) -> bytes:
    """Return the bytes of a frame."""
    layout = [[name, array.dtype.str, list(array.shape)] for name, array in frame.arrays.items()]
    text = json.dumps({**frame.header, "arrays": layout}, separators=(",", ":"))
    header = _deflated(text.encode())
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in frame.arrays.values())
    return b"".join((MAGIC, _SIZES.pack(len(header), len(body), zlib.crc32(body, zlib.crc32(header))), header, body))


def _deflated(text: bytes) -> bytes:
    """Return text deflated with little memory: to clear zlib's usual 256 KiB takes ten times as long as the work."""
    deflate = zlib.compressobj(*_SMALL)
    return deflate.compress(text) + deflate.flush()


def unpacked(content: bytes) -> Iterator[tuple[Frame | None, int]]:
    """Yield the frames of a file in order, each with where it ends; None wherever one is broken, up to where the next begins."""
    at = 0
    while at < len(content):
        found, end = _frame_at(content, at)
        at = end if found is not None else _next(content, at)
        yield found, at


def _next(content: bytes, at: int) -> int:
    found = content.find(MAGIC, at + 1)
    return len(content) if found < 0 else found


def _frame_at(content: bytes, at: int) -> tuple[Frame | None, int]:
    """Return the frame that begins at a byte, and where it ends; None if none does."""
    first = at + len(MAGIC) + _SIZES.size
    if content[at : at + len(MAGIC)] != MAGIC or first > len(content):
        return None, at
    header_size, body_size, checksum = _SIZES.unpack_from(content, at + len(MAGIC))
    middle, end = first + header_size, first + header_size + body_size
    if end > len(content) or zlib.crc32(memoryview(content)[first:end]) != checksum:
        return None, at
    try:
        return _parsed(content[first:middle], memoryview(content)[middle:end]), end
    except (ValueError, KeyError, TypeError, zlib.error):
        return None, at


def _parsed(header: bytes, body: memoryview) -> Frame:
    found = json.loads(zlib.decompress(header))
    arrays, at = {}, 0
    for name, kind, shape in found.pop("arrays"):
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(body, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return Frame(found, arrays)

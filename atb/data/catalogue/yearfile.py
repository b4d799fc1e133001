"""One Parquet file of the catalogue: a year of bars with its own description and checksums over every byte.

The key-value metadata hold symbol, timeframe, venue, source, seed, gaps, first and last open, fingerprint, coding (`packing`),
groups and checksum. The fingerprint is that of the bars (`Bars.fingerprint`). Rows lie in groups, each with its own SHA-256 in the
description; the checksum is that of all bytes outside the groups, its own 64 digits read as zeros. So one byte changed anywhere is
found, and a short period is read, and verified, without the rest of the file. Files of format 1 had doubles and one checksum over
everything: they are read as before, and written anew in format 2 when bars are added.
"""

import hashlib
import io
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from atb.data.catalogue.gaps import Gap, edges_of, gaps_of
from atb.data.catalogue.packing import Coding, pack, unpack
from atb.data.catalogue.sealing import BLANK, KEY, checksum_at, unbroken
from atb.domain import BAR_COLUMNS, Bars, Symbol, Timeframe
from atb.domain.bars import SYNTHETIC, bar_index
from atb.errors import DataError
from atb.times import at_ms, in_ms

FORMAT, OLD_FORMAT = "2", "1"
ROWS = 32_768
"""Rows of a group: 23 days of minutes."""
_TAIL = 64 * 1024  # bytes from a file's end that usually hold all of its description
_MANY = 150_000  # rows from which reading on two threads pays
_OLD_SCHEMA = pa.schema([("timestamp", pa.timestamp("ms", "UTC")), *((name, pa.float64()) for name in BAR_COLUMNS)])
_UNREADABLE = (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError)


class Group(NamedTuple):
    """Rows that lie together: the first open (epoch ms), their number, their bytes [start, end), the close before, the SHA-256.

    `step` is the time from each open to the next (ms), 0 where it differs: with it the times need not be decoded.
    """

    first_ms: int
    rows: int
    start: int
    end: int
    base: int
    sha256: str
    step: int = 0


@dataclass(frozen=True)
class YearFileHeader:
    """A year file's description of itself.

    Parameters
    ----------
    symbol, timeframe, venue
        What the bars are of.
    rows, first, last
        Number of bars, and the open times of the first and the last one.
    edges
        Edges of the accepted gaps that end in this file, first missing open and first open after it by turns, epoch ms: each gap is
        kept with the bar that follows it.
    source
        Where the bars came from: a file's name, an exchange's address, the generator.
    seed
        The generator's seed, of synthetic bars only.
    fingerprint
        `Bars.fingerprint` of this file's bars.
    coding, groups
        How the columns are stored and where each group of rows lies; None and empty in format 1.
    """

    symbol: Symbol
    timeframe: Timeframe
    venue: str
    rows: int
    first: pd.Timestamp
    last: pd.Timestamp
    edges: tuple[int, ...]
    source: str
    seed: int | None
    fingerprint: str
    coding: Coding | None = None
    groups: tuple[Group, ...] = ()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Return the accepted gaps that end in this file."""
        return gaps_of(*np.array(self.edges, dtype=np.int64).reshape(-1, 2).T)


@dataclass(frozen=True)
class Loaded:
    """Bars of some year files: the headers, the bars, the groups of rows they came in, and how many bytes were read."""

    headers: tuple[YearFileHeader, ...]
    frame: pd.DataFrame
    groups: tuple[Group, ...]
    read: int


def encode(bars: Bars, *, source: str, seed: int | None) -> bytes:
    """Return the file's bytes; equal arguments give equal bytes."""
    packed = pack(bars.frame, bars.opened_ms, rows=ROWS)
    sink, groups = io.BytesIO(), []
    # Statistics would only repeat what the file holds already; with the Arrow schema decimals are read at their own width.
    with pq.ParquetWriter(
        sink,
        packed.groups[0][0].schema,
        compression="lz4",
        use_dictionary=packed.coding.dictionaries,
        column_encoding=packed.coding.encodings,
        store_decimal_as_integer=True,
        store_schema=True,
        write_statistics=False,
    ) as writer:
        for table, base in packed.groups:
            start = sink.tell() or len(b"PAR1")
            writer.write_table(table, row_group_size=ROWS)
            digest = hashlib.sha256(sink.getbuffer()[start:]).hexdigest()
            opened = table["timestamp"].to_numpy().view(np.int64)
            steps = np.unique(np.diff(opened))
            step = int(steps[0]) if len(steps) == 1 else 0
            groups.append(Group(int(opened[0]), table.num_rows, start, sink.tell(), base, digest, step))
        writer.add_key_value_metadata(
            {
                **_metadata(bars, source, seed),
                "atb.coding": json.dumps(packed.coding.to_json()),
                "atb.groups": json.dumps([list(group) for group in groups]),
                KEY: BLANK.decode(),
            }
        )
    return _sealed(sink.getvalue(), groups[-1].end)


def read_year(path: Path) -> tuple[YearFileHeader, pd.DataFrame]:
    """Read a file, verified to the byte.

    Raises
    ------
    DataError
        If the file is missing, damaged, or not of the catalogue; the message names it.
    """
    loaded = read_years([path])
    return loaded.headers[0], loaded.frame


def read_years(paths: Sequence[Path], since_ms: int | None = None, until_ms: int | None = None) -> Loaded:
    """Read files, one after the other in time, and of them the groups of rows that reach into [since, until), verified.

    Raises
    ------
    DataError
        As for `read_year`.
    """
    with ExitStack() as stack:
        return _read([_open(path, since_ms, until_ms, stack=stack) for path in paths])


def _read(files: "list[_Opened]") -> Loaded:
    """Decode the groups of files into one table."""
    rows = sum(group.rows for file in files for group in file.groups)
    times, block = np.empty(rows, dtype=np.int64), np.empty((len(BAR_COLUMNS), rows))
    tasks, at = [], 0
    for file in files:
        for group in file.groups:
            tasks.append((file, group, slice(at, at + group.rows)))
            at += group.rows
    if rows >= _MANY and (os.cpu_count() or 1) > 1:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda task: _decode(*task, into=(times, block)), tasks))
    else:
        for task in tasks:
            _decode(*task, into=(times, block))
    index = bar_index(times)
    frame = pd.DataFrame(block.T, index=index, columns=list(BAR_COLUMNS), copy=False)
    groups = tuple(group for file in files for group in file.groups)
    return Loaded(tuple(file.header for file in files), frame, groups, sum(file.read for file in files))


def read_header(path: Path) -> YearFileHeader:
    """Read the file's description, without its bars.

    Raises
    ------
    DataError
        If the file is missing or its end is damaged.
    """
    try:
        with path.open("rb") as file:
            tail = _tail(file, path)
        return _header(tail.metadata)
    except (DataError, *_UNREADABLE) as error:
        raise _unreadable(path) from error


def whole_file(header: YearFileHeader) -> Group:
    """Return all rows of a file of format 1 as one group, whose bytes are not known apart."""
    return Group(in_ms(header.first), header.rows, 0, 0, 0, "")


def empty_frame() -> pd.DataFrame:
    """Return a frame of bars without any."""
    return pd.DataFrame({name: pd.Series(dtype="float64") for name in BAR_COLUMNS}, index=bar_index([]))


@dataclass(frozen=True)
class _Tail:
    """The end of a file, from the last group on: its bytes, where they begin, the file's size, and the description in them."""

    content: bytes
    start: int
    size: int
    metadata: Any


@dataclass(frozen=True)
class _Opened:
    """An open file (`source`) with its verified description; each group's bytes are read to where they stand in `content`."""

    path: Path
    header: YearFileHeader
    groups: tuple[Group, ...]
    metadata: Any
    content: bytes | bytearray
    read: int
    source: Any = None


def _open(path: Path, since_ms: int | None, until_ms: int | None, *, stack: ExitStack) -> _Opened:
    """Open a file until the stack ends, verify its description, and choose the groups that reach into [since, until)."""
    try:
        file = stack.enter_context(path.open("rb"))
        tail = _tail(file, path)
        header = _header(tail.metadata)
        if not header.groups:
            file.seek(0)
            return _opened_old(path, header, file.read())
        groups = _reaching(header.groups, since_ms, until_ms)
        content = bytearray(tail.size)
        content[tail.start :] = tail.content
    except _UNREADABLE as error:
        raise _unreadable(path) from error
    read = len(tail.content) + sum(group.end - group.start for group in groups)
    return _Opened(path, header, groups, tail.metadata, content, read, file)


def _opened_old(path: Path, header: YearFileHeader, content: bytes) -> _Opened:
    """Return a file of format 1 as one group: its only checksum is over everything."""
    if not unbroken(content):
        raise _changed(path)
    return _Opened(path, header, (whole_file(header),), None, content, len(content))


def _tail(file: Any, path: Path) -> _Tail:
    """Read a file's end back to the last byte of its rows, and check the checksum over that.

    Raises
    ------
    DataError
        If the end is damaged, or the file was not written by the catalogue.
    """
    size = file.seek(0, os.SEEK_END)
    length = min(size, _TAIL)
    content = _last(file, size, length)
    needed = int.from_bytes(content[-8:-4], "little") + 8
    if content[-4:] != b"PAR1" or needed > size:
        raise DataError("This file was not written by the catalogue, or is damaged", found=str(path), todo=_todo(path))
    if needed > length:
        content = _last(file, size, needed)
    metadata = pq.read_metadata(pa.BufferReader(content))
    pairs = metadata.metadata or {}
    if KEY.encode() not in pairs:
        raise DataError("This file was not written by the catalogue, or is damaged", found=str(path), todo=_todo(path))
    if pairs.get(b"atb.format") == OLD_FORMAT.encode():
        return _Tail(content, size - len(content), size, metadata)
    ends = json.loads(pairs[b"atb.groups"])[-1][3]
    file.seek(0)
    begin = file.read(len(b"PAR1"))
    content = content[-(size - ends) :] if size - ends <= len(content) else _last(file, size, size - ends)
    if _footer_checksum(begin, content) != pairs[KEY.encode()].decode():
        raise _changed(path)
    return _Tail(content, ends, size, metadata)


def _last(file: Any, size: int, length: int) -> bytes:
    file.seek(size - length)
    content: bytes = file.read(length)
    return content


def _reaching(groups: tuple[Group, ...], since_ms: int | None, until_ms: int | None) -> tuple[Group, ...]:
    first = 0
    if since_ms is not None:
        first = max(sum(group.first_ms <= since_ms for group in groups) - 1, 0)
    end = len(groups) if until_ms is None else sum(group.first_ms < until_ms for group in groups)
    return groups[first : max(end, first)]


def _decode(file: _Opened, group: Group, rows: slice, *, into: tuple[Any, Any]) -> None:
    """Verify a group's bytes and write its rows into their places of times and block."""
    times, block = into[0][rows], into[1][:, rows]
    try:
        if file.header.coding is None:
            table = pq.read_table(pa.BufferReader(file.content), schema=_OLD_SCHEMA)
            times[:] = table["timestamp"].to_numpy().view(np.int64)
            for name, row in zip(BAR_COLUMNS, block, strict=True):
                row[:] = table[name].to_numpy()
            return
        with memoryview(file.content)[group.start : group.end] as place:
            os.preadv(file.source.fileno(), [place], group.start)
            if hashlib.sha256(place).hexdigest() != group.sha256:
                raise _changed(file.path)
        source = pq.ParquetFile(pa.BufferReader(pa.py_buffer(file.content)), metadata=file.metadata, pre_buffer=False)
        coding, number = file.header.coding, file.header.groups.index(group)
        names = [*coding.names] if group.step else ["timestamp", *coding.names]
        table = source.read_row_group(number, columns=names, use_threads=False)
        unpack(table, coding, group.base, times=times, block=block)
        if group.step:
            times[:] = np.arange(group.first_ms, group.first_ms + group.rows * group.step, group.step)
    except _UNREADABLE as error:
        raise _unreadable(file.path) from error


def _todo(path: Path) -> str:
    """Return the advice for a damaged file; its path names the venue."""
    if SYNTHETIC in path.parts[-4:-3]:
        return "Make the synthetic market again: `atb data sample`"
    return "Import or download the series again, or restore the file from a backup"


def _unreadable(path: Path) -> DataError:
    return DataError("A file of the catalogue cannot be read", found=str(path), todo=_todo(path))


def _changed(path: Path) -> DataError:
    return DataError("A file of the catalogue has changed since it was written", found=str(path), todo=_todo(path))


def _sealed(content: bytes, end: int) -> bytes:
    """Write the checksum over the first four bytes and all from `end` on into its place there."""
    tail = content[end:]
    at = end + checksum_at(tail)
    return content[:at] + _footer_checksum(content[:4], tail).encode() + content[at + len(BLANK) :]


def _footer_checksum(begin: bytes, tail: bytes) -> str:
    at = checksum_at(tail)
    return hashlib.sha256(begin + tail[:at] + BLANK + tail[at + len(BLANK) :]).hexdigest()


def _metadata(bars: Bars, source: str, seed: int | None) -> dict[str, str]:
    opened = bars.opened_ms
    return {
        "atb.format": FORMAT,
        "atb.symbol": str(bars.symbol),
        "atb.timeframe": str(bars.timeframe),
        "atb.venue": bars.venue,
        "atb.label": bars.label,
        "atb.source": source,
        "atb.seed": json.dumps(seed),
        "atb.first": str(opened[0]),
        "atb.last": str(opened[-1]),
        "atb.gaps": json.dumps(np.diff(edges_of(bars.gaps).ravel(), prepend=0).tolist(), separators=(",", ":")),
        "atb.fingerprint": bars.fingerprint,
    }


def _header(metadata: Any) -> YearFileHeader:
    pairs = {key.decode(): value.decode() for key, value in (metadata.metadata or {}).items()}
    if pairs["atb.format"] not in {FORMAT, OLD_FORMAT}:
        raise ValueError(pairs["atb.format"])
    return YearFileHeader(
        symbol=Symbol.parse(pairs["atb.symbol"]),
        timeframe=Timeframe.parse(pairs["atb.timeframe"]),
        venue=pairs["atb.venue"],
        rows=metadata.num_rows,
        first=at_ms(int(pairs["atb.first"])),
        last=at_ms(int(pairs["atb.last"])),
        edges=tuple(_edges(json.loads(pairs["atb.gaps"]), pairs["atb.format"]).tolist()),
        source=pairs["atb.source"],
        seed=json.loads(pairs["atb.seed"]),
        fingerprint=pairs["atb.fingerprint"],
        coding=Coding.from_json(json.loads(pairs["atb.coding"])) if "atb.coding" in pairs else None,
        groups=tuple(Group(*values) for values in json.loads(pairs.get("atb.groups", "[]"))),
    )


def _edges(stored: Any, form: str) -> Any:
    """Return the edges of gaps: format 1 holds them in pairs, format 2 the step from each to the next."""
    numbers = np.array(stored, dtype=np.int64).ravel()
    return numbers if form == OLD_FORMAT else np.cumsum(numbers)

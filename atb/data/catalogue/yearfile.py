"""One Parquet file of the catalogue: a year of bars with its own description and a checksum over every byte.

The key-value metadata hold symbol, timeframe, venue, source, seed, gaps, first and last open, fingerprint and checksum.
The fingerprint is that of the bars (`Bars.fingerprint`). The checksum is the SHA-256 of the whole file with the
checksum's own 64 digits read as zeros, so that one byte changed anywhere, data or metadata, is found.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from atb.data.catalogue.gaps import Gap, edges_of, gaps_of
from atb.domain import BAR_COLUMNS, Bars, Symbol, Timeframe
from atb.domain.bars import SYNTHETIC, bar_index
from atb.errors import DataError
from atb.times import at_ms

FORMAT = "1"
_BLANK = b"0" * 64
_CHECKSUM = re.compile(rb"atb\.checksum[^0-9a-f]{1,8}?([0-9a-f]{64})", re.DOTALL)
_SCHEMA = pa.schema([("timestamp", pa.timestamp("ms", "UTC")), *((name, pa.float64()) for name in BAR_COLUMNS)])


@dataclass(frozen=True)
class YearFileHeader:
    """A year file's description of itself.

    Parameters
    ----------
    symbol, timeframe, venue
        What the bars are of.
    rows, first, last
        Number of bars, and the open times of the first and the last one.
    gaps
        Accepted gaps that end in this file: each is kept with the bar that follows it.
    source
        Where the bars came from: a file's name, an exchange's address, the generator.
    seed
        The generator's seed, of synthetic bars only.
    fingerprint
        `Bars.fingerprint` of this file's bars.
    """

    symbol: Symbol
    timeframe: Timeframe
    venue: str
    rows: int
    first: pd.Timestamp
    last: pd.Timestamp
    gaps: tuple[Gap, ...]
    source: str
    seed: int | None
    fingerprint: str


def encode(bars: Bars, *, source: str, seed: int | None) -> bytes:
    """Return the file's bytes; equal arguments give equal bytes."""
    columns = [pa.array(bars.opened_ms, pa.timestamp("ms", "UTC"))]
    columns += [pa.array(np.ascontiguousarray(bars.frame[name], dtype=np.float64)) for name in BAR_COLUMNS]
    sink = pa.BufferOutputStream()
    # Statistics and the Arrow schema would only repeat what the file holds already.
    with pq.ParquetWriter(sink, _SCHEMA, compression="zstd", store_schema=False, write_statistics=False) as writer:
        writer.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA))
        writer.add_key_value_metadata(_metadata(bars, source, seed))
    content = bytes(sink.getvalue())
    at = _checksum_at(content)
    assert content[at : at + 64] == _BLANK, "the writer put the checksum's place elsewhere"
    return content[:at] + hashlib.sha256(content).hexdigest().encode() + content[at + 64 :]


def read_year(path: Path) -> tuple[YearFileHeader, pd.DataFrame]:
    """Read a file, verified to the byte.

    Raises
    ------
    DataError
        If the file is missing, damaged, or not of the catalogue; the message names it.
    """
    content = _read(path)
    _check_bytes(content, path)
    try:
        table = pq.read_table(pa.BufferReader(content), schema=_SCHEMA)
        header = _header(pq.read_metadata(pa.BufferReader(content)))
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise DataError("A file of the catalogue cannot be read", found=str(path), todo=_todo(path)) from error
    index = bar_index(table["timestamp"].to_numpy())
    return header, pd.DataFrame({name: table[name].to_numpy() for name in BAR_COLUMNS}, index=index)


def read_header(path: Path) -> YearFileHeader:
    """Read the file's description, without its bars.

    Raises
    ------
    DataError
        If the file is missing or its end is damaged.
    """
    try:
        return _header(pq.read_metadata(path))
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise DataError("A file of the catalogue cannot be read", found=str(path), todo=_todo(path)) from error


def empty_frame() -> pd.DataFrame:
    """Return a frame of bars without any."""
    return pd.DataFrame({name: pd.Series(dtype="float64") for name in BAR_COLUMNS}, index=bar_index([]))


def _todo(path: Path) -> str:
    """Return the advice for a damaged file; its path names the venue."""
    if SYNTHETIC in path.parts[-4:-3]:
        return "Make the synthetic market again: `atb data sample`"
    return "Import or download the series again, or restore the file from a backup"


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
        "atb.gaps": json.dumps(edges_of(bars.gaps).tolist()),
        "atb.fingerprint": bars.fingerprint,
        "atb.checksum": _BLANK.decode(),
    }


def _header(metadata: Any) -> YearFileHeader:
    pairs = {key.decode(): value.decode() for key, value in (metadata.metadata or {}).items()}
    if pairs["atb.format"] != FORMAT:
        raise ValueError(pairs["atb.format"])
    return YearFileHeader(
        symbol=Symbol.parse(pairs["atb.symbol"]),
        timeframe=Timeframe.parse(pairs["atb.timeframe"]),
        venue=pairs["atb.venue"],
        rows=metadata.num_rows,
        first=at_ms(int(pairs["atb.first"])),
        last=at_ms(int(pairs["atb.last"])),
        gaps=gaps_of(*np.array(json.loads(pairs["atb.gaps"]), dtype=np.int64).reshape(-1, 2).T),
        source=pairs["atb.source"],
        seed=json.loads(pairs["atb.seed"]),
        fingerprint=pairs["atb.fingerprint"],
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError("A file of the catalogue cannot be read", found=str(path), todo=_todo(path)) from error


def _checksum_at(content: bytes) -> int:
    """Return where the checksum's digits begin: in the footer, so near the end; -1 if there are none."""
    start = content.rfind(b"atb.checksum")
    match = _CHECKSUM.match(content, start) if start >= 0 else None
    return match.start(1) if match else -1


def _check_bytes(content: bytes, path: Path) -> None:
    at = _checksum_at(content)
    if at < 0:
        raise DataError("This file was not written by the catalogue, or is damaged", found=str(path), todo=_todo(path))
    blanked = content[:at] + _BLANK + content[at + 64 :]
    if hashlib.sha256(blanked).hexdigest().encode() != content[at : at + 64]:
        raise DataError("A file of the catalogue has changed since it was written", found=str(path), todo=_todo(path))

"""Bars as whole numbers of their steps: a sixth of the size of text, and exact to the last bit.

A price or volume of a market is a decimal number; its double is the nearest to a whole number of steps, and dividing that whole
number by a power of ten gives the same double again. So a column is stored as decimals, which any reader of Parquet understands,
where every value survives that to the bit, and as doubles where one does not.

Some files hold odd rows, such as averages with ten digits among prices in cents. Decimals fine enough for them would waste space
on all other rows, so prices are then stored relative to each other: the open from the close before, the close from the open, the
high above the higher and the low below the lower of both. Such columns bear other names, so that they are not taken for prices.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from atb.domain import BAR_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Floats = NDArray[np.float64]

_MOST_DIGITS = 10
_SAMPLE = 2_000
_EXACT = 2**53  # whole numbers below it are doubles
_ODD = 0.25  # prices of which at least this share is coarser than the finest are stored relative to each other
_PRICES = BAR_COLUMNS[:4]
_RELATIVE = ("open_from_last_close", "high_above", "low_below", "close_from_open")


@dataclass(frozen=True)
class Coding:
    """How a file holds its columns: digits after the point, None for doubles; whether prices are relative to each other."""

    price: int | None
    volume: int | None
    relative: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"price": self.price, "volume": self.volume, "relative": self.relative}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(values["price"], values["volume"], bool(values["relative"]))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns after `timestamp`."""
        return (*(_RELATIVE if self.relative else _PRICES), "volume")

    @property
    def encodings(self) -> dict[str, str]:
        """Return the Parquet encoding of each column that has no dictionary."""
        kinds = dict.fromkeys(self.names, "DELTA_BINARY_PACKED")
        if self.price is None:
            kinds |= dict.fromkeys(_PRICES, "BYTE_STREAM_SPLIT")
        if self.volume is None:
            kinds |= {"volume": "BYTE_STREAM_SPLIT"}
        return {"timestamp": "DELTA_BINARY_PACKED"} | {
            name: kind for name, kind in kinds.items() if name not in self.dictionaries
        }

    @property
    def dictionaries(self) -> list[str]:
        """Return the columns with a dictionary: the small and often equal distances of relative prices."""
        return list(_RELATIVE) if self.relative else []


@dataclass(frozen=True)
class Packed:
    """Bars ready to be written: their coding, and each group of rows with the close before it in steps."""

    coding: Coding
    groups: list[tuple[pa.Table, int]]


def pack(frame: pd.DataFrame, opened_ms: "Whole", *, rows: int) -> Packed:
    """Return bars in groups of so many rows."""
    columns = {name: np.ascontiguousarray(frame[name], dtype=np.float64) for name in BAR_COLUMNS}
    price, volume = digits([columns[name] for name in _PRICES]), digits([columns["volume"]])
    relative = price is not None and _is_odd(columns["close"], price)
    coding = Coding(price, volume, relative)
    whole = {name: _whole(columns[name], volume if name == "volume" else price) for name in BAR_COLUMNS}
    bases = [0] * -(-len(frame) // rows)
    if relative:
        before = np.concatenate([whole["open"][:1], whole["close"][:-1]])
        bases, whole = before[::rows].tolist(), _relate(whole, before)
    arrays = [pa.array(opened_ms, pa.timestamp("ms", "UTC"))]
    arrays += [_array(column, coding, name) for name, column in zip(coding.names, whole.values(), strict=True)]
    fields = [
        pa.field(name, array.type, nullable=False)
        for name, array in zip(("timestamp", *coding.names), arrays, strict=True)
    ]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    return Packed(coding, [(table.slice(number * rows, rows), base) for number, base in enumerate(bases)])


def unpack(table: pa.Table, coding: Coding, base: int, *, times: "Whole", block: "Floats") -> None:
    """Write one group of rows into `block`, a row for each of `BAR_COLUMNS` (5, N), and their times, if the table has them.

    `times` is (N,), epoch milliseconds.
    """
    columns = [_numbers(table[name]) for name in coding.names]
    if "timestamp" in table.column_names:
        times[:] = _numbers(table["timestamp"])
    if coding.relative:
        columns[:4] = _unrelate(columns, base)
    for column, row, name in zip(columns, block, BAR_COLUMNS, strict=True):
        places = coding.volume if name == "volume" else coding.price
        if places is None:
            row[:] = column
        else:
            np.divide(column, 10.0**places, out=row)


def digits(columns: "list[Floats]") -> int | None:
    """Return the fewest digits after the point with which every value comes back to the bit; None if ten do not suffice."""
    samples = [column[:: max(1, len(column) // _SAMPLE)] for column in columns]
    for places in range(_MOST_DIGITS + 1):
        if all(_survives(sample, places).all() for sample in samples) and all(
            _survives(column, places).all() for column in columns
        ):
            return places
    return None


def _survives(values: "Floats", places: int) -> "NDArray[np.bool_]":
    steps = np.rint(values * 10.0**places)
    small = np.abs(steps) < _EXACT
    back = np.where(small, steps, 0.0).astype(np.int64) / 10.0**places
    return np.asarray(small & (back.view(np.int64) == values.view(np.int64)))


def _is_odd(closes: "Floats", places: int) -> bool:
    """Return whether most prices are two or more digits coarser than the finest."""
    if places < 3:
        return False
    return bool(_survives(closes, places - 2).mean() >= _ODD) and not bool(_survives(closes, places - 1).all())


def _whole(values: "Floats", places: int | None) -> Any:
    return values if places is None else np.rint(values * 10.0**places).astype(np.int64)


def _relate(whole: "dict[str, Whole]", before: "Whole") -> "dict[str, Whole]":
    opened, high, low, close, volume = whole.values()
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    parts = (opened - before, high - top, bottom - low, close - opened, volume)
    return dict(zip((*_RELATIVE, "volume"), parts, strict=True))


def _unrelate(columns: "list[Whole]", base: int) -> "list[Whole]":
    opened, high, low, close, _ = columns
    closes = np.add(opened, close, dtype=np.int64)
    closes[:1] += base
    np.cumsum(closes, out=closes)
    opens = closes - close
    return [opens, np.maximum(opens, closes) + high, np.minimum(opens, closes) - low, closes]


def _array(values: Any, coding: Coding, name: str) -> pa.Array:
    places = coding.volume if name == "volume" else coding.price
    if places is None:
        return pa.array(values)
    small = bool(np.abs(values).max(initial=0) < 10**9)
    values = values.astype(np.int32) if small else values
    if coding.relative and name != "volume":
        return pa.array(values)
    kind = pa.decimal32(9, places) if small and places <= 9 else pa.decimal64(18, places)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(_wide(values, kind))])


def _wide(values: Any, kind: pa.DataType) -> Any:
    return np.ascontiguousarray(values, dtype=np.int32 if kind.bit_width == 32 else np.int64)


def _numbers(column: pa.ChunkedArray) -> Any:
    """Return a column of one chunk without nulls as it lies in memory; decimals as whole numbers of their steps."""
    (chunk,) = column.chunks
    if not pa.types.is_decimal(column.type) and not pa.types.is_timestamp(column.type):
        return chunk.to_numpy()
    values = np.frombuffer(chunk.buffers()[1], dtype=np.dtype(f"i{column.type.bit_width // 8}"))
    return values[chunk.offset : chunk.offset + len(chunk)]

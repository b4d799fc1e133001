"""Parquet, feather and JSON files as tables, as pandas, freqtrade, ccxt and exchanges write them."""

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from atb.data.providers.files.columns import CLOCK, guess_columns, source_notes, symbol_column
from atb.data.providers.files.header_levels import Header, one_level
from atb.data.providers.files.headerless import columns_of
from atb.data.providers.files.table import Table
from atb.data.providers.files.text_layout import NULLS, is_moment
from atb.domain import BAR_COLUMNS, Symbol
from atb.errors import DataError

_SAMPLE = 2_000
_ORDINAL = re.compile(r"^\d+\. ")
_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DAMAGED = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError,
            RuntimeError, MemoryError)  # fmt: skip
"""Errors that the readers raise on damaged files."""


def read_columnar(data: bytes, name: str, symbol: Symbol | None) -> Table:
    """Return a Parquet or feather file as a table; an index of times becomes the column `timestamp`.

    Raises
    ------
    DataError
        If the file is damaged, or a column is not found.
    """
    kind = "Parquet" if data.startswith(b"PAR1") else "feather"
    try:
        frame = _to_frame(data, parquet=kind == "Parquet")
    except _DAMAGED as error:
        raise DataError(
            f"{name} cannot be read: it begins as {kind} and is damaged", todo="Export or download it again"
        ) from error
    levels = [str(level) for level in frame.columns.names if level is not None]
    frame, notes = _one_level(_with_index(frame), symbol, name)
    return _table(frame, name, symbol, notes=[*notes, *source_notes([], levels)])


def read_json(data: bytes, name: str, symbol: Symbol | None) -> Table:
    """Return a JSON file as a table: rows as lists or objects, columns as lists, alone or inside an exchange's answer.

    Raises
    ------
    DataError
        If the text is no JSON, holds no rows, or a column is not found.
    """
    try:
        found = _parse(data)
    except (ValueError, RecursionError, UnicodeDecodeError) as error:
        raise DataError(f"{name} cannot be read as JSON: it is damaged", todo="Export or download it again") from error
    try:
        rows = next(_tables(found), None)
    except RecursionError:
        rows = None
    if not rows:
        raise DataError(
            f"{name} holds no rows of bars", todo="Give JSON such as [[time, open, high, low, close, volume], ...]"
        )
    notes: list[str] = []
    try:
        if isinstance(rows, dict) or isinstance(rows[0], dict):
            frame = pd.DataFrame(rows)
        else:
            width = len(rows[0])
            if (odd := next((at for at, row in enumerate(rows) if len(row) != width), None)) is not None:
                raise DataError(f"Row {odd + 1} of {name} has {len(rows[odd])} values, the first {width}")
            names = columns_of(rows[:_SAMPLE], dated=False, name=name)
            notes.append(f"no names; columns taken as {', '.join(names[:6])}")
            frame = pd.DataFrame(rows, columns=list(names))
    except _DAMAGED as error:
        raise DataError(
            f"{name} cannot be read: its rows differ in kind", todo="Export or download it again"
        ) from error
    frame, more = _one_level(frame, symbol, name)
    return _table(frame, name, symbol, notes=[*notes, *more])


def _to_frame(data: bytes, *, parquet: bool) -> pd.DataFrame:
    table: Any = pq.ParquetFile(BytesIO(data)).read() if parquet else pyarrow.feather.read_table(BytesIO(data))
    try:
        frame: pd.DataFrame = table.to_pandas()
    except _DAMAGED:
        frame = table.to_pandas(ignore_metadata=True)
    return frame


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return an index of times, or one with a name, as the first column."""
    if not isinstance(frame.index, pd.DatetimeIndex):
        return frame.reset_index() if any(frame.index.names) else frame
    label = str(frame.index.name or "timestamp")
    levels = frame.columns.nlevels
    if label in frame.columns.get_level_values(0):
        return frame.reset_index(drop=True)
    first: Any = (label, *[""] * (levels - 1)) if levels > 1 else label
    wide = frame.copy(deep=False)
    wide.insert(0, first, frame.index.to_series(index=frame.index))
    return wide.reset_index(drop=True)


def _one_level(frame: pd.DataFrame, symbol: Symbol | None, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns of one symbol with one name each, and notes."""
    levels = frame.columns.nlevels
    labels = [tuple(map(str, label)) if levels > 1 else (str(label),) for label in frame.columns]
    header = one_level(labels, symbol, name) if labels else Header([], [])
    notes = [f"{levels} levels of columns read as one"] if levels > 1 else []
    return frame.iloc[:, header.kept].set_axis(header.names, axis=1), [*notes, *header.notes]


def _table(frame: pd.DataFrame, name: str, symbol: Symbol | None, *, notes: list[str]) -> Table:
    names = list(frame.columns)
    if not frame.empty and all(label.isdecimal() for label in names):  # numbers are no names
        names = list(columns_of(frame.head(_SAMPLE).to_numpy().tolist(), dated=False, name=name))
        frame, notes = frame.set_axis(names, axis=1), [*notes, f"no names; columns taken as {', '.join(names[:6])}"]
    if frame.empty:
        raise DataError("The file has columns but no rows", found=f"{name}: {', '.join(names[:12])}")
    head = frame.head(_SAMPLE)
    sample = {label: head.iloc[:, at].tolist() for at, label in enumerate(names)}
    columns = guess_columns(names, symbol, sample)
    picked = pd.DataFrame({role: frame[label] for role, label in columns.items()})
    for role in BAR_COLUMNS:
        picked[role] = _numbers(picked[role], columns[role], role)
    if picked["timestamp"].dtype.kind not in "Mmiuf" and picked["timestamp"].map(_may_be_epoch).all():
        picked["timestamp"] = _epochs(picked["timestamp"])
    if CLOCK in picked:
        picked[CLOCK] = picked[CLOCK].astype(str)
    label = symbol_column(names)
    symbols = frame[label].astype(str) if label and label not in columns.values() else None
    notes = list(dict.fromkeys([*notes, *source_notes(names)]))
    others = tuple(name for name in names if name not in columns.values())
    return Table(name, picked, columns, notes, symbols=symbols, others=others)


def _numbers(column: pd.Series, label: str, role: str) -> Any:
    """Return float64 values; text is taken for a number where it is a plain one: exact decimals are often kept so."""
    if column.dtype in {np.dtype("float32"), np.dtype("float16")}:
        return (
            column.to_numpy().astype(str).astype(np.float64)
        )  # 0.1 and not 0.10000000149: the shortest decimal was meant
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if column.isna().all():
        return np.full(len(column), np.nan)
    values = np.array([_number(cell) for cell in column], dtype=object)
    wrong = np.array([value is None for value in values])
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"Column {label!r} ({role}) holds text, not numbers, in row {row + 1}",
            found=str(column.iloc[row])[:40],
            todo="Write plain numbers, such as 47000.10",
        )
    return values.astype(np.float64)


def _may_be_epoch(cell: Any) -> bool:
    return isinstance(cell, str | int | float)


def _number(cell: Any) -> float | None:
    """Return a cell as a number, NaN if it is empty, None if it is none."""
    if cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
        return float("nan")
    if isinstance(cell, str):
        return _number_in_text(cell.strip())
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        return None
    value: Any = cell
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:
        return float("inf")


def _number_in_text(text: str) -> float | None:
    """Return the number that a text holds, NaN for one that means missing, None for any other."""
    if text in NULLS:
        return float("nan")
    return float(text) if _PLAIN.fullmatch(text) else None


def _epochs(column: pd.Series) -> pd.Series:
    """Return times that are all numbers, or texts of numbers, as numbers; others as they are."""
    values = [_number(cell) for cell in column]
    if any(value is None for value in values):
        return column.map(lambda cell: cell if isinstance(cell, str) else str(cell))
    return pd.Series(values, index=column.index, dtype=np.float64)


def _parse(data: bytes) -> Any:
    """Parse JSON, or one JSON object per line."""
    text = data.decode("utf-8-sig")
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def _tables(found: Any, depth: int = 0) -> Iterator[Any]:
    """Yield candidates for the rows: a list of lists or objects, or an object of equally long lists."""
    if depth > 5:
        return
    if isinstance(found, list) and len(found) and isinstance(found[0], list | dict):
        inner = found[0]
        if all(isinstance(row, type(inner)) for row in found) and _is_row(inner):
            yield found
        return
    if isinstance(found, dict):
        yield from _columns(found)
        for value in found.values():
            yield from _tables(value, depth + 1)


def _is_row(inner: Sequence[Any] | dict[str, Any]) -> bool:
    values = list(inner.values()) if isinstance(inner, dict) else list(inner)
    return len(values) > 1 and any(isinstance(value, int | float | str) for value in values)


def _columns(found: dict[str, Any]) -> Iterator[Any]:
    """Yield an object of columns (as TradingView's feeds answer), or the split and column forms of pandas."""
    if isinstance(found.get("columns"), list) and isinstance(found.get("data"), list):
        yield [
            dict(zip(map(str, found["columns"]), row, strict=False)) for row in found["data"] if isinstance(row, list)
        ]
        return
    lists = {key: value for key, value in found.items() if isinstance(value, list) and value}
    if len(lists) >= 5 and len({len(value) for value in lists.values()}) == 1:
        yield lists
    objects = {key: value for key, value in found.items() if isinstance(value, dict) and value}
    if len(objects) >= 5 and len(objects) == len(found) and len({tuple(value) for value in objects.values()}) == 1:
        yield _by_time(objects) or _by_column(objects)


def _by_column(objects: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the columns of an object of columns, each keyed by row; keys that are times become a column."""
    columns = {key: list(value.values()) for key, value in objects.items()}
    rows = list(next(iter(objects.values())))
    times = all(is_moment(row) or re.fullmatch(r"\d{9,19}", row) for row in rows)
    return {"index": rows, **columns} if times else columns


def _by_time(objects: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of an object that is keyed by time (pandas' index form, Alpha Vantage's `1. open`), else none."""
    names = {name: _ORDINAL.sub("", name) for name in next(iter(objects.values()))}
    if not {"open", "high", "low", "close"} <= {name.lower() for name in names.values()}:
        return []
    return [{"timestamp": key, **{names[name]: cell for name, cell in row.items()}} for key, row in objects.items()]

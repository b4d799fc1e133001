"""A CSV or Parquet file as a table, and the table as bars: typed, in UTC, not yet checked."""

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from atb.data.columns import headerless
from atb.data.times import Times, read_times
from atb.domain import BAR_COLUMNS
from atb.errors import DataError


def read_table(file: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return a file's table as it is, and notes on what was skipped or assumed.

    Raises
    ------
    DataError
        If it is empty, or neither CSV nor Parquet.
    """
    if file.stat().st_size == 0:
        raise DataError("The file is empty", found=str(file))
    try:
        if ".parquet" in file.suffixes or ".pq" in file.suffixes:
            table, notes = pq.read_table(file).to_pandas(), list[str]()
        else:
            table, notes = _read_csv(file)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            "The file cannot be read", found=f"{file.name}: {str(error).splitlines()[0]}", todo="Give CSV or Parquet"
        ) from error
    if isinstance(table.index, pd.DatetimeIndex):
        table = table.reset_index(names=table.index.name or "timestamp")
    if table.empty:
        raise DataError("The file has columns but no rows", found=", ".join(map(str, table.columns)))
    return table.rename(columns=str), notes


def _read_csv(file: Path) -> tuple[pd.DataFrame, list[str]]:
    with pa.input_stream(file, compression="detect") as stream:
        content = stream.read()
    notes = []
    first, _, rest = content.partition(b"\n")
    delimiter = max(",;\t", key=lambda mark: content[:4_096].count(mark.encode()))
    if delimiter.encode() not in first and rest:
        notes.append(f"first line skipped: {first.decode(errors='replace').strip()[:60]}")
        content, first = rest, rest.partition(b"\n")[0]
    names = headerless(first.decode("utf-8-sig", errors="replace").strip().split(delimiter))
    if names:
        notes.append(f"no header line; columns taken as {', '.join(names[:6])}")
    table = pa.csv.read_csv(
        io.BytesIO(content),
        read_options=pa.csv.ReadOptions(column_names=names),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter),
        convert_options=pa.csv.ConvertOptions(timestamp_parsers=[], null_values=["", "NaN", "nan", "null", "NULL"]),
    )
    return _timestamps_as_text(table, content, delimiter=delimiter, names=names).to_pandas(), notes


def _timestamps_as_text(table: Any, content: bytes, *, delimiter: str, names: tuple[str, ...] | None) -> Any:
    """Read again with date columns as text: only text shows whether the file itself gave a time zone."""
    dates = [field.name for field in table.schema if pa.types.is_temporal(field.type)]
    if not dates:
        return table
    return pa.csv.read_csv(
        io.BytesIO(content),
        read_options=pa.csv.ReadOptions(column_names=names),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter),
        convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(dates, pa.string()), strings_can_be_null=True),
    )


def bars_frame(table: pd.DataFrame, columns: dict[str, str], *, assume_utc: bool) -> tuple[pd.DataFrame, Times]:
    """Return the table as bars, not yet checked, with its open times and how they were read.

    Parameters
    ----------
    table
        The file's table.
    columns
        The table's column for each of `timestamp open high low close volume`.
    assume_utc
        Whether times without a zone are UTC.

    Raises
    ------
    DataError
        If a time cannot be read as UTC, or a price is text.
    """
    times = read_times(table[columns["timestamp"]], assume_utc=assume_utc)
    index = pd.DatetimeIndex(times.opened_ms.astype("datetime64[ms]"), tz="UTC", name="timestamp").as_unit("us")
    return pd.DataFrame({name: _numbers(table[columns[name]], name) for name in BAR_COLUMNS}, index=index), times


def _numbers(column: pd.Series, name: str) -> Any:
    """Return float64 values, or refuse text by showing the first cell that is no number."""
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if isinstance(column.iloc[0], Decimal):
        return column.astype("float64").to_numpy()
    odd = pd.to_numeric(column, errors="coerce").isna().to_numpy()
    row = int(np.argmax(odd)) if odd.any() else 0
    raise DataError(
        f"Column {column.name!r} ({name}) holds text, not numbers, in row {row + 1}",
        found=str(column.iloc[row]),
        todo="Write plain numbers, such as 47000.10",
    )

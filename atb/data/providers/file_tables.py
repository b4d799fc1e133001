"""A file's bytes as a table, whatever they are, and the table as bars: typed, in UTC, not yet checked."""

import re

import pandas as pd

from atb.data.providers.file_columns import CLOCK, CLOSE_TIMES, names_utc, normal_name
from atb.data.providers.file_contents import Content
from atb.data.providers.file_csv import read_csv
from atb.data.providers.file_frames import read_columnar, read_json
from atb.data.providers.file_table import Table
from atb.data.providers.file_times import Times, read_times
from atb.domain import BAR_COLUMNS, Symbol


def read_table(content: Content, symbol: Symbol | None) -> Table:
    """Return a file's columns of bars; what kind of file it is, its first bytes say.

    Raises
    ------
    DataError
        If it cannot be read, or a column is missing.
    """
    if content.data.startswith((b"PAR1", b"ARROW1", b"FEA1")):
        return read_columnar(content.data, content.name, symbol)
    if re.match(rb"(?:\xef\xbb\xbf)?\s*[\[{]", content.data[:4_096]):
        return read_json(content.data, content.name, symbol)
    return read_csv(content.data, content.name, symbol)


def bars_frame(table: Table, *, zone: str | None) -> tuple[pd.DataFrame, Times]:
    """Return the table as bars in the file's order, not yet checked, with its times and how they were read.

    Parameters
    ----------
    table
        The file's table.
    zone
        The time zone of times that name none; None refuses them.

    Raises
    ------
    DataError
        If a time cannot be read as UTC.
    """
    column = table.columns["timestamp"]
    zone = "UTC" if (named := names_utc(column)) else zone
    clock = table.columns.get(CLOCK)
    called = f"The times in columns {column!r} and {clock!r}" if clock else "The timestamps"
    times = read_times(
        table.frame["timestamp"], clock=table.frame.get(CLOCK), zone=zone, where=table.where, called=called
    )
    note = times.note.replace("as asked", f"as the column's name {column!r} says") if named else times.note
    times = Times(times.opened_ms, note, closes=normal_name(column) in CLOSE_TIMES)
    index = pd.DatetimeIndex(times.opened_ms.astype("datetime64[ms]"), tz="UTC", name="timestamp").as_unit("us")
    return table.frame[list(BAR_COLUMNS)].set_axis(index), times

"""How a text file of bars is laid out: encoding, separator, lines to skip, header, seen in its first lines.

A line is data when at least half of its cells are numbers, times or empty; lines above the first such line are header or
preface. So a comment on top, two header lines, or no header at all need no option.
"""

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from atb.errors import DataError

SAMPLE = 256 * 1024
NULLS = ("", "NaN", "nan", "NAN", "null", "NULL", "None", "NA", "N/A", "n/a", "-", "#N/A", "<NA>")
_SEPARATORS = (",", ";", "\t", "|")
_MOST_LINES = 60  # looked at to tell the separator
_NUMBER = re.compile(r"[+-]?(?:\d[\d.,' \u00a0]*|\.\d+)(?:[eE][+-]?\d+)?")
_MOMENT = re.compile(
    r"\d{4}[-./]\d{1,2}[-./]\d{1,2}(?:[T ].*)?"  # 2024-01-31 15:00
    r"|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}(?: .*)?"  # 31.01.2024 15:00
    r"|\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?"  # 15:00
    r"|\d{8} \d{4,6}"  # 20240131 150000
    r"|[A-Za-z]{3,9}\.? \d{1,2}, \d{4}.*"  # Jan 31, 2024
)
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Layout:
    """How a text is laid out.

    Parameters
    ----------
    separator
        Between cells.
    skipped
        Number of lines above the first one with data.
    labels
        Each column's name, one for each header line; None if the file has no header.
    first
        The cells of the first lines with data.
    notes
        What was skipped or assumed.
    levels
        The first cell of each of several header lines.
    """

    separator: str
    skipped: int
    labels: tuple[tuple[str, ...], ...] | None
    first: tuple[tuple[str, ...], ...]
    notes: list[str] = field(default_factory=list)
    levels: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Cells in a line."""
        return len(self.first[0])


def as_utf8(data: bytes, name: str) -> tuple[bytes, list[str]]:
    """Return the text as UTF-8 without a byte-order mark, and notes.

    Bytes that are no UTF-8 are read as Windows-1252, which maps every letter of the west: they stand in headers and names,
    never in numbers or times.

    Raises
    ------
    DataError
        If it is no text.
    """
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    try:
        if mark == codecs.BOM_UTF8:
            data = data[len(mark) :]
        elif mark:
            data = data.decode(_MARKS[mark]).encode()
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is damaged: it begins as UTF-16 and is none", todo="Export it again") from error
    if (at := data.find(b"\x00")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise DataError(
            f"{name} cannot be read: it is no text, or is damaged (a zero byte in line {line})",
            todo="Give CSV, zip, JSON, feather or Parquet",
        )
    head = data[:SAMPLE]
    odd = sum(head.count(bytes([code])) for code in range(32) if code not in b"\t\n\r\x0c\x1a")
    if odd * 50 > len(head):
        raise DataError(f"{name} cannot be read: it is no text", todo="Give CSV, zip, JSON, feather or Parquet")
    try:
        data.decode()
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
        return text.encode(), ["bytes that are no UTF-8, read as Windows-1252"]
    return data, []


def layout_of(data: bytes, name: str) -> Layout:
    """Return how a UTF-8 text is laid out.

    Raises
    ------
    DataError
        If no line holds data; the message shows what was found instead.
    """
    lines = _first_lines(data)
    tried = {separator: _try(lines, separator) for separator in _SEPARATORS}
    separator = max(tried, key=lambda mark: tried[mark][0])
    (score, _), rows, start = tried[separator]
    if not score:
        raise _no_data(lines, name)
    first = tuple(tuple(row) for row in rows[start:] if row)
    width, top = len(first[0]), start
    while top and start - top < 3 and len(rows[top - 1]) == width and any(cell.strip() for cell in rows[top - 1]):
        top -= 1
    above = rows[start - 1] if start and top == start else []
    if len(above) == width - 1 and not any(row[-1].strip() for row in first if len(row) == width):
        rows[start - 1] = [*above, ""]  # each row ends in a separator, the header does not
        top -= 1
    elif above:
        _check_width(above, width, name)
    notes = [f"{_ordinal(at)} line skipped: {_shown(lines[at])}" for at in range(top) if lines[at].strip()][:3]
    if start - top > 1:
        notes.append(f"{start - top} header lines read as one")
    levels = tuple(row[0].strip() for row in rows[top:start]) if start - top > 1 else ()
    return Layout(separator, start, _labels(rows[top:start]), first, notes, levels)


def is_number(cell: str) -> bool:
    """Whether a cell is written as a number, in any notation."""
    return _NUMBER.fullmatch(cell.strip()) is not None


def is_moment(cell: str) -> bool:
    """Whether a cell is written as a date, a time of day or both."""
    return _MOMENT.fullmatch(cell.strip()) is not None


def line_of(data: bytes, layout: Layout, row: int) -> int:
    """Return the line, from 1, of a row of data (from 0); empty lines count as lines, not as rows."""
    at = -1
    for number, line in enumerate(re.split(rb"\r\n|\n|\r", data), 1):
        if number > layout.skipped and line.strip():
            at += 1
            if at == row:
                return number
    return layout.skipped + row + 1


def _first_lines(data: bytes) -> list[str]:
    lines = re.split(r"\r\n|\n|\r", data[:SAMPLE].decode(errors="replace"))
    return lines[:-1] if len(data) > SAMPLE and len(lines) > 1 else lines


def _try(lines: list[str], separator: str) -> tuple[tuple[int, int], list[list[str]], int]:
    """Return how many of the first lines are data if cut by this separator (and into how many cells), and the first one."""
    try:
        rows = [next(csv.reader([line], delimiter=separator), []) for line in lines]
    except csv.Error:
        return (0, 0), [], 0
    start = next((at for at, row in enumerate(rows) if _is_data(row)), None)
    if start is None:
        return (0, 0), rows, 0
    return (sum(map(_is_data, rows[start : start + _MOST_LINES])), len(rows[start])), rows, start


def _is_data(cells: Sequence[str]) -> bool:
    typed = sum(is_number(cell) or is_moment(cell) for cell in cells)
    empty = sum(cell.strip() in NULLS for cell in cells)
    return len(cells) > 1 and typed > 0 and (typed + empty) * 2 >= len(cells)


def _labels(rows: list[list[str]]) -> tuple[tuple[str, ...], ...] | None:
    """Return each column's name in each header line; a line that names only the first column is that column's name.

    yfinance writes three: `Price,Close,High`, `Ticker,BTC-USD,BTC-USD`, `Date,,`.
    """
    if len(rows) <= 1:
        return tuple((cell.strip(),) for cell in rows[0]) if rows else None
    levels = [row for row in rows if any(cell.strip() for cell in row[1:])] or rows[:1]
    first = next((row[0] for row in reversed(rows) if not any(cell.strip() for cell in row[1:])), None)
    if first is None:
        first = max(levels, key=lambda row: len({cell.strip() for cell in row[1:]}))[0]
    others = (tuple(row[at].strip() for row in levels) for at in range(1, len(rows[0])))
    return ((first.strip(), *[""] * (len(levels) - 1)), *others)


def _ordinal(at: int) -> str:
    return ("first", "second", "third")[at] if at < 3 else f"{at + 1}th"


def _check_width(above: list[str], width: int, name: str) -> None:
    """Refuse a header that is shorter or longer than the rows: which name belongs to which cell cannot be known."""
    if len(above) > 3 and len(above) != width and not _is_data(above):
        raise DataError(
            f"{name} cannot be read: its header has {len(above)} columns and its first row {width}",
            found=_shown(", ".join(above)),
            todo="Give each column one name",
        )


def _no_data(lines: list[str], name: str) -> DataError:
    top = next((line for line in lines if line.strip()), "")
    rows = sum(bool(line.strip()) for line in lines)
    if rows == 1 and any(mark in top for mark in _SEPARATORS) and top.isprintable():
        return DataError("The file has columns but no rows", found=f"{name}: {_shown(top)}", todo="Export it again")
    return DataError(
        f"{name} cannot be read as a table: no line with a time and prices was found",
        todo="Give CSV with a header such as timestamp,open,high,low,close,volume, or zip, JSON, feather or Parquet",
    )


def _shown(text: str) -> str:
    """Return a line's printable beginning."""
    clean = "".join(char if char.isprintable() else " " for char in text.strip())
    return clean[:57] + "..." if len(clean) > 60 else clean

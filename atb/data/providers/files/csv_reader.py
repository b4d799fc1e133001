"""CSV files as tables: parsed by pyarrow if every cell is plain, else cell by cell.

pyarrow reads a million rows in a second and stops at the first odd cell without saying where. Then the same columns are read as
text: decimal commas and thousands are converted, anything else is refused by its row and line.
"""

import io
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from atb.data.providers.files.columns import CLOCK, SYMBOL, guess_columns, source_notes, symbol_column
from atb.data.providers.files.header_levels import Header, one_level
from atb.data.providers.files.headerless import columns_of
from atb.data.providers.files.table import Table
from atb.data.providers.files.text_layout import NULLS, Layout, as_utf8, is_moment, layout_of, line_of
from atb.domain import BAR_COLUMNS, Symbol
from atb.errors import DataError

_PLAIN = r"^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$"
_NOT_FINITE = r"^\s*[+-]?(?:inf|infinity)\s*$"
_THOUSANDS = r"^\s*[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?\s*$"


def read_csv(data: bytes, name: str, symbol: Symbol | None) -> Table:
    """Return the columns that bars need, numbers as float64, times as they are written.

    Raises
    ------
    DataError
        If the text is no table, a column is not found, or a cell is not what its column should hold.
    """
    data, notes = as_utf8(data, name)
    layout = layout_of(data, name)
    header = _header(layout, symbol, name)
    names, notes = header.names, [*notes, *header.notes]
    sample = {
        column: [row[at] for row in layout.first if at < len(row)]
        for at, column in zip(header.kept, names, strict=True)
    }
    columns = guess_columns(names, symbol, sample)
    places = {role: header.kept[names.index(column)] for role, column in columns.items()}
    if layout.labels and (label := symbol_column(names)) and label not in columns.values():
        places[SYMBOL] = header.kept[names.index(label)]
    reading = _Reading(data, name, layout, columns, places)
    frame, more = reading.frame()
    symbols = frame.pop(SYMBOL) if SYMBOL in frame else None
    return Table(
        name,
        frame,
        columns,
        [*layout.notes, *notes, *source_notes(names, layout.levels), *more],
        symbols=symbols,
        where=reading.where,
        others=tuple(column for column in names if column not in columns.values()) if layout.labels else (),
    )


def _header(layout: Layout, symbol: Symbol | None, name: str) -> Header:
    """Return the columns' names, from the header or, where there is none, from a known order."""
    if layout.labels is not None:
        return one_level(layout.labels, symbol, name)
    names = list(columns_of(layout.first, dated=_dated(layout), name=name))
    return Header(list(range(len(names))), names, [f"no header line; columns taken as {', '.join(names[:6])}"])


def _dated(layout: Layout) -> bool:
    """Whether the first lines begin with a date and a time of day."""
    date, clock = layout.first[0][:2]
    return is_moment(date) and ":" not in date and re.fullmatch(r"\s*\d{1,2}:\d{2}(:\d{2})?\s*", clock) is not None


@dataclass(frozen=True)
class _Reading:
    """One reading of one text: the file's name for each role, its place in a line, and the ways to read it."""

    data: bytes
    name: str
    layout: Layout
    columns: dict[str, str]
    places: dict[str, int]

    def frame(self) -> tuple[pd.DataFrame, list[str]]:
        """Return a column for each role, and notes."""
        types = {role: pa.float64() for role in BAR_COLUMNS}
        if kind := self._epoch():
            types["timestamp"] = kind
        try:
            return self._read({role: types.get(role, pa.string()) for role in self.places}).to_pandas(), []
        except pa.ArrowException:
            return self._by_cell()

    def where(self, row: int) -> str:
        """Return a row (from 0) as messages name it: its number in the data and its line in an editor."""
        return f"row {row + 1} (line {line_of(self.data, self.layout, row)})"

    def _epoch(self) -> Any:
        """Return the type of times that are written as numbers, None for text."""
        place = self.places["timestamp"]
        cells = [row[place].strip() for row in self.layout.first if place < len(row)]
        if CLOCK in self.places:
            return None
        if all(re.fullmatch(r"[1-9]\d{8,18}|", cell) for cell in cells):
            return pa.int64()
        return pa.float64() if all(re.fullmatch(r"[1-9]\d{8,18}\.\d+|", cell) for cell in cells) else None

    def _read(self, types: dict[str, Any], **parsing: Any) -> Any:
        labels = [str(at) for at in range(self.layout.width)]
        wanted = {role: str(place) for role, place in self.places.items()}
        table = pa.csv.read_csv(
            io.BytesIO(self.data),
            read_options=pa.csv.ReadOptions(
                skip_rows=self.layout.skipped, column_names=labels, use_threads=not parsing, block_size=4 << 20
            ),
            parse_options=pa.csv.ParseOptions(delimiter=self.layout.separator, **parsing),
            convert_options=pa.csv.ConvertOptions(
                include_columns=list(wanted.values()),
                column_types={wanted[role]: kind for role, kind in types.items()},
                null_values=NULLS,
                strings_can_be_null=True,
            ),
        )
        return table.rename_columns(list(wanted))

    def _by_cell(self) -> tuple[pd.DataFrame, list[str]]:
        """Read every cell as text, and convert or refuse it."""
        odd: list[Any] = []
        try:
            table = self._read(dict.fromkeys(self.places, pa.string()), invalid_row_handler=lambda row: _keep(odd, row))
        except pa.ArrowException as error:
            raise DataError(
                f"{self.name} cannot be read as CSV: its quotes or lines are broken", todo="Export or download it again"
            ) from error
        if odd:
            row = odd[0].number - self.layout.skipped - 1 if odd[0].number else 0
            raise DataError(
                f"{self.name} cannot be read: line {self._line_of_text(odd[0].text, row)} has {odd[0].actual_columns} "
                f"cells, the others {self.layout.width}",
                todo="Complete or remove that line",
            )
        self._refuse_second_header(table)
        decimal, notes = _decimal_mark([table[role] for role in BAR_COLUMNS], self.name)
        numbers = {role: self._numbers(table[role], role, decimal) for role in BAR_COLUMNS}
        times = {role: table[role].to_pandas() for role in ("timestamp", CLOCK, SYMBOL) if role in self.places}
        return pd.DataFrame({**times, **numbers}), notes

    def _line_of_text(self, text: str, row: int) -> int:
        """Return the line of a row that pyarrow gives as text; its own count leaves out empty lines."""
        lines = re.split(rb"\r\n|\n|\r", self.data)
        found = [at for at, line in enumerate(lines, 1) if at > self.layout.skipped and line == text.encode()]
        return found[0] if found else line_of(self.data, self.layout, max(row, 0))

    def _refuse_second_header(self, table: Any) -> None:
        """Refuse a table with the header in it once more: two files were joined."""
        if self.layout.labels is None:
            return
        same = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(table["close"]), self.columns["close"]), False)
        if pc.any(same).as_py():
            row = int(np.argmax(same.to_numpy(zero_copy_only=False)))
            raise DataError(
                f"The header is repeated in {self.where(row)} of {self.name}: two files were joined",
                todo="Remove that line, or import the files together, unjoined",
            )

    def _numbers(self, texts: Any, role: str, decimal: str) -> Any:
        """Return float64 with NaN for empty cells, or refuse the first cell that is no number."""
        column = self.columns[role]
        clean = pc.replace_substring_regex(texts, r"[ '\x{00a0}\x{202f}]", "")
        if decimal == ",":
            clean = pc.replace_substring(pc.replace_substring(clean, ".", ""), ",", ".")
        else:
            grouped = pc.match_substring_regex(clean, _THOUSANDS)
            clean = pc.if_else(grouped, pc.replace_substring(clean, ",", ""), clean)
        fine = pc.or_(
            pc.match_substring_regex(clean, _PLAIN), pc.match_substring_regex(clean, _NOT_FINITE, ignore_case=True)
        )
        wrong = pc.invert(pc.fill_null(fine, True))
        if pc.any(wrong).as_py():
            row = int(np.argmax(wrong.to_numpy(zero_copy_only=False)))
            raise DataError(
                f"Column {column!r} ({role}) holds text, not numbers, in {self.where(row)} of {self.name}",
                found=str(texts[row].as_py())[:40],
                todo="Write plain numbers, such as 47000.10",
            )
        return pc.cast(clean, pa.float64()).to_numpy()


def _keep(odd: list[Any], row: Any) -> str:
    odd.append(row)
    return "skip"


def _decimal_mark(columns: list[Any], name: str) -> tuple[str, list[str]]:
    """Return the decimal mark of the numbers, a comma only where nothing else can be meant.

    Raises
    ------
    DataError
        If every comma could as well separate thousands.
    """
    texts = pc.drop_null(pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string()))
    commas = texts.filter(pc.match_substring(texts, ","))
    if not len(commas):
        return ".", []
    points = pc.any(pc.match_substring(commas, ".")).as_py()
    if pc.all(pc.match_substring_regex(commas, _THOUSANDS)).as_py():
        if points or pc.any(pc.match_substring(texts, ".")).as_py():
            return ".", ["commas in numbers read as separating thousands"]
        raise DataError(
            f"The commas in the numbers of {name} may be decimal or separate thousands",
            found=str(commas[0].as_py())[:40],
            todo="Write plain numbers, such as 47000.10",
        )
    european = r"^\s*[+-]?\d{1,3}(?:\.\d{3})*,\d+\s*$|^\s*[+-]?\d*,\d+\s*$"
    plain = texts.filter(pc.invert(pc.match_substring(texts, ",")))
    mixed = pc.any(pc.match_substring_regex(plain, r"^\s*[+-]?\d*\.(?:\d{0,2}|\d{4,})\s*$")).as_py()
    if pc.all(pc.match_substring_regex(commas, european)).as_py() and not mixed:
        return ",", ["decimal commas read as decimal points"]
    return ".", []

"""Layout of rows, fields and paragraphs in the width of a terminal.

A table that is too wide drops its least important columns and folds its longest texts; if that is not enough, each row becomes a
block of lines. In a pipe or a file, unless `COLUMNS` is set, there is no limit: programs that read lines get whole ones.
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping[str, object]

NARROWEST = 10  # characters of a column that is folded
GAP = "  "
LONG = 30  # characters of a text that is folded before a column is left out
PLAINEST = 40  # characters: below them only blocks can be read


def terminal_width() -> int | None:
    """Return how many characters a line may have: `COLUMNS`, else the terminal's width, None where there is neither."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@dataclass(frozen=True)
class TextTable:
    """Rows as texts under their headings.

    Parameters
    ----------
    names
        Of the columns.
    cells
        Texts, one sequence a row.
    right
        Which columns hold numbers: they are aligned to the right and never folded.
    """

    names: Sequence[str]
    cells: Sequence[Sequence[str]]
    right: Sequence[bool]

    def only(self, kept: Sequence[int]) -> "TextTable":
        """Return the table with these columns alone."""
        cells = [[row[i] for i in kept] for row in self.cells]
        return TextTable([self.names[i] for i in kept], cells, [self.right[i] for i in kept])

    @property
    def widths(self) -> list[int]:
        """How wide each column is when nothing is folded."""
        return [max([len(name), *(len(row[i]) for row in self.cells)]) for i, name in enumerate(self.names)]

    @property
    def gaps(self) -> int:
        """How many characters stand between the columns."""
        return len(GAP) * (len(self.names) - 1)


def table_lines(table: TextTable, width: int | None, *, spare: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table, a heading first.

    One that is too wide for `width` (None is no limit) loses its empty columns, then those of `spare` from the last on, which a
    last line names; then its texts are folded; and where even that is not enough each row becomes a block of lines.
    """
    if width is None or sum(table.widths) + table.gaps <= width:
        return _laid_out(table, table.widths)
    kept = [i for i in range(len(table.names)) if any(row[i] for row in table.cells)]
    full = table.only(kept or [0])
    if width < PLAINEST:
        return _blocks(full, width)
    for least in (_whole_cells, _whole_words, _whole_headings):
        for part in _with_fewer_columns(full, spare):
            if widths := _narrowed(part, least(part), width):
                return _laid_out(part, widths) + _left_out(full, part, width)
    return _blocks(full, width)


def _whole_cells(table: TextTable) -> list[int]:
    """Return how wide each column is; a long text may be folded to two thirds of that."""
    words = _whole_words(table)
    return [max(word, size * 2 // 3) if size > LONG else size for size, word in zip(table.widths, words, strict=True)]


def _with_fewer_columns(table: TextTable, spare: Sequence[str]) -> Iterator[TextTable]:
    """Yield the table, and then with one more of the spare columns left out each time, the last one first."""
    left = list(table.names)
    yield table
    for name in reversed(spare):
        if name in left:
            left.remove(name)
            yield table.only([i for i, column in enumerate(table.names) if column in left])


def _left_out(full: TextTable, part: TextTable, width: int) -> list[str]:
    names = [name for name in full.names if name not in part.names]
    note = f"Left out, for want of room: {', '.join(names)}; a wider terminal or --json shows them."
    return ["", *paragraph(note, width).split("\n")] if names else []


def _laid_out(table: TextTable, widths: Sequence[int]) -> list[str]:
    return [line for row in [table.names, *table.cells] for line in _lines(row, widths, table.right)]


def _whole_words(table: TextTable) -> list[int]:
    """Return how narrow each column may become without a broken word, such as an id."""
    rows = [table.names, *table.cells]
    return [max((len(word) for row in rows for word in row[i].split()), default=0) for i in range(len(table.names))]


def _whole_headings(table: TextTable) -> list[int]:
    """Return how narrow each column may become when only its heading's words stay whole."""
    return [max(NARROWEST, *map(len, name.split() or [""])) for name in table.names]


def _narrowed(table: TextTable, least: Sequence[int], width: int) -> list[int] | None:
    """Take characters from the widest columns of text until all fit; None if they cannot."""
    found, room = table.widths, width - table.gaps
    low = [size if end else min(size, few) for size, few, end in zip(found, least, table.right, strict=True)]
    if sum(low) > room:
        return None
    while sum(found) > room:
        widest = max((i for i in range(len(found)) if found[i] > low[i]), key=lambda i: found[i])
        found[widest] -= 1
    return found


def _lines(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    """Return one row as one line or, where a cell is folded, as several."""
    parts = [_folded(text, width) for text, width in zip(row, widths, strict=True)]
    found = []
    for k in range(max(map(len, parts))):
        texts = [part[k] if k < len(part) else "" for part in parts]
        columns = zip(texts, widths, right, strict=True)
        found.append(GAP.join(text.rjust(size) if end else text.ljust(size) for text, size, end in columns).rstrip())
    return found


def _folded(text: str, width: int) -> list[str]:
    """Return a text as lines of at most `width` characters, broken at spaces, else behind a sign, else anywhere."""
    if len(text) <= width:
        return [text]
    lines: list[str] = []
    for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False):
        rest = line
        while len(rest) > width:
            cut = max((rest.rfind(sign, 0, width) + 1 for sign in "-/_:,."), default=0) or width
            lines.append(rest[:cut])
            rest = rest[cut:]
        lines.append(rest)
    return lines


def _blocks(table: TextTable, width: int) -> list[str]:
    """Return each row as lines of `name  value`, empty cells left out, an empty line between two rows."""
    found: list[str] = []
    for row in table.cells:
        shown = {name or "-": text for name, text in zip(table.names, row, strict=True) if text}
        found += [*([""] if found else []), *field_lines(shown, width)]
    return found


def field_lines(fields: Mapping[str, str], width: int | None) -> list[str]:
    """Return `name  value` lines; a long value goes on below itself, one without spaces such as a path stays whole."""
    indent = max((len(name) for name in fields), default=0) + len(GAP)
    found = []
    for name, text in fields.items():
        room = None if width is None else max(NARROWEST, width - indent)
        parts = paragraph(text, room).split("\n")
        found += [f"{name.ljust(indent)}{parts[0]}".rstrip(), *(f"{'':{indent}}{part}".rstrip() for part in parts[1:])]
    return found


def paragraph(text: str, width: int | None) -> str:
    """Return a text in lines of at most `width` characters; words are never broken."""
    if width is None:
        return text
    lines = [
        textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""] for line in text.split("\n")
    ]
    return "\n".join(line for part in lines for line in part)

"""Limits on a notebook's outputs, applied as they arrive: per output, per cell and overall; a note says what was cut.

A cell can print without end, in one line or in a million pieces, replace a display forever, or show ten large tables. None of this
may fill memory, the disk, or a reader's browser. So each output is counted by its size in the notebook file and in the report (line
ends and HTML characters take more than one byte), plus a fixed amount per output. Output beyond a limit is counted and dropped.

The run continues: a training that prints too much may still be right, and its time limit ends it. Only after `HOPELESS` dropped
characters, a thousand times the text that is kept (a piece counts as at least one line), the cell is stopped, since it only wastes
processor time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbformat.v4 import new_output

if TYPE_CHECKING:
    from nbformat import NotebookNode

STREAM_CHARS = 1_000_000  # of printed text in a cell
TEXT_CHARS = 1_000_000  # of one output that is text: a value, a table, an error
NAME_CHARS = 200  # of the name of a type, an error or an output
DATA_BYTES = 16_000_000  # of one output that is a figure or a picture
NOTEBOOK_BYTES = 32_000_000  # of all outputs
WIDGET_BYTES = 64_000_000  # of widget messages, which are kept only while the notebook runs
OUTPUTS = 1_000  # in a cell
PIECE_CHARS = 50  # smallest size counted for a piece of printed text
OUTPUT_BYTES = 200  # counted for every output, even an empty one
HOPELESS = 1_000_000_000  # characters that were dropped in a cell
TEXTS = frozenset({"text/plain", "text/markdown", "text/latex"})


@dataclass
class OutputLimits:
    """Sizes of the kept outputs in bytes by cell, and dropped characters by cell."""

    sizes: dict[int, int] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    printed: dict[int, int] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)
    wasted: dict[int, int] = field(default_factory=dict)  # dropped characters, each piece counted as at least one line
    shown: dict[str | None, int] = field(default_factory=dict)  # by replaceable display: its size in one place
    notes: dict[int, "NotebookNode"] = field(default_factory=dict)

    def left(self) -> int:
        """Bytes left for all outputs of the notebook."""
        return max(0, NOTEBOOK_BYTES - sum(self.sizes.values()))

    def room(self, index: int) -> int:
        """Bytes left for another output of a cell."""
        return self.left() if self.counts.get(index, 0) < OUTPUTS else 0

    def room_for_text(self, index: int) -> int:
        """Characters left for printed text of a cell; 0 once its text was cut."""
        left = min(STREAM_CHARS - self.printed.get(index, 0), self.room(index))
        return 0 if index in self.notes else max(0, left)

    def add(self, index: int, size: int, *, outputs: int = 1) -> None:
        """Count a kept output of a cell."""
        self.sizes[index] = self.sizes.get(index, 0) + size + outputs * OUTPUT_BYTES
        self.counts[index] = self.counts.get(index, 0) + outputs

    def add_text(self, index: int, text: str, *, outputs: int) -> None:
        """Count kept printed text, as a new output or appended to the last one."""
        self.add(index, size_of(text), outputs=outputs)
        self.printed[index] = self.printed.get(index, 0) + max(PIECE_CHARS, len(text))

    def replace(self, display: str, size: int, places: Mapping[int, Sequence[int]]) -> None:
        """Count a new size of a display that appears at these places by cell."""
        more = size - self.shown.get(display, 0)
        self.shown[display] = size
        for index, outputs in places.items():
            self.sizes[index] = self.sizes.get(index, 0) + more * len(outputs)

    def clear(self, index: int) -> None:
        """Forget the outputs of a cell that were cleared."""
        for by_cell in (self.sizes, self.counts, self.printed, self.notes):
            by_cell.pop(index, None)

    def drop(self, cell: Any, index: int, size: int) -> bool:
        """Count dropped output and note it once in the cell; return False when the cell is to be stopped."""
        self.dropped[index] = self.dropped.get(index, 0) + size
        self.wasted[index] = self.wasted.get(index, 0) + max(OUTPUT_BYTES, size)
        if index not in self.notes:
            self.notes[index] = new_output("stream", name="stderr", text="")  # type: ignore[no-untyped-call] # no types there
            cell.outputs.append(self.notes[index])
        self.notes[index]["text"] = f"\n{_cut_here(self.dropped[index])}\n"
        return self.wasted[index] <= HOPELESS


def size_of(text: str) -> int:
    """Return roughly the bytes that a text takes in the notebook or the report, whichever is more."""
    lines, colours = text.count("\n"), text.count("\x1b")
    marks = text.count("<") + text.count(">") + text.count("&") + text.count('"')
    return len(text.encode("utf-8", "replace")) + 10 * lines + 4 * marks + 30 * colours


def cut_error(content: Any) -> int:
    """Shorten an error in place, keeping the first and last lines of its traceback; return its size."""
    content["ename"] = _shortened(content["ename"], NAME_CHARS)
    content["evalue"] = _shortened(content["evalue"], STREAM_CHARS // 100)
    lines = [_shortened(line, TEXT_CHARS // 20) for line in content["traceback"]]
    content["traceback"] = lines if len(lines) <= 40 else [*lines[:20], "[...]", *lines[-20:]]
    return size_of("".join([content["ename"], content["evalue"], *content["traceback"]]))


def cut_bundle(content: Any, room: int) -> int:
    """Cut an output in place: text loses its end, a large figure or picture becomes a sentence. Return its size."""
    if len(repr(content["metadata"])) > TEXT_CHARS:
        content["metadata"] = {}
    data, kept = content["data"], len(repr(content["metadata"]))
    for kind in list(data):
        size = len(kind) + (size_of(data[kind]) if isinstance(data[kind], str) else len(repr(data[kind])))
        if kind in TEXTS and isinstance(data[kind], str):
            data[kind] = _shortened(data[kind], max(0, min(TEXT_CHARS, room - kept)))
            size = size_of(data[kind])
        elif size > min(DATA_BYTES, room - kept) or len(kind) > NAME_CHARS:
            size = _replaced(data, kind)
        kept += size
    return kept


def _replaced(data: dict[str, Any], kind: str) -> int:
    """Replace a value that is too large by a sentence; return the sentence's size."""
    value = data.pop(kind)
    size = len(value) if isinstance(value, str) else len(repr(value))
    note = f"[An output of type {kind[:NAME_CHARS]} and {size:,} characters was not kept.]"
    data["text/plain"] = f"{note}\n{data.get('text/plain', '')}"
    return len(note)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n{_cut_here(len(text) - most)}"


def _cut_here(characters: int) -> str:
    return f"[The output was cut here: {characters:,} more characters were not kept.]"

"""What of a notebook's outputs is kept: weighed as they arrive, by output, by cell and in all; a note says what was not.

A cell can print without end, in one line or in a million pieces, replace a display for ever, or show ten large tables. Nothing of
that may fill the memory of whoever runs it, the disk, or a reader's browser. So an output weighs what it takes in the notebook's
file and in the report (line ends and marks of HTML weigh more than one byte), and the mere existence of one weighs something too.
What is beyond a limit is counted and dropped as it arrives.

The run goes on meanwhile: a training that talks too much may still be right, and its time limit ends it. Only when a cell had
`HOPELESS` characters dropped, a thousand times what is kept of its text (a piece counts as a line at least), it is ended: nobody
can want them, and it keeps two processors busy for nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbformat.v4 import new_output

if TYPE_CHECKING:
    from nbformat import NotebookNode

STREAM_CHARS = 1_000_000  # of printed text in a cell
TEXT_CHARS = 1_000_000  # of one output that is text: a value, a table, an error
NAME_CHARS = 200  # of a type's name, an error's or an output's
DATA_BYTES = 16_000_000  # of one output that is a figure or a picture
NOTEBOOK_BYTES = 32_000_000  # of all outputs
WIDGET_BYTES = 64_000_000  # of what widgets say, which is kept only while the notebook runs
OUTPUTS = 1_000  # in a cell
PIECE_CHARS = 50  # of printed text that comes in less
OUTPUT_BYTES = 200  # of an output that says nothing
HOPELESS = 1_000_000_000  # characters that were dropped in a cell
TEXTS = frozenset({"text/plain", "text/markdown", "text/latex"})


@dataclass
class Kept:
    """What the outputs weigh, in bytes by cell, and how many characters of a cell were dropped."""

    weights: dict[int, int] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    printed: dict[int, int] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)
    wasted: dict[int, int] = field(default_factory=dict)  # what was dropped, were it in pieces of a line or more
    shown: dict[str | None, int] = field(
        default_factory=dict
    )  # by display that can be replaced: its weight in one place
    notes: dict[int, "NotebookNode"] = field(default_factory=dict)

    def left(self) -> int:
        """Return how much more the notebook's outputs may weigh."""
        return max(0, NOTEBOOK_BYTES - sum(self.weights.values()))

    def room(self, index: int) -> int:
        """Return how much one more output of a cell may weigh."""
        return self.left() if self.counts.get(index, 0) < OUTPUTS else 0

    def room_for_text(self, index: int) -> int:
        """Return how many more characters a cell may print; none after its text was cut once."""
        left = min(STREAM_CHARS - self.printed.get(index, 0), self.room(index))
        return 0 if index in self.notes else max(0, left)

    def add(self, index: int, weight: int, *, outputs: int = 1) -> None:
        """Note what is kept of a cell's output."""
        self.weights[index] = self.weights.get(index, 0) + weight + outputs * OUTPUT_BYTES
        self.counts[index] = self.counts.get(index, 0) + outputs

    def add_text(self, index: int, text: str, *, outputs: int) -> None:
        """Note text that is kept of what a cell printed, as outputs of its own or behind the last one."""
        self.add(index, weight_of(text), outputs=outputs)
        self.printed[index] = self.printed.get(index, 0) + max(PIECE_CHARS, len(text))

    def replace(self, display: str, weight: int, places: Mapping[int, Sequence[int]]) -> None:
        """Note that a display, which stands at these places by cell, weighs something else now."""
        more = weight - self.shown.get(display, 0)
        self.shown[display] = weight
        for index, outputs in places.items():
            self.weights[index] = self.weights.get(index, 0) + more * len(outputs)

    def clear(self, index: int) -> None:
        """Forget the outputs of a cell that were taken away."""
        for of in (self.weights, self.counts, self.printed, self.notes):
            of.pop(index, None)

    def drop(self, cell: Any, index: int, size: int) -> bool:
        """Say, once per cell and where it happened, how much of its output was not kept; return whether there is hope for it."""
        self.dropped[index] = self.dropped.get(index, 0) + size
        self.wasted[index] = self.wasted.get(index, 0) + max(OUTPUT_BYTES, size)
        if index not in self.notes:
            self.notes[index] = new_output("stream", name="stderr", text="")  # type: ignore[no-untyped-call] # no types there
            cell.outputs.append(self.notes[index])
        self.notes[index]["text"] = f"\n{_cut_here(self.dropped[index])}\n"
        return self.wasted[index] <= HOPELESS


def weight_of(text: str) -> int:
    """Return about how many bytes a text takes in a notebook or a report, whichever is more."""
    lines, colours = text.count("\n"), text.count("\x1b")
    marks = text.count("<") + text.count(">") + text.count("&") + text.count('"')
    return len(text.encode("utf-8", "replace")) + 10 * lines + 4 * marks + 30 * colours


def cut_error(content: Any) -> int:
    """Shorten an error in place, of whose traceback the first and the last lines tell most; return what it weighs."""
    content["ename"] = _shortened(content["ename"], NAME_CHARS)
    content["evalue"] = _shortened(content["evalue"], STREAM_CHARS // 100)
    lines = [_shortened(line, TEXT_CHARS // 20) for line in content["traceback"]]
    content["traceback"] = lines if len(lines) <= 40 else [*lines[:20], "[...]", *lines[-20:]]
    return weight_of("".join([content["ename"], content["evalue"], *content["traceback"]]))


def cut_bundle(content: Any, room: int) -> int:
    """Cut an output in place, so that text loses its end and a figure or picture becomes a sentence; return what it weighs."""
    if len(repr(content["metadata"])) > TEXT_CHARS:
        content["metadata"] = {}
    data, kept = content["data"], len(repr(content["metadata"]))
    for kind in list(data):
        size = len(kind) + (weight_of(data[kind]) if isinstance(data[kind], str) else len(repr(data[kind])))
        if kind in TEXTS and isinstance(data[kind], str):
            data[kind] = _shortened(data[kind], max(0, min(TEXT_CHARS, room - kept)))
            size = weight_of(data[kind])
        elif size > min(DATA_BYTES, room - kept) or len(kind) > NAME_CHARS:
            size = _replaced(data, kind)
        kept += size
    return kept


def _replaced(data: dict[str, Any], kind: str) -> int:
    """Put a sentence in place of what is too large."""
    value = data.pop(kind)
    size = len(value) if isinstance(value, str) else len(repr(value))
    told = f"[An output of type {kind[:NAME_CHARS]} and {size:,} characters was not kept.]"
    data["text/plain"] = f"{told}\n{data.get('text/plain', '')}"
    return len(told)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n{_cut_here(len(text) - most)}"


def _cut_here(characters: int) -> str:
    return f"[The output was cut here: {characters:,} more characters were not kept.]"

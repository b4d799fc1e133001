"""papermill's client as runs use it: outputs are kept up to a limit, and a cell that ends its own kernel is told so.

A cell that prints without end would fill the memory of whoever runs it, then the disk; what is beyond the limit is counted and
dropped as it arrives, and a note stands in its place. papermill takes `sys.exit()` for success and leaves out what follows; here a
notebook has succeeded only when its last cell has.
"""

import re
from typing import TYPE_CHECKING, Any

from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

if TYPE_CHECKING:
    from nbformat import NotebookNode

ENGINE = "atb"
STREAM_CHARS = 1_000_000  # of printed text in a cell
TEXT_CHARS = 1_000_000  # of one output that is text: a value, a table, an error
NAME_CHARS = 200  # of a type's name, an error's or an output's
DATA_CHARS = 16_000_000  # of one output that is a figure or a picture
NOTEBOOK_CHARS = 64_000_000  # of all outputs
_EXIT = re.compile(r"\b(?:sys\.exit|os\._exit|os\.abort|exit|quit)\b|\bSystemExit\b|\bos\.kill\b")


class KernelEndedError(Exception):
    """The kernel is gone: `by_cell` tells whether the cell asked for it, the text how."""

    def __init__(self, how: str, line: tuple[int, str] | None = None) -> None:
        super().__init__(how)
        self.how, self.line = how, line


class RunClient(PapermillNotebookClient):  # type: ignore[misc] # no types there
    """Executes the cells of a run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._kept: dict[int, int] = {}  # characters of printed text, by cell
        self._all = 0
        self._notes: dict[int, tuple[NotebookNode, int]] = {}

    def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        """Run a cell.

        Raises
        ------
        KernelEndedError
            If it ended its kernel, by whatever call, or the kernel died meanwhile.
        """
        try:
            return super().execute_cell(cell, cell_index, **options)
        except DeadKernelError as problem:
            raise KernelEndedError(self._how(), exit_line(cell.source)) from problem
        except CellExecutionError as problem:
            if problem.ename == "SystemExit":
                raise KernelEndedError(_asked("SystemExit"), exit_line(cell.source)) from problem
            raise

    def executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:  # noqa: ARG002 - nbclient calls it so
        """Look whether a cell that ended well asked its kernel to end.

        Raises
        ------
        KernelEndedError
            If it did, as `exit()` and `quit()` do.
        """
        asked = [one.get("source") for one in execute_reply["content"].get("payload", [])]
        if "ask_exit" in asked:
            raise KernelEndedError(_asked("exit"), exit_line(cell.source))

    def _how(self) -> str:
        """Return how the kernel's process ended, as far as the system tells."""
        process = getattr(getattr(self.km, "provisioner", None), "process", None)
        code = None if process is None else process.poll()
        if code is None or code < 0:
            return "the kernel died (out of memory, or killed)" + ("" if code is None else f", by signal {-code}")
        return f"the cell ended its kernel's process with exit code {code}"

    def process_message(self, *arguments: Any, **options: Any) -> Any:
        """Take a message from the kernel, cut to what may be kept."""
        message, cell, index = arguments[:3]
        if message["msg_type"] == "clear_output":
            self._kept.pop(index, None)
            self._notes.pop(index, None)
        elif not self._cut(message["msg_type"], message["content"], cell=cell, index=index):
            return None
        return super().process_message(*arguments, **options)

    def _cut(self, kind: str, content: Any, *, cell: Any, index: int) -> bool:
        """Cut a message's content in place; return whether anything of it is left to be kept."""
        if kind == "stream":
            return self._cut_stream(content, cell, index=index)
        if kind == "error":
            content["ename"], _ = _shortened(content["ename"], NAME_CHARS)
            content["evalue"], _ = _shortened(content["evalue"], STREAM_CHARS // 100)
            content["traceback"], _ = _lines(content["traceback"])
        elif kind in {"display_data", "execute_result", "update_display_data"}:
            if len(repr(content["metadata"])) > TEXT_CHARS:
                content["metadata"] = {}
            self._all += _cut_bundle(content["data"], NOTEBOOK_CHARS - self._all)
        return True

    def _cut_stream(self, content: Any, cell: Any, *, index: int) -> bool:
        text, had = content["text"], self._kept.get(index, 0)
        room = max(0, min(STREAM_CHARS - had, NOTEBOOK_CHARS - self._all))
        self._kept[index], self._all = had + min(len(text), room), self._all + min(len(text), room)
        if len(text) <= room:
            return True
        content["text"] = text[:room]
        if room:
            cell.outputs.append(_stream(content["name"], text[:room]))
        self._note(cell, index, len(text) - room)
        return False

    def _note(self, cell: Any, index: int, dropped: int) -> None:
        """Say, once per cell and after what was kept, how much of its output was not."""
        note, before = self._notes.get(index, (None, 0))
        if note is None:
            note = _stream("stderr", "")
            cell.outputs.append(note)
        note["text"] = f"\n[The output was cut here: {before + dropped:,} more characters were not kept.]\n"
        self._notes[index] = (note, before + dropped)


class RunEngine(NBClientEngine):  # type: ignore[misc] # no types there
    """papermill's engine with the client above."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        """Execute a notebook that papermill looks after."""
        for unused in ("input_path", "stdout_file", "stderr_file", "execution_timeout"):
            options.pop(unused, None)
        options["startup_timeout"] = options.pop("start_timeout")
        client = RunClient(nb_man, kernel_name=kernel_name, **options)
        client.on_cell_executed = client.executed
        return client.execute()


papermill_engines.register(ENGINE, RunEngine)


def exit_line(source: str) -> tuple[int, str] | None:
    """Return the first line of a cell that calls for an end, by number and text; None where none does."""
    for number, line in enumerate(source.splitlines(), 1):
        if _EXIT.search(line.partition("#")[0]):
            return number, line.strip()
    return None


def _stream(name: str, text: str) -> "NotebookNode":
    return new_output("stream", name=name, text=text)  # type: ignore[no-any-return,no-untyped-call] # no types there


def _asked(what: str) -> str:
    return f"the cell asked its kernel to end ({what}), so that the notebook did not run to its end"


def _shortened(text: str, most: int) -> tuple[str, int]:
    """Return a text of at most `most` characters and a note, and how much is kept."""
    if len(text) <= most:
        return text, len(text)
    return f"{text[:most]}\n[The output was cut here: {len(text) - most:,} more characters were not kept.]", most


def _lines(lines: list[str]) -> tuple[list[str], int]:
    """Shorten the lines of a traceback, of which the first and the last tell most."""
    short = [_shortened(line, TEXT_CHARS // 20)[0] for line in lines]
    return (short if len(short) <= 40 else [*short[:20], "[...]", *short[-20:]]), len(short)


def _cut_bundle(data: dict[str, Any], room: int) -> int:
    """Cut an output's data in place, so that text loses its end and a figure or picture becomes a sentence; return what is kept."""
    kept = 0
    for kind in list(data):
        size = len(kind) + (len(data[kind]) if isinstance(data[kind], str) else len(repr(data[kind])))
        if kind in {"text/plain", "text/markdown", "text/latex"}:
            data[kind], size = _shortened(data[kind], max(0, min(TEXT_CHARS, room - kept)))
        elif size > min(DATA_CHARS, room - kept) or len(kind) > NAME_CHARS:
            del data[kind]
            data.setdefault("text/plain", "")
            data["text/plain"] = (
                f"[An output of type {kind[:NAME_CHARS]} and {size:,} characters was not kept.]\n{data['text/plain']}"
            )
            size = 0
        kept += size
    return kept

"""papermill's client as runs use it: outputs are kept up to a limit, and a cell that ends its own kernel is told so.

papermill takes `sys.exit()` for success and leaves out what follows; here a notebook has succeeded only when its last cell has,
when all outputs were received, and when the kernel answered once more after that. A kernel that dies later, while it is told to
end, takes nothing away from that: libraries are known to crash while they are unloaded.
"""

import re
from typing import Any

from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from atb.experiments.outputs import HOPELESS, OUTPUT_BYTES, WIDGET_BYTES, Kept, cut_bundle, cut_error

ENGINE = "atb"
SHOWN = frozenset({"display_data", "execute_result", "update_display_data"})
_EXIT = re.compile(
    r"\b(?:sys\.exit|os\._exit|os\.abort|os\.kill|SystemExit)\b|\bask_exit\b|(?<![\w.'\"])(?:exit|quit)\b(?=\s*(?:\(|;|$))"
)
_FLOOD = f"it was ended, for it showed {HOPELESS:,} characters more than are kept; show less"
_GONE = "the kernel died (out of memory, or killed)"


class CellEndedError(Exception):
    """A cell was ended, or its kernel is gone: the text says how, `line` which line seems to ask for it, by number and text."""

    def __init__(self, how: str, line: tuple[int, str] | None = None) -> None:
        super().__init__(how)
        self.line = line


class RunClient(PapermillNotebookClient):  # type: ignore[misc] # no types there
    """Executes the cells of a run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._kept = Kept()
        self._widgets = 0  # bytes
        self._flooded = False

    def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        """Run a cell.

        Raises
        ------
        CellEndedError
            If it ended its kernel, by whatever call, or the kernel died meanwhile.
        """
        try:
            return super().execute_cell(cell, cell_index, **options)
        except DeadKernelError as problem:
            if self._flooded:
                raise CellEndedError(_FLOOD) from None
            raise CellEndedError(self._how(), exit_line(cell.source)) from problem
        except CellExecutionError as problem:
            if problem.ename == "SystemExit":
                raise CellEndedError(_asked("SystemExit"), exit_line(cell.source)) from problem
            _tell(cell, problem)
            raise

    def papermill_execute_cells(self) -> None:
        """Run all cells, and hear from the kernel once more.

        Raises
        ------
        CellEndedError
            If it does not answer any longer.
        """
        super().papermill_execute_cells()
        try:
            self.wait_for_reply(self.kc.kernel_info())
        except DeadKernelError as problem:
            raise CellEndedError(f"{self._how()}, after its last cell had ended") from problem

    def executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:  # noqa: ARG002 - nbclient calls it so
        """Look whether a cell that ended well asked its kernel to end.

        Raises
        ------
        CellEndedError
            If it did, as `exit()` and `quit()` do.
        """
        asked = [one.get("source") for one in execute_reply["content"].get("payload", [])]
        if "ask_exit" in asked:
            raise CellEndedError(_asked("exit"), exit_line(cell.source))

    def _how(self) -> str:
        """Return how the kernel's process ended, as far as the system tells."""
        process = getattr(getattr(self.km, "provisioner", None), "process", None)
        code = None if process is None else process.poll()
        if code is None or code < 0:
            return _GONE + ("" if code is None else f", by signal {-code}")
        return f"the cell ended its kernel's process with exit code {code}"

    def process_message(self, *arguments: Any, **options: Any) -> Any:
        """Take a message from the kernel, cut to what may be kept."""
        message, cell, index = arguments[:3]
        kind = message["msg_type"]
        if kind == "stream":
            return self._take_stream(message, cell, index=index)
        if kind == "clear_output" and not self._hooked(message):
            self._kept.clear(index)
        elif kind.startswith("comm"):
            self._widgets += len(repr(message["content"])) + sum(len(one) for one in message.get("buffers", []))
            if self._widgets > WIDGET_BYTES:
                return None
        elif (kind == "error" or kind in SHOWN) and not self._takes(kind, message["content"], cell=cell, index=index):
            return None
        return super().process_message(*arguments, **options)

    def _takes(self, kind: str, content: Any, *, cell: Any, index: int) -> bool:
        """Cut an output in place and note what it weighs; return whether it is kept at all."""
        display = (content.get("transient") or {}).get("display_id") if kind in SHOWN else None
        places = {of: list(outputs) for of, outputs in self._display_id_map.get(display, {}).items()}
        copies, more = sum(len(outputs) for outputs in places.values()), int(kind != "update_display_data")
        replaced = self._kept.shown.get(display, 0) * copies
        room = self._kept.room(index) if more else self._kept.left() + replaced
        if room <= OUTPUT_BYTES:
            self._drop(cell, index, OUTPUT_BYTES + len(repr(content)))
            return False
        weight = cut_error(content) if kind == "error" else cut_bundle(content, room // max(1, copies + more))
        if display and copies + more:
            self._kept.replace(display, weight, places)
        if more:
            self._kept.add(index, weight)
        return True

    def _take_stream(self, message: Any, cell: Any, *, index: int) -> None:
        """Keep what a cell printed, behind what it printed last: a cell that prints much does so in many pieces."""
        content = message["content"]
        text, last = content["text"], cell.outputs[-1] if cell.outputs else {}
        kept = text[: self._kept.room_for_text(index)]
        apart = self.clear_before_next_output or self._hooked(message)
        if kept and not apart and last.get("name") == content["name"] and last is not self._kept.notes.get(index):
            last["text"] += kept
            self._kept.add_text(index, kept, outputs=0)
        elif kept:
            super().process_message({**message, "content": {**content, "text": kept}}, cell, index)
            self._kept.add_text(index, kept, outputs=1)
        if len(kept) < len(text):
            self._drop(cell, index, len(text) - len(kept))

    def _hooked(self, message: Any) -> bool:
        """Tell whether a widget takes the cell's outputs."""
        return bool(self.output_hook_stack.get(message["parent_header"].get("msg_id")))

    def _drop(self, cell: Any, index: int, size: int) -> None:
        """Note what is not kept; where there is no hope for the cell, nbclient is told what ends it at once."""
        if not self._kept.drop(cell, index, size):
            self._flooded = True
            self.task_poll_for_reply.cancel()


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


def _tell(cell: Any, problem: CellExecutionError) -> None:
    """Put an error into its cell that IPython printed or hid instead, as it does with an unknown magic."""
    if not any(output.output_type == "error" for output in cell.outputs):
        told = {"ename": problem.ename, "evalue": problem.evalue, "traceback": [f"{problem.ename}: {problem.evalue}"]}
        cut_error(told)
        cell.outputs.append(new_output("error", **told))  # type: ignore[no-untyped-call] # no types there


def _asked(what: str) -> str:
    leave = "leave that out: a notebook ends with its last cell"
    return f"the cell asked its kernel to end ({what}), so that the notebook did not run to its end; {leave}"

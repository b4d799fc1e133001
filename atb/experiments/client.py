"""The papermill client of a run: limits outputs, and fails a cell that ends its own kernel.

papermill treats `sys.exit()` as success and skips the rest; here a notebook has succeeded only if its last cell has, all outputs
were received, and the kernel answered once more after that. A kernel that dies later, during shutdown, does not count: libraries
are known to crash while they are unloaded.
"""

import asyncio
import re
from typing import Any

from nbclient.client import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbclient.util import run_sync
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from atb.experiments.outputs import HOPELESS, OUTPUT_BYTES, WIDGET_BYTES, OutputLimits, cut_bundle, cut_error

ENGINE = "atb"
SHOWN = frozenset({"display_data", "execute_result", "update_display_data"})
_EXIT = re.compile(
    r"\b(?:sys\.exit|os\._exit|os\.abort|os\.kill|SystemExit)\b|\bask_exit\b|(?<![\w.'\"])(?:exit|quit)\b(?=\s*(?:\(|;|$))"
)
_FLOOD = f"it was stopped after {HOPELESS:,} characters beyond what is kept; show less"
_GONE = "the kernel died (out of memory, or killed)"


class CellEndedError(Exception):
    """A cell was stopped, or its kernel is gone; `line` is the line that seems to have caused it, number and text."""

    def __init__(self, how: str, line: tuple[int, str] | None = None) -> None:
        super().__init__(how)
        self.line = line


async def _execute_cell(client: NotebookClient, *arguments: Any, **options: Any) -> Any:
    """Run a cell; after Ctrl-C nothing waits for its error any more, and asyncio shall not print it on the terminal."""
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await client.async_execute_cell(*arguments, **options)


_EXECUTE = run_sync(_execute_cell)


class RunClient(PapermillNotebookClient):  # type: ignore[misc] # no types there
    """Executes the cells of a run and limits their outputs."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._kept = OutputLimits()
        self._widgets = 0  # bytes
        self._flooded = False

    def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        """Run a cell.

        Raises
        ------
        CellEndedError
            If the cell ended its kernel in any way, or the kernel died.
        """
        try:
            return _EXECUTE(self, cell, cell_index, **options)
        except DeadKernelError as error:
            if self._flooded:
                raise CellEndedError(_FLOOD) from None
            raise CellEndedError(self._how_kernel_ended(), exit_line(cell.source)) from error
        except CellExecutionError as error:
            if error.ename == "SystemExit":
                raise CellEndedError(_asked_to_end("SystemExit"), exit_line(cell.source)) from error
            _add_error_output(cell, error)
            raise

    def papermill_execute_cells(self) -> None:
        """Run all cells, and check that the kernel still answers.

        Raises
        ------
        CellEndedError
            If it does not.
        """
        super().papermill_execute_cells()
        try:
            self.wait_for_reply(self.kc.kernel_info())
        except DeadKernelError as error:
            raise CellEndedError(f"{self._how_kernel_ended()}, after its last cell had ended") from error

    def executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:  # noqa: ARG002 - nbclient calls it so
        """Check whether a cell without an error asked its kernel to end.

        Raises
        ------
        CellEndedError
            If it did, as with `exit()` or `quit()`.
        """
        payloads = [payload.get("source") for payload in execute_reply["content"].get("payload", [])]
        if "ask_exit" in payloads:
            raise CellEndedError(_asked_to_end("exit"), exit_line(cell.source))

    def _how_kernel_ended(self) -> str:
        """Return how the kernel's process ended, as far as known."""
        process = getattr(getattr(self.km, "provisioner", None), "process", None)
        code = None if process is None else process.poll()
        if code is None or code < 0:
            return _GONE + ("" if code is None else f", by signal {-code}")
        return f"the cell ended its kernel's process with exit code {code}"

    def process_message(self, *arguments: Any, **options: Any) -> Any:
        """Process a message from the kernel, cut to the limits."""
        message, cell, index = arguments[:3]
        kind = message["msg_type"]
        if kind == "stream":
            return self._take_stream(message, cell, index=index)
        if kind == "clear_output" and not self._captured_by_widget(message):
            self._kept.clear(index)
        elif kind.startswith("comm"):
            self._widgets += len(repr(message["content"])) + sum(len(buffer) for buffer in message.get("buffers", []))
            if self._widgets > WIDGET_BYTES:
                return None
        elif (kind == "error" or kind in SHOWN) and not self._keeps(kind, message["content"], cell=cell, index=index):
            return None
        return super().process_message(*arguments, **options)

    def _keeps(self, kind: str, content: Any, *, cell: Any, index: int) -> bool:
        """Cut an output in place and count its size; return whether it is kept at all."""
        display = (content.get("transient") or {}).get("display_id") if kind in SHOWN else None
        places = {place: list(outputs) for place, outputs in self._display_id_map.get(display, {}).items()}
        copies, more = sum(len(outputs) for outputs in places.values()), int(kind != "update_display_data")
        replaced = self._kept.shown.get(display, 0) * copies
        room = self._kept.room(index) if more else self._kept.left() + replaced
        if room <= OUTPUT_BYTES:
            self._drop(cell, index, OUTPUT_BYTES + len(repr(content)))
            return False
        size = cut_error(content) if kind == "error" else cut_bundle(content, room // max(1, copies + more))
        if display and copies + more:
            self._kept.replace(display, size, places)
        if more:
            self._kept.add(index, size)
        return True

    def _take_stream(self, message: Any, cell: Any, *, index: int) -> None:
        """Keep printed text, appended to the previous piece: a cell that prints much sends many pieces."""
        content = message["content"]
        text, last = content["text"], cell.outputs[-1] if cell.outputs else {}
        kept = text[: self._kept.room_for_text(index)]
        apart = self.clear_before_next_output or self._captured_by_widget(message)
        if kept and not apart and last.get("name") == content["name"] and last is not self._kept.notes.get(index):
            last["text"] += kept
            self._kept.add_text(index, kept, outputs=0)
        elif kept:
            super().process_message({**message, "content": {**content, "text": kept}}, cell, index)
            self._kept.add_text(index, kept, outputs=1)
        if len(kept) < len(text):
            self._drop(cell, index, len(text) - len(kept))

    def _captured_by_widget(self, message: Any) -> bool:
        """True if a widget captures the cell's outputs."""
        return bool(self.output_hook_stack.get(message["parent_header"].get("msg_id")))

    def _drop(self, cell: Any, index: int, size: int) -> None:
        """Count dropped output; beyond `HOPELESS` stop the cell at once."""
        if not self._kept.drop(cell, index, size):
            self._flooded = True
            self.task_poll_for_reply.cancel()


class RunEngine(NBClientEngine):  # type: ignore[misc] # no types there
    """papermill's engine with `RunClient`."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        """Execute a notebook managed by papermill, which is put into the list `executed` as it runs."""
        options.pop("executed").append(nb_man.nb)
        for unused in ("input_path", "stdout_file", "stderr_file", "execution_timeout"):
            options.pop(unused, None)
        options["startup_timeout"] = options.pop("start_timeout")
        client = RunClient(nb_man, kernel_name=kernel_name, **options)
        client.on_cell_executed = client.executed
        return client.execute()


papermill_engines.register(ENGINE, RunEngine)


def exit_line(source: str) -> tuple[int, str] | None:
    """Return the first line of a cell that looks like an exit call, number and text; None without one."""
    for number, line in enumerate(source.splitlines(), 1):
        if _EXIT.search(line.partition("#")[0]):
            return number, line.strip()
    return None


def _add_error_output(cell: Any, error: CellExecutionError) -> None:
    """Add an error output that IPython printed or hid instead, as it does for an unknown magic."""
    if not any(output.output_type == "error" for output in cell.outputs):
        content = {"ename": error.ename, "evalue": error.evalue, "traceback": [f"{error.ename}: {error.evalue}"]}
        cut_error(content)
        cell.outputs.append(new_output("error", **content))  # type: ignore[no-untyped-call] # no types there


def _asked_to_end(call: str) -> str:
    advice = "leave that out: a notebook ends with its last cell"
    return f"the cell asked its kernel to end ({call}), so the notebook did not run to its end; {advice}"

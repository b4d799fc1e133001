"""One notebook run by papermill in its own kernel: environment, time limit, outcome.

papermill and Jupyter use process-wide state (working directory, `os.environ`): run batches in processes, never in threads.
papermill records a cell that ran out of time as completed, so the outcome is decided here, not in the notebook.
"""

import logging
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from atb.experiments.conversion import Plain
from atb.experiments.surroundings import ALWAYS

if TYPE_CHECKING:
    from atb.experiments.fork_server import ForkServer

Progress = Callable[[int, int], None]

INJECTED = "injected-parameters"
START_SECONDS = 120  # a kernel on a busy machine
SOCKET_BYTES = 100  # a socket's path may have 108 on Linux, 104 on macOS
IDLE_SECONDS = 60  # to receive a kernel's last output, on a busy machine
LONGEST_ERROR = 2_000  # characters
GIB = 1 << 30
UNREAD = "the kernel's answer could not be read"
LOST = "its last outputs were lost: there were more than could be received; show less"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r"Cell In\[(\d+)\], line (\d+)")


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and the notebook as far as it ran.

    Parameters
    ----------
    status
        `succeeded`, `failed` or `interrupted`.
    error
        One line: cell, source line, and error.
    failed_cell
        Number of the cell, counted from 1 over all cells.
    notebook
        The executed notebook as nbformat's node; None if no kernel started.
    """

    status: str
    error: str | None = None
    failed_cell: int | None = None
    notebook: Any = None


@dataclass
class CellProgress:
    """Tracks the running cell, the time left, and reports progress."""

    total: int
    timeout: float
    progress: Progress | None = None
    scratch: Path | None = None
    places: dict[int, int] = field(default_factory=dict)
    place: int = 0
    began: float = field(default_factory=time.monotonic)

    def started(self, cell: Any, cell_index: int) -> None:
        """Record that a cell starts; the cell injected by papermill is not counted.

        Raises
        ------
        FileNotFoundError
            If the cell before has deleted the run's folder.
        """
        if self.scratch is not None and not self.scratch.is_dir():
            raise FileNotFoundError(str(self.scratch))
        self.place += INJECTED not in cell.metadata.get("tags", [])
        self.places[cell_index] = self.place
        if self.progress is not None:
            self.progress(max(0, self.place - 1), self.total)

    def remaining(self, _cell: Any) -> float:
        """Return the seconds left for the run; never 0, which nbclient treats as no limit."""
        return max(0.05, self.began + self.timeout - time.monotonic())


@dataclass(frozen=True)
class Job:
    """A notebook to run: in memory, with name, folder, checked parameters, the kernel's environment, time (s) and memory (bytes).

    `scratch` is a folder that must not exist yet; it holds the unmasked notebooks during the run and is removed afterwards.
    `kernels` is the fork server that makes the kernel, None to start one anew.
    """

    node: Any
    name: str
    folder: Path
    values: Mapping[str, Plain]
    environment: Mapping[str, str]
    timeout: float
    scratch: Path
    memory: int = 0  # of the kernel; 0 for no limit
    kernels: "ForkServer | None" = None


def run_notebook(job: Job, progress: Progress | None = None) -> Outcome:
    """Run a notebook to its end, first error or time limit; errors of the notebook are returned, not raised."""
    with _terminable(), _private(job.scratch), TemporaryDirectory(prefix="atb-") as sockets:
        source, target = job.scratch / "source.ipynb", job.scratch / "executed.ipynb"
        _write(job.node, source)
        cells = CellProgress(len(job.node.cells), job.timeout, progress, job.scratch)
        executed: list[Any] = []
        folders = {"JUPYTER_RUNTIME_DIR": sockets, "JUPYTER_PREFER_ENV_PATH": ALWAYS["JUPYTER_PREFER_ENV_PATH"]}
        with _environment(folders), _quiet("papermill"):
            status, error, place = _run_papermill(
                job, cells, _options(job, cells, sockets) | {"executed": executed}, paths=(source, target)
            )
        if progress is not None and status == "succeeded":
            progress(cells.total, cells.total)
        return Outcome(status, None if error is None else error[:LONGEST_ERROR], place, _read(target, executed, job))


def _run_papermill(
    job: Job, cells: CellProgress, options: dict[str, Any], *, paths: tuple[Path, Path]
) -> tuple[str, str | None, int | None]:
    """Call papermill and return (status, error, failed cell)."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from atb.experiments.client import CellEndedError

    try:
        papermill.execute_notebook(*paths, dict(job.values), **options)
    except PapermillExecutionError as error:
        place = cells.places.get(error.cell_index, cells.place)
        return "failed", describe(error, place, gib=job.memory / GIB), place
    except CellEndedError as error:
        return "failed", f"cell {cells.place}{_line(error.line)}: {error}", cells.place
    except KeyboardInterrupt:
        return "interrupted", f"cell {cells.place}: interrupted", cells.place or None
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, TimeoutError) and job.scratch.is_dir():
            raise  # a full disk, for example, is not the notebook's fault
        where = f"cell {cells.place}: " if cells.place else ""
        return "failed", f"{where}{_lost_kernel_reason(error, job, begun=cells.place > 0)}", cells.place or None
    return "succeeded", None, None


def _lost_kernel_reason(error: Exception, job: Job, *, begun: bool) -> str:
    """Return why a run lost its kernel; `begun` is True once a cell was started."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    if isinstance(error, CellTimeoutError):
        late = f"the run took longer than {job.timeout:g} s"
        return LOST if "IOPub" in str(error) else late
    if isinstance(error, DeadKernelError):
        return "the kernel died (out of memory, or killed)"
    if isinstance(error, OSError) and not job.scratch.is_dir():
        return "the folder of the run is gone; a cell must have deleted it"
    # jupyter_client raises ValueError for a message with a wrong signature, and for anything that is not a message.
    unread = begun or isinstance(error, ValueError)
    return f"{UNREAD if unread else 'no kernel could be started'}: {' '.join(str(error).split())}"


def _options(job: Job, cells: CellProgress, sockets: str) -> dict[str, Any]:
    from traitlets.config import Config

    from atb.experiments.client import ENGINE

    return {
        "engine_name": ENGINE,
        "request_save_on_cell_execute": False,  # it would be written twice for each cell, and is in memory
        "cwd": job.folder,
        "kernel_name": "python3",
        "language": "python",
        "progress_bar": False,
        "start_timeout": START_SECONDS,
        "iopub_timeout": IDLE_SECONDS,
        "timeout_func": cells.remaining,
        "on_cell_start": cells.started,
        "config": Config(
            {
                "KernelManager": _channels(sockets),
                "NotebookClient": {"kernel_manager_class": "atb.experiments.kernel.SilentKernelManager"},
                "SilentKernelManager": {
                    "said": str(job.scratch / "kernel.log"),
                    "memory": job.memory,
                    "kernels": job.kernels,
                    "environment": {**job.environment, **ALWAYS, "JUPYTER_RUNTIME_DIR": sockets},
                },
            }
        ),
    }


def _channels(folder: str) -> dict[str, str]:
    """Return the kernel's transport: socket files in a folder that belongs to this run and user alone.

    TCP ports, which every user of the machine can connect to, are used only if the folder's name is too long for sockets. Without
    `ip` jupyter_client would put the files into the working folder, shared by all runs.
    """
    prefix = str(Path(folder).absolute() / "kernel")
    if len(os.fsencode(f"{prefix}-0")) > SOCKET_BYTES:
        return {"transport": "tcp"}
    return {"transport": "ipc", "ip": prefix}


def describe(error: Any, place: int, *, gib: float = 0) -> str:
    """Return one line on a cell's error: cell, source line, exception; for a MemoryError under a limit of `gib` also the remedy."""
    frames = _FRAME.findall(_ANSI.sub("", "\n".join(error.traceback)))
    lines = [int(line) for number, line in frames if int(number) == (error.exec_count or 0)]
    source = str(error.source).splitlines()
    where = f"cell {place}"
    if lines and lines[-1] <= len(source):
        where += _line((lines[-1], source[lines[-1] - 1].strip()))
    what = " ".join(_ANSI.sub("", f"{error.ename}: {error.evalue}").split())
    if "MemoryError" in str(error.ename) and gib:
        what += f"; the kernel may take {gib:.3g} GiB: use less data, or raise the setting notebooks.memory_share"
    return f"{where}: {what}".rstrip(": ")


def _line(line: tuple[int, str] | None) -> str:
    return "" if line is None else f", line {line[0]} `{line[1]}`"


def _write(node: Any, path: Path) -> None:
    import nbformat

    nbformat.write(node, path)  # type: ignore[no-untyped-call] # no types there


def _read(path: Path, executed: list[Any], job: Job) -> Any:
    """Return the executed notebook without widget state, under its own name: as papermill wrote it, else as far as it ran."""
    import nbformat

    if path.exists():
        node: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call] # no types there
    elif executed:
        node = executed[0]
    else:
        return None
    node.metadata.pop("widgets", None)
    node.metadata.get("papermill", {}).update(input_path=job.name, output_path=job.name)
    return node


@contextmanager
def _private(folder: Path) -> Iterator[None]:
    """Create a folder, closed to other users, and remove it at the end of the block."""
    folder.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that Jupyter reads in this process."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Silence one logger, whose messages are in the outcome already."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that the run is recorded as interrupted and its kernel is stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

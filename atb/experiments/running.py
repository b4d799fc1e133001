"""One notebook run by papermill in a kernel of its own: its environment, its time limit, and what became of it.

papermill and Jupyter's folders are process-wide (working directory, `os.environ`): run batches in processes, never
in threads. papermill records a cell that ran out of time as completed, so the outcome is decided here, not in the notebook.
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
from typing import Any

from atb.experiments.conversion import Plain

Progress = Callable[[int, int], None]

INJECTED = "injected-parameters"
START_SECONDS = 120  # a kernel on a busy machine
SOCKET_BYTES = 100  # a socket's path may have 108 on Linux, 104 on macOS
IDLE_SECONDS = 60  # until what a kernel printed has been heard, on a busy machine
LONGEST_ERROR = 2_000  # characters
GIB = 1 << 30
UNREAD = "the kernel's answer could not be read"
LOST = "its last outputs were lost: it showed more than could be received; show less"
ALWAYS = {
    "PLOTLY_RENDERER": "plotly_mimetype",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's `python3`, not a stranger's of the same name
}
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r"Cell In\[(\d+)\], line (\d+)")


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and the notebook as far as it came.

    Parameters
    ----------
    status
        `succeeded`, `failed` or `interrupted`.
    error
        One line: the cell, its line, and the error.
    failed_cell
        The cell's place in the notebook, counted from 1 over all its cells.
    notebook
        The executed notebook as nbformat's node; None when no kernel started.
    """

    status: str
    error: str | None = None
    failed_cell: int | None = None
    notebook: Any = None


@dataclass
class Watch:
    """Follows the cells: which one runs, how much time is left, who is told."""

    total: int
    timeout: float
    progress: Progress | None = None
    places: dict[int, int] = field(default_factory=dict)
    place: int = 0
    began: float = field(default_factory=time.monotonic)

    def started(self, cell: Any, cell_index: int) -> None:
        """Note that a cell begins; the cell that papermill injects has no place of its own."""
        self.place += INJECTED not in cell.metadata.get("tags", [])
        self.places[cell_index] = self.place
        if self.progress is not None:
            self.progress(max(0, self.place - 1), self.total)

    def remaining(self, _cell: Any) -> float:
        """Return the seconds left for the whole run; never 0, which nbclient takes for no limit."""
        return max(0.05, self.began + self.timeout - time.monotonic())


@dataclass(frozen=True)
class Job:
    """What to run: a notebook in memory, its name and folder, its checked parameters, the kernel's environment, seconds, bytes.

    `scratch` is a folder that does not exist yet; it holds the unmasked notebooks while they run, and is removed.
    """

    node: Any
    name: str
    folder: Path
    values: Mapping[str, Plain]
    environment: Mapping[str, str]
    timeout: float
    scratch: Path
    memory: int = 0  # of the kernel; 0 sets no ceiling


def run_notebook(job: Job, progress: Progress | None = None) -> Outcome:
    """Run a notebook to its end, its first error or its time limit; no error of the notebook is raised here."""
    with _terminable(), _private(job.scratch), TemporaryDirectory(prefix="atb-") as sockets:
        source, target = job.scratch / "source.ipynb", job.scratch / "executed.ipynb"
        _write(job.node, source)
        watch = Watch(len(job.node.cells), job.timeout, progress)
        folders = {"JUPYTER_RUNTIME_DIR": sockets, "JUPYTER_PREFER_ENV_PATH": ALWAYS["JUPYTER_PREFER_ENV_PATH"]}
        with _environment(folders), _quiet("papermill"):
            status, error, place = _attempt(job, watch, _options(job, watch, sockets), paths=(source, target))
        if progress is not None and status == "succeeded":
            progress(watch.total, watch.total)
        return Outcome(status, None if error is None else error[:LONGEST_ERROR], place, _read(target, job))


def _attempt(
    job: Job, watch: Watch, options: dict[str, Any], *, paths: tuple[Path, Path]
) -> tuple[str, str | None, int | None]:
    """Call papermill, and turn each way in which it ends into (status, error, failing cell)."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from atb.experiments.client import CellEndedError

    try:
        papermill.execute_notebook(*paths, dict(job.values), **options)
    except PapermillExecutionError as problem:
        place = watch.places.get(problem.cell_index, watch.place)
        return "failed", describe(problem, place, gib=job.memory / GIB), place
    except CellEndedError as problem:
        return "failed", f"cell {watch.place}{_line(problem.line)}: {problem}", watch.place
    except KeyboardInterrupt:
        return "interrupted", f"cell {watch.place}: interrupted", watch.place or None
    except Exception as problem:
        if isinstance(problem, OSError) and not isinstance(problem, TimeoutError) and job.scratch.is_dir():
            raise  # a full disk, say, is not the notebook's fault
        where = f"cell {watch.place}: " if watch.place else ""
        return "failed", f"{where}{_why(problem, job, begun=watch.place > 0)}", watch.place or None
    return "succeeded", None, None


def _why(problem: Exception, job: Job, *, begun: bool) -> str:
    """Say what happened between a run and its kernel; `begun` tells whether a cell was started before."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    if isinstance(problem, CellTimeoutError):
        late = f"the run took longer than {job.timeout:g} s"
        return LOST if "IOPub" in str(problem) else late
    if isinstance(problem, DeadKernelError):
        return "the kernel died (out of memory, or killed)"
    if isinstance(problem, OSError) and not job.scratch.is_dir():
        return "the folder of the run is gone, which a cell must have deleted"
    # A ValueError is jupyter_client's answer to a message with a foreign signature, or to what is no message at all.
    unread = begun or isinstance(problem, ValueError)
    return f"{UNREAD if unread else 'no kernel could be started'}: {' '.join(str(problem).split())}"


def _options(job: Job, watch: Watch, sockets: str) -> dict[str, Any]:
    from traitlets.config import Config

    from atb.experiments.client import ENGINE

    return {
        "engine_name": ENGINE,
        "cwd": job.folder,
        "kernel_name": "python3",
        "language": "python",
        "progress_bar": False,
        "start_timeout": START_SECONDS,
        "iopub_timeout": IDLE_SECONDS,
        "timeout_func": watch.remaining,
        "on_cell_start": watch.started,
        "config": Config(
            {
                "KernelManager": _channels(sockets),
                "NotebookClient": {"kernel_manager_class": "atb.experiments.kernel.SilentKernelManager"},
                "SilentKernelManager": {
                    "said": str(job.scratch / "kernel.log"),
                    "memory": job.memory,
                    "environment": {**job.environment, **ALWAYS, "JUPYTER_RUNTIME_DIR": sockets},
                },
            }
        ),
    }


def _channels(folder: str) -> dict[str, str]:
    """Return how to talk to the kernel: through socket files in a folder that belongs to this run and this user alone.

    TCP ports, to which every user of the machine can connect, serve only where the folder's name is too long for sockets.
    Without `ip` jupyter_client would put the files into the working folder, where all runs would use the same ones.
    """
    prefix = str(Path(folder).absolute() / "kernel")
    if len(os.fsencode(f"{prefix}-0")) > SOCKET_BYTES:
        return {"transport": "tcp"}
    return {"transport": "ipc", "ip": prefix}


def describe(problem: Any, place: int, *, gib: float = 0) -> str:
    """Return one line on a cell's error: where, the source line, and what was raised; under a ceiling of `gib`, what to do."""
    frames = _FRAME.findall(_ANSI.sub("", "\n".join(problem.traceback)))
    lines = [int(line) for number, line in frames if int(number) == (problem.exec_count or 0)]
    source = str(problem.source).splitlines()
    where = f"cell {place}"
    if lines and lines[-1] <= len(source):
        where += _line((lines[-1], source[lines[-1] - 1].strip()))
    what = " ".join(_ANSI.sub("", f"{problem.ename}: {problem.evalue}").split())
    if "MemoryError" in str(problem.ename) and gib:
        what += f"; the kernel may take {gib:.3g} GiB: use less data, or raise the setting notebooks.memory_share"
    return f"{where}: {what}".rstrip(": ")


def _line(line: tuple[int, str] | None) -> str:
    return "" if line is None else f", line {line[0]} `{line[1]}`"


def _write(node: Any, path: Path) -> None:
    import nbformat

    nbformat.write(node, path)  # type: ignore[no-untyped-call] # no types there


def _read(path: Path, job: Job) -> Any:
    """Return the executed notebook, without the megabytes of widget state, under its own name."""
    import nbformat

    if not path.exists():
        return None
    node = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call] # no types there
    node.metadata.pop("widgets", None)
    node.metadata.get("papermill", {}).update(input_path=job.name, output_path=job.name)
    return node


@contextmanager
def _private(folder: Path) -> Iterator[None]:
    """Make a folder for the length of a block, closed to other users."""
    folder.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Set variables that Jupyter's own code reads here."""
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
    """Silence one logger: what it would say is in the outcome."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat a polite kill like Ctrl-C, so that the run is recorded as interrupted and its kernel does not stay behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

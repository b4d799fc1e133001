"""One worker of a batch: a process that executes cell after cell with warm kernels, and its owner's view of it.

A process, not a thread: papermill changes the working folder and the environment. Owner and worker speak through a socket pair
that no other process can reach. The worker records a run that SIGTERM ends as interrupted, and ends by itself when its owner is
gone, so a killed `atb` or Dask worker leaves nothing running.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from atb.errors import AtbError, SetupError
from atb.experiments.batch.plan import Cell

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.db import Database
    from atb.experiments.fork_server import ForkServer

GRACE_SECONDS = 30.0  # to record the run that was interrupted
_BEGIN = (
    "from atb.experiments.batch.worker import begin; begin()"  # not `-m`: what is pickled needs its own module's name
)


@dataclass(frozen=True)
class Order:
    """A worker's order, given once: where it works, on what, and within which limits.

    Parameters
    ----------
    notebook, batch
        The file and the batch's name.
    timeout, memory
        Seconds of a run, and bytes of its kernel (None: the setting's share).
    settings
        Those of the owner; None for the worker's own.
    warm
        Whether kernels are forked from one that has imported everything.
    take_over
        Whether runs of workers that are lost give up their claims.
    """

    notebook: Path
    batch: str
    timeout: float
    memory: int | None = None
    settings: "Settings | None" = field(default=None, repr=False)
    warm: bool = True
    take_over: bool = False


@dataclass(frozen=True)
class Report:
    """How one cell ended: `succeeded`, `failed`, `interrupted`, or `running` where another process is at work on it."""

    number: int
    status: str
    run_id: str | None = None
    error: str | None = None
    seconds: float | None = None


class WorkerDiedError(Exception):
    """A worker's process ended before it had answered."""


class Worker:
    """A worker's process, as its owner sees it."""

    def __init__(self, process: "subprocess.Popen[bytes]", connection: "Connection[Any, Any]") -> None:
        self.process, self.connection = process, connection
        self.cell: Cell | None = None

    @classmethod
    def start(cls, order: Order) -> Self:
        """Start a process; it gets its order through the socket, not as an argument that others can read."""
        ours, theirs = Pipe()
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, no shell
                [sys.executable, "-c", _BEGIN, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(theirs.fileno(),),
            )  # fmt: skip
        worker = cls(process, ours)
        with suppress(OSError):  # it died at once: whoever receives finds that out
            ours.send(order)
        return worker

    def give(self, cell: Cell) -> None:
        """Give it a cell to run."""
        self.cell = cell
        with suppress(OSError):
            self.connection.send(cell)

    def receive(self) -> Report:
        """Return how its cell ended.

        Raises
        ------
        WorkerDiedError
            If its process ended before.
        """
        try:
            found = self.connection.recv()
        except (EOFError, OSError):
            code = self.process.wait()
            raise WorkerDiedError(
                f"its worker ended with {'signal' if code < 0 else 'exit code'} {abs(code)}"
            ) from None
        if isinstance(found, AtbError):
            raise found
        assert isinstance(found, Report)
        return found

    def interrupt(self) -> None:
        """Have it record its run as interrupted, and end."""
        with suppress(OSError):
            self.process.terminate()

    def close(self) -> None:
        """Wait for its end, or force it, and close the socket."""
        with suppress(OSError):
            self.connection.send(None)
        try:
            self.process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.connection.close()


# --- in the worker's process ------------------------------------------------------------------------------------------


def work(connection: "Connection[Any, Any]") -> None:
    """Take the order, then run cell after cell until there is none."""
    # A handler, not SIG_IGN: that would be inherited by every kernel. Ctrl-C reaches all of a terminal; the owner decides.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_owner, args=(connection.fileno(),), daemon=True).start()
    order: Order = connection.recv()
    try:
        settings, database = _opened(order)
    except AtbError as error:
        connection.recv()
        connection.send(_plain(error))
        return
    kernels = _kernels(settings) if order.warm else None
    try:
        while (cell := connection.recv()) is not None:
            connection.send(run_cell(cell, order, settings=settings, database=database, kernels=kernels))
    finally:
        if kernels is not None:
            kernels.close()
        database.close()


def run_cell(
    cell: Cell, order: Order, *, settings: "Settings", database: "Database", kernels: "ForkServer | None"
) -> Report:
    """Execute one cell and return how it ended, whatever happens."""
    from atb.experiments.execution import RunContext, RunInterrupted, execute

    context = RunContext(order.batch, cell.identity, order.take_over, order.memory, kernels)
    try:
        run = execute(
            order.notebook, cell.values, settings=settings, database=database, timeout=order.timeout, context=context
        )
    except RunInterrupted as interrupted:
        run = interrupted.run
    except KeyboardInterrupt:
        return Report(cell.number, "interrupted")
    except Exception as error:  # noqa: BLE001 - the batch goes on, and lists it
        from atb.redaction import redact

        return Report(cell.number, "failed", error=redact(f"{type(error).__name__}: {error}"))
    return Report(cell.number, run.status, run.run_id, run.error, run.seconds)


def _opened(order: Order) -> "tuple[Settings, Database]":
    from atb.config import load_settings
    from atb.db import open_database
    from atb.monitoring import configure_logging

    settings = load_settings() if order.settings is None else order.settings
    configure_logging("ERROR", secrets=settings.secrets())
    return settings, open_database(settings.database.url)


def _plain(error: AtbError) -> AtbError:
    """Return an error that can be pickled: its class takes its message apart."""
    return SetupError(str(error))


def _kernels(settings: "Settings") -> "ForkServer | None":
    """Return a fork server with the environment that every kernel of these settings gets."""
    from atb.environment import variables
    from atb.experiments.fork_server import ForkServer
    from atb.experiments.surroundings import kernel_environment

    return ForkServer.start(kernel_environment(variables(), settings.notebooks.environment))


def _end_with_owner(descriptor: int) -> None:
    """Wait until the owner's end of the socket is closed, then end this process: first as SIGTERM does, then at once."""
    poller = select.poll()
    poller.register(descriptor, select.POLLHUP)
    while not any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in poller.poll()):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def begin() -> None:
    """Work for the owner whose socket is the descriptor in the arguments."""
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):  # the owner went away, or ended this process
        work(Connection(int(sys.argv[1])))

"""A batch on this machine: as many worker processes as wanted, each given the next cell when it has finished one.

A worker that dies takes its cell's run with it: the cell is given to another one, once. On Ctrl-C each worker records its run as
interrupted; the same command resumes the batch.
"""

from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait

from atb.experiments.batch.plan import Cell
from atb.experiments.batch.worker import Order, Report, Worker, WorkerDiedError

TRIES = 2  # workers that a cell may bring down


def run_local(cells: Sequence[Cell], order: Order, *, workers: int, report: Callable[[Report], None]) -> bool:
    """Run the cells; return False if Ctrl-C interrupted it.

    Parameters
    ----------
    cells
        What to run, in this order.
    workers
        Processes; no more are started than there are cells.
    report
        Called in this process as each cell ends.

    Raises
    ------
    SetupError
        If a worker cannot work at all, as when its database cannot be opened.
    """
    waiting, tries = deque(cells), dict.fromkeys((cell.number for cell in cells), 0)
    team = [Worker.start(order) for _ in range(min(workers, len(cells)))]
    try:
        for worker in team:
            worker.give(waiting.popleft())
        while busy := {worker.connection: worker for worker in team if worker.cell is not None}:
            for ready in wait(list(busy)):
                worker = busy[ready]  # type: ignore[index] # `wait` returns what it was given
                ended = _received(worker, waiting, tries)
                if worker.process.poll() is not None and waiting:
                    team[team.index(worker)] = worker = _another(worker, order)
                worker.cell = None
                if ended is not None:
                    report(ended)
                if waiting:
                    worker.give(waiting.popleft())
    except KeyboardInterrupt:
        _interrupt(team, report)
        return False
    finally:
        for worker in team:
            worker.close()
    return True


def _received(worker: Worker, waiting: "deque[Cell]", tries: dict[int, int]) -> Report | None:
    """Return how a worker's cell ended; None if it goes to another worker."""
    cell = worker.cell
    assert cell is not None
    try:
        return worker.receive()
    except WorkerDiedError as error:
        tries[cell.number] += 1
        if tries[cell.number] < TRIES:
            waiting.appendleft(cell)
            return None
        return Report(cell.number, "failed", error=f"{error}, {TRIES} times")


def _another(worker: Worker, order: Order) -> Worker:
    worker.close()
    return Worker.start(order)


def _interrupt(team: Sequence[Worker], report: Callable[[Report], None]) -> None:
    """Interrupt every run, and report how the last ones ended."""
    busy = [worker for worker in team if worker.cell is not None]
    for worker in busy:
        worker.interrupt()
    for worker in busy:
        try:
            report(worker.receive())
        except WorkerDiedError:
            report(Report(worker.cell.number if worker.cell else 0, "interrupted"))

"""The same batch on a Dask cluster, and the checks that make it the same.

Whoever reaches a scheduler's port runs code there, so only loopback and TLS are used (`tls://`, with the certificates that Dask's
own configuration names: DASK_DISTRIBUTED__COMM__TLS__CA_FILE and its like).

Dask compares the versions of packages, not our code: each task compares the hashes of code, notebook and stored data with those
of the client. Results are rows of the registry, which all workers and the client must share: PostgreSQL, or an SQLite file on one
machine.

A worker that is killed does not lose a run, and none is done twice: the scheduler gives the cell to another worker; that one
finds the finished run under the cell's claim and returns it, or takes the claim over, and then the lost worker's run cannot
succeed any more.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from atb.errors import InputError, SetupError
from atb.experiments.batch.plan import Cell, Plan
from atb.experiments.batch.worker import Order, Report, Worker, WorkerDiedError

if TYPE_CHECKING:
    from distributed import Client

    from atb.config import Settings

CONNECT_SECONDS = 20
_COMMIT = "Bring both to the same commit, and start the worker again"
_SHARED = "Copy them there, or let ATB__DATA__ROOT name a shared folder"
DIFFERENCES = {
    "notebook": ("another notebook", _COMMIT),
    "code": ("another version of atb, of a package, or of your own strategies", _COMMIT),
    "data": ("other bars", _SHARED),
    "models": ("other models", _SHARED),
    "registry": ("another registry", "Let ATB__DATABASE__URL name the same PostgreSQL database at both"),
}
LOOPBACK = ("localhost", "::1")
_own = threading.local()  # in a Dask worker: the worker process of each of its threads


@dataclass(frozen=True)
class Site:
    """Hashes of notebook, code, bars and models, and the registry's newest runs: the same at client and workers."""

    notebook: str
    code: str
    data: str
    models: str
    registry: tuple[str, ...]
    root: str = ""


@contextmanager
def connected(scheduler: str) -> Iterator["Client"]:
    """Connect to a scheduler that has workers, for the length of a block.

    Raises
    ------
    InputError
        If the address is neither loopback nor TLS.
    SetupError
        If no scheduler answers there, or it has no worker.
    """
    from distributed import Client

    check_address(scheduler)
    try:
        client: Any = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call,unused-ignore]
    except (OSError, TimeoutError, ValueError) as error:
        raise SetupError(
            f"No Dask scheduler answers ({type(error).__name__})", found=scheduler,
            todo="Start one: `dask scheduler --host 127.0.0.1`, and workers: `dask worker tcp://127.0.0.1:8786 --nthreads 1`",
        ) from None  # fmt: skip
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise SetupError(
                "The Dask scheduler has no worker", found=scheduler, todo=f"`dask worker {scheduler} --nthreads 1`"
            )
        yield client


def check_address(scheduler: str) -> None:
    """Refuse an address over which others could run code.

    Raises
    ------
    InputError
        If it is neither `tls://` nor a loopback address.
    """
    found = urlsplit(scheduler if "://" in scheduler else f"tcp://{scheduler}")
    host = found.hostname or ""
    if found.scheme not in {"tcp", "tls"} or not host:
        raise InputError("A scheduler's address is tcp://HOST:PORT or tls://HOST:PORT", found=scheduler)
    if found.scheme != "tls" and host not in LOOPBACK and not host.startswith("127."):
        raise InputError(
            "A Dask scheduler runs the code of whoever reaches it, so only loopback and TLS are used",
            found=scheduler,
            todo="Use tls://, or a tunnel to its port on 127.0.0.1",
        )


def run_on_cluster(
    cells: Sequence[Cell],
    plan: Plan,
    order: Order,
    *,
    scheduler: str,
    settings: "Settings",
    report: Callable[[Report], None],
) -> bool:
    """Run cells of a plan on a cluster; return False if Ctrl-C interrupted it: what is at work then ends, the rest is cancelled.

    Parameters
    ----------
    order
        Limits of the runs; workers use their own settings.
    settings
        The client's, with whose notebook, data and registry those of the workers are compared.
    report
        Called here as each cell ends.

    Raises
    ------
    InputError, SetupError
        As `connected`; or if a worker has another code, notebook, data or registry, which the message names.
    """
    from distributed import as_completed

    relative = _relative(plan.notebook, settings.project)
    order = replace(order, notebook=relative, settings=None, take_over=True)
    wanted = site(relative, settings)
    with connected(scheduler) as client:
        for worker, found in client.run(worker_site, str(relative)).items():
            compare(wanted, found, worker)
        futures: dict[Any, Cell] = {
            client.submit(run_remote, cell, order, replace(wanted, registry=()), key=f"{plan.batch}-{cell.identity}",
                          pure=False): cell
            for cell in cells
        }  # fmt: skip
        try:
            for future in as_completed(list(futures), loop=client.loop):  # type: ignore[no-untyped-call]
                report(_report_of(future, futures[future]))
        except KeyboardInterrupt:
            client.cancel(list(futures), force=True)  # type: ignore[no-untyped-call]
            return False
    return True


def _report_of(future: Any, cell: Cell) -> Report:
    """Return how a cell ended on the cluster."""
    error = future.exception()
    if isinstance(error, InputError | SetupError):
        raise error
    if error is not None:  # such as KilledWorker: it brought down one worker after another
        return Report(cell.number, "failed", error=f"{type(error).__name__}: {error}")
    found: Report = future.result()
    return found


def _relative(notebook: Path, project: Path) -> Path:
    """Return where a notebook lies in the project; one outside of it by its full path."""
    return notebook.relative_to(project) if notebook.is_relative_to(project) else notebook


def site(notebook: Path, settings: "Settings") -> Site:
    """Return the site of this process: `notebook` by its path in the project.

    Raises
    ------
    InputError
        If the notebook is not here.
    """
    from atb.db import open_to_read
    from atb.experiments.identity import inputs_of
    from atb.experiments.registry import list_runs

    path = settings.project / notebook
    if not path.is_file():
        raise InputError("There is no such notebook", found=str(path))
    inputs = inputs_of(path, settings)
    database = open_to_read(settings.database.url)
    try:
        newest = tuple(run.run_id for run in list_runs(database, 5))
    finally:
        database.close()
    return Site(inputs.notebook, inputs.code, inputs.data, inputs.models, newest, str(settings.data.root.resolve()))


def compare(wanted: Site, found: "Site | str", worker: str) -> None:
    """Refuse a worker whose runs would not be those of the client.

    Raises
    ------
    SetupError
        Naming the worker and what differs there.
    """
    if isinstance(found, str):
        raise SetupError(f"The worker {worker} cannot take part: {found}")
    for name, (what, todo) in DIFFERENCES.items():
        if getattr(wanted, name) != getattr(found, name) and (name != "registry" or wanted.registry):
            here, there = wanted.root, found.root
            raise SetupError(
                f"The worker {worker} has {what}", found=f"data root {here} here, {there} there", todo=todo
            )


# --- in the Dask worker -----------------------------------------------------------------------------------------------


def worker_site(notebook: str) -> "Site | str":
    """Return the site of this worker, or in words why it has none."""
    from atb.config import load_settings
    from atb.errors import AtbError

    try:
        return site(Path(notebook), load_settings())
    except AtbError as error:
        return str(error)


def run_remote(cell: Cell, order: Order, wanted: Site) -> Report:
    """Run a cell in this thread's own worker process, once code, notebook and data are the client's.

    Raises
    ------
    SetupError
        If they are not: this worker came later, or its data changed meanwhile.
    """
    from distributed import get_worker

    from atb.config import load_settings

    settings = load_settings()
    here = worker_site(str(order.notebook))
    # A notebook that makes models changes them: they are compared once, before the first run.
    compare(
        wanted,
        here if isinstance(here, str) else replace(here, registry=(), models=wanted.models),
        get_worker().address,
    )
    order = replace(order, notebook=settings.project / order.notebook)
    for _ in range(2):
        worker = _process(order)
        worker.give(cell)
        try:
            return worker.receive()
        except WorkerDiedError as error:
            reason = str(error)
    return Report(cell.number, "failed", error=f"{reason}, twice")


def _process(order: Order) -> Worker:
    """Return this thread's worker process; another order needs another one."""
    known: tuple[Order, Worker] | None = getattr(_own, "worker", None)
    if known is not None and known[0] == order and known[1].process.poll() is None:
        return known[1]
    if known is not None:
        known[1].close()
    _own.worker = (order, Worker.start(order))
    started: Worker = _own.worker[1]
    return started

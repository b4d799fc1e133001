"""Executing a notebook as a recorded run: checked parameters in, a row and a folder out, whatever happens in between.

Secrets: the notebook gets the parameters it was given; everything that is kept (row, record, notebook, report, results) has them
masked, by name and by value: those of the settings, and those found in the parameters themselves. A parameter that is called like a
secret is refused instead: masked, it would be of no use in the record, and whoever passes it believes that this is the way.

Truth: a run is `succeeded` only when its files are on the disk. They are written and brought there first; the row comes last.
"""

import re
import secrets as random_text
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from atb.db import Database
from atb.db.tables import Run
from atb.environment import variables
from atb.errors import InputError, SetupError
from atb.experiments.ceiling import kernel_memory
from atb.experiments.conversion import Plain
from atb.experiments.lineage import commit_of, file_sha256, json_sha256, versions
from atb.experiments.parameters import parameters_of, read_notebook, validate_parameters, with_defaults
from atb.experiments.publication import RECORD, published, to_json, write_text
from atb.experiments.registry import SCRATCH, add_run, end_dead_runs, end_run, now, run_json
from atb.experiments.report import write_report
from atb.experiments.running import Job, Outcome, Progress, run_notebook
from atb.experiments.surroundings import kernel_environment, secrets_of
from atb.files import files_below, make_private_folder, secure_folder, write_private
from atb.monitoring.processes import Holder
from atb.redaction import Redactor, is_secret_name
from atb.redaction.discovery import find_secrets

if TYPE_CHECKING:
    from atb.config import Settings

REPORT = "report.html"
TIMEOUT_SECONDS = 3_600.0


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C, or a polite kill, ended a run; `run` is its completed row."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.run_id)
        self.run = run


def execute(
    notebook: Path,
    parameters: Mapping[str, object],
    *,
    settings: "Settings",
    database: Database,
    progress: Progress | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> Run:
    """Execute a notebook with parameters, keep everything about it, and return its row.

    A notebook that fails is no exception here: look at `status`, `error` and `failed_cell`. The folder `path` then holds
    the notebook as far as it came.

    Parameters
    ----------
    notebook
        The `.ipynb` file; it runs in its own folder and is not changed.
    parameters
        Values by name, as text or plain Python values; the rest keep their defaults.
    settings, database
        Where runs are kept and recorded; the values of secret settings are masked in every file of the run.
    progress
        Called with (cells done, cells in all).
    timeout
        Seconds for the whole run.

    Raises
    ------
    InputError
        The notebook or a parameter is wrong; nothing was run or written.
    RunInterrupted
        Ctrl-C; the run was recorded as interrupted.
    """
    path = notebook.expanduser().resolve()
    node = read_notebook(path)
    spec = parameters_of(node, path.name)
    values = validate_parameters(spec, parameters)
    if not timeout > 0:
        raise InputError("The time limit must be above 0 seconds", found=timeout)
    redactor = Redactor(_secrets(settings, values))
    kept = redactor.value(with_defaults(spec, values))
    run = _begin(path, kept, settings=settings, database=database)
    given = variables()
    environment = kernel_environment(given, settings.notebooks.environment) | {
        "ATB_RUN_DIR": run.path,
        "ATB_RUN_ID": run.run_id,
        "ATB__DATA__ROOT": str(settings.data.root.resolve()),
    }
    try:
        scratch = Path(run.path) / SCRATCH
        memory = kernel_memory(settings.notebooks.memory_share)
        job = Job(node, path.name, path.parent, values, environment, timeout, scratch, memory=memory)
        outcome = run_notebook(job, progress)
        ended = _end(run, outcome, redactor, database=database)
    except BaseException as problem:
        _abandon(run, problem, redactor, database=database)
        raise
    if outcome.status == "interrupted":
        raise RunInterrupted(ended)
    return ended


def run_id(notebook: str, moment: datetime) -> str:
    """Return a new id that sorts by time, names the notebook and is safe as a folder: `20240131-094500-03-backtest-1f9a3c`."""
    slug = re.sub(r"[^a-z0-9]+", "-", Path(notebook).stem.lower()).strip("-")[:40] or "notebook"
    return f"{moment:%Y%m%d-%H%M%S}-{slug}-{random_text.token_hex(3)}"


def _secrets(settings: "Settings", values: Mapping[str, Plain]) -> tuple[str, ...]:
    """Return what this run must not leave behind: secrets of the settings, of what kernels get, and in the parameters."""
    text = repr(values)
    given = variables()
    passed = [value for name, value in given.items() if is_secret_name(name) and value and value in text]
    return (
        *settings.secrets(),
        *secrets_of(given, settings.notebooks.environment),
        *passed,
        *find_secrets(values),
    )


def _begin(path: Path, values: dict[str, Plain], *, settings: "Settings", database: Database) -> Run:
    """Make the run's folder and its row, both saying `running`."""
    from atb.engine.cache import kernel_hash

    end_dead_runs(database)
    started = now()
    name = run_id(path.name, started)
    folder = settings.runs_root.resolve() / name
    try:
        make_private_folder(folder)
    except OSError as problem:
        raise SetupError(f"The folder of the run cannot be made ({problem.strerror})", found=str(folder)) from None
    commit, dirty = commit_of(path.parent)
    run = Run(
        run_id=name,
        notebook=path.name,
        notebook_sha256=file_sha256(path),
        parameters=values,
        parameters_sha256=json_sha256(values),
        status="running",
        started_at=started,
        commit=commit,
        dirty=dirty,
        kernel_hash=kernel_hash(),
        seed=_seed(values),
        versions=versions(),
        data=[],
        metrics={},
        path=str(folder),
        holder=str(Holder.here()),
    )
    add_run(database, run)
    write_text(folder / RECORD, to_json(run_json(run)))
    return run


def _seed(values: Mapping[str, Plain]) -> int | None:
    seed = values.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def _end(run: Run, outcome: Outcome, redactor: Redactor, *, database: Database) -> Run:
    """Write what the run leaves behind, masked, see that it is on the disk, and complete its row, in this order."""
    folder = Path(run.path)
    make_private_folder(folder)  # a cell may have deleted it
    node = _keep_notebook(folder / run.notebook, outcome, redactor)
    _mask_files(folder, redactor)
    result = published(folder)
    ended = now()
    changes = {
        "status": outcome.status,
        "error": None if outcome.error is None else redactor.text(outcome.error),
        "failed_cell": outcome.failed_cell,
        "ended_at": ended,
        "seconds": round((ended - run.started_at).total_seconds(), 3),
        "metrics": result.get("metrics", {}),
        "data": result.get("data", []),
        "holder": None,
    }
    for name, value in changes.items():
        setattr(run, name, value)
    record = run_json(run)
    if node is not None:
        write_report(folder / REPORT, node, record, published=result)
    write_text(folder / RECORD, to_json(record))
    secure_folder(folder)
    return end_run(database, run.run_id, **changes)


def _abandon(run: Run, problem: BaseException, redactor: Redactor, *, database: Database) -> None:
    """Record an error, or Ctrl-C, outside the notebook; a row that cannot be written stays `running`, never `succeeded`."""
    run.status = "interrupted" if isinstance(problem, KeyboardInterrupt) else "failed"
    run.error, run.ended_at, run.holder = redactor.text(f"{type(problem).__name__}: {problem}"), now(), None
    with suppress(OSError):  # the error may be that nothing can be written; the row is what counts
        write_text(Path(run.path) / RECORD, to_json(run_json(run)))
    with suppress(
        SQLAlchemyError
    ):  # what is wrong was raised already, and a row that says `running` is found dead later
        end_run(database, run.run_id, status=run.status, error=run.error, ended_at=run.ended_at)


def _keep_notebook(path: Path, outcome: Outcome, redactor: Redactor) -> Any:
    """Write the executed notebook without the secrets, and return it as it was written."""
    if outcome.notebook is None:
        return None
    import nbformat

    text = redactor.known(nbformat.writes(outcome.notebook))  # type: ignore[no-untyped-call] # no types there
    write_text(path, text + "\n")
    return nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call] # no types there


def _mask_files(folder: Path, redactor: Redactor) -> None:
    """Take the secrets out of every text that the notebook wrote into its run's folder."""
    for path in files_below(folder):
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:  # no text
            continue
        if (masked := redactor.known(text)) != text:
            write_private(path, masked.encode())

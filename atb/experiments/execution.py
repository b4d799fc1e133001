"""Execution of a notebook as a recorded run: checked parameters in, a registry row and a folder out, whatever happens.

Secrets: the notebook gets its parameters unchanged; in everything that is kept (row, record, notebook, report, results) secrets are
masked, by name and by value: those of the settings, and those found in the parameters. A parameter named like a secret is refused:
masked, it would be useless in the record.

A run is `succeeded` only once its files are on the disk: they are written and flushed first, the row last.
"""

import re
import secrets as random_text
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from atb.config.project import PROJECT
from atb.db import Database
from atb.db.tables import RunRow
from atb.environment import variables
from atb.errors import InputError, SetupError
from atb.experiments.ceiling import kernel_memory
from atb.experiments.conversion import Plain
from atb.experiments.identity import Inputs, inputs_of
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
    from atb.experiments.fork_server import ForkServer

REPORT = "report.html"
TIMEOUT_SECONDS = 3_600.0


@dataclass(frozen=True)
class RunContext:
    """A run's place in a batch.

    Parameters
    ----------
    batch, claim
        The batch it belongs to, and the cell that it finishes; only one run holds a claim (`atb.experiments.registry.add_run`).
    take_over
        Take the claim from a run that seems to be at work: its worker is known to be lost.
    memory
        Limit of the kernel in bytes; None for the setting's.
    kernels
        A fork server that makes the kernel; None starts it anew.
    """

    batch: str | None = None
    claim: str | None = None
    take_over: bool = False
    memory: int | None = None
    kernels: "ForkServer | None" = None


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a run; `run` is its completed row."""

    def __init__(self, run: RunRow) -> None:
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
    context: RunContext | None = None,
) -> RunRow:
    """Execute a notebook with parameters, record it, and return its row; or the row of the run that has its claim already.

    A notebook that fails does not raise here: see `status`, `error` and `failed_cell`. The folder `path` then holds the notebook
    up to the failed cell.

    Parameters
    ----------
    notebook
        The `.ipynb` file; it runs in its own folder and is not changed.
    parameters
        Values by name, as text or plain Python values; others keep their defaults.
    settings, database
        Folder and registry of runs; secret settings are masked in every file of the run.
    progress
        Called with (cells done, number of cells).
    timeout
        Seconds for the whole run.
    context
        The run's place in a batch.

    Raises
    ------
    InputError
        If the notebook or a parameter is wrong; nothing is run or written.
    RunInterrupted
        On Ctrl-C; the run is recorded as interrupted.
    """
    path = notebook.expanduser().resolve()
    node = read_notebook(path)
    spec = parameters_of(node, path.name)
    values = validate_parameters(spec, parameters)
    if not timeout > 0:
        raise InputError("The time limit must be above 0 seconds", found=timeout)
    redactor = redactor_for(values, settings)
    context = context or RunContext()
    inputs = inputs_of(path, settings)
    new = _new_run(path, redactor.value(with_defaults(spec, values)), settings=settings, context=context)
    new.identity, making = inputs.identities(new.parameters)
    run = _begin(new, database=database, take_over=context.take_over)
    if run is not new:
        return run
    given = variables()
    environment = kernel_environment(given, settings.notebooks.environment) | {
        "ATB_RUN_DIR": run.path,
        "ATB_RUN_ID": run.run_id,
        PROJECT: str(settings.project.resolve()),
        "ATB__DATA__ROOT": str(settings.data.root.resolve()),
    }
    try:
        scratch = Path(run.path) / SCRATCH
        memory = kernel_memory(settings.notebooks.memory_share) if context.memory is None else context.memory
        job = Job(node, path.name, path.parent, values, environment, timeout, scratch, memory, context.kernels)
        outcome = run_notebook(job, progress)
        ended = _end(run, outcome, redactor, database=database, inputs=inputs, making=making)
    except BaseException as error:
        _abandon(run, error, redactor, database=database)
        raise
    if outcome.status == "interrupted":
        raise RunInterrupted(ended)
    return ended


def redactor_for(values: Mapping[str, Plain], settings: "Settings") -> Redactor:
    """Return the redactor of a run with these parameters: it masks secrets in everything that is kept."""
    return Redactor(_secrets(settings, values))


def run_id(notebook: str, moment: datetime) -> str:
    """Return a new id that sorts by time, names the notebook and is safe as a folder: `20240131-094500-03-backtest-1f9a3c`."""
    slug = re.sub(r"[^a-z0-9]+", "-", Path(notebook).stem.lower()).strip("-")[:40] or "notebook"
    return f"{moment:%Y%m%d-%H%M%S}-{slug}-{random_text.token_hex(3)}"


def _secrets(settings: "Settings", values: Mapping[str, Plain]) -> tuple[str, ...]:
    """Return the secrets to mask: of the settings, of the kernel's environment, and in the parameters."""
    text = repr(values)
    given = variables()
    passed = [value for name, value in given.items() if is_secret_name(name) and value and value in text]
    return (
        *settings.secrets(),
        *secrets_of(given, settings.notebooks.environment),
        *passed,
        *find_secrets(values),
    )


def _new_run(path: Path, values: dict[str, Plain], *, settings: "Settings", context: RunContext) -> RunRow:
    """Return the row of a run that is about to begin."""
    from atb.engine.cache import kernel_hash

    started = now()
    name = run_id(path.name, started)
    commit, dirty = commit_of(path.parent)
    return RunRow(
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
        path=str(settings.runs_root.resolve() / name),
        holder=str(Holder.here()),
        claim=context.claim,
        batch=context.batch,
    )


def _begin(run: RunRow, *, database: Database, take_over: bool) -> RunRow:
    """Register a run and make its folder; return it, or the run that has its claim already."""
    end_dead_runs(database)
    folder = Path(run.path)
    try:
        make_private_folder(folder)
    except OSError as error:
        raise SetupError(f"The folder of the run cannot be made ({error.strerror})", found=str(folder)) from None
    begun = add_run(database, run, take_over=take_over)
    if begun is not run:
        folder.rmdir()
        return begun
    write_text(folder / RECORD, to_json(run_json(run)), synced=False)
    return run


def _seed(values: Mapping[str, Plain]) -> int | None:
    seed = values.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def _end(
    run: RunRow, outcome: Outcome, redactor: Redactor, *, database: Database, inputs: Inputs, making: str
) -> RunRow:
    """Write the run's files, masked, flush them to disk, then complete its row; `making` is its identity if it made a model."""
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
        "identity": making if _makes_model(result, inputs) else run.identity,
        "holder": None,
    }
    for name, value in changes.items():
        setattr(run, name, value)
    record = run_json(run)
    if node is not None:
        write_report(folder / REPORT, node, record, published=result)
    write_text(folder / RECORD, to_json(record), synced=False)
    secure_folder(folder)
    row = end_run(database, run.run_id, **changes)
    if row.status != outcome.status:  # another process took its place
        write_text(folder / RECORD, to_json(run_json(row)))
    return row


def _makes_model(result: Mapping[str, Any], inputs: Inputs) -> bool:
    """Return whether a run published a model that was not stored when it began."""
    model = result.get("model")
    return model is not None and str(Path(str(model["path"])).resolve()) not in inputs.known


def _abandon(run: RunRow, error: BaseException, redactor: Redactor, *, database: Database) -> None:
    """Record an error, or Ctrl-C, outside the notebook; a row that cannot be written stays `running`, never `succeeded`."""
    run.status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    run.error, run.ended_at, run.holder = redactor.text(f"{type(error).__name__}: {error}"), now(), None
    with suppress(OSError):  # the error may be that nothing can be written; the row matters more
        write_text(Path(run.path) / RECORD, to_json(run_json(run)))
    with suppress(SQLAlchemyError):  # the error was raised already, and the row is found dead later
        end_run(database, run.run_id, status=run.status, error=run.error, ended_at=run.ended_at)


def _keep_notebook(path: Path, outcome: Outcome, redactor: Redactor) -> Any:
    """Write the executed notebook with secrets masked, and return it as written."""
    if outcome.notebook is None:
        return None
    import nbformat

    text = redactor.known(nbformat.writes(outcome.notebook))  # type: ignore[no-untyped-call] # no types there
    write_text(path, text + "\n", synced=False)
    return nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call] # no types there


def _mask_files(folder: Path, redactor: Redactor) -> None:
    """Mask secrets in every text file that the notebook wrote into its run's folder."""
    for path in files_below(folder):
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:  # not text
            continue
        if (masked := redactor.known(text)) != text:
            write_private(path, masked.encode(), synced=False)

"""Executing a notebook as a recorded run: checked parameters in, a row and a folder out, whatever happens in between."""

import re
import secrets as random_text
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.db import Database
from atb.db.tables import Run
from atb.errors import InputError, SetupError
from atb.experiments.conversion import Plain
from atb.experiments.lineage import commit_of, file_sha256, json_sha256, versions
from atb.experiments.masking import mask
from atb.experiments.parameters import parameters_of, read_notebook, validate_parameters, with_defaults
from atb.experiments.publication import FILE, RECORD, published, to_json, write_text
from atb.experiments.registry import SCRATCH, add_run, end_dead_runs, end_run, now, run_json
from atb.experiments.report import write_report
from atb.experiments.running import Job, Outcome, Progress, run_notebook
from atb.monitoring.processes import Holder

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
    run = _begin(path, with_defaults(spec, values), settings=settings, database=database)
    environment = {
        "ATB_RUN_DIR": run.path,
        "ATB_RUN_ID": run.run_id,
        "ATB__DATA__ROOT": str(settings.data.root.resolve()),
    }
    try:
        scratch = Path(run.path) / SCRATCH
        outcome = run_notebook(Job(node, path.name, path.parent, values, environment, timeout, scratch), progress)
        ended = _end(run, outcome, settings.secrets(), database=database)
    except BaseException as problem:
        _abandon(run, problem, database=database)
        raise
    if outcome.status == "interrupted":
        raise RunInterrupted(ended)
    return ended


def run_id(notebook: str, moment: datetime) -> str:
    """Return a new id that sorts by time, names the notebook and is safe as a folder: `20240131-094500-03-backtest-1f9a3c`."""
    slug = re.sub(r"[^a-z0-9]+", "-", Path(notebook).stem.lower()).strip("-")[:40] or "notebook"
    return f"{moment:%Y%m%d-%H%M%S}-{slug}-{random_text.token_hex(3)}"


def _begin(path: Path, values: dict[str, Plain], *, settings: "Settings", database: Database) -> Run:
    """Make the run's folder and its row, both saying `running`."""
    from atb.engine.cache import kernel_hash

    end_dead_runs(database)
    started = now()
    name = run_id(path.name, started)
    folder = settings.runs_root.resolve() / name
    try:
        folder.mkdir(parents=True)
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


def _end(run: Run, outcome: Outcome, secrets: tuple[str, ...], *, database: Database) -> Run:
    """Write what the run leaves behind, masked, and complete its row."""
    folder = Path(run.path)
    node = _keep_notebook(folder / run.notebook, outcome, secrets)
    result = _keep_result(folder, secrets)
    ended = now()
    row = end_run(
        database,
        run.run_id,
        status=outcome.status,
        error=None if outcome.error is None else mask(outcome.error, secrets),
        failed_cell=outcome.failed_cell,
        ended_at=ended,
        seconds=round((ended - run.started_at).total_seconds(), 3),
        metrics=result.get("metrics", {}),
        data=result.get("data", []),
    )
    write_text(folder / RECORD, to_json(run_json(row)))
    if node is not None:
        write_report(folder / REPORT, node, run_json(row))
    return row


def _abandon(run: Run, problem: BaseException, *, database: Database) -> None:
    """Record an error, or Ctrl-C, outside the notebook."""
    status = "interrupted" if isinstance(problem, KeyboardInterrupt) else "failed"
    row = end_run(database, run.run_id, status=status, error=f"{type(problem).__name__}: {problem}", ended_at=now())
    with suppress(OSError):  # the error may be that nothing can be written; the row is what counts
        write_text(Path(run.path) / RECORD, to_json(run_json(row)))


def _keep_notebook(path: Path, outcome: Outcome, secrets: tuple[str, ...]) -> Any:
    """Write the executed notebook without the secrets, and return it as it was written."""
    if outcome.notebook is None:
        return None
    import nbformat

    text = mask(nbformat.writes(outcome.notebook), secrets)  # type: ignore[no-untyped-call] # no types there
    write_text(path, text + "\n")
    return nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call] # no types there


def _keep_result(folder: Path, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return what the notebook published, after masking its file."""
    path = folder / FILE
    if path.exists():
        text = path.read_text(encoding="utf-8")
        masked = mask(text, secrets)
        if masked != text:
            write_text(path, masked)
    return published(folder)

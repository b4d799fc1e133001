"""The run registry: one row per execution, written when it begins and completed when it ends."""

import itertools
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, make_transient

from atb.db import Database
from atb.db.tables import RUN_STATUSES, RunRow
from atb.errors import InputError, RunError, did_you_mean
from atb.experiments.publication import RECORD, to_json, write_text
from atb.monitoring.processes import Holder

RECENT = 200  # newest run ids that a mistyped one is compared with
_AT_ONCE = 500  # values in one question to the database
_USUAL = 50  # runs whose duration tells the next one's
SCRATCH = ".scratch"  # in a run's folder while it runs
DEAD = {"status": "interrupted", "error": "its process ended without writing an end", "holder": None, "claim": None}
REPLACED = {"status": "interrupted", "error": "another process took its place", "holder": None, "claim": None}


def add_run(database: Database, run: RunRow, *, take_over: bool = False) -> RunRow:
    """Write the row of a run that starts, and return it; or the row of the run that has its claim already.

    A claim is what a cell of a batch is known by: at most one run holds it, so of two processes that were given the same cell one
    finishes it.

    Parameters
    ----------
    take_over
        Take the claim from a run that is still at work, because its worker is known to be lost. Otherwise that run is returned.
    """
    for _ in range(2):
        try:
            with database.session() as session:
                held = _holder_of(session, run.claim)
                if held is not None and (held.status == "succeeded" or not (take_over or _is_dead(held))):
                    return held
                if held is not None:
                    _changed(held, REPLACED)
                    session.flush()  # the claim is free before it is taken
                session.add(run)
            return run
        except IntegrityError:  # another process was quicker: look at what it wrote
            make_transient(run)
    raise RunError("The run could not be registered", found=run.run_id, todo="Repeat the command")


def _holder_of(session: Session, claim: str | None) -> RunRow | None:
    if claim is None:
        return None
    return session.scalars(select(RunRow).where(RunRow.claim == claim).with_for_update()).one_or_none()


def end_run(database: Database, run_id: str, **changes: Any) -> RunRow:
    """Complete the row of a run, release it, and return it; a run whose claim was taken away did not succeed."""
    with database.session() as session:
        run = session.get_one(RunRow, run_id, with_for_update=True)
        if run.batch is not None and run.claim is None:
            return _changed(run, {**changes, **REPLACED})
        lost = {} if changes.get("status") == "succeeded" else {"claim": None}
        return _changed(run, {**changes, **lost, "holder": None})


def finished_runs(database: Database, identities: Sequence[str]) -> dict[str, RunRow]:
    """Return the newest run that has succeeded under each identity, by identity; its folder must be there still."""
    found: dict[str, RunRow] = {}
    for first in range(0, len(identities), _AT_ONCE):
        some = identities[first : first + _AT_ONCE]
        wanted = (
            select(RunRow).where(RunRow.identity.in_(some), RunRow.status == "succeeded").order_by(RunRow.started_at)
        )
        with database.session(read_only=True) as session:
            found |= {str(run.identity): run for run in session.scalars(wanted) if _is_kept(run)}
    return found


def _is_kept(run: RunRow) -> bool:
    """Return whether a run's folder is here; that of another machine is believed to be."""
    return Path(run.path).is_dir() or not Path(run.path).parent.is_dir()


def failed_runs(database: Database, batch: str) -> dict[str, RunRow]:
    """Return the newest run of each cell of a batch, by identity, if that one failed."""
    wanted = select(RunRow).where(RunRow.batch == batch).order_by(RunRow.started_at)
    with database.session(read_only=True) as session:
        newest = {str(run.identity): run for run in session.scalars(wanted)}
    return {identity: run for identity, run in newest.items() if run.status == "failed"}


def claimed_runs(database: Database, claims: Sequence[str]) -> dict[str, RunRow]:
    """Return the runs that are at work on cells, by claim."""
    found: dict[str, RunRow] = {}
    for first in range(0, len(claims), _AT_ONCE):
        wanted = select(RunRow).where(RunRow.claim.in_(claims[first : first + _AT_ONCE]), RunRow.status == "running")
        with database.session(read_only=True) as session:
            found |= {str(run.claim): run for run in session.scalars(wanted) if not _is_dead(run)}
    return found


def runs_by_id(database: Database, ids: Sequence[str]) -> dict[str, RunRow]:
    """Return runs by their whole ids."""
    found: dict[str, RunRow] = {}
    for first in range(0, len(ids), _AT_ONCE):
        with database.session(read_only=True) as session:
            some = session.scalars(select(RunRow).where(RunRow.run_id.in_(ids[first : first + _AT_ONCE])))
            found |= {run.run_id: run for run in some}
    return found


def release_claims(database: Database, claims: Sequence[str]) -> None:
    """Let cells be run again whose runs have succeeded: what `--force` asks for."""
    with database.session() as session:
        for first in range(0, len(claims), _AT_ONCE):
            some = claims[first : first + _AT_ONCE]
            for run in session.scalars(select(RunRow).where(RunRow.claim.in_(some), RunRow.status == "succeeded")):
                run.claim = None


def usual_seconds(database: Database, notebook: str) -> float | None:
    """Return the median duration of a notebook's newest runs that succeeded, in seconds; None if there is none."""
    wanted = (
        select(RunRow.seconds)
        .where(RunRow.notebook == notebook, RunRow.status == "succeeded", RunRow.seconds.is_not(None))
        .order_by(RunRow.started_at.desc())
        .limit(_USUAL)
    )
    with database.session(read_only=True) as session:
        found = [seconds for seconds in session.scalars(wanted) if seconds is not None]
    return median(found) if found else None


def end_dead_runs(database: Database) -> None:
    """Mark runs as interrupted that are `running` although their process is gone, as after a power cut or `kill -9`.

    Their end is unknown, so `ended_at` stays empty. If the database cannot be written, it is left unchanged.
    """
    with database.session(read_only=True) as session:
        dead = [run for run in session.scalars(select(RunRow).where(RunRow.status == "running")) if _is_dead(run)]
    for run in dead:
        with suppress(DBAPIError):
            _end_dead_run(database, run)


def _end_dead_run(database: Database, seen: RunRow) -> None:
    """Mark one run, unless its process wrote its own end after it was `seen`, and remove its scratch files."""
    with database.session() as session:
        run = session.get_one(RunRow, seen.run_id)
        if (run.status, run.holder) != (seen.status, seen.holder):
            return
        _changed(run, DEAD)
    folder = Path(run.path)
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    with suppress(OSError):  # the folder was deleted, or belongs to another user
        write_text(folder / RECORD, to_json(run_json(run)))


def _is_dead(run: RunRow) -> bool:
    return run.status == "running" and run.holder is not None and Holder.parse(run.holder).is_dead()


def _changed(run: RunRow, changes: Mapping[str, Any]) -> RunRow:
    for column, value in changes.items():
        setattr(run, column, value)
    return run


def _with_real_status(run: RunRow) -> RunRow:
    """Return a dead run as marked, even if the database could not be written."""
    return _changed(run, DEAD) if _is_dead(run) else run


@dataclass(frozen=True)
class Wanted:
    """Which runs to list; None lists every one.

    Parameters
    ----------
    notebook
        A file name, with or without its suffix.
    status
        One of `RUN_STATUSES`.
    strategy, symbol
        As the parameters or the bars of the run have them; a symbol in its canonical spelling.
    since
        Begun at or after this time.
    batch
        Of this batch.
    """

    notebook: str | None = None
    status: str | None = None
    strategy: str | None = None
    symbol: str | None = None
    since: datetime | None = None
    batch: str | None = None

    def fits(self, run: RunRow) -> bool:
        """Return whether a run is one of these; what the database was asked already is asked again, since a run may have died."""
        strategies = _strategies(run.parameters)
        symbols = {
            run.parameters.get("symbol"),
            *_listed(run.parameters.get("symbols")),
            *(one["symbol"] for one in run.data),
        }
        return (
            self.status in {None, run.status}
            and (self.strategy is None or self.strategy in strategies)
            and (self.symbol is None or self.symbol in symbols)
        )

    def select(self) -> Select[RunRow]:
        """Return the query, newest first, of what the database can tell."""
        found = select(RunRow).order_by(RunRow.started_at.desc(), RunRow.run_id.desc())
        for column in ("status", "batch"):
            if (value := getattr(self, column)) is not None:
                found = found.where(getattr(RunRow, column) == value)
        if self.notebook is not None:
            found = found.where(RunRow.notebook.in_([self.notebook, f"{self.notebook}.ipynb"]))
        return found if self.since is None else found.where(RunRow.started_at >= self.since)


def _strategies(parameters: Mapping[str, Any]) -> set[Any]:
    return {parameters.get("strategy"), *_listed(parameters.get("names"))}


def recorded_names(database: Database, within: int = 2_000) -> dict[str, set[str]]:
    """Return the names of notebooks and strategies that the newest runs have."""
    newest = select(RunRow.notebook, RunRow.parameters).order_by(RunRow.started_at.desc()).limit(within)
    with database.session(read_only=True) as session:
        rows = list(session.execute(newest))
    return {
        "notebook": {row.notebook for row in rows},
        "strategy": {str(name) for row in rows for name in _strategies(row.parameters) if name},
    }


def _listed(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def list_runs(
    database: Database,
    limit: int = 20,
    *,
    notebook: str | None = None,
    status: str | None = None,
    wanted: Wanted | None = None,
) -> Sequence[RunRow]:
    """Return the newest runs first, at most `limit`: those that are `wanted`, or of a notebook and a status."""
    wanted = wanted or Wanted(notebook=notebook, status=status)
    if wanted.status is not None and wanted.status not in RUN_STATUSES:
        raise InputError(
            "There is no such run status", found=wanted.status, todo=did_you_mean(wanted.status, RUN_STATUSES)
        )
    end_dead_runs(database)
    with database.session(read_only=True) as session:
        every = session.scalars(wanted.select().execution_options(yield_per=_AT_ONCE))
        fitting = (run for row in every if wanted.fits(run := _with_real_status(row)))
        return list(itertools.islice(fitting, limit))


def read_runs(database: Database, wanted: Wanted, *, limit: int, within: int = 2_000) -> list[RunRow]:
    """Return runs as `list_runs` does, without writing anything, from the newest `within` that the database finds."""
    with database.session(read_only=True) as session:
        newest = session.scalars(wanted.select().limit(within).execution_options(yield_per=_AT_ONCE))
        fitting = (run for row in newest if wanted.fits(run := _with_real_status(row)))
        found = list(itertools.islice(fitting, limit))
        session.expunge_all()  # the real status of a dead run is shown, and not written
    return found


def read_run(database: Database, run_id: str) -> RunRow:
    """Return the run of this id, without writing anything.

    Raises
    ------
    InputError
        If there is none.
    """
    with database.session(read_only=True) as session:
        found = session.get(RunRow, run_id)
        session.expunge_all()
    if found is None:
        raise InputError("There is no such run", found=run_id, todo="`atb runs` lists them")
    return _with_real_status(found)


def get_run(database: Database, run_id: str) -> RunRow:
    """Return one run by its id or a unique prefix of it.

    Raises
    ------
    InputError
        If no run matches, or several do.
    """
    end_dead_runs(database)
    with database.session(read_only=True) as session:
        found = session.scalars(select(RunRow).where(RunRow.run_id.startswith(run_id, autoescape=True)).limit(5)).all()
        exact = [run for run in found if run.run_id == run_id]
        if len(exact or found) == 1 and run_id:
            session.expunge_all()
            return _with_real_status((exact or list(found))[0])
        if found:
            raise InputError(
                "Several runs have ids that start like this",
                found=run_id,
                todo=f"Known: {', '.join(run.run_id for run in found)}",
            )
        recent = session.scalars(select(RunRow.run_id).order_by(RunRow.started_at.desc()).limit(RECENT)).all()
    raise InputError("There is no such run", found=run_id, todo=_nearest(run_id, recent))


def _nearest(run_id: str, recent: Sequence[str]) -> str:
    todo = did_you_mean(run_id, recent)
    return todo if todo.startswith("Did you mean") else "List them with `atb runs`"


def run_json(run: RunRow) -> dict[str, Any]:
    """Return a run's row as JSON types, times in ISO 8601."""
    row = {column.name: getattr(run, column.name) for column in RunRow.__table__.columns}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)

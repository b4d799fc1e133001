"""The run registry: one row per execution, written when it begins and completed when it ends."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from atb.db import Database
from atb.db.tables import RUN_STATUSES, RunRow
from atb.errors import InputError, did_you_mean
from atb.experiments.publication import RECORD, to_json, write_text
from atb.monitoring.processes import Holder

RECENT = 200  # newest run ids that a mistyped one is compared with
SCRATCH = ".scratch"  # in a run's folder while it runs
DEAD = {"status": "interrupted", "error": "its process ended without writing an end", "holder": None}


def add_run(database: Database, run: RunRow) -> None:
    """Write the row of a run that starts."""
    with database.session() as session:
        session.add(run)


def end_run(database: Database, run_id: str, **changes: Any) -> RunRow:
    """Complete the row of a run, release it, and return it."""
    with database.session() as session:
        return _changed(session.get_one(RunRow, run_id), {**changes, "holder": None})


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


def list_runs(
    database: Database, limit: int = 20, *, notebook: str | None = None, status: str | None = None
) -> Sequence[RunRow]:
    """Return the newest runs first, at most `limit`; `notebook` is a file name with or without its suffix."""
    if status is not None and status not in RUN_STATUSES:
        raise InputError("There is no such run status", found=status, todo=did_you_mean(status, RUN_STATUSES))
    end_dead_runs(database)
    wanted = select(RunRow).order_by(RunRow.started_at.desc(), RunRow.run_id.desc()).limit(limit)
    if status is not None:
        wanted = wanted.where(RunRow.status == status)
    if notebook is not None:
        wanted = wanted.where(RunRow.notebook.in_([notebook, f"{notebook}.ipynb"]))
    with database.session(read_only=True) as session:
        found = session.scalars(wanted).all()
    runs = [_with_real_status(run) for run in found]
    return [run for run in runs if status in {None, run.status}]


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

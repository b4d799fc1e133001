"""The run registry: one row per execution, written when it begins and completed when it ends."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from atb.db import Database
from atb.db.tables import RUN_STATUSES, Run
from atb.errors import InputError, did_you_mean

RECENT = 200  # run ids that a mistyped one is compared with


def add_run(database: Database, run: Run) -> None:
    """Write the row of a run that begins."""
    with database.session() as session:
        session.add(run)


def end_run(database: Database, run_id: str, **changes: Any) -> Run:
    """Complete the row of a run and return it."""
    with database.session() as session:
        run = session.get_one(Run, run_id)
        for column, value in changes.items():
            setattr(run, column, value)
        return run


def list_runs(
    database: Database, limit: int = 20, *, notebook: str | None = None, status: str | None = None
) -> Sequence[Run]:
    """Return the newest runs first, at most `limit`; `notebook` is a file name with or without its suffix."""
    if status is not None and status not in RUN_STATUSES:
        raise InputError("There is no such run status", found=status, todo=did_you_mean(status, RUN_STATUSES))
    wanted = select(Run).order_by(Run.started_at.desc(), Run.run_id.desc()).limit(limit)
    if status is not None:
        wanted = wanted.where(Run.status == status)
    if notebook is not None:
        wanted = wanted.where(Run.notebook.in_([notebook, f"{notebook}.ipynb"]))
    with database.session(read_only=True) as session:
        return session.scalars(wanted).all()


def get_run(database: Database, run_id: str) -> Run:
    """Return one run by its id, or by the beginning of it when only one run begins so.

    Raises
    ------
    InputError
        No run, or more than one, has that id.
    """
    with database.session(read_only=True) as session:
        found = session.scalars(select(Run).where(Run.run_id.startswith(run_id, autoescape=True)).limit(5)).all()
        exact = [run for run in found if run.run_id == run_id]
        if len(exact or found) == 1 and run_id:
            return (exact or list(found))[0]
        if found:
            raise InputError(
                "Several runs begin so", found=run_id, todo=f"Known: {', '.join(run.run_id for run in found)}"
            )
        recent = session.scalars(select(Run.run_id).order_by(Run.started_at.desc()).limit(RECENT)).all()
    raise InputError("There is no such run", found=run_id, todo=_nearest(run_id, recent))


def _nearest(run_id: str, recent: Sequence[str]) -> str:
    todo = did_you_mean(run_id, recent)
    return todo if todo.startswith("Did you mean") else "List them with `atb runs`"


def run_json(run: Run) -> dict[str, Any]:
    """Return a run's row as JSON types, times in ISO 8601."""
    row = {column.name: getattr(run, column.name) for column in Run.__table__.columns}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)

"""Recorded runs side by side, for notebooks: those that are named, or the newest."""

from collections.abc import Sequence

from atb.config import load_settings
from atb.experiments import BACKTEST
from atb.experiments.run_comparison import RunComparison, compare
from atb.workbench.runs import record_run


def compare_runs(run_ids: Sequence[str]) -> RunComparison:
    """Return recorded runs side by side.

    Parameters
    ----------
    run_ids
        Two or more ids, or unique beginnings of ids.

    Raises
    ------
    InputError
        If there is no such run, one is named twice, or there are fewer than two or too many.
    """
    from atb.db import open_to_read

    database = open_to_read(load_settings().database.url)
    try:
        return compare(database, run_ids)
    finally:
        database.close()


def recent_runs(count: int = 2, *, notebook: str = BACKTEST) -> list[str]:
    """Return the ids of a notebook's newest runs that succeeded, oldest first, each with other parameters.

    Where there are fewer, the notebook is run over the last 30 days with two fast windows, so that a
    comparison has something to compare.
    """
    from atb.db import open_database
    from atb.experiments import list_runs

    database = open_database(load_settings().database.url)
    try:
        newest = list_runs(database, 50, notebook=notebook, status="succeeded")
    finally:
        database.close()
    distinct = list({run.parameters_sha256: run.run_id for run in reversed(newest)}.values())[-count:]
    made = [record_run(notebook, days=30, params={"fast": fast, "slow": 100}) for fast in (20, 40)[len(distinct) :]]
    return [*distinct, *made]

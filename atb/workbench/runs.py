"""Recorded runs for notebooks: the newest backtest, the gate's verdict on it, and its promotion."""

from typing import TYPE_CHECKING, Any

from atb.config import load_settings, part_of
from atb.decimals import MERITS
from atb.errors import RunError
from atb.experiments import BACKTEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from atb.db.tables import RunRow
    from atb.experiments.promotion import Judged, Promoted


def judged_run(run_id: str | None = None, *, days: int = 90) -> "Judged":
    """Return a run with the gate's verdict; by default the newest backtest that succeeded.

    If there is none yet, the backtest notebook is executed over the last `days` with its defaults.

    Raises
    ------
    InputError
        If there is no such run.
    RunError
        If the backtest had to be run and failed.
    """
    from atb.db import open_database
    from atb.experiments import list_runs
    from atb.experiments.promotion import judge

    settings = load_settings()
    database = open_database(settings.database.url)
    try:
        if run_id is None:
            newest = list_runs(database, 1, notebook=BACKTEST, status="succeeded")
            run_id = newest[0].run_id if newest else None
        if run_id is None:
            run_id = record_backtest(days=days)
        return judge(run_id, settings=settings, database=database)
    finally:
        database.close()


def record_run(notebook: str, **parameters: object) -> str:
    """Execute one of the project's notebooks with parameters, as `atb run` does, and return the id of the run.

    Raises
    ------
    InputError
        If a parameter is unknown or does not fit.
    RunError
        If the run failed.
    """
    return run_notebook(part_of(load_settings().project, "notebooks", notebook), parameters).run_id


def run_notebook(notebook: "Path", parameters: "Mapping[str, Any]") -> "RunRow":
    """Execute a notebook with parameters in a kernel of its own, and return the registered run; errors as `record_run`."""
    from atb.db import open_database
    from atb.experiments import execute

    settings = load_settings()
    database = open_database(settings.database.url)
    try:
        run = execute(notebook, parameters, settings=settings, database=database)
    finally:
        database.close()
    if run.status != "succeeded":
        raise RunError(f"{notebook.name} {run.status}: {run.error}", found=run.path)
    return run


def record_backtest(**parameters: object) -> str:
    """Execute `03_backtest` with parameters, and return the id of the run; errors as `record_run`."""
    return record_run(BACKTEST, **parameters)


def promote_run(run_id: str) -> "Promoted":
    """Write a signed manifest for paper trading, as `atb promote RUN_ID --to paper` does.

    Raises
    ------
    PromotionError
        If the gate refuses, with every reason.
    InputError
        If the notebook that asks does not show what Run All would show.
    """
    from atb.experiments.strictness import check_run_all

    check_run_all()
    return promote_to_paper(run_id)


def promote_to_paper(run_id: str) -> "Promoted":
    """Write the manifest whatever notebook asks; errors as `promote_run`, but for the last."""
    from atb.db import open_database
    from atb.experiments.promotion import promote

    settings = load_settings()
    database = open_database(settings.database.url)
    try:
        return promote(run_id, settings=settings, database=database)
    finally:
        database.close()


def evidence_table(judged: "Judged") -> "pd.DataFrame":
    """Return the gate's evidence on a run, one fact per row, as text; `not proven` counts as a no for live."""
    import pandas as pd

    values = judged.evidence.to_json()
    texts = {name.replace("_", " "): _text(value, MERITS.get(name, ",.2f")) for name, value in values.items()}
    return pd.DataFrame.from_dict(texts, orient="index", columns=["found"]).rename_axis(index="evidence")


def verdict_table(judged: "Judged") -> "pd.DataFrame":
    """Return the gate's checks of a run, one a row: what requires it, what was found, what is wanted, and whether it held."""
    import pandas as pd

    words = {"ok": "yes", "error": "NO", "skipped": "-"}
    rows = [
        {
            "check": check["name"],
            "required for": check["required_for"],
            "held": words.get(check["status"], check["status"]),
            "found": check["found"],
            "wanted": check["wanted"],
        }
        for check in judged.verdict.to_json()["checks"]
    ]
    return pd.DataFrame(rows).set_index("check")


def _text(value: object, form: str) -> str:
    if value is None:
        return "not proven"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format(value, form)
    return str(value) if value not in ({}, "") else "none"

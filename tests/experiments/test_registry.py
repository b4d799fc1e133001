"""The registry: newest first, found by the beginning of an id, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from atb.db.tables import RunRow
from atb.errors import InputError
from atb.experiments.execution import run_id
from atb.experiments.registry import add_run, end_run, get_run, list_runs, run_json
from tests.database import database, database_url, postgres

__all__ = ["database", "database_url", "postgres"]
NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)


def row(name: str, minutes: int = 0, **changes) -> RunRow:
    columns = {
        "run_id": name, "notebook": "03_backtest.ipynb", "notebook_sha256": "0", "parameters": {"fast": 10},
        "parameters_sha256": "0", "status": "running", "started_at": NOON + timedelta(minutes=minutes),
        "versions": {}, "data": [], "metrics": {}, "path": "/runs/x",
    }  # fmt: skip
    return RunRow(**columns | changes)


@pytest.fixture
def registry(database):
    add_run(database, row("20240131-120000-backtest-aaaaaa"))
    add_run(database, row("20240131-120100-backtest-bbbbbb", 1, status="failed"))
    add_run(database, row("20240131-120200-train-cccccc", 2, notebook="02_train.ipynb"))
    return database


def test_lists_the_newest_first_and_no_more_than_asked(registry):
    assert [run.run_id[-6:] for run in list_runs(registry)] == ["cccccc", "bbbbbb", "aaaaaa"]
    assert [run.run_id[-6:] for run in list_runs(registry, 1)] == ["cccccc"]


def test_lists_by_notebook_and_by_status(registry):
    assert [run.run_id[-6:] for run in list_runs(registry, notebook="02_train")] == ["cccccc"]
    assert [run.run_id[-6:] for run in list_runs(registry, notebook="03_backtest.ipynb", status="failed")] == ["bbbbbb"]
    with pytest.raises(InputError, match="Did you mean 'failed'"):
        list_runs(registry, status="fail")


def test_finds_a_run_by_the_beginning_of_its_id(registry):
    assert get_run(registry, "20240131-1202").run_id == "20240131-120200-train-cccccc"
    assert get_run(registry, "20240131-120000-backtest-aaaaaa").notebook == "03_backtest.ipynb"


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        ("20240131-12", "Several runs have ids that start like this"),
        ("", "Several runs have ids that start like this"),
        ("20240131-120000-backtest-aaaaab", "Did you mean '20240131-120000-backtest-aaaaaa'"),
        ("%", "atb runs"),
        ("nothing", "atb runs"),
    ],
)
def test_an_unknown_or_ambiguous_id_is_answered_with_what_is_near(registry, wanted, answer):
    with pytest.raises(InputError, match=answer):
        get_run(registry, wanted)


def test_an_empty_registry_answers_too(database):
    assert list_runs(database) == []
    with pytest.raises(InputError, match="no such run"):
        get_run(database, "x")


def test_a_run_is_completed_in_place(registry):
    ended = end_run(
        registry,
        "20240131-120000-backtest-aaaaaa",
        status="succeeded",
        ended_at=NOON,
        seconds=1.5,
        metrics={"sharpe": 0.1},
    )
    assert run_json(ended) == run_json(get_run(registry, "20240131-120000"))
    assert run_json(ended)["ended_at"] == "2024-01-31T12:00:00+00:00"
    assert run_json(ended)["metrics"] == {"sharpe": 0.1}


def test_ids_sort_by_time_name_the_notebook_and_stay_inside_the_folder():
    assert run_id("03_backtest.ipynb", NOON)[:-6] == "20240131-120000-03-backtest-"
    assert run_id("../../etc/Pass wd{x}.ipynb", NOON)[:-6] == "20240131-120000-pass-wd-x-"
    assert run_id("ß.ipynb", NOON)[:-6] == "20240131-120000-notebook-"
    assert run_id("a.ipynb", NOON) != run_id("a.ipynb", NOON)

"""A batch is checked whole before anything runs, and known again by what it depends on."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from atb.db.tables import RunRow
from atb.errors import InputError
from atb.experiments.batch.plan import make_plan
from atb.experiments.registry import add_run, end_run
from atb.monitoring.processes import Holder
from tests.experiments.batch.conftest import PUBLISHES

GONE = "elsewhere.example 1 1"


def recorded(world, plan, number, *, status="succeeded", identity=None, holder=None, **changes):
    """Put a run of a cell into the registry as its worker would."""
    cell = plan.cells[number - 1]
    columns = {
        "run_id": f"20240131-0000{number:02d}-small-{status[:6]}", "notebook": plan.notebook.name, "notebook_sha256": "0",
        "parameters": dict(cell.parameters), "parameters_sha256": "0", "status": "running", "batch": plan.batch,
        "started_at": datetime.now(UTC), "versions": {}, "data": [], "metrics": {}, "path": str(world.folder / "data"),
        "identity": identity or cell.identity, "claim": cell.identity, "holder": holder or str(Holder.here()),
    }  # fmt: skip
    run = add_run(world.database, RunRow(**columns | changes))
    return run if status == "running" else end_run(world.database, run.run_id, status=status, seconds=2.0)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            [{"window": 5}, {"windw": 5}],
            "Run 2 of the batch: There is no such parameter; found 'windw'. Did you mean 'window'",
        ),
        ([{"window": "abc"}], "Run 1 of the batch: Parameter 'window' is declared int"),
        ([{"live": "perhaps"}], "declared bool"),
        ([{"window": 0}], "Parameter 'window' must be from 1 to 500; found 0"),
        ([{"window": 501}], "from 1 to 500"),
        ([{"symbol": "BTC/USD"}], "Did you mean 'BTC/USDT'"),
        ([{"window": 5}, {"window": "5"}], "Runs 1 and 2 of the batch are the same"),
        ([{"api_key": "x"}], "A secret cannot be a parameter"),
        ([], "1 to 100,000 runs"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(world, chosen, message):
    with pytest.raises(InputError) as caught:
        world.plan(world.notebook(PUBLISHES), *chosen)
    assert message in str(caught.value)
    assert not (world.folder / "data" / "runs").exists()


def test_a_finished_identical_run_is_not_repeated_and_a_failed_one_only_on_request(world):
    path = world.notebook(PUBLISHES)
    plan = world.plan(path, *({"window": window} for window in (5, 6, 7, 8)))
    recorded(world, plan, 1)
    recorded(world, plan, 2, status="failed")
    recorded(world, plan, 3, status="interrupted")
    again = world.plan(path, *({"window": window} for window in (5, 6, 7, 8)))
    assert (again.batch, again.usual, again.seconds(4, 2)) == (plan.batch, 2.0, 4.0)
    assert [cell.number for cell in again.to_run()] == [3, 4]
    assert [cell.number for cell in again.to_run(retry=True)] == [2, 3, 4]
    assert [cell.number for cell in again.to_run(force=True)] == [1, 2, 3, 4]


@pytest.mark.parametrize("changed", ["notebook", "bars", "models", "strategies", "code", "folder"])
def test_a_finished_run_counts_no_more_when_what_it_depends_on_has_changed(world, changed, monkeypatch):
    path = world.notebook(PUBLISHES)
    plan = world.plan(path, {"window": 5})
    recorded(world, plan, 1, path=str(world.folder / "data" / "runs" / "gone" if changed == "folder" else world.folder))
    if changed == "folder":
        (world.folder / "data" / "runs").mkdir(parents=True)
    elif changed == "notebook":
        world.notebook(PUBLISHES, "1")
    elif changed == "code":
        monkeypatch.setattr("atb.experiments.identity._package_sha256", lambda: "another")
    else:
        places = {"bars": world.settings.bars_root / "v" / "x.parquet", "models": world.settings.models_root / "m" / "card.json",
                  "strategies": world.settings.strategies_root / "mine.py"}  # fmt: skip
        places[changed].parent.mkdir(parents=True)
        places[changed].write_bytes(b"new")
    assert [cell.number for cell in world.plan(path, {"window": 5}).to_run()] == [1]


def test_a_notebook_that_makes_models_is_resumed_although_it_changed_the_models(world):
    path = world.notebook(PUBLISHES)
    plan = world.plan(path, {"window": 5}, {"window": 6})
    recorded(world, plan, 1, identity=plan.cells[0].making)
    card = world.settings.models_root / "btc" / "1" / "card.json"
    card.parent.mkdir(parents=True)
    card.write_text("{}")
    again = world.plan(path, {"window": 5}, {"window": 6})
    assert again.cells[0].identity != plan.cells[0].identity
    assert [cell.number for cell in again.to_run()] == [2]


def test_a_cell_that_another_machine_is_at_work_on_is_left_to_it_unless_taken_over(world):
    path = world.notebook(PUBLISHES)
    plan = world.plan(path, {"window": 5})
    recorded(world, plan, 1, status="running", holder=GONE)
    again = world.plan(path, {"window": 5})
    assert (again.to_run(), len(again.to_run(take_over=True))) == ([], 1)


def test_only_one_run_of_a_cell_may_finish(world):
    plan = world.plan(world.notebook(PUBLISHES), {"window": 5})
    first = recorded(world, plan, 1, status="running", holder=GONE)
    second = recorded(world, plan, 1, status="running", run_id="second")
    assert second.run_id == first.run_id  # it is told of the one at work
    cell = plan.cells[0]
    taken = RunRow(
        **{**{column.name: getattr(first, column.name) for column in RunRow.__table__.columns}, "run_id": "third"}
    )
    assert add_run(world.database, taken, take_over=True).run_id == "third"
    late = end_run(world.database, first.run_id, status="succeeded")
    assert (late.status, late.error, late.claim) == ("interrupted", "another process took its place", None)
    assert end_run(world.database, "third", status="succeeded").claim == cell.identity


def test_a_notebook_s_default_must_be_within_its_own_range(world, tmp_path):
    from tests.experiments.notebooks import notebook

    path = notebook(Path(tmp_path) / "wrong.ipynb", parameters="window: int = 0  # bars (1..500)")
    with pytest.raises(InputError, match="from 1 to 500"):
        make_plan(path, [{}], settings=world.settings, database=world.database)

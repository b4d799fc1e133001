"""The monitor reads a journal and lays the backtest beside it: equal where it is, and the first difference where it is not."""

import dataclasses
import json
import re
import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update

from atb.db import open_database
from atb.db.tables import DecisionRow, EvidenceRow, FillRow, HandoverRow, IntentRow, PromotionRow, SessionRow, SlotRow
from atb.errors import DataError, InputError
from atb.promotion import manifest as manifest_module
from atb.promotion.manifest import load_manifest, sign_manifest
from atb.reports import SESSION_REPORTS
from atb.workbench import ensure_session, explained, rehearsal_table, sessions_table, watch_session
from tests.live.desk import Desk, warm_result

CALM = {
    "passed": True, "days": 5, "faults": "none", "invariants": None, "struck": {}, "kills": 0,
    "comparison": {"equal": True, "decisions": 120, "orders": 2, "first_difference": None},
    "drill": {"held": False, "flat": True, "exit_code": 0, "seconds": 0.0, "milliseconds": 0},
}  # fmt: skip
STORMY = CALM | {
    "faults": "standard", "struck": {"drop": 3, "lost": 1}, "kills": 1,
    "invariants": {
        "I1": {"held": True, "checked": 4, "violations": []},
        "I3": {"held": False, "checked": 2, "violations": ["bare", "bare again"]},
        "I10": {"held": True, "checked": 0, "violations": []},
    },
    "drill": {"held": True, "flat": True, "exit_code": 4, "seconds": 0.25, "milliseconds": 0},
}  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk over which the settings of notebooks are, in a project of its own."""
    monkeypatch.setenv("ATB__DATA__ROOT", str(tmp_path))
    return Desk(tmp_path, f"sqlite:///{tmp_path / 'atb.db'}")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a finished session of 293 bars, with stops, targets and shorts; to be copied."""
    root = tmp_path_factory.mktemp("traded")
    desk = Desk(root, f"sqlite:///{root / 'atb.db'}")
    result = warm_result(desk.stock())
    path = desk.promote(result)
    record(desk, path)
    desk.trade(path, since=result.index[0].strftime("%Y-%m-%dT%H:%M"))
    return root


@pytest.fixture
def traded(once: Path, desk: Desk) -> Path:
    """The test's own copy of that session; the manifest that it traded."""
    shutil.copytree(once, desk.root, dirs_exist_ok=True)
    (path,) = (desk.root / "promoted").glob("*.json")
    change(desk, update(PromotionRow).values(path=str(path)))
    return path


def record(desk: Desk, path: Path) -> None:
    """Enter a manifest into the database, as a promotion does."""
    known = load_manifest(path)
    change(
        desk,
        insert(PromotionRow).values(
            manifest_sha256=known.content_sha256, name=known.name, mode="paper", path=str(path), verdict={}
        ),
    )


def change(desk: Desk, statement: object) -> None:
    database = open_database(desk.url)
    try:
        with database.session() as session:
            session.execute(statement)
    finally:
        database.close()


def rehearsed(desk: Desk, path: Path, detail: dict[str, object]) -> None:
    key = load_manifest(path).content_sha256
    change(
        desk, insert(EvidenceRow).values(kind="rehearsal", manifest_sha256=key, passed=detail["passed"], detail=detail)
    )


def test_a_session_equals_its_backtest_in_every_decision_execution_and_close(traded):
    seen = watch_session()
    assert seen.comparison.equal, seen.comparison.first_difference
    assert seen.comparison.decisions == len(seen.record.equity) > 250
    assert len(seen.record.fills) >= seen.comparison.orders > 20
    assert set(seen.record.fills["role"]) >= {"entry", "exit", "stop", "target"}
    assert seen.record.difference.abs().max() == 0
    assert seen.findings() == ["it was never rehearsed: atb rehearse MANIFEST"]


def test_every_order_that_is_over_ended_after_it_was_placed_and_its_fill_is_its_end(traded):
    record = watch_session().record
    over = record.orders[~record.orders["state"].isin(["live", "planned", "sent"])]
    assert (over["ended"] >= over["placed"]).all()
    filled = record.orders[record.orders["state"] == "filled"].set_index("client_id")["ended"]
    assert filled.to_dict() == record.fills.groupby("client_id")["time"].max()[filled.index].to_dict()
    cancelled = over[(over["state"] == "cancelled") & (over["role"] == "stop")]
    assert len(cancelled)
    assert cancelled["ended"].isin([*record.fills["time"], *record.orders["placed"]]).all()


@pytest.mark.parametrize("table", [DecisionRow, FillRow])
def test_a_journal_that_lacks_a_row_differs_and_says_where(traded, desk, table):
    seen = watch_session().record
    if table is FillRow:
        lost = FillRow.client_id == seen.fills["client_id"].iloc[2]
    else:
        lost = DecisionRow.bar_ms == int(seen.equity.index[40].timestamp() * 1_000)
    change(desk, delete(table).where(lost))
    found = watch_session()
    assert not found.comparison.equal
    assert any(text.startswith("it differs from its backtest") for text in found.findings())


@pytest.mark.parametrize(("column", "value"), [("side", None), ("confidence", 0.5), ("prediction", 0.25)])
def test_a_column_that_the_runner_computed_otherwise_is_named_with_its_bar(traded, desk, column, value):
    bar = watch_session().record.equity.index[40]
    change(desk, update(DecisionRow).where(DecisionRow.bar_ms == int(bar.timestamp() * 1_000)).values({column: value}))
    found = watch_session()
    assert found.comparison.first_difference["what"] == f"column {column}"
    (table,) = [text for text in found.findings() if text.startswith("it differs from its backtest")]
    assert f"column {column} at the bar of {bar:%Y-%m-%d %H:%M} UTC in slot 0: runner {value}, backtest" in table


def test_an_order_without_an_answer_is_the_first_thing_to_know(traded, desk):
    name = watch_session().record.orders["client_id"].iloc[0]
    change(desk, update(IntentRow).where(IntentRow.client_id == name).values(state="sent"))
    seen = watch_session()
    assert seen.findings()[0] == "the outcome of 1 order is unknown"
    caption = SESSION_REPORTS["session_orders"](seen.record).layout.annotations[-1].text
    assert "The outcome of 1 is unknown." in caption.replace("<br>", " ")


@pytest.mark.parametrize("report", SESSION_REPORTS.values(), ids=SESSION_REPORTS)
def test_a_figure_of_a_real_session_names_it(traded, report):
    record = watch_session().record
    assert record.name in report(record).layout.title.text


def test_fewer_executions_than_the_backtest_leave_empty_rings(traded):
    record = watch_session().record
    fewer = replace(record, fills=record.fills.iloc[5:])
    drawn = {part.name.split(" (")[0]: part for part in SESSION_REPORTS["session_fills"](fewer).data}
    assert len(drawn["backtest"].x) == len(drawn["buy"].x) + len(drawn["sell"].x) + 5


def test_sessions_are_listed_and_found_by_the_beginning_of_their_name(traded):
    table = sessions_table()
    (name,) = table.index
    assert table.loc[name, "state"] == "finished"
    assert table.loc[name, "unknown"] == 0
    assert watch_session(name[:9]).record.name == name
    with pytest.raises(InputError, match="no such session"):
        watch_session("nothing")


def test_without_a_journal_there_is_no_session(desk):
    assert sessions_table().empty
    with pytest.raises(InputError, match="no such session"):
        watch_session()


def test_a_session_that_is_there_is_not_made_again(traded):
    assert ensure_session() == "The journal holds 1 session, the newest on account paper."
    assert len(sessions_table()) == 1


def test_a_session_is_made_by_the_real_runner_from_the_newest_manifest(desk):
    bars = desk.stock(400)
    record(desk, desk.promote(warm_result(bars)))
    table = ensure_session(days=3)
    assert "desk on paper account paper, finished: 72 bars" in table
    assert watch_session().comparison.equal


def test_strategies_that_changed_hands_have_no_backtest_of_their_own(traded, desk):
    seen = watch_session().record
    row = {"session_id": seen.name, "slot": 0, "kind": "adopted", "from_manifest_sha256": "a", "to_manifest_sha256": "b",
           "from_bar_ms": 0, "position": Decimal(0), "detail": {}}  # fmt: skip
    change(desk, insert(HandoverRow).values(**row))
    with pytest.raises(InputError, match="changed hands"):
        watch_session()


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (
            lambda path: path.write_text(path.read_text().replace('"fee": 0.001', '"fee": 0.002')),
            "content hash does not match",
        ),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_text("[" * 50_000), "not JSON"),
    ],
)
def test_a_session_whose_manifest_is_gone_or_changed_is_read_from_its_journal(traded, break_it, reason):
    before = watch_session().record
    break_it(traded)
    seen = watch_session()
    assert seen.comparison is None
    assert seen.record.result is None
    assert seen.record.fills.equals(before.fills)
    assert seen.record.orders.equals(before.orders)
    assert reason in seen.findings()[0]
    assert seen.headline.startswith("CHANGED SINCE THE PROMOTION: ")
    assert "journal alone" in seen.headline
    assert (seen.metrics()["equal"], seen.metrics()["orders"]) == (None, len(before.orders))
    for report in SESSION_REPORTS.values():
        assert before.name in report(seen.record).layout.title.text


def sign_again(desk, path, **changes):
    """Sign the session's manifest with other pins, as if its sources were another's today, and let the session be its own."""
    signed = sign_manifest(dataclasses.replace(load_manifest(path), **changes), desk.keys_root)
    path.write_bytes(signed.render())
    change(desk, update(PromotionRow).values(manifest_sha256=signed.content_sha256))
    change(desk, update(SlotRow).values(manifest_sha256=signed.content_sha256))


def test_a_session_is_read_after_its_strategys_source_changed_and_says_so_on_top(traded, desk):
    sources = load_manifest(traded).sources
    sign_again(desk, traded, sources={**sources, "atb/strategies/sma_cross.py": "0" * 64})
    seen = watch_session()
    assert seen.headline.splitlines()[0] == (
        "CHANGED SINCE THE PROMOTION: A source file changed since the promotion: atb/strategies/sma_cross.py"
    )
    assert "The backtest beside it uses what is installed now." in seen.headline
    assert seen.comparison.equal, "nothing but the file's hash differs here"
    assert seen.findings()[0].startswith("this is no longer what traded: A source file changed")


def test_a_session_whose_strategy_no_longer_takes_its_parameters_is_read_from_its_journal(traded, desk):
    strategy = load_manifest(traded).strategy
    sign_again(desk, traded, strategy={**strategy, "parameters": {"renamed": 3}})
    seen = watch_session()
    assert seen.comparison is None
    assert "no such parameter" in seen.findings()[0]


def test_a_session_of_an_older_manifest_is_read_and_compared(traded, desk):
    values = json.loads(traded.read_bytes())
    del values["locks"]
    values["schema"] = 1
    hashed = {key: value for key, value in values.items() if key not in {"content_sha256", "signature"}}
    values["content_sha256"] = manifest_module._sha256(hashed)
    traded.write_bytes(manifest_module._canonical(values))
    change(desk, update(PromotionRow).values(manifest_sha256=values["content_sha256"]))
    change(desk, update(SlotRow).values(manifest_sha256=values["content_sha256"]))
    seen = watch_session()
    assert "older version of atb" in seen.headline
    assert seen.comparison.equal


def test_a_session_whose_bars_are_not_stored_says_so(traded, desk):
    year = next((desk.bars_root).rglob("*.parquet"))
    year.unlink()
    with pytest.raises(DataError):
        watch_session()


def test_a_session_without_a_bar_is_refused(traded, desk):
    change(desk, update(SessionRow).values(last_bar_ms=None))
    with pytest.raises(InputError, match="not decided on any bar"):
        watch_session()


def test_a_rehearsal_is_a_table_in_which_nothing_untried_is_a_success(traded, desk):
    assert rehearsal_table(watch_session().rehearsal).empty
    rehearsed(desk, traded, CALM)
    seen = watch_session()
    assert rehearsal_table(seen.rehearsal)["result"].to_dict() == {
        "equals its backtest": "yes",
        "kill drill": "not tried",
    }
    assert seen.findings() == ["its last rehearsal was without faults"]
    rehearsed(desk, traded, STORMY | {"passed": False})
    seen = watch_session()
    results = rehearsal_table(seen.rehearsal)["result"]
    assert results.tolist() == ["yes", "", "yes", "NO", "not tried", "yes"]
    found = rehearsal_table(seen.rehearsal)["found"]
    assert found["faults that occurred"] == "3 drop, 1 lost; 1 kills of the runner"
    assert found["I3 positions are covered by stops"] == "2 checked; first: bare"
    assert (
        found["kill drill"] == "flat 0.25 s after the kill switch (0 ms by the exchange's virtual clock); exit code 4"
    )
    assert seen.findings() == ["its last rehearsal failed"]


def test_a_rehearsal_that_differs_or_does_not_end_flat_says_so():
    other = {"equal": False, "first_difference": {"what": "order"}}
    drill = {"flat": False, "exit_code": 0}
    failed = STORMY | {"comparison": STORMY["comparison"] | other, "drill": STORMY["drill"] | drill}
    table = rehearsal_table(failed)
    assert table.loc["equals its backtest", "result"] == "NO"
    assert table.loc["first difference", "found"] == "{'what': 'order'}"
    assert table.loc["kill drill"].tolist() == ["NO", "NOT flat (0 ms by the exchange's virtual clock); exit code 0"]


def test_what_faults_did_to_decisions_and_orders_is_told_with_what_struck():
    order = {
        "key": [7, 0, "entry", "buy"],
        "runner": None,
        "backtest": [[1.5, "entry_signal", 2.0]],
        "struck": {"kill": 1},
    }
    beside = {
        "decisions": 120, "otherwise": 0, "first_decision": None, "decided_alike": True, "served_otherwise": 0, "by_served": 0,
        "orders": 9, "differing": 1,
        "first_order": order,
    }  # fmt: skip
    codes = {"calm": 0, "faults": 4}
    table = rehearsal_table(STORMY | {"with_faults_beside_backtest": beside, "exit_codes": codes})
    row = table.loc["decides as its backtest, with faults"]
    assert row["result"] == "yes"
    assert row["found"] == (
        "0 of 120 sides and 1 of 9 orders differ; first: [7, 0, 'entry', 'buy'] None, in the backtest "
        "[[1.5, 'entry_signal', 2.0]] (1 kill)"
    )
    assert table.loc["all runs ended as they should"].tolist() == ["NO", "calm: exit code 0, faults: exit code 4"]
    served = rehearsal_table(STORMY | {"with_faults_beside_backtest": beside | {"served_otherwise": 2, "by_served": 1}})
    words = served.loc["decides as its backtest, with faults", "found"]
    assert "; 2 bars were served with other values at first, 1 more sides differ because of them; first" in words
    late = rehearsal_table(STORMY | {"with_faults_beside_backtest": beside | {"by_served": 3}})
    assert "; 3 more sides differ because an input came late or with other values" in " ".join(late["found"])
    other = beside | {
        "decided_alike": False,
        "otherwise": 1,
        "first_decision": {"key": [7, 0], "runner": 1.0, "backtest": None},
    }
    table = rehearsal_table(STORMY | {"with_faults_beside_backtest": other})
    assert table.loc["decides as its backtest, with faults", "result"] == "NO"


def test_a_drill_that_leaves_an_order_failed():
    table = rehearsal_table(STORMY | {"drill": STORMY["drill"] | {"resting": 2}})
    assert table.loc["kill drill", "result"] == "NO"
    assert "2 of our orders still open" in table.loc["kill drill", "found"]


def test_a_trade_is_followed_back_to_its_notebook(traded):
    steps = explained()
    assert steps.index[0] == "trade"
    assert {"fill (entry)", "decision", "manifest", "run", "notebook"} <= set(steps.index)
    assert steps.loc["manifest", "what"] == "desk"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", steps["when (UTC)"].iloc[0])
    assert explained(session="another").empty

"""`atb promote` and `atb status`: from a recorded run to a manifest, and what the runner did with it."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from atb.cli import main
from atb.db import open_database
from atb.db.tables import EvidenceRow, PromotionRow, RunRow, SessionRow
from atb.engine.cache import kernel_hash
from atb.experiments.publication import publish
from atb.live.journal.overview import sessions
from atb.promotion import provenance
from atb.promotion.manifest import load_manifest
from tests.live.conftest import quiet, sqlite_desk
from tests.live.desk import BUSY, first_open, warm_result

__all__ = ["quiet", "sqlite_desk"]
RUN = "20240131-094500-03-backtest-1f9a3c"


def record(desk, result, monkeypatch, *, run_id=RUN, **columns):
    """Leave what an executed notebook leaves: a folder with its published result, and a row."""
    folder = desk.root / "runs" / run_id
    folder.mkdir(parents=True)
    monkeypatch.setenv("ATB_RUN_DIR", str(folder))
    publish(metrics={}, result=result)
    facts = {
        "notebook": "03_backtest.ipynb", "notebook_sha256": "0", "parameters": {}, "parameters_sha256": "0",
        "status": "succeeded", "started_at": datetime.now(UTC), "commit": "c0ffee", "dirty": False,
        "kernel_hash": kernel_hash(), "versions": {}, "data": [], "metrics": {}, "path": str(folder),
    }  # fmt: skip
    database = open_database(desk.url)
    with database.session() as session:
        session.add(RunRow(run_id=run_id, **{**facts, **columns}))
    database.close()


@pytest.fixture
def desk(sqlite_desk):
    return sqlite_desk


@pytest.fixture
def result(desk, monkeypatch):
    found = warm_result(desk.stock(100, 1))
    record(desk, found, monkeypatch)
    return found


def atb(*arguments):
    return CliRunner().invoke(main, arguments)


def promotions(desk):
    database = open_database(desk.url)
    with database.session(read_only=True) as session:
        rows = session.scalars(select(PromotionRow)).all()
    database.close()
    return rows


def test_a_run_becomes_a_manifest_a_record_and_a_command_to_type(desk, result):
    done = atb("promote", RUN, "--to", "paper")
    assert done.exit_code == 0, done.output
    path = desk.root / "promoted" / "btc-usdt_1h_sma_cross.json"
    manifest = load_manifest(path)
    assert (manifest.run_id, manifest.mode, manifest.evidence["commit"]) == (RUN, "paper", "c0ffee")
    assert "live:  refused" in done.output
    assert "does not beat holding" in done.output or "Sharpe" in done.output
    assert "Next: python runners/live.py promoted/btc-usdt_1h_sma_cross.json" in done.output
    (row,) = promotions(desk)
    assert (row.manifest_sha256, row.verdict) == (manifest.content_sha256, manifest.verdict)


def test_json_holds_the_verdicts_and_the_next_command(desk, result):
    shown = json.loads(atb("promote", RUN[:12], "--json", "--name", "mine").stdout)
    assert shown["name"] == "mine"
    assert shown["verdict"]["passed"] is True
    assert shown["verdict"]["live"]["passed"] is False
    assert shown["next"].endswith("mine.json")


def test_the_promoted_run_trades_as_it_was_tested_and_status_shows_it(desk, result):
    shown = json.loads(atb("promote", RUN, "--json").stdout)
    desk.trade(desk.root / "promoted" / f"{shown['name']}.json", since=first_open(result))
    (row,) = json.loads(atb("status", "--json").stdout)
    assert (row["state"], row["strategy"], row["trades"]) == ("finished", "sma_cross", len(result.outcome.trades))
    assert float(row["equity"]) == result.equity.iloc[-1]
    assert float(row["pnl"]) == pytest.approx(result.equity.iloc[-1] - 10_000)
    assert row["verdict"] == shown["verdict"]
    table = atb("status").output
    assert "finished" in table
    assert "refused" in table


def promoted_session(desk):
    """Return the one session's id, and its first trade as `atb why` takes it."""
    name = json.loads(atb("status", "--json").stdout)[0]["session"]
    return name, f"{name}/1"


def test_commands_read_a_session_whose_source_changed_and_status_says_so_on_top(desk, result, monkeypatch):
    atb("promote", RUN)
    (path,) = (desk.root / "promoted").glob("*.json")
    desk.trade(path, since=first_open(result))
    assert json.loads(atb("status", "--json").stdout)[0]["changed"] == []
    session, trade = promoted_session(desk)
    real = provenance.file_sha256

    def edited(file):
        return "0" * 64 if file.name == "sma_cross.py" else real(file)

    monkeypatch.setattr(provenance, "file_sha256", edited)
    table = atb("status")
    assert table.stderr.startswith(f"CHANGED since the promotion of {session}: atb/strategies/sma_cross.py")
    assert json.loads(atb("status", "--json").stdout)[0]["changed"] == ["atb/strategies/sma_cross.py"]
    path.write_text("no manifest any more")
    for command in (("status",), ("trades",), ("orders",), ("why", trade)):
        done = atb(*command)
        assert done.exit_code == 0, done.output


def test_status_of_nothing_says_how_to_start(desk):
    assert "python runners/live.py" in atb("status").output
    assert json.loads(atb("status", "--json").stdout) == []


def test_a_session_whose_runner_died_is_stale(desk, result):
    atb("promote", RUN)
    desk.trade(next((desk.root / "promoted").glob("*.json")), since=first_open(result))
    database = open_database(desk.url)
    with database.session() as session:
        session.scalars(select(SessionRow)).one().status = "running"
    (row,) = sessions(database)
    database.close()
    assert row["state"] == "stale"


def refused(done, *texts):
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    for text in texts:
        assert text in done.stderr
    assert "Traceback" not in done.output


def test_promotion_to_live_is_refused_with_every_reason(desk, result):
    done = atb("promote", RUN, "--to", "live")
    refused(
        done, "cannot be promoted to live", "parity of the kernel was not proven", "it was not rehearsed", "--to paper"
    )
    assert "look-ahead" not in done.output  # the gate has computed the columns again, bar by bar
    assert promotions(desk) == []
    assert not (desk.root / "promoted").exists()


THOROUGH = {"days": 30, "faults": "standard", "drill": {"held": True}}


def rehearsed(desk, name, *, passed=True, **detail):
    """Leave what a rehearsal of a promoted manifest leaves."""
    manifest = load_manifest(desk.root / "promoted" / f"{name}.json")
    database = open_database(desk.url)
    with database.session() as session:
        session.add(
            EvidenceRow(
                kind="rehearsal", manifest_sha256=manifest.content_sha256, passed=passed, detail=THOROUGH | detail
            )
        )
    database.close()


@pytest.fixture
def good(desk, monkeypatch):
    """A run that shows everything live asks for but a rehearsal: the proofs and figures are as a good one's would be."""
    policy = replace(BUSY, allow_short=False)
    record(desk, warm_result(desk.stock(100, 1), policy=policy), monkeypatch)
    path = desk.root / "runs" / RUN / "result.json"
    content = json.loads(path.read_text())
    content["evidence"] = {"parity": True, "lookahead_clean": True, "columns_equal": True}
    content["result"]["stats"] |= {"n_trades": 200, "sharpe": 2.0, "total_return_pct": 90.0, "max_drawdown_pct": 9.0}
    content["result"]["baselines"]["hold"]["total_return_pct"] = 10.0
    content["result"]["refused"] = {}
    path.write_text(json.dumps(content))


def test_what_was_rehearsed_becomes_a_live_manifest(desk, good):
    paper = json.loads(atb("promote", RUN, "--json").stdout)
    assert [reason[:24] for reason in paper["verdict"]["live"]["reasons"]] == ["it was not rehearsed ove"]
    refused(atb("promote", RUN, "--to", "live"), "it was not rehearsed")
    rehearsed(desk, paper["name"])
    done = atb("promote", RUN, "--to", "live")
    assert done.exit_code == 0, done.output
    assert "live:  allowed by the gate" in done.output
    assert "paper:" not in done.output
    assert "Next: python runners/live.py promoted/btc-usdt_1h_sma_cross_live.json --live" in done.output
    manifest = load_manifest(desk.root / "promoted" / "btc-usdt_1h_sma_cross_live.json")
    assert (manifest.mode, manifest.evidence["gate"]["rehearsed"]) == ("live", True)


def test_an_entry_that_rests_without_its_stop_is_kept_from_real_money(desk, good):
    path = desk.root / "runs" / RUN / "result.json"
    content = json.loads(path.read_text())
    content["result"]["slots"][0]["policy"] |= {"entry": "stop", "stop_loss": 0.02}
    path.write_text(json.dumps(content))
    rehearsed(desk, json.loads(atb("promote", RUN, "--json").stdout)["name"])
    refused(atb("promote", RUN, "--to", "live"), "its policy enters at a stop")


def test_the_last_rehearsal_counts(desk, good):
    name = json.loads(atb("promote", RUN, "--json").stdout)["name"]
    rehearsed(desk, name)
    rehearsed(desk, name, passed=False)
    refused(atb("promote", RUN, "--to", "live"), "its last rehearsal failed")


@pytest.mark.parametrize(
    "weak",
    [
        {"days": 29},
        *(pytest.param(weak, marks=pytest.mark.slow) for weak in ({"faults": "none"}, {"drill": {"held": False}})),
    ],
)
def test_a_rehearsal_that_proves_too_little_counts_only_where_it_failed(desk, good, weak):
    name = json.loads(atb("promote", RUN, "--json").stdout)["name"]
    rehearsed(desk, name, **weak)
    refused(atb("promote", RUN, "--to", "live"), "it was not rehearsed over 30 days")
    rehearsed(desk, name, passed=False, **weak)
    refused(atb("promote", RUN, "--to", "live"), "its last rehearsal failed")


def test_a_rehearsal_of_something_that_decides_differently_is_none(desk, good):
    name = json.loads(atb("promote", RUN, "--json").stdout)["name"]
    rehearsed(desk, name)
    path = desk.root / "runs" / RUN / "result.json"
    content = json.loads(path.read_text())
    content["result"]["slots"][0]["strategy"]["parameters"]["slow"] = 9
    path.write_text(json.dumps(content))
    refused(atb("promote", RUN, "--to", "live"), "it was not rehearsed")


def test_an_unknown_run_or_mode_is_answered_with_the_nearest(desk, result):
    refused(atb("promote", RUN.replace("1f9a3c", "1f9a3d")), f"Did you mean '{RUN}'?")
    refused(atb("promote", RUN, "--to", "papper"), "Did you mean 'paper'?")


def test_a_failed_run_is_refused(desk, result, monkeypatch):
    record(desk, result, monkeypatch, run_id="failed", status="failed")
    refused(atb("promote", "failed"), "did not succeed (status failed)")


def test_a_run_without_a_result_is_refused(desk, result, monkeypatch):
    record(desk, result, monkeypatch, run_id="silent")
    (desk.root / "runs" / "silent" / "result.json").unlink()
    refused(atb("promote", "silent"), "published no strategy result")


def test_a_run_of_another_kernel_is_refused(desk, result, monkeypatch):
    record(desk, result, monkeypatch, run_id="old", kernel_hash="0" * 64)
    refused(atb("promote", "old"), "another decision kernel")


def test_a_run_whose_bars_changed_is_refused(desk, result):
    from atb.data.catalogue.writing import save_bars
    from tests.bars import bars_of, random_walk

    save_bars(bars_of(random_walk(100, 2)), root=desk.bars_root, source="another seed", replace=True)
    refused(atb("promote", RUN), "bars of the run are not, or no longer, in the catalogue")


def test_a_name_that_is_taken_never_loses_its_manifest(desk, result):
    atb("promote", RUN)
    path = desk.root / "promoted" / "btc-usdt_1h_sma_cross.json"
    before = path.read_bytes()
    second = json.loads(atb("promote", RUN, "--json").stdout)
    assert second["name"] != path.stem
    assert path.read_bytes() == before
    assert len(promotions(desk)) == 2


def test_without_its_record_no_manifest_stays(desk, result, monkeypatch):
    def fail(*_):
        raise RuntimeError("the database is gone")

    monkeypatch.setattr("atb.experiments.promotion._record", fail)
    with pytest.raises(RuntimeError, match="gone"):
        CliRunner().invoke(main, ["promote", RUN], catch_exceptions=False)
    assert list((desk.root / "promoted").iterdir()) == []


def test_real_money_is_not_traded_by_this_command_and_it_says_what_is(desk):
    done = atb("live", "sma_cross", "--symbol", "BTCUSDT", "--live-trading")
    refused(done, "real money", "--to live", "runners/live.py", "--live")
    refused(atb("live", "sma_cross", "--symbol", "BTCUSDT"), "--paper-trading")
    refused(atb("live", "sma_crss", "--symbol", "BTCUSDT", "--paper-trading"), "Did you mean 'sma_cross'?")

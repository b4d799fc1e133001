"""`atb rehearse`: the real runner before a simulated exchange; what it prints, what it keeps, and what makes it fail."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from atb.cli import main
from atb.config import load_settings
from atb.db import open_database
from atb.db.tables import EvidenceRow
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.errors import InputError
from atb.live.portfolio import Portfolio
from atb.live.wiring import load_portfolio
from atb.rehearsal import run as rehearsal
from atb.rehearsal.comparison import _faults_between, compare_with_faults
from atb.rehearsal.faults import Schedule, draw_schedule
from atb.rehearsal.harness import Harness, HarnessRun
from atb.rehearsal.kill_drill import KillDrill, position_to_close, resting_orders
from atb.strategies import make_strategy
from atb.venues.simulator.faults import KINDS, Fault
from tests.live.desk import Desk, warm_result
from tests.strategies.own_files import FADE, write_strategy

POLICY = RiskPolicy(fraction=0.9, stop_loss=0.02, take_profit=0.04, reenter=True)
COSTS = ExecutionModel(fee=0.001, fee_in_base=True)


def atb(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture
def desk(tmp_path, monkeypatch):
    there = Desk(tmp_path, f"sqlite:///{tmp_path / 'atb.db'}")
    monkeypatch.setenv("ATB__DATA__ROOT", str(tmp_path))
    monkeypatch.setenv("ATB__DATABASE__URL", there.url)
    return there


def promoted(desk, policy=POLICY, *, n=400, costs=COSTS):
    strategy = make_strategy("sma_cross", fast=3, slow=8)
    return desk.promote(warm_result(desk.stock(n), strategy=strategy, policy=policy, execution=costs))


def evidence(desk):
    database = open_database(desk.url)
    try:
        with database.session(read_only=True) as session:
            return [(row.passed, row.detail) for row in session.scalars(select(EvidenceRow).order_by(EvidenceRow.id))]
    finally:
        database.close()


def checks(done):
    """Return the table's rows by check: the result, or an empty string where there is none."""
    heading, *lines = done.stdout.splitlines()
    result, found = heading.index("result"), heading.index("found")
    rows = [line for line in lines if not line.startswith("Rehearsal of")]
    return {line[:result].strip(): line[result:found].strip() for line in rows}


def test_without_faults_the_runner_is_its_backtest_and_the_drill_repeats_its_decisions(desk):
    done = atb("rehearse", promoted(desk), "--days", 5, "--faults", "none")
    assert done.exit_code == 0, done.output
    said = checks(done)
    assert said["equals its backtest"] == said["kill drill"] == "yes"
    assert [result for name, result in said.items() if name.startswith("I")] == ["yes"] * 10
    assert "over 5 days passed" in done.stdout
    ((passed, detail),) = evidence(desk)
    assert passed
    assert (detail["faults"], detail["days"], detail["comparison"]["decisions"]) == ("none", 5, 120)
    assert detail["comparison"]["orders"] > 2
    assert 10 < detail["invariants"]["I10"]["checked"] < 120
    assert detail["exit_codes"] == {"calm": 0}
    assert (detail["drill"]["exit_code"], detail["drill"]["resting"]) == (4, 0)
    for stage in ("calm", "drill"):
        ledger = [json.loads(line) for line in (Path(detail["folder"]) / stage / "ledger.jsonl").open(encoding="utf-8")]
        assert {entry["kind"] for entry in ledger} >= {"request", "order", "trade", "balance"}


@pytest.mark.slow
def test_fees_that_are_not_in_base_are_paid_in_bnb_and_the_runner_is_its_backtest(desk):
    path = promoted(desk, costs=ExecutionModel(fee=0.001))
    done = atb("rehearse", path, "--days", 3, "--faults", "none")
    assert done.exit_code == 0, done.output
    ledger = next(desk.root.glob("rehearsals/*/calm/ledger.jsonl")).read_text()
    assert '"commission_asset": "BNB"' in ledger
    assert '"commission_asset": "USDT"' not in ledger


def test_fees_that_no_exchange_takes_are_refused(desk):
    path = promoted(desk, costs=ExecutionModel(fee=0.001))
    portfolio = load_portfolio([path], load_settings())
    other = replace(portfolio.plans[0], execution=COSTS)
    with pytest.raises(InputError, match="in what it buys, or in BNB"):
        rehearsal._check_fees(SimpleNamespace(plans=(portfolio.plans[0], other)))


@pytest.mark.slow
def test_a_strategy_of_one_s_own_folder_is_rehearsed_as_a_built_in_one(desk):
    write_strategy("fade", FADE)
    strategy = make_strategy("fade", window=6, depth=0.01)
    path = desk.promote(warm_result(desk.stock(400), strategy=strategy, policy=POLICY, execution=COSTS))
    done = atb("rehearse", path, "--days", 3, "--faults", "none")
    assert done.exit_code == 0, done.output
    ((passed, detail),) = evidence(desk)
    assert (passed, detail["comparison"]["decisions"]) == (True, 72)
    assert detail["comparison"]["orders"] > 2


@pytest.mark.slow
def test_a_difference_from_the_backtest_is_shown_and_fails(desk, monkeypatch):
    path = promoted(desk)
    original = rehearsal.backtest

    def other(slot, **options):
        return original(replace(slot, execution=ExecutionModel(fee=0.001, fee_in_base=True, slippage=0.001)), **options)

    monkeypatch.setattr(rehearsal, "backtest", other)
    done = atb("rehearse", path, "--days", 2, "--faults", "none", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["passed"]) == (1, False)
    assert found["comparison"]["first_difference"]["what"] == "order"
    assert {passed for passed, _ in evidence(desk)} == {False}


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("level", ["standard", "hard"])
def test_with_faults_and_kills_nothing_is_lost(desk, level):
    done = atb("rehearse", promoted(desk, n=640), "--days", 12, "--faults", level, "--seed", 5, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["kills"] >= 1
    assert found["exit_codes"] == {"calm": 0, "faults": 0}
    compared = found["with_faults_beside_backtest"]
    assert (compared["decisions"], compared["otherwise"]) == (288, 0)
    assert compared["orders"] > 2
    assert "ban" in found["struck"]
    assert len(found["struck"]) > 5
    assert all(said["held"] and said["checked"] for said in found["invariants"].values())


@pytest.fixture
def harness(desk):
    """A harness over three days on the synthetic market, with its backtest's portfolio and settings."""
    path = promoted(desk)
    settings = load_settings()
    portfolio = load_portfolio([path], settings)
    period = rehearsal._period(portfolio, settings, 3)
    return Harness(desk.root / "stage", settings, [path], portfolio, period)


@pytest.mark.slow
def test_a_runner_that_is_killed_is_dead_for_as_long_as_was_drawn_and_decides_the_same(harness):
    start, hour = harness.period.start_ms, 3_600_000
    plan = Schedule((), ((start + 10 * hour + 5_000, 3 * hour), (start + 30 * hour, 40_000)))
    run = harness.run(plan)
    assert run.exits == [-9, -9, 0]
    assert [back - died for died, back in run.deaths] == [3 * hour, 40_000]
    result = rehearsal._backtest(harness.portfolio, harness.period)
    compared = compare_with_faults(harness.url, result, run.ledger, end_ms=harness.period.end_ms, kills=plan.kills)
    assert (compared.decisions, compared.otherwise) == (72, 0)
    assert rehearsal._judge_run(run, harness).clean
    (plan_of_slot,) = harness.portfolio.plans
    dear = Portfolio((replace(plan_of_slot, execution=ExecutionModel(fee=0.001, slippage=0.002)),))
    other = Portfolio((replace(plan_of_slot, strategy=make_strategy("sma_cross", fast=2, slow=20)),))
    compared = compare_with_faults(
        harness.url, rehearsal._backtest(dear, harness.period), [], end_ms=harness.period.end_ms
    )
    assert (compared.otherwise, compared.differing > 0, compared.first_order["struck"]) == (0, True, {})
    compared = compare_with_faults(
        harness.url, rehearsal._backtest(other, harness.period), [], end_ms=harness.period.end_ms
    )
    assert not compared.decided_alike
    assert compared.first_decision["runner"] != compared.first_decision["backtest"]


@pytest.mark.slow
def test_a_side_over_a_bar_that_the_exchange_served_otherwise_is_the_strategys_and_no_failure(harness):
    start, hour = harness.period.start_ms, 3_600_000
    times = [start + at * hour for at in range(4, 60, 7)]
    frozen = [
        Fault("freeze", at_ms=at + 60_000, until_ms=at + hour + 30_000, detail={"symbol": "BTCUSDT"}) for at in times
    ]
    run = harness.run(Schedule(tuple(frozen), ()))
    result = rehearsal._backtest(harness.portfolio, harness.period)
    compared = compare_with_faults(harness.url, result, run.ledger, end_ms=harness.period.end_ms)
    assert compared.served_otherwise > 3
    assert compared.by_served > 0
    assert compared.decided_alike
    assert rehearsal._judge_run(run, harness).clean


def test_what_struck_in_a_bar_is_counted_by_kind_with_the_deaths_that_reach_into_it():
    ledger = [
        {"kind": "fault", "ms": 10, "fault": "halt"}, {"kind": "fault", "ms": 15, "fault": "halt", "ended": "*"},
        {"kind": "fault", "ms": 20, "fault": "lost"}, {"kind": "order", "ms": 12},
    ]  # fmt: skip
    assert _faults_between(ledger, [(5, 4), (2, 8), (20, 0)], begin=10, end=20) == {"halt": 1, "kill": 1}
    assert rehearsal._fault_counts(HarnessRun(ledger=ledger)) == {"halt": 1, "lost": 1}


@pytest.mark.slow
def test_a_runner_that_gives_up_is_started_again_after_a_while(harness):
    start, hour = harness.period.start_ms, 3_600_000
    banned = Fault("ban", "*", at_ms=start + 12 * hour, retry_after_s=12)
    run = harness.run(Schedule((banned,), ((start + 10 * hour, 3 * hour),)))
    assert run.exits == [-9, 6, 6, 6, 0]
    assert [back - died for died, back in run.deaths] == [3 * hour, 5_000, 5_000, 5_000]
    assert rehearsal._judge_run(run, harness).clean


def test_one_process_that_broke_spoils_a_run_that_came_to_its_end():
    assert HarnessRun(exits=[-9, 6, 0]).exit_code == 0
    assert HarnessRun(exits=[1, 0]).exit_code == 1
    assert HarnessRun(exits=[-9, 4]).exit_code == 4


@pytest.mark.slow
def test_a_run_that_ends_early_or_halted_fails_a_rehearsal(desk, monkeypatch):
    path = promoted(desk)
    original = Harness.run

    def halted(self, plan, **options):
        run = original(self, plan, **options)
        run.exits[-1] = 4
        return run

    monkeypatch.setattr(Harness, "play", halted)
    found = json.loads(atb("rehearse", path, "--days", 2, "--faults", "none", "--json").stdout)
    assert (found["passed"], found["exit_codes"]) == (False, {"calm": 4})
    assert found["comparison"]["equal"]
    assert all(said["held"] for said in found["invariants"].values())


@pytest.mark.slow
def test_what_a_drill_leaves_is_judged_too(desk, monkeypatch):
    path = promoted(desk)
    original = rehearsal.run_kill_drill

    def left(harness, result):
        drill, run = original(harness, result)
        stop = next(entry for entry in run.ledger if entry["kind"] == "order" and entry["side"] == "SELL")
        run.ledger.append(stop | {"order_id": 10_000, "status": "NEW", "ms": run.ledger[-1]["ms"]})
        return drill, run

    monkeypatch.setattr(rehearsal, "run_kill_drill", left)
    found = json.loads(atb("rehearse", path, "--days", 2, "--faults", "none", "--json").stdout)
    assert not found["passed"]
    violations = found["invariants"]["I9"]["violations"]
    assert any(text.startswith("drill: ") and "the kill switch closes everything" in text for text in violations)


def refused(done, *texts):
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert all(text in done.stderr for text in texts), done.stderr
    assert "Traceback" not in done.output


def test_what_cannot_be_rehearsed_is_refused_before_anything_is_started(desk):
    path = promoted(desk)
    refused(atb("rehearse", path, "--faults", "standart"), "no such level of faults", "standard")
    refused(atb("rehearse", path, "--days", 90), "bars before the first of 90 days", "fewer --days")
    refused(atb("rehearse", path, "--days", 0), "--days")
    refused(atb("rehearse", desk.root / "gone.json"), "gone.json")
    short = promoted(desk, replace(POLICY, allow_short=True), costs=ExecutionModel())
    refused(atb("rehearse", short, "--days", 2), "sell short")
    assert not (desk.root / "rehearsals").exists()
    assert not (desk.root / "atb.db").exists()


# --- what is drawn, and where the switch is pulled ----------------------------------------------------------------------

DAY = 86_400_000


def drawn(level, *, days=30):
    return draw_schedule(
        level, seed=5, start_ms=0, end_ms=days * DAY, symbols=["BTCUSDT"], bar_ms=3_600_000, quote="USDT"
    )


def test_others_act_on_the_account_at_hard_alone_and_late_and_a_ban_strikes_at_every_level():
    others = {"manual", "stranger", "deposit", "revise"}
    kinds = {level: {fault.kind for fault in drawn(level).faults} for level in ("standard", "hard")}
    assert not kinds["standard"] & others
    assert kinds["hard"] >= others
    assert "ban" in kinds["standard"] & kinds["hard"]
    assert min(fault.at_ms for fault in drawn("hard").faults if fault.kind in others) >= 20 * DAY


def test_hard_draws_all_that_the_exchange_can_do_and_reads_lag_when_an_answer_is_lost():
    doubts = {"lag", "late_engine", "refuse", "partial", "reject_legs", "expire_stop", "symbol"}
    standard, hard = drawn("standard").faults, drawn("hard").faults
    assert not {fault.kind for fault in standard} & doubts
    assert KINDS - {fault.kind for fault in hard} <= {"delay"}, "of frames, which only come later"
    lost = {fault.at_ms for fault in hard if fault.kind == "lost"}
    assert {fault.at_ms for fault in hard if fault.kind == "lag"} <= lost
    assert max(fault.until_ms or 0 for fault in hard) <= 30 * DAY


def test_deaths_last_from_no_time_at_all_to_three_bars_and_end_before_the_quiet_time():
    kills = drawn("hard", days=400).kills
    lengths = [dead for _, dead in kills]
    assert min(lengths) == 0
    assert 30_000 < max(lengths) <= 3 * 3_600_000
    assert all(at + dead <= 400 * DAY for at, dead in kills)
    assert drawn("hard") == drawn("hard")


def test_the_switch_is_pulled_in_the_last_position_of_the_first_third_that_outlives_its_bar(harness):
    result = rehearsal._backtest(harness.portfolio, harness.period)
    start, end = harness.period.start_ms, harness.period.end_ms
    trades = [(int(trade["entry_time"]), int(trade["exit_time"])) for trade in result.outcome.trades]
    at = position_to_close(result, start, end)
    lasting = [entry for entry, out in trades if out - entry > 3_600_000]
    assert at == max(entry for entry in lasting if entry <= start + (end - start) / 3)
    assert position_to_close(result, start, start) == min(lasting)
    assert position_to_close(result, start, start + 3 * (end - start)) == max(lasting) != min(lasting)


def test_a_drill_after_which_an_order_rests_has_failed():
    order = {
        "kind": "order", "ms": 1, "order_id": 1, "client_id": "atb-x-abc-1-s0", "symbol": "BTCUSDT", "side": "SELL",
        "type": "STOP_LOSS", "list_id": -1, "quantity": "1", "filled": "0", "status": "NEW", "stop_price": "5",
    }  # fmt: skip
    gone = order | {"status": "CANCELED"}
    assert resting_orders(HarnessRun(ledger=[order])) == 1
    assert (
        resting_orders(HarnessRun(ledger=[order, gone]))
        == resting_orders(HarnessRun(ledger=[order | {"client_id": "web_1"}]))
        == 0
    )
    assert KillDrill(True, 0, 4, flat=True).passed
    assert not KillDrill(True, 0, 4, flat=True, resting=1).passed

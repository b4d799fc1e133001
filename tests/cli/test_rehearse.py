"""`atb rehearse`: the real runner before a simulated exchange; what it prints, what it keeps, and what makes it fail."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from atb.cli import main
from atb.db import open_database
from atb.db.tables import Evidence
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.strategies import make_strategy
from atb.workbench.rehearsal import run as rehearsal
from tests.live.desk import Desk, warm_result

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
            return [(row.passed, row.detail) for row in session.scalars(select(Evidence).order_by(Evidence.id))]
    finally:
        database.close()


def checks(done):
    """Return the table's rows by check: the result, or an empty string where there is none."""
    lines = [line for line in done.stdout.splitlines()[1:] if not line.startswith("Rehearsal of")]
    return {line[:49].strip(): line[49:57].strip() for line in lines}


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
    assert 0 < detail["invariants"]["I10"]["checked"] < 120


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
@pytest.mark.timeout(900)
@pytest.mark.parametrize("level", ["standard", "hard"])
def test_with_faults_and_kills_nothing_is_lost(desk, level):
    done = atb("rehearse", promoted(desk, n=640), "--days", 12, "--faults", level, "--seed", 5, "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0, found
    assert found["kills"] >= 1
    assert len(found["struck"]) > 5
    assert all(said["held"] and said["checked"] for said in found["invariants"].values())


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

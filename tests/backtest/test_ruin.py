"""A ruined account says so first, everywhere, and has one row for all that it could not trade afterwards."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from atb.backtest import run
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.experiments.findings import findings
from tests.bars import frame_of, ramp
from tests.instruments import usual
from tests.scenarios import scripted_slot

DEAR = ExecutionModel(fee=0.2, slippage=0.0)
N = 5_000


def ruined():
    """A fifth of the money goes with every order, and the signal asks for one at every bar, thousands of times."""
    sides = tuple(float(k % 2) for k in range(N))
    return run(scripted_slot(frame_of(np.full(N, 100.0)), sides, RiskPolicy(fraction=0.95), DEAR))


@pytest.fixture(scope="module")
def result():
    return ruined()


def test_the_first_line_of_everything_says_it(result):
    sentence = f"The account was RUINED on {result.ruin.at:%Y-%m-%d %H:%M} UTC: "
    assert result.headline.startswith(sentence)
    assert result.ruin.left < 10
    assert result.ruin.at_ms < result.inputs.closes[100]
    assert findings(result)[0].startswith(sentence)
    assert sentence in str(result)
    assert result.to_json()["ruin"]["missed_signals"] == result.ruin.missed > N / 3


def test_it_is_one_row_and_one_refusal(result, tmp_path):
    after = result.refused[result.refused["time"] >= result.ruin.at]
    assert len(after) == 1
    assert (after["reason"].item(), after["count"].item()) == ("ruined", result.ruin.missed)
    assert result.refusal_counts["ruined"] == 1
    assert len(result.refused) < 60
    result.export(tmp_path)
    assert len((tmp_path / "refused.csv").read_text().splitlines()) == len(result.refused) + 1


def test_a_liquidation_is_a_ruin():
    policy = RiskPolicy(fraction=3.0, allow_short=True)
    account = AccountPolicy(max_gross=3.0, reserve=0.0, maintenance=0.05)
    slot = scripted_slot(ramp(up=200), (-1.0,) * 200, policy, replace(DEAR, fee=0.0))
    result = run(slot, account=account)
    assert result.headline.startswith("The account was LIQUIDATED on ")
    assert result.refusal_counts == {"ruined": 1} or set(result.refusal_counts) <= {
        "ruined",
        "shrunk_by_exposure_limit",
    }
    assert list(result.refused["reason"]).count("ruined") == 1


def test_a_halt_for_good_is_one_row_too():
    slot = scripted_slot(
        ramp(up=5, down=60), (1.0,) * 65, RiskPolicy(fraction=0.9, reenter=True), replace(DEAR, fee=0.0)
    )
    result = run(slot, account=AccountPolicy(max_drawdown=0.05, on_halt="flatten"))
    assert result.ruin is None
    (row,) = result.refused[result.refused["reason"] == "drawdown_halt"].itertuples()
    assert row.count == result.refusal_counts["drawdown_halt"] > 5
    assert row.until == result.refused["until"].max()


def test_losing_or_being_too_small_from_the_beginning_is_no_ruin():
    losing = run(scripted_slot(ramp(up=3, down=50), (1.0,) * 50 + (0.0,) * 3, RiskPolicy(fraction=0.9)))
    assert losing.ruin is None
    poor = scripted_slot(ramp(up=30), (1.0,) * 30, RiskPolicy(fraction=0.95))
    poor = replace(poor, instrument=usual(min_notional=Decimal(50)))
    small = run(poor, account=AccountPolicy(cash=20.0))
    assert small.ruin is None
    assert small.refusal_counts == {"below_min_notional": 30}
    assert not small.headline.startswith("The account")

"""The gate: paper takes every honest run, live wants results, and each refusal says its numbers."""

import json
import math

import pytest

from atb.promotion.evidence import Evidence
from atb.promotion.gate import GatePolicy, gate

GOOD = {
    "run_status": "succeeded", "strategies": 1, "data_matches": True, "kernel_matches": True, "warm": True,
    "synthetic": False, "n_trades": 200.0, "sharpe": 1.6, "total_return_pct": 80.0, "hold_return_pct": 30.0,
    "max_drawdown_pct": 12.0, "parity": True, "lookahead_clean": True, "columns_equal": True,
    "dirty": False, "rehearsed": True,
}  # fmt: skip
MODEL = {"predicts": True, "beats_baselines": True, "out_of_sample": True}


def verdict(mode="paper", **changes):
    return gate(Evidence(**{**GOOD, **changes}), mode=mode)


def test_good_evidence_passes_both():
    assert verdict("live").passed
    assert verdict("live", **MODEL).passed
    stored = verdict().to_json()
    assert stored.pop("checks")
    assert stored == {"mode": "paper", "passed": True, "reasons": [], "live": {"passed": True, "reasons": []}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"run_status": "failed"}, "did not succeed (status failed)"),
        ({"strategies": 0}, "published no strategy result"),
        ({"strategies": 3}, "3 slots"),
        ({"data_matches": False}, "bars of the run"),
        ({"kernel_matches": False}, "another decision kernel"),
        ({"of_universe": True}, "as a universe lists it, as no runner does"),
        ({"columns_equal": False}, "would decide differently from the backtest"),
    ],
)
def test_evidence_of_something_else_is_refused_for_paper_and_live(changes, reason):
    for mode in ("paper", "live"):
        (given,) = verdict(mode, **changes).reasons
        assert reason in given


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"synthetic": True}, "SYNTHETIC"),
        ({"enters_bare": True}, "enters at a stop, which no exchange takes together with the position's own"),
        ({"limits_at_open": True}, "resting limit orders at an open that passed them"),
        ({"n_trades": 29.0}, "29 trades, fewer than 30"),
        ({"total_return_pct": 30.0}, "+30.00 % against +30.00 %"),
        ({"total_return_pct": math.nan}, "does not beat holding"),
        ({"sharpe": 0.99}, "Sharpe 0.99, below 1.00"),
        ({"sharpe": math.nan}, "Sharpe –"),
        ({"max_drawdown_pct": 25.1}, "drawdown 25.10 %, above 25.00 %"),
        ({"max_drawdown_pct": math.nan}, "drawdown –"),
        ({"parity": None}, "parity of the kernel was not proven"),
        ({"parity": False}, "parity of the kernel failed"),
        ({"columns_equal": None}, "not every bar's columns"),
        ({"lookahead_clean": None}, "look-ahead was not proven"),
        ({"lookahead_clean": False}, "looks ahead"),
        ({"warm": False}, "not settled"),
        ({**MODEL, "beats_baselines": None}, "baselines are not known"),
        ({**MODEL, "out_of_sample": False}, "had seen some of the traded bars"),
        ({**MODEL, "out_of_sample": None}, "not known whether it had"),
        ({**MODEL, "beats_baselines": False}, "does not beat its baselines"),
        ({"dirty": True}, "uncommitted"),
        ({"dirty": None}, "commit of the run is not known"),
        ({"shorts": True}, "sells short"),
        ({"rehearsed": None}, "it was not rehearsed"),
        ({"rehearsed": False}, "last rehearsal failed"),
        ({"refused": {"no_cash": 2}}, "2 signals were not traded as given: no_cash 2"),
    ],
)
def test_weak_results_keep_a_run_from_live_and_never_from_paper(changes, reason):
    assert verdict(**changes).passed
    (given,) = verdict(**changes).live_reasons
    assert reason in given
    assert verdict("live", **changes).reasons == (given,)


def test_the_borders_are_the_policys():
    strict = GatePolicy(min_trades=201, min_sharpe=1.7, max_drawdown_pct=11.0)
    assert len(gate(Evidence(**GOOD), strict).live_reasons) == 3


def test_what_could_not_be_computed_is_null_in_json():
    assert Evidence(**{**GOOD, "sharpe": math.nan}).to_json()["sharpe"] is None


def test_a_run_that_failed_is_refused_for_that_alone():
    broken = verdict(run_status="failed", strategies=0, data_matches=False, kernel_matches=False)
    assert broken.reasons == ("the run did not succeed (status failed)",)
    assert verdict(strategies=0, data_matches=False).reasons == ("the run published no strategy result",)


def test_evidence_is_read_as_it_was_written():
    for changes in ({}, MODEL, {"sharpe": math.nan, "refused": {"no_cash": 2}, "parity": None, "n_trades": 3}):
        there = Evidence(**{**GOOD, **changes})
        again = Evidence.from_json(json.loads(json.dumps(there.to_json())))
        assert again is not None
        assert again.to_json() == there.to_json()


@pytest.mark.parametrize(
    "wrong",
    [
        {"sharpe": "1"},
        {"sharpe": True},
        {"parity": 1},
        {"refused": []},
        {"strategies": 1.5},
        {"warm": None},
        {"more": 1},
    ],
)
def test_evidence_of_another_form_is_none(wrong):
    assert Evidence.from_json({**Evidence(**GOOD).to_json(), **wrong}) is None
    assert (
        Evidence.from_json({key: value for key, value in Evidence(**GOOD).to_json().items() if key != "rehearsed"})
        is None
    )


def test_every_check_has_a_name_of_its_own_and_says_what_was_found_and_what_is_wanted():
    checks = verdict("live", **MODEL).checks
    assert len({check.name for check in checks}) == len(checks) > 20
    assert all(check.status == "ok" and check.found and check.wanted for check in checks)
    without = verdict("live").checks
    assert [check.name for check in without] == [check.name for check in checks], "the list is the same for every run"
    assert {check.name for check in without if check.status == "skipped"} == {"model's baselines", "model's training"}


def test_a_check_holds_the_figure_of_the_policy_and_of_the_run():
    strict = GatePolicy(min_trades=500, min_sharpe=2.0, max_drawdown_pct=5.0)
    found = {check.name: check for check in gate(Evidence(**GOOD), strict).checks if check.failed}
    assert {name: (check.found, check.wanted) for name, check in found.items()} == {
        "trades": ("200 trades, fewer than 500", "500 or more"),
        "Sharpe ratio": ("Sharpe 1.60, below 2.00", "2.00 or more"),
        "drawdown": ("drawdown 12.00 %, above 5.00 %", "5.00 % or less"),
    }


def test_a_verdict_is_stored_with_each_check_and_the_mode_that_requires_it():
    stored = json.loads(json.dumps(verdict(sharpe=0.5, kernel_matches=False).to_json()))
    wrong = [(check["required_for"], check["name"]) for check in stored["checks"] if check["status"] == "error"]
    assert wrong == [("paper", "kernel"), ("live", "Sharpe ratio")]
    assert stored["live"]["reasons"] == [check["found"] for check in stored["checks"] if check["status"] == "error"]

"""The first line of a report: what a result is worth, the gravest reason first."""

import pytest

from atb.experiments.verdict import verdict

GOOD = {
    "slots": [{"venue": "binance"}],
    "stats": {"total_return_pct": 30.0, "sharpe": 1.4, "n_trades": 120.0, "open_trades": 0.0, "halted": 0.0},
    "baselines": {"hold": {"total_return_pct": 10.0, "sharpe": 0.5}},
    "random_entry": {"runs": 50, "beaten": 49, "total_return_pct": {"median": 1.0, "p5": -10.0, "p95": 12.0}},
    "ruin": None,
}


def worth(evidence=None, **changed):
    """Return the verdict of a good result with something changed."""
    result = {**GOOD, **{name: changed[name] for name in changed if name in GOOD}}
    result["stats"] = {**GOOD["stats"], **{name: value for name, value in changed.items() if name in GOOD["stats"]}}
    return verdict({"result": result, "evidence": evidence})


def test_what_earned_more_than_holding_and_chance_is_worth_a_closer_look():
    assert worth().startswith("Worth a closer look: +30.00 % after costs against +10.00 % for holding")


@pytest.mark.parametrize(
    ("changed", "begins"),
    [
        ({"evidence": {"lookahead_clean": False, "parity": False}}, "Worth nothing: the strategy looks ahead"),
        ({"evidence": {"parity": False}}, "Worth nothing: a runner would not trade this"),
        ({"evidence": {"columns_equal": False}}, "Worth nothing: a runner would not trade this"),
        ({"evidence": {"out_of_sample": False}}, "No test at all: its model had seen"),
        ({"ruin": {"left": 1.0}, "total_return_pct": -99.0}, "Worth nothing: it ruined the account"),
        ({"halted": 2.0}, "Not worth trading as it is: its own limits halted it"),
        ({"n_trades": 0.0, "total_return_pct": 0.0}, "Nothing to judge: it never traded"),
        ({"total_return_pct": -3.0}, "Not worth trading as it is: -3.00 % after costs"),
        ({"total_return_pct": None}, "Not worth trading as it is"),
        ({"n_trades": 4.0}, "Not enough to judge: +30.00 % after costs, in only 4 closed trades"),
        ({"total_return_pct": 9.0, "sharpe": 0.4}, "Not worth the trouble: +9.00 % after costs; holding made +10.00 %"),
        ({"random_entry": {**GOOD["random_entry"], "beaten": 30}}, "It may be luck: "),
        ({"total_return_pct": 9.0}, "Less than holding, and calmer"),
        (
            {"slots": [{"venue": "synthetic"}]},
            "SYNTHETIC data, so this says nothing about any market. Worth a closer look",
        ),
    ],
)
def test_the_gravest_reason_speaks_first(changed, begins):
    assert worth(**changed).startswith(begins)


def test_a_position_that_cannot_be_moved_in_time_is_not_called_luck():
    still = {"runs": 50, "beaten": 0, "total_return_pct": {"median": 30.0, "p5": 30.0, "p95": 30.0}}
    assert worth(random_entry=still).startswith("Worth a closer look")


@pytest.mark.parametrize("published", [{}, {"result": None}, {"result": {"slots": []}}, {"headline": "x"}])
def test_without_a_result_there_is_no_verdict(published):
    assert verdict(published) == ""

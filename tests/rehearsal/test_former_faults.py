"""The faults that a trader at an independent exchange found, each with the test that puts it back and sees it found.

Most are found by the judge of a run; a rehearsal's fees and entries of a quarantined symbol are tested where they are decided.
"""

from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module

import pytest

from atb.venues.simulator.faults import Fault
from tests.rehearsal.directed import calm_schedule, played
from tests.rehearsal.former_rules import dust_stays_a_position
from tests.rehearsal.test_former_protection import CASES

PROTECTION = "tests.rehearsal.test_former_protection:test_the_judge_finds_a_former_rule_and_nothing_without_it"
PRICES = (
    "tests.rehearsal.test_former_protection:"
    "test_prices_that_are_refused_as_a_pair_close_nothing_that_they_have_not_passed"
)
# Fault: its test, and the case of it where the test has several.
KNOWN = {
    "an order is absent against evidence": (
        "tests.rehearsal.test_doubt:test_the_judge_finds_a_runner_for_which_not_found_is_absent", None,
    ),
    "a limit entry met in part cannot be protected": (PROTECTION, "a part is left locked"),
    "a passing refusal makes entries bare": (PROTECTION, "any refusal makes entries bare"),
    "protection is sent again for nothing": (PROTECTION, "legs are judged unasked"),
    "a pair is left by two requests": (PROTECTION, "an exit first cancels"),
    "one lot left over stops a strategy": ("tests.rehearsal.test_former_faults:test_dust_that_stays_a_position", None),
    "an account a little short sends entries bare": (PROTECTION, "the worst price is not bounded"),
    "quarantine does not bar entries between closes": (
        "tests.live.execution.test_stuck:test_quarantine_bars_the_second_attempt_of_an_entry_whose_list_was_refused", None,
    ),
    "a rehearsal charges fees that nobody takes": (
        "tests.cli.test_rehearse:test_fees_that_are_not_in_base_are_paid_in_bnb_and_the_runner_is_its_backtest", None,
    ),
    "a stop is moved in a closed market": (PROTECTION, "the market's status is not read"),
    "refusals about prices are not recognised": (
        PRICES, None,
    ),
}  # fmt: skip


def test_every_known_fault_has_its_test():
    assert len(KNOWN) == 11
    for place, case in KNOWN.values():
        module, _, name = place.partition(":")
        assert callable(getattr(import_module(module), name))
        assert case is None or case in CASES


@pytest.mark.parametrize("back", [False, True])
def test_dust_that_stays_a_position(tmp_path, back):
    """A target leaves a few lots that no order can sell: they are dust, and no position that is to be protected for ever."""
    leaves = Fault("partial", "*", detail={"side": "SELL", "share": 0.9999})
    with dust_stays_a_position() if back else nullcontext():
        run = played(replace(calm_schedule("near pair", 3), faults=(leaves,)), tmp_path)
    assert [entry for entry in run.ledger if entry["kind"] == "fault"], "nothing was met in part"
    assert (run.judgement.violated == ("I8",)) is back, run.judgement
    assert back or run.judgement.clean

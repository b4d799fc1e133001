"""The faults that a trader at an independent exchange found, each with the test that puts it back and sees it found.

Each is found by the judge of a run.
"""

from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module

import pytest

from atb.venues.simulator.faults import Fault
from tests.rehearsal.directed import calm_schedule, played
from tests.rehearsal.former_rules import dust_stays_a_position, quarantine_bars_decisions_alone
from tests.rehearsal.schedules import HOUR
from tests.rehearsal.test_former_protection import CASES

BUSY = {"code": -1003, "msg": "Too many requests.", "status": 429, "retry_after_s": 2}
ADDS = 3  # hours from the schedule's begin to its first addition to a position
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
        "tests.rehearsal.test_former_faults:test_an_entry_that_is_tried_again_while_its_symbol_is_quarantined", None,
    ),
    "a rehearsal charges fees that nobody takes": (
        "tests.rehearsal.test_former_faults:test_fees_that_no_exchange_takes", None,
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


@pytest.mark.parametrize("back", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_dust_that_stays_a_position(tmp_path, back):
    """A target leaves a few lots that no order can sell: they are dust, and no position that is to be protected for ever."""
    leaves = Fault("partial", "*", detail={"side": "SELL", "share": 0.9999})
    with dust_stays_a_position() if back else nullcontext():
        run = played(replace(calm_schedule("near pair", 3), faults=(leaves,)), tmp_path)
    assert [entry for entry in run.ledger if entry["kind"] == "fault"], "nothing was met in part"
    assert (run.judgement.violated == ("I8",)) is back, run.judgement
    assert back or run.judgement.clean


@pytest.mark.parametrize("back", [False, True])
def test_an_entry_that_is_tried_again_while_its_symbol_is_quarantined(tmp_path, back):
    """An entry is refused for too many requests; before it is sent again, somebody trades the account by hand."""
    made = calm_schedule("scale-in", 3)
    at_ms = made.start_ms + ADDS * HOUR
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quoteOrderQty": "20"}
    busy = Fault("refuse", "POST /api/v3/orderList/opoco", at_ms=at_ms, detail=BUSY)
    hand = Fault("stranger", at_ms=at_ms + 1_000, detail={"order": order})
    with quarantine_bars_decisions_alone() if back else nullcontext():
        run = played(replace(made, faults=(busy, hand)), tmp_path)
    assert {entry["fault"] for entry in run.ledger if entry["kind"] == "fault"} == {"refuse", "stranger"}
    assert (run.judgement.violated == ("I9",)) is back, run.judgement
    assert back or run.judgement.clean


@pytest.mark.parametrize("fee_in", ["quote", "bnb"])
def test_fees_that_no_exchange_takes(tmp_path, fee_in):
    """A rehearsal that charges a buy in quote shows an account that does not exist."""
    found = played(calm_schedule("stop", 3, fee_in=fee_in), tmp_path).judgement
    assert found.violated == (("I1",) if fee_in == "quote" else ()), found

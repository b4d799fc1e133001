"""The judge finds each former rule of protection when it is put back, and nothing without it."""

from dataclasses import replace

import pytest

from atb.venues.simulator.faults import Fault
from tests.rehearsal.directed import DEAD_MS, calm_schedule, played
from tests.rehearsal.former_rules import PROTECTION, former
from tests.rehearsal.schedules import HOUR

PAIR_WORDS = {"code": -2010, "msg": "The relationship of the prices for the orders is not correct."}
# Former rule: shape of the policy, fault (kind, path, detail), the gap in which the process dies.
CASES = {
    "a part is left locked": ("limit", ("partial", "*", {"symbol": "BTCUSDT", "side": "BUY"}), None),
    "any refusal makes entries bare": ("stop", ("refuse", "POST /api/v3/orderList/opo", {}), "after place entry"),
    "legs are judged unasked": ("pair", None, "after cancel stop+target"),
    "an exit first cancels": ("pair", None, "after cancel stop+target"),
    "the worst price is not bounded": ("stop", None, "after place entry"),
    "the market's status is not read": ("trailing", ("symbol", "*", {"symbol": "BTCUSDT", "status": "CANCEL_ONLY"}), None),
}  # fmt: skip
QUICK = {"an exit first cancels", "any refusal makes entries bare", "legs are judged unasked"}


def schedule_of(shape, fault, gap, *, fraction=0.9):
    made = calm_schedule(shape, 3, fraction=fraction)
    crashes = ((gap, DEAD_MS),) if gap else ()
    if fault is None:
        return replace(made, crashes=crashes)
    kind, path, detail = fault
    lasting = kind == "symbol"  # around the close at which the trailing stop moves
    at_ms = made.start_ms + (2 * HOUR - 60_000 if lasting else 0)
    until_ms = at_ms + 20 * 60_000 if lasting else None
    return replace(made, crashes=crashes, faults=(Fault(kind, path, at_ms=at_ms, until_ms=until_ms, detail=detail),))


def plays(name, tmp_path):
    """Return how a case goes by the rules, and by the former one."""
    shape, fault, gap = CASES[name]
    fraction = 0.99 if "worst price" in name else 0.9
    now = played(schedule_of(shape, fault, gap, fraction=fraction), tmp_path / "now")
    with former(name):
        return now, played(schedule_of(shape, fault, gap, fraction=fraction), tmp_path / "former")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in CASES]
)
def test_the_judge_finds_a_former_rule_and_nothing_without_it(name, tmp_path):
    now, then = plays(name, tmp_path)
    assert now.judgement.clean, now.judgement
    assert then.judgement.violations["I3"]


def executions(run):
    return [(fill["role"], str(fill["price"]), str(fill["quantity"])) for fill in run.books.fills]


def test_prices_that_are_refused_as_a_pair_close_nothing_that_they_have_not_passed(tmp_path):
    """A pair refused by its prices again and again: the stop rests alone, and the position is not sold as if it had been met."""
    made = calm_schedule("trailing pair", 3)
    calm = executions(played(made, tmp_path / "calm"))
    fault = Fault("refuse", "POST /api/v3/orderList/oco", at_ms=made.start_ms, times=5, detail=PAIR_WORDS)
    run = played(replace(made, faults=(fault,)), tmp_path / "now")
    assert run.judgement.clean, run.judgement
    assert executions(run) == calm
    with former("words about prices are not read"):
        then = played(replace(made, faults=(replace(fault, times=5),)), tmp_path / "former")
    assert executions(then) != calm
    assert any("as if the stop at" in words for words in then.judgement.violations["I3"]), then.judgement


def test_every_former_rule_is_tried():
    assert set(PROTECTION) == {*CASES, "words about prices are not read"}

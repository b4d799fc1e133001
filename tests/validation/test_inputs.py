"""The every-bar check of strategies with inputs: each row counts from when it was known, and a leak is found and named."""

import numpy as np
import pytest

from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy
from atb.engine.prepare import columns, latest
from atb.validation.parity import prove_inputs
from atb.validation.windows import LOOKS_AHEAD, SHORT_WARMUP, check_windows
from tests.bars import bars_of, random_walk
from tests.input_strategies import HONEST, LEAKING, TooShortAWarmUp, slot_of

BARS, OTHER = bars_of(random_walk(420, 3)), bars_of(random_walk(420, 9), symbol="ETH/USDT")
FIRST = 300
QUICK_FIRST = [HONEST[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in HONEST[1:3]), HONEST[3]]


def checked(strategy):
    problem = prepare((slot_of(strategy, BARS, OTHER),), AccountPolicy(), BARS.frame.index[FIRST])
    (one,) = check_windows(problem)
    return problem, one


@pytest.mark.parametrize("kind", QUICK_FIRST)
def test_an_honest_strategy_is_computed_alike_by_a_process_that_knows_only_what_was_known(kind):
    problem, one = checked(kind())
    assert one.report.everywhere, str(one.report)
    assert one.report.checked == len(BARS) - FIRST
    assert len(set(problem.signals["side"][np.isfinite(problem.signals["side"])])) == 2, "it trades"
    report = prove_inputs(problem, checked=[one])
    assert report.equal, report.first_difference
    assert report.orders


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if number % 3 else kind for number, kind in enumerate(LEAKING)]
)
def test_an_input_used_before_it_was_known_is_look_ahead(kind):
    _, one = checked(kind())
    assert one.report.everywhere is False
    assert LOOKS_AHEAD in one.report.kinds, str(one.report)


@pytest.mark.slow
def test_an_input_with_too_short_a_warm_up_is_named():
    _, one = checked(TooShortAWarmUp(n=9))
    assert one.report.everywhere is False
    assert list(one.report.kinds) == [SHORT_WARMUP]


@pytest.mark.parametrize("kind", HONEST)
def test_the_newest_row_is_the_same_however_much_is_known_before_and_after(kind):
    whole = slot_of(kind(), BARS, OTHER)
    sides = columns(whole).signals["side"]
    for row in range(FIRST, len(BARS), 17):
        known = slot_of(kind(), BARS.rows(row - 60, row + 1), OTHER)
        known = type(whole)(known.strategy, known.bars, inputs=whole.inputs)
        assert latest(known).signals["side"][0].tobytes() == sides[row].tobytes()

"""Holding is bought once; random entry wants the strategy's own positions, at other times, the same way each time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.backtest import run
from atb.backtest.baselines import Stretches, hold, random_entry
from atb.engine.policy import AccountPolicy, RiskPolicy
from tests.bars import ramp, random_walk
from tests.scenarios import ALL_IN, random_slots, scripted_slot

SIDES = st.lists(st.sampled_from([-1.0, 0.0, 1.0, float("nan")]), min_size=1, max_size=60)


def runs_of(sides):
    """Return (side, length) of each stretch in which a side is wanted; no opinion goes on with what was wanted."""
    found, last = [], 0.0
    for side in sides:
        now = last if np.isnan(side) else side
        if now != 0 and now == last:
            found[-1][1] += 1
        elif now != 0:
            found.append([now, 1])
        last = now
    return [tuple(run) for run in found]


@given(SIDES, st.integers(0, 5))
def test_drawn_stretches_are_the_strategys_own_in_number_side_and_length(sides, seed):
    given_sides = np.array(sides)
    source = Stretches.of(given_sides).drawn(np.random.default_rng(seed))
    moved = np.where(source < 0, 0.0, given_sides[source])
    assert sorted(runs_of(moved)) == sorted(runs_of(sides))
    assert [side for side, _ in runs_of(moved)] == [side for side, _ in runs_of(sides)]


@given(SIDES)
def test_rows_before_the_first_opinion_stay_silent(sides):
    given_sides = np.array(sides)
    source = Stretches.of(given_sides).drawn(np.random.default_rng(1))
    known = np.flatnonzero(~np.isnan(given_sides))
    first = known[0] if len(known) else len(sides)
    assert source[:first].tolist() == list(range(first))


def test_stretches_come_at_any_time_with_equal_chance():
    signal_columns = Stretches.of(np.array([0.0, 0.0, 0.0, 1.0]))
    rng = np.random.default_rng(3)
    begins = [int(np.flatnonzero(signal_columns.drawn(rng) >= 0)[0]) for _ in range(2_000)]
    assert np.bincount(begins, minlength=4) == pytest.approx(500, abs=75)


def test_perfect_timing_beats_every_random_run_and_chance_does_not():
    frame = random_walk(1_000, 2)
    up = np.append(frame["close"].to_numpy()[1:] > frame["close"].to_numpy()[:-1], False)
    perfect = run(scripted_slot(frame, tuple(up.astype(float))))
    assert perfect.random_entry.beaten == perfect.random_entry.runs == 50
    none_better = run(scripted_slot(frame, tuple((~up).astype(float))))
    assert none_better.random_entry.beaten == 0


def test_the_same_seed_gives_the_same_runs_and_another_does_not():
    result = run(scripted_slot(random_walk(500, 2), tuple(np.arange(500) // 20 % 2.0)))
    first, again = (random_entry(result.inputs, result.outcome, runs=5, seed=4) for _ in range(2))
    other = random_entry(result.inputs, result.outcome, runs=5, seed=5)
    assert first.to_json() == again.to_json()
    assert first.to_json()["total_return_pct"] != other.to_json()["total_return_pct"]
    assert first.to_json()["seed"] == 4


def test_random_runs_trade_as_often_as_the_strategy_where_nothing_stops_them():
    sides = tuple(np.where(np.arange(2_000) // 20 % 3 == 0, 0.0, np.where(np.arange(2_000) // 20 % 3 == 1, 1.0, -1.0)))
    result = run(scripted_slot(random_walk(2_000, 2), sides, RiskPolicy(fraction=0.5, allow_short=True)))
    trades = len(result.trades)
    low, high = result.random_entry.span("n_trades")
    assert trades - 1 <= low <= high <= trades


def test_chance_changes_nothing_of_the_result_itself():
    slots, account = random_slots(8)
    result = run(slots, account=account)
    before = (
        result.inputs.signals.tobytes(),
        result.inputs.signal_columns.side.tobytes(),
        result.outcome.orders.tobytes(),
    )
    assert result.random_entry.runs == 50
    assert before == (
        result.inputs.signals.tobytes(),
        result.inputs.signal_columns.side.tobytes(),
        result.outcome.orders.tobytes(),
    )


def test_a_wanted_price_keeps_its_distance_from_the_close():
    frame = random_walk(400, 2)
    close = frame["close"].to_numpy()
    sides = tuple(np.arange(400) // 20 % 2.0)
    slot = scripted_slot(frame, sides, RiskPolicy(fraction=0.5, entry="limit", entry_bars=20))
    strategy = replace(slot.strategy, price=tuple(0.9999 * close))
    result = run(replace(slot, strategy=strategy))
    # A limit just below the market is met sooner or later; at another bar's price it would be refused, or never be met.
    assert result.random_entry.figures["n_trades"].min() >= 6


@pytest.mark.parametrize("sides", [(1.0,) * 50, (0.0,) * 50, ()])
def test_a_position_held_throughout_or_never_has_no_other_time(sides):
    random = run(scripted_slot(ramp(up=50), sides)).random_entry
    assert not random.varies
    assert random.beaten == 0


def test_holding_knows_no_limit_stop_or_target():
    tight = RiskPolicy(fraction=0.01, stop_loss=0.001, take_profit=0.001, max_bars=1, max_position=0.01, entry="limit")
    account = AccountPolicy(cash=10_000.0, max_gross=0.1, max_drawdown=0.001, max_positions=1, reserve=0.0)
    slots = [
        scripted_slot(random_walk(200, k), (1.0,), tight, symbol=name) for k, name in ((1, "BTC/USDT"), (2, "ETH/USDT"))
    ]
    limited = run(slots, account=account)
    free = run([scripted_slot(random_walk(200, k), (1.0,) * 200, RiskPolicy(fraction=0.5), symbol=name)
                for k, name in ((1, "BTC/USDT"), (2, "ETH/USDT"))], account=ALL_IN)  # fmt: skip
    assert hold(limited.inputs).equity.tobytes() == free.outcome.equity.tobytes()
    assert limited.benchmark_equity.iloc[-1] == limited.outcome.equity[0] * (
        1 + limited.baselines["hold"]["total_return_pct"] / 100
    )

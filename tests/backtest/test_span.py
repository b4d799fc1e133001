"""Time goes by the clock: years, days, trades a day, exposure and ratios are those of the hours, not of the candles."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.backtest import run, screen, sweep
from atb.backtest.baselines import figures_of
from atb.backtest.frames import held_at_closes
from atb.backtest.simulation import RunSummary, simulate, summarise
from atb.backtest.span import Holes, Span, periods_between
from atb.domain import Timeframe
from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from tests.bars import bars_of, frame_of, random_walk
from tests.scenarios import random_slots, scripted_slot

FREE = ExecutionModel(fee=0.0, slippage=0.0)
ALL_IN = RiskPolicy(fraction=1.0)


def thinned(frame: pd.DataFrame, share: float, seed: int = 3) -> pd.DataFrame:
    """Return the frame without a random share of its rows; first and last stay."""
    kept = np.random.default_rng(seed).random(len(frame)) >= share
    kept[[0, -1]] = True
    return frame[kept]


def held(frame: pd.DataFrame) -> Slot:
    return scripted_slot(frame, (1.0,) * len(frame), ALL_IN, FREE)


def test_a_market_without_half_of_its_hours_is_as_long_as_before():
    """Sixty days that grow 0.1 % an hour: whatever is missing, the yearly rate is that of sixty days."""
    whole = frame_of(1000 * 1.001 ** np.arange(1440))
    full, thin = run(held(whole)).stats, run(held(thinned(whole, 0.47))).stats
    assert thin["bars"] == pytest.approx(0.53 * 1440, rel=0.06)
    assert thin["bars"] + thin["missing_bars"] == full["bars"] == 1440
    assert thin["cagr_pct"] == pytest.approx(full["cagr_pct"], rel=0.05)
    assert thin["exposure_time_pct"] == pytest.approx(full["exposure_time_pct"], abs=0.3)


def test_the_longest_drawdown_lasts_from_its_peak_to_the_last_close_below_it():
    span = Span(periods_between(0, np.array([1, 2, 12, 21]) * 3_600_000, Timeframe.parse("1h")), 8760.0)
    assert not span.whole
    assert span.longest_below(np.array([100.0, 90.0, 90.0, 110.0]), 100.0) == 11.0
    assert span.longest_below(np.array([100.0, 101.0, 90.0, 90.0]), 100.0) == 19.0
    assert span.longest_below(np.array([90.0, 90.0, 90.0, 90.0]), 100.0) == 21.0
    assert span.time_in(np.array([False, True, False, True])) == 11.0


def test_months_are_counted_by_the_calendar():
    opens = pd.date_range("2023-01-01", "2025-01-01", freq="MS", tz="UTC").as_unit("ms").asi8
    assert periods_between(opens[0], opens[1:], Timeframe.parse("1M")).tolist() == list(range(1, 25))


def test_sixty_days_are_no_short_period_however_few_the_bars():
    index = pd.date_range("2024-01-01", periods=1440, freq="1h", tz="UTC", name="timestamp")
    frame = frame_of(np.linspace(100.0, 110.0, 1440)).set_axis(index).iloc[::48]
    stats = run(held(frame)).stats
    assert stats["bars"] == 30
    assert stats["cagr_pct"] > 0


@given(st.integers(0, 80))
def test_without_holes_the_kernel_counts_what_the_clock_counts(seed):
    """The same numbers to the last bit, whether the kernel's counts are taken or equity and orders are read."""
    slots, account = random_slots(seed)
    problem = prepare(slots, account)
    outcome, span = simulate(problem), Span.of(problem)
    ended = RunSummary.of(outcome, problem)
    if span.whole:
        assert span.longest_below(outcome.equity, account.cash) == outcome.summary["longest"] == ended.below
    in_bars = Span(np.arange(1.0, len(problem.closes) + 1), span.per_year)
    assert in_bars.longest_below(outcome.equity, account.cash) == outcome.summary["longest"]
    assert held_at_closes(outcome.orders, problem).sum() == outcome.summary["exposed"]


def test_a_row_of_a_sweep_over_holes_is_the_single_run_bit_by_bit():
    frame = thinned(random_walk(900, seed=5), 0.3)
    sides = tuple((np.sin(np.arange(len(frame)) / 9) > 0).astype(float))
    slot = scripted_slot(frame, sides, RiskPolicy(), FREE)
    policies = [RiskPolicy(stop_loss=loss) for loss in (0.01, 0.02, 0.05)]
    swept = sweep(slot, policies=policies)
    for row in swept.table.index:
        stats = swept.run(row).stats
        for name in swept.table.columns.intersection(list(stats)):
            np.testing.assert_array_equal(swept.table.loc[row, name], stats[name], err_msg=name)


def test_baselines_go_by_the_same_clock():
    frame = thinned(random_walk(1440, seed=8), 0.4)
    result = run(held(frame), account=AccountPolicy(reserve=0.0))
    assert result.baselines["hold"]["max_drawdown_days"] == result.stats["max_drawdown_days"]
    assert result.baselines["hold"]["sharpe"] == pytest.approx(result.stats["sharpe"])
    only = figures_of(result.inputs, [summarise(result.inputs)])
    assert only["max_drawdown_days"][0] == result.stats["max_drawdown_days"]


def test_holes_are_named_by_number_share_and_the_longest():
    frame = frame_of(np.full(100, 50.0)).drop(frame_of(np.full(100, 50.0)).index[[10, 30, 31, 32, 60]])
    bars = bars_of(frame)
    holes = Holes.of(bars, 0)
    assert (holes.count, holes.missing, holes.periods, holes.longest) == (3, 5, 100, 3)
    assert str(holes.start) == "2024-01-02 06:00:00+00:00"
    assert "5 of 100 bars (5.0 %) are missing, in 3 holes, the longest of 3" in str(holes)
    later = Holes.of(bars, int(bars.opened_ms[40]))
    assert (later.count, later.missing) == (1, 1)
    assert Holes.of(bars_of(frame_of(np.full(9, 50.0))), 0) is None


def test_a_result_names_its_holes_and_vectorbt_has_the_same_ratios():
    frame = thinned(random_walk(1440, seed=9), 0.47)
    result = run(held(frame))
    (holes,) = result.holes
    assert holes.missing == result.stats["missing_bars"]
    assert result.to_json()["holes"] == [holes.to_json()]
    assert result.portfolio.sharpe_ratio() == pytest.approx(result.stats["sharpe"], rel=1e-9)
    assert result.portfolio.sortino_ratio() == pytest.approx(result.stats["sortino"], rel=1e-9)
    assert run(held(random_walk(50))).holes == ()


def test_a_screen_goes_by_the_clock_too():
    frame = thinned(random_walk(1440, seed=9), 0.47)
    bars = bars_of(frame)
    shown = screen(np.ones(len(frame)), bars, policy=ALL_IN, execution=FREE)
    returns = shown.portfolio.returns().iloc[:, 0] if shown.portfolio.returns().ndim > 1 else shown.portfolio.returns()
    grid = pd.date_range(frame.index[0], frame.index[-1], freq="1h")
    flat = returns.reindex(grid).fillna(0.0)
    assert shown.missing == len(grid) - len(frame)
    assert shown.ranking["sharpe"].iloc[0] == pytest.approx(flat.mean() / flat.std() * 8760**0.5)

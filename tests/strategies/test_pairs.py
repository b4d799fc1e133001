"""Pairs: both legs judge the same line, from the past alone, and only where the test says that they belong together."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run
from atb.domain import Symbol, Timeframe
from atb.domain.declaration import legs_of
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.slot import Slot, slot_inputs
from atb.errors import InputError
from atb.strategies import make_strategy
from tests.bars import bars_of
from tests.instruments import usual
from tests.strategies.handed import other_of, other_rows, sides_with
from tests.strategies.paths import bars_along

NAN = np.nan
N = 800
SHORT = {"window": 120, "enter": 1.5, "leave": 0.5, "broken": 6.0}


def market(seed=0, *, hedge=2.0, together=True):
    """Return bars of two symbols, the first moving `hedge` times as much as the second; or two that have nothing in common."""
    rng = np.random.default_rng(seed)
    second = np.cumsum(rng.normal(0, 0.01, N))
    apart = np.zeros(N)
    for row in range(1, N):
        apart[row] = 0.7 * apart[row - 1] + rng.normal(0, 0.01)
    first = hedge * second + apart if together else np.cumsum(rng.normal(0, 0.01, N))
    return bars_along(100 * np.exp(first)), bars_along(10 * np.exp(second))


def leg(own, other, **parameters):
    strategy = make_strategy("pairs", **{**SHORT, **parameters})
    frame = own.join(strategy.features(own, other_of(strategy, own, other)))
    return frame, strategy.signals(frame)


def test_a_market_is_no_pair_with_itself():
    with pytest.raises(InputError, match="the traded one itself"):
        slot_inputs(make_strategy("pairs", other="BTC/USDT"), Symbol.parse("BTC/USDT"), Timeframe.parse("1h"))


def test_the_legs_take_opposite_sides_at_the_same_bars():
    first, second = market()
    (_, one), (_, two) = leg(first, second), leg(second, first, explained=False)
    assert {-1.0, 0.0, 1.0} <= set(one.side[~np.isnan(one.side)])
    np.testing.assert_array_equal(one.side, np.where(one.side == 0, 0.0, -two.side))


def test_the_leg_that_is_cheap_beside_the_other_is_bought_and_flat_where_it_is_not():
    first, second = market()
    frame, made = leg(first, second)
    assert (frame["score"][made.side == 1] <= -1.5).all()
    assert (frame["score"][made.side == -1] >= 1.5).all()
    assert np.isin(made.side[(frame["score"].abs() <= 0.5).to_numpy()], [0.0]).all()


def test_the_hedge_ratio_is_of_the_bars_before_and_becomes_the_size_of_the_legs():
    first, second = market(hedge=2.0)
    (frame, one), (_, two) = leg(first, second), leg(second, first, explained=False)
    x, y = np.log(second["close"].to_numpy()), np.log(first["close"].to_numpy())
    slope = np.polyfit(x[380:500], y[380:500], 1)[0]
    assert frame["hedge"].iloc[500] == pytest.approx(slope, rel=1e-9)
    np.testing.assert_allclose(one.confidence[200:], 1 / frame["hedge"][200:])
    np.testing.assert_array_equal(two.confidence[200:], 1.0)


def test_a_bar_changes_its_own_score_and_neither_ratio_nor_test():
    first, second = market()
    jumped = first.copy()
    jumped.iloc[-1, :4] *= 1.2
    (before, _), (after, made) = leg(first, second), leg(jumped, second)
    assert before[["hedge", "statistic"]].equals(after[["hedge", "statistic"]])
    assert after["score"].iloc[-1] > before["score"].iloc[-1] + 6
    assert made.side[-1] == 0  # so far away the relation is broken


def test_markets_with_nothing_in_common_are_seldom_entered_and_those_that_belong_together_often():
    entered = {
        together: np.mean([(np.abs(leg(*market(seed, together=together))[1].side) == 1).mean() for seed in range(4)])
        for together in (True, False)
    }
    assert entered[True] > 0.08
    assert entered[False] < 0.02


def test_a_relation_that_the_test_does_not_see_is_left():
    frame, made = leg(*market(3, together=False))
    lost = (frame["statistic"] > -3.0).to_numpy()
    assert lost.sum() > 300
    assert (made.side[lost] == 0).all()


def test_markets_that_move_against_each_other_are_no_pair():
    frame, made = leg(*market(hedge=-2.0))
    assert (frame["hedge"].dropna() < 0).all()
    assert set(made.side[120:]) == {0.0}
    assert not made.confidence.any()


def test_a_symbol_is_no_pair_with_itself():
    first, _ = market()
    frame, made = leg(first, first)
    assert frame[["hedge", "score", "statistic"]].isna().all(axis=None)
    assert np.isnan(made.side).all()


def test_where_the_other_symbol_has_a_hole_there_is_no_signal_until_a_window_is_whole_again():
    first, second = market()
    strategy = make_strategy("pairs", **SHORT)
    holed = second.drop(second.index[400])
    found = sides_with(strategy, first, other_of(strategy, first, holed))
    assert np.isnan(found[400:521]).all()
    assert np.isfinite(found[521:]).any()


def test_two_slots_on_one_account_hold_the_legs_against_each_other_in_the_hedge_ratio():
    first, second = market(hedge=2.0)
    policy = RiskPolicy(sizing="confidence", fraction=0.4, allow_short=True)
    slots = []
    for symbol, other, own, beside in (
        ("BTC/USDT", "ETH/USDT", first, second),
        ("ETH/USDT", "BTC/USDT", second, first),
    ):
        strategy = make_strategy("pairs", **SHORT, other=other, explained=symbol == "BTC/USDT")
        rows = {"other": other_rows(strategy, own, beside, symbol=symbol)}
        slots.append(Slot(strategy, bars_of(own, symbol), policy, ExecutionModel(fee=0.0), usual(symbol), inputs=rows))
    trades = run(slots).trades
    one, two = (trades[trades["symbol"] == symbol].reset_index(drop=True) for symbol in ("BTC/USDT", "ETH/USDT"))
    assert len(one) == len(two) > 5
    assert one[["entry_time", "exit_time"]].equals(two[["entry_time", "exit_time"]])
    assert set(zip(one["side"], two["side"], strict=True)) == {("long", "short"), ("short", "long")}
    decided = one["entry_time"] - pd.Timedelta(1, "h")
    hedge = leg(first, second)[0]["hedge"][decided]
    np.testing.assert_allclose(
        two["stake_amount"] / one["stake_amount"], hedge, rtol=0.03
    )  # prices moved since the close


BTC, ETH, SOL = (Symbol.parse(f"{base}/USDT") for base in ("BTC", "ETH", "SOL"))


@pytest.mark.parametrize("explained", [True, False])
@pytest.mark.parametrize("given", [{}, {"other": "BTC/USDT"}, {"other": "SOL/USDT"}])
def test_over_two_symbols_each_leg_names_the_other_one(explained, given):
    pair = make_strategy("pairs", window=100, explained=explained, **given)
    first, second = legs_of(pair, [SOL, BTC])
    assert (first.other, second.other) == ("BTC/USDT", "SOL/USDT")
    assert (first.explained, second.explained) == (explained, not explained)
    assert first.window == second.window == 100
    assert legs_of(pair, [SOL]) == (pair,)


@pytest.mark.parametrize(
    ("symbols", "given", "message"),
    [((BTC, ETH, SOL), {}, "two symbols"), ((BTC, ETH), {"other": "SOL/USDT"}, "neither of the two")],
)
def test_three_symbols_and_an_other_that_is_none_of_the_two_are_refused(symbols, given, message):
    with pytest.raises(InputError, match=message):
        legs_of(make_strategy("pairs", **given), symbols)


@pytest.mark.parametrize(
    ("legs", "message"),
    [
        (lambda _: {}["other"], "KeyError: 'other'"),
        (lambda _: None, "TypeError"),
        (lambda _: ("one",), "one strategy for each symbol"),
    ],
)
def test_legs_that_fail_are_refused_in_one_sentence(legs, message):
    with pytest.raises(InputError, match=message):
        legs_of(SimpleNamespace(name="odd", legs=legs), [SOL, BTC])


@pytest.mark.parametrize(
    "wrong",
    [
        {"other": "no symbol"},
        {"percent": 3},
        {"window": 31},
        {"lags": -1},
        {"lags": 25},
        {"leave": 2.0},
        {"broken": 2.0},
    ],
)
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(InputError):
        make_strategy("pairs", **wrong)


def test_the_other_symbol_is_read_in_any_spelling():
    assert make_strategy("pairs", other="ethusdt") == make_strategy("pairs", other="ETH/USDT")

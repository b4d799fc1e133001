"""Columns and schedule: what the kernel reads is what the strategy said, at the right time."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from atb.domain import Signals, Symbol
from atb.domain.universe import Listing
from atb.engine.kernel_input import prepare
from atb.engine.parameters import slot_parameters
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.prepare import columns
from atb.engine.slot import Slot, warmup_bars
from atb.errors import InputError
from atb.features.indicators import INDICATORS
from atb.strategies import make_strategy
from tests.bars import bars_of, frame_of, ramp, random_walk
from tests.instruments import usual
from tests.scenarios import ALL_IN, Scripted, ohlc, scripted_slot


class Wrong:
    name, predicts, warmup = "wrong", False, 0

    def features(self, bars):
        return bars[[]]

    def signals(self, frame):
        return Signals(np.zeros(3))


def test_columns_carry_prices_times_and_signals():
    slot = scripted_slot(ramp(up=3), (1.0, 0.0))
    made = columns(slot)
    assert made.market["close"].tolist() == [101.0, 102.0, 103.0]
    assert made.market["closed"][0] - made.market["opened"][0] == 3_600_000
    np.testing.assert_array_equal(made.signals["side"], [1.0, 0.0, np.nan])
    assert made.signals["confidence"].tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(made.signals["atr"]).all()


@pytest.mark.parametrize("first", range(4))
def test_the_rows_of_a_tail_are_the_last_rows_of_the_whole(first):
    """A live step reads a tail of one row."""
    for strategy in (Scripted((1.0, 0.0, -1.0)), Scripted((1.0, 0.0, -1.0), confidence=(0.1, 0.2, 0.3))):
        whole = columns(Slot(strategy, bars_of(ramp(up=3))))
        assert whole.tail(first).signals.tobytes() == whole.signals[first:].tobytes()
        assert whole.tail(first).market.tobytes() == whole.market[first:].tobytes()


def test_bars_before_the_start_warm_up_and_do_not_trade():
    bars = bars_of(random_walk(200))
    slot = Slot(make_strategy("sma_cross", fast=5, slow=20), bars)
    start = bars.frame.index[100]
    part = prepare((slot,), AccountPolicy(), start)
    whole = prepare((slot,), AccountPolicy())
    assert len(part.market) == 100
    assert part.signals.tobytes() == whole.signals[100:].tobytes()
    assert not np.isnan(part.signals["side"]).any()


def test_a_missing_bar_moves_the_next_open():
    frame = ramp(up=5).drop(pd.Timestamp("2024-01-01 02:00", tz="UTC"))
    problem = prepare((scripted_slot(frame, ()),), AccountPolicy())
    hours = (problem.events - problem.events[0]) // 3_600_000
    assert hours.tolist() == [0, 1, 2, 3, 4, 5]
    assert problem.closing[:, 0].tolist() == [-1, 0, 1, -1, 2, 3]
    assert problem.opening[:, 0].tolist() == [0, 1, -1, 2, 3, -1]


def test_a_strategy_that_returns_the_wrong_length_is_refused():
    with pytest.raises(InputError, match="one signal per bar"):
        columns(Slot(Wrong(), bars_of(ramp(up=5))))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda bars: None, "Features must be a table; found 'NoneType'.*index=bars.index"),
        (lambda bars: bars["close"].to_numpy(), "Features must be a table; found 'ndarray'"),
        (lambda bars: bars[["close"]].reset_index(drop=True), "at the times of the bars; found '5 others'"),
    ],
)
def test_features_that_are_no_table_on_the_bars_are_refused(monkeypatch, features, message):
    monkeypatch.setattr(Scripted, "features", lambda self, bars: features(bars))
    with pytest.raises(InputError, match=message):
        columns(scripted_slot(ramp(up=5), ()))


def test_a_predicting_strategy_without_a_predictor_is_refused():
    with pytest.raises(InputError, match="needs a prediction"):
        Slot(make_strategy("ml_basic"), bars_of(ramp(up=5)))


def test_a_policy_that_would_keep_a_symbol_after_its_universe_is_refused():
    listed = (Listing(Symbol("BTC", "USDT"), 0),)
    with pytest.raises(InputError, match="leaves its universe would not be sold"):
        replace(scripted_slot(ramp(up=5), (1.0,), RiskPolicy(signal_exit=False, stop_loss=0.1)), listings=listed)


def test_slots_that_cannot_share_an_account_are_refused():
    dollars = Slot(Scripted(), bars_of(ramp(up=5)))
    euros = Slot(Scripted(), bars_of(ramp(up=5), "BTC/EUR"))
    with pytest.raises(InputError, match="one quote currency"):
        prepare((dollars, euros), AccountPolicy())
    with pytest.raises(InputError, match="at least one slot"):
        prepare((), AccountPolicy())
    with pytest.raises(InputError, match="No bar to trade"):
        prepare((dollars,), AccountPolicy(), pd.Timestamp("2030-01-01", tz="UTC"))
    with pytest.raises(InputError, match="another symbol"):
        Slot(Scripted(), bars_of(ramp(up=5)), instrument=usual(Symbol.parse("ETH/USDT")))


def test_parameters_reach_the_record():
    rules = usual(Symbol.parse("BTC/USDT"), tick=Decimal("0.05"), lot=Decimal("0.003"))
    record = slot_parameters(RiskPolicy(stop_loss=0.02), ExecutionModel(fee=0.002, maker_fee=0.001), rules)
    assert record["stop_loss"] == 0.02
    assert np.isnan(record["take_profit"])
    assert (record["taker_fee"], record["maker_fee"]) == (0.002, 0.001)
    assert (record["tick_inverse"], record["lot_inverse"]) == (20.0, 0.0)  # 1 / 0.003 is no whole number


@pytest.mark.parametrize(
    ("policy", "execution", "bars"),
    [
        (RiskPolicy(), ExecutionModel(), 19),
        (RiskPolicy(volatility_window=100), ExecutionModel(), 19),  # nothing reads it
        (RiskPolicy(sizing="volatility", volatility_window=100), ExecutionModel(), 100),
        (RiskPolicy(stop_atr=2.0), ExecutionModel(), INDICATORS["atr"].warmup(n=14)),
        (RiskPolicy(trailing_atr=2.0, atr_window=30), ExecutionModel(), INDICATORS["atr"].warmup(n=30)),
        (RiskPolicy(), ExecutionModel(slippage_atr=0.1), INDICATORS["atr"].warmup(n=14)),
    ],
)
def test_the_warm_up_covers_what_policy_and_costs_read(policy, execution, bars):
    cross = make_strategy("sma_cross", fast=5, slow=20)
    assert warmup_bars(cross, policy, execution) == bars
    assert Slot(cross, bars_of(ramp(up=5)), policy, execution).warmup == bars


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("close", float("nan")),
        ("low", 0.0),
        ("open", -1.0),
        ("high", 99.0),
        ("high", float("inf")),
        ("low", 101.0),
        ("volume", -1.0),
        ("low", 0.001),
    ],
)
def test_bars_that_are_no_bars_are_refused_with_the_place(name, value):
    frame = ohlc(*[(100.0, 101.0, 99.5, 100.0)] * 3)
    frame.iloc[1, frame.columns.get_loc(name)] = value
    with pytest.raises(InputError, match=r"Bar 1 of BTC/USDT 1h .*2024-01-01 01:00"):
        prepare((scripted_slot(frame, (1.0,)),), ALL_IN)


def test_bars_that_overlap_or_have_no_time_zone_are_refused():
    frame = ohlc(*[(100.0, 101.0, 99.5, 100.0)] * 3)
    with pytest.raises(InputError, match="overlaps"):
        prepare((scripted_slot(frame, (1.0,), timeframe="4h"),), ALL_IN)
    with pytest.raises(InputError, match="UTC open times"):
        prepare((scripted_slot(frame.tz_localize(None), (1.0,)),), ALL_IN)


def test_volatility_goes_by_the_clock_over_holes():
    rng = np.random.default_rng(5)
    frame = frame_of(100 * np.exp(np.cumsum(rng.normal(0, 0.5 / np.sqrt(8_760), 4_000))))
    some = frame.iloc[np.sort(rng.choice(4_000, 2_120, replace=False))]
    policy = RiskPolicy(sizing="volatility", volatility_target=0.3, volatility_window=500)
    for part in (frame, some):
        measured = columns(Slot(Scripted(), bars_of(part), policy)).signals["volatility"]
        assert np.nanmedian(measured) == pytest.approx(0.5, rel=0.06)


def test_no_bars_pay_no_funding():
    slot = scripted_slot(ramp(up=5), ())
    none = replace(slot, bars=slot.bars.last(0), funding=pd.Series([0.1], slot.bars.frame.index[:1]))
    assert columns(none).bar_columns.funding.tolist() == [0.0]


def test_funding_that_is_no_number_or_has_no_time_zone_is_refused():
    slot = scripted_slot(ohlc(*[(100.0, 101.0, 99.5, 100.0)] * 3), (1.0,))
    for rates in (
        pd.Series(np.nan, index=slot.bars.frame.index),
        pd.Series(0.1, index=slot.bars.frame.index.tz_localize(None)),
    ):
        with pytest.raises(InputError, match="Funding rates"):
            prepare((replace(slot, funding=rates),), ALL_IN)


def test_the_rows_of_a_slot_are_those_of_its_own_bars():
    slots = tuple(scripted_slot(ramp(up=count), (1.0,)) for count in (5, 3, 7))
    inputs = prepare(slots, AccountPolicy())
    assert [(part.start, part.stop) for part in inputs.parts] == [(0, 5), (5, 8), (8, 15)]
    for slot, part in zip(slots, inputs.parts, strict=True):
        np.testing.assert_array_equal(inputs.market["close"][part], slot.bars.frame["close"])

"""The smallest rules: rounding, slippage, and the price at which an order meets a bar."""

import numpy as np
import pytest

from atb.engine import records
from atb.engine.matching import (
    floor_lot,
    level_reached,
    limit_price,
    market_price,
    passes,
    round_price,
    slippage,
    stop_after_entry,
    stop_trigger,
    tighter,
)
from atb.engine.policy import ExecutionModel
from tests.engine.cases import NAN, bar_record, parameters, rules, slot_record

BAR = (100.0, 105.0, 95.0, 101.0)


@pytest.mark.parametrize(
    ("lot", "quantity", "floored"),
    [
        ("0.1", 0.29999, 0.2),
        ("0.1", 0.1 + 0.2, 0.3),  # 0.30000000000000004
        ("0.1", 0.3, 0.3),  # 0.3 / 0.1 is 2.9999999999999996
        ("0.1", 0.09, 0.0),
        ("0.003", 0.01, 0.009),
        ("1", 7.9, 7.0),
        ("10", 79.0, 70.0),
    ],
)
def test_quantities_are_rounded_down_to_lots(lot, quantity, floored):
    assert floor_lot(quantity, parameters(instrument=rules(lot=lot))) == pytest.approx(floored, abs=1e-15)


@pytest.mark.parametrize(
    ("side", "price", "rounded"),
    [
        (1.0, 100.01, 100.05),
        (-1.0, 100.04, 100.0),
        (1.0, 100.05, 100.05),
        (-1.0, 100.05, 100.05),
        (1.0, 100.05000000000001, 100.05),
        (-1.0, 100.04999999999998, 100.05),
    ],
)
def test_prices_are_rounded_up_for_a_buy_and_down_for_a_sell(side, price, rounded):
    assert round_price(side, price, parameters(instrument=rules(tick="0.05"))) == rounded


def test_a_tick_whose_inverse_is_no_whole_number_is_multiplied():
    par = parameters(instrument=rules(tick="0.03"))
    assert round_price(1.0, 0.10, par) == pytest.approx(0.12)
    assert round_price(-1.0, 0.10, par) == pytest.approx(0.09)


@pytest.mark.parametrize(
    ("side", "one", "other", "nearer"),
    [(1.0, 95.0, 97.0, 97.0), (1.0, 97.0, 95.0, 97.0), (-1.0, 105.0, 103.0, 103.0), (-1.0, 103.0, 105.0, 103.0),
     (1.0, NAN, 95.0, 95.0), (1.0, 95.0, NAN, 95.0), (-1.0, NAN, 105.0, 105.0)],
)  # fmt: skip
def test_the_tighter_stop_is_the_one_nearer_to_the_price(side, one, other, nearer):
    assert tighter(side, one, other) == nearer


def test_fixed_slippage_is_all_there_is_by_default():
    assert slippage(10.0, 100.0, slot_record(atr=5.0, volume=1.0), parameters(execution=ExecutionModel())) == 0.0005


@pytest.mark.parametrize(("atr", "expected"), [(5.0, 0.011), (NAN, 0.001), (0.0, 0.001)])
def test_slippage_in_atrs_is_relative_to_the_price_and_left_out_where_there_is_none(atr, expected):
    par = parameters(execution=ExecutionModel(slippage=0.001, slippage_atr=0.2))
    assert slippage(10.0, 100.0, slot_record(atr=atr), par) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("quantity", "volume", "expected"),
    [(25.0, 100.0, 0.051), (100.0, 100.0, 0.101), (400.0, 100.0, 0.101), (1.0, 0.0, 0.101), (1.0, NAN, 0.101), (0.0, 0.0, 0.001)],
)  # fmt: skip
def test_impact_grows_with_the_root_of_the_share_of_volume_up_to_all_of_it(quantity, volume, expected):
    par = parameters(execution=ExecutionModel(slippage=0.001, impact=0.1))
    assert slippage(quantity, 100.0, slot_record(volume=volume), par) == pytest.approx(expected)


def test_slippage_is_at_most_nine_tenths_of_the_price():
    par = parameters(execution=ExecutionModel(slippage=0.5, slippage_atr=10.0))
    slot = slot_record(atr=50.0)
    assert slippage(1.0, 100.0, slot, par) == 0.9
    assert market_price(-1.0, 100.0, 1.0, slot, par) == 10.0
    assert market_price(1.0, 100.0, 1.0, slot, par) == 190.0


def test_a_market_order_is_slipped_and_rounded_against_the_trader():
    par = parameters(execution=ExecutionModel(slippage=0.00123))
    assert market_price(1.0, 100.0, 1.0, slot_record(), par) == 100.13  # 100.123
    assert market_price(-1.0, 100.0, 1.0, slot_record(), par) == 99.87  # 99.877


@pytest.mark.parametrize(
    ("side", "level", "met"),
    [(-1.0, 96.0, 96.0), (-1.0, 95.0, 95.0), (-1.0, 94.99, NAN), (-1.0, 100.0, 100.0), (-1.0, 101.0, 100.0),
     (1.0, 104.0, 104.0), (1.0, 105.0, 105.0), (1.0, 105.01, NAN), (1.0, 100.0, 100.0), (1.0, 99.0, 100.0),
     (1.0, NAN, NAN), (-1.0, NAN, NAN)],
)  # fmt: skip
def test_a_stop_is_met_when_touched_and_at_the_open_on_a_gap(side, level, met):
    assert stop_trigger(side, level, bar_record(*BAR)) == pytest.approx(met, nan_ok=True)


@pytest.mark.parametrize(
    ("side", "level", "met"),
    [(-1.0, 104.0, 104.0), (-1.0, 105.0, 105.0), (-1.0, 105.01, NAN), (-1.0, 100.0, 100.0), (-1.0, 99.0, 100.0),
     (1.0, 96.0, 96.0), (1.0, 95.0, 95.0), (1.0, 94.99, NAN), (1.0, 100.0, 100.0), (1.0, 101.0, 100.0),
     (1.0, NAN, NAN), (-1.0, NAN, NAN)],
)  # fmt: skip
def test_a_limit_is_met_when_touched_and_beyond_the_open_at_its_own_price_or_the_better_open(side, level, met):
    bar = bar_record(*BAR)
    assert limit_price(side, level, bar, records.LIMIT_OPEN) == pytest.approx(met, nan_ok=True)
    own = NAN if np.isnan(met) else level
    assert limit_price(side, level, bar, records.LIMIT_OWN) == pytest.approx(own, nan_ok=True)
    assert passes(side, level, bar) == (level in {99.0, 100.0, 101.0})


@pytest.mark.parametrize(
    ("side", "level", "met"),
    [(-1.0, 97.0, 97.0), (-1.0, 95.0, 95.0), (-1.0, 94.99, NAN), (-1.0, 102.0, 102.0), (-1.0, 102.01, 102.0), (-1.0, 110.0, 102.0),
     (1.0, 105.0, 105.0), (1.0, 105.01, NAN), (1.0, 102.0, 102.0), (1.0, 101.99, 102.0), (1.0, 90.0, 102.0), (-1.0, NAN, NAN)],
)  # fmt: skip
def test_a_stop_placed_inside_the_bar_on_the_wrong_side_of_the_market_meets_it_there(side, level, met):
    assert stop_after_entry(side, level, 102.0, bar_record(*BAR)) == pytest.approx(met, nan_ok=True)


@pytest.mark.parametrize(
    ("side", "level", "met"),
    [(-1.0, 95.0, 95.0), (-1.0, 94.99, NAN), (-1.0, 103.0, 103.0), (1.0, 105.0, 105.0), (1.0, 105.01, NAN), (1.0, 97.0, 97.0)],
)  # fmt: skip
def test_a_level_placed_inside_the_bar_is_met_at_its_own_price_wherever_the_bar_opened(side, level, met):
    assert level_reached(side, level, bar_record(*BAR)) == pytest.approx(met, nan_ok=True)

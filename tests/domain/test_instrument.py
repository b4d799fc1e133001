"""Instrument: exact decimals, quantities never rounded up."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.domain import Instrument, Symbol
from atb.errors import InputError
from tests.instruments import usual

BTC = Symbol("BTC", "USDT")
steps = st.integers(-8, 2).map(lambda exponent: Decimal(1).scaleb(exponent))
amounts = st.decimals(0, 1_000_000, places=10, allow_nan=False, allow_infinity=False)


@given(quantity=amounts, lot=steps)
def test_a_floored_quantity_is_whole_lots_and_less_than_one_lot_smaller(quantity, lot):
    floored = usual(BTC, lot=lot).floor_quantity(quantity)
    assert floored % lot == 0
    assert 0 <= quantity - floored < lot


@given(price=amounts, tick=steps)
def test_a_rounded_price_is_the_nearest_tick(price, tick):
    rounded = usual(BTC, tick=tick).round_price(price)
    assert rounded % tick == 0
    assert abs(price - rounded) <= tick / 2


@given(tick=steps, lot=steps, least=amounts, notional=amounts)
def test_rules_read_back_exactly(tick, lot, least, notional):
    rules = Instrument(BTC, tick, lot, least, notional, "of a test")
    read = Instrument.from_json(rules.to_json())
    assert (read, read.source) == (rules, "of a test")


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal(-1), Decimal("Infinity"), 0.01, "0.01", None])
def test_refuses_rules_that_are_no_finite_decimals(value):
    with pytest.raises(InputError, match="tick must be a finite Decimal"):
        usual(BTC, tick=value)


@pytest.mark.parametrize("rules", [{"tick": Decimal(0)}, {"lot": Decimal(0)}])
def test_refuses_a_step_of_zero(rules):
    with pytest.raises(InputError, match="tick and lot must be above 0"):
        usual(BTC, **rules)


@pytest.mark.parametrize(
    "change",
    [{"tick": "cheap"}, {"tick": None}, {"tick": "-1"}, {"symbol": "??"}, {"colour": "red"}],
)
def test_refuses_stored_rules_that_make_no_sense(change):
    with pytest.raises(InputError):
        Instrument.from_json(usual(BTC).to_json() | change)


def test_refuses_stored_rules_with_one_missing():
    rules = usual(BTC).to_json()
    del rules["lot"]
    with pytest.raises(InputError, match="An instrument has symbol, tick, lot"):
        Instrument.from_json(rules)

"""Published rules: digits after the point, digits in all and steps are three things, and what is not told is no constant."""

from decimal import Decimal

import pytest

from atb.domain import Symbol
from atb.domain.published import needs_price, published_rules, step_of
from atb.errors import DataError

SHIB = Symbol("SHIB", "USD")
FIVE_DIGITS = {"precision": {"price": 5, "amount": 8}, "limits": {"amount": {"min": 0.00004}, "cost": {}}}


@pytest.mark.parametrize(
    ("last", "tick"),
    [("65123.0", "1"), ("0.000012346", "0.000000001"), ("9999.9", "0.1"), ("10000", "1"), ("123456", "10"),
     ("1.2345", "0.0001"), ("0.1", "0.00001")],
)  # fmt: skip
def test_significant_digits_depend_on_the_price(last, tick):
    rules = published_rules(SHIB, FIVE_DIGITS, mode="significant_digits", last=Decimal(last))
    assert (rules.tick, rules.lot) == (Decimal(tick), Decimal("0.00000001"))
    assert rules.min_quantity == Decimal("0.00004")


@pytest.mark.parametrize(
    ("precision", "mode", "step"),
    [(2, "decimal_places", "0.01"), ("8", "decimal_places", "0.00000001"), (0, "decimal_places", "1"),
     (-1, "decimal_places", "10"), (1e-05, "tick_size", "0.00001"), ("0.50", "tick_size", "0.5"), (5, "tick_size", "5"),
     (None, "tick_size", None), (None, "decimal_places", None), (0, "tick_size", None), ("5", "significant_digits", None)],
)  # fmt: skip
def test_a_precision_is_read_in_its_own_mode(precision, mode, step):
    assert step_of(precision, mode) == (None if step is None else Decimal(step))


@pytest.mark.parametrize("mode", ["tick_size", "decimal_places", "significant_digits"])
def test_a_step_that_is_not_told_lies_well_below_the_price_or_is_refused(mode):
    market = {"precision": {"price": None, "amount": 1.0}, "limits": {"amount": {"min": 1.0}, "cost": {"min": 5.0}}}
    assert needs_price(market, mode)
    rules = published_rules(SHIB, market, mode=mode, last=Decimal("0.0000123"), source="published by x, 2026-01-01")
    assert rules.tick == Decimal("0.000000001")
    assert rules.source == "published by x, 2026-01-01; the price step is not told, so five digits of the last price"
    with pytest.raises(DataError, match="does not tell the price step of SHIB/USD"):
        published_rules(SHIB, market, mode=mode)


def test_what_else_is_not_told_is_no_rule():
    rules = published_rules(SHIB, {"precision": {"price": 0.5}}, mode="tick_size")
    assert (rules.tick, rules.lot) == (Decimal("0.5"), Decimal("0.00000001"))
    assert (rules.min_quantity, rules.min_notional) == (0, 0)
    assert "the lot is not told" in rules.source

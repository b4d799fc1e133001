"""Rules read off bars: the finest step that is written, whatever the coin costs, and no nonsense from a few odd rows."""

from decimal import Decimal

import numpy as np
import pytest

from atb.domain.observed import lot_step, observed_rules, price_step, written_step
from tests.bars import bars_of, frame_of

N = 2_400


def prices(price: float, step: str, *, sigma: float = 0.01, seed: int = 4) -> np.ndarray:
    """Return a walk whose values are the doubles nearest to multiples of `step`, as a file's are."""
    walk = price * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, sigma, N)))
    unit = Decimal(step)
    return np.array([float(unit * max(1, round(value / float(unit)))) for value in walk])


@pytest.mark.parametrize(
    ("price", "step"),
    [(42_000, "0.01"), (0.081, "0.00001"), (0.0000123, "0.00000001"), (0.0000012, "0.0000000001"), (0.052, "0.00001"),
     (0.6, "0.0001"), (0.35, "0.0001"), (1e-10, "0.000000000000001"), (7_000_000, "1"), (1_500_000_000, "1000"),
     (42_000, "0.5"), (42_000, "0.05"), (42_000, "5"), (420, "0.25"), (1.2e-6, "0.00000001")],
)  # fmt: skip
def test_the_step_is_the_one_that_prices_are_written_with(price, step):
    assert price_step(prices(price, step)) == Decimal(step)


@pytest.mark.parametrize(("price", "step"), [(42_000, "0.01"), (0.081, "0.00001"), (0.0000123, "0.00000001")])
def test_a_few_odd_rows_make_no_nonsense(price, step):
    rng, found = np.random.default_rng(9), prices(price, step)
    averages, ten_digits = found.copy(), found.copy()
    rows = rng.integers(0, N, 24)
    averages[rows] = found[rows] / 3 + found[rows - 1] * 2 / 3
    ten_digits[rows] = [float(f"{value * 1.0000123456:.10g}") for value in found[rows]]
    for values in (averages, ten_digits):
        assert price_step(values) == Decimal(step)


def test_sums_and_single_precision_leave_the_step_visible():
    found = prices(0.5, "0.0001")
    assert price_step(found + 0.1 + 0.2 - 0.3) == Decimal("0.0001")
    assert price_step(found.astype(np.float32).astype(np.float64)) == Decimal("0.0001")


def test_a_quiet_stablecoin_keeps_the_digits_that_it_rarely_needs():
    found = np.ones(N)
    found[:40] = 0.9999
    assert price_step(found) == Decimal("0.0001")


def test_a_step_that_was_finer_while_the_coin_cost_little_stays_fine():
    assert price_step(np.concatenate([prices(0.0024, "0.0000001")[:60], prices(0.08, "0.00001")])) == Decimal(
        "0.0000001"
    )


def test_the_step_is_never_coarser_than_most_prices_and_a_small_part_of_each():
    rng = np.random.default_rng(11)
    for _ in range(60):
        places = int(rng.integers(0, 10))
        found = prices(float(10 ** rng.uniform(-places + 3, -places + 7)), f"{Decimal(1).scaleb(-places):f}", seed=3)
        step = price_step(found)
        units = np.rint(found / float(step))
        assert np.abs(units * float(step) / found - 1).max() < 1e-9, (places, step)


def test_computed_prices_have_no_step_and_get_a_fine_one():
    computed = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, N)))
    assert written_step(bars_of(frame_of(computed))) is None
    assert price_step(computed) <= Decimal("0.0001")


def test_one_more_day_does_not_change_the_step():
    found = prices(0.081, "0.00001")
    assert {price_step(found[:k]) for k in range(400, N, 24)} == {Decimal("0.00001")}


@pytest.mark.parametrize(
    ("volumes", "price", "least", "lot"),
    [
        ([823985.0, 875839.0], 0.08, 5, "1"),
        ([1.23456, 0.5], 42_000, 5, "0.00001"),
        ([45.65386000000001, 10.12345], 42_000, 5, "0.00001"),
        ([62.0, 70.0], 100.0, 5, "0.01"),  # a lot of 100 would be worth more than the least order: the file rounded
        ([1.5, 2.5], 0.05, 0.0001, "0.001"),
        ([0.0, 0.0], 42_000, 5, "0.00000001"),
        ([0.1 * np.pi, np.e], 42_000, 5, "0.00000001"),
        ([3.0, 4.0], 1_000_000, 0, "1"),
    ],
)
def test_lots_are_read_off_volumes_and_worth_no_more_than_the_least_order(volumes, price, least, lot):
    assert lot_step(np.array(volumes), price=price, least=least) == Decimal(lot)


@pytest.mark.parametrize(
    ("symbol", "least"),
    [("DOGE/USDT", "5"), ("ETH/BTC", "0.0001"), ("LINK/ETH", "0.001"), ("ADA/BNB", "0.01"), ("BTC/EUR", "5"),
     ("BTC/JPY", "100"), ("BTC/USDT:USDT", "5"), ("ABC/XYZ", "0")],
)  # fmt: skip
def test_the_least_order_is_in_the_scale_of_the_quote(symbol, least):
    rules = observed_rules(bars_of(frame_of(prices(0.05, "0.00001")), symbol))
    assert rules.min_notional == Decimal(least)
    assert (
        f"{Decimal(least)} {rules.symbol.quote}" in str(rules) if least != "0" else "no least value known" in str(rules)
    )


def test_rules_say_what_they_are_and_where_they_are_from():
    frame = frame_of(prices(0.081, "0.00001")).assign(volume=823_985.0)
    assert str(observed_rules(bars_of(frame, "DOGE/USDT"))) == (
        "Trading rules of DOGE/USDT (from the data, 2,400 bars; least value as usual for USDT): price step 0.00001, lot 1, "
        "least order 1 DOGE and 5 USDT"
    )


def test_the_synthetic_market_has_rules_of_its_own_and_a_finer_step_where_its_prices_need_one():
    of = lambda values: observed_rules(bars_of(frame_of(values), venue="synthetic"))  # noqa: E731
    assert (of(prices(42_000, "1")).tick, of(prices(0.08, "0.00001")).tick) == (Decimal("0.01"), Decimal("0.00001"))
    assert of(prices(42_000, "1")).source == "of the synthetic market"

"""Trading rules of bars: published ones with their day, else what the bars show; never coarser than the bars' prices."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from atb.data import load_bars, load_instrument, rules_of, save_instruments
from atb.data.catalogue.writing import save_bars
from atb.domain import Instrument, Symbol
from atb.errors import DataError
from tests.bars import bars_of, frame_of
from tests.instruments import usual

BTC = Instrument(Symbol("BTC", "USDT"), Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(10), "of a test")


def walk(price: float, decimals: int, seed: int = 1):
    return frame_of(np.round(price * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, 600))), decimals))


def test_stored_rules_come_back_exactly_with_their_source_and_others_are_kept(tmp_path):
    save_instruments([BTC], root=tmp_path, venue="binance")
    eth = usual("ETH/USDT")
    save_instruments([eth], root=tmp_path, venue="binance")
    found = load_instrument("BTCUSDT", root=tmp_path, venue="binance")
    assert found == BTC
    assert found.source == "of a test"
    assert load_instrument("ETH/USDT", root=tmp_path, venue="binance") == eth


def test_rules_of_the_large_pairs_come_with_the_package_and_with_their_day(tmp_path):
    found = load_instrument("DOGE/USDT", root=tmp_path, venue="binance")
    assert (found.tick, found.lot, found.min_notional) == (Decimal("0.00001"), Decimal(1), Decimal(1))
    assert found.source == "published by binance, 2024-09-08"
    assert load_instrument("ETH/BTC", root=tmp_path, venue="binance").min_notional == Decimal("0.0001")
    assert load_instrument("BTC/USDT", root=tmp_path, venue="a-venue-of-nobody") is None


def test_every_pair_that_comes_with_the_package_is_read_from_its_joined_spelling_or_asked_about():
    from atb.data.catalogue.instruments import _shipped
    from atb.errors import InputError

    asked = []
    for rules in _shipped("binance").values():
        try:
            assert Symbol.parse(rules.symbol.joined) == rules.symbol
        except InputError:
            asked.append(str(rules.symbol))
    assert asked == ["W/BTC"]  # WBTC is a coin of its own


def test_bars_of_an_unknown_venue_tell_their_rules_themselves(tmp_path):
    found = rules_of(bars_of(walk(0.08, 5), "DOGE/USDT"), root=tmp_path)
    assert (found.tick, found.min_notional) == (Decimal("0.00001"), Decimal(5))
    assert found.source.startswith("from the data, 600 bars")


def test_a_published_step_that_is_coarser_than_the_prices_is_not_used_and_that_is_said(tmp_path):
    """Today's step of a coin that cost a hundredth when these bars were made."""
    old = bars_of(walk(0.002, 7), "DOGE/USDT", venue="binance")
    found = rules_of(old, root=tmp_path)
    assert found.tick == Decimal("0.0000001")
    assert found.lot == 1
    assert "published by binance, 2024-09-08; but the price step from the data" in found.source
    assert rules_of(bars_of(walk(0.1, 5), "DOGE/USDT", venue="binance"), root=tmp_path).source.endswith("2024-09-08")


@pytest.fixture(scope="module")
def coarser_later(tmp_path_factory):
    """A published step of a cent; prices with three decimals in 2023, and with two from 2024 on."""
    root = tmp_path_factory.mktemp("rules")
    close = np.r_[walk(100, 3)["close"].to_numpy(), walk(100, 2, seed=2)["close"].to_numpy()]
    save_bars(bars_of(frame_of(close, start="2023-12-07"), venue="mine"), root=root, source="test")
    cent = Instrument(
        Symbol("BTC", "USDT"), Decimal("0.01"), Decimal("0.001"), Decimal("0.001"), Decimal(5), "of a test"
    )
    save_instruments([cent], root=root, venue="mine")
    return root, load_bars("BTC/USDT", "1h", root=root)


@given(edges=st.lists(st.integers(0, 1_200), min_size=2, max_size=2, unique=True).map(sorted))
@example(edges=[0, 1_200])
@example(edges=[0, 300])
@example(edges=[700, 1_200])
def test_the_rules_of_a_series_are_the_same_whatever_part_of_it_is_traded(coarser_later, edges):
    root, whole = coarser_later
    part = replace(whole, frame=whole.frame.iloc[slice(*edges)])
    found = rules_of(part, root=root)
    assert found == rules_of(whole, root=root)
    assert (found.tick, found.lot) == (Decimal("0.001"), Decimal("0.001"))
    assert "but the price step from the data" in found.source


def test_computed_prices_do_not_speak_against_a_published_step(tmp_path):
    computed = frame_of(60_000 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.01, 300))))
    assert rules_of(bars_of(computed, venue="binance"), root=tmp_path).tick == Decimal("0.01")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"BTC/USDT": {"tick": "x"}}', '{"BTC/USDT": 7}'])
def test_damaged_rules_are_an_error_and_never_a_default(tmp_path, text):
    path = save_instruments([BTC], root=tmp_path, venue="binance")
    path.write_text(text)
    with pytest.raises(DataError, match=r"instruments\.json"):
        load_instrument("BTC/USDT", root=tmp_path, venue="binance")


def test_rules_that_were_stored_without_a_day_are_read_and_say_so(tmp_path):
    path = save_instruments([BTC], root=tmp_path, venue="binance")
    path.write_text(path.read_text().replace('"source": "of a test",\n', ""))
    assert "the day is not told" in load_instrument("BTC/USDT", root=tmp_path, venue="binance").source

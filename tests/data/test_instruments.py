"""Trading rules of bars: published ones with their day, else what the bars show; never coarser than the bars' prices."""

from decimal import Decimal

import numpy as np
import pytest

from atb.data import load_instrument, rules_of, save_instruments
from atb.domain import Instrument, Symbol
from atb.errors import DataError
from tests.bars import bars_of, frame_of
from tests.rules import usual

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
    from atb.data.instruments import _shipped
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

"""Trading rules: kept by venue, exact, with a default that says it is one."""

from decimal import Decimal

import pytest

from atb.data import instrument_note, load_instrument, save_instruments
from atb.domain import Instrument, Symbol
from atb.errors import DataError

BTC = Instrument(Symbol("BTC", "USDT"), Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(10))


def test_stored_rules_come_back_exactly_and_others_are_kept(tmp_path):
    save_instruments([BTC], root=tmp_path, venue="binance")
    eth = Instrument(Symbol("ETH", "USDT"), Decimal("0.01"))
    save_instruments([eth], root=tmp_path, venue="binance")
    assert load_instrument("BTCUSDT", root=tmp_path, venue="binance") == BTC
    assert load_instrument("ETH/USDT", root=tmp_path, venue="binance") == eth
    assert (
        instrument_note("BTC/USDT", root=tmp_path, venue="binance") == "Trading rules of BTC/USDT as binance gave them"
    )


def test_without_stored_rules_there_are_defaults_and_a_note_that_says_so(tmp_path):
    assert load_instrument("BTC/USDT", root=tmp_path, venue="kraken") == Instrument(Symbol("BTC", "USDT"))
    assert "by default, none of kraken are stored" in instrument_note("BTC/USDT", root=tmp_path, venue="kraken")
    assert "of the synthetic market" in instrument_note("BTC/USDT", root=tmp_path, venue="synthetic")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"BTC/USDT": {"tick": "x"}}', '{"BTC/USDT": 7}'])
def test_damaged_rules_are_an_error_and_never_a_default(tmp_path, text):
    path = save_instruments([BTC], root=tmp_path, venue="binance")
    path.write_text(text)
    with pytest.raises(DataError, match=r"instruments\.json"):
        load_instrument("BTC/USDT", root=tmp_path, venue="binance")

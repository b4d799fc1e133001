"""Symbol: every spelling of the ecosystem means one pair, and comes back in ccxt's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.domain import Symbol
from atb.domain.symbol import MAJORS, QUOTES
from atb.errors import InputError

assets = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("BTC/USDT", "BTC/USDT"),
        ("BTCUSDT", "BTC/USDT"),
        ("BTC-USDT", "BTC/USDT"),
        ("BTC_USDT", "BTC/USDT"),
        (" btc/usdt ", "BTC/USDT"),
        ("btcusdt", "BTC/USDT"),
        ("BTC-USD", "BTC/USD"),
        ("BTCUSD", "BTC/USD"),
        ("ETHBTC", "ETH/BTC"),
        ("BTCFDUSD", "BTC/FDUSD"),
        ("1000SHIBUSDT", "1000SHIB/USDT"),
        ("BTCUSDT.BINANCE", "BTC/USDT"),
        ("BTC/USDT:USDT", "BTC/USDT:USDT"),
        ("BTC-USDT-USDT", "BTC/USDT:USDT"),
        ("BTC_USDT_USDT", "BTC/USDT:USDT"),
        ("BTCUSDT-PERP", "BTC/USDT:USDT"),
        ("BTCUSDT-PERP.BINANCE", "BTC/USDT:USDT"),
    ],
)
def test_reads_every_spelling(text, canonical):
    assert str(Symbol.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("BNBUSD", "BNB/USD"),
        ("DOTUSD", "DOT/USD"),
        ("SHIBUSD", "SHIB/USD"),
        ("BNBBUSD", "BNB/BUSD"),
        ("BTCTUSD", "BTC/TUSD"),
    ],
)
def test_a_well_known_base_settles_where_a_joined_spelling_is_cut(text, canonical):
    assert str(Symbol.parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BTC",
        "USDT",
        "BTC/",
        "/USDT",
        "BTC/USDT/USDT:X",
        "BTC USDT",
        "BTC/US$T",
        "../USDT",
        "BTC/USDT\nX",
        "ÄTC/USDT",
    ],
)
def test_refuses_what_names_no_pair(text):
    with pytest.raises(InputError, match="Write it like BTC/USDT"):
        Symbol.parse(text)


@pytest.mark.parametrize("value", [None, 7, b"BTCUSDT", ["BTC/USDT"]])
def test_refuses_what_is_no_text(value):
    with pytest.raises(InputError, match="must be text"):
        Symbol.parse(value)


@pytest.mark.parametrize(("base", "quote"), [("btc", "USDT"), ("BTC", ""), ("BTC", "../x"), ("B" * 21, "USDT")])
def test_cannot_be_built_in_another_than_the_canonical_spelling(base, quote):
    with pytest.raises(InputError, match="capital letters"):
        Symbol(base, quote)


@given(base=assets, quote=assets, settle=st.one_of(st.just(""), assets))
def test_the_canonical_spelling_reads_back(base, quote, settle):
    symbol = Symbol(base, quote, settle)
    assert Symbol.parse(str(symbol)) == symbol
    assert Symbol.parse(symbol) == symbol
    assert Symbol(*symbol.slug.split("-")) == symbol


@given(base=st.sampled_from(sorted(MAJORS)), quote=st.sampled_from(QUOTES))
def test_joined_spellings_of_well_known_assets_read_back(base, quote):
    symbol = Symbol(base, quote)
    assert Symbol.parse(symbol.joined) == symbol
    assert Symbol.parse(symbol.joined.lower()) == symbol


def test_spellings_for_files_and_exchanges():
    assert (Symbol.parse("BTC/USDT").slug, Symbol.parse("BTC/USDT").joined) == ("BTC-USDT", "BTCUSDT")
    assert Symbol.parse("BTC/USDT:USDT").slug == "BTC-USDT-USDT"

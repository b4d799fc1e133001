"""Symbol: every spelling of the ecosystem means one pair, and comes back in ccxt's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.domain import Symbol
from atb.domain.assets import KNOWN, QUOTES, SELDOM
from atb.errors import InputError


def _names_an_asset(text):
    try:
        Symbol("BTC", text)
    except InputError:
        return False
    return text not in ("XBT", "XDG")


assets = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=20).filter(_names_an_asset)


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
        ("GRTUSD", "GRT/USD"),
        ("BATUSD", "BAT/USD"),
        ("APTUSD", "APT/USD"),
        ("ARBUSD", "ARB/USD"),
        ("FTTUSD", "FTT/USD"),
        ("BTCBUSD", "BTC/BUSD"),
        ("USDTUSD", "USDT/USD"),
        ("OMGUSD", "OMG/USD"),
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
        "BTC/USDT/EUR",
        "BTC/USDT/USDT",
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


@given(base=st.sampled_from(sorted(KNOWN)), quote=st.sampled_from(QUOTES))
def test_joined_spellings_of_known_assets_read_back_or_are_asked_about(base, quote):
    symbol, asked = Symbol(base, quote), ""
    try:
        read = Symbol.parse(symbol.joined.lower())
    except InputError as error:
        read, asked = None, str(error)
    assert read == symbol or str(symbol) in asked or quote in SELDOM or symbol.joined in KNOWN


@pytest.mark.parametrize(
    ("text", "ways"),
    [("FOOTUSD", "FOOT/USD or FOO/TUSD"), ("FOOBUSD", "FOOB/USD or FOO/BUSD"), ("TTUSD", "TT/USD or T/TUSD"),
     ("NEWFDUSD", "NEWFD/USD or NEW/FDUSD")],
)  # fmt: skip
def test_what_can_be_cut_in_two_places_is_asked_about(text, ways):
    with pytest.raises(InputError, match=f"two places.*Write {ways}"):
        Symbol.parse(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("XBTUSD", "BTC/USD"), ("XXBTZUSD", "BTC/USD"), ("XETHZEUR", "ETH/EUR"), ("XBT/USDT", "BTC/USDT"),
     ("XTZUSD", "XTZ/USD"), ("PERPUSDT", "PERP/USDT"), ("BTCUSDTPERP", "BTC/USDT:USDT"),
     ("BTC-USDT-SWAP", "BTC/USDT:USDT"), ("BTCUSDT.P", "BTC/USDT:USDT"), ("BTC-USDC-PERP", "BTC/USDC:USDC")],
)  # fmt: skip
def test_reads_the_names_that_single_venues_use(text, canonical):
    assert str(Symbol.parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    ["BTC-PERP", "BTCPERP", "BTC/PERP", "BTCUSDT_240329", "BTC-29MAR24", "BTC-MAR24", "BTC-USD-SWAP", "BTCUSD_PERP",
     "BTC-27DEC24-60000-C", "BTC/USDT:USDT-240329", "BTC_USDT_240329", "PF_XBTUSD", "PI_XBTUSD", "btc-quarter"],
)  # fmt: skip
def test_a_contract_is_no_spot_pair(text):
    with pytest.raises(InputError, match="a contract and no spot pair"):
        Symbol.parse(text)


@pytest.mark.parametrize("asset", ["WBTC", "STETH", "USDC"])
def test_an_asset_alone_is_no_pair_though_it_ends_like_one(asset):
    with pytest.raises(InputError, match="Write it like BTC/USDT"):
        Symbol.parse(asset)


def test_spellings_for_files_and_exchanges():
    assert (Symbol.parse("BTC/USDT").slug, Symbol.parse("BTC/USDT").joined) == ("BTC-USDT", "BTCUSDT")
    assert Symbol.parse("BTC/USDT:USDT").slug == "BTC-USDT-USDT"

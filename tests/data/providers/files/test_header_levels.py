"""Columns by price and ticker: every form in which yfinance's users save it gives the bars of the symbol that is wanted."""

import pandas as pd
import pytest

from atb.data import import_file
from atb.data.providers.files.header_levels import one_level
from atb.domain import Symbol
from atb.errors import DataError
from tests.bars import random_walk
from tests.data.providers.files.yahoo_frames import flat, forms, levels

BARS, OTHER = random_walk(60, 1), random_walk(60, 2).iloc[20:]
FORMS = dict(forms(BARS, OTHER))
SYMBOL = Symbol.parse("BTC/USD")


def saved(folder, frame, kind):
    """Save a frame the way its format asks for; return the file."""
    path = folder / f"prices.{kind}"
    indexed = not isinstance(frame.index, pd.RangeIndex)
    if kind == "csv":
        frame.to_csv(path, index=indexed)
    elif kind == "parquet":
        frame.to_parquet(path, index=indexed)
    elif kind == "feather":
        (frame.reset_index() if indexed else frame).to_feather(path)
    else:
        frame.to_json(path, date_format="iso", double_precision=15)
    return path


def imported(folder, frame, kind, symbol="BTC/USD"):
    return import_file(saved(folder, frame, kind), root=folder / "bars", symbol=symbol)


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_gives_the_wanted_bars(tmp_path, form, kind):
    bars = imported(tmp_path, FORMS[form], kind).bars
    pd.testing.assert_frame_equal(bars.frame, BARS, check_exact=True, check_freq=False, check_index_type=False)


@pytest.mark.parametrize(
    "form", ["one level", "one ticker, by price", "two tickers, by ticker", "two tickers, underlined"]
)
@pytest.mark.parametrize("times", ["text", "epoch"])
def test_as_json_too(tmp_path, form, times):
    frame = FORMS[form]
    if times == "epoch":
        frame = frame.set_axis(frame.index.as_unit("ms").asi8)
    bars = imported(tmp_path, frame, "json").bars
    pd.testing.assert_frame_equal(bars.frame, BARS, check_freq=False, check_index_type=False)


def test_the_adjusted_close_is_left_out_and_the_report_says_so(tmp_path):
    report = imported(tmp_path, flat(BARS), "csv")
    assert report.columns["close"] == "Close"
    assert "the adjusted close is left out: prices are those that were traded" in report.notes


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
@pytest.mark.parametrize("form", sorted(name for name in FORMS if "one ticker, " in name))
def test_another_assets_bars_are_never_taken_for_the_wanted_ones(tmp_path, form, kind):
    with pytest.raises(DataError, match=r"holds no row of ETH/USD; found 'BTC-USD'"):
        imported(tmp_path, FORMS[form], kind, symbol="ETH/USD")
    assert not (tmp_path / "bars").exists()


def test_the_same_asset_in_another_currency_is_taken_and_the_report_says_so(tmp_path):
    report = imported(tmp_path, FORMS["one ticker, by price"], "csv", symbol="BTC/USDT")
    assert "the file itself calls its symbol BTC-USD" in report.notes


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
@pytest.mark.parametrize("form", ["by price", "by ticker", "underlined", "as tuples"])
def test_several_symbols_of_which_none_is_wanted_are_listed(tmp_path, form, kind):
    with pytest.raises(DataError, match="holds several symbols, and not one that is SOL/USD; found 'BTC-USD, ETH-USD'"):
        imported(tmp_path, FORMS[f"two tickers, {form}"], kind, symbol="SOL/USD")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["prices.pkl", "prices.csv"])
def test_a_pickle_is_refused_in_one_sentence_and_never_loaded(tmp_path, protocol, name):
    pd.to_pickle(levels({"BTC-USD": BARS}), tmp_path / name, protocol=protocol)
    with pytest.raises(DataError) as refused:
        import_file(tmp_path / name, root=tmp_path / "bars", symbol="BTC/USD")
    assert str(refused.value) == (
        f"{name} is a pickle, which is not read. Load it with pandas and write it with `frame.to_parquet(...)`"
    )


@pytest.mark.parametrize(
    "names",
    [
        "timestamp open high low close volume",
        "date open high low close volume_btc volume_usdt",
        "open_time open_price high_price low_price close_price base_volume quote_volume",
    ],
)
def test_plain_names_stay_as_they_are(names):
    header = one_level([(name,) for name in names.split()], SYMBOL, "x.csv")
    assert (header.names, header.notes) == (names.split(), [])


def test_a_level_of_units_is_no_ticker():
    labels = [("date", ""), *((name, "USD") for name in ("open", "high", "low", "close")), ("volume", "BTC")]
    assert one_level(labels, SYMBOL, "x.csv").names == ["date", "open", "high", "low", "close", "volume"]


@pytest.mark.parametrize("form", ["two tickers, by price", "two tickers, stacked", "two tickers, as tuples"])
def test_of_a_market_that_begins_later_the_rows_without_prices_are_left_out(tmp_path, form):
    report = imported(tmp_path, FORMS[form], "csv", symbol="ETH/USD")
    pd.testing.assert_frame_equal(report.bars.frame, OTHER, check_exact=True, check_freq=False, check_index_type=False)

"""Files of the usual sources: each gives the very bars that were written, or is refused in one sentence."""

import pandas as pd
import pytest

from atb.data import ImportRules, import_file
from atb.data.providers.files.identity import identity_of_name
from atb.errors import DataError
from tests.bars import random_walk
from tests.data.providers.files.sources import SOURCES, ZONELESS

# Prices of four digits and more, across the European clock change of spring 2024.
FRAME = random_walk(72, 5, price=42_000.0)
FRAME = FRAME.set_axis(pd.date_range("2024-03-30", periods=72, freq="1h", tz="UTC", name="timestamp"))


@pytest.mark.parametrize("source", SOURCES)
def test_the_usual_sources_give_the_bars_that_were_written(tmp_path, source):
    path = SOURCES[source](tmp_path, FRAME)
    report = import_file(path, root=tmp_path / "bars", symbol="BTC/USDT", timeframe="1h")
    pd.testing.assert_frame_equal(report.bars.frame, FRAME, check_freq=False)
    assert report.bars.gaps == ()


@pytest.mark.parametrize("source", ZONELESS)
def test_a_source_that_does_not_say_its_zone_is_asked_for_it(tmp_path, source):
    path = ZONELESS[source](tmp_path, FRAME)
    with pytest.raises(DataError, match=r"no time zone; found '.*2024.*--utc.*--tz") as caught:
        import_file(path, root=tmp_path / "bars", symbol="BTC/USDT", timeframe="1h")
    assert (source != "metatrader 5") or "columns '<DATE>' and '<TIME>'" in str(caught.value)
    report = import_file(
        path, root=tmp_path / "bars", symbol="BTC/USDT", timeframe="1h", rules=ImportRules(assume_utc=True)
    )
    pd.testing.assert_frame_equal(report.bars.frame, FRAME, check_freq=False)


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("Binance_BTCUSDT_1h.csv", ("binance", "BTCUSDT", "1h")),
        ("Bitstamp_BTCUSD_d.csv", ("bitstamp", "BTCUSD", "1d")),
        ("Binance_ETHUSDT_2023_minute.csv", ("binance", "ETHUSDT", "1m")),
        ("OKX_BTC-USDT_4h.parquet", ("okx", "BTC-USDT", "4h")),
    ],
)
def test_a_venue_in_a_file_name_may_have_capitals(name, identity):
    assert identity_of_name(name) == dict(zip(("venue", "symbol", "timeframe"), identity, strict=True))


def yahoo_table(folder, frame):
    """The table of the website, its headings with what stands beneath them."""
    close = "Close Close price adjusted for splits.\tAdj Close Adjusted close price adjusted for splits."
    names = f"Datetime\tOpen\tHigh\tLow\t{close}\tVolume"
    rows = frame.reset_index()
    rows.insert(5, "adjusted", rows["close"])
    path = folder / "x.csv"
    path.write_text(names + "\n" + rows.to_csv(index=False, header=False, sep="\t"))
    return path


@pytest.mark.parametrize(
    "source", [*map(SOURCES.get, ("yahoo", "yfinance, three header lines", "yfinance, two levels")), yahoo_table]
)
def test_yahoos_volume_in_the_quote_asset_is_noted(tmp_path, source):
    report = import_file(source(tmp_path, FRAME), root=tmp_path / "bars", symbol="BTC/USDT", timeframe="1h")
    assert [note for note in report.notes if "Yahoo gives the volume" in note and "quote asset" in note]


def test_other_sources_are_not_taken_for_yahoo(tmp_path):
    for name in ("binance", "freqtrade feather", "cryptodatadownload", "pandas, index without a name"):
        report = import_file(SOURCES[name](tmp_path, FRAME), root=tmp_path / "b", symbol="BTC/USDT", timeframe="1h")
        assert "Yahoo" not in " ".join(report.notes)

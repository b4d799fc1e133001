"""Inputs from the catalogue: the same rows for the same bars, whatever else is stored; what is missing is one error."""

import numpy as np
import pandas as pd
import pytest

from atb.data.catalogue import load_bars
from atb.data.catalogue.events import funding_at, save_events, sentiment_at
from atb.data.catalogue.inputs import known_from, load_inputs, stored_input
from atb.data.catalogue.universes import save_universe
from atb.data.catalogue.writing import save_bars
from atb.domain import BarsInput, FundingInput, SentimentInput, Symbol, Timeframe, UniverseInput
from atb.domain.universe import Listing, Universe
from atb.errors import DataError
from atb.times import in_ms
from tests.bars import bars_of, random_walk
from tests.input_strategies import funding_frame, mood_frame, resampled

LATER = pd.Timestamp("2026-01-01", tz="UTC")
OWN = Symbol.parse("BTC/USDT"), Timeframe.parse("1h")
LONGER = bars_of(random_walk(1_400, 3), venue="binance")
MARKET = LONGER.rows(0, 1_000)


@pytest.fixture
def root(tmp_path):
    save_bars(MARKET, root=tmp_path, source="a test")
    save_bars(resampled(MARKET, "4h"), root=tmp_path, source="a test")
    index = MARKET.frame.index
    perpetual = funding_at(tmp_path, symbol=Symbol.parse("BTC/USDT:USDT"), venue="binanceusdm")
    save_events(perpetual, funding_frame(index), source="a test", fetched=LATER)
    mood = mood_frame(index)[["value", "published"]]
    save_events(sentiment_at(tmp_path, "fear_greed"), mood, source="a test", fetched=LATER)
    return tmp_path


def declared(*inputs):
    return {f"input{number}": one.resolved(*OWN) for number, one in enumerate(inputs)}


ALL = declared(BarsInput("4h", warmup=10), FundingInput(warmup=3), SentimentInput(warmup=2))


def own(root, start="2024-01-12", end="2024-02-01"):
    return load_bars("BTC/USDT", "1h", start, end, root=root)


def test_every_input_has_its_warm_up_before_the_first_bar_and_ends_at_the_last(root):
    bars = own(root)
    for series in load_inputs(ALL, bars, root=root).values():
        assert np.searchsorted(series.known_ms, bars.closed_ms[0], side="right") == series.declared.warmup + 1
        assert series.known_ms[-1] <= bars.closed_ms[-1]
        assert np.isfinite(series.known(bars.closed_ms).as_of(series.columns[0])).any()


def test_rows_are_the_same_whatever_else_is_stored(root):
    bars = own(root)
    before = {name: series.fingerprint for name, series in load_inputs(ALL, bars, root=root).items()}
    save_bars(LONGER, root=root, source="a test")
    save_bars(resampled(LONGER, "4h"), root=root, source="a test")
    assert {name: series.fingerprint for name, series in load_inputs(ALL, bars, root=root).items()} == before
    assert load_inputs(ALL, own(root, end="2024-02-03"), root=root)["input0"].fingerprint != before["input0"]


def test_a_short_span_inside_one_slower_bar_still_has_its_newest_row(root):
    bars = own(root, "2024-01-20T05:00", "2024-01-20T07:00")
    series = load_inputs(declared(BarsInput("4h")), bars, root=root)["input0"]
    assert series.known(bars.closed_ms).rows.tolist() == [0, 0]


def test_the_funding_of_a_spot_pair_is_its_perpetuals(root):
    series = load_inputs(declared(FundingInput()), own(root), root=root)["input0"]
    assert (series.declared.symbol, series.venue) == ("BTC/USDT:USDT", "binanceusdm")


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (BarsInput("1m"), "No bars of BTC/USDT 1m"), (BarsInput(symbol="ETH/USDT"), "No bars of ETH/USDT 1h"),
        (FundingInput("ETH/USDT"), "No funding of ETH/USDT:USDT"), (FundingInput(venue="okx"), "for okx"),
        (SentimentInput("tweets"), "No sentiment of tweets"), (BarsInput("4h", warmup=500), "needs 501 rows"),
        (SentimentInput(warmup=50), "needs 51 rows"),
    ],
)  # fmt: skip
def test_an_input_that_is_not_there_is_one_error_that_leads_out(root, one, message):
    with pytest.raises(DataError, match=message) as caught:
        load_inputs(declared(one), own(root), root=root)
    assert "`atb data" in str(caught.value)


def test_rows_that_end_before_the_bars_are_refused(root):
    save_bars(LONGER, root=root, source="a test")
    bars = own(root, end="2024-02-27")
    with pytest.raises(DataError, match="end before the bars do"):
        load_inputs(declared(SentimentInput()), bars, root=root)
    assert len(load_inputs(declared(SentimentInput(max_age=None)), bars, root=root)["input0"])
    with pytest.raises(DataError, match="not covered"):
        load_inputs(declared(BarsInput("4h")), bars, root=root)


def test_every_input_is_known_from_a_time_on(root):
    found = known_from(ALL, root=root, venue="binance")
    assert found == in_ms(MARKET.frame.index[0]) + 11 * 4 * 3_600_000
    assert known_from({}, root=root, venue="binance") is None
    start = pd.Timestamp(found, unit="ms", tz="UTC") - pd.Timedelta(1, "h")
    load_inputs(ALL, own(root, start), root=root)
    with pytest.raises(DataError, match="needs 11 rows"):
        load_inputs(ALL, own(root, start - pd.Timedelta(1, "h")), root=root)


def test_the_warm_up_of_months_is_counted_in_months(tmp_path):
    index = pd.date_range("2024-07-01", periods=3, freq="MS", tz="UTC", name="timestamp").as_unit("us")
    months = bars_of(random_walk(3).set_axis(index), timeframe="1M", venue="binance")
    save_bars(months, root=tmp_path, source="a test")
    found = known_from(declared(BarsInput("1M", warmup=1)), root=tmp_path, venue="binance")
    assert found == in_ms(pd.Timestamp("2024-09-01", tz="UTC"))


def test_the_funding_of_another_venue_is_found_where_the_own_one_has_only_a_folder(root):
    (root / "binance/BTC-USDT-USDT/funding").mkdir(parents=True)
    assert len(load_inputs(declared(FundingInput(warmup=3)), own(root), root=root)["input0"])


def test_a_universe_is_read_as_its_symbols_were_listed(root):
    days = [in_ms(pd.Timestamp(day, tz="UTC")) for day in ("2024-01-01", "2024-01-15", "2024-01-20", "2024-03-01")]
    btc, eth, sol = (Symbol.parse(f"{base}/USDT") for base in ("BTC", "ETH", "SOL"))
    listings = (Listing(btc, days[0]), Listing(eth, days[0], days[1]), Listing(eth, days[2]), Listing(sol, days[3]))
    save_universe(Universe("large", listings), root=root)
    series = load_inputs(declared(UniverseInput("large")), own(root), root=root)["input0"]
    known = series.known(own(root).closed_ms)
    assert list(known.frame.columns) == ["BTC/USDT", "ETH/USDT"]
    found = known.as_of("ETH/USDT")
    assert [found[0], found[24 * 4], found[-1], found.sum()] == [1.0, 0.0, 1.0, 24 * 15 + 0]


def test_stored_rows_of_an_input_are_read_from_a_time_on(root):
    since = in_ms(pd.Timestamp("2024-01-20", tz="UTC"))
    bars = stored_input(ALL["input0"], root=root, venue="binance", since_ms=since, until_ms=since + 5 * 3_600_000)
    assert bars.stated_ms.tolist() == [since]
    assert len(stored_input(ALL["input2"], root=root, venue="binance", since_ms=since, until_ms=None)) > 40

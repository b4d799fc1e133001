"""Downloads: the real ccxt client against a local server that answers like Binance."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from atb.data import load_bars, load_instrument, verify
from atb.data.providers.ccxt_candles import CcxtCandles
from atb.data.providers.ccxt_client import RETRY_WAITS_S, Route
from atb.data.providers.download import download_bars
from atb.domain import Instrument, Symbol
from atb.errors import DataError, InputError
from atb.venues.simulator.market import VirtualClock
from atb.venues.simulator.server import Fault, running_server
from tests.bars import bars_of, random_walk

HOUR = 3_600_000
BARS = bars_of(random_walk(7_000, 4, sigma=0.001), venue="binance")
START = BARS.frame.index[0]
NOW = int(BARS.opened_ms[6_499]) + HOUR // 2  # 6,499 bars have closed, one is open


class Naps(list):
    """Remember the seconds asked to sleep, and do not sleep."""

    __call__ = list.append


def fetch(url, root, start=START, end=None, *, symbol="BTC/USDT", naps=None, **options):
    """Download from the server at `url`."""
    source = CcxtCandles("binance", route=Route(url), sleep=Naps() if naps is None else naps)
    return download_bars(symbol, "1h", start, end, root=root, source=source, **options)


def loaded(root):
    return load_bars("BTC/USDT", "1h", root=root)


def holed(*rows):
    """Return the market without some rows."""
    return bars_of(BARS.frame.drop(BARS.frame.index[list(rows)]), venue="binance")


def test_pages_through_thousands_of_bars_and_takes_only_closed_ones(tmp_path):
    seen = []
    with running_server(BARS, now_ms=NOW, requests=seen) as url:
        report = fetch(url, tmp_path)
    stored = loaded(tmp_path)
    pd.testing.assert_frame_equal(stored.frame, BARS.frame.iloc[:6_499], check_exact=True, check_freq=False)
    assert (report.added, report.gaps, report.interrupted) == (6_499, (), False)
    assert (report.first, report.last) == (stored.frame.index[0], stored.frame.index[-1])
    paths = [path for path, _ in seen]
    assert {path: paths.count(path) for path in paths} == {
        "/api/v3/exchangeInfo": 1, "/api/v3/time": 1, "/api/v3/klines": 7,
    }  # fmt: skip
    assert {query["limit"] for path, query in seen if path.endswith("klines")} == {"1000"}
    assert stored.fingerprint == bars_of(BARS.frame.iloc[:6_499], venue="binance").fingerprint


def test_going_on_asks_only_for_what_is_new(tmp_path):
    clock, seen = VirtualClock(NOW), []
    with running_server(BARS, now_ms=clock, requests=seen) as url:
        fetch(url, tmp_path, START, "2024-02-01")
        assert len(loaded(tmp_path)) == 31 * 24
        fetch(url, tmp_path, None)
        assert len(loaded(tmp_path)) == 6_499
        seen.clear()
        assert fetch(url, tmp_path, None).added == 0
        clock.advance(2 * HOUR)
        assert fetch(url, tmp_path, None).added == 2
    starts = [int(query["startTime"]) for path, query in seen if path.endswith("klines")]
    assert starts == [
        BARS.opened_ms[6_498]
    ]  # from the last stored bar on; nothing is asked for while no bar has closed
    assert len(loaded(tmp_path)) == 6_501


def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path):
    seen = []
    broken = running_server(BARS, now_ms=NOW, faults=[Fault("reset", after=3, times=99)])
    with broken as url, pytest.raises(DataError, match=r"binance cannot be reached.*goes on where it stopped"):
        fetch(url, tmp_path)
    # A page begins with the bar that is known already, after the first one.
    assert len(loaded(tmp_path)) == 2_998
    with running_server(BARS, now_ms=NOW, requests=seen) as url:
        assert fetch(url, tmp_path).added == 3_501
    first = next(query for path, query in seen if path.endswith("klines"))
    assert int(first["startTime"]) == BARS.opened_ms[2_997]
    assert loaded(tmp_path).fingerprint == bars_of(BARS.frame.iloc[:6_499], venue="binance").fingerprint


def test_ctrl_c_keeps_what_has_come(tmp_path):
    def press(done, _total):
        if done >= 1_999 * HOUR:
            raise KeyboardInterrupt

    with running_server(BARS, now_ms=NOW) as url:
        report = fetch(url, tmp_path, progress=press)
        assert report.interrupted
        assert len(loaded(tmp_path)) == report.added == 1_999
        assert fetch(url, tmp_path).added == 4_500


def test_an_earlier_start_is_fetched_back_to_the_first_bar_there_is(tmp_path):
    with running_server(holed(*range(700, 2_900)), now_ms=NOW) as url:
        fetch(url, tmp_path, BARS.frame.index[3_500])
        report = fetch(url, tmp_path, "2017-01-01")
    assert report.added == 1_300
    stored = loaded(tmp_path)
    assert len(stored) == 6_499 - 2_200
    assert stored.gaps == report.gaps == ((BARS.frame.index[700], BARS.frame.index[2_900]),)
    assert not verify(tmp_path)[0].problems


def test_a_gap_is_asked_for_again_and_then_recorded(tmp_path):
    market, seen = holed(999, 1_000, 4_200), []
    with running_server(market, now_ms=NOW, requests=seen) as url:
        report = fetch(url, tmp_path)
    index = BARS.frame.index
    assert report.gaps == ((index[999], index[1_001]), (index[4_200], index[4_201]))
    assert loaded(tmp_path).gaps == report.gaps
    asked = [int(query["startTime"]) for path, query in seen if path.endswith("klines")]
    assert {BARS.opened_ms[998], BARS.opened_ms[4_199]} <= set(asked)
    assert [gap["missing"] for gap in report.to_json()["gaps"]] == [2, 1]


def test_a_gap_at_the_point_where_a_download_goes_on_is_found(tmp_path):
    index = BARS.frame.index
    with running_server(holed(800, 801), now_ms=NOW) as url:
        fetch(url, tmp_path, START, index[800])
        report = fetch(url, tmp_path, None, index[1_000])
    assert report.gaps == ((index[800], index[802]),)
    assert loaded(tmp_path).gaps == report.gaps


def test_bars_that_were_left_out_once_come_on_second_asking(tmp_path):
    class Forgetful(CcxtCandles):
        """Leaves out row 500 the first time."""

        asked = 0

        def candles(self, symbol, timeframe, since_ms):
            self.asked += 1
            rows = super().candles(symbol, timeframe, since_ms)
            return [row for row in rows if self.asked > 1 or row[0] != BARS.opened_ms[500]]

    with running_server(BARS, now_ms=NOW) as url:
        source = Forgetful("binance", route=Route(base_url=url))
        report = download_bars("BTC/USDT", "1h", START, "2024-03-01", root=tmp_path, source=source)
    assert report.gaps == ()
    np.testing.assert_array_equal(loaded(tmp_path).opened_ms, BARS.opened_ms[: 60 * 24])


@pytest.mark.parametrize("kind", ["reset", "error"])
def test_short_network_trouble_is_waited_out(tmp_path, kind):
    naps = Naps()
    with running_server(BARS, now_ms=NOW, faults=[Fault(kind, after=1, times=2)]) as url:
        fetch(url, tmp_path, naps=naps)
    assert len(loaded(tmp_path)) == 6_499
    assert naps == list(RETRY_WAITS_S[:2])


def test_a_rate_limit_is_waited_out_for_as_long_as_it_asks(tmp_path):
    naps = Naps()
    with running_server(BARS, now_ms=NOW, faults=[Fault("rate_limit", after=1, retry_after_s=17)]) as url:
        fetch(url, tmp_path, naps=naps)
    assert naps == [17.0]
    assert len(loaded(tmp_path)) == 6_499


def test_a_rate_limit_that_asks_for_too_long_ends_the_download(tmp_path):
    naps = Naps()
    banned = running_server(BARS, now_ms=NOW, faults=[Fault("rate_limit", after=1, retry_after_s=7_200)])
    with banned as url, pytest.raises(DataError, match=r"allows no more requests.*Wait 7200 s"):
        fetch(url, tmp_path, naps=naps)
    assert (naps, len(loaded(tmp_path))) == ([], 1_000)


def test_a_network_that_is_down_is_a_clear_error(tmp_path):
    with running_server(BARS, now_ms=NOW) as url:
        pass
    naps = Naps()
    with pytest.raises(DataError, match=r"binance cannot be reached.*Check the connection") as caught:
        fetch(url, tmp_path, naps=naps)
    assert caught.value.exit_code == 2
    assert naps == list(RETRY_WAITS_S)
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize(("symbol", "hint"), [("BTC/USDC", "Did you mean 'BTC/USDT'"), ("XX/YY", "BTC/USDT")])
def test_a_symbol_that_the_exchange_has_not_is_refused(tmp_path, symbol, hint):
    with (
        running_server(BARS, now_ms=NOW) as url,
        pytest.raises(InputError, match="binance has no such symbol") as caught,
    ):
        fetch(url, tmp_path, symbol=symbol)
    assert hint in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"atb.toml"}


def test_a_first_download_must_say_where_to_begin(tmp_path):
    with running_server(BARS, now_ms=NOW) as url, pytest.raises(InputError, match="--start"):
        fetch(url, tmp_path, None)


def test_a_range_must_end_after_it_starts(tmp_path):
    with running_server(BARS, now_ms=NOW) as url, pytest.raises(InputError, match="start must be before end"):
        fetch(url, tmp_path, "2024-03-01", "2024-02-01")


def test_a_start_before_the_listing_begins_with_the_first_bar(tmp_path):
    with running_server(BARS, now_ms=NOW) as url:
        report = fetch(url, tmp_path, "2019-01-01", "2024-01-03")
    assert (report.added, report.gaps) == (48, ())


def test_a_start_in_the_future_stores_nothing(tmp_path):
    with running_server(BARS, now_ms=NOW) as url:
        report = fetch(url, tmp_path, "2030-01-01")
    assert (report.added, report.first) == (0, None)


def test_trading_rules_are_kept_exactly(tmp_path):
    rules = Instrument(Symbol("BTC", "USDT"), Decimal("0.1"), Decimal("0.00001"), Decimal("0.00002"), Decimal(10))
    with running_server(BARS, now_ms=NOW, instruments=[rules]) as url:
        fetch(url, tmp_path, "2024-01-01", "2024-01-02")
    assert load_instrument("BTC/USDT", root=tmp_path, venue="binance") == rules
    assert load_instrument("BTC/USDT", root=tmp_path, venue="binance").to_json()["lot"] == "0.00001"


def test_unknown_and_unusable_exchanges_are_refused():
    with pytest.raises(InputError, match="Did you mean 'binance'"):
        CcxtCandles("binanse")
    with pytest.raises(InputError, match="no candles of mark prices"):
        CcxtCandles("kraken", price="mark")


@pytest.mark.parametrize("exchange", ["binance", "binanceusdm", "bybit", "okx"])
def test_a_spot_pair_has_no_mark_prices_and_nobody_is_asked_for_them(exchange, tmp_path):
    source = CcxtCandles(exchange, route=Route("http://127.0.0.1:9"), price="mark")
    with pytest.raises(InputError, match=r"BTC/USDT is a spot pair.*Name the perpetual, such as BTC/USDT:USDT"):
        download_bars("BTC/USDT", "1h", "2024-01-01", root=tmp_path, source=source)


def test_the_exchange_of_a_user_is_asked_politely_and_for_spot_only():
    source = CcxtCandles("binance")
    assert source.page == 1_000
    assert source._client.exchange.enableRateLimit
    assert source._client.exchange.options["fetchMarkets"]["types"] == ["spot"]

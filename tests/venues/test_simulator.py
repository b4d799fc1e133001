"""The simulated exchange: Binance's formats, only the past, faults on demand; asked over real HTTP."""

import json
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from atb.domain import Instrument, Symbol
from atb.venues.simulator.market import VirtualClock
from atb.venues.simulator.server import Fault, running_server
from tests.bars import bars_of, random_walk
from tests.timeouts import PATIENCE_S

HOUR = 3_600_000
BARS = bars_of(random_walk(1_500, 2))
NOW = int(BARS.opened_ms[1_200]) + HOUR // 2


@pytest.fixture(scope="module")
def url():
    with running_server(BARS, now_ms=NOW) as address:
        yield address


def ask(url, path, **query):
    """Return status, JSON body and headers of an answer."""
    text = "&".join(f"{name}={value}" for name, value in query.items())
    try:
        with urllib.request.urlopen(f"{url}/api/v3/{path}?{text}", timeout=PATIENCE_S) as answer:
            return answer.status, json.load(answer), answer.headers
    except urllib.error.HTTPError as error:
        with closing(error):
            return error.code, json.load(error), error.headers


def test_tells_its_own_time(url):
    assert ask(url, "time")[:2] == (200, {"serverTime": NOW})


def test_candles_have_twelve_fields_with_numbers_as_text(url):
    _, rows, headers = ask(url, "klines", symbol="BTCUSDT", interval="1h", startTime=BARS.opened_ms[5], limit=1)
    row = BARS.frame.iloc[5]
    assert len(rows[0]) == 12
    assert rows[0][:7] == [
        BARS.opened_ms[5],
        *(f"{row[name]:.8f}" for name in ("open", "high", "low", "close", "volume")),
        BARS.opened_ms[6] - 1,
    ]
    assert int(headers["x-mbx-used-weight-1m"]) > 0


def test_the_open_candle_is_the_last_one_and_knows_only_its_open(url):
    _, rows, _ = ask(url, "klines", symbol="BTCUSDT", interval="1h", limit=2)
    opened = f"{BARS.frame['open'].iloc[1_200]:.8f}"
    assert [row[0] for row in rows] == [BARS.opened_ms[1_199], BARS.opened_ms[1_200]]
    assert rows[1][1:6] == [opened, opened, opened, opened, "0.00000000"]


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ({}, 701, 1_200),
        ({"limit": 1_000}, 201, 1_200),
        ({"limit": 5_000}, 201, 1_200),
        ({"startTime": BARS.opened_ms[10]}, 10, 509),
        ({"startTime": BARS.opened_ms[10] + 1, "limit": 3}, 11, 13),
        ({"startTime": 0, "limit": 3}, 0, 2),
        ({"endTime": BARS.opened_ms[10]}, 0, 10),
        ({"startTime": BARS.opened_ms[10], "endTime": BARS.opened_ms[12] - 1}, 10, 11),
        ({"startTime": BARS.opened_ms[1_199], "limit": 1_000}, 1_199, 1_200),
    ],
)
def test_pages_as_binance_does(url, query, first, last):
    _, rows, _ = ask(url, "klines", symbol="BTCUSDT", interval="1h", **query)
    assert [row[0] for row in rows] == BARS.opened_ms[first : last + 1].tolist()


def test_nothing_of_the_future_is_told(url):
    query = {"symbol": "BTCUSDT", "interval": "1h", "endTime": NOW + 100 * HOUR}
    assert ask(url, "klines", **query, startTime=NOW)[1] == []
    assert ask(url, "klines", **query)[1][-1][0] == BARS.opened_ms[1_200]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"symbol": "NOPE", "interval": "1h"}, -1121),
        ({"symbol": "BTCUSDT", "interval": "7h"}, -1120),
        ({"interval": "1h"}, -1102),
        ({"symbol": "BTCUSDT"}, -1102),
        ({"symbol": "BTCUSDT", "interval": "1h", "limit": "many"}, -1100),
    ],
)
def test_refuses_with_binances_codes(url, query, code):
    status, body, _ = ask(url, "klines", **query)
    assert (status, body["code"]) == (400, code)
    assert body["msg"]


def test_exchange_info_carries_the_trading_rules():
    rules = Instrument.from_json(
        {"symbol": "BTC/USDT", "tick": "0.1", "lot": "0.001", "min_quantity": "0.002", "min_notional": "10"}
    )
    with running_server([BARS, bars_of(BARS.frame, symbol="ETH/USDT")], now_ms=NOW, instruments=[rules]) as address:
        _, body, _ = ask(address, "exchangeInfo")
    symbols = {symbol["symbol"]: symbol for symbol in body["symbols"]}
    assert sorted(symbols) == ["BTCUSDT", "ETHUSDT"]
    filters = {row["filterType"]: row for row in symbols["BTCUSDT"]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.10000000"
    assert (filters["LOT_SIZE"]["stepSize"], filters["LOT_SIZE"]["minQty"]) == ("0.00100000", "0.00200000")
    assert filters["NOTIONAL"]["minNotional"] == "10.00000000"


def test_the_clock_moves_only_when_told():
    clock = VirtualClock(NOW)
    with running_server(BARS, now_ms=clock) as address:
        assert ask(address, "time")[1] == ask(address, "time")[1]
        clock.advance(HOUR)
        _, rows, _ = ask(address, "klines", symbol="BTCUSDT", interval="1h", limit=2)
    assert rows[0][4] == f"{BARS.frame['close'].iloc[1_200]:.8f}"


def test_faults_strike_when_and_as_often_as_said():
    faults = [Fault("rate_limit", after=1, retry_after_s=3), Fault("reset", path="/api/v3/time")]
    seen = []
    query = {"symbol": "BTCUSDT", "interval": "1h"}
    with running_server(BARS, now_ms=NOW, faults=faults, requests=seen) as address:
        assert ask(address, "klines", **query)[0] == 200
        status, body, headers = ask(address, "klines", **query)
        assert (status, body["code"], headers["Retry-After"]) == (429, -1003, "3")
        assert ask(address, "klines", **query)[0] == 200
        with pytest.raises(OSError, match=r"reset|closed|Remote"):
            ask(address, "time")
        assert ask(address, "time")[0] == 200
    assert [path for path, _ in seen] == ["/api/v3/klines"] * 3 + ["/api/v3/time"] * 2


def test_a_stopped_server_answers_no_more():
    with running_server(BARS, now_ms=NOW) as address:
        ask(address, "time")
    with pytest.raises(OSError, match="refused"):
        ask(address, "time")


def test_a_symbol_without_candles_of_that_interval_has_an_empty_list(url):
    assert ask(url, "klines", symbol="BTCUSDT", interval="1d")[1] == []
    assert Symbol.parse("BTC/USDT").joined == "BTCUSDT"

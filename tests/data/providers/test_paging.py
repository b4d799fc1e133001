"""Downloads from exchanges of every habit: small pages, one page of time an answer, starts left out, thin markets, repairs."""

from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.data import load_bars, save_bars, verify
from atb.data.providers.download import download_bars
from atb.domain import Instrument
from atb.errors import DataError
from tests.bars import bars_of, random_walk
from tests.seeds import examples

HOUR = 3_600_000
MARKET = random_walk(20_000, 4, sigma=0.001)  # two years and a quarter
INDEX = MARKET.index


@dataclass
class Exchange:
    """An exchange with habits of its own, which counts what it is asked.

    `limit` is the most it gives in one answer, whatever is asked for; `windowed` answers for that much time only; `exclusive`
    leaves out the candle that opens at the start; `newest_first` turns its answers round.
    """

    frame: pd.DataFrame
    limit: int = 1_000
    page: int = 1_000
    windowed: bool = False
    exclusive: bool = False
    newest_first: bool = False
    days: bool = True
    venue: str = "elsewhere"
    origin: str = "an exchange of this test"
    asked: list[tuple[str, int]] = field(default_factory=list)

    def now_ms(self):
        return int(INDEX[-1].timestamp() * 1_000) + HOUR

    def instrument(self, symbol, timeframe):
        return Instrument(symbol, Decimal("0.01"), Decimal("0.001"), Decimal("0.001"), Decimal(5))

    def candles(self, symbol, timeframe, since_ms):
        self.asked.append((str(timeframe), since_ms))
        frame = self.frame if str(timeframe) == "1h" else self.daily()
        opened = frame.index.as_unit("ms").asi8
        wanted = opened > since_ms if self.exclusive else opened >= since_ms
        if self.windowed:
            wanted &= opened < since_ms + self.limit * timeframe.seconds * 1_000
        found = np.flatnonzero(wanted)[: self.limit]
        rows = [[int(opened[at]), *row] for at, row in zip(found, frame.iloc[found].to_numpy().tolist(), strict=True)]
        return rows[::-1] if self.newest_first else rows

    def daily(self):
        if not self.days:
            return self.frame.iloc[:0]
        return self.frame.groupby(self.frame.index.floor("D")).first()

    def hours(self):
        return sum(timeframe == "1h" for timeframe, _ in self.asked)


def fetch(root, exchange, start=None, end=None, **options):
    return download_bars("BTC/USDT", "1h", start, end, root=root, source=exchange, **options)


def stored(root):
    return load_bars("BTC/USDT", "1h", root=root, venue="elsewhere")


def thin(share, seed=1, frame=MARKET):
    """Return the market with only a share of its bars, the first and last among them."""
    kept = np.random.default_rng(seed).random(len(frame)) < share
    kept[[0, -1]] = True
    return frame[kept]


def test_a_thin_market_is_asked_for_once_more_a_page_and_not_once_a_hole(tmp_path):
    exchange = Exchange(thin(0.3))
    report = fetch(tmp_path, exchange, INDEX[0])
    assert report.added == len(exchange.frame)
    assert len(report.gaps) > 4_000
    assert len(exchange.asked) <= 2 * (len(exchange.frame) // 999 + 2)
    pd.testing.assert_frame_equal(stored(tmp_path).frame, exchange.frame, check_freq=False)


def test_an_earlier_start_of_a_thin_market_too(tmp_path):
    exchange = Exchange(thin(0.3))
    fetch(tmp_path, exchange, INDEX[10_000])
    exchange.asked.clear()
    fetch(tmp_path, exchange, INDEX[0])
    assert len(exchange.asked) <= 4 * (10_000 // 1_000 + 2)
    pd.testing.assert_frame_equal(stored(tmp_path).frame, exchange.frame, check_freq=False)
    assert not verify(tmp_path)[0].problems


@examples(15)
@given(data=st.data())
def test_whatever_the_habits_of_an_exchange_every_bar_comes_and_only_true_holes_are_noted(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("bars")
    frame = MARKET.iloc[:1_500]
    market = thin(data.draw(st.sampled_from([1.0, 0.9, 0.3, 0.05])), data.draw(st.integers(0, 9)), frame)
    begins = data.draw(st.sampled_from([0, 0, 1, 700, 1_300]))
    market = market[market.index >= INDEX[begins]]
    exchange = Exchange(
        market,
        limit=data.draw(st.sampled_from([100, 300, 720, 1_000])),
        windowed=data.draw(st.booleans()),
        exclusive=data.draw(st.booleans()),
        newest_first=data.draw(st.booleans()),
        days=data.draw(st.booleans()),
    )
    for start in sorted(data.draw(st.lists(st.sampled_from([0, 400, 1_200]), min_size=1, max_size=2)), reverse=True):
        fetch(root, exchange, INDEX[start])
    fetch(root, exchange, INDEX[0])
    bars = stored(root)
    pd.testing.assert_frame_equal(bars.frame, market, check_freq=False)
    opened = market.index.as_unit("ms").asi8
    holes = [(opened[at] + HOUR, opened[at + 1]) for at in np.flatnonzero(np.diff(opened) > HOUR)]
    assert [tuple(int(edge.timestamp() * 1_000) for edge in gap) for gap in bars.gaps] == holes


def test_a_market_that_begins_years_after_the_start_is_found_in_few_requests(tmp_path):
    exchange = Exchange(MARKET.iloc[-200:], limit=300, windowed=True)
    assert fetch(tmp_path, exchange, INDEX[0]).added == 200
    assert len(exchange.asked) < 20


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), lambda path: path.unlink()])
@pytest.mark.parametrize("year", [2024, 2025, 2026])
def test_downloading_again_brings_back_a_year_that_was_damaged_or_deleted(tmp_path, damage, year):
    exchange = Exchange(MARKET)
    fetch(tmp_path, exchange, INDEX[0])
    whole = stored(tmp_path).fingerprint
    damage(tmp_path / f"elsewhere/BTC-USDT/1h/{year}.parquet")
    fetch(tmp_path, exchange, INDEX[0])
    assert stored(tmp_path).fingerprint == whole
    assert not verify(tmp_path)[0].problems


def test_a_year_between_two_is_stored_whole_or_not_at_all(tmp_path):
    exchange = Exchange(MARKET, limit=500)
    fetch(tmp_path, exchange, INDEX[0])
    (tmp_path / "elsewhere/BTC-USDT/1h/2025.parquet").unlink()

    def press(done, _total):
        if done > 4_000 * HOUR:
            raise KeyboardInterrupt

    assert fetch(tmp_path, exchange, INDEX[0], progress=press).interrupted
    with pytest.raises(DataError, match="never accepted as missing"):
        stored(tmp_path)
    fetch(tmp_path, exchange)
    assert len(stored(tmp_path)) == len(MARKET)


def test_what_is_stored_already_is_not_asked_for_again(tmp_path):
    exchange = Exchange(MARKET)
    save_bars(bars_of(MARKET, venue="elsewhere"), root=tmp_path, source="test")
    assert fetch(tmp_path, exchange, INDEX[0]).added == 0
    assert exchange.asked == []

"""The live feed: each closed bar is given out once, late ones too, and nothing that is not closed."""

import asyncio

import pandas as pd
import pytest

from atb.domain import Bars
from atb.errors import DataError, VenueError
from atb.live.feed.candles import CandleFeed
from tests.bars import bars_of, random_walk
from tests.live.exchange_harness import HOUR, Portfolio, plan_of
from tests.live.fake_broker import BTC, CROSS, GUARDED

FIRST = 40


class Candles:
    """A venue that has candles, some of them late."""

    def __init__(self, *series, now):
        self.series = {(bars.symbol, bars.timeframe): bars.frame for bars in series}
        self.like = {(bars.symbol, bars.timeframe): bars for bars in series}
        self.now, self.missing, self.silent, self.asked = now, set(), False, 0

    def now_ms(self):
        return self.now

    async def bars(self, symbol, timeframe, *, since_ms):
        self.asked += 1
        if self.silent:
            raise VenueError("the venue does not answer")
        like, frame = self.like[symbol, timeframe], self.series[symbol, timeframe]
        opened = like.opened_ms
        closed = (opened >= since_ms) & (opened + timeframe.seconds * 1_000 <= self.now)
        closed &= [(symbol, int(opened_ms)) not in self.missing for opened_ms in opened]
        return Bars(symbol, timeframe, frame[closed], like.venue) if closed.any() else None


def market(symbol="BTC/USDT", timeframe="1h", n=80, seed=1):
    frame = random_walk(n, seed)
    frame.index = pd.date_range("2024-01-01", periods=n, freq=timeframe, tz="UTC", name="timestamp")
    return bars_of(frame, symbol, timeframe)


HOURLY = market()


def feed_of(*series, last=None, **more):
    """Open a feed at the open of bar 40, or where a session was left."""
    venue = Candles(*series, now=int(series[0].opened_ms[FIRST]))
    portfolio = Portfolio(tuple(plan_of(CROSS, bars, GUARDED) for bars in series))
    feed = CandleFeed(venue, portfolio, **more)
    trade_from = venue.now
    if last is not None:
        venue.now = max(last.values()) + 4 * HOUR
    asyncio.run(feed.open(trade_from, last or {}))
    return feed, venue, trade_from


def take(feed):
    return asyncio.run(feed.take())


def opens(moment):
    return {slot: int(bar.opened_ms[0]) for slot, bar in moment.closing.items()}


def test_a_bar_is_given_out_when_the_venues_clock_says_that_it_is_closed():
    feed, venue, start = feed_of(HOURLY)
    assert (int(feed.histories()[0].opened_ms[-1]), feed.next_ms()) == (start - HOUR, start + HOUR)
    venue.now = start + HOUR - 1
    assert take(feed) is None
    venue.now = start + HOUR
    moment = take(feed)
    assert (opens(moment), moment.time_ms, moment.bar_ms) == ({0: start}, start + HOUR, start)
    assert feed.next_ms() == start + 2 * HOUR
    assert take(feed) is None


def test_bars_that_were_missed_come_one_by_one_oldest_first():
    feed, venue, start = feed_of(HOURLY)
    venue.now = start + 4 * HOUR
    taken = [take(feed) for _ in range(4)]
    assert [moment.time_ms for moment in taken] == [start + n * HOUR for n in (1, 2, 3, 4)]
    assert venue.asked == 2, "one request brought them all"
    assert take(feed) is None


def test_where_a_bar_is_due_and_not_there_it_is_asked_for_every_second():
    feed, venue, start = feed_of(HOURLY)
    venue.missing, venue.now = {(BTC, start)}, start + HOUR
    assert take(feed) is None
    assert feed.next_ms() == start + HOUR + 1_000
    venue.missing, venue.now = set(), start + HOUR + 1_000
    assert opens(take(feed)) == {0: start}


def test_a_gap_is_passed_over_once_a_later_bar_is_closed():
    feed, venue, start = feed_of(HOURLY)
    venue.missing, venue.now = {(BTC, start), (BTC, start + HOUR)}, start + 2 * HOUR
    assert take(feed) is None
    venue.now = start + 3 * HOUR
    assert opens(take(feed)) == {0: start + 2 * HOUR}


def test_a_bar_that_is_revised_is_told_once_and_not_given_out_again():
    feed, venue, start = feed_of(HOURLY)
    venue.now = start + HOUR
    take(feed)
    frame = HOURLY.frame.copy()
    frame.loc[frame.index[FIRST], "volume"] += 1.0
    venue.series[HOURLY.symbol, HOURLY.timeframe] = frame
    for venue.now in (start + 2 * HOUR, start + 3 * HOUR):
        assert opens(take(feed)) == {0: venue.now - HOUR}
    assert [(notice.kind, notice.detail["bar_ms"]) for notice in feed.notices] == [("bar_revised", start)]


def test_a_venue_that_does_not_answer_is_asked_again():
    feed, venue, start = feed_of(HOURLY)
    venue.now, venue.silent = start + HOUR, True
    assert take(feed) is None
    venue.silent = False
    assert opens(take(feed)) == {0: start}


def test_slots_whose_bars_close_together_are_given_together():
    other = market("ETH/USDT", seed=2)
    feed, venue, start = feed_of(HOURLY, other)
    venue.missing, venue.now = {(other.symbol, start)}, start + HOUR
    assert take(feed) is None, "the other's bar may still come"
    venue.missing, venue.now = set(), start + HOUR + 1_000
    moment = take(feed)
    assert (opens(moment), moment.late) == ({0: start, 1: start}, False)


def test_where_one_bar_stays_away_the_others_go_on_and_it_is_late_when_it_comes():
    other = market("ETH/USDT", seed=2)
    feed, venue, start = feed_of(HOURLY, other)
    venue.missing, venue.now = {(other.symbol, start)}, start + HOUR + 2_000
    moment = take(feed)
    assert (opens(moment), moment.bar_ms) == ({0: start}, start)
    venue.missing, venue.now = set(), start + HOUR + 5_000
    moment = take(feed)
    assert (opens(moment), moment.late, moment.bar_ms) == ({1: start}, True, None)
    venue.now = start + 2 * HOUR
    moment = take(feed)
    assert (opens(moment), moment.late) == ({0: start + HOUR, 1: start + HOUR}, False)


def test_after_a_restart_what_another_slot_decided_on_already_is_late():
    other = market("ETH/USDT", seed=2)
    start = int(HOURLY.opened_ms[FIRST])
    feed, _, _ = feed_of(HOURLY, other, last={0: start + HOUR, 1: start})
    moment = take(feed)
    assert (opens(moment), moment.late) == ({1: start + HOUR}, True)
    assert opens(take(feed)) == {0: start + 2 * HOUR, 1: start + 2 * HOUR}


def test_a_restart_begins_after_the_last_bar_that_was_decided_on():
    start = int(HOURLY.opened_ms[FIRST])
    feed, _, _ = feed_of(HOURLY, last={0: start + HOUR})
    assert int(feed.histories()[0].opened_ms[-1]) == start + HOUR
    assert opens(take(feed)) == {0: start + 2 * HOUR}
    assert opens(take(feed)) == {0: start + 3 * HOUR}


def test_two_timeframes_meet_where_both_close():
    slow = market("ETH/USDT", "4h", n=30, seed=3)
    feed, venue, start = feed_of(HOURLY, slow)
    venue.now = start + 4 * HOUR
    taken = [take(feed) for _ in range(4)]
    assert [set(opens(moment)) for moment in taken] == [{0}, {0}, {0}, {0, 1}]
    assert [moment.bar_ms for moment in taken] == [start + n * HOUR for n in range(4)]


def test_the_end_is_the_end():
    feed, venue, start = feed_of(HOURLY, until_ms=int(HOURLY.opened_ms[FIRST]) + HOUR)
    venue.now = start + HOUR
    take(feed)
    assert feed.next_ms() is None


def test_too_few_bars_for_the_warm_up_are_refused():
    venue = Candles(HOURLY, now=int(HOURLY.opened_ms[1]))
    feed = CandleFeed(venue, Portfolio((plan_of(CROSS, HOURLY, GUARDED),)))
    with pytest.raises(DataError, match=r"bars to warm up.*1 bar of BTC/USDT"):
        asyncio.run(feed.open(venue.now, {}))
    venue.now = int(HOURLY.opened_ms[0])
    with pytest.raises(DataError, match="0 bars"):
        asyncio.run(feed.open(venue.now, {}))

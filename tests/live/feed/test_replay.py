"""The replay feed: which bars close and open at each moment, over slots of their own timeframes, starts and holes."""

import asyncio

import numpy as np
import pandas as pd
import pytest

from atb.engine.kernel_input import distinct
from atb.errors import DataError, InputError
from atb.live.feed.market import Moment
from atb.live.feed.replay import ReplayFeed, first_traded, replay_feed
from atb.live.portfolio import Portfolio
from atb.times import at_ms, short
from tests.bars import START, bars_of, random_walk
from tests.live.desk import first_open, warm_result

HOUR = 3_600_000


def all_of(feed):
    found = []
    while (moment := asyncio.run(feed.take())) is not None:
        found.append(moment)
    return found


def walk(n, seed, freq="h", timeframe="1h", symbol="BTC/USDT", without=()):
    """Return a random market without some of its rows."""
    frame = random_walk(n, seed)
    frame.index = pd.date_range(START, periods=n, freq=freq, tz="UTC", name="timestamp")
    return bars_of(frame.drop(frame.index[list(without)]), symbol, timeframe)


def test_a_moment_closes_one_bar_and_opens_the_next():
    bars = walk(4, 1)
    feed = ReplayFeed({0: bars}, {0: int(bars.opened_ms[2])})
    assert len(feed) == 2
    assert [len(frame) for frame in feed.histories().values()] == [2]
    first, second, last = all_of(feed)
    assert (first.closing, list(first.opening), first.bar_ms) == ({}, [0], None)
    assert (second.bar_ms, second.closing[0].opened_ms[0]) == (bars.opened_ms[2], bars.opened_ms[2])
    assert second.time_ms == second.opening[0].opened_ms[0] == bars.opened_ms[3]
    assert (last.time_ms, last.opening) == (bars.closed_ms[3], {})
    assert feed.next_ms() is None


def test_a_hole_parts_a_close_from_the_open_after_it():
    bars = walk(5, 1, without=(2, 3))
    times = [(moment.time_ms - int(bars.opened_ms[0])) // HOUR for moment in all_of(ReplayFeed({0: bars}, {0: 0}))]
    assert times == [0, 1, 2, 4, 5]


def test_slots_of_their_own_timeframes_meet_at_the_same_moments_as_in_a_backtest():
    hours, fours = walk(24, 1, without=(3, 4, 11, 12)), walk(6, 2, "4h", "4h", "ETH/USDT", without=(2,))
    moments = all_of(ReplayFeed({0: hours, 1: fours}, {0: 0, 1: 0}))
    times = [array for bars in (hours, fours) for array in (bars.opened_ms, bars.closed_ms)]
    assert [moment.time_ms for moment in moments] == distinct(np.concatenate(times)).tolist()
    for slot, bars in enumerate((hours, fours)):
        closed = [int(moment.closing[slot].opened_ms[0]) for moment in moments if slot in moment.closing]
        opened = [int(moment.opening[slot].opened_ms[0]) for moment in moments if slot in moment.opening]
        assert closed == opened == bars.opened_ms.tolist()


def test_every_moment_with_a_close_has_a_bar_of_its_own():
    """A longer bar that closes alone counts as the finest bar ending with it: equity has one value per bar."""
    hours, fours = walk(24, 1, without=(3, 7)), walk(6, 2, "4h", "4h", "ETH/USDT")
    bars = [moment.bar_ms for moment in all_of(ReplayFeed({0: hours, 1: fours}, {0: 0, 1: 0})) if moment.closing]
    assert len(set(bars)) == len(bars) == 24
    assert bars == sorted(bars)


def test_a_month_is_told_by_its_own_open():
    frame = random_walk(3, 1)
    frame.index = pd.date_range(START, periods=3, freq="MS", tz="UTC", name="timestamp")
    months = bars_of(frame, timeframe="1M")
    bars_of_equity = [moment.bar_ms for moment in all_of(ReplayFeed({0: months}, {0: 0})) if moment.closing]
    assert bars_of_equity == months.opened_ms.tolist()
    assert Moment(0).bar_ms is None


def test_a_slot_that_was_traded_further_than_another_goes_on_from_its_own_bar():
    frame, other = walk(6, 1), walk(6, 2, symbol="ETH/USDT")
    feed = ReplayFeed({0: frame, 1: other}, {0: int(frame.opened_ms[4]), 1: int(other.opened_ms[2])})
    assert {slot: len(bars) for slot, bars in feed.histories().items()} == {0: 4, 1: 2}
    moments = all_of(feed)
    assert [sorted(moment.closing) for moment in moments] == [[], [1], [1], [0, 1], [0, 1]]


@pytest.fixture
def stocked(sqlite_desk):
    """A desk with a market and the portfolio of one plan over it."""
    result = warm_result(sqlite_desk.stock(1_000, 3))
    return sqlite_desk, Portfolio((sqlite_desk.plan(sqlite_desk.promote(result)),)), result


def test_the_default_start_is_30_days_before_the_end_but_after_the_warm_up(stocked, tmp_path):
    desk, portfolio, result = stocked
    bars = result.bars[0]
    assert first_traded(portfolio, desk.bars_root, None) == bars.closed_ms[-1] - 30 * 24 * HOUR
    assert first_traded(portfolio, desk.bars_root, "2024-01-20") == pd.Timestamp("2024-01-20", tz="UTC").value // 10**6


def test_a_short_series_starts_after_its_warm_up(sqlite_desk):
    result = warm_result(sqlite_desk.stock(60, 3))
    portfolio = Portfolio((sqlite_desk.plan(sqlite_desk.promote(result)),))
    assert first_traded(portfolio, sqlite_desk.bars_root, None) == result.index[0].value // 10**6


def test_a_feed_from_the_catalogue_holds_the_warm_up_and_goes_on_after_the_last_bar(stocked):
    desk, portfolio, result = stocked
    start = first_traded(portfolio, desk.bars_root, first_open(result))
    whole = replay_feed(portfolio, desk.bars_root, trade_from_ms=start)
    assert (len(whole.histories()[0]), len(whole)) == (portfolio.plans[0].warmup, len(result.index))
    last = int(result.bars[0].opened_ms[100])
    later = replay_feed(portfolio, desk.bars_root, trade_from_ms=start, last_bars={0: last})
    assert (len(later.histories()[0]), later.next_ms()) == (101, last + HOUR)


def test_a_new_session_without_a_bar_is_refused_and_an_old_one_is_not(stocked):
    desk, portfolio, result = stocked
    end = int(result.bars[0].closed_ms[-1])
    with pytest.raises(DataError, match=f"stored from .* up to {short(at_ms(end))}; found '{short(at_ms(end))} to"):
        replay_feed(portfolio, desk.bars_root, trade_from_ms=end)
    with pytest.raises(InputError, match="No bar to trade"):  # the last bar is open then: none opens later
        replay_feed(portfolio, desk.bars_root, trade_from_ms=end - HOUR // 2)
    done = replay_feed(
        portfolio, desk.bars_root, trade_from_ms=end - 50 * HOUR, last_bars={0: int(result.bars[0].opened_ms[-1])}
    )
    assert (len(done), done.next_ms()) == (0, None)


def test_bars_that_are_missing_for_the_warm_up_are_an_error(stocked):
    desk, portfolio, result = stocked
    with pytest.raises(DataError, match="needed before"):
        replay_feed(portfolio, desk.bars_root, trade_from_ms=int(result.bars[0].opened_ms[2]))


def test_a_portfolio_is_replayed_as_far_as_the_bars_of_every_slot_go(sqlite_desk):
    """A bar that is stored later would otherwise come after moments that lie behind it."""
    hours, fours = sqlite_desk.stock(105, 3), sqlite_desk.stock(25, 4, symbol="ETH/USDT", timeframe="4h")
    paths = [sqlite_desk.promote(warm_result(bars), f"slot-{n}") for n, bars in enumerate((hours, fours))]
    portfolio, start = sqlite_desk.portfolio(*paths), int(fours.opened_ms[10])
    feed = replay_feed(portfolio, sqlite_desk.bars_root, trade_from_ms=start)
    moments = all_of(feed)
    assert moments[-1].time_ms == fours.opened_ms[0] + 103 * HOUR  # at 104 a bar of four hours is missing
    short = replay_feed(portfolio, sqlite_desk.bars_root, trade_from_ms=start, until="2024-01-03 22:00")
    count, given = len(short), all_of(short)
    assert given[-1].time_ms == fours.opened_ms[0] + 70 * HOUR  # within a bar of four hours that has opened
    assert count == sum(len(moment.closing) for moment in given) == 30 + 7

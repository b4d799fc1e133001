"""Inputs of a live session: waited for like the slot's own bar, never replaced by an older row, and given once."""

import asyncio

import numpy as np
import pandas as pd
import pytest

from atb.domain import BarsInput, SentimentInput, Symbol, Timeframe, UniverseInput
from atb.domain.input_series import InputSeries
from atb.errors import DataError, VenueError
from atb.live.feed.candles import CandleFeed
from atb.live.feed.inputs import CatalogueEvents
from atb.live.journal.handed_inputs import handed_inputs, record_of
from tests.bars import bars_of, random_walk
from tests.input_strategies import Fearful, Members, OtherSymbol, SlowTrend, mood_frame, resampled
from tests.live.exchange_harness import HOUR, Portfolio, plan_of
from tests.live.fake_broker import GUARDED
from tests.live.feed.test_candles import Candles

FIRST = 300
HOURLY = bars_of(random_walk(360, 3))
OTHER = bars_of(random_walk(360, 9), "ETH/USDT")
FOURS = resampled(HOURLY, "4h")
START = int(HOURLY.opened_ms[FIRST])  # the open of a slower bar too


class Recorded:
    """A source that knows all rows from the start, or does not answer."""

    def __init__(self, frame):
        self.frame, self.silent = frame, False

    async def rows(self, declared):
        if self.silent:
            raise DataError("the source does not answer")
        return InputSeries.of_events(declared, self.frame)


def feed_of(strategy, *series, events=None, now=START, last=None):
    venue = Candles(*series, now=now)
    feed = CandleFeed(venue, Portfolio((plan_of(strategy, HOURLY, GUARDED),)), events=events)
    asyncio.run(feed.open(START, {} if last is None else {0: last}))
    return feed, venue


def take(feed):
    return asyncio.run(feed.take())


def run_on(feed, venue, hours):
    """Let whole hours pass one by one, and return the moments."""
    found = []
    for _ in range(hours):
        venue.now += HOUR
        found.append(take(feed))
    return found


def grown(feed, moments, name):
    """Return the rows known at the start, with those that each moment brought."""
    rows = feed.input_histories()[0][name]
    for moment in moments:
        rows = rows.appended(moment.inputs[0][name])
    return rows


def test_a_slower_bar_is_given_at_the_moment_at_which_it_closes():
    feed, venue = feed_of(SlowTrend(), HOURLY, FOURS)
    moments = run_on(feed, venue, 12)
    assert [len(moment.inputs[0]["slow"]) for moment in moments] == [0, 0, 0, 1] * 3
    wanted = InputSeries.of_bars(BarsInput("4h", "BTC/USDT"), FOURS)
    assert grown(feed, moments, "slow").known_ms[-1] == START + 12 * HOUR
    assert np.isin(grown(feed, moments, "slow").stated_ms, wanted.stated_ms).all()


def test_the_start_has_the_warm_up_before_the_first_bar_of_the_window():
    strategy = SlowTrend()
    feed, _ = feed_of(strategy, HOURLY, FOURS)
    rows = feed.input_histories()[0]["slow"]
    first_close = START - strategy.warmup * HOUR
    assert np.searchsorted(rows.known_ms, first_close, side="right") == strategy.inputs["slow"].warmup + 1
    assert rows.known_ms[-1] <= START


def test_a_slower_bar_that_is_not_there_yet_is_waited_for():
    feed, venue = feed_of(SlowTrend(), HOURLY, FOURS)
    run_on(feed, venue, 3)
    venue.missing.add((FOURS.symbol, START))  # the hourly bar of this open is given already
    venue.now += HOUR
    assert take(feed) is None
    assert feed.next_ms() == venue.now + 1_000
    venue.missing.clear()
    venue.now += 1_000
    moment = take(feed)
    assert (moment.time_ms, len(moment.inputs[0]["slow"]), feed.notices) == (START + 4 * HOUR, 1, [])


def test_a_slower_bar_that_stays_away_is_missing_said_once_and_given_with_the_next_decision():
    feed, venue = feed_of(SlowTrend(), HOURLY, FOURS)
    known = run_on(feed, venue, 3)
    venue.missing.add((FOURS.symbol, START))
    venue.now += HOUR + 2_000
    late = take(feed)
    assert (late.time_ms, len(late.inputs[0]["slow"])) == (START + 4 * HOUR, 0)
    (notice,) = feed.notices
    assert (notice.kind, notice.detail["input"], notice.detail["due_ms"]) == ("input_late", "slow", START + 4 * HOUR)
    handed = grown(feed, [*known, late], "slow").known(np.array([START + 3 * HOUR, START + 4 * HOUR]))
    assert np.isfinite(handed.as_of("close")).tolist() == [True, False]
    feed.notices.clear()
    venue.now += HOUR
    assert (len(take(feed).inputs[0]["slow"]), feed.notices) == (0, [])
    venue.missing.clear()
    venue.now += HOUR
    assert len(take(feed).inputs[0]["slow"]) == 1


def test_bars_that_were_missed_are_decided_on_with_what_was_known_at_each():
    feed, venue = feed_of(SlowTrend(), HOURLY, FOURS)
    venue.now += 9 * HOUR
    counts = [len(take(feed).inputs[0]["slow"]) for _ in range(9)]
    assert counts == [0, 0, 0, 1, 0, 0, 0, 1, 0]


def test_a_restart_goes_on_with_the_rows_that_were_known_at_its_last_decision():
    feed, venue = feed_of(SlowTrend(), HOURLY, FOURS)
    moments = run_on(feed, venue, 6)
    again, _ = feed_of(SlowTrend(), HOURLY, FOURS, now=venue.now, last=START + 5 * HOUR)
    rows = again.input_histories()[0]["slow"]
    assert rows.stated_ms[-1] == grown(feed, moments, "slow").stated_ms[-1] == START


def test_the_other_symbols_bar_comes_with_the_slots_own():
    feed, venue = feed_of(OtherSymbol(), HOURLY, OTHER)
    assert [len(moment.inputs[0]["other"]) for moment in run_on(feed, venue, 5)] == [1] * 5


def test_a_value_of_sentiment_is_given_once_it_is_published():
    events = Recorded(mood_frame(HOURLY.frame.index))
    feed, venue = feed_of(Fearful(), HOURLY, events=events)
    moments = run_on(feed, venue, 30)
    rows = grown(feed, moments, "mood")
    assert (np.diff(rows.known_ms) >= 0).all()
    given = [moment.time_ms for moment in moments if len(moment.inputs[0]["mood"])]
    wanted = InputSeries.of_events(SentimentInput(), events.frame).known_ms
    assert given == [next(t.time_ms for t in moments if t.time_ms >= one) for one in wanted if START < one <= venue.now]
    assert given


def test_a_source_that_does_not_answer_leaves_the_input_missing_by_its_age():
    mood = mood_frame(HOURLY.frame.index)
    events = Recorded(mood[mood["published"] <= HOURLY.frame.index[FIRST]])
    feed, venue = feed_of(Fearful(), HOURLY, events=events)
    events.silent = True
    moments = run_on(feed, venue, 50)
    assert all(len(moment.inputs[0]["mood"]) == 0 for moment in moments)
    closes = np.array([START, venue.now])
    assert np.isfinite(grown(feed, moments, "mood").known(closes).as_of("value")).tolist() == [True, False]
    assert [notice.kind for notice in feed.notices] == ["input_too_old"]


def test_a_symbol_that_is_listed_during_a_session_is_given_from_its_listing_on_and_journalled():
    listed = pd.DataFrame({"BTC/USDT": [1.0, 1.0]}, index=HOURLY.frame.index[[0, 100]])
    events = Recorded(listed)
    feed, venue = feed_of(Members(), HOURLY, events=events)
    moments = run_on(feed, venue, 2)
    later = pd.DataFrame({"BTC/USDT": [1.0]}, index=[pd.Timestamp(venue.now, unit="ms", tz="UTC")])
    events.frame = pd.concat([listed, later.assign(**{"SOL/USDT": 1.0})])
    moments += run_on(feed, venue, 2)
    assert [len(moment.inputs[0]["members"]) for moment in moments] == [0, 0, 1, 0]
    known = grown(feed, moments, "members").known(np.array([venue.now]))
    assert list(known.frame.columns) == ["BTC/USDT", "SOL/USDT"]
    start, new = feed.input_histories()[0]["members"], moments[2].inputs[0]["members"]
    decided = [{"inputs": {"members": record_of(rows, rows)}} for rows in (start, new)]
    again = handed_inputs({"members": UniverseInput("large")}, decided)["members"]
    assert again.known(np.array([venue.now])).frame.equals(known.frame)


def test_a_start_without_the_rows_or_without_a_source_is_one_error():
    with pytest.raises(DataError, match="warm up"):
        feed_of(SlowTrend(n=60), HOURLY, FOURS)
    with pytest.raises(DataError, match="no source of fear_greed"):
        feed_of(Fearful(), HOURLY)
    with pytest.raises((DataError, VenueError, KeyError)):
        feed_of(OtherSymbol(), HOURLY)


def test_the_catalogue_is_a_source_of_events(tmp_path):
    from atb.data.catalogue.events import save_events, sentiment_at

    mood = mood_frame(HOURLY.frame.index)[["value", "published"]]
    later = pd.Timestamp("2026-01-01", tz="UTC")
    save_events(sentiment_at(tmp_path, "fear_greed"), mood, source="a test", fetched=later)
    declared = SentimentInput().resolved(Symbol.parse("BTC/USDT"), Timeframe.parse("1h"))
    rows = asyncio.run(CatalogueEvents(tmp_path).rows(declared))
    assert rows is not None
    assert len(rows) == len(mood)
    with pytest.raises(DataError, match="No sentiment of tweets"):
        asyncio.run(CatalogueEvents(tmp_path).rows(SentimentInput("tweets")))

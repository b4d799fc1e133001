"""Timeframe: a minute is not a month, the arithmetic is UTC, a year is 365 days."""

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.domain import Timeframe
from atb.errors import InputError
from tests.bars import pandas_freq

ALL = ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]
moments = st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize("text", ALL)
def test_every_timeframe_reads_back(text):
    assert str(Timeframe.parse(text)) == text
    assert Timeframe.parse(Timeframe.parse(text)) == Timeframe.parse(text)


def test_a_minute_is_not_a_month():
    assert (Timeframe.parse("1m").seconds, Timeframe.parse("1M").bars_per_year) == (60, 12)


@pytest.mark.parametrize(
    ("alias", "text"), [("1H", "1h"), ("1D", "1d"), ("1W", "1w"), ("60m", "1h"), ("1mo", "1M"), ("1min", "1m")]
)
def test_reads_the_spellings_of_other_tools(alias, text):
    assert str(Timeframe.parse(alias)) == text


@pytest.mark.parametrize(
    "text", ["", "h", "0h", "01h", "7h", "2d", "5M", "1y", "1 h", "-1h", "1h ", "1hh", "hourly", None, 60, "1M\n"]
)
def test_refuses_what_no_exchange_offers(text):
    with pytest.raises(InputError, match="Use one of 1m 3m 5m"):
        Timeframe.parse(text)


@pytest.mark.parametrize(("count", "unit"), [(7, "h"), (0, "m"), (1, "x"), (2, "M")])
def test_cannot_be_built_with_a_length_that_does_not_exist(count, unit):
    with pytest.raises(InputError, match="Not a timeframe"):
        Timeframe(count, unit)


@pytest.mark.parametrize(("text", "bars"), [("1m", 525_600), ("1h", 8_760), ("4h", 2_190), ("1d", 365), ("1M", 12)])
def test_a_year_has_365_days(text, bars):
    assert Timeframe.parse(text).bars_per_year == bars


@pytest.mark.parametrize(
    ("text", "moment", "opened"),
    [
        ("1h", "2024-02-29 13:59:59", "2024-02-29 13:00"),
        ("4h", "2024-02-29 13:59", "2024-02-29 12:00"),
        ("1d", "2024-02-29 23:59", "2024-02-29 00:00"),
        ("1w", "2024-03-03 23:59", "2024-02-26 00:00"),
        ("1M", "2024-02-29 23:59", "2024-02-01 00:00"),
    ],
)
def test_floor_finds_the_bar_around_a_moment(text, moment, opened):
    assert Timeframe.parse(text).floor(datetime.fromisoformat(moment).replace(tzinfo=UTC)) == pd.Timestamp(
        opened, tz="UTC"
    )


def test_floor_of_another_zone_is_the_same_bar():
    berlin = datetime(2024, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert Timeframe.parse("1d").floor(berlin) == datetime(2023, 12, 31, tzinfo=UTC)


def test_floor_refuses_a_moment_without_a_zone():
    with pytest.raises(InputError, match="needs a time zone"):
        Timeframe.parse("1h").floor(datetime(2024, 1, 1))  # noqa: DTZ001


@given(text=st.sampled_from(ALL), moment=moments)
def test_a_moment_lies_in_its_bar(text, moment):
    timeframe = Timeframe.parse(text)
    opened = timeframe.floor(moment)
    assert opened <= moment < timeframe.next(opened)
    assert timeframe.floor(opened) == opened
    assert timeframe.floor(timeframe.next(opened)) == timeframe.next(opened)


@given(text=st.sampled_from(ALL), moment=moments)
def test_milliseconds_and_datetimes_agree_on_the_next_bar(text, moment):
    timeframe = Timeframe.parse(text)
    opened = timeframe.floor(moment)
    assert timeframe.next_ms(int(opened.timestamp()) * 1_000) == int(timeframe.next(opened).timestamp()) * 1_000


@pytest.mark.parametrize("text", ALL)
def test_the_timeframe_steps_like_the_frequency_of_pandas(text):
    timeframe = Timeframe.parse(text)
    first = timeframe.floor(datetime(2024, 1, 31, tzinfo=UTC))
    dates = pd.date_range(first, periods=15, freq=pandas_freq(timeframe))
    assert [timeframe.next(date) for date in dates[:-1]] == list(dates[1:])

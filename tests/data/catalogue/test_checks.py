"""The grid of each timeframe, and the duration that rows tell by themselves."""

import numpy as np
import pandas as pd
import pytest

from atb.data.catalogue.checks import check_bars, check_grid, infer_timeframe
from atb.domain import Bars, Symbol, Timeframe
from atb.errors import DataError
from atb.times import in_ms
from tests.bars import pandas_freq, random_walk

ALL = ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]


def opens(text, n=30):
    """Return open times (epoch ms) of `n` bars of a timeframe."""
    timeframe = Timeframe.parse(text)
    first = timeframe.floor(pd.Timestamp("2024-01-31", tz="UTC"))
    return pd.date_range(first, periods=n, freq=pandas_freq(timeframe)).as_unit("ms").asi8


@pytest.mark.parametrize("text", ALL)
def test_bars_on_the_grid_pass_and_tell_their_timeframe(text):
    assert check_grid(opens(text), Timeframe.parse(text)) == ()
    assert str(infer_timeframe(opens(text))) == text


@pytest.mark.parametrize("text", ALL)
def test_each_bar_closes_when_the_next_one_opens(text):
    opened = opens(text)
    np.testing.assert_array_equal(Timeframe.parse(text).closes_ms(opened)[:-1], opened[1:])


@pytest.mark.parametrize(
    ("text", "shift"),
    [("1m", 1), ("1h", 60_000), ("4h", 3_600_000), ("1d", 3_600_000), ("1w", 86_400_000), ("1M", 86_400_000)],
)
def test_bars_off_the_grid_are_refused(text, shift):
    with pytest.raises(DataError, match=f"30 bars are not on the grid of {text}, first in row 1"):
        check_grid(opens(text) + shift, Timeframe.parse(text))


def test_several_days_may_be_counted_from_any_midnight_but_only_from_one():
    opened = opens("3d") + 86_400_000
    assert check_grid(opened, Timeframe.parse("3d")) == ()
    opened[20:] += 86_400_000
    with pytest.raises(DataError, match="10 bars are not on the grid of 3d, first in row 21"):
        check_grid(opened, Timeframe.parse("3d"))


@pytest.mark.parametrize("text", ALL)
def test_a_hole_is_found_with_its_edges(text):
    opened = opens(text)
    ((start, end),) = check_grid(np.delete(opened, [7, 8]), Timeframe.parse(text))
    assert [in_ms(start), in_ms(end)] == [opened[7], opened[9]]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (random_walk(3).assign(extra=1), "Bars have the columns open, high, low, close, volume"),
        (random_walk(3)[["close", "open", "high", "low", "volume"]], "Bars have the columns"),
        (random_walk(3).reset_index(drop=True), "indexed by UTC timestamps"),
        (random_walk(3).tz_localize(None), "indexed by UTC timestamps"),
        (random_walk(3).tz_convert("Europe/Berlin"), "indexed by UTC timestamps"),
        (random_walk(3).iloc[:0], "There are no bars"),
    ],
)
def test_frames_that_are_no_bars_are_refused(frame, message):
    with pytest.raises(DataError, match=message):
        check_bars(Bars(Symbol("BTC", "USDT"), Timeframe(1, "h"), frame, "test"))

"""Inputs: declarations, what is known at each bar, and what of it is handed over."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.domain import BarsInput, FundingInput, SentimentInput, Symbol, Timeframe, UniverseInput
from atb.domain.input_series import InputSeries
from atb.domain.inputs import declared_inputs, duration_ms, input_from_json, input_to_json
from atb.errors import DataError, InputError
from tests.bars import bars_of, frame_of

HOUR, DAY = 3_600_000, 86_400_000
SLOW = BarsInput(timeframe="4h").resolved(Symbol.parse("BTC/USDT"), Timeframe.parse("1h"))
START = int(pd.Timestamp("2024-01-01", tz="UTC").value // 1_000_000)


def slow_series(count: int, *, declared: BarsInput = SLOW, without: tuple[int, ...] = ()) -> InputSeries:
    frame = frame_of(np.arange(1.0, count + 1), freq="4h").drop(
        index=[pd.Timestamp(START + 4 * HOUR * n, unit="ms", tz="UTC") for n in without]
    )
    return InputSeries.of_bars(declared, bars_of(frame, timeframe="4h"))


def hours(count: int, *, first: int = 0) -> np.ndarray:
    """Return the closes of `count` hourly bars."""
    return START + HOUR * np.arange(first + 1, first + count + 1, dtype=np.int64)


def mood(days: list[str], published: list[str], seen: list[str | None] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({"value": np.arange(1.0, len(days) + 1)}, index=pd.DatetimeIndex(days, tz="UTC"))
    frame["published"] = pd.to_datetime(published, utc=True)
    return frame if seen is None else frame.assign(first_seen=pd.to_datetime(seen, utc=True))


def test_a_slower_bar_counts_from_its_close_and_not_before():
    known = slow_series(3).known(hours(9))
    np.testing.assert_array_equal(known.as_of("close"), [np.nan] * 3 + [1.0] * 4 + [2.0] * 2)


@pytest.mark.parametrize("named", [{"symbol": "btcusdt"}, {"symbol": "BTC/USDT", "timeframe": "4h"}, {}])
def test_another_symbol_must_be_another_one(named):
    with pytest.raises(InputError, match="the traded one itself"):
        BarsInput(**named, another=True).resolved(Symbol.parse("BTC/USDT"), Timeframe.parse("1h"))
    other = BarsInput(symbol="ETH/USDT", another=True).resolved(Symbol.parse("BTC/USDT"), Timeframe.parse("1h"))
    assert other == BarsInput(symbol="ETH/USDT", timeframe="1h")


def test_a_strategy_gets_no_row_that_was_not_known_at_its_newest_bar():
    known = slow_series(3).known(hours(7))
    assert len(known) == 1
    assert known.frame.index[-1] == pd.Timestamp("2024-01-01", tz="UTC")
    assert known.known_ms.tolist() == [START + 4 * HOUR]


def test_a_hole_in_slower_bars_is_missing_and_not_the_bar_before_it():
    known = slow_series(4, without=(1,)).known(hours(16))
    np.testing.assert_array_equal(known.as_of("close"), [np.nan] * 3 + [1.0] * 4 + [np.nan] * 4 + [3.0] * 4 + [4.0])


def test_a_longer_age_lets_a_bar_count_over_a_hole():
    declared = BarsInput(timeframe="4h", symbol="BTC/USDT", max_age="6h")
    known = slow_series(4, declared=declared, without=(1,)).known(hours(12))
    np.testing.assert_array_equal(known.as_of("close"), [np.nan] * 3 + [1.0] * 7 + [np.nan] + [3.0])


def test_a_column_is_computed_on_the_inputs_own_rows_and_then_aligned():
    known = slow_series(4).known(hours(16))
    close = known.frame["close"].to_numpy()
    np.testing.assert_array_equal(known.as_of(close * 2), known.as_of("close") * 2)
    np.testing.assert_array_equal(known.as_of(list(close)), known.as_of("close"))


def test_what_is_no_column_of_the_input_is_refused():
    known = slow_series(4).known(hours(16))
    with pytest.raises(InputError, match=r"no such column.*clsoe.*close"):
        known.as_of("clsoe")
    with pytest.raises(InputError, match="one value per row"):
        known.as_of(np.ones(16))


def test_what_is_handed_over_cannot_be_written():
    known = slow_series(4).known(hours(16))
    with pytest.raises(ValueError, match="read-only"):
        known.known_ms[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        known.rows[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        known.frame["close"].to_numpy()[0] = 0.0


def test_the_rows_begin_the_warm_up_before_the_row_known_at_the_first_bar():
    series = slow_series(12, declared=BarsInput(timeframe="4h", symbol="BTC/USDT", warmup=2))
    known = series.known(hours(5, first=23))  # the first bar closes with the sixth slow one
    assert known.frame["close"].tolist() == [4.0, 5.0, 6.0, 7.0]
    assert np.isfinite(known.as_of("close")).all()


def test_sentiment_counts_from_its_publication_and_not_from_its_stated_day():
    series = InputSeries.of_events(
        SentimentInput(), mood(["2024-01-01", "2024-01-02"], ["2024-01-02 00:00", "2024-01-03 06:00"])
    )
    found = series.known(hours(60)).as_of("value")
    np.testing.assert_array_equal(found[:23], np.nan)
    np.testing.assert_array_equal(found[23:53], 1.0)
    np.testing.assert_array_equal(found[53:], 2.0)


def test_sentiment_seen_late_counts_from_when_it_was_seen():
    frame = mood(["2024-01-01"], ["2024-01-02"], ["2024-01-02 05:00"])
    found = InputSeries.of_events(SentimentInput(), frame).known(hours(40)).as_of("value")
    np.testing.assert_array_equal(np.isnan(found), np.arange(40) < 28)


def test_sentiment_never_seen_live_counts_from_its_publication():
    frame = mood(["2024-01-01", "2024-01-02"], ["2024-01-02", "2024-01-03"], [None, "2024-01-03 01:00"])
    assert InputSeries.of_events(SentimentInput(), frame).known_ms.tolist() == [START + DAY, START + 2 * DAY + HOUR]


def test_sentiment_is_missing_once_it_is_too_old():
    frame = mood(["2024-01-01"], ["2024-01-02"])
    found = InputSeries.of_events(SentimentInput(max_age="2d"), frame).known(hours(72)).as_of("value")
    np.testing.assert_array_equal(np.isnan(found), (np.arange(72) < 23) | (np.arange(72) >= 48))


def test_a_value_that_came_after_a_later_one_is_left_out():
    frame = mood(
        ["2024-01-01", "2024-01-02", "2024-01-03"], ["2024-01-02", "2024-01-03", "2024-01-04"],
        ["2024-01-02", "2024-01-09", "2024-01-04"],
    )  # fmt: skip
    series = InputSeries.of_events(SentimentInput(), frame)
    assert series.values[:, 0].tolist() == [1.0, 3.0]
    assert (np.diff(series.known_ms) >= 0).all()


def test_funding_counts_from_its_payment_and_until_the_next_is_overdue():
    frame = pd.DataFrame(
        {"funding_rate": [0.1, 0.2]}, index=pd.DatetimeIndex(["2024-01-01 08:00", "2024-01-01 16:00"], tz="UTC")
    )
    found = InputSeries.of_events(FundingInput(symbol="BTC/USDT"), frame).known(hours(26)).as_of("funding_rate")
    np.testing.assert_array_equal(found[:7], np.nan)
    np.testing.assert_array_equal(found[7:15], 0.1)
    np.testing.assert_array_equal(found[15:24], 0.2)
    np.testing.assert_array_equal(found[24:], np.nan)


def test_a_universe_has_a_column_for_each_symbol():
    frame = pd.DataFrame(
        {"BTC/USDT": [1, 1], "LUNA/USDT": [1, 0]}, index=pd.DatetimeIndex(["2024-01-01", "2024-01-02"], tz="UTC")
    )
    known = InputSeries.of_events(UniverseInput("large"), frame).known(hours(26))
    assert known.as_of("LUNA/USDT").tolist() == [1.0] * 23 + [0.0] * 3


def test_a_symbol_that_is_not_listed_yet_has_no_column():
    frame = pd.DataFrame(
        {"BTC/USDT": [1.0, 1.0], "SOL/USDT": [np.nan, 1.0]},
        index=pd.DatetimeIndex(["2024-01-01", "2024-01-02"], tz="UTC"),
    )
    series = InputSeries.of_events(UniverseInput("large"), frame)
    assert list(series.known(hours(20)).frame.columns) == ["BTC/USDT"]
    assert list(series.known(hours(25)).frame.columns) == ["BTC/USDT", "SOL/USDT"]


@given(first=st.integers(0, 60), count=st.integers(1, 40), later=st.integers(0, 40), warmup=st.integers(0, 5))
def test_what_comes_later_and_how_much_came_before_changes_nothing(first, count, later, warmup):
    declared = BarsInput(timeframe="4h", symbol="BTC/USDT", warmup=warmup)
    series = slow_series(40, declared=declared, without=(3, 7, 8))
    whole = series.known(hours(first + count + later)).as_of("close")[first : first + count]
    np.testing.assert_array_equal(series.known(hours(count, first=first)).as_of("close"), whole)


@given(cut=st.integers(0, 12), overlap=st.integers(0, 3))
def test_rows_added_as_they_come_are_the_rows_of_the_whole(cut, overlap):
    series = slow_series(12, without=(5,))
    grown = series.part(0, cut).appended(series.part(max(0, cut - overlap), len(series)))
    assert grown.fingerprint == series.fingerprint


def test_a_universe_that_has_changed_is_added_to_with_the_symbols_of_both():
    days = pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-03"], tz="UTC")
    before = pd.DataFrame({"BTC/USDT": [1.0, 1.0], "GONE/USDT": [1.0, 1.0]}, index=days[:2])
    after = pd.DataFrame({"SOL/USDT": [np.nan, np.nan, 1.0], "BTC/USDT": [1.0, 1.0, 1.0]}, index=days)
    first, second = (InputSeries.of_events(UniverseInput("large"), frame) for frame in (before, after))
    grown = first.appended(second)
    assert grown.columns == ("SOL/USDT", "BTC/USDT", "GONE/USDT")
    np.testing.assert_array_equal(grown.values, [[np.nan, 1, 1], [np.nan, 1, 1], [1, 1, np.nan]])
    assert list(grown.known(hours(60)).frame.columns) == ["SOL/USDT", "BTC/USDT"]


def test_rows_of_another_input_cannot_be_added():
    other = replace(slow_series(3), declared=BarsInput(timeframe="4h", symbol="ETH/USDT"))
    with pytest.raises(InputError, match="another input"):
        slow_series(3).appended(other)


def test_bars_of_another_series_are_refused():
    with pytest.raises(InputError, match="another series"):
        InputSeries.of_bars(SLOW, bars_of(frame_of(np.ones(3))))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (mood(["2024-01-02"], ["2024-01-01"]), "before its stated time"),
        (mood(["2024-01-02"], [None]), "no publication"),
        (mood(["2024-01-02", "2024-01-01"], ["2024-01-03", "2024-01-03"]), "time order"),
        (mood(["2024-01-01"], ["2024-01-02"]).drop(columns="published"), "lacks a column"),
        (mood(["2024-01-01"], ["2024-01-02"]).tz_localize(None), "must be UTC"),
    ],
)
def test_events_that_do_not_say_when_they_were_known_are_refused(frame, message):
    with pytest.raises(DataError, match=message):
        InputSeries.of_events(SentimentInput(), frame)


def test_the_fingerprint_covers_what_the_rows_are_of_and_when_they_were_known():
    days, published = ["2024-01-01"], ["2024-01-02"]
    found = {
        InputSeries.of_events(SentimentInput(), mood(days, published)).fingerprint,
        InputSeries.of_events(SentimentInput(), mood(days, ["2024-01-03"])).fingerprint,
        InputSeries.of_events(SentimentInput("other"), mood(days, published)).fingerprint,
        InputSeries.of_events(SentimentInput(), mood(days, published), venue="x").fingerprint,
        InputSeries.of_events(SentimentInput(), mood(days, published).assign(value=1.5)).fingerprint,
    }
    assert len(found) == 5
    same = InputSeries.of_events(SentimentInput(max_age="9d", warmup=3), mood(days, published))
    assert same.fingerprint in found


@pytest.mark.parametrize(
    "declared",
    [
        BarsInput(timeframe="4h", warmup=30), BarsInput(symbol="ethusdt", max_age="8h"), FundingInput(),
        FundingInput("BTC/USDT", max_age=None), SentimentInput("other", "2w", 5), UniverseInput("large"),
    ],
)  # fmt: skip
def test_a_declaration_survives_its_plain_values(declared):
    assert input_from_json(input_to_json(declared)) == declared


def test_a_declaration_is_spelled_in_the_canonical_way():
    assert BarsInput(timeframe="1H", symbol="ethusdt") == BarsInput("1h", "ETH/USDT")
    assert BarsInput(timeframe=Timeframe.parse("4h")).timeframe == "4h"


@pytest.mark.parametrize(
    "make",
    [
        lambda: BarsInput(timeframe="7h"), lambda: BarsInput(symbol="?"), lambda: BarsInput(warmup=-1),
        lambda: BarsInput(warmup=True), lambda: FundingInput(warmup=1.5), lambda: SentimentInput("../x"),
        lambda: SentimentInput(max_age="soon"), lambda: UniverseInput(""), lambda: duration_ms("0h"), lambda: duration_ms(3),
        lambda: input_from_json({"kind": "bars", "warmpu": 1}), lambda: input_from_json({"kind": "tweets"}),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_one_clear_error(make):
    with pytest.raises(InputError):
        make()


def test_durations_are_read_in_minutes_hours_days_and_weeks():
    assert [duration_ms(text) for text in ("90m", "8h", "3d", "2w")] == [90 * 60_000, 8 * HOUR, 3 * DAY, 14 * DAY]


class Declaring:
    name = "declaring"

    def __init__(self, inputs):
        self.inputs = inputs


def test_whoever_declares_nothing_has_no_inputs():
    assert not declared_inputs(object())
    assert not declared_inputs(Declaring({}))
    assert dict(declared_inputs(Declaring({"slow": SLOW}))) == {"slow": SLOW}


@pytest.mark.parametrize("inputs", [[SLOW], {"not a name": SLOW}, {3: SLOW}, {"slow": "4h"}])
def test_declarations_that_are_none_are_refused_by_name(inputs):
    with pytest.raises(InputError, match="declaring"):
        declared_inputs(Declaring(inputs))

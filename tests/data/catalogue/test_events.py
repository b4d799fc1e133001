"""Events: stored as they came, completed but never changed in silence, verified to the byte."""

import numpy as np
import pandas as pd
import pytest

from atb.data.catalogue.events import (
    FUNDING,
    EventSeries,
    all_events,
    funding_at,
    read_events,
    save_events,
    sentiment_at,
)
from atb.data.catalogue.revisions import load_revisions
from atb.domain import Symbol
from atb.errors import DataError, InputError

NOW = pd.Timestamp("2024-06-01 12:00", tz="UTC")
PERPETUAL = Symbol.parse("BTC/USDT:USDT")


def payments(*rates, start="2024-01-01", hours=8, **columns):
    """Return funding rates at regular times."""
    index = pd.date_range(start, periods=len(rates), freq=f"{hours}h", tz="UTC", name="timestamp")
    return pd.DataFrame({"funding_rate": rates, **columns}, index=index)


@pytest.fixture
def series(tmp_path) -> EventSeries:
    return funding_at(tmp_path, symbol=PERPETUAL, venue="binanceusdm")


def save(series, events, *, now=NOW, **options):
    return save_events(series, events, source="a test", fetched=now, **options)


def test_events_come_back_as_they_were_with_when_they_came(series):
    given = payments(0.1, -0.2, 0.3, mark_price=[1.0, np.nan, 3.0])
    assert save(series, given).added == 3
    found, source = read_events(series)
    pd.testing.assert_frame_equal(found[["funding_rate", "mark_price"]], given.set_axis(found.index), check_exact=True)
    assert (found["fetched"] == NOW).all()
    assert source == "a test"


def test_the_same_again_changes_no_byte(series):
    save(series, payments(0.1, -0.2))
    before = series.path.read_bytes()
    saved = save(series, payments(0.1, -0.2), now=NOW + pd.Timedelta(1, "D"))
    assert (saved.added, saved.unchanged, saved.revised) == (0, 2, 0)
    assert series.path.read_bytes() == before


def test_a_value_that_comes_later_and_differs_is_kept_in_the_ledger_and_the_first_one_stays(series):
    save(series, payments(0.1, 0.2))
    later = NOW + pd.Timedelta(1, "D")
    for _ in range(2):
        assert save(series, payments(0.1, 0.25), now=later).revised == 1
    assert read_events(series)[0]["funding_rate"].tolist() == [0.1, 0.2]
    (revision,) = load_revisions(series.folder)
    assert (revision.first, revision.later, revision.kept) == ({"funding_rate": 0.2}, {"funding_rate": 0.25}, "first")
    assert revision.seen == later
    save(series, payments(0.1, 0.25), now=later, replace=True)
    assert read_events(series)[0]["funding_rate"].tolist() == [0.1, 0.25]
    assert [revision.kept for revision in load_revisions(series.folder)] == ["first", "later"]


def test_a_value_that_was_missing_is_completed_and_is_no_revision(series):
    save(series, payments(0.1, 0.2))
    assert save(series, payments(0.1, 0.2, mark_price=[5.0, np.nan])).revised == 0
    found = read_events(series)[0]
    assert found["mark_price"].iloc[0] == 5.0
    assert np.isnan(found["mark_price"].iloc[1])
    assert not load_revisions(series.folder)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (payments(), "There are no events"),
        (payments(0.1, 0.2)[::-1], "in the order of their times, each once; found '2024-01-01 00:00'"),
        (pd.concat([payments(0.1), payments(0.1)]), "each once"),
        (payments(0.1, np.nan), "funding_rate is no number at 2024-01-01 08:00"),
        (payments(0.1).tz_localize(None), "UTC"),
    ],
)
def test_events_that_break_a_rule_are_refused_and_nothing_is_written(series, events, message):
    with pytest.raises(DataError, match=message):
        save(series, events)
    assert not series.stored


def test_one_byte_changed_anywhere_is_found(series):
    save(series, payments(*np.linspace(-0.01, 0.01, 50)))
    content = series.path.read_bytes()
    for at in range(0, len(content), 37):
        series.path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(DataError):
            read_events(series)


def test_a_damaged_file_is_set_aside_when_its_events_come_again(series):
    save(series, payments(0.1, 0.2))
    series.path.write_bytes(b"broken")
    assert save(series, payments(0.1, 0.2)).added == 2
    assert [path.name for path in series.folder.glob("*.damaged")] == ["events.parquet.damaged"]


def test_a_file_of_another_series_is_refused(series, tmp_path):
    save(series, payments(0.1))
    other = funding_at(tmp_path, symbol=Symbol.parse("ETH/USDT:USDT"), venue="binanceusdm")
    other.folder.mkdir(parents=True)
    other.path.write_bytes(series.path.read_bytes())
    with pytest.raises(DataError, match="wrong folder"):
        read_events(other)


def test_series_of_events_are_listed_and_are_no_series_of_bars(series, tmp_path):
    from atb.data import list_series

    save(series, payments(0.1))
    index = sentiment_at(tmp_path, "fear_greed")
    save(index, payments(40.0).rename(columns={"funding_rate": "value"}))
    assert [str(one) for one in all_events(tmp_path)] == [
        "funding of BTC/USDT:USDT (binanceusdm)",
        "sentiment of fear_greed",
    ]
    assert list_series(tmp_path) == []
    for path in (
        tmp_path / "_sentiment/Not one/events.parquet",
        tmp_path / "Not one/BTC-USDT-USDT/funding/events.parquet",
    ):
        path.parent.mkdir(parents=True)
        path.write_bytes(index.path.read_bytes())
    assert len(all_events(tmp_path)) == 2


def test_only_a_perpetual_has_funding(tmp_path):
    with pytest.raises(InputError, match="like BTC/USDT:USDT"):
        funding_at(tmp_path, symbol=Symbol.parse("BTC/USDT"), venue="binanceusdm")
    assert FUNDING.columns[0] == "funding_rate"


def test_an_index_that_cannot_be_a_folder_is_called_an_index(tmp_path):
    with pytest.raises(InputError, match="An index has a name of letters"):
        sentiment_at(tmp_path, "My Index")

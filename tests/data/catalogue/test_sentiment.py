"""Sentiment: used one publication late, seen or reconstructed, missing where it is missing."""

import pandas as pd
import pytest

from atb.data import load_sentiment
from atb.data.catalogue.events import save_events, sentiment_at
from atb.errors import DataError

DAY = pd.Timedelta(1, "D")


def days(*values, start="2024-01-01", **columns):
    index = pd.date_range(start, periods=len(values), freq="D", tz="UTC", name="timestamp")
    return pd.DataFrame({"value": [float(value) for value in values], **columns}, index=index)


def save(root, events, fetched, name="fear_greed"):
    save_events(sentiment_at(root, name), events, source="a test", fetched=pd.Timestamp(fetched, tz="UTC"))


def test_a_value_is_published_when_the_next_one_is_due(tmp_path):
    save(tmp_path, days(10, 20, 30), "2024-02-01")
    found = load_sentiment("fear_greed", root=tmp_path)
    assert found["value"].tolist() == [10, 20, 30]
    assert (found["published"] - found.index == DAY).all()


def test_a_stated_publication_is_used_as_it_is(tmp_path):
    events = days(10, 20, 30)
    save(tmp_path, events.assign(published=events.index + pd.Timedelta(9, "h")), "2024-02-01", "mine")
    found = load_sentiment("mine", root=tmp_path)
    assert (found["published"] - found.index == pd.Timedelta(9, "h")).all()


def test_history_is_labelled_and_what_was_seen_while_it_was_new_has_its_moment(tmp_path):
    save(tmp_path, days(10, 20, 30), "2024-01-10")
    save(tmp_path, days(40, start="2024-01-10"), "2024-01-10 06:00")
    save(tmp_path, days(50, start="2024-01-11"), "2024-01-12 23:00")
    found = load_sentiment("fear_greed", root=tmp_path)
    assert found["reconstructed"].tolist() == [True, True, True, False, False]
    assert found["first_seen"].isna().tolist() == [True, True, True, False, False]
    assert found["first_seen"].iloc[-1] == pd.Timestamp("2024-01-12 23:00", tz="UTC")


def test_a_missing_day_is_missing(tmp_path):
    save(tmp_path, days(10, 20, 30, 40, 50).drop(pd.Timestamp("2024-01-03", tz="UTC")), "2024-02-01")
    assert load_sentiment("fear_greed", root=tmp_path).index.day.tolist() == [1, 2, 4, 5]
    assert load_sentiment("fear_greed", "2024-01-02", "2024-01-05", root=tmp_path)["value"].tolist() == [20, 40]


def test_an_unknown_source_says_what_there_is(tmp_path):
    save(tmp_path, days(1, 2), "2024-02-01")
    with pytest.raises(DataError, match=r"No sentiment of fear_gred is stored.*Did you mean 'fear_greed'"):
        load_sentiment("fear_gred", root=tmp_path)


def test_the_real_index_lacks_the_days_that_it_lacks(real_data, tmp_path):
    given = pd.read_parquet(real_data / "alternativeme_FNG_1d.parquet").set_index("timestamp")
    save(tmp_path, given[["value"]], "2024-12-31 10:00")
    found = load_sentiment("fear_greed", root=tmp_path)
    whole = pd.date_range(found.index[0], found.index[-1], freq="D")
    missing = whole.difference(found.index).strftime("%Y-%m-%d").tolist()
    assert missing == ["2018-04-14", "2018-04-15", "2018-04-16", "2024-10-26"]
    assert found["reconstructed"].sum() == len(found) - 2

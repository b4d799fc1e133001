"""Funding: payments at their own times, the interval from the data, holes named and never filled."""

import numpy as np
import pandas as pd
import pytest

from atb.data import funding_holes, load_funding
from atb.data.catalogue.events import funding_at, save_events
from atb.domain import Symbol
from atb.errors import DataError, InputError

NOW = pd.Timestamp("2024-06-01 12:00", tz="UTC")


def stored(root, hours, *, venue="binanceusdm", symbol="BTC/USDT:USDT", **columns):
    """Store payments at these hours after 2024-01-01, rates counted up."""
    index = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(hours, unit="h")
    frame = pd.DataFrame({"funding_rate": np.arange(len(hours)) / 1e4, **columns}, index=pd.DatetimeIndex(index))
    save_events(funding_at(root, symbol=Symbol.parse(symbol), venue=venue), frame, source="a test", fetched=NOW)
    return frame


def load(root, *period, **options):
    return load_funding("BTC/USDT:USDT", *period, root=root, **options)


def test_payments_are_given_at_their_own_times_and_none_is_added(tmp_path):
    given = stored(tmp_path, [0, 8, 16, 24, 28, 32, 33, 34, 35])
    found = load(tmp_path)
    assert found.index.equals(given.index.as_unit("ms"))
    assert found["funding_rate"].tolist() == given["funding_rate"].tolist()
    assert load(tmp_path, "2024-01-01T08:00", "2024-01-02").index.hour.tolist() == [8, 16]


def test_the_interval_is_read_off_the_payments_as_it_changes(tmp_path):
    stored(tmp_path, [0, 8, 16, 20, 24, 25, 26])
    assert load(tmp_path)["interval_hours"].tolist() == [8, 8, 8, 4, 4, 1, 1]


def test_the_interval_that_the_exchange_states_is_used(tmp_path):
    stored(tmp_path, [0, 8, 12], interval_hours=[8.0, 4.0, np.nan])
    assert load(tmp_path)["interval_hours"].tolist() == [8, 4, 4]


def test_a_missing_payment_is_a_hole_and_a_change_of_interval_is_none(tmp_path):
    stored(tmp_path, [0, 4, 8, 16, 20, 24, 32, 40, 56, 64, 68, 72, 73, 74])
    found = load(tmp_path)
    at = found.index
    # 8 to 16: one payment of 4 h is missing; 24 to 40: the interval is 8 h; 40 to 56: one of 8 h is missing.
    assert funding_holes(found, at[0], at[-1]) == ((at[2], at[3]), (at[7], at[8]))
    assert found["interval_hours"].tolist() == [4, 4, 4, 4, 4, 4, 8, 8, 8, 8, 4, 4, 1, 1]


def test_what_lies_before_the_first_and_after_the_last_payment_is_missing(tmp_path):
    stored(tmp_path, [0, 8, 16])
    found = load(tmp_path)
    first, last = found.index[0], found.index[-1]
    day = pd.Timedelta(1, "D")
    assert funding_holes(found, first - day, last + day) == ((first - day, first), (last, last + day))
    assert funding_holes(found, first - day / 3, last + day / 3) == ()
    assert funding_holes(found[:0], first, last) == ((first, last),)


def test_of_several_venues_one_is_to_be_named(tmp_path):
    stored(tmp_path, [0, 8])
    stored(tmp_path, [0, 1, 2], venue="bybit")
    with pytest.raises(
        DataError, match=r"Several venues have the funding of BTC/USDT:USDT; found 'binanceusdm, bybit'"
    ):
        load(tmp_path)
    assert len(load(tmp_path, venue="bybit")) == 3


def test_what_is_not_stored_says_how_to_get_it(tmp_path):
    with pytest.raises(
        DataError, match=r"No funding of BTC/USDT:USDT is stored.*atb data funding BTC/USDT:USDT --start"
    ):
        load(tmp_path)
    with pytest.raises(InputError, match="Only perpetuals pay funding"):
        load_funding("BTC/USDT", root=tmp_path)
    stored(tmp_path, [0, 8])
    with pytest.raises(InputError, match="start must be before end"):
        load(tmp_path, "2024-02-01", "2024-01-01")
    with pytest.raises(DataError, match="for bybit"):
        load(tmp_path, venue="bybit")

"""A universe tells who belongs at a time, and nothing of what comes later."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.domain import Symbol, Timeframe
from atb.domain.universe import Listing, Universe, tradable
from atb.errors import InputError
from atb.times import DAY_MS
from tests.seeds import examples

BTC, LUNA = Symbol("BTC", "USDT"), Symbol("LUNA", "USDT")


def test_who_belongs_at_a_time_counts_the_listing_and_not_the_end():
    universe = Universe("u", (Listing(LUNA, 10, 20, delisted=True), Listing(BTC, 5), Listing(LUNA, 30)))
    assert universe.symbols == (BTC, LUNA)
    assert [universe.as_of(time) for time in (4, 5, 10, 19, 20, 30)] == [
        (),
        (BTC,),
        (BTC, LUNA),
        (BTC, LUNA),
        (BTC,),
        (BTC, LUNA),
    ]
    assert universe.between(20, 30) == (BTC,)
    assert universe.most_at_once(0, 10) == 1
    assert universe.most_at_once(0, 11) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Listing(BTC, 5, 5),
        lambda: Listing(BTC, 5, delisted=True),
        lambda: Universe("u", (Listing(BTC, 5), Listing(BTC, 10))),
        lambda: Universe("u", (Listing(BTC, 5, 10), Listing(BTC, 9, 12))),
    ],
)
def test_listings_that_contradict_each_other_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()


def test_a_contradiction_is_shown_by_its_dates():
    day = 86_400_000
    with pytest.raises(InputError, match="listed 1970-01-03 00:00, ended 1970-01-02 00:00"):
        Listing(BTC, 2 * day, day)
    with pytest.raises(InputError, match="1970-01-02 00:00"):
        Universe("u", (Listing(BTC, 0), Listing(BTC, day)))


def test_two_universes_are_told_apart_by_any_change():
    prints = {
        Universe("u", (listing,)).fingerprint
        for listing in (
            Listing(BTC, 5),
            Listing(BTC, 6),
            Listing(BTC, 5, 9),
            Listing(BTC, 5, 9, delisted=True),
            Listing(LUNA, 5),
        )
    }
    assert len(prints) == 5


@examples(100)
@given(st.integers(0, 30), st.integers(1, 30), st.booleans(), st.integers(0, 40))
def test_a_later_end_changes_no_row_before_it(listed, length, delisted, cut):
    """At a bar that closes two bars before the end, a listing that ends and one that goes on are the same."""
    closed = np.arange(1, 61) * 10
    ending = Listing(BTC, listed * 10, (listed + length) * 10, delisted=delisted)
    after = closed + 10
    ours, endless = tradable([ending], closed, after), tradable([Listing(BTC, listed * 10)], closed, after)
    before = after < (listed + length) * 10
    assert (ours[before] == endless[before]).all()
    assert not ours[closed >= (listed + length) * 10].any()
    known = slice(0, cut)
    assert (tradable([ending], closed[known], after[known]) == ours[known]).all()


def test_a_delisted_symbol_is_left_one_bar_before_its_last_also_where_months_differ():
    closed = np.array([31, 59, 90, 120]) * DAY_MS  # January to April of 1970
    month = Timeframe.parse("1M")
    listing = Listing(BTC, 0, int(closed[2]), delisted=True)
    assert tradable([listing], closed, month.closes_ms(closed)).tolist() == [True, False, False, False]


def test_a_delisted_symbol_is_left_one_bar_before_its_last():
    closed = np.arange(1, 6) * 10
    assert tradable([Listing(BTC, 0, 50)], closed, closed + 10).tolist() == [True, True, True, True, False]
    assert tradable([Listing(BTC, 0, 50, delisted=True)], closed, closed + 10).tolist() == [
        True,
        True,
        True,
        False,
        False,
    ]

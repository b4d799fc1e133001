"""Given sides: compared by content, silent about other bars, and out of every register."""

import copy
import dataclasses
import json
import pickle

import numpy as np
import pandas as pd
import pytest

from atb.domain import Strategy
from atb.errors import InputError
from atb.strategies import STRATEGIES, strategy_params
from atb.strategies.from_signals import GivenSides, sides_from, strategies_from
from tests.bars import random_walk

BARS = random_walk(8)
SIDES = pd.Series([np.nan, 1.0, 1.0, 0.0, -1.0, np.nan, 1.0, 0.0], index=BARS.index)


def booleans(*columns: str) -> pd.DataFrame:
    """Return a frame of booleans from texts in which `x` is true."""
    index = BARS.index[: len(columns[0])]
    return pd.DataFrame({i: [letter == "x" for letter in text] for i, text in enumerate(columns)}, index=index)


def test_says_what_it_was_given():
    given = GivenSides(SIDES, "mine")
    assert isinstance(given, Strategy)
    np.testing.assert_array_equal(given.signals(BARS.join(given.features(BARS))).side, SIDES)


def test_later_changes_of_the_source_do_not_reach_it():
    source = SIDES.copy()
    given = GivenSides(source)
    source.iloc[1] = 0.0
    assert given.signals(BARS).side[1] == 1.0


def test_answers_for_a_part_of_its_bars():
    given = GivenSides(SIDES)
    np.testing.assert_array_equal(given.signals(BARS.iloc[2:5]).side, SIDES.iloc[2:5])
    assert len(given.signals(BARS.iloc[:0]).side) == 0


@pytest.mark.parametrize("shift", [-1, 1, 100])
def test_refuses_bars_it_was_not_given_for(shift):
    moved = BARS.set_axis(BARS.index + pd.Timedelta(hours=shift))
    with pytest.raises(InputError, match="mine: no side was given for a bar"):
        GivenSides(SIDES, "mine").signals(moved)


def test_no_sides_answer_for_no_bar():
    with pytest.raises(InputError, match="no side was given"):
        GivenSides(SIDES.iloc[:0]).signals(BARS)


def test_equal_content_is_equal_and_hashes_alike():
    one, same = GivenSides(SIDES, "a"), GivenSides(SIDES.copy(), "a")
    assert one == same
    assert hash(one) == hash(same)
    changed = SIDES.copy()
    changed.iloc[3] = np.nan
    assert one != GivenSides(changed, "a")
    assert one != GivenSides(SIDES, "b")
    assert one != GivenSides(SIDES.set_axis(SIDES.index + pd.Timedelta(hours=1)), "a")


def test_survives_copies_between_processes():
    given = GivenSides(SIDES, "a")
    for again in (pickle.loads(pickle.dumps(given)), copy.deepcopy(given)):
        assert again == given
        np.testing.assert_array_equal(again.signals(BARS).side, SIDES)


def test_its_parameters_are_short_and_plain():
    params = strategy_params(GivenSides(SIDES, "a"))
    assert list(params) == ["label", "fingerprint"]
    assert json.loads(json.dumps(params)) == params


def test_is_frozen_and_in_no_register():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GivenSides(SIDES).label = "x"  # type: ignore[misc]
    assert GivenSides not in STRATEGIES.values()
    assert GivenSides.name not in STRATEGIES


@pytest.mark.parametrize(
    ("sides", "match"),
    [
        (SIDES.replace(-1.0, 2.0), "side must be -1, 0, 1 or NaN"),
        (SIDES.iloc[::-1], "in time order"),
        (pd.concat([SIDES.iloc[:1], SIDES.iloc[:1]]), "in time order"),
        (SIDES.tz_localize(None), "in UTC"),
        (SIDES.reset_index(drop=True), "in UTC"),
    ],
)
def test_refuses_what_are_no_sides_of_bars(sides, match):
    with pytest.raises(InputError, match=match):
        GivenSides(sides)


def test_what_was_entered_is_held_until_the_exit():
    sides = sides_from(booleans("..x..x..", "x......."), booleans("x...x...", "........"))
    np.testing.assert_array_equal(sides[0], [0, 0, 1, 1, 0, 1, 1, 1])
    np.testing.assert_array_equal(sides[1], np.ones(8))
    assert sides.index.equals(BARS.index)


def test_nothing_is_known_before_the_first_entry_or_exit():
    sides = sides_from(booleans("..x.", "...."), booleans("....", ".x.."))
    np.testing.assert_array_equal(sides[0], [np.nan, np.nan, 1, 1])
    np.testing.assert_array_equal(sides[1], [np.nan, 0, 0, 0])


def test_an_entry_and_an_exit_at_once_count_for_nothing():
    sides = sides_from(booleans("x.x..x"), booleans("..x.xx"))
    np.testing.assert_array_equal(sides[0], [1, 1, 1, 1, 0, 0])


def test_shorts_are_entered_reversed_and_left():
    sides = sides_from(
        booleans("x....x.x"), booleans("...x..x."),
        short_entries=booleans("..x...xx"), short_exits=booleans(".x..x..."),
    )  # fmt: skip
    # In row 1 a short exit, in row 3 a long exit: neither concerns what is held. In row 7 both entries cancel out.
    np.testing.assert_array_equal(sides[0], [1, 1, -1, -1, 0, 1, -1, -1])


def test_a_column_becomes_a_strategy_with_its_label():
    columns = pd.MultiIndex.from_tuples([(10, 50, "BTC"), (20, 50, "BTC")], names=["fast_window", "slow_window", None])
    frame = booleans("x...", ".x..").set_axis(columns, axis=1)
    one, other = strategies_from(sides_from(frame, booleans("..x.", "...x").set_axis(columns, axis=1)))
    assert one.label == "fast_window=10, slow_window=50, BTC"
    np.testing.assert_array_equal(other.signals(BARS.iloc[:4]).side, [np.nan, 1, 1, 0])


def test_two_columns_of_one_label_are_refused():
    with pytest.raises(InputError, match="have one label; found 'a'"):
        strategies_from(pd.DataFrame({"a": SIDES, "b": SIDES}).set_axis(["a", "a"], axis=1))


@pytest.mark.parametrize(
    ("exits", "match"),
    [
        (booleans("xxxx").astype(float), "exits must be a frame of booleans"),
        (booleans("xxxx")[0], "exits must be a frame of booleans; found 'Series'"),
        (booleans("xxx"), "the index and the columns of entries"),
        (booleans("xxxx", "xxxx"), "the index and the columns of entries"),
    ],
)
def test_refuses_exits_that_do_not_fit_the_entries(exits, match):
    with pytest.raises(InputError, match=match):
        sides_from(booleans("xxxx"), exits)

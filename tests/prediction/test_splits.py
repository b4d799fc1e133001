"""The purged split: order, distance, and a refusal with numbers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.errors import InputError
from atb.prediction.splits import chronological_split, usable_rows
from tests.seeds import examples


@examples(200)
@given(
    rows=st.integers(3_000, 40_000),
    horizon=st.integers(1, 48),
    embargo=st.integers(0, 48),
    warmup=st.integers(0, 700),
)
def test_no_label_of_an_earlier_part_reads_a_bar_at_which_a_later_part_predicts(rows, horizon, embargo, warmup):
    split = chronological_split(rows, horizon=horizon, embargo=embargo, warmup=warmup)
    parts = list(split.parts().values())
    assert parts[0].start == warmup
    for earlier, later in itertools.pairwise(parts):
        last_bar_read = earlier[-1] + horizon
        assert last_bar_read + embargo < later[0]
        assert later[0] - earlier[-1] == horizon + embargo + 1, "rows are left out that need not be"
    assert parts[-1][-1] + horizon < rows


def test_shares_the_usable_rows_as_told():
    split = chronological_split(10_000 + 12 * 3, horizon=12)
    assert [len(part) for part in split.parts().values()] == [6_000, 2_000, 2_000]


def test_refuses_too_few_bars_and_says_how_many_it_takes():
    with pytest.raises(InputError, match="found '1500 bars: 540 to warm up, 84 purged, 876 left'") as refusal:
        chronological_split(1_500, horizon=12, embargo=24, warmup=540)
    needed = int(str(refusal.value).rsplit("Load at least ", 1)[1].split()[0])
    split = chronological_split(needed, horizon=12, embargo=24, warmup=540)
    assert min(len(part) for part in split.parts().values()) >= 200


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (0.5, 0.5)])
def test_refuses_shares_that_are_no_three_parts_of_a_whole(fractions):
    with pytest.raises(InputError, match="three shares"):
        chronological_split(9_000, horizon=1, fractions=fractions)


@pytest.mark.parametrize("wrong", [{"horizon": 0}, {"horizon": 1, "embargo": -1}, {"horizon": 1, "warmup": -1}])
def test_refuses_counts_that_are_none(wrong):
    with pytest.raises(InputError, match="is a number of bars"):
        chronological_split(9_000, **wrong)


def test_leaves_out_rows_without_a_label_or_a_feature():
    inputs = np.ones((6, 2), np.float32)
    inputs[2, 1] = np.nan
    label = np.array([0, 1, 0, np.nan, 1, 0])
    np.testing.assert_array_equal(usable_rows(range(1, 6), inputs, label), [1, 4, 5])

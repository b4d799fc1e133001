"""Gaps: found, compared with the accepted ones, and described."""

import pandas as pd
import pytest

from atb.data.catalogue.gaps import describe_gap, describe_gaps, missing_bars, unknown_gaps
from atb.domain import Timeframe

HOUR = Timeframe.parse("1h")


def gap(start, end):
    return (pd.Timestamp(start, tz="UTC"), pd.Timestamp(end, tz="UTC"))


KNOWN = [gap("2024-01-01", "2024-01-02"), gap("2024-02-01", "2024-02-05")]


@pytest.mark.parametrize(
    "inside", [KNOWN[0], KNOWN[1], gap("2024-02-02", "2024-02-03"), gap("2024-01-01 05:00", "2024-01-02")]
)
def test_a_hole_inside_a_known_one_is_known(inside):
    assert unknown_gaps([inside], KNOWN) == []


@pytest.mark.parametrize(
    "other", [gap("2024-01-10", "2024-01-11"), gap("2023-12-31", "2024-01-02"), gap("2024-01-01", "2024-02-05")]
)
def test_any_other_hole_is_unknown(other):
    assert unknown_gaps([KNOWN[0], other], KNOWN) == [other]
    assert unknown_gaps([other], []) == [other]


@pytest.mark.parametrize(
    ("timeframe", "hole", "text"),
    [
        ("1h", gap("2018-02-08 01:00", "2018-02-09 10:00"), "34 h between 2018-02-08 00:00 and 2018-02-09 10:00 (33 bars missing)"),
        ("1m", gap("2018-02-08 01:00", "2018-02-08 01:01"), "2 min between 2018-02-08 00:59 and 2018-02-08 01:01 (1 bar missing)"),
        ("1d", gap("2018-02-02", "2018-02-10"), "9 days between 2018-02-01 00:00 and 2018-02-10 00:00 (8 bars missing)"),
        ("1M", gap("2018-03-01", "2018-05-01"), "89 days between 2018-02-01 00:00 and 2018-05-01 00:00 (2 bars missing)"),
    ],
)  # fmt: skip
def test_a_gap_is_described_by_the_bars_on_both_sides(timeframe, hole, text):
    assert describe_gap(hole, Timeframe.parse(timeframe)) == text


def test_many_gaps_are_counted_with_the_longest_and_the_first_few():
    holes = [gap(f"2024-01-{day:02d}", f"2024-01-{day:02d} {2 if day == 5 else 1:02d}:00") for day in range(1, 8)]
    text = describe_gaps(holes, HOUR, first=2)
    assert text.startswith("7 gaps, the longest 3 h between 2024-01-04 23:00 and 2024-01-05 02:00")
    assert text.endswith("; and 5 more")
    assert missing_bars(holes[4], HOUR) == 2

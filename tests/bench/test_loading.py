"""Loading: both sides give the same bars, the day is read without the rest, and the target wants speed, size and equal values."""

import pytest

from atb.bench.loading import CSV, DAY, measure_loading
from atb.bench.targets import check_targets


@pytest.fixture(scope="module")
def rows():
    return measure_loading(1, bars=70_000)


def test_the_catalogue_and_pandas_give_the_same_bars(rows):
    assert [(row.engine, row.agrees) for row in rows] == [("atb", True), (CSV, True), (DAY, None)]
    assert "of CSV" in rows[0].notes[0]
    assert rows[2].bars == 1_440
    assert float(rows[2].notes[0].split("1/")[1].split(" ")[0]) >= 2


@pytest.mark.parametrize(
    ("ratio", "size", "agrees", "met"),
    [(8.0, 6.0, True, True), (7.9, 7.0, True, False), (9.0, 5.9, True, False), (9.0, 7.0, False, False)],
)
def test_the_target_wants_speed_size_and_equal_values(rows, ratio, size, agrees, met):
    rows[0].notes[0] = f"1 MB, 1/{size} of the 6 MB of CSV"
    rows[1].ratio_to_atb, rows[1].agrees = ratio, agrees
    assert [target.met for target in check_targets(rows)] == [met]

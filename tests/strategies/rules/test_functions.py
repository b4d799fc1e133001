"""The functions of the language: their values row by row, and what is not known."""

import numpy as np
import pytest

from atb.strategies.rules.functions import LANGUAGE, both, compared, either

NAN = np.nan
X = np.array([1.0, 2.0, 2.0, 5.0, 4.0, 3.0, 6.0])


def value(name, *columns, **parameters):
    return LANGUAGE[name].compute(*(np.asarray(each, dtype=float) for each in columns), **parameters).tolist()


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("lag", {"n": 0}, [1, 2, 2, 5, 4, 3, 6]),
        ("lag", {"n": 2}, [NAN, NAN, 1, 2, 2, 5, 4]),
        ("lag", {"n": 9}, [NAN] * 7),
        ("rising", {"n": 1}, [NAN, 1, 0, 1, 0, 0, 1]),
        ("rising", {"n": 2}, [NAN, NAN, 0, 0, 0, 0, 0]),
        ("falling", {"n": 1}, [NAN, 0, 0, 0, 1, 1, 0]),
        ("falling", {"n": 2}, [NAN, 0, 0, 0, 0, 1, 0]),
    ],
)
def test_functions_of_one_column(name, parameters, expected):
    np.testing.assert_array_equal(value(name, X, **parameters), expected)


def test_a_rise_is_not_known_where_a_missing_value_decides_it():
    np.testing.assert_array_equal(value("rising", [1, 2, NAN, 4, 5, 4], n=2), [NAN, NAN, NAN, NAN, NAN, 0])


def test_a_crossing_needs_the_other_side_or_a_touch_before():
    level = np.full(7, 3.0)
    assert value("cross_above", [1, 3, 4, 5, 3, 4, 2], level)[1:] == [0, 1, 0, 0, 1, 0]
    assert value("cross_below", [1, 3, 4, 5, 3, 2, 2], level)[1:] == [0, 0, 0, 0, 1, 0]


def test_between_takes_both_ends():
    assert value("between", [1, 2, 3, 4], [2] * 4, [3] * 4) == [0, 1, 1, 0]


def test_the_largest_and_the_smallest_of_several_are_not_known_where_one_is_missing():
    np.testing.assert_array_equal(value("max", [1, 5, NAN], [3, 2, 1], [0, 0, 9]), [3, 5, NAN])
    np.testing.assert_array_equal(value("min", [1, 5, NAN], [3, 2, 1], [0, 0, 9]), [0, 0, NAN])
    np.testing.assert_array_equal(value("abs", [-1, 0, NAN]), [1, 0, NAN])


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
def test_a_comparison_with_a_missing_number_is_not_known(sign):
    left, right = np.array([NAN, 1.0, NAN]), np.array([1.0, NAN, NAN])
    assert np.isnan(compared(sign, left, right)).all()


def test_and_and_or_are_known_where_one_side_decides():
    each = np.array([0.0, 1.0, NAN])
    left, right = (side.ravel() for side in np.meshgrid(each, each, indexing="ij"))
    np.testing.assert_array_equal(both(left, right), [0, 0, 0, 0, 1, NAN, 0, NAN, NAN])
    np.testing.assert_array_equal(either(left, right), [0, 1, NAN, 1, 1, 1, NAN, 1, NAN])


@pytest.mark.parametrize("name", sorted(LANGUAGE))
def test_a_row_depends_on_no_later_one_and_on_no_more_than_its_memory(name):
    function, rng = LANGUAGE[name], np.random.default_rng(5)
    columns = [rng.integers(0, 4, 40).astype(float) for _ in function.inputs]
    parameters = {one.name: 3 for one in function.parameters}
    whole, memory = function.compute(*columns, **parameters), function.memory(**parameters)
    for row in range(memory, 40):
        part = function.compute(*(column[row - memory : row + 1] for column in columns), **parameters)
        assert part[-1] == whole[row], row

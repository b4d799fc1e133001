"""Signals: columns of one length, sides that exist."""

import numpy as np
import pandas as pd
import pytest

from atb.domain import Signals
from atb.errors import InputError


def test_accepts_long_flat_short_and_no_opinion():
    side = np.array([1.0, 0.0, -1.0, np.nan])
    assert Signals(side, confidence=np.ones(4)).side is side


@pytest.mark.parametrize("odd", [0.5, 2.0, -3.0, np.inf])
def test_refuses_a_side_that_does_not_exist(odd):
    with pytest.raises(InputError, match="side must be -1, 0, 1 or NaN"):
        Signals(np.array([0.0, odd]))


def test_refuses_such_a_side_in_a_column_of_a_table_too():
    with pytest.raises(InputError, match="side must be -1, 0, 1 or NaN; found 2"):
        Signals(pd.Series([0.0, 2.0], index=pd.date_range("2024", periods=2, tz="UTC")))


@pytest.mark.parametrize("column", ["confidence", "atr", "stop"])
def test_refuses_columns_of_another_length(column):
    with pytest.raises(InputError, match=f"{column} must be as long as side"):
        Signals(np.zeros(3), **{column: np.zeros(2)})


@pytest.mark.parametrize("column", [[1.0, 0.0], np.array(["a", "b"]), None, 1.0, np.array([1.0, None])])
def test_refuses_what_is_no_array_of_numbers(column):
    with pytest.raises(InputError, match="side must be an array of numbers"):
        Signals(column)


def test_takes_whole_numbers_booleans_and_a_column_of_a_table():
    for column in (np.array([1, 0]), np.array([True, False]), pd.Series([1.0, 0.0])):
        assert Signals(column).side is column

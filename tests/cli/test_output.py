"""Printing: strict JSON, aligned tables."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atb.cli.output import plain, print_fields, print_json, print_table, table_lines


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (np.float64("inf"), None),
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (Decimal("0.10"), "0.10"),
        (Path("a/b"), "a/b"),
        (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00+00:00"),
        (pd.Timestamp("2024-01-02", tz="UTC"), "2024-01-02T00:00:00+00:00"),
        ({"a": (1, {2})}, {"a": [1, [2]]}),
        (None, None),
        (True, True),
    ],
)
def test_values_become_plain_json(value, expected):
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_printed_json_is_strict(capsys):
    print_json([{"sharpe": float("nan"), "symbol": "BTC/USDT", "note": "größer"}])
    text = capsys.readouterr().out
    assert "NaN" not in text
    assert json.loads(text) == [{"sharpe": None, "symbol": "BTC/USDT", "note": "größer"}]


def test_tables_align_numbers_to_the_right_and_leave_no_trailing_space():
    rows = [{"run": "a1", "trades": 5, "sharpe": 1.23456789}, {"run": "b22", "trades": 1200, "sharpe": None}]
    assert table_lines(rows) == ["run  trades   sharpe", "a1        5  1.23457", "b22    1200"]


def test_a_table_can_choose_its_columns():
    assert table_lines([{"a": 1, "b": "x"}], ["b", "c"]) == ["b  c", "x"]


def test_an_empty_table_says_so(capsys):
    print_table([], empty="No runs yet.")
    assert capsys.readouterr().out == "No runs yet.\n"


def test_fields_are_aligned(capsys):
    print_fields({"run": "a", "status": True})
    assert capsys.readouterr().out == "run     a\nstatus  yes\n"

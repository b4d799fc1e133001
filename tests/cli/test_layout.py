"""Tables, fields and numbers in the width of a terminal: decimals, nothing wider than it may be, nothing lost."""

import math
import re
import string

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from atb.cli import main
from atb.cli.layout import TextTable, field_lines, paragraph, table_lines
from atb.cli.output import print_table
from atb.decimals import FINEST, number

TEXTS = st.text(string.ascii_letters + string.digits + " -_/.", max_size=45).map(str.strip)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e18, max_value=1e18))
def test_a_number_is_a_decimal_that_reads_back_to_six_digits(value):
    text = number(value)
    assert re.fullmatch(r"-?\d{1,3}(,\d{3})*(\.\d+)?", text)
    assert math.isclose(float(text.replace(",", "")), value, rel_tol=5e-6, abs_tol=10.0**-FINEST)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-05, "0.00001"), (0.1 + 0.2, "0.3"), (64123.456, "64,123.46"), (12.0, "12"), (1.5e-8, "0.000000015"), (-0.0, "0"),
     (1e15, "1,000,000,000,000,000"), (1102939.129, "1,102,939.13"), (-1e-300, "0"), (math.inf, "inf")],
)  # fmt: skip
def test_numbers_as_people_write_them(value, text):
    assert number(value) == text


@st.composite
def tables(draw):
    columns = draw(st.integers(1, 8))
    names = [f"column{i}" for i in range(columns)]
    right = draw(st.lists(st.booleans(), min_size=columns, max_size=columns))
    cell = [st.integers(0, 10**6).map(str) if end else TEXTS for end in right]
    return TextTable(names, draw(st.lists(st.tuples(*cell), min_size=1, max_size=4)), right)


@given(tables(), st.integers(60, 100))
def test_a_table_is_never_wider_than_the_terminal_and_keeps_every_character(table, width):
    lines = table_lines(table, width)
    assert max(map(len, lines)) <= width
    shown = re.sub(r"\s", "", "".join(lines))
    for row in table.cells:
        for text in row:
            assert all(shown.count(letter) >= text.count(letter) for letter in set(text) - {" "})


def test_without_a_width_nothing_is_folded():
    table = TextTable(["run", "about"], [["a" * 60, "b " * 60]], [False, False])
    assert len(table_lines(table, None)) == 2


def test_a_wide_table_first_loses_empty_columns_then_the_spare_ones_and_says_so():
    table = TextTable(["run", "error", "about", "id"], [["r1", "", "x y", "i" * 40]], [False] * 4)
    assert table_lines(table, 50)[0].split() == ["run", "about", "id"]
    lines = table_lines(table, 42, spare=("id",))
    assert lines[:2] == ["run  about", "r1   x y"]
    assert " ".join(lines[2:]).strip().startswith("Left out, for want of room: id;")


def test_an_id_stays_whole_as_long_as_a_sentence_can_be_folded_instead():
    table = TextTable(
        ["run", "about"], [["20240131-094500-03-backtest-1f9a3c", "sma_cross BTC/USDT 1h over a year"]], [False] * 2
    )
    lines = table_lines(table, 60)
    assert lines[1].startswith("20240131-094500-03-backtest-1f9a3c  sma_cross")
    assert len(lines) == 3


def test_a_table_that_cannot_be_folded_becomes_a_block_for_each_row():
    table = TextTable([f"name{i}" for i in range(9)], [["1234567"] * 9, ["7654321"] * 9], [True] * 9)
    lines = table_lines(table, 60)
    assert lines[0] == "name0  1234567"
    assert lines[9] == ""
    assert lines[10] == "name0  7654321"


def test_paths_are_never_broken_and_sentences_are():
    path = "/srv/atb/" + "x" * 90
    assert field_lines({"report": path}, 60) == [f"report  {path}"]
    assert paragraph("one two three", 8) == "one two\nthree"
    assert field_lines({"a": "one two three"}, 13) == ["a  one two", "   three"]


@pytest.mark.parametrize("columns", ["60", "80"])
def test_tables_of_commands_fit_the_terminal(monkeypatch, columns, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    rows = [{"symbol": "BTC/USDT", "price": 1e-05, "share": 0.1 + 0.2, "note": "word " * 30, "id": "a" * 30}] * 3
    print_table(rows)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= int(columns)
    assert "0.00001" in shown
    assert "e-05" not in shown
    assert "0.30000000000000004" not in shown


@pytest.mark.parametrize("columns", ["60", "80"])
def test_what_lists_fits(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    for command in (["data", "list"], ["runs"], ["status"], ["orders"], ["trades"], ["config", "show"],
                    ["run", "03_backtest", "--list-parameters"]):  # fmt: skip
        done = CliRunner().invoke(main, command)
        lines = [line for line in done.stdout.splitlines() if len(line) > int(columns) and " " in line.strip()[20:]]
        assert lines == [], command

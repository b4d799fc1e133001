"""The axes of a sweep: listed or counted values, from the command line or a YAML file, typed by their target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.cli.grid import read_axes
from atb.errors import InputError
from tests.seeds import examples


def test_values_are_listed_or_counted_with_both_ends():
    axes = read_axes(["fast=5:20:5", "slow=40,80", "stop_loss=0.01:0.03:0.01"], "sma_cross")
    assert axes.params == {"fast": [5, 10, 15, 20], "slow": [40, 80]}
    assert axes.rules == {"stop_loss": [0.01, 0.02, 0.03]}
    assert axes.count == 24


def test_a_rule_that_may_be_off_takes_none():
    assert read_axes(["take_profit=none,0.1"], "sma_cross").rules == {"take_profit": [None, 0.1]}


def test_a_file_has_lists_or_counted_texts_and_stands_beside_options(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text("fast: [5, 10]\nslow: 40:60:10\nstop_loss: [0.02, null]\n")
    axes = read_axes([str(path), "opposite=exit,ignore"], "sma_cross")
    assert axes.params == {"fast": [5, 10], "slow": [40, 50, 60]}
    assert axes.rules == {"stop_loss": [0.02, None], "opposite": ["exit", "ignore"]}


def test_constants_that_a_rule_names_are_axes():
    shared = {"entry": "rsi({n}) < {low=30}"}
    assert read_axes(["n=7:21:7", "low=20,32.5"], "rule", shared).params == {"n": [7, 14, 21], "low": [20, 32.5]}
    with pytest.raises(InputError, match="Did you mean 'low'"):
        read_axes(["lov=20"], "rule", shared)


def test_texts_are_listed_with_semicolons(tmp_path):
    axes = read_axes(["entry=cross_above(close, {level}); rising(close, 3)", "level=100,110"], "rule")
    assert axes.params == {"entry": ["cross_above(close, {level})", "rising(close, 3)"], "level": [100, 110]}
    path = tmp_path / "grid.yaml"
    path.write_text('entry: ["rsi({n}) < 30", "ema(close, {n}) > close"]\nn: [7, 14]\n')
    assert read_axes([str(path)], "rule").params["entry"] == ["rsi({n}) < 30", "ema(close, {n}) > close"]


@examples(60)
@given(st.integers(-50, 50), st.integers(1, 40), st.integers(0, 3), st.integers(1, 9))
def test_a_counted_axis_steps_exactly(start, count, decimals, step):
    scale = 10**decimals
    text = f"{start / scale}:{(start + step * (count - 1)) / scale}:{step / scale}"
    axes = read_axes([f"fraction={text}"], "sma_cross")
    assert axes.rules["fraction"] == [
        float(f"{(start + step * number) / scale:.{decimals}f}") for number in range(count)
    ]


@pytest.mark.parametrize(
    ("given_axes", "message"),
    [
        ([], "needs a grid"),
        (["fsat=5,10"], "Did you mean 'fast'"),
        (["fast=5,ten"], "ten"),
        (["fast=5,5"], "given twice"),
        (["fast=5", "fast=10"], "given twice"),
        (["fast="], "NAME=VALUES"),
        (["=5"], "NAME=VALUES"),
        (["fast=20:5:5"], "goes up"),
        (["fast=5:20:0"], "goes up"),
        (["fast=5:20:x"], "START:END:STEP"),
        (["fast=1:1e9:1"], "at most"),
        (["fast=0:1e9999:1"], "at most"),
        (["fast=-9e999999:9e999999:1e-999999"], "at most"),
        (["fast=1:nan:1"], "goes up"),
        (["fast=1:1000:1", "slow=1:1001:1"], "at most"),
        (["fee=0.001,0.002"], "whole sweep"),
        (["daily_loss=0.01,0.02"], "whole sweep"),
        (["nowhere.yaml"], "cannot be read"),
    ],
)
def test_what_is_no_axis_is_one_sentence(given_axes, message):
    with pytest.raises(InputError, match=message):
        read_axes(given_axes, "sma_cross")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast: [5, 10", "no YAML in line"),
        ("- 5\n- 10\n", "one list of values by name"),
        ("fast: {from: 5}", "list of plain values"),
        ("fast: []", "list of plain values"),
        ("fast: [[5]]", "list of plain values"),
        ("fast: !!python/object/apply:os.getcwd []", "no YAML"),
        ("[" * 20_000, "no YAML"),
    ],
)
def test_a_file_that_holds_no_grid_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_axes([str(path)], "sma_cross")

"""The head of a report: the verdict first, every value as it was used, and nothing of a program's notation."""

import re
from html import unescape

import pytest

from atb.backtest import Result, run
from atb.engine.policy import RiskPolicy
from atb.engine.slot import Slot
from atb.experiments.heading import NOTHING_FOUND, head, readable
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk

RUN = {
    "run_id": "20240131-120000-03-backtest-ffffff",
    "notebook": "03_backtest.ipynb",
    "status": "succeeded",
    "parameters": {"strategy": "sma_cross", "params": {}, "policy": {}, "end": None, "windows": [5, 10]},
    "started_at": "2024-01-31T12:00:00+00:00",
    "seconds": 1.5,
}


@pytest.fixture(scope="module")
def result() -> Result:
    policy = RiskPolicy(fraction=0.5, stop_loss=0.05, trailing_stop=0.03, ladder=((0.02, 0.5),))
    return run(Slot(make_strategy("sma_cross", fast=7), bars_of(random_walk(400)), policy))


def rows(page: str) -> dict[str, dict[str, str]]:
    """Return the tables of a head by their titles."""
    found = {}
    for title, table in re.findall(r"<section><h2>(.*?)</h2><table>(.*?)</table>", page, re.DOTALL):
        cells = re.findall(r"<th[^>]*>(.*?)</th><td>(.*?)</td>", table)
        found[unescape(title)] = {unescape(name): unescape(value) for name, value in cells}
    return found


def test_parameters_are_shown_as_used_with_the_defaults_of_the_strategy(result):
    tables = rows(head(RUN, {"headline": "x", "findings": [], "result": result.to_json()}))
    assert tables["Strategy: sma_cross"] == {"fast": "7", "slow": "50", "warm-up (bars)": "49"}
    assert tables["Market"]["symbol"] == "BTC/USDT"
    assert (
        tables["Rules"] | {"trailing_stop": "0.03", "stop_loss": "0.05", "ladder": "[[0.02, 0.5]]"} == tables["Rules"]
    )
    assert "kelly_scale" not in tables["Rules"]
    assert tables["Rules of sma_cross on BTC/USDT 1h"]["kelly_scale"] == "0.5"
    assert tables["Costs and fills"]["fee"] == "0.001"
    assert tables["Account"]["cash"] == "10,000"
    assert set(result.slots[0].rules.to_json()) == set(tables["Trading rules of the venue"])


def test_every_rule_that_traded_is_on_the_page(result):
    tables = rows(head(RUN, {"result": result.to_json()}))
    (slot,) = result.to_json()["slots"]
    assert set(tables["Rules of sma_cross on BTC/USDT 1h"]) == set(slot["policy"])
    assert set(tables["Limits of the account"]) == set(result.to_json()["account"])


def test_the_verdict_comes_before_everything_that_was_used(result):
    page = head(RUN, {"headline": "-3 % against +2 %", "findings": ["It loses money"], "result": result.to_json()})
    assert page.index("-3 % against +2 %") < page.index("It loses money") < page.index("Strategy: sma_cross")


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ({"headline": "x", "findings": []}, True),
        ({"headline": "x", "findings": None}, False),
        ({"headline": "x"}, False),
        ({}, False),
    ],
)
def test_nothing_found_is_told_apart_from_nothing_looked_for(published, expected):
    assert (NOTHING_FOUND in head(RUN, published)) == expected


def test_a_run_without_a_result_shows_its_parameters_in_words():
    page = head(RUN, {})
    assert rows(page)["Parameters"] == {
        "strategy": "sma_cross",
        "params": "none",
        "policy": "none",
        "end": "none",
        "windows": "5, 10",
    }


def of_symbols(result, number, **changed):
    slot = result.to_json()["slots"][0]
    return [{**slot, "symbol": f"C{one}/USDT", **changed} for one in range(number)]


def test_symbols_that_trade_alike_are_one_table_with_their_number_and_each_has_its_line(result):
    page = head(RUN, {"result": {**result.to_json(), "slots": of_symbols(result, 111)}})
    assert page.count("Strategy: sma_cross") == page.count("<h2>Rules</h2>") == 1
    assert rows(page)["Market"]["symbols"] == "111"
    assert len(rows(page)["Bars by symbol"]) == len(rows(page)["Trading rules by symbol"]) == 111
    assert "Bars and trading rules of each of 111 symbols; all else is the same for all" in page
    assert "<h2>Rules of sma_cross on 111 symbols 1h</h2>" in page


def test_each_set_of_rules_is_shown_and_those_beyond_four_are_folded(result):
    slots = [slot for number in range(6) for slot in of_symbols(result, 1 + number % 2, warmup=number)]
    page = head(RUN, {"result": {**result.to_json(), "slots": slots}})
    assert page.count("Strategy: sma_cross") == 6
    assert "<summary>2 more sets of rules</summary>" in page
    page = head(RUN, {"result": {**result.to_json(), "slots": slots[:-2]}})
    assert "<summary>1 more set of rules</summary>" in page


@pytest.mark.parametrize("where", ["headline", "findings", "symbol", "parameter"])
def test_names_and_sentences_are_escaped(where, result):
    bad = "<script>alert(1)</script>"
    found = {"headline": "x", "findings": ["y"], "result": result.to_json()}
    if where == "symbol":
        found["result"]["slots"][0]["symbol"] = bad
    elif where == "parameter":
        found["result"]["slots"][0]["strategy"]["parameters"] = {bad: bad}
    else:
        found[where] = bad if where == "headline" else [bad]
    page = head(RUN, found)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        ({}, "none"),
        ([], "none"),
        ("", "none"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (0.0, "0"),
        (0.0005, "0.0005"),
        (1e-8, "0.00000001"),
        (-0.05, "-0.05"),
        (10_000.0, "10,000"),
        (64_123.456789, "64,123.45679"),
        (1e-300, "1e-300"),
        (20240229, "20240229"),
        ([5, 10], "5, 10"),
        ({"fast": 10, "slow": 0.5}, "fast 10, slow 0.5"),
    ],
)
def test_a_value_is_written_as_a_person_writes_it(value, text):
    assert readable(value) == text

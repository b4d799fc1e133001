"""Head and foot of a report: the verdict first, every value as it was used, and nothing of a program's notation."""

import re
import shlex
from html import unescape

import pytest

from atb.backtest import Result, run
from atb.engine.policy import RiskPolicy
from atb.engine.slot import Slot
from atb.experiments.details import assumptions_html, command, readable, run_html
from atb.experiments.findings import findings
from atb.experiments.heading import NOTHING_FOUND, head
from atb.reports import equity_figure
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


def sheet(run, published) -> str:
    """Return head and foot of a page."""
    return head(run, published) + assumptions_html(run, published) + run_html(run)


def rows(page: str) -> dict[str, dict[str, str]]:
    """Return the tables of a head by their titles."""
    found = {}
    for title, table in re.findall(r"<section><h2>(.*?)</h2><table>(.*?)</table>", page, re.DOTALL):
        cells = re.findall(r"<th[^>]*>(.*?)</th><td>(.*?)</td>", table)
        found[unescape(title)] = {unescape(name): unescape(value) for name, value in cells}
    return found


def test_parameters_are_shown_as_used_with_the_defaults_of_the_strategy(result):
    tables = rows(sheet(RUN, {"headline": "x", "findings": [], "result": result.to_json()}))
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
    tables = rows(sheet(RUN, {"result": result.to_json()}))
    (slot,) = result.to_json()["slots"]
    assert set(tables["Rules of sma_cross on BTC/USDT 1h"]) == set(slot["policy"])
    assert set(tables["Limits of the account"]) == set(result.to_json()["account"])


def test_the_verdict_comes_before_everything_that_was_used(result):
    page = sheet(RUN, {"headline": "-3 % against +2 %", "findings": ["It loses money"], "result": result.to_json()})
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
    page = sheet(RUN, {})
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
    page = sheet(RUN, {"result": {**result.to_json(), "slots": of_symbols(result, 111)}})
    assert page.count("Strategy: sma_cross") == page.count("<h2>Rules</h2>") == 1
    assert rows(page)["Market"]["symbols"] == "111"
    assert len(rows(page)["Bars by symbol"]) == len(rows(page)["Trading rules by symbol"]) == 111
    assert "Bars and trading rules of each of 111 symbols; all else is the same for all" in page
    assert "<h2>Rules of sma_cross on 111 symbols 1h</h2>" in page


def test_each_set_of_rules_is_shown_and_those_beyond_four_are_folded(result):
    slots = [slot for number in range(6) for slot in of_symbols(result, 1 + number % 2, warmup=number)]
    page = sheet(RUN, {"result": {**result.to_json(), "slots": slots}})
    assert page.count("Strategy: sma_cross") == 6
    assert "<summary>2 more sets of rules</summary>" in page
    page = sheet(RUN, {"result": {**result.to_json(), "slots": slots[:-2]}})
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
    page = sheet(RUN, found)
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


def test_key_figures_stand_beside_those_of_holding_and_of_random_entry_counts_without_decimals(result):
    page = head(RUN, {"headline": "x", "findings": [], "result": result.to_json()})
    cells = {unescape(name): values for name, values in re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', page)}
    found = {name: re.findall(r"<td>(.*?)</td>", values) for name, values in cells.items()}
    assert found["Total return (%)"][0] == f"{result.stats['total_return_pct']:+,.2f}"
    assert found["Total return (%)"][1] == f"{result.baselines['hold']['total_return_pct']:+,.2f}"
    assert found["Total return (%)"][2].startswith(f"{result.random_entry.median('total_return_pct'):+,.2f} (")
    assert found["Closed trades"][0] == f"{result.stats['n_trades']:.0f}"
    assert found["Bars"][0] == "400"
    assert page.index("Total return") < page.index("Every figure") < page.index("Bars a year")


def test_the_title_names_strategy_market_and_synthetic_data(result):
    values = result.to_json()
    values["slots"][0]["venue"] = "synthetic"
    assert "<h1>sma_cross · BTC/USDT 1h · SYNTHETIC data</h1>" in head(RUN, {"result": values})
    several = {**values, "slots": of_symbols(result, 6)}
    assert "C0/USDT, C1/USDT, C2/USDT, C3/USDT and 2 more" in head(RUN, {"result": several})


def test_hashes_and_the_command_that_repeats_it_come_last(result):
    run = {**RUN, "kernel_hash": "k" * 16, "commit": "c" * 40}
    page = sheet(run, {"headline": "x", "findings": [], "result": result.to_json()})
    assert (
        page.index("Strategy: sma_cross")
        < page.index("All metrics" if "All metrics" in page else "k" * 16)
        < page.index("atb run notebooks/")
    )
    assert page.rstrip().endswith("</pre>")


def test_the_command_gives_every_parameter_back_as_it_was():
    words = shlex.split(
        command(
            {**RUN, "parameters": {"symbol": "BTC/USDT", "params": {"a b": "it's"}, "end": None, "on": True, "n": 0.5}}
        )
    )
    assert words[:3] == ["atb", "run", "notebooks/03_backtest.ipynb"]
    assert words[3:] == [
        "-p",
        "symbol=BTC/USDT",
        "-p",
        'params={"a b": "it\'s"}',
        "-p",
        "end=null",
        "-p",
        "on=true",
        "-p",
        "n=0.5",
    ]


def test_the_trials_that_the_data_has_seen_stand_below_the_findings(result):
    trials = {"trials": 12, "sentence": "This data has seen 12 trials <b>"}
    page = sheet(RUN, {"headline": "x", "findings": ["Too few"], "trials": trials, "result": result.to_json()})
    assert page.index("Too few") < page.index("This data has seen 12 trials &lt;b&gt;")


def test_return_drawdown_and_sharpe_are_rounded_alike_wherever_a_report_shows_them(result):
    page = unescape(head(RUN, {"headline": result.headline, "findings": findings(result), "result": result.to_json()}))
    figure = equity_figure(result)
    shown = [page, *(line.name for line in figure.data), *(note.text for note in figure.layout.annotations)]
    for name in ("total_return_pct", "max_drawdown_pct", "sharpe"):
        value = abs(result.stats[name])
        sizes = [f"{value:.{digits}f}" for digits in range(5)]
        found = {text for one in shown for text in re.findall(r"[\d,]+(?:\.\d+)?", one) if text.strip(",") in sizes[1:]}
        assert found == {sizes[2]}, name

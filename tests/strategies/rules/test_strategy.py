"""The strategy of rules: entries and exits become signals, constants are bound, and what is not known is no signal."""

import json

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run, sweep
from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy, RiskPolicy
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.strategies import grid, make_strategy, parameter_types, strategy_params
from atb.strategies.rules import Rule
from atb.validation.windows import check_windows
from tests.bars import bars_of, random_walk
from tests.input_strategies import slot_of

NAN = np.nan
FOUR = dict.fromkeys(("entry", "exit", "short_entry", "short_exit"), "close > 1")
BOTH_SIDES = {"entry": "rsi(3) < 20", "exit": "rsi(3) > 50", "short_entry": "rsi(3) > 80", "short_exit": "rsi(3) < 50"}


def sides(strategy: Rule, **columns: list[float]) -> list[float]:
    """Return the sides for rules whose columns are given."""
    return strategy.signals(pd.DataFrame(columns, dtype=float)).side.tolist()


def same(found, expected):
    np.testing.assert_array_equal(found, expected)


def test_enters_and_leaves_where_the_rules_say_so_and_else_says_nothing():
    rule = Rule(entry="close > 1", exit="close < 1")
    same(sides(rule, entry=[0, 1, 1, 0, 0], exit=[0, 0, 0, 1, 0]), [NAN, 1, 1, 0, NAN])


def test_a_contradiction_is_no_signal():
    rule = Rule(**FOUR, memory=1)
    columns = {
        "entry": [0, 1, 0, 1, 1],
        "exit": [0, 1, 0, 0, 0],
        "short_entry": [0, 0, 1, 1, 0],
        "short_exit": [0, 0, 1, 0, 1],
    }
    same(sides(rule, **columns), [NAN, NAN, NAN, NAN, 1])


def test_nothing_is_entered_while_a_rule_is_not_known_but_a_known_exit_counts():
    rule = Rule(entry="close > 1", exit="close < 1")
    same(sides(rule, entry=[NAN, 1, NAN, 1], exit=[0, NAN, 1, 0]), [NAN, NAN, 0, 1])


def test_a_missing_number_trades_nothing_even_under_not():
    bars = random_walk(60).assign(volume=0.0)
    rule = Rule(entry="not close / volume > 1", exit="close / volume > 2 or not close / volume > 3")
    assert np.isnan(rule.signals(bars.join(rule.features(bars))).side).all()


def test_an_exit_means_the_side_of_the_last_entry():
    rule = Rule(**FOUR, memory=3)
    quiet = [0] * 3
    columns = {
        "entry": [*quiet, 1, 0, 0, 0, 0, 0, 0],
        "exit": [*quiet, 0, 1, 0, 0, 1, 0, 0],
        "short_entry": [*quiet, 0, 0, 0, 1, 0, 0, 0],
        "short_exit": [*quiet, 0, 0, 1, 0, 0, 1, 0],
    }
    same(sides(rule, **columns)[3:], [1, 0, NAN, -1, NAN, 0, NAN])


def test_beyond_the_memory_either_exit_counts():
    rule = Rule(**FOUR, memory=2)
    nothing = [0.0] * 6
    columns = {"entry": [0, 0, 1, 0, 0, 0], "exit": nothing, "short_entry": nothing, "short_exit": [0, 0, 0, 0, 1, 1]}
    same(sides(rule, **columns)[2:], [1, NAN, NAN, 0])


def test_its_warm_up_is_the_longest_of_its_rules_and_the_memory_where_both_sides_have_rules():
    assert Rule(entry="close > sma(close, 50)", exit="close < sma(close, 20)").warmup == 49
    assert Rule(**BOTH_SIDES, memory=100).warmup == 20 * 5 + 100
    assert Rule(short_entry="close > sma(close, 50)", short_exit="close < sma(close, 20)").warmup == 49
    assert Rule(**BOTH_SIDES).shorts
    assert not Rule().shorts


def test_without_a_text_it_is_an_example():
    assert Rule() == Rule(
        entry="cross_above(sma(close, 20), sma(close, 50))", exit="cross_below(sma(close, 20), sma(close, 50))"
    )
    assert Rule(entry="close > 1").exit == ""


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"exit": "close > 1"}, "a rule for exit and none for entry"),
        ({"entry": "close > 1", "short_exit": "close > 1"}, "a rule for short_exit and none for short_entry"),
        ({"entry": "rsi(14)"}, r"entry: a rule is a condition, and rsi\(14\) is a number"),
        ({"entry": "close > 1", "exit": "rsi(14) >"}, "exit: The rule ends too early"),
        ({"entry": "rsi({n=3}) > 1", "exit": "rsi({n=4}) > 1"}, "two values in the rules; found '3 and 4'"),
        ({"entry": "rsi({n}) > 1"}, "The constant n has no value"),
        ({"entry": "rsi(14) > 1", "memory": 0}, "memory lies between 1 and 100,000"),
    ],
)
def test_refuses_rules_that_are_none(texts, words):
    with pytest.raises(InputError, match=words):
        Rule(**texts)


def test_a_constant_has_one_value_in_all_rules():
    rule = Rule(entry="rsi({n=7}) < {low=30}", exit="rsi({n}) > 70")
    assert (rule.entry, rule.exit) == ("rsi({n=7}) < {low=30}", "rsi({n=7}) > 70")
    assert rule.constants == {"n": 7, "low": 30}


def test_constants_are_parameters_of_the_register():
    rule = make_strategy("rule", entry="rsi({n}) < {low=30}", exit="rsi({n}) > 70", n=21, low=25.5)
    assert strategy_params(rule) == {
        "entry": "rsi({n=21}) < {low=25.5}", "exit": "rsi({n=21}) > 70", "short_entry": "", "short_exit": "", "memory": 500,
    }  # fmt: skip
    assert make_strategy("rule", **json.loads(json.dumps(strategy_params(rule)))) == rule
    assert parameter_types("rule", {"entry": "rsi({n}) < 30"})["n"] is float
    assert "n" not in parameter_types("rule")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"entry": "rsi({length}) < 30", "lenght": 3}, "Did you mean 'length'"),
        ({"entry": "rsi({n}) < 30", "n": "7"}, "rule.n must be a finite number"),
        ({"entry": "rsi({n}) < 30", "n": 7.5}, "n is a whole number, and 7.5 is not"),
        ({"entry": "rsi({memory=3}) < 30"}, "A constant has the name of a parameter; found 'memory'"),
    ],
)
def test_refuses_constants_that_do_not_fit(params, words):
    with pytest.raises(InputError, match=words):
        make_strategy("rule", **params)


def test_a_constant_may_have_any_name_that_no_parameter_has():
    found = grid("rule", entry="rsi({name}) < {sharpe}", name=[2, 3], sharpe=[20, 30])
    assert found[0] == make_strategy("rule", entry="rsi({name}) < {sharpe}", name=2, sharpe=20)
    table = sweep(Slot(found[0], bars_of(random_walk(200, 3))), strategies=found).table
    assert table["strategy.sharpe"].tolist() == [20, 30] * 2


def test_a_grid_that_is_refused_says_why():
    with pytest.raises(InputError, match="The constant low has no value"):
        grid("rule", entry="rsi({n}) < {low}", n=[2, 3])


def test_a_grid_sweeps_constants_and_texts():
    strategies = grid("rule", entry="rsi({n}) < {low}", exit=["rsi({n}) > 70", ""], n=[2, 3], low=[20, 30])
    assert len(strategies) == 8
    found = sweep(Slot(strategies[0], bars_of(random_walk(400, 3))), strategies=strategies)
    assert found.table["n"].tolist() == [2, 2, 3, 3] * 2
    assert found.table["low"].tolist() == [20, 30] * 4
    best = found.best("total_return_pct")
    assert found.run(best).stats["total_return_pct"] == found.table.loc[best, "total_return_pct"]


def test_a_cross_of_two_averages_trades_as_the_strategy_of_that_name():
    """The rules state levels, as `sma_cross` does, so both want the same side at every bar."""
    bars = bars_of(random_walk(600, 3))
    rule = Rule(entry="sma(close, 20) > sma(close, 50)", exit="sma(close, 20) <= sma(close, 50)")
    mine, theirs = (run(Slot(strategy, bars)) for strategy in (rule, make_strategy("sma_cross", fast=20, slow=50)))
    pd.testing.assert_frame_equal(mine.orders.drop(columns="strategy"), theirs.orders.drop(columns="strategy"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [
        Rule(
            entry="cross_above(ema(close, 3), ema(close, 8)) and rsi(4) < 70",
            exit="cross_below(ema(close, 3), ema(close, 8))",
        ),
        Rule(**BOTH_SIDES, memory=60),
        Rule(
            entry="close > lag(highest(high, 20), 1) and not rising(volume, 2)", exit="close < lag(lowest(low, 10), 1)"
        ),
    ],
    ids=["crossing", "both sides", "breakout"],
)
def test_a_runner_decides_the_same_at_every_bar(rule):
    frame = random_walk(420, 5, price=0.9, sigma=0.02)
    frame.iloc[330:390] = frame.iloc[330].to_numpy()
    problem = prepare((Slot(rule, bars_of(frame), RiskPolicy()),), AccountPolicy(), frame.index[rule.warmup])
    (checked,) = check_windows(problem)
    assert checked.report.everywhere, str(checked.report)


EVERYTHING = Rule(
    entry='close > ema(close, {n=3}, timeframe="4h") and (hour < 20 or sma(funding, 2) < 0)',
    exit='close(symbol="ETH/USDT") < sma(close, 5, symbol="ETH/USDT") and (sentiment > 30 or weekday == 6)',
)


def test_a_rule_that_reads_other_bars_funding_sentiment_and_the_calendar_is_one_in_research_and_at_every_bar():
    bars, other = bars_of(random_walk(360, 3)), bars_of(random_walk(360, 9), symbol="ETH/USDT")
    slot = slot_of(EVERYTHING, bars, other)
    problem = prepare((slot,), AccountPolicy(), bars.frame.index[300])
    assert len(EVERYTHING.inputs) == 5
    assert len(run(slot).orders) > 8
    (checked,) = check_windows(problem)
    assert checked.report.everywhere, str(checked.report)
    assert checked.report.checked == 60

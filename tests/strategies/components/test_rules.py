"""Signals and filters are rules that can be read, mirrored for short positions, and joined."""

import inspect

import numpy as np
import pytest

from atb.errors import InputError
from atb.strategies.components import filters, signals
from atb.strategies.rules import Rule, parse
from atb.validation.contract import Subject
from tests.strategies.paths import bars_along, sides

MADE = [signals.average_cross(), signals.momentum(), signals.breakout(), signals.oscillator(), signals.distance()]
FILTERS = [
    filters.above_average(), filters.slower_trend(), filters.trending(), filters.ranging(), filters.volatility(0.1, 5.0),
    filters.volume(), filters.hours(8, 20), filters.mood(10, 90), filters.where("close > open"),
]  # fmt: skip
UP = 100 * np.exp(0.002 * np.arange(400) + 0.05 * np.sin(np.arange(400) / 15))


def rules_of(signal):
    return Rule(signal.entry, signal.exit, signal.short_entry, signal.short_exit)


def test_every_signal_and_filter_of_the_modules_is_tested_here():
    for module, made in ((signals, MADE), (filters, FILTERS)):
        named = {name for name, one in vars(module).items() if inspect.isfunction(one) and not name.startswith("_")}
        tested = {str(one).partition("(")[0] for one in made}
        assert named - tested <= {"rule", "any_of", "all_of", "dataclass"}, named - tested


@pytest.mark.parametrize("signal", MADE, ids=str)
def test_a_signal_sells_short_where_on_the_mirrored_path_it_buys(signal):
    strategy = rules_of(signal)
    path = np.concatenate([UP, UP[-1] * np.exp(-0.002 * np.arange(400) + 0.05 * np.sin(np.arange(400) / 15))] * 3)
    long, short = (sides(strategy, bars_along(path**power)) for power in (1, -1))
    assert {1.0, -1.0} <= set(long[~np.isnan(long)])
    # A percentage and its mirror image differ a little, so some bars at the thresholds do.
    assert np.mean((long == 1) == (short == -1)) > 0.95


@pytest.mark.parametrize("one", FILTERS, ids=str)
def test_a_filter_is_a_condition_for_each_side(one):
    for text in (one.long, one.short):
        assert str(parse(text).kind) == "condition"


def test_hours_go_past_midnight():
    bars = bars_along(np.linspace(100, 101, 49))
    for span, wanted in (((22, 3), {22, 23, 0, 1, 2, 3}), ((8, 10), {8, 9, 10})):
        found = Subject(Rule(filters.hours(*span).long)).signals(bars).side
        closes = (bars.index.hour + 1) % 24
        assert set(closes[found == 1]) == wanted


def test_joined_signals_enter_on_one_or_on_all_and_leave_the_other_way_round():
    one, two = signals.rule("close > 1", "close < 1"), signals.rule("open > 2", "open < 2", short_entry="low < 3")
    either, both = signals.any_of(one, two), signals.all_of(one, two)
    assert (either.entry, either.exit) == ("(close > 1) or (open > 2)", "(close < 1) and (open < 2)")
    assert (both.entry, both.exit) == ("(close > 1) and (open > 2)", "(close < 1) or (open < 2)")
    assert (either.short_entry, both.short_entry) == ("(low < 3)", "")
    assert str(either) == f"any_of({one}, {two})"


def test_a_signal_without_rules_for_short_positions_has_no_say_in_leaving_them():
    both_sides, long_only = signals.average_cross(12, 48), signals.rule("rsi(14) < 30", "rsi(14) > 60")
    either, both = signals.any_of(both_sides, long_only), signals.all_of(both_sides, long_only)
    assert (either.short_entry, either.short_exit) == (f"({both_sides.short_entry})", f"({both_sides.short_exit})")
    assert (both.short_entry, both.short_exit) == ("", "")
    assert rules_of(both).entry


def test_a_text_that_is_no_signal_yet_is_not_joined():
    with pytest.raises(InputError, match=r"signals\.rule"):
        signals.any_of("close > open", signals.momentum())


@pytest.mark.parametrize(
    ("filtered", "wrong"),
    [(filters.hours, (22, 26)), (filters.hours, (-1, 5)), (filters.mood, (90, 10)), (filters.volatility, (5.0, 0.1)),
     (filters.mood, (float("nan"), 10))],
)  # fmt: skip
def test_a_filter_that_would_never_hold_is_refused(filtered, wrong):
    with pytest.raises(InputError, match=r"hour|limits"):
        filtered(*wrong)


def test_one_signal_alone_is_not_joined():
    with pytest.raises(InputError, match="two signals or more; found 'momentum"):
        signals.any_of(signals.momentum())


def test_signals_are_equal_and_hash_alike_by_their_rules():
    assert signals.breakout(20, 10) == signals.breakout(20, 10)
    assert len({signals.breakout(20, 10), signals.breakout(20, 10), signals.breakout(20, 11)}) == 2

"""The figure of a sweep: a line or a heat map, with the number of combinations and the warning."""

import pytest

from atb.backtest.sweeping import sweep
from atb.engine import policy
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.reports.sweep import NOTICE, sweep_figure
from atb.strategies import grid, make_strategy
from tests.bars import bars_of, random_walk


@pytest.fixture(scope="module")
def swept():
    slot = Slot(make_strategy("sma_cross"), bars_of(random_walk(300)))
    strategies = grid("sma_cross", fast=[5, 10, 25], slow=[20, 40])
    return sweep(slot, strategies=strategies, policies=policy.grid(stop_loss=[None, 0.02]))


def test_two_parameters_make_a_heat_map_of_medians_with_holes_where_refused(swept):
    figure = sweep_figure(swept, "total_return_pct")
    heat = figure.data[0]
    assert (list(heat.x), list(heat.y)) == (["5", "10", "25"], ["20", "40"])
    of_first = swept.table.query("fast == 5 and slow == 20")["total_return_pct"]
    assert heat.z[0][0] == pytest.approx(of_first.median())
    assert heat.z[0][2] != heat.z[0][2]  # 25 above 20 was refused
    caption = figure.layout.annotations[0].text.replace("<br>", " ")
    assert NOTICE in caption
    assert "10 combinations. Median over stop_loss." in caption
    assert swept.label in figure.layout.title.text


def test_one_parameter_makes_a_line_and_a_rule_that_is_off_is_a_point(swept):
    line = sweep_figure(swept, axes=["stop_loss"]).data[0]
    assert list(line.x) == ["none", "0.02"]


@pytest.mark.parametrize(("metric", "axes"), [("sharp", None), ("sharpe", ["fats"]), ("sharpe", []), ("fast", None),
                                              ("sharpe", ["fast", "slow", "stop_loss"]), ("sharpe", ["fast", "fast"])])  # fmt: skip
def test_what_cannot_be_drawn_is_refused(swept, metric, axes):
    with pytest.raises(InputError):
        sweep_figure(swept, metric, axes)

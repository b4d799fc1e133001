"""A click on any figure of a result shows the trade behind the point."""

import numpy as np
import pytest

from atb.backtest import run
from atb.engine.policy import RiskPolicy
from atb.errors import InputError
from atb.reports import REPORTS
from atb.workbench import clickable
from tests.bars import random_walk
from tests.scenarios import scripted_slot

SIDES = tuple(np.where(np.arange(3_000) // 24 % 2 == 0, 1.0, 0.0))


@pytest.fixture(scope="module")
def result():
    return run(scripted_slot(random_walk(3_000, 3), SIDES, RiskPolicy(fraction=0.5, stop_loss=0.04)))


def fire(trace, point):
    """Do what plotly does when a point is clicked."""
    from plotly.callbacks import InputDeviceState, Points

    place = (None if values is None else [values[point]] for values in (trace.x, trace.y))
    trace._dispatch_on_click(Points([point], *place, trace_name=trace.name, trace_index=0), InputDeviceState())


@pytest.mark.parametrize("name", ["trades", "excursions"])
def test_a_point_of_a_trade_shows_that_trade(name, result):
    box = clickable(result, REPORTS[name](result))
    figure, detail = box.children
    assert "Click a trade" in detail.value
    known = [trace for trace in figure.data if isinstance(trace.meta, dict)]
    assert known
    for trace in known:
        point = len(trace.meta["trade_ids"]) - 1
        fire(trace, point)
        assert f"<b>Trade {trace.meta['trade_ids'][point]}</b>" in detail.value


def test_a_point_of_a_curve_shows_the_trade_that_was_open_then(result):
    figure, detail = clickable(result, REPORTS["equity"](result)).children
    curve = next(trace for trace in figure.data if trace.name.startswith("scripted"))
    moment = result.trades["entry_time"].iloc[9].to_datetime64()
    point = int(np.searchsorted(np.asarray(curve.x), moment + np.timedelta64(2, "h")))
    fire(curve, point)
    shown = int(detail.value.split("<b>Trade ")[1].split("<")[0])
    at = np.datetime64(curve.x[point])
    ends = result.trades.loc[shown, ["entry_time", "exit_time"]]
    assert ends["entry_time"].to_datetime64() <= at <= ends["exit_time"].to_datetime64()


@pytest.mark.parametrize("name", REPORTS)
def test_every_figure_of_a_result_becomes_a_widget(name, result):
    assert len(clickable(result, REPORTS[name](result)).children) == 2


def test_a_result_without_trades_has_nothing_to_show():
    quiet = run(scripted_slot(random_walk(50), ()))
    figure, detail = clickable(quiet, REPORTS["equity"](quiet)).children
    fire(figure.data[0], 0)
    assert "Click a trade" in detail.value


def test_what_is_no_figure_is_refused(result):
    with pytest.raises(InputError, match="Only a plotly figure"):
        clickable(result, "figure")

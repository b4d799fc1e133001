"""The chart: what travels is the visible window, of a bounded size, and a click shows a trade."""

import json

import numpy as np
import pytest

from atb.backtest import run
from atb.engine.policy import RiskPolicy
from atb.errors import InputError
from atb.reports.downsampling import candle_starts, candle_values
from atb.workbench import chart
from atb.workbench.candle_windows import COLUMNS, MOST, CandleWindows
from tests.bars import bars_of, random_walk
from tests.scenarios import scripted_slot

HOUR = 3_600_000


class Page:
    """Stands for the browser: it asks and keeps what was answered."""

    def __init__(self, made) -> None:
        self.chart, self.sent = made, []
        made.send = lambda content, buffers=(): self.sent.append((content, [bytes(buffer) for buffer in buffers]))

    def ask(self, **message):
        self.chart._handle_custom_msg({"kind": "window", **message}, [])
        return self.last()

    def last(self):
        content, buffers = self.sent[-1]
        values = np.frombuffer(buffers[0]).reshape(len(COLUMNS), -1) if buffers else None
        return content, values


@pytest.fixture(scope="module")
def long():
    """200,000 hourly bars with a hole."""
    frame = random_walk(200_000, 3)
    return bars_of(frame.drop(frame.index[50_000:50_500]))


@pytest.fixture(scope="module")
def traded():
    sides = tuple(np.where(np.arange(3_000) // 24 % 2 == 0, 1.0, 0.0))
    return run(scripted_slot(random_walk(3_000, 3), sides, RiskPolicy(fraction=0.5, stop_loss=0.04)))


def test_the_first_window_is_the_whole_series_in_few_bytes(long):
    content, values = Page(chart(long)).ask(width=900)
    assert content["whole"] == [True, True]
    assert 450 < values.shape[1] <= 900  # a candle for each pixel or two
    assert len(values.tobytes()) < 50_000
    assert values[2].max() == long.frame["high"].max()
    assert values[3].min() == long.frame["low"].min()
    assert values[5].sum() == pytest.approx(long.frame["volume"].sum())
    assert "199,500 bars" in content["text"]


@pytest.mark.parametrize("seed", range(5))
def test_any_window_holds_the_bars_asked_for_as_whole_candles(long, seed):
    rng = np.random.default_rng(seed)
    windows = CandleWindows(long)
    start, end = np.sort(rng.uniform(long.opened_ms[0] - 1e9, long.opened_ms[-1] + 1e9, 2))
    found = windows.window(start, end)
    assert len(found.opened_ms) <= MOST + 2
    duration = found.span * HOUR
    every = candle_starts(long.opened_ms, duration)
    expected = candle_values(long.frame, every)
    known = {int(opened): row for row, opened in enumerate(long.opened_ms[every])}
    rows = [known[int(opened)] for opened in found.opened_ms]
    for column, name in enumerate(COLUMNS[1:], 1):
        np.testing.assert_allclose(found.values[column], expected[name][rows], rtol=1e-12)
    inside = long.opened_ms[(long.opened_ms >= start) & (long.opened_ms <= end)]
    if len(inside):
        assert found.opened_ms[0] <= inside[0]
        assert found.opened_ms[-1] + duration > inside[-1]


def test_zooming_in_reaches_the_bars_themselves(long):
    page = Page(chart(long))
    at = long.opened_ms[100_000] / 1_000
    content, values = page.ask(asks=3, **{"from": at, "to": at + 200 * 3_600})
    assert (content["answers"], content["span"], content["whole"]) == (3, 1, [False, False])
    row = int(np.flatnonzero(values[0] == at)[0])
    assert values[1:5, row].tolist() == long.frame.iloc[100_000, :4].tolist()


def test_a_window_outside_the_series_shows_its_end(long):
    content, values = Page(chart(long)).ask(**{"from": 1e10, "to": 1.1e10})
    assert values[0][-1] == long.opened_ms[-1] / 1_000
    assert content["whole"][1]


def test_new_bars_travel_alone_and_change_only_the_last_candle(long):
    known, coming = long.rows(0, 199_000), long.rows(199_000, 199_500)
    page = Page(chart(known))
    first, _ = page.ask(width=900)
    for row in range(len(coming)):
        page.chart.append(coming.rows(row, row + 1))
        content, candle = page.last()
        assert (content["kind"], content["span"], candle.shape) == ("bar", first["span"], (6, 1))
    grown, _ = page.ask(width=900)
    assert "199,500 bars" in grown["text"]
    whole, values = Page(chart(long)).ask(width=900)
    assert page.last()[1].tobytes() == values.tobytes()
    assert grown["span"] == whole["span"]
    page.chart.append(coming.rows(499, 500))  # the same bar again
    assert "199,500 bars" in page.ask(width=900)[0]["text"]


def test_a_newest_bar_that_is_replaced_leaves_the_series_unchanged(long):
    known = long.rows(0, 1_000)
    windows, before = CandleWindows(known), known.frame.copy()
    windows.append(int(known.opened_ms[-1]), np.array([1.0, 4.0, 0.5, 2.0, 9.0]))
    windows.append(int(known.opened_ms[-1]), np.array([1.0, 5.0, 0.5, 3.0, 9.5]))
    windows.append(int(known.opened_ms[-1]) + HOUR, np.array([3.0, 3.5, 2.5, 3.2, 7.0]))
    assert len(windows) == 1_001
    assert windows.window().values[1:, -2:].T.tolist() == [[1.0, 5.0, 0.5, 3.0, 9.5], [3.0, 3.5, 2.5, 3.2, 7.0]]
    assert windows.last_candle(1).values[4].tolist() == [3.2]
    assert windows.window().values[4, :-2].tolist() == before["close"].iloc[:-1].tolist()
    assert known.frame.equals(before)


def test_bars_that_do_not_follow_are_refused(long):
    made = chart(long.rows(0, 100))
    with pytest.raises(InputError, match="after the last one"):
        made.append(long.rows(10, 11))
    with pytest.raises(InputError, match="another series"):
        made.append(bars_of(random_walk(5), "ETH/USDT"))


def test_trades_are_marked_on_their_candles_and_too_many_are_counted(traded):
    content, values = Page(chart(traded)).ask(width=900)
    fills = len(traded.orders)
    assert len(content["trades"]) == fills <= 400
    assert {mark["time"] for mark in content["trades"]} <= set(values[0].tolist())
    assert {mark["trade"] for mark in content["trades"]} == set(traded.trades["trade_id"])
    sides = tuple(float(k % 2) for k in range(3_000))
    many, _ = Page(chart(run(scripted_slot(random_walk(3_000, 3), sides)))).ask(width=900)
    assert many["trades"] == []
    assert "zoom in to see them" in many["text"]


def test_a_click_on_a_mark_or_near_a_fill_shows_that_trade(traded):
    page = Page(chart(traded))
    page.ask(width=900)
    seen = []
    page.chart.observe(lambda change: seen.append(change["new"]), "trade")
    page.chart._handle_custom_msg({"kind": "click", "time": 0, "trade": 5}, [])
    assert "Trade 5" in page.sent[-1][0]["html"]
    entry = traded.trades["entry_time"].iloc[7].timestamp()
    page.chart._handle_custom_msg({"kind": "click", "time": entry, "trade": None}, [])
    assert "Trade 7" in page.sent[-1][0]["html"]
    assert seen == [5, 7]
    sent = len(page.sent)
    page.chart._handle_custom_msg({"kind": "click", "time": 0, "trade": None}, [])  # nothing is there
    assert len(page.sent) == sent


def test_no_bar_is_in_the_widgets_state_and_a_picture_stands_in_for_it(long):
    made = chart(long)
    state = {name: value for name, value in made.get_state().items() if name not in {"_esm", "_css"}}
    assert len(json.dumps(state, default=str)) < 5_000
    assert len(made._esm) < 250_000
    data, _ = made._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/html"].count("<img src='data:image/svg+xml") == 1
    assert len(data["text/html"]) < 60_000
    assert "199,500 bars" in data["text/plain"]


def test_the_chart_names_whose_library_draws_it():
    script = chart(bars_of(random_walk(5)))._esm
    assert "attributionLogo: false" in script
    assert 'href="https://www.tradingview.com/" target="_blank" rel="noreferrer noopener"' in script
    assert "Copyright (c) 2026 TradingView" in script


@pytest.mark.parametrize(
    ("given", "options", "wrong"),
    [
        ("bars", {}, "needs bars, or the result"),
        (bars_of(random_walk(5)), {"height": 20}, "120 to 4,000 pixels"),
        (bars_of(random_walk(5).iloc[:0]), {}, "no bar to draw"),
    ],
)
def test_what_cannot_be_drawn_is_refused(given, options, wrong):
    with pytest.raises(InputError, match=wrong):
        chart(given, **options)


def test_a_chart_without_trades_says_how_to_get_them(traded):
    with pytest.raises(InputError, match="has no trades"):
        chart(traded.bars[0]).show_trade(0)
    with pytest.raises(InputError, match="slot must be 0 to 0"):
        chart(traded, slot=1)

"""Contract of every registered report: a figure that names its data, made of its input alone, small enough to keep."""

import builtins
import io
import pathlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from atb.backtest import Result, run
from atb.backtest.sweeping import sweep
from atb.domain import Bars
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.reports import (
    BAR_REPORTS,
    REPORTS,
    SESSION_REPORTS,
    SWEEP_REPORTS,
    SessionRecord,
    session_fills_figure,
    theme,
    trades_figure,
)
from atb.strategies import make_strategy
from tests.bars import bars_of, frame_of, random_walk
from tests.scenarios import random_slots, scripted_slot

MEGABYTE = 1_000_000
STOPS = RiskPolicy(fraction=0.5, stop_loss=0.05, take_profit=0.1)


def alternating(n: int, every: int) -> tuple[float, ...]:
    """Return sides that enter and leave by turns, each for `every` bars."""
    return tuple(np.where(np.arange(n) // every % 2 == 0, 1.0, 0.0))


@pytest.fixture(scope="module")
def ordinary() -> Result:
    """A year of hourly bars, some hundred trades."""
    return run(scripted_slot(random_walk(8_760, 3), alternating(8_760, 20), STOPS, venue="synthetic"))


@pytest.fixture(scope="module")
def large() -> Result:
    """100,000 bars and 5,000 trades with partial exits, additions, stops that trail, and fills that could have been others."""
    policy = RiskPolicy(
        fraction=0.3, stop_loss=0.006, ladder=((0.004, 0.4),), take_profit=0.012, trailing_stop=0.01, scale_in=0.004
    )
    return run(scripted_slot(random_walk(100_000, 5, sigma=0.004), alternating(100_000, 10), policy))


def odd_results() -> dict[str, Slot | tuple[Slot, ...]]:
    """Return slots whose results have something missing."""
    flat = frame_of(np.full(50, 100.0))
    return {
        "never traded": scripted_slot(random_walk(50), ()),
        "one bar": scripted_slot(random_walk(2).iloc[:1], (1.0,)),
        "one open trade": scripted_slot(random_walk(50), (1.0,)),
        "a price that never moved": scripted_slot(flat, alternating(50, 5)),
        "two markets": random_slots(4)[0],
        "a bankrupt account": scripted_slot(random_walk(2_000), alternating(2_000, 1), STOPS, ExecutionModel(fee=0.2)),
    }


def contents(result: Result) -> list[bytes]:
    """Return the bytes of everything a report could change."""
    frames = [pd.util.hash_pandas_object(bars.frame).to_numpy().tobytes() for bars in result.bars]
    outcome, problem = result.outcome, result.inputs
    records = (outcome.orders, outcome.trades, outcome.equity, outcome.slots, problem.market, problem.signals)
    tables = [pd.util.hash_pandas_object(table).to_numpy().tobytes() for table in (result.trades, result.equity)]
    return [*frames, *(record.tobytes() for record in records), problem.parameters.tobytes(), *tables]


@contextmanager
def no_world() -> Iterator[None]:
    """Make any file opened and any figure shown an error; what plotly reads of itself must be read before."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a report opened a file or showed itself")

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (builtins, "open"),
            (io, "open"),
            (pathlib.Path, "open"),
            (pio, "show"),
            (go.Figure, "show"),
        ):
            patch.setattr(owner, name, refuse)
        yield


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_returns_a_figure_that_names_its_data(name, ordinary, capfd):
    before = contents(ordinary)
    REPORTS[name](run(odd_results()["one open trade"]))
    with no_world():
        figure = REPORTS[name](ordinary)
    assert isinstance(figure, go.Figure)
    assert ordinary.label in figure.layout.title.text
    assert "SYNTHETIC data" in figure.layout.title.text
    assert contents(ordinary) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_the_same_each_time(name, ordinary):
    assert REPORTS[name](ordinary).to_json() == REPORTS[name](ordinary).to_json()


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_stays_small_on_a_long_history(name, large):
    assert len(large.trades) >= 5_000
    assert large.band
    large.trades, large.orders, large.positions, large.benchmark_equity  # noqa: B018  what every figure shares is not the figure's cost
    began = time.process_time()
    size = len(REPORTS[name](large).to_json())
    print(f"{name}: {size / 1e6:.2f} MB, {time.process_time() - began:.3f} s of CPU time")  # noqa: T201  shown, never asserted
    assert size < MEGABYTE


@pytest.mark.parametrize("last", [1, 200, 1_000])
def test_the_trades_that_are_drawn_of_a_long_history_are_the_newest_with_all_their_fills(last, large):
    figure = trades_figure(large, last)
    newest = large.trades.sort_values("entry_time", kind="stable").tail(last)
    orders = large.orders[large.orders["trade_id"].isin(newest["trade_id"])]
    entered = orders["role"] == "entry"
    drawn = {part.name.split(" (")[0]: part for part in figure.data}
    assert drawn["entry"].y.tolist() == orders["price"][entered].tolist()
    for reason, part in orders[~entered].groupby("reason"):
        assert drawn[reason].y.tolist() == part["price"].tolist()
    assert len(drawn["profit"].x) + len(drawn["loss"].x) == 3 * last
    assert len(drawn["price"].x) <= 1_200
    caption = figure.layout.annotations[-1].text.replace("<br>", " ")
    assert f"The last {last:,} of {len(large.trades):,} trades" in caption
    assert f"the {len(large.trades) - last:,} before them are not drawn" in caption
    assert len(figure.to_json()) < MEGABYTE


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_says_units_on_its_axes(name, ordinary):
    layout = REPORTS[name](ordinary).to_dict()["layout"]
    axes = [layout[key] for key in layout if key.startswith(("xaxis", "yaxis"))]
    titles = [axis["title"]["text"] for axis in axes if axis.get("title", {}).get("text")]
    assert all("(" in title for title in titles)
    dated = [axis for axis in axes if axis.get("type") == "date" and axis.get("title", {}).get("text")]
    assert all("UTC" in axis["title"]["text"] for axis in dated)


def lightness(colour: str) -> float:
    """Return the relative luminance of a hex colour, 0 to 1, as the contrast rules define it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def colours_in(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each hex colour of a figure's data with the name it stands under."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from colours_in(item, key)
    elif isinstance(value, list | tuple | np.ndarray):
        for item in value:
            yield from colours_in(item, name)
    elif isinstance(value, str) and re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
        yield name, value.upper()


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_legible_on_a_light_and_on_a_dark_ground(name, ordinary):
    figure = REPORTS[name](ordinary)
    template = figure.layout.template.layout
    assert (template.paper_bgcolor, template.plot_bgcolor) == (theme.CLEAR, theme.CLEAR)
    drawn = {colour for key, colour in colours_in([trace.to_plotly_json() for trace in figure.data]) if key == "color"}
    written = {template.font.color.upper(), theme.GREY.upper()}
    for ground in (1.0, lightness("#14181D")):
        for least, chosen in ((1.6, drawn), (3.7, written)):
            ratios = {
                one: (max(lightness(one), ground) + 0.05) / (min(lightness(one), ground) + 0.05) for one in chosen
            }
            assert {colour: ratio for colour, ratio in ratios.items() if ratio < least} == {}


@pytest.mark.parametrize("slots", odd_results().values(), ids=odd_results())
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_draws_results_with_little_in_them(name, slots):
    REPORTS[name](run(slots)).to_json()


@pytest.mark.parametrize("name", BAR_REPORTS)
def test_a_report_of_bars_returns_a_figure_that_names_its_data(name, capfd):
    bars = bars_of(random_walk(3_000, 1), venue="synthetic")
    before = bars.fingerprint
    BAR_REPORTS[name](bars_of(random_walk(100)))
    with no_world():
        figure = BAR_REPORTS[name](bars)
    assert isinstance(figure, go.Figure)
    assert bars.label in figure.layout.title.text
    assert bars_of(bars.frame, venue="synthetic").fingerprint == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", BAR_REPORTS)
def test_a_report_of_bars_stays_small_on_a_long_history(name):
    assert len(BAR_REPORTS[name](bars_of(random_walk(100_000, 1))).to_json()) < MEGABYTE


@pytest.mark.parametrize("bars", [3, 4, 10])
@pytest.mark.parametrize("name", BAR_REPORTS)
def test_a_report_of_bars_draws_short_series(name, bars):
    BAR_REPORTS[name](bars_of(random_walk(20, 1).iloc[:bars])).to_json()


@pytest.mark.parametrize("name", ["returns", "volatility"])
def test_a_report_of_returns_refuses_fewer_than_two(name):
    with pytest.raises(InputError, match="Too few bars"):
        BAR_REPORTS[name](bars_of(random_walk(20, 1).iloc[:2]))


@pytest.mark.parametrize("name", BAR_REPORTS)
def test_a_report_of_bars_draws_holes(name):
    frame = random_walk(500, 1)
    whole = bars_of(frame.drop(frame.index[100:200]))
    bars = Bars(whole.symbol, whole.timeframe, whole.frame, "test", ((frame.index[100], frame.index[200]),))
    BAR_REPORTS[name](bars).to_json()


def session_of(result: Result, *, name: str = "paper-0123456789abcdef") -> SessionRecord:
    """Return the session of a runner that did what the backtest did, with a stop beside each entry."""
    orders = result.orders.assign(slot=result.outcome.orders["slot"])
    fills = orders[["time", "slot", "side", "role", "reason", "price", "quantity"]]
    sent = pd.DataFrame(
        {
            "placed": orders["time"],
            "ended": orders["time"] + pd.Timedelta(hours=5),
            "slot": orders["slot"],
            "role": np.where(orders["role"] == "entry", "stop", orders["role"]),
            "state": "cancelled",
            "price": 0.95 * orders["price"],
            "why": orders["reason"],
        }
    )
    if len(sent):
        sent.loc[len(sent) - 1, ["ended", "state"]] = [pd.NaT, "sent"]
    return SessionRecord(name, result, result.equity, fills, sent)


@pytest.mark.parametrize("name", SESSION_REPORTS)
def test_a_report_of_a_session_names_it_and_its_data_and_changes_nothing(name, ordinary, capfd):
    record = session_of(ordinary)
    tables = (record.equity, record.fills, record.orders)
    before = contents(ordinary), [table.copy(deep=True) for table in tables]
    SESSION_REPORTS[name](session_of(run(odd_results()["one open trade"])))
    with no_world():
        figure = SESSION_REPORTS[name](record)
    assert record.name in figure.layout.title.text
    assert "SYNTHETIC data" in figure.layout.title.text
    assert SESSION_REPORTS[name](record).to_json() == figure.to_json()
    assert contents(ordinary) == before[0]
    assert all(table.equals(copy) for table, copy in zip(tables, before[1], strict=True))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", SESSION_REPORTS)
def test_a_report_of_a_session_stays_small_on_a_long_history(name, large):
    assert len(SESSION_REPORTS[name](session_of(large)).to_json()) < MEGABYTE


@pytest.mark.parametrize("slots", odd_results().values(), ids=odd_results())
@pytest.mark.parametrize("name", SESSION_REPORTS)
def test_a_report_of_a_session_draws_one_with_little_in_it(name, slots):
    SESSION_REPORTS[name](session_of(run(slots))).to_json()


@pytest.mark.parametrize("axes", [["fast"], ["fast", "slow"]])
@pytest.mark.parametrize("name", SWEEP_REPORTS)
def test_a_report_of_a_sweep_names_it_says_its_figure_and_stays_small(name, axes):
    grid = [make_strategy("sma_cross", fast=fast, slow=slow) for fast in (5, 10) for slow in (20, 40)]
    swept = sweep(Slot(grid[0], bars_of(random_walk(300), venue="synthetic"), STOPS), strategies=grid)
    figure = SWEEP_REPORTS[name](swept, axes=axes)
    assert "SYNTHETIC data" in figure.layout.title.text
    assert [figure.layout.xaxis.title.text, figure.layout.yaxis.title.text] == [
        axes[0],
        axes[1] if axes[1:] else "sharpe",
    ]
    assert len(figure.to_json()) < MEGABYTE


def test_a_session_apart_from_its_backtest_says_by_how_much(ordinary):
    record = session_of(ordinary)
    assert "Equal to the last digit" in SESSION_REPORTS["session_equity"](record).layout.annotations[-1].text
    other = replace(record, equity=record.equity + np.where(np.arange(len(record.equity)) > 100, -2.5, 0.0))
    figure = SESSION_REPORTS["session_equity"](other)
    assert "closes is 2.5." in figure.layout.annotations[-1].text
    assert min(figure.data[2].y) == pytest.approx(-2.5)


def test_an_order_without_an_answer_is_drawn_to_the_end_of_the_session(ordinary):
    figure = SESSION_REPORTS["session_orders"](session_of(ordinary))
    (sent,) = [part for part in figure.data if part.name == "sent (1)"]
    assert pd.Timestamp(sent.x[1]) == ordinary.index[-1].tz_localize(None) + pd.Timedelta(hours=1)


def test_a_session_without_an_order_shows_its_own_time():
    record = session_of(run(odd_results()["never traded"]))
    first, last = SESSION_REPORTS["session_orders"](record).layout.xaxis.range
    assert pd.Timestamp(first) == record.result.index[0].tz_localize(None)
    assert pd.Timestamp(last) == record.result.index[-1].tz_localize(None)


def test_a_slot_that_is_not_there_is_refused(ordinary):
    with pytest.raises(InputError, match="slot must be 0 to 0"):
        session_fills_figure(session_of(ordinary), slot=1)


def test_no_report_changes_the_defaults_of_plotly(ordinary):
    before = pio.templates.default
    for report in REPORTS.values():
        report(ordinary)
    assert pio.templates.default == before
    assert "atb" not in list(pio.templates)

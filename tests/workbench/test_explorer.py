"""The explorer: every move is the backtest that a batch run would make of the same values, and what is wrong is said beside it."""

import contextlib
import json

import numpy as np
import pytest

from atb.config import load_settings
from atb.errors import InputError
from atb.experiments.parameters import read_parameters
from atb.trials.reading import read_ledger
from atb.workbench import explore
from atb.workbench.backtesting import prepare_backtest
from atb.workbench.explorer.controls import parameter_widget
from atb.workbench.explorer.keeping import with_values
from atb.workbench.strategies import Parameter, listed_strategies


@pytest.fixture
def explorer(stocked):
    found = explore("sma_cross", days=60)
    assert found.message == ""
    return found


def drawn(line) -> np.ndarray:
    return np.asarray(line.y, dtype=float)


def test_a_move_is_the_backtest_of_the_notebook_with_these_values(explorer):
    before = drawn(explorer.lines[1]).copy()
    explorer.widgets["fast"].value = 7
    explorer.widgets["stop_loss"].value = 0.02
    assert explorer.message == ""
    values = {one.name: one.default for one in read_parameters(explorer.notebook)} | explorer.values
    assert values["params"] == {"fast": 7, "slow": 50}
    assert (values["stop_loss"], values["take_profit"]) == (0.02, None)
    again = prepare_backtest(values).run()
    assert explorer.result.stats == pytest.approx(again.stats, nan_ok=True, rel=0)
    assert drawn(explorer.lines[1])[-1] == again.equity.iloc[-1]
    assert not np.array_equal(before, drawn(explorer.lines[1]))
    assert f"{again.stats['sharpe']:.2f}" in explorer._view.figures.value


def test_each_move_is_a_trial_and_the_count_is_shown(explorer):
    for fast in (5, 6, 5):
        explorer.widgets["fast"].value = fast
    frames = read_ledger().frames
    assert {one.kind for one in frames} == {"explore"}
    assert len({key for one in frames for key in one.keys}) == 3
    assert "This data has seen 3 trials" in explorer._view.figures.value


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("slow", 1, "need 0 < fast < slow"),
        ("policy", "{nonsense", "The rules are not JSON"),
        ("policy", '{"trailing_stp": 0.1}', "Did you mean 'trailing_stop'"),
        ("start", "yesterday", "yesterday"),
        ("start", "2090-01-01", "2090"),
        ("timeframe", "1m", "1m"),
        ("cash", -5.0, "cash must be"),
    ],
)
def test_what_is_wrong_is_said_beside_the_widgets_and_the_last_result_stays(explorer, name, value, words):
    was, shown = explorer.widgets[name].value, explorer.result
    explorer.widgets[name].value = value
    assert words in explorer.message
    assert explorer.result is shown
    explorer.widgets[name].value = was
    assert explorer.message == ""


def test_a_rule_is_text_and_its_error_has_a_caret_under_the_place(stocked):
    explorer = explore("rule", days=60)
    explorer.widgets["entry"].value = "cross_above(sma(close, 20), smaa(close, 50))"
    _, line, carets = explorer.message.rsplit("\n", 2)
    assert line[carets.index("^") :].startswith("smaa")
    assert "monospace" in explorer._text.value
    explorer.widgets["entry"].value = "close > <script>"
    assert "<script>" not in explorer._text.value
    explorer.widgets["entry"].value = "close > sma(close, 30)"
    assert explorer.message == ""
    assert explorer.result.slots[0].strategy.entry == "close > sma(close, 30)"


def test_another_strategy_brings_its_own_widgets(explorer):
    explorer.widgets["strategy"].value = "breakout"
    assert "fast" not in explorer.widgets
    assert explorer.result.slots[0].strategy.name == "breakout"
    explorer.widgets["strategy"].value = "hold"
    assert explorer.message == ""


def test_every_listed_strategy_has_a_widget_for_each_parameter_that_gives_its_default_back(stocked):
    for strategy in listed_strategies(load_settings()):
        for parameter in strategy.parameters:
            widget = parameter_widget(parameter, parameter.default)
            assert widget.value == parameter.default
            assert type(widget.value) is type(parameter.default)
            assert widget.tooltip


def test_a_slider_reaches_a_value_that_was_given():
    widget = parameter_widget(Parameter("n", "int", 3, ""), 500)
    assert (widget.value, widget.max) == (500, 500)


@pytest.mark.parametrize(
    ("given", "words"),
    [({"strategy": "sma_cros"}, "sma_cross"), ({"params": {"fst": 3}}, "fast"), ({"symbol": "XRP/USDT"}, "XRP/USDT"),
     ({"timeframe": "1x"}, "1x"), ({"stop_los": 1}, "stop_loss")],
)  # fmt: skip
def test_what_explore_cannot_begin_with_is_refused_with_the_nearest(stocked, given, words):
    with pytest.raises(InputError, match=words):
        explore(**{"strategy": "sma_cross", **given})


def test_begun_with_parameters_and_rules_it_shows_them(stocked):
    explorer = explore("sma_cross", symbol="ETHUSDT", days=30, params={"fast": 9}, fraction=0.5, trailing_stop=0.03)
    assert explorer.values["params"]["fast"] == 9
    assert (explorer.values["symbol"], explorer.values["fraction"], explorer.values["policy"]) == (
        "ETH/USDT", 0.5, {"trailing_stop": 0.03},
    )  # fmt: skip
    assert explorer.result.slots[0].policy.trailing_stop == 0.03


def test_a_copy_of_the_notebook_has_the_values_as_its_defaults_and_no_outputs(explorer, tmp_path):
    explorer.widgets["fast"].value = 8
    explorer.widgets["policy"].value = '{"trailing_stop": 0.04}'
    explorer.buttons["notebook"].click()
    first, second = explorer.as_notebook(), explorer.as_notebook()
    assert first != second
    defaults = {one.name: one.default for one in read_parameters(first)}
    assert {name: defaults[name] for name in explorer.values} == explorer.values
    cells = json.loads(first.read_text(encoding="utf-8"))["cells"]
    assert [cell for cell in cells if cell.get("outputs")] == []
    helps = {one.name: one.help for one in read_parameters(first)}
    assert helps == {one.name: one.help for one in read_parameters(explorer.notebook)}


def test_values_are_written_between_what_stands_around_them():
    source = "a: int = 1  # one\nb: dict = {\n    'x': 1,\n}  # two\nc: str = 'ä'; d: int = 2\ne = 5\n"
    found = with_values(source, {"a": 7, "b": {"y": [1]}, "c": "ö'\"", "d": 3})
    space: dict[str, object] = {}
    exec(found, space)
    assert (space["a"], space["b"], space["c"], space["d"], space["e"]) == (7, {"y": [1]}, "ö'\"", 3, 5)
    assert "# one" in found
    assert "# two" in found


def test_what_cannot_be_run_cannot_be_kept_written_or_promoted(explorer, tmp_path):
    explorer.widgets["slow"].value = 1
    for button in explorer.buttons.values():
        button.click()
        assert "need 0 < fast < slow" in explorer.message
    assert explorer.kept is None
    assert list(tmp_path.glob("*.ipynb")) == []


def test_where_there_are_no_widgets_the_card_of_the_result_is_shown(explorer):
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "data:image/svg+xml" in bundle["text/html"]
    assert explorer.result.headline in bundle["text/plain"]


def test_a_strategy_that_raises_anything_breaks_nothing(explorer, monkeypatch):
    from atb.strategies.sma_cross import SmaCross

    def broken(*_):
        raise ZeroDivisionError("of my own")

    monkeypatch.setattr(SmaCross, "signals", broken)
    explorer.widgets["fast"].value = 9
    assert "of my own" in explorer.message
    monkeypatch.undo()
    with contextlib.suppress(InputError):
        explorer.widgets["fast"].value = 10
    assert explorer.message == ""


def test_numbers_travel_as_bytes_and_few(explorer):
    explorer.widgets["fast"].value = 9
    sent = sum(np.asarray(line.y).nbytes + np.asarray(line.x).nbytes for line in explorer.lines)
    assert sent < 64_000

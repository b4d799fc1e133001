"""Inputs from the command line to the gate: loaded by what a strategy declares, and loaded again by the gate to compare."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.config import load_settings
from atb.data.catalogue.events import save_events, sentiment_at
from atb.errors import DataError
from atb.experiments.promotion import _check_data
from atb.experiments.recomputation import columns_equal
from atb.strategies import make_strategy
from atb.workbench import Period, prepare_slot
from tests.input_strategies import READER, mood_frame
from tests.live.test_inputs import ALL, LATER, START, result_of, stock
from tests.strategies.own_files import write_strategy


@pytest.fixture
def root():
    write_strategy("reader", READER)
    root = load_settings().bars_root
    stock(root)
    return root


def test_a_prepared_slot_has_the_inputs_that_its_strategy_declares(root):
    slot, start = prepare_slot(make_strategy("reader", reads=ALL), "BTCUSDT", "1h", period=Period(days=3))
    assert (slot.bars.frame.index[-1] - start).days == 2
    assert list(slot.inputs) == ["slow", "other", "funding", "mood"]


def test_without_a_start_trading_begins_when_every_input_has_its_warm_up(root):
    slot, start = prepare_slot(make_strategy("reader", reads="slow+other"), "BTC/USDT", "1h")
    assert start == pd.Timestamp("2024-01-02", tz="UTC")
    first = slot.inputs["slow"].known(slot.bars.closed_ms)
    assert first.rows[0] >= slot.inputs["slow"].declared.warmup
    with pytest.raises(DataError, match="needs 5 rows"):
        prepare_slot(make_strategy("reader"), "BTC/USDT", "1h", period=Period("2024-01-01T12:00"))


def test_parity_from_the_command_line_computes_the_columns_again_with_inputs(root):
    asked = ["parity", "reader", "-p", "reads=slow+funding", "--start", "2024-01-14", "--end", "2024-01-16", "--json"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert (report["equal"], report["ways"]["columns"], report["columns"][0]["checked"]) == (True, True, 48)


def test_the_gate_loads_the_inputs_again_and_sees_another_value(root):
    published = result_of(root, ALL).to_json()
    (slot,) = published["slots"]
    assert _check_data(slot, str(START), root) == (True, True)
    mood = mood_frame(pd.date_range("2024-01-01", periods=420, freq="h", tz="UTC"))[["value", "published"]]
    mood.loc[pd.Timestamp("2024-01-13", tz="UTC"), "value"] += 1
    save_events(sentiment_at(root, "fear_greed"), mood, source="a test", fetched=LATER, replace=True)
    assert _check_data(slot, str(START), root) == (False, True)
    (sentiment_at(root, "fear_greed").path).unlink()
    assert _check_data(slot, str(START), root) == (False, False)


@pytest.mark.slow
def test_the_gate_computes_the_columns_again_with_inputs_that_it_loads_itself(root):
    published = json.loads(json.dumps(result_of(root, ALL).to_json(), default=str))
    assert columns_equal(published, folder=None, settings=load_settings()) is True

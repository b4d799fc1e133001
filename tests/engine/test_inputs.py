"""Inputs at the slot: a strategy or model is handed what it declares, cut at its newest bar, and nothing else."""

import pickle
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from atb.backtest import run, sweep
from atb.domain import BarsInput, Known, Signals
from atb.domain.input_series import InputSeries
from atb.engine.prepare import signals_of
from atb.engine.slot import Slot
from atb.errors import InputError
from tests.bars import bars_of, random_walk
from tests.input_strategies import HONEST, Above, SlowTrend, resampled, slot_of

BARS, OTHER = bars_of(random_walk(420, 3)), bars_of(random_walk(420, 9), "ETH/USDT")
SEEN: list[tuple] = []


@dataclass(frozen=True)
class Watches(SlowTrend):
    """Keeps what it is handed."""

    def features(self, *given):
        SEEN.append(given)
        return super().features(*given)


@dataclass(frozen=True)
class Alone(Above):
    """Reads its own bars alone."""

    name: ClassVar[str] = "alone"

    def features(self, *given):
        SEEN.append(given)
        return given[0][["close"]].set_axis(["above"], axis=1)


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()


def test_a_strategy_is_handed_what_it_declares_and_nothing_else():
    slot = slot_of(Watches(), BARS.rows(0, 402), OTHER)
    extra = InputSeries.of_bars(BarsInput("1h", "ETH/USDT"), OTHER)
    signals_of(replace(slot, inputs={**slot.inputs, "extra": extra}))
    ((bars, inputs),) = SEEN
    assert list(inputs) == ["slow"]
    assert isinstance(inputs["slow"], Known)
    assert inputs["slow"].known_ms[-1] <= BARS.closed_ms[401]
    assert len(bars) == 402
    with pytest.raises(TypeError):
        inputs["slow"] = None


def test_a_strategy_without_inputs_is_handed_its_bars_alone():
    signals_of(Slot(Alone(), BARS))
    ((bars,),) = SEEN
    assert len(bars) == len(BARS)


@pytest.mark.parametrize("kind", HONEST)
def test_no_strategy_writes_into_what_it_is_handed(kind):
    slot = slot_of(kind(), BARS, OTHER)
    before = {name: rows.fingerprint for name, rows in slot.inputs.items()}
    once, again = (signals_of(slot)[0].side for _ in range(2))
    assert once.tobytes() == again.tobytes()
    assert {name: replace(rows).fingerprint for name, rows in slot.inputs.items()} == before


def test_a_slot_without_a_declared_input_is_refused():
    with pytest.raises(InputError, match=r"slow \(BTC/USDT 4h bars\).*prepare_slot"):
        Slot(SlowTrend(), BARS)
    other = InputSeries.of_bars(BarsInput("4h", "ETH/USDT"), resampled(OTHER, "4h"))
    with pytest.raises(InputError, match="was given another input"):
        Slot(SlowTrend(), BARS, inputs={"slow": other})


class ReadsSlower:
    """A model that reads slower bars under a name that its strategy uses for others."""

    warmup, fingerprint = 0, "0" * 64
    inputs: ClassVar = {"slow": BarsInput("1d")}

    def predict(self, bars, inputs):
        assert list(inputs) == ["slow"]
        return inputs["slow"].as_of("close")


@dataclass(frozen=True)
class Follows(SlowTrend):
    """Long while the model's number is finite."""

    predicts: ClassVar[bool] = True

    def signals(self, frame):
        return Signals(np.isfinite(frame["prediction"].to_numpy()).astype(float))


def test_a_model_is_handed_its_own_inputs():
    slow = InputSeries.of_bars(BarsInput("4h", "BTC/USDT"), resampled(BARS, "4h"))
    days = InputSeries.of_bars(BarsInput("1d", "BTC/USDT"), resampled(BARS, "1d"))
    slot = Slot(Follows(), BARS, predictor=ReadsSlower(), inputs={"slow": slow, "model.slow": days})
    side, prediction = signals_of(slot)
    assert side.side.sum() == np.isfinite(prediction).sum() == len(BARS) - 23
    assert prediction[30] == days.values[0, 3]
    with pytest.raises(InputError, match=r"model\.slow"):
        Slot(Follows(), BARS, predictor=ReadsSlower(), inputs={"slow": slow})


def test_a_sweep_over_a_parameter_that_changes_the_warm_up_is_each_backtest():
    slot = slot_of(SlowTrend(4), BARS, OTHER)
    found = sweep(slot, strategies=[SlowTrend(n) for n in (2, 3, 4)])
    for number, n in enumerate((2, 3, 4)):
        one = run(replace(slot, strategy=SlowTrend(n)))
        assert found.table["total_return_pct"].iloc[number] == pytest.approx(one.stats["total_return_pct"], rel=1e-12)


def test_a_slot_with_inputs_goes_to_another_process():
    slot = slot_of(SlowTrend(), BARS, OTHER)
    again = pickle.loads(pickle.dumps(slot))
    assert signals_of(again)[0].side.tobytes() == signals_of(slot)[0].side.tobytes()


def test_a_result_says_which_rows_were_handed_in():
    slot = slot_of(SlowTrend(), BARS.rows(0, 400), OTHER)
    (record,) = run(slot).to_json()["slots"]
    assert record["inputs"]["slow"]["fingerprint"] == slot.inputs["slow"].cut(slot.bars.closed_ms).fingerprint
    assert record["inputs"]["slow"]["rows"] == 100
    assert record["inputs"]["slow"]["kind"] == "bars"

"""Ambiguous bars are settled by finer bars, and only those."""

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.errors import InputError
from tests.bars import bars_of, frame_of, random_walk
from tests.scenarios import ALL_IN, FREE, ohlc, scripted_slot
from tests.seeds import seeds

POLICY = RiskPolicy(fraction=0.5, stop_loss=0.05, take_profit=0.05)
# Bought at the open of the second bar, 100; the third bar reaches both 95 and 105.
COARSE = ohlc((100, 100, 100, 100), (100, 101, 99, 100), (100, 106, 94, 100), (100, 100, 100, 100))


def quarters(*rows: tuple[float, float]) -> pd.DataFrame:
    """Return 15-minute bars for the third hour from (high, low), and quiet ones around them."""
    quiet = [(100.0, 100.0)] * 8
    frame = ohlc(*[(100, high, low, 100) for high, low in (*quiet, *rows, *quiet[:4])])
    frame.index = pd.date_range(COARSE.index[0], periods=len(frame), freq="15min", name="timestamp")
    return frame


def result(frame: pd.DataFrame | None, execution=FREE, timeframe="15m"):
    slot = scripted_slot(COARSE, (1.0,), POLICY, execution)
    return run(slot, account=ALL_IN, finer=None if frame is None else bars_of(frame, timeframe=timeframe))


def test_without_finer_bars_the_stop_fills_first_and_the_fill_is_ambiguous():
    found = result(None)
    assert list(found.orders["reason"]) == ["entry_signal", "stop_loss"]
    assert found.stats["ambiguous_bars"] == 1
    assert found.drilled is None
    assert {name: curve.iloc[-1] for name, curve in found.band.items()} == {
        "stop_first": 9750.0,
        "target_first": 10250.0,
    }


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (((101, 99), (106, 100), (100, 94), (100, 100)), "take_profit"),
        (((101, 99), (101, 94), (106, 100), (100, 100)), "stop_loss"),
    ],
)
@pytest.mark.parametrize("target_first", [False, True])
def test_finer_bars_say_what_came_first(rows, reason, target_first):
    found = result(quarters(*rows), ExecutionModel(fee=0.0, slippage=0.0, target_first=target_first))
    assert list(found.orders["reason"]) == ["entry_signal", reason]
    assert found.stats["ambiguous_bars"] == 0
    assert (found.drilled.settled, found.drilled.open) == (1, 0)
    assert str(found.drilled) == "1 of 1 ambiguous bars settled by 15m bars"
    assert "In 1 bar the bars of a finer timeframe show whether stop or target was touched first." in found.fill_model
    assert found.band == {}


@pytest.mark.parametrize(
    "rows", [((106, 94), (100, 100), (100, 100), (100, 100)), ((101, 94), (100, 100), (100, 100), (104, 100))]
)
def test_finer_bars_that_are_ambiguous_or_do_not_reach_both_settle_nothing(rows):
    found = result(quarters(*rows))
    assert list(found.orders["reason"]) == ["entry_signal", "stop_loss"]
    assert found.stats["ambiguous_bars"] == 1
    assert (found.drilled.settled, found.drilled.open) == (0, 1)


def test_a_hole_in_the_finer_bars_settles_nothing():
    whole = quarters((101, 99), (106, 100), (100, 94), (100, 100))
    found = result(whole.drop(index=whole.index[9]))
    assert (found.drilled.settled, found.drilled.open) == (0, 1)


def test_the_given_bars_are_not_changed():
    slot = scripted_slot(COARSE, (1.0,), POLICY)
    before = run(slot, account=ALL_IN).outcome.orders.tobytes()
    run(slot, account=ALL_IN, finer=bars_of(quarters((101, 99), (106, 100), (100, 94), (100, 100)), timeframe="15m"))
    assert run(slot, account=ALL_IN).outcome.orders.tobytes() == before


def fine_and_coarse(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    fine = random_walk(24 * 60, seed, sigma=0.004)
    fine.index = pd.date_range("2024-01-01", periods=len(fine), freq="1min", tz="UTC", name="timestamp")
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return fine, fine.resample("1h").agg(rules).rename_axis("timestamp")


@pytest.mark.parametrize("seed", seeds(8))
def test_a_settled_backtest_equals_the_one_on_the_finer_bars(seed):
    """One entry held to its stop or target: the hour's run, settled by minutes, must leave by what the minutes' run leaves by."""
    fine, coarse = fine_and_coarse(seed)
    policy = RiskPolicy(fraction=0.5, stop_loss=0.02, take_profit=0.02, reenter=True)
    hours = run(scripted_slot(coarse, (1.0,) * 24, policy), account=ALL_IN, finer=bars_of(fine, timeframe="1m"))
    plain = run(scripted_slot(coarse, (1.0,) * 24, policy), account=ALL_IN)
    assert hours.stats["ambiguous_bars"] == hours.drilled.open
    sides = np.full(len(fine), np.nan)
    for number, (_, trade) in enumerate(hours.trades[hours.trades["status"] == "closed"].iterrows()):
        sides[:] = np.nan
        at = int((trade["entry_time"] - fine.index[0]).total_seconds() // 60)
        sides[at - 1 if at else 0] = 1.0
        if not at:
            continue
        held = RiskPolicy(fraction=0.5, stop_loss=0.02, take_profit=0.02)
        minutes = run(scripted_slot(fine, tuple(sides), held, timeframe="1m"), account=ALL_IN)
        assert minutes.trades["exit_reason"].iloc[0] == trade["exit_reason"], number
    assert plain.stats["ambiguous_bars"] >= hours.stats["ambiguous_bars"]


def test_enough_ambiguous_bars_were_met():
    policy = RiskPolicy(fraction=0.5, stop_loss=0.02, take_profit=0.02, reenter=True)
    slots = [scripted_slot(fine_and_coarse(seed)[1], (1.0,) * 24, policy) for seed in range(8)]
    assert sum(run(slot, account=ALL_IN).stats["ambiguous_bars"] for slot in slots) >= 5


@pytest.mark.parametrize(
    ("finer", "message"),
    [
        (lambda: bars_of(frame_of(np.full(9, 100.0)), "ETH/USDT", "15m"), "not traded"),
        (lambda: bars_of(frame_of(np.full(9, 100.0)), timeframe="1h"), "finer timeframe"),
    ],
)
def test_bars_that_cannot_settle_anything_are_refused(finer, message):
    with pytest.raises(InputError, match=message):
        run(scripted_slot(COARSE, (1.0,), POLICY), finer=finer())

"""A result's tables, first line and exports say what happened, and say it exactly."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.backtest import run
from atb.engine.policy import AccountPolicy, RiskPolicy
from tests.bars import ramp
from tests.problems import ALL_IN, random_slots, scripted_slot


def test_an_open_trade_is_listed_last_and_marked_at_the_last_close():
    result = run(scripted_slot(ramp(up=6), (1.0, 1.0, 0.0, 1.0)), account=ALL_IN)
    trades = result.trades
    assert trades["status"].tolist() == ["closed", "open"]
    last = trades.iloc[-1]
    assert (last["exit_price"], last["exit_reason"]) == (106.0, "")
    assert trades["pnl"].sum() == pytest.approx(result.equity.iloc[-1] - 10_000)
    assert result.stats["n_trades"] == 1
    assert result.stats["open_trades"] == 1


def test_positions_are_what_is_held_after_each_close():
    result = run(scripted_slot(ramp(up=5), (1.0, 1.0, 0.0)), account=ALL_IN)
    held = result.positions[0].to_numpy()
    assert held[0] == 0
    assert held[1] == held[2] > 0
    assert held[3] == held[4] == 0
    assert result.stats["exposure_time_pct"] == 40.0


def test_a_run_without_trades_has_figures_and_no_nonsense():
    result = run(scripted_slot(ramp(up=5), ()), account=ALL_IN)
    assert result.stats["total_return_pct"] == 0.0
    assert np.isnan(result.stats["win_rate_pct"])
    assert result.orders.empty
    assert result.trades.empty
    assert result.to_json()["stats"]["win_rate_pct"] is None
    assert result.portfolio.final_value() == 10_000.0


def test_json_is_strict_and_complete():
    result = run(scripted_slot(ramp(up=50), (1.0,)), account=AccountPolicy(cash=123.0))
    values = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert values["account"]["cash"] == 123.0
    assert values["slots"][0]["data"]["fingerprint"] == result.bars[0].fingerprint
    assert values["kernel_hash"] == result.kernel_hash
    assert values["start"] == "2024-01-01T00:00:00+00:00"
    assert values["end"] == "2024-01-03T02:00:00+00:00"


def test_exported_numbers_read_back_to_the_same_bits(tmp_path):
    slots, account = random_slots(4)
    result = run(slots, account=account)
    result.export(tmp_path)
    read = pd.read_csv(tmp_path / "orders.csv")
    for column in ("quantity", "price", "fee", "value"):
        np.testing.assert_array_equal(read[column].to_numpy(), result.orders[column].to_numpy())
    equity = pd.read_csv(tmp_path / "equity.csv")["equity"]
    np.testing.assert_array_equal(equity.to_numpy(), result.equity.to_numpy())


def test_the_fill_model_is_stated_with_its_costs():
    text = run(scripted_slot(ramp(up=5), (1.0,), RiskPolicy(stop_loss=0.1))).fill_model
    assert "next bar's open" in text
    assert "taker fee 0.0000%" in text


@given(st.integers(0, 60))
def test_equity_is_cash_plus_positions_at_every_close(seed):
    slots, account = random_slots(seed)
    result = run(slots, account=account)
    orders = result.outcome.orders
    flows = -(orders["side"] * orders["quantity"] * orders["price"] + orders["fee"])
    closes = result.problem.events[~np.isnan(result.outcome.equity)]
    market = result.problem.market[orders["row"]]
    felt = np.where(orders["role"] <= 2, market["opened"] + 1, market["closed"])
    cash = account.cash + np.concatenate([[0.0], np.cumsum(flows)])[np.searchsorted(felt, closes, "right")]
    value = cash
    for s, slot in enumerate(slots):
        mark = (
            pd.Series(slot.bars.frame["close"].to_numpy(), slot.bars.closed_ms)
            .reindex(closes, method="ffill")
            .fillna(0)
        )
        value = value + result.positions[s].to_numpy() * mark.to_numpy()
    np.testing.assert_allclose(value, result.equity.to_numpy(), rtol=1e-9)


@given(st.integers(0, 60))
def test_fills_lie_inside_their_bar_apart_from_slippage_and_ticks(seed):
    slots, account = random_slots(seed)
    result = run(slots, account=account)
    for order in result.outcome.orders:
        bar, parameter = result.problem.market[order["row"]], result.problem.parameters[order["slot"]]
        slack = parameter["slippage"] * bar["high"] + parameter["tick"] * 1.01
        assert bar["low"] - slack <= order["price"] <= bar["high"] + slack


@given(st.integers(0, 40), st.floats(0.0, 0.01))
def test_a_higher_fee_never_helps_a_single_round_trip(seed, extra):
    from dataclasses import replace

    slot = scripted_slot(random_slots(seed)[0][0].bars.frame, (1.0,) * 20 + (0.0,))
    dearer = replace(slot, execution=replace(slot.execution, fee=extra))
    cheap, dear = run(slot, account=ALL_IN), run(dearer, account=ALL_IN)
    if len(cheap.trades) and len(dear.trades):
        assert dear.trades["pnl_pct"].iloc[0] <= cheap.trades["pnl_pct"].iloc[0] + 1e-9


@given(st.integers(0, 60), st.integers(20, 100))
def test_what_happens_after_a_bar_does_not_change_what_happened_before(seed, cut):
    from dataclasses import replace

    slots, account = random_slots(seed)
    slots = slots[:1]
    whole = run(slots, account=account)
    frame = slots[0].bars.frame
    changed = frame.copy()
    changed.iloc[cut:, :4] = changed.iloc[cut:, :4] * 1.3 + 1
    other = run([replace(slots[0], bars=replace(slots[0].bars, frame=changed))], account=account)
    before = int(np.sum(whole.outcome.orders["row"] < cut))
    assert whole.outcome.orders[:before].tobytes() == other.outcome.orders[:before].tobytes()
    assert whole.equity.to_numpy()[:cut].tobytes() == other.equity.to_numpy()[:cut].tobytes()

"""A result's tables, first line and exports say what happened, and say it exactly."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.backtest import Result, run
from atb.backtest.drilldown import DrillDown
from atb.engine.codes import REFUSALS
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.records import AT_LIMIT, AT_MARKET, HALT_DRAWDOWN, TARGET
from atb.errors import InputError
from tests.bars import ramp
from tests.scenarios import ALL_IN, FREE, ohlc, random_slots, scripted_slot
from tests.seeds import examples


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
    assert np.isnan(result.stats["sharpe"])
    assert "Sharpe –, " in result.headline
    assert "nan" not in result.headline
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
    assert values["random_entry"]["seed"] == result.random_entry.seed
    assert values["slots"][0]["funding"] is False
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


@given(st.integers(0, 60))
def test_equity_is_cash_plus_positions_at_every_close(seed):
    slots, account = random_slots(seed, costs="vectorbt")
    result = run(slots, account=account)
    orders, closes = result.outcome.orders, result.inputs.closes
    flows = -(orders["side"] * orders["quantity"] * orders["price"] + orders["fee"])
    market = result.inputs.market[orders["row"]]
    passed = (orders["role"] == TARGET) & (orders["time"] == market["opened"])
    felt = np.where((orders["kind"] == AT_MARKET) | passed, market["opened"] + 1, market["closed"])
    value = account.cash + np.concatenate([[0.0], np.cumsum(flows)])[np.searchsorted(felt, closes, "right")]
    for s, slot in enumerate(slots):
        mark = pd.Series(slot.bars.frame["close"].to_numpy(), slot.bars.closed_ms)
        value = value + result.positions[s].to_numpy() * mark.reindex(closes, method="ffill").fillna(0).to_numpy()
    np.testing.assert_allclose(value, result.equity.to_numpy(), rtol=1e-9)


@given(st.integers(0, 60))
def test_limits_fill_inside_their_bar_or_short_of_its_open_and_other_orders_never_better_than_it(seed):
    slots, account = random_slots(seed)
    result = run(slots, account=account)
    for order in result.outcome.orders:
        bar, tick = result.inputs.market[order["row"]], result.inputs.parameters[order["slot"]]["tick"] * 1.01
        if order["kind"] == AT_LIMIT and order["time"] == bar["opened"]:
            assert order["side"] * (order["price"] - bar["open"]) >= 0
        elif order["kind"] == AT_LIMIT:
            assert bar["low"] <= order["price"] <= bar["high"]
        elif order["side"] > 0:
            assert order["price"] >= bar["low"] - tick
        else:
            assert order["price"] <= bar["high"] + tick


@examples(40)
@given(st.integers(0, 120))
def test_every_order_belongs_to_the_trade_it_opened_fed_or_closed(seed):
    slots, account = random_slots(seed)
    result = run(slots, account=account)
    orders = result.orders.groupby("trade_id")
    assert sorted(orders.groups) == result.trades["trade_id"].tolist()
    for _, trade in result.trades.iterrows():
        own = orders.get_group(trade["trade_id"])
        entries, exits = own[own["role"] == "entry"], own[own["role"] != "entry"]
        assert (len(entries), len(exits)) == (trade["entries"], trade["exits"])
        assert own["time"].iloc[0] == trade["entry_time"]
        assert own["fee"].sum() == pytest.approx(trade["fees_paid"], abs=1e-9)
        assert own["symbol"].unique().tolist() == [trade["symbol"]]
        if trade["status"] == "closed":
            assert own["time"].iloc[-1] == trade["exit_time"]
            assert exits["quantity"].sum() == pytest.approx(trade["quantity"])
            assert own["reason"].iloc[-1] == trade["exit_reason"]


def test_fees_in_base_leave_dust_that_is_held_but_not_traded():
    slot = scripted_slot(
        ramp(up=4), (1.0, 1.0, 0.0), RiskPolicy(fraction=0.5), ExecutionModel(fee=0.001, slippage=0.0, fee_in_base=True)
    )
    result = run(slot, account=ALL_IN)
    bought, sold = result.orders["quantity"]
    dust = bought * (1 - 0.001) - sold
    assert 0 < dust < 0.00001
    assert result.orders["fee_base"].tolist() == [pytest.approx(bought * 0.001), 0.0]
    assert result.positions[0].iloc[-1] == pytest.approx(dust, rel=1e-6)
    assert result.trades["status"].tolist() == ["closed"]
    assert result.stats["exposure_time_pct"] == 50.0


def test_slippage_is_told_apart_from_the_prices_that_were_met():
    slot = scripted_slot(ramp(up=10), (1.0, 1.0, 0.0), execution=ExecutionModel(0.0, slippage=0.01))
    result = run(slot, account=ALL_IN)
    quantity = result.trades["quantity"].item()
    assert result.orders["reference"].tolist() == [101.0, 103.0]
    assert result.orders["price"].tolist() == [102.01, 101.97]
    assert result.trades["slippage_paid"].item() == pytest.approx(quantity * (1.01 + 1.03))


def test_borrow_is_paid_by_the_trade_and_the_account():
    policy = RiskPolicy(fraction=0.5, allow_short=True)
    slot = scripted_slot(
        ramp(down=10), (-1.0,) * 8 + (0.0,), policy, ExecutionModel(0.0, slippage=0.0, borrow_rate=5.0)
    )
    result = run(slot, account=ALL_IN)
    paid = result.trades["financing_paid"].sum()
    assert paid == result.stats["financing_paid"] > 0
    assert result.trades["pnl"].sum() == pytest.approx(result.equity.iloc[-1] - 10_000)
    assert run(replace(slot, execution=FREE), account=ALL_IN).equity.iloc[-1] - result.equity.iloc[-1] == pytest.approx(
        paid
    )


# --- what vectorbt can account for ------------------------------------------------------------------------------------


@examples(40)
@given(st.integers(0, 120))
def test_vectorbt_accounts_for_the_same_equity(seed):
    slots, account = random_slots(seed, costs="vectorbt")
    result = run(slots, account=account)
    value = result.portfolio.value().reindex(result.index).to_numpy().ravel()  # vectorbt has a row for each hole too
    np.testing.assert_allclose(value, result.equity.to_numpy(), rtol=1e-9)


@pytest.mark.parametrize(
    ("execution", "name"),
    [
        (ExecutionModel(fee=0.001, fee_in_base=True), "fees in the base currency"),
        (ExecutionModel(borrow_rate=0.5), "borrow or funding"),
    ],
)
def test_costs_that_vectorbt_does_not_know_are_refused(execution, name):
    policy = RiskPolicy(fraction=0.5, allow_short=not execution.fee_in_base)
    result = run(scripted_slot(ramp(up=9), (1.0, 1.0, 0.0, -1.0), policy, execution), account=ALL_IN)
    with pytest.raises(InputError, match=f"vectorbt cannot account for {name}"):
        _ = result.portfolio


# --- the order of prices inside a bar ---------------------------------------------------------------------------------

BOTH_TOUCHED = ohlc((100, 100, 100, 100), (100, 100, 100, 100), (100, 111, 89, 100), (100, 100, 100, 100))


@pytest.mark.parametrize("target_first", [False, True])
def test_the_band_has_both_ends_whichever_was_assumed(target_first):
    policy = RiskPolicy(fraction=0.5, stop_loss=0.1, take_profit=0.1)
    execution = ExecutionModel(0.0, slippage=0.0, target_first=target_first)
    result = run(scripted_slot(BOTH_TOUCHED, (1.0,) * 4, policy, execution), account=ALL_IN)
    assert result.band["stop_first"].iloc[-1] == 9_500.0
    assert result.band["target_first"].iloc[-1] == 10_500.0
    assert result.band["target_first" if target_first else "stop_first"].equals(result.equity)
    assert result.band["stop_first"].index.equals(result.equity.index)
    assert result.orders["other"].iloc[-1] == (90.0 if target_first else 110.0)
    assert "1 fill depends on" in result.ambiguity
    assert "9,500.00 with every stop first, 10,500.00 with every target first" in result.ambiguity
    assert result.to_json()["band"] == {"stop_first": 9_500.0, "target_first": 10_500.0}


def test_what_a_finer_timeframe_settled_is_told_beside_what_it_did_not():
    result = run(scripted_slot(ramp(up=5), (1.0,)))
    drilled = Result(result.inputs, result.outcome, drilled=DrillDown("15m", 2, 1))
    assert drilled.ambiguity.endswith("2 of 3 ambiguous bars settled by 15m bars.")


def test_there_is_no_band_where_no_fill_is_ambiguous():
    result = run(scripted_slot(ramp(up=50), (1.0,), RiskPolicy(stop_loss=0.1, take_profit=0.1)))
    assert result.band == {}
    assert result.ambiguity.startswith("No fill depends")


# --- what blocked it --------------------------------------------------------------------------------------------------


def test_a_halted_account_says_so_first():
    policy = RiskPolicy(fraction=0.9, stop_loss=0.05, reenter=True)
    account = AccountPolicy(cash=10_000.0, max_drawdown=0.04)
    result = run(scripted_slot(ramp(up=2, down=30), (1.0,) * 32, policy), account=account)
    assert result.stats["halted"] == HALT_DRAWDOWN
    assert result.headline.startswith("The account ended halted for good by its drawdown. Some signals were not traded")
    assert result.refusal_counts["drawdown_halt"] > 5


def test_refusals_are_counted_under_their_names_the_most_frequent_first():
    slots, account = random_slots(21)
    result = run(slots, account=account)
    table = result.refused["reason"].value_counts()
    assert result.refusal_counts == table.to_dict()
    assert list(result.refusal_counts.values()) == sorted(result.refusal_counts.values(), reverse=True)
    assert set(result.refusal_counts) <= set(REFUSALS.values())


def test_the_headline_names_the_four_most_frequent_reasons():
    result = run(scripted_slot(ramp(up=5), (1.0,)))
    result.__dict__["refusal_counts"] = {f"reason_{k}": 9 - k for k in range(6)}
    assert "reason_0 9, reason_1 8, reason_2 7, reason_3 6, and 2 other reasons." in result.headline


@given(st.integers(0, 40), st.floats(0.0, 0.01))
def test_a_higher_fee_never_helps_a_single_round_trip(seed, extra):
    slot = scripted_slot(random_slots(seed)[0][0].bars.frame, (1.0,) * 20 + (0.0,))
    dearer = replace(slot, execution=replace(slot.execution, fee=extra))
    cheap, dear = run(slot, account=ALL_IN), run(dearer, account=ALL_IN)
    if len(cheap.trades) and len(dear.trades):
        assert dear.trades["pnl_pct"].iloc[0] <= cheap.trades["pnl_pct"].iloc[0] + 1e-9


@given(st.integers(0, 60), st.integers(20, 100))
def test_what_happens_after_a_bar_does_not_change_what_happened_before(seed, cut):
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

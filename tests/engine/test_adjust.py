"""What changes a record between two bars, each rule against the reference or written out in decimals."""

import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.domain import Fill
from atb.engine import adjust, records
from atb.engine.parameters import account_parameters
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.state import KernelState, execution_record, filled_as, market_records, with_funding
from tests.engine.cases import NAN, account, parameters, rules, slot_of, slot_record
from tests.engine.reference_book import Book, Pending, Position, number, to_step

LADDER = ((0.01, 0.3), (0.02, 0.3), (0.03, 0.2))
lots = st.integers(1, 400).map(lambda count: count / 1000)


def long_slot(quantity=1.0, **more):
    """Return the record of a long position entered at 100."""
    values = {
        "quantity": quantity,
        "opened_quantity": abs(quantity),
        "entry_price": 100.0,
        "added_price": 100.0,
        "mark": 100.0,
    }
    return slot_record(**{**values, **more})


def state_of(*slots):
    """Return a state with these slots, all of one policy."""
    par = np.array([parameters() for _ in slots])
    return KernelState(
        np.zeros(1, records.ACCOUNT), np.array(slots), limits=account_parameters(account()), parameters=par
    )


# --- intents ----------------------------------------------------------------------------------------------------------


def test_intents_are_withdrawn_and_nothing_else_changes():
    slot = long_slot(entry=0.5, exit=-1.0, stop=90.0)
    before = slot.copy()
    adjust.drop_entry(slot)
    assert (slot["entry"], slot["exit"]) == (0.0, -1.0)
    adjust.drop_exit(slot)
    assert slot["exit"] == 0.0
    assert all(
        slot[name] == before[name] or slot[name] != slot[name]
        for name in slot.dtype.names
        if name not in {"entry", "exit"}
    )


@pytest.mark.parametrize("held", [1.5, -2.0])
def test_closing_at_the_market_is_an_exit_of_all_that_is_held(held):
    slot = long_slot(held)
    adjust.close_at_market(slot, records.RISK_LIMIT)
    assert (slot["exit"], slot["exit_reason"]) == (-held, records.RISK_LIMIT)


def test_a_flat_slot_has_nothing_to_close():
    slot = slot_record(exit_reason=records.SIGNAL_EXIT)
    adjust.close_at_market(slot, records.RISK_LIMIT)
    assert (slot["exit"], slot["exit_reason"]) == (0.0, records.SIGNAL_EXIT)
    assert not np.signbit(slot["exit"])


def test_an_entry_whose_price_was_passed_goes_to_the_market():
    slot = slot_record(entry=1.0, entry_kind=records.AT_STOP, entry_at=101.0)
    adjust.enter_at_market(slot)
    assert (slot["entry"], slot["entry_kind"]) == (1.0, records.AT_MARKET)


# --- dust and what is lost --------------------------------------------------------------------------------------------


@given(held=lots, filled=lots, price=st.integers(1, 3000), smallest=st.integers(0, 30), worth=st.integers(0, 30))
def test_dust_is_what_no_order_could_sell_and_below_zero_what_was_sold_beyond_the_position(
    held, filled, price, smallest, worth
):
    par = parameters(instrument=rules(lot="0.001", min_quantity=f"0.{smallest:03}", min_notional=str(worth)))
    slot = long_slot(held, dust=0.0002)
    left = number(held) - number(filled)
    unsellable = left < Decimal(smallest) / 1000 or left * price < worth
    kept = Decimal("-0.0005") < left < Decimal("0.0005") or (left > 0 and not unsellable)
    expected = Decimal(0) if kept else left
    dust = adjust.set_aside_dust(slot, par, filled=filled, price=float(price))
    assert dust == pytest.approx(float(expected), abs=1e-12)
    assert slot["quantity"] == float(number(held) - expected)
    assert slot["opened_quantity"] == float(number(held) - expected)
    assert slot["dust"] == pytest.approx(0.0002 + float(expected), abs=1e-12)


def test_a_rest_just_at_the_smallest_order_is_kept_and_one_of_less_value_is_not():
    par = parameters(instrument=rules(lot="0.001", min_quantity="0.25", min_notional="20"))
    assert adjust.set_aside_dust(long_slot(), par, filled=0.75, price=100.0) == 0.0
    assert adjust.set_aside_dust(long_slot(), par, filled=0.75, price=79.0) == 0.25


@pytest.mark.parametrize(
    ("held", "mark", "dust"), [(0.25, 79.0, True), (0.25, 80.0, False), (0.0, 79.0, False), (-0.25, 79.0, False)]
)
def test_a_position_is_dust_by_the_last_close(held, mark, dust):
    state = state_of(long_slot(held, mark=mark))
    state.parameters[0]["min_notional"] = 20.0
    assert state.holds_dust(0) is dust


def test_closing_dust_moves_no_money_and_the_round_trip_is_what_was_sold():
    state = state_of(long_slot(0.25, opened_quantity=1.0, exit_value=90.0, realised=15.0, highest=130.0, lowest=99.0,
                               exit=-0.25))  # fmt: skip
    state.account[0]["cash"] = 500.0
    record = np.zeros(1, records.ORDER)
    record[0]["time"], record[0]["price"], record[0]["role"] = 7, 79.0, records.STOP
    trade = state.close_dust(record)
    slot = state.slot(0)
    assert (slot["quantity"], slot["dust"], slot["exit"], state.account[0]["cash"]) == (0.0, 0.25, 0.0, 500.0)
    assert (trade["quantity"], trade["exit_price"], trade["pnl"], trade["exit_time"]) == (0.75, 120.0, 15.0, 7)
    assert (state.account[0]["trades"], state.account[0]["orders"]) == (1, 1)


def test_closing_a_position_that_was_dust_from_the_first_leaves_no_round_trip():
    state = state_of(long_slot(0.25, exit=-0.25))
    assert state.close_dust(np.zeros(1, records.ORDER)) is None
    assert (state.slot(0)["quantity"], state.slot(0)["dust"], state.account[0]["trades"]) == (0.0, 0.25, 0)
    assert state.slot(0)["exit"] == 0.0


def test_a_slot_is_marked_to_a_price_in_a_copy():
    slot = long_slot(1.0, mark=100.0)
    assert (adjust.marked_to(slot, 90.0)["mark"], slot["mark"]) == (90.0, 100.0)


def test_a_short_leaves_no_dust():
    slot = long_slot(-1.0)
    assert adjust.set_aside_dust(slot, parameters(instrument=rules(min_quantity="5")), filled=0.5, price=100.0) == 0.0
    assert slot["quantity"] == -1.0


@given(held=lots, dust=st.integers(0, 9), taken=st.integers(0, 5000))
def test_what_somebody_took_is_the_position_first_and_then_its_dust(held, dust, taken):
    slot = long_slot(held, dust=dust / 10_000, exit_reason=records.SIGNAL_EXIT)
    quantity = taken / 10_000
    lost = adjust.write_off(slot, quantity)
    assert lost == min(quantity, held)
    assert slot["dust"] == pytest.approx(max(0.0, dust / 10_000 - max(0.0, quantity - held)), abs=1e-12)
    assert slot["quantity"] == held  # the fill that books it as sold takes it away
    assert slot["exit_reason"] == (records.RISK_LIMIT if lost else records.SIGNAL_EXIT)


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("present", "left"), [(2.0, 1.0), (1.0, 1.0), (0.4567, 0.457), (0.0, 0.0)])
def test_a_position_that_is_not_all_there_is_limited_to_what_is(present, left):
    slot = long_slot(exit=-1.0, entry=0.2)
    limited = adjust.limited_to(slot, parameters(instrument=rules(lot="0.001")), present)
    assert (limited["quantity"], limited["exit"]) == (left, -left)
    assert limited["entry"] == (0.2 if left == 1.0 else 0.0)
    assert (slot["quantity"], slot["exit"], slot["entry"]) == (1.0, -1.0, 0.2)


def test_of_a_position_of_which_only_dust_is_there_nothing_can_be_sold():
    par = parameters(instrument=rules(lot="0.001", min_notional="20"))
    assert adjust.limited_to(long_slot(exit=-1.0), par, 0.19)["quantity"] == 0.0
    assert adjust.limited_to(long_slot(exit=-1.0), par, 0.21)["quantity"] == 0.21


def test_a_position_that_stays_does_not_close_because_less_is_there():
    assert adjust.limited_to(long_slot(), parameters(), 0.5)["exit"] == 0.0


@given(held=lots, side=st.sampled_from([1, -1]), profit=st.sampled_from([None, 0.05]))
def test_the_rungs_to_come_are_those_of_the_reference(held, side, profit):
    policy = RiskPolicy(fraction=0.5, ladder=LADDER, take_profit=profit)
    instrument = rules(lot="0.001", tick="0.01", min_quantity="0.002", min_notional="1")
    book = Book(slot_of([(100, 100, 100, 100)], [0], policy, instrument=instrument))
    hundred = Decimal(100)
    book.position = Position(side, number(held), hundred, 0, number(held), hundred, hundred, hundred, number(held))
    book.place_target()
    slot, par = long_slot(side * held), parameters(policy, instrument=instrument)
    adjust.place_target(slot, par)
    while book.position.quantity and book.position.target is not None:
        assert (float(book.position.target), float(book.position.target_quantity)) == (
            slot["target"],
            slot["target_quantity"],
        )
        slot = adjust.after_target(slot, par)
        book.position.quantity -= book.position.target_quantity
        book.position.rung += 1
        book.place_target() if book.position.quantity else None
        assert slot["quantity"] == float(side * book.position.quantity)


def test_a_part_of_the_stop_that_filled_leaves_less_for_the_target():
    slot = long_slot(0.4, opened_quantity=1.0, target=110.0, target_quantity=1.0)
    assert adjust.after_target(slot, parameters())["quantity"] == 0.0
    assert slot["quantity"] == 0.4


@given(count=st.integers(100, 5000), limit=st.booleans(), in_base=st.booleans())
def test_an_entry_that_is_yet_to_fill_is_protected_as_the_reference_would(count, limit, in_base):
    policy = RiskPolicy(fraction=0.5, stop_loss=0.05, take_profit=0.1)
    execution = ExecutionModel(fee=0.002, maker_fee=0.001, slippage=0.003, fee_in_base=in_base)
    instrument = rules(lot="0.001", tick="0.01")
    book = Book(slot_of([(100, 100, 100, 100)], [0], policy, execution=execution, instrument=instrument))
    quantity, price = Decimal(count) / 1000, Decimal("99.5")
    filled = price if limit else book.market_price(1, Decimal(100), quantity)
    received = quantity * (1 - Decimal("0.001" if limit else "0.002")) if in_base else quantity
    received = to_step(received, Decimal("0.001"), up=False)
    book.position = Position(1, received, filled, 0, received, filled, filled, filled, received)
    book.protect(Pending(1, quantity, "entry_signal", "limit", price, 1, None, None))
    slot = slot_record(entry=float(quantity), entry_reason=records.SIGNAL_ENTRY, mark=100.0)
    par = parameters(policy, execution, instrument)
    after = adjust.after_entry(slot, par, quantity=float(quantity), price=99.5 if limit else NAN)
    found = [after[name] for name in ("quantity", "entry_price", "stop", "target", "target_quantity")]
    position = book.position
    wanted = (position.quantity, position.price, position.stop, position.target, position.target_quantity)
    assert found == [float(value) for value in wanted]
    assert slot["quantity"] == 0.0


# --- the door ---------------------------------------------------------------------------------------------------------


def test_a_record_that_was_handed_out_shows_changes_and_cannot_be_written():
    state = state_of(long_slot(entry=1.0), long_slot(2.0))
    record = state.slot(0)
    with pytest.raises(ValueError, match="read-only"):
        record["entry"] = 0.0
    for handed_out in (state.account_record(), state.parameters_of(1)):
        with pytest.raises(ValueError, match="read-only"):
            handed_out[handed_out.dtype.names[0]] = 5.0
    state.drop_entry(0)
    assert record["entry"] == 0.0
    assert state.slot(1)["quantity"] == 2.0


def test_each_method_of_the_state_changes_its_own_slot_alone():
    state = state_of(long_slot(2.0), long_slot(1.0, entry=1.0, exit=-1.0, dust=0.5, entry_kind=records.AT_STOP))
    other = state.slots[0].copy()
    state.drop_entry(1)
    state.drop_exit(1)
    state.enter_at_market(1)
    assert [state.slot(1)[name] for name in ("entry", "exit", "entry_kind")] == [0.0, 0.0, records.AT_MARKET]
    state.close_at_market(1, records.LIQUIDATION)
    assert state.limited_to(1, 0.25)["exit"] == -0.25
    assert state.write_off(1, 1.25) == 1.0
    assert state.slot(1)["dust"] == 0.25
    sold = Fill("1", "c", rules().symbol, "sell", Decimal("1e-9"), Decimal("0.5"), Decimal(0), "USDT", Decimal(0), 0)
    assert state.set_aside_dust(1, sold, role="entry", leaves=Decimal(0)) == 0.0
    assert state.set_aside_dust(1, sold, role="exit", leaves=Decimal("0.1")) == 0.0, "more of the order may be filled"
    assert state.set_aside_dust(1, sold, role="exit", leaves=Decimal(0)) == 0.5
    assert state.slots[0].tobytes() == other.tobytes()


def test_an_execution_becomes_the_record_that_the_kernel_applies():
    symbol = rules().symbol
    fill = Fill(
        "7", "c", symbol, "sell", Decimal("101.5"), Decimal("0.25"), Decimal("0.1"), "USDT", Decimal("0.1"), 1_000
    )
    record = execution_record(fill, slot=1, number=4, role="stop", kind="stop", reason=records.STOP_LOSS)
    values = {name: record[0][name].item() for name in record.dtype.names}
    assert values == {
        "id": 4, "slot": 1, "row": 0, "time": 1_000, "side": -1, "quantity": 0.25, "price": 101.5, "fee": 0.1, "fee_base": 0.0,
        "role": records.STOP, "reason": records.STOP_LOSS, "kind": records.AT_STOP, "ambiguous": 0, "reference": 0.0, "other": 0.0,
    }  # fmt: skip


def test_a_fee_in_base_is_told_apart_from_one_in_quote_or_in_a_third_asset():
    def base_fee(asset):
        fill = Fill(
            "7", "c", rules().symbol, "buy", Decimal(100), Decimal(1), Decimal("0.001"), asset, Decimal("0.1"), 1
        )
        made = execution_record(fill, slot=0, number=0, role="entry", kind="market", reason=records.SIGNAL_ENTRY)[0]
        return float(made["fee_base"]), float(made["fee"])

    assert [base_fee(asset) for asset in ("BTC", "USDT", "BNB")] == [(0.001, 0.1), (0.0, 0.1), (0.0, 0.1)]


def test_bars_and_fills_are_made_of_values_by_name():
    made = market_records([{"opened": 1, "open": 2.0}, {"close": 3.0}])
    assert made[["opened", "open", "close"]].tolist() == [(1, 2.0, 0.0), (0, 0.0, 3.0)]
    assert with_funding(made, {1: 0.5})["funding"].tolist() == [0.0, 0.5]
    assert made["funding"].tolist() == [0.0, 0.0]
    order = np.zeros(1, records.ORDER)
    filled = filled_as(order, quantity=1.0, price=2.0, fee=0.5)
    assert (filled[["quantity", "price", "fee"]].tolist(), order["quantity"].tolist()) == ([(1.0, 2.0, 0.5)], [0.0])


def test_what_is_adjusted_is_saved_and_loaded_like_everything_else():
    state = state_of(long_slot())
    adjust.close_at_market(state.slots[0], records.RISK_LIMIT)
    other = state_of(long_slot())
    other.load_json(json.loads(json.dumps(state.to_json())))
    assert other.to_bytes() == state.to_bytes()

"""What a desk remembers survives JSON, and a fee in a third asset is no drift."""

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from atb.live.execution.desk_state import DeskState
from tests.live.fake_broker import BTC, Table

AMOUNTS = st.decimals(min_value=-(10**6), max_value=10**6, places=8)
WORDS = st.text("abcXYZ/:-0123", min_size=1, max_size=8)


@given(
    st.integers(0, 2**42), st.dictionaries(st.integers(0, 5), st.integers(0, 2**42)), st.dictionaries(WORDS, AMOUNTS),
    st.dictionaries(WORDS, WORDS), st.dictionaries(st.integers(0, 5), AMOUNTS), st.lists(WORDS),
)  # fmt: skip
def test_a_memory_comes_back_as_it_was_saved(began, bars, surplus, quarantine, present, foreign):
    desk_state = DeskState(began, {}, bars, surplus, quarantine, present, foreign)
    assert DeskState.from_json(json.loads(json.dumps(desk_state.to_json()))) == desk_state.__class__(
        began, {}, bars, surplus, quarantine, present, foreign, known=DeskState.from_json(desk_state.to_json()).known
    )


def test_executions_are_known_from_this_process_and_from_the_journal():
    desk_state = DeskState(0, known=lambda symbol, trade_id: (str(symbol), trade_id) == ("BTC/USDT", "7"))
    desk_state.seen.add(("BTC/USDT", "8"))
    assert [desk_state.has(BTC, trade_id) for trade_id in ("7", "8", "9")] == [True, True, False]
    assert not DeskState(0).has(BTC, "7")


def test_a_fee_in_a_third_asset_moves_the_surplus_from_that_asset_to_quote():
    table = Table()
    fill = table.fill_of(table.order(), fee=Decimal("0.002"), fee_asset="BNB", fee_value=Decimal(1))
    desk_state = DeskState(0, surplus={"USDT": Decimal(5)})
    desk_state.fee(fill)
    assert desk_state.surplus == {"USDT": Decimal(6), "BNB": Decimal("-0.002")}
    desk_state.fee(table.fill_of(table.order()))
    assert desk_state.surplus["USDT"] == 6


def test_before_the_first_comparison_nothing_is_a_surplus():
    table, desk_state = Table(), DeskState(0)
    desk_state.fee(table.fill_of(table.order(), fee_asset="BNB"))
    assert desk_state.surplus == {}

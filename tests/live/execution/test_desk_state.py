"""What a desk remembers survives JSON, and a fee in a third asset is no drift."""

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from atb.live.execution.desk_state import DeskMemory
from tests.live.fake_broker import BTC, Table

AMOUNTS = st.decimals(min_value=-(10**6), max_value=10**6, places=8)
WORDS = st.text("abcXYZ/:-0123", min_size=1, max_size=8)


@given(
    st.integers(0, 2**42), st.dictionaries(st.integers(0, 5), st.integers(0, 2**42)), st.dictionaries(WORDS, AMOUNTS),
    st.dictionaries(WORDS, WORDS), st.dictionaries(st.integers(0, 5), AMOUNTS), st.lists(WORDS),
)  # fmt: skip
def test_a_memory_comes_back_as_it_was_saved(began, bars, surplus, quarantine, present, strangers):
    memory = DeskMemory(began, {}, bars, surplus, quarantine, present, strangers)
    assert DeskMemory.from_json(json.loads(json.dumps(memory.to_json()))) == memory.__class__(
        began, {}, bars, surplus, quarantine, present, strangers, known=DeskMemory.from_json(memory.to_json()).known
    )


def test_executions_are_known_from_this_process_and_from_the_journal():
    memory = DeskMemory(0, known=lambda symbol, trade_id: (str(symbol), trade_id) == ("BTC/USDT", "7"))
    memory.seen.add(("BTC/USDT", "8"))
    assert [memory.has(BTC, trade_id) for trade_id in ("7", "8", "9")] == [True, True, False]
    assert not DeskMemory(0).has(BTC, "7")


def test_a_fee_in_a_third_asset_moves_the_surplus_from_that_asset_to_quote():
    table = Table()
    fill = table.fill_of(table.order(), fee=Decimal("0.002"), fee_asset="BNB", fee_value=Decimal(1))
    memory = DeskMemory(0, surplus={"USDT": Decimal(5)})
    memory.fee(fill)
    assert memory.surplus == {"USDT": Decimal(6), "BNB": Decimal("-0.002")}
    memory.fee(table.fill_of(table.order()))
    assert memory.surplus["USDT"] == 6


def test_before_the_first_comparison_nothing_is_a_surplus():
    table, memory = Table(), DeskMemory(0)
    memory.fee(table.fill_of(table.order(), fee_asset="BNB"))
    assert memory.surplus == {}

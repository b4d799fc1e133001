"""I2, I4 and I5: one entry a bar, never more for sale than is held, and states that only go forward."""

from decimal import Decimal

import pytest

from atb.rehearsal.invariants.order_life import (
    backward_steps,
    duplicate_entries,
    mismatched_states,
    sales_beyond_holdings,
)
from tests.rehearsal.invariants.entries import ENTRY, STOP, context, intent, journal, late, ledger, placed, stop, trade

NEXT = "atb-main-101-e0"


def test_an_entry_in_each_bar_is_no_duplicate():
    done = placed(2, 1, ENTRY, status="FILLED", filled="1")
    assert duplicate_entries(ledger(placed(1, 1, ENTRY), done, placed(3, 2, NEXT))) == []


@pytest.mark.parametrize("second", [placed(3, 2, ENTRY), placed(3, 2, "atb-main-100-e1")])
def test_a_second_entry_in_a_bar_is_found_though_the_first_one_is_filled(second):
    done = placed(2, 1, ENTRY, status="FILLED", filled="1")
    (found,) = duplicate_entries(ledger(placed(1, 1, ENTRY), done, second))
    assert "entered more than once in bar 100" in found
    refused = placed(2, 1, ENTRY, status="REJECTED")
    assert duplicate_entries(ledger(placed(1, 1, ENTRY), refused, second)) == []


def test_two_open_entries_are_found_whatever_their_bars():
    (found,) = duplicate_entries(ledger(placed(1, 1, ENTRY), placed(2, 2, NEXT)))
    assert "has 2 open entries" in found


def test_a_pair_sells_its_quantity_once_and_two_stops_sell_it_twice():
    bought = (placed(1, 1, ENTRY), trade(1, 1, ENTRY))
    target = {"order_id": 3, "client_id": "atb-main-100-t0", "type": "LIMIT_MAKER"}
    pair = (stop(2, list_id=5), stop(2, **target, list_id=5))
    assert sales_beyond_holdings(ledger(*bought, *pair), context()) == []
    (found,) = sales_beyond_holdings(ledger(*bought, stop(2), stop(2, order_id=3)), context())
    assert "holds 1 and has 2 resting to be sold" in found


def test_more_that_is_sold_than_was_held_and_a_negative_balance_are_found():
    sold = trade(2, 2, STOP, side="SELL", quantity="1.5")
    below = {"kind": "balance", "ms": 3, "balances": {"BTC": ("-0.5", "0")}}
    found = sales_beyond_holdings(ledger(placed(1, 1, ENTRY), trade(1, 1, ENTRY), stop(1), sold, below), context())
    assert found == ["atb-main sold 0.5 more than it held", "the balance of BTC is below 0 at 3"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (intent(ENTRY, "live", "0"), None),
        (intent(ENTRY, "sent", "0"), None),
        (intent(ENTRY, "cancelled", "0"), "is cancelled in the journal; at the exchange it was NEW"),
        (intent(ENTRY, "live", "0.5"), "has 0.5 filled in the journal, 0 at the exchange"),
        (intent(NEXT, "live", "0"), "the exchange never had it"),
        (intent(NEXT, "absent", "0"), None),
    ],
)
def test_the_journal_says_no_state_that_the_exchange_never_had(row, said):
    found = mismatched_states(ledger(placed(1, 1, ENTRY)), journal(intents=[row]))
    assert found == [] if said is None else said in found[0]


@pytest.mark.parametrize(
    ("before", "after", "wrong"),
    [
        (("sent", 0), ("live", 0), False),
        (("live", 0), ("filled", 1), False),
        (("cancelled", 0), ("filled", 1), False),
        (("absent", 0), ("live", 0), False),
        (("absent", 0), ("cancelled", 0), False),
        (("live", 0), ("sent", 0), True),
        (("cancelled", 0), ("live", 0), True),
        (("filled", 1), ("absent", 1), True),
        (("cancelled", 0), ("rejected", 0), True),
        (("partially_filled", 1), ("partially_filled", 0), True),
    ],
)
def test_an_order_goes_forward_only(before, after, wrong):
    readings = [{ENTRY: (before[0], Decimal(before[1]))}]
    found = backward_steps(readings, journal(intents=[intent(ENTRY, after[0], str(after[1]))]))
    assert bool(found) == wrong


def test_a_stop_that_the_engine_executes_late_may_rest_beside_another_for_as_long_as_a_position_may_be_bare():
    gone, after = stop(14_000, status="CANCELED"), trade(16_000, 8, "atb-main-101-e0", quantity="0.5")
    assert sales_beyond_holdings(late(gone, after), context()) == []
    assert "has 2 resting to be sold" in sales_beyond_holdings(late(after, gone), context())[0]


def test_a_late_order_excuses_its_own_quantity_and_no_other():
    third = stop(11_000, 5, "atb-main-100-s2")
    gone = (stop(12_000, status="CANCELED"), stop(12_000, 5, "atb-main-100-s2", status="CANCELED"))
    (found,) = sales_beyond_holdings(late(third, *gone), context())
    assert found == "atb-main holds 1 and has 3 resting to be sold"


def test_a_stop_may_sell_an_entry_s_fee_where_the_entry_brought_it_and_the_next_entry_owes_it():
    """Binance takes that fee from the account's other coins; what is sold beyond it is found."""
    in_list = {"list_id": 5, "commission": "0.01", "commission_asset": "BTC"}
    bought, rests = trade(1, 1, ENTRY, **in_list), stop(1, list_id=5)
    gone, sold = stop(2, list_id=5, status="FILLED", filled="1"), trade(2, 2, STOP, side="SELL", list_id=5)
    assert sales_beyond_holdings(ledger(placed(1, 1, ENTRY), bought, rests, gone, sold), context()) == []
    alone = trade(1, 1, ENTRY, commission="0.01", commission_asset="BTC")
    assert sales_beyond_holdings(ledger(placed(1, 1, ENTRY), alone, rests), context()) != []
    more = trade(2, 2, STOP, side="SELL", list_id=5, quantity="1.01")
    assert "sold 0.01 more than it held" in sales_beyond_holdings(ledger(bought, more), context())[0]

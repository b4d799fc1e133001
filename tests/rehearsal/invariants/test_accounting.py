"""I1 and I6: the journal's executions are the exchange's, and they explain balances and equity."""

from decimal import Decimal

import pytest

from atb.rehearsal.invariants.accounting import balances, equity, executions, fees_that_no_exchange_takes
from tests.rehearsal.invariants.entries import ENTRY, EXIT, context, fill, journal, ledger, trade

BOUGHT = trade(1, 1, ENTRY)
HELD = {"kind": "balance", "ms": 1, "balances": {"BTC": ("1", "0"), "USDT": ("899.9", "0")}}


def test_executions_that_agree_are_no_violation():
    assert executions(ledger(BOUGHT), journal(fills=[fill(1, ENTRY)])) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "is not in the journal"),
        ([fill(1, ENTRY), fill(2, ENTRY)], "is in the journal only"),
        ([fill(1, ENTRY, fee=Decimal("0.2"))], "in the journal ('atb-main-100-e0'"),
        ([fill(1, EXIT)], "in the journal ('atb-main-101-x0'"),
    ],
)
def test_an_execution_that_is_missing_made_up_or_different_is_found(rows, said):
    (found,) = executions(ledger(BOUGHT), journal(fills=rows))
    assert said in found


def test_executions_of_others_are_not_the_journal_s():
    assert executions(ledger(trade(1, 1, "web-1")), journal()) == []


def test_balances_follow_from_executions_transfers_and_the_trades_of_others():
    stranger = trade(2, 9, "web-1", side="SELL", quantity="0.5", commission="0")
    moved = {"kind": "transfer", "ms": 3, "asset": "USDT", "amount": "100"}
    after = {"kind": "balance", "ms": 3, "balances": {"BTC": ("0.5", "0"), "USDT": ("1000.9", "49")}}
    assert balances(ledger(BOUGHT, HELD), journal(fills=[fill(1, ENTRY)]), context()) == []
    assert balances(ledger(BOUGHT, HELD, stranger, moved, after), journal(fills=[fill(1, ENTRY)]), context()) == []


def test_a_balance_that_nothing_explains_is_found():
    assert balances(ledger(BOUGHT, HELD), journal(), context()) == [
        "BTC: the account has 1, of which 0 is accounted for",
        "USDT: the account has 899.9, of which 1000 is accounted for",
    ]


def decided(bar_ms, close, created_at):
    return {"bar_ms": bar_ms, "slot": 0, "created_at": created_at, "bar": {"close": close}}


@pytest.mark.parametrize(("fee", "held", "cash"), [({}, 1, "899.9"), ({"fee_asset": "BTC"}, Decimal("0.9"), "900")])
def test_equity_is_cash_and_what_is_held_at_the_close(fee, held, cash):
    rows = [{"bar_ms": 0, "equity": Decimal(1_000), "cash": Decimal(1_000)},
            {"bar_ms": 1, "equity": Decimal(cash) + 110 * held, "cash": Decimal(cash)}]  # fmt: skip
    decisions = [decided(0, 100.0, created_at=1), decided(1, 110.0, created_at=9)]
    kept = journal(fills=[fill(5, ENTRY, **fee)], decisions=decisions, equity=rows)
    assert equity(kept) == []
    rows[1]["equity"] += Decimal("0.01")
    (found,) = equity(kept)
    assert found.startswith("bar 1: equity ")


def test_a_buy_that_pays_its_fee_in_quote_is_one_of_no_exchange_and_a_sale_is_not():
    in_base, sold = trade(2, 2, ENTRY, commission_asset="BTC"), trade(3, 3, EXIT, side="SELL")
    in_bnb, free = trade(4, 4, ENTRY, commission_asset="BNB"), trade(5, 5, ENTRY, commission="0")
    assert fees_that_no_exchange_takes(ledger(in_base, sold, in_bnb, free), context()) == []
    (found,) = fees_that_no_exchange_takes(ledger(in_base, BOUGHT, trade(6, 6, ENTRY)), context())
    assert found == f"2 buys paid their fee in quote, the first was {ENTRY} at 1"

"""A session beside its backtest where fees are in base: lots and dust may differ, a wrong quantity not, however late it comes."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from atb.backtest import run as backtest
from atb.decimals import exact
from atb.engine.codes import REASONS, ROLES, SIDES
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.rehearsal import comparison
from atb.rehearsal.lots import quantity_spans
from atb.strategies import make_strategy
from tests.instruments import usual
from tests.rehearsal.schedules import market

LOT = Decimal("0.1")  # coarse: a position has some hundred of them
COSTS = ExecutionModel(fee=0.0005, fee_in_base=True)
END = 2**60


@pytest.fixture(scope="module")
def result():
    bars = market("BTC/USDT", 500, 2)
    policy = RiskPolicy(fraction=0.3, stop_loss=0.01, reenter=True)
    made = make_strategy("sma_cross", fast=2, slow=5)
    return backtest(Slot(made, bars, policy, execution=COSTS, instrument=usual(lot=LOT, min_quantity=LOT)))


def session_of(result):
    """Return the executions of a session whose sales are its entries' lists: each sells what its own entry received."""
    rows, owned = [], Decimal(0)
    for order in result.outcome.orders:
        quantity, fee = exact(order["quantity"]), exact(order["fee_base"])
        if order["side"] > 0:
            received = quantity - fee
            owned += received
        else:
            quantity = received // LOT * LOT
            owned -= quantity
        rows.append(
            SimpleNamespace(
                time_ms=int(result.inputs.market["opened"][int(order["row"])]), slot=0, symbol="BTC/USDT",
                role=ROLES[int(order["role"])], side=SIDES[int(order["side"])], price=exact(order["price"]),
                quantity=quantity, fee=fee, fee_asset="BTC" if fee else "USDT", reason=REASONS[int(order["reason"])],
            )
        )  # fmt: skip
    return rows, owned


def difference(result, rows, monkeypatch):
    """Return the first order that differs, with the decisions taken as equal."""
    monkeypatch.setattr(comparison, "_read", lambda *_: ([], rows))
    monkeypatch.setattr(comparison, "_decisions", lambda _: {})
    return comparison.compare("", result, end_ms=END).first_difference


def test_dust_that_a_session_leaves_on_the_account_is_no_difference_and_is_sold_as_one_any_time(result, monkeypatch):
    rows, left = session_of(result)
    assert sum(row.side == "buy" for row in rows) > 60
    assert left > 20 * LOT, "it is far more than two lots"
    assert difference(result, rows, monkeypatch) is None
    rows[-1].quantity += left // LOT * LOT
    assert (rows[-1].side, difference(result, rows, monkeypatch)) == ("sell", None)


@pytest.mark.parametrize(("side", "lots"), [("buy", 3), ("buy", -3), ("sell", -3)])
def test_a_quantity_that_is_wrong_by_three_lots_after_fifty_entries_is_found(result, monkeypatch, side, lots):
    rows, _ = session_of(result)
    late = [row for row in rows if row.side == side][50]
    late.quantity += lots * LOT
    found = difference(result, rows, monkeypatch)
    assert found is not None
    assert (found["what"], found["key"][0], found["key"][3]) == ("order", str(late.time_ms), side)
    assert found["runner"] != found["backtest"]


def key(bar, role, side, price=100.0):
    return bar, 0, role, side, price, ""


BOUGHT, LEFT, AGAIN = key(1, "entry", "buy"), key(2, "exit", "sell"), key(3, "entry", "buy", 120.0)
ORDERS = {
    BOUGHT: (10.0, 0.05), LEFT: (9.9, 0.0), AGAIN: (8.0, 0.04), key(4, "target", "sell"): (3.0, 0.0),
    key(5, "stop", "sell"): (5.0, 0.0),
}  # fmt: skip


@pytest.mark.parametrize(("all_in", "least"), [((), 7.8), ((0,), 7.8 - 20 / 120)])
def test_what_may_differ_follows_from_the_dust_that_the_session_left(all_in, least):
    """It sold 0.2 less at 100, which is worth 4 more at 120, and has 20 less in cash."""
    spans = quantity_spans(ORDERS | {LEFT: (9.7, 0.0)}, ORDERS, {0: 0.1}, least_equity=900.0, all_in=all_in)
    expected = {1: (9.8, 10.2), 2: (9.75, 9.95), 3: (least, 8.2 + 8 * 4 / 900), 4: (2.6, 3.4), 5: (4.76, 5.21)}
    assert {bar: span for (bar, *_), span in spans.items()} == {
        bar: pytest.approx(span, abs=1e-5) for bar, span in expected.items()
    }


def test_slots_that_pay_no_fee_in_base_have_no_span():
    assert quantity_spans(ORDERS, ORDERS, {}, least_equity=900.0) == {}

"""Paper fills: submitted orders fill by the kernel's rules, cancelled ones do not."""

from decimal import Decimal

import numpy as np
import pytest

from atb.domain import Order, Symbol
from atb.engine import records
from atb.engine.parameters import account_parameters, slot_parameters
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.state import KernelState
from atb.venues.paper import PaperFills
from tests.instruments import usual

BTC = Symbol.parse("BTC/USDT")
ENTRY = Order("entry-1", BTC, "buy", "entry", "market", Decimal("2.0"))
STOP = Order("stop-1", BTC, "sell", "stop", "stop", Decimal("2.0"), stop_price=Decimal("95.0"))
ROWS = np.zeros(1, np.int64)


def state_with(**costs):
    execution = ExecutionModel(fee=0.001, slippage=0.0, **costs)
    row = slot_parameters(RiskPolicy(stop_loss=0.05), execution, usual(BTC))
    limits, parameters = account_parameters(AccountPolicy()), np.array([row], records.SLOT_PARAMETERS)
    return KernelState.fresh(10_000.0, limits=limits, parameters=parameters)


@pytest.fixture
def state():
    return state_with()


def bar(**prices):
    bars = np.zeros(1, records.MARKET)
    bars["opened"], bars["closed"], bars["volume"] = 1_000, 2_000, 1.0
    for name, price in prices.items():
        bars[name] = price
    return bars


def meet(paper, state, bars, phase):
    """Drive the fills as the runner does: each fill is applied before the next is asked for."""
    kernel_fill = np.zeros(1, records.ORDER)
    for slot, fill, order in paper.meet(bars, ROWS, phase):
        kernel_fill[0]["side"] = 1 if fill.side == "buy" else -1
        kernel_fill[0]["quantity"], kernel_fill[0]["price"] = float(fill.quantity), float(fill.price)
        kernel_fill[0]["role"] = records.ENTRY if order.role == "entry" else records.STOP
        state.apply(kernel_fill)
        assert slot == 0
        yield fill, order


def test_a_market_order_fills_at_the_open_and_carries_its_identity(state):
    paper = PaperFills(state, [BTC])
    state.slots[0]["entry"] = 2.0
    paper.submit(0, [ENTRY])
    ((fill, order),) = meet(paper, state, bar(open=100.0, high=101.0, low=99.0, close=100.5), records.OPEN)
    assert order == ENTRY
    assert (fill.client_id, fill.trade_id, fill.side, fill.time_ms) == ("entry-1", "entry-1.0", "buy", 1_000)
    assert (fill.price, fill.quantity, fill.fee, fill.fee_asset, fill.fee_value) == (
        Decimal("100.0"), Decimal("2.0"), Decimal("0.2"), "USDT", Decimal("0.2"),
    )  # fmt: skip
    assert paper.working(0) == ()


def test_a_fee_out_of_what_was_bought_is_in_base_and_has_its_value_beside_it():
    state = state_with(fee_in_base=True)
    paper = PaperFills(state, [BTC])
    state.slots[0]["entry"] = 2.0
    paper.submit(0, [ENTRY])
    ((fill, _),) = meet(paper, state, bar(open=100.0, high=101.0, low=99.0, close=100.5), records.OPEN)
    assert (fill.fee, fill.fee_asset, fill.fee_value) == (Decimal("0.002"), "BTC", Decimal("0.2"))


def test_a_limit_entry_fills_at_its_price_inside_the_bar(state):
    paper = PaperFills(state, [BTC])
    state.slots[0]["entry"], state.slots[0]["entry_kind"], state.slots[0]["entry_at"] = 2.0, records.AT_LIMIT, 99.5
    order = Order("entry-2", BTC, "buy", "entry", "limit", Decimal("2.0"), price=Decimal("99.5"))
    paper.submit(0, [order])
    quiet = bar(open=100.0, high=101.0, low=99.6, close=100.5)
    assert list(meet(paper, state, quiet, records.OPEN)) == list(meet(paper, state, quiet, records.RANGE)) == []
    ((fill, _),) = meet(paper, state, bar(open=100.0, high=101.0, low=99.0, close=100.5), records.RANGE)
    assert (fill.price, fill.time_ms, paper.working(0)) == (Decimal("99.5"), 2_000, ())


def test_a_stop_rests_until_a_bar_reaches_it(state):
    paper = PaperFills(state, [BTC])
    state.slots[0]["quantity"], state.slots[0]["entry_price"], state.slots[0]["stop"] = 2.0, 100.0, 95.0
    paper.submit(0, [STOP])
    calm = bar(open=100.0, high=101.0, low=96.0, close=97.0)
    assert list(meet(paper, state, calm, records.RANGE)) == []
    assert paper.working(0) == (STOP,)
    ((fill, _),) = meet(paper, state, bar(open=97.0, high=98.0, low=94.0, close=96.0), records.RANGE)
    assert (fill.side, fill.price, fill.time_ms) == ("sell", Decimal("95.0"), 2_000)


def test_a_cancelled_order_is_gone_and_a_strangers_cancel_changes_nothing(state):
    paper = PaperFills(state, [BTC])
    paper.submit(0, [ENTRY, STOP])
    paper.cancel(0, [Order("other", BTC, "sell", "stop", "stop", Decimal(1))])
    assert paper.working(0) == (ENTRY, STOP)
    paper.cancel(0, [STOP])
    assert paper.working(0) == (ENTRY,)

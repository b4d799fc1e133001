"""The paper broker: it fills what was submitted, by the kernel's rules, and forgets what was cancelled."""

from decimal import Decimal

import numpy as np
import pytest

from atb.domain import Instrument, Order, Symbol
from atb.engine import records
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy, slot_parameters
from atb.engine.state import KernelState
from atb.venues.paper import PaperBroker

BTC = Symbol.parse("BTC/USDT")
ENTRY = Order("entry-1", BTC, "buy", "entry", "market", Decimal("2.0"))
STOP = Order("stop-1", BTC, "sell", "stop", "stop", Decimal("2.0"), stop_price=Decimal("95.0"))
ROWS = np.zeros(1, np.int64)


@pytest.fixture
def state():
    row = slot_parameters(RiskPolicy(stop_loss=0.05), ExecutionModel(fee=0.001, slippage=0.0), Instrument(BTC))
    account = AccountPolicy()
    return KernelState.fresh(account.cash, limits=account.record(), parameters=np.array([row], records.SLOT_PARAMETERS))


def bar(**prices):
    bars = np.zeros(1, records.MARKET)
    bars[0] = (1_000, 2_000, prices["open"], prices["high"], prices["low"], prices["close"], 1.0)
    return bars


def meet(broker, state, bars, phase):
    """Drive the broker as the runner does: each fill is applied before the next is asked for."""
    kernel_fill = np.zeros(1, records.ORDER)
    for fill, order in broker.meet(bars, ROWS, phase):
        kernel_fill[0]["side"] = 1 if fill.side == "buy" else -1
        kernel_fill[0]["quantity"], kernel_fill[0]["price"] = float(fill.quantity), float(fill.price)
        kernel_fill[0]["role"] = records.ENTRY if order.role == "entry" else records.STOP
        state.apply(kernel_fill)
        yield fill, order


def test_a_market_order_fills_at_the_open_and_carries_its_identity(state):
    broker = PaperBroker(state, BTC)
    state.slots[0]["entry"] = 2.0
    broker.submit([ENTRY])
    ((fill, order),) = meet(broker, state, bar(open=100.0, high=101.0, low=99.0, close=100.5), records.OPEN)
    assert order == ENTRY
    assert (fill.client_id, fill.trade_id, fill.side, fill.time_ms) == ("entry-1", "entry-1.0", "buy", 1_000)
    assert (fill.price, fill.quantity, fill.fee, fill.fee_asset) == (
        Decimal("100.0"), Decimal("2.0"), Decimal("0.2"), "USDT",
    )  # fmt: skip
    assert broker.working == ()


def test_a_stop_rests_until_a_bar_reaches_it(state):
    broker = PaperBroker(state, BTC)
    state.slots[0]["quantity"], state.slots[0]["entry_price"], state.slots[0]["stop"] = 2.0, 100.0, 95.0
    broker.submit([STOP])
    calm = bar(open=100.0, high=101.0, low=96.0, close=97.0)
    assert list(meet(broker, state, calm, records.RANGE)) == []
    assert broker.working == (STOP,)
    ((fill, _),) = meet(broker, state, bar(open=97.0, high=98.0, low=94.0, close=96.0), records.RANGE)
    assert (fill.side, fill.price, fill.time_ms) == ("sell", Decimal("95.0"), 2_000)


def test_a_cancelled_order_is_gone_and_a_strangers_cancel_changes_nothing(state):
    broker = PaperBroker(state, BTC)
    broker.submit([ENTRY, STOP])
    broker.cancel([Order("other", BTC, "sell", "stop", "stop", Decimal(1))])
    assert broker.working == (ENTRY, STOP)
    broker.cancel([STOP])
    assert broker.working == (ENTRY,)

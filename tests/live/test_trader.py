"""The trader's parts: the history that only grows, the ids of orders, the orders themselves, the pace."""

import dataclasses
import re
from decimal import Decimal
from threading import Event
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.backtest import run as backtest
from atb.domain import Instrument, Signals, Symbol
from atb.engine import records
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.prepare import Slot, columns
from atb.engine.state import fresh_slots
from atb.errors import DataError, InputError
from atb.live.feed import Pace, ReplayFeed
from atb.live.history import History
from atb.live.orders import ClientIds, OrderMaker, same_terms
from atb.live.plan import Plan
from atb.live.trader import Trader
from atb.strategies import make_strategy
from atb.venues.paper import exact
from tests.bars import bars_of, random_walk
from tests.live.desk import BUSY

BTC = Symbol.parse("BTC/USDT")


def test_features_over_a_grown_history_equal_the_batch_bit_by_bit():
    whole = bars_of(random_walk(150, 1))
    feed = ReplayFeed(whole, int(whole.opened_ms[20]))
    history = History(feed.history(BTC))
    strategy = make_strategy("sma_cross", fast=3, slow=8)
    batch = columns(Slot(strategy, whole))
    for row, bar in enumerate(feed, start=20):
        grown = columns(Slot(strategy, history.append(bar)))
        assert len(grown.market) == row + 1
        assert grown.market[-1] == batch.market[row]
        assert grown.signals[-1:].tobytes() == batch.signals[row : row + 1].tobytes()


def test_a_history_equals_the_series_it_was_fed():
    whole = bars_of(random_walk(1_500, 2))  # more than its first room
    history = History(whole.slice(end=whole.frame.index[0]))
    for bar in ReplayFeed(whole, 0):
        last = history.append(bar)
    assert last.fingerprint == whole.fingerprint
    assert last.frame.index.equals(whole.frame.index)


def test_a_history_refuses_a_bar_twice_and_a_bar_from_the_past():
    whole = bars_of(random_walk(10, 2))
    history = History(whole)
    for row in (9, 4):
        with pytest.raises(DataError, match="twice or out of order"):
            history.append(whole.slice(whole.frame.index[row], whole.frame.index[row] + whole.frame.index.freq))


def test_a_feed_gives_only_its_own_symbol():
    with pytest.raises(InputError, match="BTC/USDT"):
        ReplayFeed(bars_of(random_walk(10, 2)), 0).history(Symbol.parse("ETH/USDT"))


@given(st.text(min_size=1, max_size=40), st.integers(0, 2**43), st.sampled_from(["entry", "exit", "stop", "target"]))
def test_client_ids_fit_every_exchange_and_say_the_same_twice(account, bar_ms, role):
    ids = ClientIds("sma_cross", (account, "sha", "sma_cross", "BTC/USDT"))
    made = ids.make(bar_ms, role, 0)
    assert re.fullmatch(r"[a-z0-9_-]{1,36}", made)
    assert made == ClientIds("sma_cross", (account, "sha", "sma_cross", "BTC/USDT")).make(bar_ms, role, 0)


def test_client_ids_differ_in_all_that_an_order_is_for():
    base = ("paper", "sha", "sma_cross", "BTC/USDT")
    others = [("b", *base[1:]), ("paper", "x", *base[2:]), (*base[:2], "z", base[3]), (*base[:3], "ETH/USDT")]
    made = {ClientIds("sma_cross", identity).make(1, "entry", 0) for identity in (base, *others)}
    ids = ClientIds("sma_cross", base)
    made |= {ids.make(2, "entry", 0), ids.make(1, "exit", 0), ids.make(1, "entry", 1)}
    assert len(made) == 8


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_money_crosses_the_edge_without_losing_a_bit(number):
    assert np.float64(float(exact(number))).tobytes() == np.float64(number).tobytes()
    assert isinstance(exact(np.float64(number)), Decimal)


@dataclasses.dataclass(frozen=True)
class Restless:
    """Any side at any bar, from the digits of the price: reversals, exits, no opinion."""

    name: ClassVar[str] = "restless"
    predicts: ClassVar[bool] = False
    warmup: int = 0

    def features(self, bars):
        return bars[[]]

    def signals(self, frame):
        digits = (frame["close"].to_numpy() * 100).round().astype(int) % 4
        return Signals(side=np.array([-1.0, 0.0, 1.0, np.nan])[digits])


def steps_of(bars, policy, account):
    """Step a restless trader through bars; return its steps and the backtest of the same."""
    result = backtest(Slot(Restless(), bars, policy, ExecutionModel()), account=account)
    plan = Plan(
        SimpleNamespace(warmup=0), Restless(), BTC, bars.timeframe, policy, ExecutionModel(), account, Instrument(BTC), None
    )  # fmt: skip
    feed = ReplayFeed(bars, 0)
    trader = Trader(plan, History(feed.history(BTC)), state=plan.fresh_state(), working=(), identity=("a",))
    return [trader.step(bar) for bar in feed], result


def test_an_entry_that_the_open_cannot_pay_is_rejected_with_its_reason():
    steps, result = steps_of(bars_of(random_walk(200, 8)), RiskPolicy(fraction=1.0), AccountPolicy(reserve=0.0))
    rejected = [why for step in steps for state, why in step.outcomes.values() if state == "rejected"]
    noted = [step.decision["refusal"] for step in steps if step.decision["refusal"]]
    assert len(rejected) > 3
    assert set(rejected) == {"no_cash"}
    assert sorted(rejected + noted) == sorted(result.refused["reason"])


@pytest.mark.parametrize("seed", range(3))
def test_steps_with_reversals_equal_the_kernels_own_loop(seed):
    steps, result = steps_of(bars_of(random_walk(200, seed)), BUSY, AccountPolicy())
    done = [done for step in steps for done in step.fills]
    fills = [(each.fill.time_ms, each.order.role, float(each.fill.price), float(each.fill.fee)) for each in done]
    roles = {1: "entry", 2: "exit", 3: "stop", 4: "target"}
    orders = result.outcome.orders
    assert fills == [(order["time"], roles[order["role"]], order["price"], order["fee"]) for order in orders]
    assert len({each.fill.client_id for each in done}) == len(orders) > 100
    assert [step.equity for step in steps] == list(result.equity)
    placed = [working.order.client_id for step in steps for working in step.placed]
    assert len(set(placed)) == len(placed)


def slot_with(**values):
    slot = fresh_slots(1)[0]
    for name, value in values.items():
        slot[name] = value
    return slot


LONG = {"quantity": 2.0, "stop": 90.0, "stop_reason": records.STOP_LOSS}
SHORT = {"quantity": -2.0, "stop": 110.0, "stop_reason": records.TRAILING_STOP, "target": 90.0, "target_quantity": 2.0}


def maker():
    return OrderMaker(ClientIds("s", ("a",)), BTC, 1)


def test_a_reversal_is_an_exit_and_an_entry():
    asked = {"exit": -2.0, "exit_reason": records.SIGNAL_EXIT, "entry": -1.5, "entry_reason": records.SIGNAL_ENTRY}
    orders = maker().intents(slot_with(**asked))
    assert [(order.role, order.side, order.type, order.quantity, order.reason) for order in orders] == [
        ("exit", "sell", "market", Decimal("2.0"), "exit_signal"),
        ("entry", "sell", "market", Decimal("1.5"), "entry_signal"),
    ]


@pytest.mark.parametrize(
    ("kind", "name", "price", "stop_price"),
    [(records.AT_LIMIT, "limit", Decimal("99.5"), None), (records.AT_STOP, "stop", None, Decimal("99.5"))],
)
def test_an_entry_rests_at_its_price(kind, name, price, stop_price):
    asked = {"entry": 1.5, "entry_kind": kind, "entry_at": 99.5, "entry_reason": records.SIGNAL_ENTRY}
    (order,) = maker().intents(slot_with(**asked))
    assert (order.side, order.type, order.price, order.stop_price) == ("buy", name, price, stop_price)


def test_what_is_held_is_protected_on_the_other_side():
    stop, target = maker().protection(slot_with(**SHORT))
    assert (stop.side, stop.type, stop.stop_price, stop.price) == ("buy", "stop", Decimal("110.0"), None)
    assert (target.side, target.type, target.stop_price, target.price) == ("buy", "limit", None, Decimal("90.0"))
    assert (stop.reason, target.reason) == ("trailing_stop", "take_profit")
    assert maker().protection(slot_with(stop=110.0)) == []


def test_a_rung_takes_its_part_and_the_stop_covers_all():
    stop, target = maker().protection(slot_with(**{**SHORT, "target_quantity": 0.5}))
    assert (stop.quantity, target.quantity, target.reason) == (Decimal("2.0"), Decimal("0.5"), "partial_exit")


def test_the_second_order_of_a_role_in_one_bar_is_its_second_attempt():
    made = maker()
    (order,) = made.protection(slot_with(**LONG))
    first, second = made.name(order), made.name(dataclasses.replace(order, stop_price=Decimal(91)))
    assert (first.client_id[-2:], second.client_id[-2:]) == ("s0", "s1")
    assert same_terms(first, order)
    assert not same_terms(first, second)


def test_a_pace_waits_and_stops_when_asked():
    bars, stop, beats = bars_of(random_walk(1, 1)), Event(), []
    assert Pace(None, stop).wait(bars, lambda: beats.append(1))
    assert Pace(3_600_000, stop).wait(bars, lambda: beats.append(1))  # an hour in a millisecond
    stop.set()
    assert not Pace(0.001, stop).wait(bars, lambda: beats.append(1))
    assert not Pace(None, stop).wait(bars, lambda: beats.append(1))

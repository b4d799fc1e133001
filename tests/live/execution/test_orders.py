"""Orders: ids that are the same for the same purpose, intents and protection as the kernel's state wants them."""

import dataclasses
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.decimals import exact
from atb.domain import Symbol
from atb.engine import records
from atb.engine.records import fresh_slots
from atb.live.execution.orders import ClientIds, OrderMaker, same_terms
from tests.instruments import usual

BTC = Symbol.parse("BTC/USDT")


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


def slot_with(**values):
    slot = fresh_slots(1)[0]
    for name, value in values.items():
        slot[name] = value
    return slot


LONG = {"quantity": 2.0, "stop": 90.0, "stop_reason": records.STOP_LOSS}
SHORT = {"quantity": -2.0, "stop": 110.0, "stop_reason": records.TRAILING_STOP, "target": 90.0, "target_quantity": 2.0}


def maker():
    return OrderMaker(ClientIds("s", ("a",)), BTC)


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
    first, second = made.name(order, 1), made.name(dataclasses.replace(order, stop_price=Decimal(91)), 1)
    assert (first.client_id[-2:], second.client_id[-2:]) == ("s0", "s1")
    assert same_terms(first, order)
    assert not same_terms(first, second)


def test_attempts_of_an_earlier_process_are_counted_on():
    made = OrderMaker(ClientIds("s", ("a",)), BTC, {(1, "stop"): 3})
    (order,) = made.protection(slot_with(**LONG))
    assert [made.name(order, bar).client_id[-2:] for bar in (1, 2, 1)] == ["s3", "s0", "s4"]
    assert (made.made(1, "stop"), made.made(2, "stop"), made.made(1, "entry")) == (5, 1, 0)


def test_where_a_venue_takes_few_stops_the_farthest_rungs_go_under_the_last_one():
    from atb.engine.parameters import slot_parameters
    from atb.engine.policy import ExecutionModel, RiskPolicy

    policy = RiskPolicy(stop_loss=0.1, take_profit=0.5, ladder=((0.1, 0.2), (0.2, 0.2), (0.3, 0.2)))
    parameters = np.array([slot_parameters(policy, ExecutionModel(), usual(BTC))], records.SLOT_PARAMETERS)[0]
    held = {"quantity": 10.0, "opened_quantity": 10.0, "entry_price": 100.0, "stop": 90.0, "stop_reason": records.STOP_LOSS,
            "target": 110.0, "target_quantity": 2.0}  # fmt: skip
    every = maker().units(slot_with(**held), parameters)
    few = maker().units(slot_with(**held), parameters, most=2)
    assert [(float(unit.quantity), unit.target is not None) for unit in every] == [
        (2, True),
        (2, True),
        (2, True),
        (4, True),
    ]
    assert [(float(unit.quantity), unit.target is not None) for unit in few] == [(2, True), (8, False)]
    assert {unit.stop.stop_price for unit in few} == {Decimal("90.0")}

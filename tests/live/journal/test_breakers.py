"""Breakers: what each limit lets through and what it stops, and that what protects a position always goes."""

import json
from decimal import Decimal

import pytest

from atb.errors import InputError
from atb.live.journal.breakers import Breakers, Proposed, Used, judge
from tests.rehearsal.ledger import START, resend, working

EQUITY = Decimal(10_000)


def asked(*placed, value="50", equity=EQUITY):
    return Proposed(
        placed, {working.order.client_id: None if value is None else Decimal(value) for working in placed}, equity
    )


def reasons(judged):
    return list(judged.withheld.values())


STOP = working("stop", type="stop", stop_price=Decimal(95))
TARGET = working("target", type="limit", price=Decimal(120))


def test_nothing_is_withheld_within_the_limits():
    judged = judge(asked(working(), STOP, TARGET, working("exit", slot=1)), Used(), Breakers(), halted=False)
    assert (judged.withheld, judged.trip) == ({}, None)


@pytest.mark.parametrize(
    ("breakers", "used", "reason"),
    [
        (Breakers(orders_per_minute=10), Used(orders=10), "order_rate"),
        (Breakers(entries_per_bar=2), Used(entries={(0, START): 2}), "bar_rate"),
        (Breakers(turnover_per_day=Decimal(100)), Used(turnover=Decimal("50.01")), "turnover"),
        (Breakers(largest_order=Decimal("49.99")), Used(), "notional"),
        (Breakers(largest_share=Decimal("0.00499")), Used(), "share"),
    ],
)
def test_a_limit_that_is_exceeded_withholds_the_entry_and_says_why(breakers, used, reason):
    judged = judge(asked(working()), used, breakers, halted=False)
    assert reasons(judged) == [reason]
    assert judged.trip
    assert "allowed" in judged.trip or "more than" in judged.trip


@pytest.mark.parametrize(
    ("breakers", "used"),
    [
        (Breakers(orders_per_minute=10), Used(orders=9)),
        (Breakers(entries_per_bar=2), Used(entries={(0, START): 1, (1, START): 9, (0, START + 1): 9})),
        (Breakers(turnover_per_day=Decimal(100)), Used(turnover=Decimal(50))),
        (Breakers(largest_order=Decimal(50)), Used()),
        (Breakers(largest_share=Decimal("0.005")), Used()),
    ],
)
def test_what_is_exactly_allowed_goes(breakers, used):
    assert judge(asked(working()), used, breakers, halted=False).withheld == {}


@pytest.mark.parametrize("limit", ["largest_order", "largest_share", "turnover_per_day"])
def test_an_unknown_value_exceeds_every_limit_on_value(limit):
    breakers = Breakers(**{limit: Decimal(1_000_000)})
    assert len(judge(asked(working(), value=None), Used(), breakers, halted=False).withheld) == 1
    assert judge(asked(working(), value=None), Used(), Breakers(), halted=False).withheld == {}


def test_the_entries_of_one_step_add_up():
    both = working(), working(slot=1)
    judged = judge(asked(*both), Used(), Breakers(turnover_per_day=Decimal(99)), halted=False)
    assert judged.withheld == {both[0].order.client_id: "halted", both[1].order.client_id: "turnover"}
    again = both[0], resend(both[0])
    assert "bar_rate" in reasons(judge(asked(*again), Used(), Breakers(entries_per_bar=1), halted=False))


def test_exits_stops_and_targets_go_when_a_breaker_trips_and_when_halted():
    leaving = STOP, TARGET, working("exit")
    for halted, used in ((True, Used()), (False, Used(orders=200)), (True, Used(orders=200))):
        judged = judge(asked(*leaving, working(slot=1)), used, Breakers(), halted=halted)
        assert [name for name in judged.withheld if "eth" not in name] == []
        assert len(judged.withheld) == 1


def test_under_a_halt_no_breaker_trips_again():
    judged = judge(asked(working()), Used(orders=200), Breakers(), halted=True)
    assert (reasons(judged), judged.trip) == (["halted"], None)


def test_at_the_last_resort_only_stops_and_targets_go():
    leaving = working("exit")
    judged = judge(asked(leaving, STOP, TARGET), Used(orders=360), Breakers(), halted=True)
    assert judged.withheld == {leaving.order.client_id: "order_rate"}
    assert "last resort" in judged.trip


def test_what_is_sent_with_an_entry_is_withheld_with_it():
    entry, stop = working(list_id="l"), working("stop", list_id="l", type="stop", stop_price=Decimal(95))
    judged = judge(asked(entry, stop, STOP), Used(), Breakers(largest_order=Decimal(1)), halted=False)
    assert judged.withheld == {entry.order.client_id: "notional", stop.order.client_id: "notional"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"orders_per_minute": 0},
        {"entries_per_bar": -1},
        {"largest_share": Decimal(0)},
        {"orders_per_minute": 50, "last_resort": 49},
    ],
)
def test_limits_that_are_none_are_refused(wrong):
    with pytest.raises(InputError, match="breaker"):
        Breakers(**wrong)


@pytest.mark.parametrize("breakers", [Breakers(), Breakers(7, 9, 2, Decimal("0.10"), Decimal("1E+3"), Decimal("0.5"))])
def test_breakers_are_read_back_equal_from_plain_values(breakers):
    assert Breakers.from_json(json.loads(json.dumps(breakers.to_json()))) == breakers


@pytest.mark.parametrize(
    "values", [{"orders_per_hour": 3}, {"orders_per_minute": "many"}, {"entries_per_bar": [1]}, {"largest_order": "-1"}]
)
def test_breakers_of_another_version_are_refused(values):
    with pytest.raises(InputError):
        Breakers.from_json(values)

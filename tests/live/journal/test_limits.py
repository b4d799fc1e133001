"""Use of limits: each in its unit, those that are off left out."""

from decimal import Decimal

from atb.engine.policy import AccountPolicy
from atb.live.journal.breakers import Breakers
from atb.live.journal.limits import Counted, account_use, breaker_use, slot_use

STATE = {
    "account": {"equity": 9_000.0, "peak": 12_000.0, "day_equity": 10_000.0, "day_orders": 3, "day_turnover": 5_000.0},
    "slots": [
        {"quantity": 2.0, "mark": 3_000.0, "cluster": 1.0},
        {"quantity": -1.0, "mark": 1_500.0, "cluster": 1.0},
        {"quantity": 0.0, "mark": None, "cluster": None},
    ],
}


def shown(uses):
    return {use.limit: (use.unit, round(use.used, 6), round(use.allowed, 6)) for use in uses}


def test_every_limit_of_the_account_is_in_percent_or_counted():
    policy = AccountPolicy(
        max_gross=1.0, max_net=0.5, max_cluster=0.6, max_positions=4, orders_per_day=10, turnover_per_day=2.0,
        daily_loss=0.2, max_drawdown=0.5,
    )  # fmt: skip
    assert shown(account_use(STATE, policy, max_loss=4_000.0)) == {
        "gross exposure": ("% of equity", 83.333333, 100.0),
        "net exposure": ("% of equity", 50.0, 50.0),
        "largest cluster": ("% of equity", 50.0, 60.0),
        "loss of the UTC day": ("% of the day's first equity", 10.0, 20.0),
        "drawdown": ("% of the peak", 25.0, 50.0),
        "loss since the start": ("quote", 1_000.0, 4_000.0),
        "positions": ("count", 2, 4),
        "orders of the UTC day": ("count", 3, 10),
        "turnover of the UTC day": ("% of the day's first equity", 50.0, 200.0),
    }


def test_a_limit_that_is_off_is_not_listed():
    assert set(shown(account_use(STATE, AccountPolicy()))) == {"gross exposure"}


def test_a_gain_uses_nothing_of_a_loss():
    state = {**STATE, "account": STATE["account"] | {"equity": 13_000.0, "peak": 12_500.0}}
    found = shown(account_use(state, AccountPolicy(daily_loss=0.1, max_drawdown=0.1), max_loss=1.0))
    assert {name: used for name, (_, used, _) in found.items() if name != "gross exposure"} == {
        "loss of the UTC day": 0.0, "drawdown": 0.0, "loss since the start": 0.0,
    }  # fmt: skip


def test_a_day_that_was_not_counted_yet_divides_by_equity_and_not_by_zero():
    state = {**STATE, "account": STATE["account"] | {"day_equity": 0.0, "peak": 0.0}}
    assert shown(account_use(state, AccountPolicy(daily_loss=0.1)))["loss of the UTC day"][1] == 0.0
    ruined = {**STATE, "account": dict.fromkeys(STATE["account"], 0.0)}
    assert account_use(ruined, AccountPolicy(daily_loss=0.1, max_drawdown=0.1)) == []


def test_a_slots_largest_position_counts_whichever_side_it_is_on():
    found = shown(slot_use(STATE, [("a", None), ("b", 0.25), ("c", 0.25)]))
    assert found == {"position of b": ("% of equity", 16.666667, 25.0), "position of c": ("% of equity", 0.0, 25.0)}


def test_the_use_of_breakers_is_listed_for_those_that_are_on():
    counted = Counted(minute=2, of_bar=1, of_day=150.0, newest=100.0)
    breakers = Breakers(turnover_per_day=Decimal(300), largest_order=Decimal(400), largest_share=Decimal("0.5"))
    assert shown(breaker_use(counted, breakers, equity=1_000.0)) == {
        "orders in the newest order's minute": ("orders", 2, 120),
        "entries of the newest one's slot and bar": ("entries", 1, 5),
        "entries of the newest order's UTC day": ("quote", 150.0, 300.0),
        "newest entry": ("quote", 100.0, 400.0),
        "newest entry's share": ("% of equity", 10.0, 50.0),
    }
    assert shown(breaker_use(Counted(), Breakers(), equity=1.0)) == {
        "orders in the newest order's minute": ("orders", 0, 120),
        "entries of the newest one's slot and bar": ("entries", 0, 5),
    }


def test_more_than_allowed_is_more_than_a_hundred_percent():
    use = breaker_use(Counted(minute=3), Breakers(orders_per_minute=2), equity=1.0)[0]
    assert use.to_json()["share"] == 150.0

"""Directed kills of the real process: each kind of gap between two requests once."""

import pytest

from atb.rehearsal.faults import draw_schedule
from atb.rehearsal.gap_kills import kind_of


def name(letter, number=0):
    return f"atb-sma_cr-abc-lr62a680-{letter}{number}"


@pytest.mark.parametrize(
    ("method", "path", "params", "letters"),
    [
        ("POST", "/api/v3/order", {"newClientOrderId": name("x")}, "x"),
        ("POST", "/api/v3/orderList/opo", {"workingClientOrderId": name("e"), "pendingClientOrderId": name("s")}, "se"),
        ("DELETE", "/api/v3/order", {"origClientOrderId": name("s"), "symbol": "BTCUSDT"}, "s"),
        ("POST", "/api/v3/order/cancelReplace", {"newClientOrderId": name("s", 1)}, "s"),
        ("POST", "/api/v3/order/test", {"newClientOrderId": name("e")}, None),
        ("POST", "/api/v3/order", {"newClientOrderId": "web_1"}, None),
        ("GET", "/api/v3/order", {"origClientOrderId": name("e")}, None),
    ],
)
def test_a_gap_is_known_by_its_request_and_what_its_orders_are_for(method, path, params, letters):
    found = kind_of(method, path, params)
    assert found == (None if letters is None else (method, path, letters))


def test_two_attempts_are_one_kind_and_two_roles_are_two():
    one, again, other = (kind_of("POST", "/p", {"newClientOrderId": name(*who)}) for who in (("s",), ("s", 4), ("x",)))
    assert one == again != other


@pytest.mark.parametrize(("level", "directed"), [("none", False), ("standard", False), ("hard", True)])
def test_from_hard_on_the_runner_dies_in_every_gap_up_to_the_quiet_time(level, directed):
    drawn = draw_schedule(
        level, seed=1, start_ms=0, end_ms=86_400_000, symbols=["BTCUSDT"], bar_ms=3_600_000, quote="USDT"
    )
    assert drawn.gaps_until_ms == (86_400_000 if directed else None)

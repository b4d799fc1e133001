"""Figures of a session from its newest rows, and how far its stop is."""

from datetime import UTC, datetime
from math import log, sqrt
from statistics import mean, stdev

import pytest

from atb.dashboards.pages.batches import differing
from atb.dashboards.pages.monitor import sections
from atb.dashboards.pages.monitor.content import _positions
from atb.dashboards.pages.monitor.quality import decision_lag, execution, market, over_time, trading, troubles
from tests.dashboards.pages.test_contract import text_of

HOUR = 3_600_000


def test_trading_counts_wins_and_losses():
    found = trading([{"pnl": "3", "fees": "0.5"}, {"pnl": "-1", "fees": "0.5"}, {"pnl": "0", "fees": "0.5"}])
    assert (round(found.pop("win_rate"), 4), found) == (
        33.3333, {"trades": 3, "profit_factor": 3.0, "average_win": 3.0, "average_loss": -0.5, "fees": 1.5},
    )  # fmt: skip


def test_what_has_no_meaning_is_none_and_not_zero():
    assert trading([]) == {
        "trades": 0, "win_rate": None, "profit_factor": None, "average_win": None, "average_loss": None, "fees": 0,
    }  # fmt: skip
    assert trading([{"pnl": "1", "fees": "0"}])["profit_factor"] is None


def order(client_id, *, side="buy", role="entry", state="filled"):
    return {
        "client_id": client_id,
        "side": side,
        "role": role,
        "state": state,
        "type": "market",
        "slot": 0,
        "bar": "b",
        "sent_ms": 1_000,
    }


def test_slippage_is_above_zero_where_a_fill_is_worse_for_either_side():
    orders = [order("a"), order("b", side="sell", role="exit")]
    fills = [{"client_id": "a", "price": 101.0, "time_ms": 3_000}, {"client_id": "b", "price": 99.0, "time_ms": 2_000}]
    found = execution(orders, fills, {(0, "b"): 100.0})
    assert (round(found["slippage_bp"], 6), found["fill_seconds"]) == (100.0, 1.5)


def test_entries_that_are_still_open_are_not_counted_as_unfilled():
    orders = [
        order("a"),
        order("b", state="live"),
        order("c", state="rejected"),
        order("d", state="expired", role="stop"),
    ]
    found = execution(orders, [], {})
    assert (found["filled_entries"], found["failed"], found["slippage_bp"], found["fill_seconds"]) == (
        50.0,
        1,
        None,
        None,
    )


def test_only_the_last_hours_troubles_count():
    now = 1_704_067_200
    at = lambda seconds: datetime.fromtimestamp(now - seconds, UTC).isoformat()  # noqa: E731 - one expression
    events = [
        {"severity": "error", "time": at(10)}, {"severity": "info", "time": at(10)}, {"severity": "warning", "time": at(3_599)},
        {"severity": "error", "time": at(3_700)},
    ]  # fmt: skip
    assert troubles(events, now * 1_000) == 2


def test_the_lag_of_decisions_on_past_bars_is_not_shown():
    def decided(lag_s):
        return {
            "bar": {"closed": 1_704_067_200_000},
            "written": datetime.fromtimestamp(1_704_067_200 + lag_s, UTC).isoformat(),
        }

    assert decision_lag([decided(1), decided(3), decided(2)]) == 2.0
    assert decision_lag([decided(86_400)]) is None
    assert decision_lag([]) is decision_lag([{"bar": None, "written": "2024-01-01"}]) is None


def test_a_days_change_needs_a_close_a_day_earlier():
    assert market([(0, 100.0), (24 * HOUR, 110.0)], "1h")["change"] == pytest.approx(10.0)
    assert market([(HOUR, 100.0), (24 * HOUR, 110.0)], "1h")["change"] is market([], "1h")["close"] is None


def test_a_rising_market_has_a_high_rsi_and_an_upward_trend_and_a_short_one_neither():
    rising = [(bar * HOUR, 100.0 * 1.001**bar) for bar in range(200)]
    found = market(rising, "1h")
    assert (found["rsi"], found["volatility"]) == (pytest.approx(100.0), pytest.approx(0.0, abs=1e-6))
    # Of a steady rise by r an EMA over n bars lags by about r (n - 1) / 2: 0.1 % (25 - 11) / 2.
    assert found["trend"] == pytest.approx(0.7, abs=0.02)
    swinging = [(bar * HOUR, 101.0 if bar % 2 else 100.0) for bar in range(200)]
    assert market(swinging, "1h")["volatility"] == pytest.approx(100 * log(1.01) * sqrt(365 * 24 * 199 / 198), rel=1e-3)
    assert {market(rising[:99], "1h")[name] for name in ("rsi", "trend", "volatility")} == {None}


def test_equity_over_time_is_measured_between_the_ends_of_days():
    daily = [(day, 100.0 + day) for day in range(10)]
    found = over_time(daily, [(0, 100.0), (1, 80.0), (2, 120.0)], equity=115.0, today=10)
    assert (found["day"], found["week"], found["drawdown"], found["sharpe"]) == (6.0, 12.0, pytest.approx(20.0), None)
    assert over_time([], [], equity=1.0, today=10) == {
        "day": None, "week": None, "drawdown": None, "days": 0, "sharpe": None,
    }  # fmt: skip


def test_a_sharpe_ratio_counts_days_without_a_close_as_days_without_a_return():
    grown = [(day, 100.0 * 1.01 ** (day % 2)) for day in range(32)]
    whole = over_time(grown, [], equity=1.0, today=32)
    holed = over_time([*grown[:-1], (100, grown[-1][1])], [], equity=1.0, today=101)
    returns = [0.01 if day % 2 == 0 else 1 / 1.01 - 1 for day in range(31)]
    assert whole["sharpe"] == pytest.approx(mean(returns) / stdev(returns) * sqrt(365))
    assert 0 < holed["sharpe"] < whole["sharpe"]
    assert over_time([(day, 100.0) for day in range(60)], [], equity=1.0, today=60)["sharpe"] is None, "it never moved"


def position(**slot):
    given = {"slot": 0, "symbol": "BTC/USDT", "position": 0.5, "entry_price": 90.0, "stop": 95.0, "target": 130.0,
             "stuck": None, "barred": None}  # fmt: skip
    row = {"slots": [given | slot]}
    state = {"slots": [{"quantity": 0.5, "mark": 100.0}]}
    (found,) = _positions(row, {"state": state, "open": slot.pop("open", [])})
    return found


def test_how_far_stop_and_target_are_is_measured_from_the_last_close():
    found = position()
    assert (round(found["stop_away"], 6), round(found["target_away"], 6)) == (-5.0, 30.0)
    assert (found["value"], found["open_pnl"], found["rests"], found["at_risk"]) == (50.0, 5.0, False, 2.5)
    assert position(stop=None)["at_risk"] == 50.0, "all of it, where no stop is"
    assert position(stop=101.0)["at_risk"] == 0.0


def test_a_flat_slot_has_no_stop_and_no_profit():
    found = position(position=0.0, entry_price=None, stop=None, target=None)
    assert {found[name] for name in ("stop_away", "target_away", "value", "open_pnl", "rests", "at_risk")} == {None}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"stale": {"since": "2024-01-01T10:00:00+00:00", "why": "no process"}},
            "Stale since 2024-01-01 10:00:00: no process.",
        ),
        ({"halt": "pause", "halt_reason": None}, "Halted (pause): no reason was given."),
        ({"unknown": 2}, "The outcome of 2 orders is not known"),
        ({"barred": {"ETH/USDT": "odd"}}, "No entry is sent for ETH/USDT: odd."),
        ({"drift": {"BTC": "0.25"}}, "The account has 0.25 BTC more than the books."),
        ({"slots": [{"symbol": "X", "rests": False, "stop": 1.0, "stuck": None}]}, "No stop rests for X."),
        ({"slots": [{"symbol": "X", "rests": None, "stop": None, "stuck": "no rules"}]}, "X is stuck: no rules."),
    ],
)
def test_what_a_person_must_know_comes_first(changes, said):
    quiet = {
        "stale": None,
        "halt": "none",
        "halt_reason": None,
        "unknown": 0,
        "barred": {},
        "drift": {},
        "slots": [],
        "state": "running",
    }
    assert sections.state_notices(quiet) == []
    assert said in " ".join(text_of(notice) for notice in sections.state_notices(quiet | changes))


def test_a_batch_shows_the_parameters_that_differ():
    given = [{"symbol": "BTC", "params": {"fast": 1, "slow": 9}}, {"symbol": "BTC", "params": {"fast": 2, "slow": 9}}]
    assert differing(given) == ["params.fast"]
    assert differing([{"params": {}}, {"params": {"fast": 1}}]) == ["params", "params.fast"]

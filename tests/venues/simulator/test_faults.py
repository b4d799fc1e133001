"""Faults strike the requests they are meant for, at their time, and the ledger knows what really happened."""

from decimal import Decimal

import pytest

from atb.errors import InputError
from atb.venues.simulator.faults import EXECUTED, KINDS, ON_ORDERS, ON_STREAMS, Fault
from atb.venues.simulator.schedules import MIXES, schedule
from atb.venues.simulator.scripts import ScriptedEvent, walk
from tests.venues.simulator.client import HOUR, Asker, closes, exchange_of

FRAME = closes(100, 101, 105, 98, 90, 120, 110, 110)
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": 1}


def asker(*faults, **settings):
    balances = {"USDT": Decimal(1_000), "BTC": Decimal(2)}
    return Asker(exchange_of(FRAME, faults=list(faults), balances=balances, **settings))


def trades(ask):
    return ask("GET", "myTrades", symbol="BTCUSDT")[1]


@pytest.mark.parametrize(
    ("kind", "detail", "fate", "status", "code"),
    [
        ("lost", {}, "reset", 200, None),
        ("held_after", {}, "hold", 200, None),
        ("truncated", {}, "truncate", 200, None),
        ("error_after", {"status": 504, "code": -1007}, "send", 504, -1007),
        ("error_after", {"status": 502}, "send", 502, None),
        ("error", {"status": 503, "code": -1000}, "send", 503, -1000),
        ("error", {}, "send", 503, None),
        ("reset", {}, "reset", 0, None),
        ("held", {}, "hold", 0, None),
        ("rate_limit", {}, "send", 429, -1003),
        ("ban", {}, "send", 418, -1003),
    ],
)
def test_a_struck_order_was_executed_or_not_as_its_kind_says(kind, detail, fate, status, code):
    ask = asker(Fault(kind, path="POST /api/v3/order", detail=detail))
    reply = ask.reply("POST", "order", **ORDER)
    assert (reply.fate, reply.status) == (fate, status)
    assert code is None or reply.body["code"] == code
    ask.advance(ask.exchange.now_ms() + 5_000)
    assert len(trades(ask)) == (kind in EXECUTED)
    entries = ask.exchange.ledger.entries()
    answer = next(entry for entry in entries if entry["kind"] == "answer")
    assert answer["fate"] == fate
    assert [entry["fault"] for entry in entries if entry["kind"] == "fault"] == [kind]


@pytest.mark.parametrize(("delay", "executed"), [(1_000, True), (5_000, True), (5_001, False)])
def test_a_late_request_executes_in_its_window_only(delay, executed):
    ask = asker(Fault("late", path="changes", detail={"delay_ms": delay}))
    start = ask.exchange.now_ms()
    assert ask.reply("POST", "order", newClientOrderId="late-1", **ORDER).fate == "hold"
    assert ask("GET", "order", symbol="BTCUSDT", origClientOrderId="late-1")[1]["code"] == -2013
    ask.advance(start + delay - 1)
    assert trades(ask) == []
    ask.advance(start + delay)
    assert len(trades(ask)) == executed
    late = [entry for entry in ask.exchange.ledger.entries() if entry["kind"] == "late"]
    assert [(entry["ms"] - start, entry["code"]) for entry in late] == [(delay, 0 if executed else -1021)]


def test_a_fault_waits_for_its_time_its_path_and_its_turn():
    start = int(exchange_of(FRAME).now_ms())
    ask = asker(Fault("error", path="reads", after=1, times=2, at_ms=start + HOUR))
    assert ask("GET", "account")[0] == 200
    ask.advance(start + HOUR)
    assert ask("POST", "order", **ORDER)[0] == 200
    assert [ask("GET", "account")[0] for _ in range(4)] == [200, 503, 503, 200]


def test_the_exchanges_clock_jumps():
    start = int(exchange_of(FRAME).now_ms())
    ask = asker(Fault("skew", at_ms=start + 1_000, detail={"ms": 15_000}))
    ask.advance(start + 1_000)
    assert ask("GET", "time", signed=False)[1]["serverTime"] == start + 16_000
    assert ask("GET", "account", timestamp=start + 1_000)[1]["code"] == -1021
    assert ask("GET", "account", timestamp=start + 16_000)[0] == 200


def test_an_exchange_whose_clock_jumps_closes_its_candles_by_that_clock():
    start = int(exchange_of(FRAME).now_ms())
    ask = asker(Fault("skew", at_ms=start + HOUR - 5_000, detail={"ms": 10_000}))
    asked = {"symbol": "BTCUSDT", "interval": "1h", "startTime": start, "signed": False}
    ask.advance(start + HOUR - 5_001)
    (running,) = ask("GET", "klines", **asked)[1]
    assert float(running[5]) == 0, "its first trade is all that is known"
    ask.advance(start + HOUR - 5_000)
    whole, following = ask("GET", "klines", **asked)[1]
    assert float(whole[5]) > 0
    assert following[0] == start + HOUR


def test_under_maintenance_nothing_answers_but_the_status():
    start = int(exchange_of(FRAME).now_ms())
    ask = asker(Fault("maintenance", at_ms=start, until_ms=start + HOUR))
    assert ask("GET", "time", signed=False)[0] == 503
    assert ask("POST", "order", **ORDER)[0] == 503
    assert ask("GET", "/sapi/v1/system/status", signed=False)[1]["status"] == 1
    ask.advance(start + HOUR)
    assert ask("GET", "time", signed=False)[0] == 200


def test_a_halted_symbol_takes_no_orders_and_fills_none():
    start = int(exchange_of(FRAME).now_ms())
    fault = Fault("halt", at_ms=start + HOUR, until_ms=start + 4 * HOUR, detail={"symbol": "BTCUSDT"})
    ask = asker(fault)
    ask.order("SELL", "LIMIT", 1, price=104)
    ask.advance(start + 3 * HOUR)
    assert ask("POST", "order", **ORDER)[1]["code"] == -1013
    assert ask("GET", "exchangeInfo", signed=False)[1]["symbols"][0]["status"] == "HALT"
    assert trades(ask) == []
    ask.advance(start + 6 * HOUR)
    assert len(trades(ask)) == 1


def test_candles_stand_still_and_wrong_ones_are_revised():
    start = int(exchange_of(FRAME).now_ms())
    freeze = Fault("freeze", at_ms=start + HOUR, until_ms=start + 2 * HOUR, detail={"symbol": "BTCUSDT"})
    revise = Fault(
        "revise", at_ms=start + 2 * HOUR, until_ms=start + 4 * HOUR,
        detail={"symbol": "BTCUSDT", "opened": start + 2 * HOUR, "factor": 1.1},
    )  # fmt: skip
    ask = asker(freeze, revise)

    def last(moment):
        ask.advance(start + moment)
        row = ask("GET", "klines", signed=False, symbol="BTCUSDT", interval="1h")[1][-1]
        return row[0] - start, row[4]

    assert last(2 * HOUR - 1) == (HOUR, "100.00000000")
    assert last(2 * HOUR) == (2 * HOUR, "101.00000000")
    assert last(3 * HOUR - 1) == (2 * HOUR, "115.50000000")
    ask.advance(start + 4 * HOUR)
    assert ask("GET", "klines", signed=False, symbol="BTCUSDT", interval="1h", limit=3)[1][0][4] == "105.00000000"


def test_strangers_and_owners_trade_and_stops_disappear():
    start = int(exchange_of(FRAME).now_ms())
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": 1}
    ask = asker(
        Fault("stranger", at_ms=start + 1, detail={"order": order}),
        Fault("manual", at_ms=start + 2, detail={"order": order | {"newClientOrderId": "ignored"}}),
        Fault("manual", at_ms=start + 3, detail={"order": order | {"quantity": 1_000}}),
        Fault("cancel_stop", at_ms=start + 4, detail={"symbol": "BTCUSDT"}),
        Fault("deposit", at_ms=start + 5, detail={"asset": "USDT", "amount": "5"}),
    )
    limit = ask.order("BUY", "LIMIT", 1, price=90)["orderId"]
    stop = ask.order("SELL", "STOP_LOSS", 1, stopPrice=90)["orderId"]
    ask.advance(start + 5)
    names = [row["clientOrderId"] for row in ask("GET", "allOrders", symbol="BTCUSDT")[1]]
    assert [name.split("sim")[0] for name in names] == ["", "", "x-stranger-_", "web_"]
    assert (ask.status(limit), ask.status(stop)) == ("NEW", "CANCELED")
    assert sum(ask.balance("USDT")) == 805
    assert [entry["code"] for entry in ask.exchange.ledger.entries() if entry["kind"] == "refused"] == [-2010]


def test_scripts_move_the_price_and_cancel_orders():
    start = int(exchange_of(FRAME).now_ms())
    script = (
        ScriptedEvent(start + 10, "price", {"symbol": "BTCUSDT", "price": 94}),
        ScriptedEvent(start + 20, "cancel", {"symbol": "BTCUSDT"}),
        ScriptedEvent(start + 30, "order", ORDER),
    )
    ask = asker(script=script)
    ask.order("SELL", "STOP_LOSS", 1, stopPrice=95)
    ask.order("BUY", "LIMIT", 1, price=90)
    ask.advance(start + 30)
    assert [(row["price"], row["isBuyer"]) for row in trades(ask)] == [("94.00000000", False), ("94.00000000", True)]
    assert ask("GET", "openOrders")[1] == []


def test_frames_are_struck_by_the_same_table():
    ask = asker(Fault("drop", path="btcusdt@kline_1h", after=1), Fault("duplicate", path="*"))
    strike = ask.exchange.fault_injector.frame_fault
    assert [fault.kind if fault else None for fault in (strike("btcusdt@kline_1h"), strike("btcusdt@kline_1h"), strike("x"))] == [
        "duplicate", "drop", None,
    ]  # fmt: skip
    assert ask("GET", "account")[0] == 200


def test_a_fault_survives_its_json_and_unknown_ones_are_refused():
    fault = Fault("late", path="changes", at_ms=5, detail={"delay_ms": 3})
    assert Fault.from_json(fault.to_json()) == fault
    with pytest.raises(InputError, match="Did you mean 'late'"):
        Fault("latte")
    with pytest.raises(InputError, match="Did you mean 'times'"):
        Fault.from_json({"kind": "late", "time": 3})
    with pytest.raises(InputError, match="needs a kind"):
        Fault.from_json({})


@pytest.mark.parametrize("mix", MIXES)
def test_a_schedule_is_the_same_for_the_same_seed_and_uses_every_kind_of_its_mix(mix):
    moments = [k * HOUR for k in range(100)]
    drawn = schedule(moments, seed=3, symbols=["BTCUSDT"], count=60, mix=mix)
    assert drawn == schedule(moments, seed=3, symbols=["BTCUSDT"], count=60, mix=mix)
    assert drawn != schedule(moments, seed=4, symbols=["BTCUSDT"], count=60, mix=mix)
    assert {fault.kind for fault in drawn} == set(MIXES[mix]) <= KINDS
    assert [fault.at_ms for fault in drawn] == sorted(fault.at_ms for fault in drawn)


def test_every_fault_of_a_schedule_can_be_played():
    exchange = exchange_of(FRAME, balances={"USDT": Decimal(1_000)})
    moments = exchange.tapes["BTCUSDT"].market["opened"].tolist()
    exchange.add_faults(schedule(moments, seed=5, symbols=["BTCUSDT"], count=50, mix="everything"))
    ask = Asker(exchange)
    for moment in moments:
        ask.advance(moment)
        for _ in range(10):
            ask.reply("POST", "order", **(ORDER | {"quantity": "0.1"}))
            ask.reply("GET", "account")
    ask.advance(moments[-1] + 20 * HOUR)
    assert {fault.kind for fault in exchange.fault_injector.pending()} <= ON_STREAMS | ON_ORDERS | {"refuse"}


def test_schedules_refuse_what_they_cannot_do():
    with pytest.raises(InputError, match="Did you mean 'standard'"):
        schedule([1], seed=1, symbols=["X"], count=1, mix="standart")
    with pytest.raises(InputError, match="moments and symbols"):
        schedule([], seed=1, symbols=["X"], count=1)


def test_a_walk_is_drawn_from_its_seed():
    first, again, other = (walk("BTC/USDT", "1h", start_ms=0, count=50, seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    frame = first.frame
    assert (frame["high"] >= frame[["open", "close"]].max(axis=1)).all()
    assert (frame["low"] <= frame[["open", "close"]].min(axis=1)).all()
    assert (frame["open"].iloc[1:].to_numpy() == frame["close"].iloc[:-1].to_numpy()).all()

"""Responses of Binance: orders, fills with fees in any asset, balances, permissions, closed bars, paging, malformed ones."""

from decimal import Decimal

import pytest

from atb.domain import Symbol, Timeframe
from atb.domain.venue import Balance, Permissions
from atb.errors import InputError, VenueError
from tests.venues.broker.fake_exchange import BTC, NOW, Forgery, StandingClock, an_order, binance, in_loop, order_row

ORDER, HOUR = an_order(), Timeframe.parse("1h")
HOUR_MS = 3_600_000


def trade(number, *, fee="0.00001", asset="BTC", **values):
    return {
        "symbol": "BTCUSDT", "id": number, "orderId": 11, "price": "50000.00", "qty": "0.01000000", "commission": fee,
        "commissionAsset": asset, "time": NOW + number, "isBuyer": True, "isMaker": False,
    } | values  # fmt: skip


def candle(open_ms, close="100.00"):
    return [open_ms, "99.5", "101", "98", close, "3.25", open_ms + HOUR_MS - 1, "0", 1, "0", "0", "0"]


@in_loop
async def test_an_order_is_found_by_our_id_and_none_only_if_the_venue_does_not_know_it():
    async with binance() as (broker, forged):
        forged.say("GET", "order", Forgery(order_row(ORDER, status="PARTIALLY_FILLED", executedQty="0.004")))
        found = await broker.find(ORDER)
        forged.say("GET", "order", Forgery({"code": -2013, "msg": "Order does not exist."}, 400))
        missing = await broker.find(ORDER)
        assert forged.asked("GET", "order")[0]["origClientOrderId"] == ORDER.client_id
    assert (found.state, found.filled, found.quantity, found.exchange_id) == (
        "partially_filled", Decimal("0.004"), Decimal("0.01"), "11",
    )  # fmt: skip
    assert missing is None


@in_loop
async def test_an_archived_order_is_one_that_was_cancelled_unfilled():
    async with binance() as (broker, forged):
        archived = "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
        forged.say("GET", "order", Forgery({"code": -2026, "msg": archived}, 400))
        found = await broker.find(ORDER)
        assert (found.client_id, found.state, found.filled) == (ORDER.client_id, "cancelled", Decimal(0))
        assert await broker.find_by_id(BTC, "11") is None


@in_loop
async def test_every_order_is_listed_over_days_without_any_and_over_full_pages():
    async with binance() as (broker, forged):
        clock = NOW - 3 * 24 * HOUR_MS
        rows = [order_row(ORDER, orderId=number, clientOrderId=f"c{number}") for number in range(1, 1_003)]

        def answered(values):
            if "orderId" in values:
                return Forgery([row for row in rows if row["orderId"] >= int(values["orderId"])][:1_000])
            last_day = int(values["endTime"]) >= NOW - 24 * HOUR_MS
            return Forgery(rows[:1_000] if last_day else [])

        forged.say("GET", "allOrders", answered)
        found = await broker.all_orders(BTC, since_ms=clock)
        windows = [values for values in forged.asked("GET", "allOrders") if "startTime" in values]
    assert [report.client_id for report in found] == [f"c{number}" for number in range(1, 1_003)]
    assert all(int(values["endTime"]) - int(values["startTime"]) < 24 * HOUR_MS for values in windows)


@pytest.mark.parametrize(
    "answer",
    [
        Forgery({"code": -2013, "msg": "Order does not exist."}, 500),
        Forgery({"code": -1006, "msg": "Unexpected response."}, 400),
        Forgery("", 503),
        Forgery({}),
        Forgery(order_row(ORDER, status="MELTED")),
        pytest.param(Forgery({}, break_="hold"), marks=pytest.mark.slow),
        Forgery({}, break_="cut"),
    ],
)
@in_loop
async def test_what_is_no_answer_about_an_order_is_an_error_and_never_none(answer):
    async with binance() as (broker, forged):
        forged.say("GET", "order", answer)
        with pytest.raises(VenueError):
            await broker.find(ORDER)


@pytest.mark.parametrize(
    ("status", "state"),
    [("NEW", "new"), ("PENDING_NEW", "pending"), ("FILLED", "filled"), ("CANCELED", "cancelled"), ("REJECTED", "rejected"),
     ("EXPIRED", "expired"), ("EXPIRED_IN_MATCH", "expired")],
)  # fmt: skip
@pytest.mark.parametrize(
    ("kind", "ours"),
    [("MARKET", "market"), ("LIMIT", "limit"), ("LIMIT IOC", "market"), ("LIMIT_MAKER", "limit"),
     ("STOP_LOSS", "stop"), ("STOP_LOSS_LIMIT", "stop"),
     ("TAKE_PROFIT_LIMIT", "limit")],
)  # fmt: skip
@in_loop
async def test_states_and_types_of_strangers_orders_too(status, state, kind, ours):
    async with binance() as (broker, forged):
        kind, _, in_force = kind.partition(" ")
        row = order_row(ORDER, status=status, type=kind, clientOrderId="web_1", orderListId=9, updateTime=NOW + 5)
        row["timeInForce"] = in_force or "GTC"
        forged.say("GET", "openOrders", Forgery([row]))
        found = (await broker.open_orders(BTC))[0]
    assert (found.client_id, found.state, found.type, found.list_id, found.time_ms) == (
        "web_1",
        state,
        ours,
        "9",
        NOW + 5,
    )


@in_loop
async def test_executions_come_with_the_answer_and_fees_have_a_value_in_quote():
    fills = [
        {"price": "50000", "qty": "0.004", "commission": "0.000004", "commissionAsset": "BTC", "tradeId": 1},
        {"price": "50010", "qty": "0.003", "commission": "0.15003", "commissionAsset": "USDT", "tradeId": 2},
        {"price": "50020", "qty": "0.003", "commission": "0.0002", "commissionAsset": "BNB", "tradeId": 3},
    ]
    async with binance() as (broker, forged):
        forged.say("POST", "order", Forgery(order_row(ORDER, status="FILLED", executedQty="0.01", fills=fills)))
        forged.say("GET", "price", Forgery({"symbol": "BNBUSDT", "price": "600.50"}))
        answer = await broker.place(ORDER)
        assert forged.asked("GET", "price") == [{"symbol": "BNBUSDT"}]
    status = [
        (fill.trade_id, fill.client_id, fill.order_id, fill.fee, fill.fee_asset, fill.fee_value)
        for fill in answer.fills
    ]
    assert status == [
        ("1", ORDER.client_id, "11", Decimal("0.000004"), "BTC", Decimal("0.2")),
        ("2", ORDER.client_id, "11", Decimal("0.15003"), "USDT", Decimal("0.15003")),
        ("3", ORDER.client_id, "11", Decimal("0.0002"), "BNB", Decimal("0.1201")),
    ]
    assert (answer.fills[0].side, answer.fills[0].time_ms, answer.reports[0].state) == ("buy", NOW, "filled")


@in_loop
async def test_a_fee_without_a_price_is_said_to_have_none_and_asked_for_once_a_minute(caplog):
    clock = StandingClock()
    async with binance(clock) as (broker, forged):
        forged.say("GET", "myTrades", Forgery([trade(5, fee="0.1", asset="XYZ"), trade(6, fee="0", asset="BNB")]))
        forged.say("GET", "price", Forgery({"code": -1121, "msg": "Invalid symbol."}, 400), Forgery({"price": "2"}))
        first = await broker.trades(BTC, after=None, since_ms=NOW)
        await broker.trades(BTC, after=None, since_ms=NOW)
        assert len(forged.asked("GET", "price")) == 1
        clock.time += 60_000
        later = await broker.trades(BTC, after=None, since_ms=NOW)
        assert broker.unpriced == {"5"}
    assert (first[0].fee, first[0].fee_value, later[0].fee_value) == (Decimal("0.1"), Decimal(0), Decimal("0.2"))
    assert "XYZ" in caplog.text


@in_loop
async def test_trades_after_one_are_paged_to_the_end():
    pages = [[trade(n) for n in range(8, 1_008)], [trade(n) for n in range(1_008, 1_010)]]
    async with binance() as (broker, forged):
        forged.say("GET", "myTrades", *map(Forgery, pages))
        found = await broker.trades(BTC, after="7", since_ms=0)
        assert [query["fromId"] for query in forged.asked("GET", "myTrades")] == ["8", "1008"]
    assert [item.trade_id for item in found] == [str(n) for n in range(8, 1_010)]
    assert found[0].client_id == ""


@in_loop
async def test_the_client_id_of_a_trade_is_known_for_orders_that_were_seen():
    async with binance() as (broker, forged):
        forged.say("GET", "openOrders", Forgery([order_row(ORDER)]))
        forged.say("GET", "myTrades", Forgery([trade(2, isBuyer=False), trade(1), trade(3, orderId=12)]))
        await broker.open_orders(BTC)
        found = await broker.trades(BTC, after=None, since_ms=NOW)
    assert [(item.trade_id, item.client_id, item.side) for item in found] == [
        ("1", ORDER.client_id, "buy"), ("2", ORDER.client_id, "sell"), ("3", "", "buy"),
    ]  # fmt: skip


@in_loop
async def test_what_was_seen_long_ago_is_forgotten(monkeypatch):
    monkeypatch.setattr("atb.venues.broker.binance_reads._MAX_REMEMBERED", 2)
    async with binance() as (broker, forged):
        forged.say("GET", "openOrders", Forgery([order_row(ORDER, orderId=n) for n in range(5)]))
        await broker.open_orders(BTC)
        assert [number for _, number in broker._ids] == ["3", "4"]


@in_loop
async def test_trades_from_a_time_on_need_one_request_while_there_are_few():
    async with binance() as (broker, forged):
        forged.say("GET", "myTrades", Forgery([trade(1), trade(5)]))
        found = await broker.trades(BTC, after=None, since_ms=NOW + 5)
        assert len(forged.asked("GET", "myTrades")) == 1
    assert [item.trade_id for item in found] == ["5"]


@in_loop
async def test_many_trades_from_a_time_on_are_searched_by_days():
    newest = Forgery([trade(n) for n in range(2_000, 3_000)])
    clock = StandingClock(NOW + 10_000)

    def asked(values):
        if "startTime" in values:
            day = int(values["startTime"]) - (NOW - 2 * 86_400_000)
            assert int(values["endTime"]) - int(values["startTime"]) == 86_400_000 - 1
            return Forgery([] if day < 2 * 86_400_000 else [trade(1_500)])
        if "fromId" in values:
            return Forgery([trade(n) for n in range(int(values["fromId"]), 1_503)])
        return newest

    async with binance(clock) as (broker, forged):
        forged.say("GET", "time", Forgery({"serverTime": clock.time}))
        await broker.open([BTC])
        forged.say("GET", "myTrades", asked)
        found = await broker.trades(BTC, after=None, since_ms=NOW - 2 * 86_400_000)
        forged.say("GET", "myTrades", lambda values: newest if "startTime" not in values else Forgery([]))
        none = await broker.trades(BTC, after=None, since_ms=NOW - 2 * 86_400_000)
    assert [item.trade_id for item in found] == ["1500", "1501", "1502"]
    assert none == []


@in_loop
async def test_balances_are_exact_and_what_is_empty_is_left_out():
    rows = [
        {"asset": "BTC", "free": "0.10000001", "locked": "0.00000002"},
        {"asset": "USDT", "free": "0.00000000", "locked": "5.5"},
        {"asset": "ETH", "free": "0.00000000", "locked": "0.00000000"},
    ]
    async with binance() as (broker, forged):
        forged.say("GET", "account", Forgery({"balances": rows}))
        found = await broker.balances()
        forged.say("GET", "account", Forgery({"balances": "none"}))
        with pytest.raises(VenueError, match="malformed"):
            await broker.balances()
    assert found == {
        "BTC": Balance(Decimal("0.10000001"), Decimal("0.00000002")),
        "USDT": Balance(Decimal(0), Decimal("5.5")),
    }
    assert found["BTC"].total == Decimal("0.10000003")


@in_loop
async def test_tells_what_the_key_may_do():
    rights = {"ipRestrict": True, "enableWithdrawals": False, "enableReading": True, "enableSpotAndMarginTrading": True}
    async with binance() as (broker, forged):
        forged.say("GET", "apiRestrictions", Forgery(rights))
        assert await broker.permissions() == Permissions(trade=True, withdraw=False, ip_restricted=True)
        forged.say("GET", "apiRestrictions", Forgery({"enableReading": True}))
        with pytest.raises(VenueError):
            await broker.permissions()


@in_loop
async def test_bars_are_paged_and_only_those_that_are_closed_by_exchange_time():
    start = NOW - 1_501 * HOUR_MS
    clock = StandingClock(NOW - 1)

    def served(values):
        first, limit = int(values["startTime"]), int(values["limit"])
        return Forgery([candle(first + n * HOUR_MS) for n in range(limit) if first + n * HOUR_MS <= NOW])

    async with binance(clock) as (broker, forged):
        forged.say("GET", "time", Forgery({"serverTime": clock.time}))
        await broker.open([BTC])
        forged.say("GET", "klines", served)
        found = await broker.bars(BTC, HOUR, since_ms=start)
        assert [query["startTime"] for query in forged.asked("GET", "klines")] == [
            str(start),
            str(start + 1_000 * HOUR_MS),
        ]
        assert found.closed_ms[-1] == NOW - HOUR_MS
        clock.time += 1
        found = await broker.bars(BTC, HOUR, since_ms=start)
        assert (len(found), found.closed_ms[-1]) == (1_501, NOW)
        assert await broker.bars(BTC, HOUR, since_ms=NOW) is None
    assert found.frame.iloc[0].tolist() == [99.5, 101.0, 98.0, 100.0, 3.25]
    assert (found.venue, found.frame.index.name, str(found.frame.index.tz)) == ("binance", "timestamp", "UTC")


@pytest.mark.parametrize("rows", [[candle(NOW - 2 * HOUR_MS)] * 2, [candle(NOW - HOUR_MS), candle(NOW - 2 * HOUR_MS)]])
@in_loop
async def test_bars_out_of_order_are_refused(rows):
    async with binance() as (broker, forged):
        forged.say("GET", "klines", Forgery(rows))
        with pytest.raises(VenueError, match="out of order"):
            await broker.bars(BTC, HOUR, since_ms=NOW - 5 * HOUR_MS)


@in_loop
async def test_the_last_close_is_what_an_order_at_market_is_measured_by():
    async with binance() as (broker, forged):
        forged.say("GET", "klines", Forgery([candle(NOW - HOUR_MS, close="100.00")]))
        forged.say("POST", "order", Forgery(order_row(ORDER)))
        assert (await broker.place(ORDER)).outcome == "done"
        await broker.bars(BTC, HOUR, since_ms=NOW - HOUR_MS)
        assert (await broker.place(ORDER)).code == "local:notional"


@in_loop
async def test_a_symbol_that_is_not_traded_or_not_opened_is_refused():
    async with binance() as (broker, _):
        with pytest.raises(InputError, match="no such symbol"):
            await broker.open([Symbol.parse("BTC/USDC")])
        with pytest.raises(InputError, match="not opened"):
            broker.instrument(Symbol.parse("ETH/USDT"))


LIMITED = Forgery({"code": -1003, "msg": "Too many."}, 429, {"Retry-After": "3"})


@in_loop
async def test_inside_a_retry_after_nothing_is_sent_not_even_what_protects():
    clock = StandingClock()
    async with binance(clock) as (broker, forged):
        forged.say("GET", "openOrders", LIMITED)
        forged.say("DELETE", "order", Forgery({"code": -2011, "msg": "Unknown order sent."}, 400))
        with pytest.raises(VenueError) as limited:
            await broker.open_orders(BTC)
        asked = len(forged.seen)
        held = [await broker.place(ORDER), await broker.place(an_order("stop", "stop")), await broker.cancel(ORDER)]
        with pytest.raises(VenueError) as silent:
            await broker.balances()
        assert len(forged.seen) == asked
        clock.time += 3_000
        assert (await broker.cancel(ORDER)).code == "-2011"
    assert (limited.value.retry_after_ms, silent.value.retry_after_ms) == (3_000, 3_000)
    assert [(contact.outcome, contact.code, contact.retry_after_ms) for contact in held] == [
        ("rejected", "local:rate_limit", 3_000), ("rejected", "local:rate_limit", 3_000), ("unknown", "local:rate_limit", 3_000),
    ]  # fmt: skip


@in_loop
async def test_an_answer_that_asks_for_silence_says_for_how_long():
    async with binance() as (broker, forged):
        forged.say("POST", "order", LIMITED)
        answer = await broker.place(ORDER)
    assert (answer.outcome, answer.code, answer.retry_after_ms) == ("rejected", "-1003", 3_000)


@in_loop
async def test_when_the_weight_is_used_up_only_what_protects_is_sent():
    async with binance() as (broker, forged):
        forged.say("GET", "openOrders", Forgery([], headers={"x-mbx-used-weight-1m": "4900"}))
        for method, name in (("POST", "order"), ("DELETE", "order")):
            forged.say(method, name, Forgery({"code": -2010, "msg": "No."}, 400))
        await broker.open_orders(BTC)
        with pytest.raises(VenueError, match="must not be asked"):
            await broker.open_orders(BTC)
        assert (await broker.place(ORDER)).code == "local:rate_limit"
        assert (await broker.place(an_order("exit"))).code == "-2010"
        assert (await broker.cancel(ORDER)).outcome == "unknown"

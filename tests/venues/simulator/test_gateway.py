"""Keys, signatures, clocks, weights and limits; what the market and the account are asked."""

from decimal import Decimal

import pytest

from atb.venues.simulator.configuration import Key, Limits
from atb.venues.simulator.faults import Fault
from atb.venues.simulator.gateway import ApiRequest
from atb.venues.simulator.signing import sign, sorted_payload
from tests.venues.simulator.client import HOUR, Asker, closes, exchange_of

FRAME = closes(100, 101, 105, 98, 90, 120, 110, 110, spread=0.01)


@pytest.fixture
def ask():
    return Asker(exchange_of(FRAME, closes(*[10] * 8), balances={"USDT": Decimal(1_000), "DUST": Decimal(0)}))


def account(ask, **params):
    return ask("GET", "account", **params)


@pytest.mark.parametrize(
    ("key", "secret", "params", "status", "code"),
    [
        ("", "secret", {}, 401, -2014),
        ("other", "secret", {}, 401, -2015),
        ("key", "wrong", {}, 400, -1022),
        ("key", "secret", {"timestamp": ""}, 400, -1100),
        ("key", "secret", {"timestamp": 0}, 400, -1021),
        ("key", "secret", {"recvWindow": 60_001}, 400, -1131),
        ("key", "secret", {"recvWindow": "x"}, 400, -1100),
    ],
)
def test_a_request_that_is_not_its_owners_is_refused(ask, key, secret, params, status, code):
    asker = Asker(ask.exchange, key, secret)
    found, body = account(asker, **params)
    assert (found, body["code"]) == (status, code)


def test_a_signed_request_needs_a_signature_and_a_timestamp(ask):
    now = str(ask.exchange.now_ms())
    path = "/api/v3/account"
    assert ask.gateway.handle(ApiRequest("GET", path, {"timestamp": now}, key="key")).body["code"] == -1102
    assert ask.gateway.handle(ApiRequest("GET", path, {}, key="key")).body["code"] == -1102
    params = {"timestamp": now, "b": "2", "a": "1"}
    payload = sorted_payload(params | {"signature": "no part of it"})
    assert payload == f"a=1&b=2&timestamp={now}"
    good = ApiRequest("GET", path, params, key="key", payload=payload, signature=sign("secret", payload).upper())
    assert ask.gateway.handle(good).status == 200
    assert ask.gateway.handle(ApiRequest("GET", path, params, key="key", session=True)).status == 200


@pytest.mark.parametrize(
    ("age", "window", "status"),
    [(5_000, None, 200), (5_001, None, 400), (1_001, 1_000, 400), (-999, None, 200), (-1_000, None, 400)],
)
def test_a_timestamp_must_lie_in_its_window(ask, age, window, status):
    params = {"timestamp": ask.exchange.server_ms() - age} | ({"recvWindow": window} if window else {})
    found, body = account(ask, **params)
    assert found == status
    assert status == 200 or body["code"] == -1021


def test_a_key_that_may_not_trade_may_look():
    ask = Asker(exchange_of(FRAME, keys=(Key("key", "secret", trade=False, withdraw=True),)))
    assert account(ask)[0] == 200
    assert ask.order("BUY", "MARKET", 1)["code"] == -2015
    body = ask("GET", "/sapi/v1/account/apiRestrictions")[1]
    assert (body["enableWithdrawals"], body["enableSpotAndMarginTrading"], body["ipRestrict"]) == (True, False, True)


def test_weights_are_counted_and_too_much_is_answered_429_and_then_a_ban():
    ask = Asker(exchange_of(FRAME, limits=Limits(weight=41, retry_after_s=3, ban_s=60)))
    assert account(ask)[0] == 200
    assert ask.headers["x-mbx-used-weight-1m"] == "20"
    account(ask)
    status, body = account(ask)
    assert (status, body["code"], ask.headers["Retry-After"]) == (429, -1003, "3")
    status, body = account(ask)
    assert (status, "banned" in body["msg"], ask.headers["Retry-After"]) == (418, True, "60")
    ask.advance(ask.exchange.now_ms() + 60_000)
    assert account(ask)[0] == 200


@pytest.mark.parametrize("grows", [True, False])
def test_a_request_inside_a_ban_lengthens_it(grows):
    ask = Asker(exchange_of(FRAME, limits=Limits(ban_grows=grows), faults=[Fault("ban", path="*", retry_after_s=60)]))
    assert [account(ask)[0], ask.headers["Retry-After"]] == [418, "60"]
    ask.advance(ask.exchange.now_ms() + 59_000)
    assert [account(ask)[0], ask.headers["Retry-After"]] == [418, "60" if grows else "1"]
    ask.advance(ask.exchange.now_ms() + 59_999)
    assert account(ask)[0] == (418 if grows else 200)


def test_who_waits_as_long_as_it_was_told_is_not_banned():
    ask = Asker(exchange_of(FRAME, limits=Limits(weight=25, retry_after_s=61)))
    account(ask)
    assert account(ask)[0] == 429
    ask.advance(ask.exchange.now_ms() + 61_000)
    assert account(ask)[0] == 200


def test_orders_are_counted_in_windows_of_their_own():
    ask = Asker(exchange_of(FRAME, limits=Limits(orders_10s=2, orders_day=3)))
    for _ in range(2):
        ask.order("BUY", "LIMIT", 1, price=90)
    assert ask.headers["x-mbx-order-count-10s"] == "2"
    status, body = ask("POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1)
    assert (status, body["code"]) == (429, -1015)
    assert "2 orders per 10 SECOND" in body["msg"]
    ask.advance(ask.exchange.now_ms() + 10_000)
    assert ask.order("BUY", "LIMIT", 1, price=90)["status"] == "NEW"
    assert "3 orders per 1 DAY" in ask.order("BUY", "LIMIT", 1, price=90)["msg"]
    rows = ask("GET", "rateLimit/order")[1]
    assert [(row["interval"], row["limit"], row["count"]) for row in rows] == [("SECOND", 2, 1), ("DAY", 3, 3)]


def test_an_unknown_path_is_no_path(ask):
    assert ask("GET", "nothing", signed=False)[0] == 404


# --- the market


def public(ask, path, **params):
    status, body = ask("GET", path, signed=False, **params)
    assert status == 200, body
    return body


def test_prices_are_told_for_one_symbol_some_or_all(ask):
    assert public(ask, "ticker/price", symbol="BTCUSDT") == {"symbol": "BTCUSDT", "price": "100.00000000"}
    assert [row["symbol"] for row in public(ask, "ticker/price")] == ["BTCUSDT", "ETHUSDT"]
    assert [row["symbol"] for row in public(ask, "ticker/price", symbols='["ETHUSDT"]')] == ["ETHUSDT"]
    assert ask("GET", "ticker/price", signed=False, symbol="NOPE")[1]["code"] == -1121


def test_the_price_is_the_open_until_the_range_moment_and_then_the_close(ask):
    start = ask.exchange.now_ms()
    seen = {}
    for moment in (start + HOUR, start + 2 * HOUR - 2, start + 2 * HOUR - 1, start + 3 * HOUR):
        ask.advance(moment)
        seen[moment - start] = float(public(ask, "ticker/price", symbol="BTCUSDT")["price"])
    assert seen == {HOUR: 100.0, 2 * HOUR - 2: 100.0, 2 * HOUR - 1: 101.0, 3 * HOUR: 105.0}


def test_the_book_has_a_bid_and_an_ask_a_tick_apart(ask):
    best = public(ask, "ticker/bookTicker", symbol="BTCUSDT")
    assert (best["bidPrice"], best["askPrice"]) == ("100.00000000", "100.01000000")
    depth = public(ask, "depth", symbol="BTCUSDT", limit=3)
    assert [row[0] for row in depth["bids"]] == ["100.00000000", "99.99000000", "99.98000000"]
    assert len(depth["asks"]) == 3


def test_the_last_day_is_summed_up(ask):
    ask.advance(ask.exchange.now_ms() + 3 * HOUR)
    day = public(ask, "ticker/24hr", symbol="BTCUSDT")
    assert (day["openPrice"], day["lastPrice"], day["highPrice"]) == ("100.00000000", "105.00000000", "106.05000000")
    assert (day["priceChange"], day["priceChangePercent"], day["volume"]) == ("5.00000000", "5.000", "300.00000000")
    assert len(public(ask, "ticker/24hr")) == 2


def test_the_remaining_market_requests_answer(ask):
    assert public(ask, "ping") == {}
    assert public(ask, "avgPrice", symbol="BTCUSDT")["price"] == "100.00000000"
    assert public(ask, "trades", symbol="BTCUSDT")[0]["price"] == "100.00000000"
    assert public(ask, "aggTrades", symbol="BTCUSDT")[0]["p"] == "100.00000000"
    assert public(ask, "/sapi/v1/system/status") == {"status": 0, "msg": "normal"}
    filters = {row["filterType"]: row for row in public(ask, "exchangeInfo", symbol="BTCUSDT")["symbols"][0]["filters"]}
    assert filters["MAX_NUM_ALGO_ORDERS"] == {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5}
    assert filters["MARKET_LOT_SIZE"]["stepSize"] == "0.00000000"


def test_the_open_candle_is_served_last_and_whole_from_the_range_moment_on(ask):
    start = ask.exchange.now_ms()
    ask.advance(start + 3 * HOUR - 2)
    assert public(ask, "klines", symbol="BTCUSDT", interval="1h")[-1][4] == "101.00000000"
    ask.advance(start + 3 * HOUR - 1)
    assert public(ask, "klines", symbol="BTCUSDT", interval="1h")[-1][4] == "105.00000000"


# --- the account


def test_balances_are_told_with_eight_decimals_and_zero_is_no_exponent(ask):
    rows = {row["asset"]: row for row in account(ask)[1]["balances"]}
    assert rows["DUST"] == {"asset": "DUST", "free": "0.00000000", "locked": "0.00000000"}
    assert "DUST" not in {row["asset"] for row in account(ask, omitZeroBalances="true")[1]["balances"]}


def test_commission_rates_are_told(ask):
    body = ask("GET", "account/commission", symbol="BTCUSDT")[1]
    assert body["standardCommission"]["taker"] == "0.00100000"
    assert account(ask)[1]["takerCommission"] == 10


def test_trades_are_paged_by_id_order_and_time(ask):
    ids = [ask.order("BUY", "MARKET", 1)["orderId"] for _ in range(3)]
    rows = ask("GET", "myTrades", symbol="BTCUSDT")[1]
    assert [row["orderId"] for row in rows] == ids
    assert (rows[0]["isBuyer"], rows[0]["isMaker"], rows[0]["quoteQty"]) == (True, False, "100.00000000")

    def found(**params):
        return [row["id"] for row in ask("GET", "myTrades", symbol="BTCUSDT", **params)[1]]

    first, second, third = (row["id"] for row in rows)
    assert found(fromId=second) == [second, third]
    assert found(fromId=first, limit=1) == [first]
    assert found(limit=1) == [third]
    assert found(orderId=ids[1]) == [second]
    assert found(startTime=rows[0]["time"] + 1) == []
    assert ask("GET", "myTrades", symbol="ETHUSDT")[1] == []

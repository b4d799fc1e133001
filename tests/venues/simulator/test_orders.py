"""Orders at the simulated exchange: placed, met, cancelled, looked up, and refused with Binance's codes."""

from decimal import ROUND_UP, Decimal

import pytest

from atb.engine.policy import ExecutionModel
from atb.venues.simulator.configuration import BookDepth, Filters
from tests.instruments import usual
from tests.scenarios import ohlc
from tests.venues.simulator.client import HOUR, Asker, closes, exchange_of

PRICES = (100, 101, 105, 98, 90, 120, 110, 110)


@pytest.fixture
def ask():
    exchange = exchange_of(closes(*PRICES), balances={"USDT": Decimal(1_000), "BTC": Decimal(2)})
    return Asker(exchange)


def begun(ask):
    return int(ask.exchange.tapes["BTCUSDT"].market["opened"][0])


def test_a_market_order_fills_at_the_open_and_pays_its_fee_in_base(ask):
    body = ask.order("BUY", "MARKET", 2, newClientOrderId="atb-1")
    assert (body["status"], body["clientOrderId"], body["cummulativeQuoteQty"]) == ("FILLED", "atb-1", "200.00000000")
    assert body["fills"] == [
        {
            "price": "100.00000000",
            "qty": "2.00000000",
            "commission": "0.00200000",
            "commissionAsset": "BTC",
            "tradeId": 2,
        }
    ]
    assert ask.balance("USDT") == (800, 0)
    assert ask.balance("BTC") == (Decimal("3.998"), 0)


def test_a_market_order_is_slipped_and_rounded_against_the_trader():
    exchange = exchange_of(closes(*PRICES), execution=ExecutionModel(slippage=0.00123))
    assert Asker(exchange).order("BUY", "MARKET", 1)["fills"][0]["price"] == "100.13000000"


@pytest.mark.parametrize(("fee_in", "asset", "amount"), [("quote", "USDT", "0.10000000"), ("bnb", "BNB", "0.00020000")])
def test_fees_are_paid_in_what_is_configured(fee_in, asset, amount):
    balances = {"USDT": Decimal(1_000), "BNB": Decimal(1)}
    fill = Asker(exchange_of(closes(*PRICES), fee_in=fee_in, balances=balances)).order("BUY", "MARKET", 1)["fills"][0]
    assert (fill["commissionAsset"], fill["commission"]) == (asset, amount)


def test_without_enough_bnb_what_is_received_pays(ask):
    fill = Asker(exchange_of(closes(*PRICES), fee_in="bnb")).order("BUY", "MARKET", 1)["fills"][0]
    assert fill["commissionAsset"] == "BTC"


def test_a_quote_amount_buys_whole_lots(ask):
    body = ask("POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quoteOrderQty=150.05)[1]
    assert (body["executedQty"], body["origQuoteOrderQty"]) == ("1.50000000", "150.05000000")


@pytest.mark.parametrize("tif", ["GTC", "IOC", "FOK"])
def test_a_limit_that_crosses_the_market_is_a_market_order_with_a_worst_price(tif):
    execution = ExecutionModel(fee=0.001, maker_fee=0.0002, slippage=0.003)
    ask = Asker(exchange_of(closes(*PRICES), execution=execution, balances={"USDT": Decimal(1_000), "BTC": Decimal(2)}))
    for price, paid in ((103, "100.30000000"), ("100.1", "100.10000000")):
        fill = ask.order("BUY", "LIMIT", 1, price=price, timeInForce=tif)["fills"][0]
        assert (fill["price"], fill["commission"]) == (paid, "0.00100000")
    for price, got in ((97, "99.70000000"), ("99.9", "99.90000000")):
        fill = ask.order("SELL", "LIMIT", "0.5", price=price, timeInForce=tif)["fills"][0]
        assert (fill["price"], Decimal(fill["commission"])) == (got, Decimal(got) * Decimal("0.0005"))


@pytest.mark.parametrize(("gap", "paid"), [("own", "105.00000000"), ("open", "106.00000000")])
def test_a_resting_limit_that_the_open_passes_fills_before_what_is_sent_at_that_open(gap, paid):
    """Asked to be cancelled then, it is gone already, as at an exchange whose takers reached it on the way."""
    execution = ExecutionModel(fee=0.0, slippage=0.0, limit_gap=gap)
    prices = ohlc((100, 101, 99, 100), (106, 107, 104, 106), (106, 106, 106, 106))
    ask = Asker(exchange_of(prices, execution=execution, balances={"USDT": Decimal(1_000), "BTC": Decimal(2)}))
    cancelled, left = (ask.order("SELL", "LIMIT", 1, price=105)["orderId"] for _ in range(2))
    ask.advance(begun(ask) + HOUR)
    assert ask("DELETE", "order", symbol="BTCUSDT", orderId=cancelled)[1]["code"] == -2011
    late = ask.order("SELL", "LIMIT", 1, price=105)
    assert late["code"] == -2010  # nothing is left to be sold
    trades = ask("GET", "myTrades", symbol="BTCUSDT")[1]
    assert [(trade["orderId"], trade["price"], trade["isMaker"]) for trade in trades] == [
        (cancelled, paid, True), (left, paid, True)
    ]  # fmt: skip


def test_a_marketable_limit_takes_and_a_distant_one_rests_with_its_money_set_aside(ask):
    taken = ask.order("BUY", "LIMIT", 1, price=103)
    assert (taken["status"], taken["fills"][0]["price"]) == ("FILLED", "100.00000000")
    resting = ask.order("BUY", "LIMIT", 2, price=95)
    assert resting["status"] == "NEW"
    assert ask.balance("USDT") == (710, 190)


def test_a_resting_limit_fills_at_its_price_when_a_bar_reaches_it(ask):
    order = ask.order("BUY", "LIMIT", 2, price=95)["orderId"]
    ask.advance(begun(ask) + 4 * HOUR - 1)
    assert ask.status(order) == "NEW"
    ask.advance(begun(ask) + 5 * HOUR - 2)
    assert ask.status(order) == "NEW"
    ask.advance(begun(ask) + 5 * HOUR - 1)
    body = ask("GET", "order", symbol="BTCUSDT", orderId=order)[1]
    assert (body["status"], body["cummulativeQuoteQty"], body["updateTime"]) == (
        "FILLED",
        "190.00000000",
        begun(ask) + 5 * HOUR - 1,
    )
    assert ask.balance("USDT") == (810, 0)


def test_a_stop_sells_when_a_bar_reaches_it(ask):
    order = ask.order("SELL", "STOP_LOSS", 2, stopPrice=97)
    assert set(order) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}  # ACK is its default
    assert ask.balance("BTC") == (0, 2)
    ask.advance(begun(ask) + 4 * HOUR - 1)
    assert ask.status(order["orderId"]) == "NEW"  # the low was 98
    ask.advance(begun(ask) + 5 * HOUR - 1)
    assert ask("GET", "myTrades", symbol="BTCUSDT")[1][0]["price"] == "97.00000000"
    assert ask.balance("BTC") == (0, 0)


def test_a_stop_limit_that_is_jumped_over_rests_as_a_limit(ask):
    order = ask.order("SELL", "STOP_LOSS_LIMIT", 1, stopPrice=97, price=99, timeInForce="GTC")["orderId"]
    ask.advance(begun(ask) + 5 * HOUR - 1)
    body = ask("GET", "order", symbol="BTCUSDT", orderId=order)[1]
    assert (body["status"], body["isWorking"]) == ("NEW", True)
    ask.advance(begun(ask) + 6 * HOUR - 1)
    assert ask("GET", "myTrades", symbol="BTCUSDT")[1][0]["price"] == "99.00000000"


def test_take_profits_and_stop_entries_are_triggered_by_a_rise(ask):
    profit = ask.order("SELL", "TAKE_PROFIT", 1, stopPrice=104)["orderId"]
    entry = ask.order("BUY", "STOP_LOSS", 1, stopPrice=103)["orderId"]
    ask.advance(begun(ask) + 3 * HOUR - 1)
    assert (ask.status(profit), ask.status(entry)) == ("FILLED", "FILLED")
    assert [row["price"] for row in ask("GET", "myTrades", symbol="BTCUSDT")[1]] == ["104.00000000", "103.00000000"]


def test_a_stop_entry_that_the_account_cannot_pay_any_more_expires():
    exchange = exchange_of(closes(*PRICES), execution=ExecutionModel(slippage=0.05), balances={"USDT": Decimal(104)})
    ask = Asker(exchange)
    order = ask.order("BUY", "STOP_LOSS", 1, stopPrice=103)["orderId"]
    ask.advance(begun(ask) + 3 * HOUR - 1)
    assert ask.status(order) == "EXPIRED"
    assert ask.balance("USDT") == (104, 0)


def test_immediate_or_cancel_and_fill_or_kill_do_not_rest(ask):
    assert ask.order("BUY", "LIMIT", 1, price=90, timeInForce="IOC")["status"] == "EXPIRED"
    assert ask.order("BUY", "LIMIT", 1, price=90, timeInForce="FOK")["status"] == "EXPIRED"
    assert ask.balance("USDT") == (1_000, 0)


def test_a_client_id_is_unique_among_open_orders_only(ask):
    ask.order("BUY", "LIMIT", 1, price=90, newClientOrderId="same")
    assert ask.order("BUY", "LIMIT", 1, price=90, newClientOrderId="same") == {
        "code": -2010,
        "msg": "Duplicate order sent.",
    }
    ask("DELETE", "order", symbol="BTCUSDT", origClientOrderId="same")
    assert ask.order("BUY", "MARKET", 1, newClientOrderId="same")["status"] == "FILLED"
    assert ask.order("BUY", "MARKET", 1, newClientOrderId="same")["status"] == "FILLED"


def test_an_order_is_found_by_either_id(ask):
    body = ask.order("BUY", "LIMIT", 1, price=90, newClientOrderId="mine")
    for name, value in (("orderId", body["orderId"]), ("origClientOrderId", "mine")):
        found = ask("GET", "order", symbol="BTCUSDT", **{name: value})[1]
        assert (found["clientOrderId"], found["orderId"], found["isWorking"]) == ("mine", body["orderId"], True)


def test_a_cancelled_order_frees_its_money_and_is_cancelled_once(ask):
    order = ask.order("BUY", "LIMIT", 5, price=90)
    status, body = ask("DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"], newClientOrderId="c-1")
    assert (status, body["status"], body["clientOrderId"]) == (200, "CANCELED", "c-1")
    assert body["origClientOrderId"] == order["clientOrderId"]
    assert ask.balance("USDT") == (1_000, 0)
    assert ask("DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"])[1]["code"] == -2011


def test_all_open_orders_of_a_symbol_are_cancelled_together(ask):
    ask.order("BUY", "LIMIT", 1, price=90)
    oco = {"aboveType": "LIMIT_MAKER", "abovePrice": 110, "belowType": "STOP_LOSS", "belowStopPrice": 90}
    ask("POST", "orderList/oco", symbol="BTCUSDT", side="SELL", quantity=1, **oco)
    bodies = ask("DELETE", "openOrders", symbol="BTCUSDT")[1]
    assert [("orderReports" in body) for body in bodies] == [False, True]
    assert ask("GET", "openOrders", symbol="BTCUSDT")[1] == []
    assert ask("DELETE", "openOrders", symbol="BTCUSDT")[1]["code"] == -2011


def test_an_order_is_replaced_in_one_request(ask):
    old = ask.order("SELL", "STOP_LOSS", 2, stopPrice=95)["orderId"]
    terms = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": 2, "stopPrice": 97}
    status, body = ask("POST", "order/cancelReplace", cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=old, **terms)
    assert (status, body["cancelResult"], body["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
    assert ask.status(old) == "CANCELED"
    assert body["newOrderResponse"]["stopPrice"] == "97.00000000"


def test_a_replacement_that_fails_says_which_half_did(ask):
    terms = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": 1, "stopPrice": 97}
    status, body = ask("POST", "order/cancelReplace", cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=9, **terms)
    assert (status, body["code"], body["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
    status, body = ask("POST", "order/cancelReplace", cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=9, **terms)
    assert (status, body["code"], body["data"]["newOrderResult"]) == (409, -2021, "SUCCESS")
    old = body["data"]["newOrderResponse"]["orderId"]
    terms["quantity"] = 50
    status, body = ask("POST", "order/cancelReplace", cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=old, **terms)
    assert (status, body["code"], body["data"]["cancelResult"]) == (409, -2021, "SUCCESS")
    assert body["data"]["newOrderResponse"]["code"] == -2010
    status, body = ask("POST", "order/cancelReplace", cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=old, **terms)
    assert (status, body["code"]) == (400, -2022)


def test_a_test_order_changes_nothing(ask):
    assert ask("POST", "order/test", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1) == (200, {})
    assert ask("POST", "order/test", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=50)[1]["code"] == -2010
    assert ask("GET", "allOrders", symbol="BTCUSDT")[1] == []


def test_all_orders_are_listed_and_paged(ask):
    for price in (90, 91, 92):
        ask.order("BUY", "LIMIT", 1, price=price)
    assert [row["orderId"] for row in ask("GET", "allOrders", symbol="BTCUSDT", limit=2)[1]] == [2, 3]
    assert [row["orderId"] for row in ask("GET", "allOrders", symbol="BTCUSDT", orderId=1, limit=2)[1]] == [1, 2]
    assert len(ask("GET", "openOrders")[1]) == 3


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"type": "MARKET", "quantity": 20}, -2010, "insufficient balance"),
        ({"type": "LIMIT", "price": 99}, -1102, "timeInForce"),
        ({"type": "LIMIT", "timeInForce": "GTC"}, -1102, "price"),
        ({"type": "LIMIT", "timeInForce": "SOON", "price": 99}, -1115, "timeInForce"),
        ({"type": "MARKET", "price": 99}, -1106, "price"),
        ({"type": "MARKET", "timeInForce": "GTC"}, -1106, "timeInForce"),
        ({"type": "MARKET", "quoteOrderQty": 10}, -1106, "quoteOrderQty"),
        ({"type": "BEST"}, -1116, "orderType"),
        ({"type": "MARKET", "side": "HOLD"}, -1117, "side"),
        ({"type": "MARKET", "symbol": "NOPE"}, -1121, "symbol"),
        ({"type": "MARKET", "quantity": "1e0"}, -1100, "quantity"),
        ({"type": "MARKET", "quantity": "many"}, -1100, "quantity"),
        ({"type": "MARKET", "quantity": "0.000000001"}, -1111, "precision"),
        ({"type": "MARKET", "quantity": "0"}, -1013, "quantity"),
        ({"type": "MARKET", "newClientOrderId": "no spaces"}, -1100, "newClientOrderId"),
        ({"type": "MARKET", "newClientOrderId": "x" * 37}, -1100, "newClientOrderId"),
        ({"type": "MARKET", "newOrderRespType": "LONG"}, -1100, "newOrderRespType"),
        ({"type": "MARKET", "quantity": "0.0015"}, -1013, "Filter failure: LOT_SIZE"),
        ({"type": "MARKET", "quantity": 500}, -1013, "Filter failure: MARKET_LOT_SIZE"),
        ({"type": "MARKET", "quantity": "0.01"}, -1013, "Filter failure: NOTIONAL"),
        ({"type": "LIMIT_MAKER", "price": "99.005"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"type": "LIMIT_MAKER", "price": "10"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"type": "LIMIT_MAKER", "price": "101"}, -2010, "immediately match"),
        ({"type": "STOP_LOSS", "stopPrice": "99"}, -2010, "trigger immediately"),
        ({"type": "TAKE_PROFIT", "stopPrice": "101"}, -2010, "trigger immediately"),
        ({"type": "STOP_LOSS", "stopPrice": "101", "side": "SELL"}, -2010, "trigger immediately"),
    ],
)
def test_a_bad_order_is_refused_and_changes_nothing(params, code, text):
    filters = Filters(max_market_quantity=Decimal(400))
    ask = Asker(exchange_of(closes(*PRICES), filters=filters, balances={"USDT": Decimal(1_000), "BTC": Decimal(2)}))
    status, body = ask("POST", "order", **({"symbol": "BTCUSDT", "side": "BUY", "quantity": 1} | params))
    assert (status, body["code"]) == (400, code)
    assert text in body["msg"]
    assert ask.balance("USDT") == (1_000, 0)
    assert ask("GET", "allOrders", symbol="BTCUSDT")[1] == []


def test_open_orders_and_stops_are_counted():
    filters = Filters(max_orders=3, max_algo_orders=2)
    ask = Asker(exchange_of(closes(*PRICES), filters=filters, balances={"USDT": Decimal(1_000), "BTC": Decimal(2)}))
    for _ in range(2):
        ask.order("SELL", "STOP_LOSS", 0.1, stopPrice=95)
    assert ask.order("SELL", "STOP_LOSS", 0.1, stopPrice=95)["msg"] == "Filter failure: MAX_NUM_ALGO_ORDERS"
    ask.order("BUY", "LIMIT", 1, price=90)
    assert ask.order("BUY", "LIMIT", 1, price=90)["msg"] == "Filter failure: MAX_NUM_ORDERS"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_order_is_answered_by_its_own_code(ask, method):
    assert ask(method, "order", symbol="BTCUSDT", orderId=77)[1]["code"] == {"GET": -2013, "DELETE": -2011}[method]
    assert ask(method, "order", symbol="BTCUSDT")[1]["code"] == -1102


def test_nothing_is_taken_where_bars_are_missing_but_orders_can_be_cancelled():
    frame = closes(*PRICES).drop(closes(*PRICES).index[2:4])
    ask = Asker(exchange_of(frame, balances={"USDT": Decimal(1_000)}))
    order = ask.order("BUY", "LIMIT", 1, price=90)["orderId"]
    ask.advance(begun(ask) + 2 * HOUR)
    assert ask.order("BUY", "MARKET", 1) == {"code": -1013, "msg": "Market is closed."}
    assert ask("GET", "exchangeInfo", signed=False)[1]["symbols"][0]["status"] == "BREAK"
    assert ask("DELETE", "order", symbol="BTCUSDT", orderId=order)[1]["status"] == "CANCELED"
    ask.advance(begun(ask) + 4 * HOUR)
    assert ask.order("BUY", "MARKET", 1)["status"] == "FILLED"


def test_a_resting_order_fills_in_parts_where_the_book_is_thin():
    ask = Asker(exchange_of(closes(*PRICES), book=BookDepth(max_execution=Decimal("0.4"))))
    assert len(ask.order("BUY", "MARKET", 1)["fills"]) == 3
    order = ask.order("BUY", "LIMIT", 1, price=99)["orderId"]
    seen = []
    for hour in range(1, 8):
        ask.advance(begun(ask) + hour * HOUR - 1)
        seen.append((ask.status(order), ask("GET", "order", symbol="BTCUSDT", orderId=order)[1]["executedQty"][:3]))
    assert seen[2:6] == [("NEW", "0.0"), ("PARTIALLY_FILLED", "0.4"), ("PARTIALLY_FILLED", "0.8"), ("FILLED", "1.0")]


def test_resting_orders_take_no_more_than_their_share_of_a_bar():
    ask = Asker(exchange_of(closes(*PRICES), book=BookDepth(share=0.005)))  # of a volume of 100
    order = ask.order("BUY", "LIMIT", 2, price=99)["orderId"]
    ask.advance(begun(ask) + 4 * HOUR - 1)
    assert ask("GET", "order", symbol="BTCUSDT", orderId=order)[1]["executedQty"] == "0.50000000"


def test_a_large_order_walks_down_the_book_and_a_limit_bounds_it():
    book = BookDepth(level=Decimal(2), step=10)
    ask = Asker(exchange_of(closes(*PRICES), book=book, balances={"USDT": Decimal(2_000)}))
    assert [fill["price"][:6] for fill in ask.order("BUY", "MARKET", 5)["fills"]] == ["100.00", "100.10", "100.20"]
    body = ask.order("BUY", "LIMIT", 4, price="100.05", newOrderRespType="FULL")
    assert (body["status"], body["executedQty"]) == ("PARTIALLY_FILLED", "2.00000000")
    killed = ask.order("BUY", "LIMIT", 3, price="100.05", timeInForce="FOK")
    assert (killed["status"], killed["executedQty"]) == ("EXPIRED", "0.00000000")


@pytest.mark.parametrize("fee_in", ["base", "quote"])
def test_parts_of_an_order_never_cost_more_than_was_set_aside_for_it(fee_in):
    fine = Decimal("0.00001")
    rules = usual(tick=fine, lot=fine, min_quantity=fine)
    price, quantity = Decimal("1.23457"), Decimal("33.33333")
    money = (price * quantity).quantize(Decimal("1e-8"), ROUND_UP)
    money += (money * Decimal("0.001")).quantize(Decimal("1e-8"), ROUND_UP) if fee_in == "quote" else 0
    frame = closes(*([1.3] * 2 + [1.23457] * 60))
    settings = {
        "instruments": (rules,),
        "balances": {"USDT": money},
        "book": BookDepth(max_execution=Decimal("0.77777")),
    }
    ask = Asker(exchange_of(frame, fee_in=fee_in, **settings))
    order = ask.order("BUY", "LIMIT", quantity, price=price)["orderId"]
    assert ask.balance("USDT") == (0, money)
    ask.advance(begun(ask) + 60 * HOUR)
    assert ask.status(order) == "FILLED"
    free, locked = ask.balance("USDT")
    assert 0 <= free < Decimal("0.000002")
    assert locked == 0

"""Events as Binance's frames: its names, its number formats, nothing left out."""

from decimal import Decimal

import pytest

from atb.venues.simulator import events
from atb.venues.simulator.frames import frame, stream_of, terminated
from atb.venues.simulator.market import Candle
from atb.venues.simulator.orders import Order, OrderList, Trade

NOW = 1_704_067_200_000


def an_order(**changed):
    values = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": Decimal("0.5"), "time_ms": NOW}
    return Order(7, "mine", **(values | {"price": Decimal(100), "working_ms": NOW} | changed))


def test_a_new_order_has_no_trade():
    sent = frame(events.ExecutionReport(NOW + 1, "NEW", an_order()))
    assert sent["e"] == "executionReport"
    assert (sent["x"], sent["X"], sent["t"], sent["n"], sent["N"], sent["w"]) == (
        "NEW",
        "NEW",
        -1,
        "0",
        None,
        True,
    )
    assert (sent["c"], sent["C"], sent["q"], sent["p"], sent["z"]) == (
        "mine",
        "",
        "0.50000000",
        "100.00000000",
        "0.00000000",
    )
    assert (sent["E"], sent["T"], sent["O"], sent["W"]) == (NOW + 1, NOW + 1, NOW, NOW)


def test_a_trade_tells_what_it_cost():
    trade = Trade(
        3, 7, -1, "BTCUSDT", "BUY", Decimal("99.5"), Decimal("0.2"), Decimal("0.0002"), "BTC", NOW, maker=True
    )
    order = an_order(status="PARTIALLY_FILLED", filled=Decimal("0.2"), spent=Decimal("19.9"), trades=[trade])
    sent = frame(events.ExecutionReport(NOW, "TRADE", order, trade))
    assert (sent["x"], sent["X"], sent["t"], sent["m"]) == ("TRADE", "PARTIALLY_FILLED", 3, True)
    assert (sent["l"], sent["L"], sent["Y"], sent["n"], sent["N"]) == (
        "0.20000000", "99.50000000", "19.90000000", "0.00020000", "BTC",
    )  # fmt: skip
    assert (sent["z"], sent["Z"]) == ("0.20000000", "19.90000000")


def test_a_cancellation_has_an_id_of_its_own():
    sent = frame(events.ExecutionReport(NOW, "CANCELED", an_order(status="CANCELED"), None, "another", "mine"))
    assert (sent["c"], sent["C"], sent["w"]) == ("another", "mine", False)


def test_a_stop_that_waits_is_not_on_the_book():
    sent = frame(events.ExecutionReport(NOW, "NEW", an_order(type="STOP_LOSS", stop_price=Decimal(90), working_ms=-1)))
    assert (sent["P"], sent["w"]) == ("90.00000000", False)
    assert "W" not in sent


def test_a_very_small_amount_is_printed_without_an_exponent():
    sent = frame(events.AccountPosition(NOW, (("BTC", Decimal("1E-8"), Decimal("0E-8")),)))
    assert sent["B"] == [{"a": "BTC", "f": "0.00000001", "l": "0.00000000"}]


def test_other_events_of_the_account():
    orders = OrderList(2, "pair", "BTCUSDT", "OCO", (7, 8), NOW)
    sent = frame(events.ListStatus(NOW, orders, (an_order(),)))
    assert (sent["e"], sent["g"], sent["c"], sent["l"], sent["L"], sent["C"]) == (
        "listStatus", 2, "OCO", "EXEC_STARTED", "EXECUTING", "pair",
    )  # fmt: skip
    assert sent["O"] == [{"s": "BTCUSDT", "i": 7, "c": "mine"}]
    update = frame(events.BalanceUpdate(NOW, "BTC", Decimal("-0.5")))
    assert (update["e"], update["a"], update["d"]) == ("balanceUpdate", "BTC", "-0.50000000")
    assert terminated(NOW) == {"e": "eventStreamTerminated", "E": NOW}


def test_a_candle_says_whether_it_is_closed():
    candle = Candle(NOW, NOW + 3_599_999, 1.0, 3.0, 0.5, 2.0, 10.0)
    sent = frame(events.Kline(NOW, "BTCUSDT", "1h", candle, closed=True))["k"]
    assert sent["x"] is True
    assert [sent[name] for name in "ohlcv"] == [
        "1.00000000",
        "3.00000000",
        "0.50000000",
        "2.00000000",
        "10.00000000",
    ]
    assert (sent["t"], sent["T"], sent["i"]) == (NOW, NOW + 3_599_999, "1h")


def test_each_event_of_the_market_has_its_stream():
    candle = Candle(NOW, NOW + 1, 1.0, 1.0, 1.0, 1.0, 0.0)
    one, half = Decimal(1), Decimal("0.5")
    trade = events.MarketTrade(NOW, "BTCUSDT", 1, one, half, buyer_is_maker=True)
    best = events.BookTicker(NOW, "BTCUSDT", 4, one, half, one, half)
    found = [stream_of(event) for event in (events.Kline(NOW, "BTCUSDT", "5m", candle, closed=False), trade, best)]
    assert found == ["btcusdt@kline_5m", "btcusdt@trade", "btcusdt@bookTicker"]
    assert stream_of(events.BalanceUpdate(NOW, "BTC", one)) is None
    assert frame(trade)["m"] is True
    assert (frame(best)["u"], frame(best)["B"]) == (4, "0.50000000")


def test_what_no_stream_carries_is_no_frame():
    with pytest.raises(TypeError, match="no stream carries"):
        frame("news")

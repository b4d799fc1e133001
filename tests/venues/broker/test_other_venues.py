"""Forged responses of Coinbase, Kraken and an unlisted exchange: a rejection counts only in the exchange's own words."""

from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from atb.domain import Symbol, Timeframe
from atb.errors import VenueError
from atb.venues.broker import Access
from atb.venues.broker.outcomes import classify_coinbase, classify_kraken, classify_unlisted
from atb.venues.broker.transport import Reply
from atb.venues.broker.unified import UnifiedBroker
from tests.venues.broker.fake_exchange import NOW, Forgery, StandingClock, an_order, forged_exchange, in_loop

USD = Symbol.parse("BTC/USD")


def said(body, status=200, fault=""):
    return Reply(status=status, body=body, text=str(body), left=True, fault=fault)


def failed(error):
    return {"success": False, "error_response": {"error": error, "message": "No."}}


@pytest.mark.parametrize(
    ("reply", "purpose", "outcome"),
    [
        (said({"success": True, "success_response": {"order_id": "1"}}), "place", "done"),
        (said(failed("INSUFFICIENT_FUND")), "place", "rejected"),
        (said(failed("INVALID_LIMIT_PRICE_POST_ONLY")), "place", "rejected"),
        (said(failed("UNKNOWN_FAILURE_REASON")), "place", "unknown"),
        (said(failed("INTERNAL")), "place", "unknown"),
        (said({"error_response": {"error": "INSUFFICIENT_FUND"}}), "place", "unknown"),
        (said(None), "place", "unknown"),
        (said({"error": "INVALID_ARGUMENT", "message": "account is not available"}, 400), "place", "rejected"),
        (said({"error": "INVALID_ARGUMENT"}, 500), "place", "unknown"),
        (said({"error": "unknown"}, 400), "place", "unknown"),
        (said({"error": "unauthorized"}, 401), "place", "rejected"),
        (said(None, 401), "place", "unknown"),
        (said({"error": "rate_limit"}, 429), "place", "rejected"),
        (said(None, 429), "place", "unknown"),
        (said(None, 0, "timeout"), "place", "unknown"),
        (said({"results": [{"success": True}]}), "cancel", "done"),
        (said({"results": [{"success": False, "failure_reason": "UNKNOWN_CANCEL_ORDER"}]}), "cancel", "rejected"),
        (
            said({"results": [{"success": False, "failure_reason": "COMMANDER_REJECTED_CANCEL_ORDER"}]}),
            "cancel",
            "unknown",
        ),
        (said({"results": []}), "cancel", "unknown"),
        (said({"errs": []}), "check", "done"),
        (said({"errs": ["PREVIEW_INSUFFICIENT_FUND"]}), "check", "rejected"),
    ],
)
def test_coinbase(reply, purpose, outcome):
    assert classify_coinbase(reply, purpose).outcome == outcome


@pytest.mark.parametrize(
    ("reply", "purpose", "outcome"),
    [
        (said({"error": [], "result": {"txid": ["O1"]}}), "place", "done"),
        (said({"error": ["EOrder:Insufficient funds"]}), "place", "rejected"),
        (said({"error": ["EGeneral:Invalid arguments:volume"]}), "place", "rejected"),
        (said({"error": ["EAPI:Invalid nonce"]}), "place", "rejected"),
        (said({"error": ["EService:Deadline elapsed"]}), "place", "rejected"),
        (said({"error": ["EService:Unavailable"]}), "place", "unknown"),
        (said({"error": ["EGeneral:Internal error"]}), "place", "unknown"),
        (said({"error": ["EOrder:Insufficient funds", "EService:Busy"]}), "place", "unknown"),
        (said({"error": ["EOrder:Unknown order"]}), "cancel", "rejected"),
        (said({"error": ["EOrder:Rate limit exceeded"]}), "cancel", "unknown"),
        (said({"error": []}), "place", "unknown"),
        (said(None, 520), "place", "unknown"),
        (said(None, 0, "disconnected"), "place", "unknown"),
    ],
)
def test_kraken(reply, purpose, outcome):
    assert classify_kraken(reply, purpose).outcome == outcome


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (said({"id": 1}), "done"),
        (said({"id": 1}, fault="unreadable"), "unknown"),
        (said({"error": "insufficient funds"}, 400), "unknown"),
        (said(None, 0, "timeout"), "unknown"),
    ],
)
def test_an_exchange_without_a_list(reply, outcome):
    assert classify_unlisted(reply, "place").outcome == outcome


PAIR = {
    "altname": "XBTUSD", "wsname": "XBT/USD", "aclass_base": "currency", "base": "XXBT",
    "aclass_quote": "currency", "quote": "ZUSD",
    "lot": "unit", "pair_decimals": 1, "cost_decimals": 5, "lot_decimals": 8, "lot_multiplier": 1, "leverage_buy": [],
    "leverage_sell": [], "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]], "fee_volume_currency": "ZUSD", "ordermin": "0.00005",
    "costmin": "0.5", "tick_size": "0.1", "status": "online",
}  # fmt: skip
ASSETS = {
    "XXBT": {"aclass": "currency", "altname": "XBT", "decimals": 10, "display_decimals": 5, "status": "enabled"},
    "ZUSD": {"aclass": "currency", "altname": "USD", "decimals": 4, "display_decimals": 2, "status": "enabled"},
}
KEY = "a2V5" * 20


def result(value):
    return Forgery({"error": [], "result": value})


def kraken_order(**values):
    terms = {"pair": "XBTUSD", "type": "sell", "ordertype": "stop-loss", "price": "45000.0", "price2": "0"}
    return {
        "refid": None, "userref": 0, "cl_ord_id": "atb-test-s0", "status": "open", "opentm": NOW / 1_000,
        "descr": terms, "vol": "0.01",
        "vol_exec": "0.00000000", "cost": "0", "fee": "0", "price": "0", "misc": "", "oflags": "fciq",
    } | values  # fmt: skip


@asynccontextmanager
async def kraken():
    async with forged_exchange() as forged:
        forged.say("GET", "Time", result({"unixtime": NOW // 1_000, "rfc1123": ""}))
        forged.say("GET", "Assets", result(ASSETS))
        forged.say("GET", "AssetPairs", result({"XXBTZUSD": PAIR}))
        broker = UnifiedBroker(Access("kraken", KEY, KEY, base_url=forged.url, timeout_s=2.0), StandingClock())
        try:
            await broker.open([USD])
            yield broker, forged
        finally:
            await broker.close()


def usd(*arguments, **values):
    from dataclasses import replace

    return replace(an_order(*arguments, **values), symbol=USD)


@in_loop
async def test_krakens_rules_are_exact():
    async with kraken() as (broker, _):
        rules = broker.instrument(USD)
    assert (rules.tick, rules.lot, rules.min_quantity, rules.min_notional) == (
        Decimal("0.1"), Decimal("0.00000001"), Decimal("0.00005"), Decimal("0.5"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("order", "terms"),
    [
        (usd(), {"ordertype": "market", "type": "buy"}),
        (usd(kind="limit"), {"ordertype": "limit", "price": "50000"}),
        (usd("stop", "stop"), {"ordertype": "stop-loss", "price": "45000", "type": "sell"}),
        (usd("target", "limit"), {"ordertype": "limit", "price": "50000", "type": "sell"}),
        (usd(price=Decimal(51_000)), {"ordertype": "limit", "timeinforce": "IOC", "price": "51000"}),
    ],
)
@in_loop
async def test_kraken_gets_our_id_exact_numbers_and_a_deadline(order, terms):
    async with kraken() as (broker, forged):
        forged.say("POST", "AddOrder", result({"descr": {"order": ""}, "txid": ["O1"]}))
        answer, checked = await broker.place(order), await broker.check(order)
        sent, tried = forged.asked("POST", "AddOrder")
    assert (answer.outcome, answer.reports[0].exchange_id, checked.outcome) == ("done", "O1", "done")
    assert {name: sent[name] for name in terms} == terms
    assert (sent["cl_ord_id"], Decimal(sent["volume"]), sent["deadline"]) == (
        order.client_id,
        Decimal("0.01"),
        "2025-01-01T00:00:03.000Z",
    )
    assert ("validate" in sent, tried["validate"]) == (False, "True")


@in_loop
async def test_kraken_is_asked_for_lists_and_our_id_is_looked_for_in_them():
    stop = usd("stop", "stop")
    async with kraken() as (broker, forged):
        forged.say("POST", "OpenOrders", result({"open": {"O1": kraken_order(vol_exec="0.004")}}))
        forged.say(
            "POST",
            "ClosedOrders",
            result({"closed": {"O2": kraken_order(cl_ord_id="atb-test-x0", status="canceled")}, "count": 1}),
        )
        forged.say("POST", "CancelOrder", result({"count": 1}))
        found = await broker.find(stop)
        assert (found.exchange_id, found.state, found.filled, found.side) == (
            "O1",
            "partially_filled",
            Decimal("0.004"),
            "sell",
        )
        assert (await broker.find(usd("exit", client_id="atb-test-x0"))).state == "cancelled"
        assert forged.asked("POST", "ClosedOrders")[-1]["cl_ord_id"] == "atb-test-x0"
        assert await broker.find(usd("target", "limit")) is None
        assert (await broker.cancel(stop)).outcome == "done"
        assert forged.asked("POST", "CancelOrder")[0]["txid"] == "O1"
        forged.say("POST", "OpenOrders", Forgery("", 520))
        lost = await broker.cancel(stop)
        with pytest.raises(VenueError):
            await broker.find(stop)
    assert (lost.outcome, lost.code) == ("unknown", "unlisted")


@in_loop
async def test_krakens_trades_balances_and_bars():
    trade = {
        "ordertxid": "O1", "pair": "XXBTZUSD", "time": NOW / 1_000, "type": "buy", "ordertype": "market", "price": "50000.0",
        "cost": "500.0", "fee": "1.3", "vol": "0.01", "margin": "0", "misc": "", "trade_id": 7,
    }  # fmt: skip
    hour = 3_600
    opened = NOW // 1_000
    rows = [[opened + n * hour, "1", "3", "0.5", "2", "1.5", "10", 3] for n in (-2, -1, 0)]
    async with kraken() as (broker, forged):
        forged.say("POST", "TradesHistory", result({"trades": {"T1": trade}, "count": 1}))
        forged.say(
            "POST",
            "BalanceEx",
            result({"XXBT": {"balance": "0.5", "hold_trade": "0.1"}, "ZUSD": {"balance": "0", "hold_trade": "0"}}),
        )
        forged.say("GET", "OHLC", result({"XXBTZUSD": rows, "last": opened}))
        fills = await broker.trades(USD, after=None, since_ms=NOW - 1_000)
        assert await broker.trades(USD, after="T1", since_ms=0) == []
        balances = await broker.balances()
        bars = await broker.bars(USD, Timeframe.parse("1h"), since_ms=NOW - 2 * hour * 1_000)
        with pytest.raises(VenueError, match="does not report a key"):
            await broker.permissions()
    values = [
        (fill.trade_id, fill.order_id, fill.price, fill.quantity, fill.fee, fill.fee_asset, fill.fee_value)
        for fill in fills
    ]
    assert values == [("T1", "O1", Decimal(50_000), Decimal("0.01"), Decimal("1.3"), "USD", Decimal("1.3"))]
    assert balances["BTC"].locked == Decimal("0.1")
    assert "USD" not in balances
    assert bars.opened_ms.tolist() == [NOW - 2 * hour * 1_000, NOW - hour * 1_000]


def test_a_fee_in_a_third_asset_has_no_value_and_is_said_to_have_none(caplog):
    broker = UnifiedBroker(Access("kraken"), StandingClock())
    row = {"id": "T1", "order": "O1", "side": "sell", "price": "2", "amount": "3", "timestamp": NOW}
    odd = broker._fill(USD, row | {"fee": {"cost": "1", "currency": "KFEE"}})
    base = broker._fill(USD, row | {"fee": {"cost": "0.5", "currency": "BTC"}})
    assert (odd.fee, odd.fee_value, base.fee_value, broker.unpriced) == (Decimal(1), Decimal(0), Decimal(1), {"T1"})
    assert "KFEE" in caplog.text


@in_loop
async def test_an_exchange_that_can_neither_rest_a_stop_nor_judge_an_order_says_so():
    from dataclasses import replace

    broker = UnifiedBroker(Access("kraken"), StandingClock())
    broker.capabilities = replace(broker.capabilities, stops=False, checks=False)
    answers = [await broker.place(usd("stop", "stop")), await broker.check(usd())]
    assert [(answer.outcome, answer.code) for answer in answers] == [("rejected", "local:unsupported")] * 2
    assert {"stops that rest at the venue", "judging an order without placing it"} <= set(broker.capabilities.missing())
    broker._exchange.has = {}
    with pytest.raises(VenueError, match="does not list closed orders"):
        broker._history()
    await broker.close()

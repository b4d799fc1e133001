"""Coinbase's endpoints, asked over plain HTTP: what they refuse, how they page, and the same faults as everywhere."""

import asyncio
import json
from decimal import Decimal

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from atb.engine.policy import ExecutionModel
from atb.venues.simulator.configuration import ExchangeConfig, Key
from atb.venues.simulator.faults import Fault
from atb.venues.simulator.server import running_exchange
from tests.bars import bars_of, random_walk
from tests.timeouts import PATIENCE_S

HOUR = 3_600_000
BARS = bars_of(random_walk(60, 2), symbol="BTC/USD")
START = int(BARS.opened_ms[20]) + HOUR // 2
PRICE = Decimal(str(BARS.frame["open"].iloc[20]))
NAME, READER = "organizations/one/apiKeys/trader", "organizations/one/apiKeys/reader"
_KEY = ec.generate_private_key(ec.SECP256R1())
PEM = _KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
V3 = "/api/v3/brokerage"


@pytest.fixture
def running():
    with exchange() as running:
        yield running


def exchange(*faults):
    keys = (Key(NAME, PEM), Key(READER, PEM, trade=False))
    balances = {"USD": Decimal(10_000), "BTC": Decimal(5)}
    costs = ExecutionModel(fee=0.006, maker_fee=0.004, slippage=0.0)
    return running_exchange(
        ExchangeConfig(
            (BARS,), START, keys=keys, balances=balances, execution=costs, fee_in="quote", faults=list(faults)
        )
    )


def ask(running, method, path, *, body=None, name=NAME, within=PATIENCE_S, **query):
    """Return status and body of one answer."""

    async def one():
        now = running.exchange.now_ms() // 1_000
        host = running.url.removeprefix("http://")
        claims = {"aud": ["retail_rest_api_proxy"], "sub": name, "nbf": now, "exp": now + 120}
        token = jwt.encode(claims | {"uri": f"{method} {host}{path}"}, PEM, "ES256", headers={"kid": name})
        terms = {"params": query, "headers": {"Authorization": f"Bearer {token}"}}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=within)) as session:
            data = body if isinstance(body, str | None) else json.dumps(body)
            async with session.request(method, running.url + path, data=data, **terms) as answer:
                text = await answer.text()
                return answer.status, json.loads(text) if text.startswith("{") and text.endswith("}") else text

    return asyncio.run(one())


def terms(kind, *, side="BUY", client_id="mine", product="BTC-USD", **values):
    return {"product_id": product, "side": side, "client_order_id": client_id, "order_configuration": {kind: values}}


def create(running, *given, **named):
    status, body = ask(running, "POST", f"{V3}/orders", body=terms(*given, **named))
    assert status == 200, body
    return body


LOW = f"{PRICE * Decimal('0.9'):.2f}"
HIGH = f"{PRICE * Decimal('1.1'):.2f}"


def test_tells_time_products_and_prices_to_everybody(running):
    assert ask(running, "GET", f"{V3}/time")[1]["epochMillis"] == str(START)
    assert ask(running, "GET", "/v2/time")[1]["data"]["epoch"] == START // 1_000
    product = ask(running, "GET", f"{V3}/market/products/BTC-USD")[1]
    assert (product["product_id"], product["price"], product["quote_increment"]) == (
        "BTC-USD",
        f"{PRICE.normalize():f}",
        "0.01",
    )
    assert ask(running, "GET", f"{V3}/market/products", product_type="FUTURE")[1]["products"] == []
    assert ask(running, "GET", f"{V3}/market/products/ETH-USD")[0] == 404


def test_candles_come_newest_first(running):
    span = {"start": START // 1_000 - 3 * 3_600, "end": START // 1_000}
    path = f"{V3}/market/products/BTC-USD/candles"
    rows = ask(running, "GET", path, granularity="ONE_HOUR", **span)[1]["candles"]
    assert [int(row["start"]) * 1_000 for row in rows] == [BARS.opened_ms[k] for k in (20, 19, 18)]
    assert ask(running, "GET", path, granularity="ONE_DAY", **span)[1] == {"candles": []}


@pytest.mark.parametrize(
    "query",
    [
        {"granularity": "ONE_WEEK", "start": 0, "end": 1},
        {"granularity": "ONE_HOUR", "start": 0},
        {"granularity": "ONE_HOUR", "start": "then", "end": 1},
        {"granularity": "ONE_HOUR", "start": 0, "end": 3_600 * 400},
    ],
)
def test_candles_are_asked_for_as_they_must_be(running, query):
    status, body = ask(running, "GET", f"{V3}/market/products/BTC-USD/candles", **query)
    assert (status, body["error"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "[]",
        terms("limit_limit_gtc", product="ETH-USD", base_size="1", limit_price=LOW),
        terms("limit_limit_gtc", side="HOLD", base_size="1", limit_price=LOW),
        terms("limit_limit_gtc", client_id="", base_size="1", limit_price=LOW),
        terms("limit_limit_gtc", client_id="x" * 129, base_size="1", limit_price=LOW),
        terms("limit_limit_gtc", base_size="many", limit_price=LOW),
        terms("limit_limit_gtc", base_size="-1", limit_price=LOW),
        terms("limit_limit_gtc", base_size=["1"], limit_price=LOW),
        terms("twap_limit_gtd", base_size="1"),
        terms("trigger_bracket_gtc", side="SELL", base_size="1", limit_price=LOW, stop_trigger_price=HIGH),
        {"product_id": "BTC-USD", "side": "BUY", "client_order_id": "a", "order_configuration": {}},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(running, body):
    status, answered = ask(running, "POST", f"{V3}/orders", body=body)
    assert status == 400
    assert answered["error"] in ("INVALID_ARGUMENT", "UNSUPPORTED_ORDER_CONFIGURATION")
    assert running.exchange.trading.book.orders == {}


@pytest.mark.parametrize(
    ("kind", "values", "error"),
    [
        ("limit_limit_gtc", {"base_size": "500", "limit_price": LOW}, "INSUFFICIENT_FUND"),
        ("limit_limit_gtc", {"base_size": "0.1", "limit_price": "90.001"}, "INVALID_PRICE_PRECISION"),
        ("limit_limit_gtc", {"base_size": "0.000001", "limit_price": LOW}, "INVALID_SIZE_PRECISION"),
        (
            "limit_limit_gtc",
            {"base_size": "0.1", "limit_price": HIGH, "post_only": True},
            "INVALID_LIMIT_PRICE_POST_ONLY",
        ),
    ],
)
def test_an_order_that_is_not_taken_is_no_error_of_http(running, kind, values, error):
    body = create(running, kind, **values)
    assert (body["success"], body["error_response"]["error"]) == (False, error)
    assert body["error_response"]["preview_failure_reason"].startswith("PREVIEW_")


def test_buys_for_an_amount_of_money(running):
    made = create(running, "market_market_ioc", quote_size="500")
    order = ask(running, "GET", f"{V3}/orders/historical/{made['success_response']['order_id']}")[1]["order"]
    assert (order["status"], order["size_in_quote"], order["order_configuration"]) == (
        "FILLED",
        True,
        {"market_market_ioc": {"quote_size": "500"}},
    )
    assert Decimal(order["filled_value"]) <= 500
    assert float(order["total_fees"]) == pytest.approx(0.006 * float(order["filled_value"]), abs=1e-8)


@pytest.mark.parametrize("kind", ["sor_limit_ioc", "limit_limit_fok"])
def test_what_cannot_trade_at_once_does_not_rest(running, kind):
    made = create(running, kind, base_size="0.1", limit_price=LOW)
    order = ask(running, "GET", f"{V3}/orders/historical/{made['success_response']['order_id']}")[1]["order"]
    assert (order["status"], order["filled_size"]) == ("EXPIRED", "0")


def test_lists_by_product_status_side_time_and_page(running):
    for k in range(3):
        create(running, "limit_limit_gtc", client_id=f"buy-{k}", base_size="0.1", limit_price=LOW)
    running.advance(START + 60_000)
    create(running, "limit_limit_gtc", side="SELL", client_id="sell", base_size="0.1", limit_price=HIGH)

    def names(**query):
        body = ask(running, "GET", f"{V3}/orders/historical/batch", **query)[1]
        return [order["client_order_id"] for order in body["orders"]], body["cursor"]

    assert names()[0] == ["sell", "buy-2", "buy-1", "buy-0"]
    assert names(limit=3) == (["sell", "buy-2", "buy-1"], "3")
    assert names(limit=3, cursor=3) == (["buy-0"], "")
    assert names(order_side="SELL")[0] == ["sell"]
    assert names(order_status="FILLED")[0] == []
    assert names(product_ids="ETH-USD")[0] == []
    after = "2024-01-01T20:30:30.000Z"
    assert names(start_date=after)[0] == ["sell"]
    assert names(end_date=after)[0] == ["buy-2", "buy-1", "buy-0"]
    assert ask(running, "GET", f"{V3}/orders/historical/batch", start_date="yesterday")[0] == 400
    assert ask(running, "GET", f"{V3}/orders/historical/batch", limit="all")[0] == 400


def test_fills_are_found_by_order_and_time(running):
    ids = [
        create(running, "market_market_ioc", side="SELL", client_id=f"m{k}", base_size="0.1")["success_response"][
            "order_id"
        ]
        for k in range(2)
    ]
    path = f"{V3}/orders/historical/fills"
    assert [fill["order_id"] for fill in ask(running, "GET", path)[1]["fills"]] == ids[::-1]
    assert [fill["order_id"] for fill in ask(running, "GET", path, order_id=ids[0])[1]["fills"]] == ids[:1]
    late = "2024-01-01T20:30:01Z"
    assert ask(running, "GET", path, start_sequence_timestamp=late)[1]["fills"] == []
    assert len(ask(running, "GET", path, end_sequence_timestamp=late)[1]["fills"]) == 2


def test_each_cancellation_has_an_outcome_of_its_own(running):
    open_one = create(running, "limit_limit_gtc", base_size="0.1", limit_price=LOW)["success_response"]["order_id"]
    done = create(running, "market_market_ioc", client_id="b", base_size="0.1", side="SELL")["success_response"][
        "order_id"
    ]
    body = ask(running, "POST", f"{V3}/orders/batch_cancel", body={"order_ids": [open_one, done, "nobody's"]})[1]
    assert [(result["success"], result["failure_reason"]) for result in body["results"]] == [
        (True, "UNKNOWN_CANCEL_FAILURE_REASON"),
        (False, "INVALID_CANCEL_REQUEST"),
        (False, "UNKNOWN_CANCEL_ORDER"),
    ]


def test_an_order_nobody_placed_is_not_found(running):
    for name in ("nothing", "00000000-0000-0000-0000-000000000009"):
        status, body = ask(running, "GET", f"{V3}/orders/historical/{name}")
        assert (status, body["message"]) == (404, "order with this orderID was not found")


class TestABracket:
    """A target and a stop that cancel each other, shown as one order."""

    def made(self, running):
        prices = {"limit_price": HIGH, "stop_trigger_price": LOW}
        body = create(running, "trigger_bracket_gtc", side="SELL", base_size="0.5", **prices)
        return body["success_response"]["order_id"]

    def order(self, running, name):
        return ask(running, "GET", f"{V3}/orders/historical/{name}")[1]["order"]

    def test_is_one_order(self, running):
        name = self.made(running)
        listed = ask(running, "GET", f"{V3}/orders/historical/batch")[1]["orders"]
        assert [order["order_id"] for order in listed] == [name]
        answered = self.order(running, name)
        prices = {"base_size": "0.5", "limit_price": HIGH.rstrip("0"), "stop_trigger_price": LOW.rstrip("0")}
        assert (answered["order_type"], answered["status"]) == ("BRACKET", "OPEN")
        assert {k: v.rstrip("0") for k, v in answered["order_configuration"]["trigger_bracket_gtc"].items()} == prices

    def test_is_cancelled_whole(self, running):
        name = self.made(running)
        ask(running, "POST", f"{V3}/orders/batch_cancel", body={"order_ids": [name]})
        assert self.order(running, name)["status"] == "CANCELLED"
        assert running.exchange.trading.book.open_orders() == []

    @pytest.mark.parametrize("price", [HIGH, LOW])
    def test_is_filled_by_whichever_is_met(self, running, price):
        name = self.made(running)
        tape = running.exchange.tapes["BTCUSD"]

        def trade():
            tape.trade_at(float(price), running.exchange.now_ms())
            running.exchange.trading.match_bar(tape)

        running.call(trade)
        answered = self.order(running, name)
        assert (answered["order_id"], answered["client_order_id"]) == (name, "mine")
        assert (answered["status"], answered["filled_size"], Decimal(answered["average_filled_price"])) == (
            "FILLED",
            "0.5",
            Decimal(price),
        )
        (fill,) = ask(running, "GET", f"{V3}/orders/historical/fills")[1]["fills"]
        assert fill["order_id"] == name


def test_a_key_that_may_not_trade_only_looks(running):
    assert ask(running, "GET", f"{V3}/accounts", name=READER)[0] == 200
    assert ask(running, "GET", f"{V3}/key_permissions", name=READER)[1]["can_trade"] is False
    status, body = ask(
        running, "POST", f"{V3}/orders", name=READER, body=terms("limit_limit_gtc", base_size="1", limit_price=LOW)
    )
    assert (status, body["error"]) == (403, "PERMISSION_DENIED")


class TestFaults:
    """The fault table strikes this skin's requests too."""

    def ordered(self, fault):
        """Return the response to an order and the order's final status."""
        body = terms("market_market_ioc", side="SELL", base_size="0.1")
        within = 0.5 if fault.kind in {"held", "held_after", "late"} else PATIENCE_S
        with exchange(fault) as running:
            try:
                answer = ask(running, "POST", f"{V3}/orders", body=body, within=within)
            except TimeoutError:
                answer = "silence"
            except aiohttp.ClientError:
                answer = "end"
            running.advance(START + 10_000)
            return answer, [order.status for order in running.exchange.trading.book.orders.values()]

    @pytest.mark.parametrize(
        ("kind", "answer", "states"),
        [
            ("reset", "end", []),
            ("lost", "end", ["FILLED"]),
            ("held", "silence", []),
            ("held_after", "silence", ["FILLED"]),
            ("late", "silence", ["FILLED"]),
            ("error", (503, "Service Unavailable"), []),
            ("error_after", (503, "Service Unavailable"), ["FILLED"]),
        ],
    )
    def test_an_order_goes_wrong(self, kind, answer, states):
        assert self.ordered(Fault(kind, f"POST {V3}/orders")) == (answer, states)

    def test_half_an_answer_comes(self):
        (status, text), states = self.ordered(Fault("truncated", f"{V3}/orders"))
        assert (status, states) == (200, ["FILLED"])
        assert text.startswith('{"success": true')

    def test_a_late_order_whose_token_is_over_by_then_is_not_executed(self):
        late = Fault("late", f"{V3}/orders", detail={"delay_ms": 130_000})
        body = terms("market_market_ioc", side="SELL", base_size="0.1")
        with exchange(late) as running:
            with pytest.raises(TimeoutError):
                ask(running, "POST", f"{V3}/orders", body=body, within=0.2)
            running.advance(START + 200_000)
            assert running.exchange.trading.book.orders == {}

    def test_too_many_requests(self):
        (status, body), states = self.ordered(Fault("rate_limit", "*"))
        assert (status, body["errors"][0]["id"], states) == (429, "rate_limit_exceeded", [])

    def test_every_request_and_answer_is_in_the_ledger(self):
        with exchange(Fault("lost", f"{V3}/orders")) as running:
            with pytest.raises(aiohttp.ClientError):
                create(running, "limit_limit_gtc", base_size="0.1", limit_price=LOW)
            (request,) = running.ledger("request")
            (answer,) = running.ledger("answer")
        assert (request["via"], request["client_id"], request["path"]) == ("coinbase", "mine", f"{V3}/orders")
        assert (answer["id"], answer["fate"]) == (request["id"], "reset")

"""A client over real HTTP: signed requests to a running exchange, one connection each, and its control plane."""

import json
from contextlib import contextmanager
from decimal import Decimal
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

from atb.venues.simulator.server import running_exchange
from atb.venues.simulator.signing import sign
from tests.venues.simulator.client import HOUR, closes, config_of

PRICES = (100, 100, 105, 98, 90, 120, 110, 110)
OPO = {
    "symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingQuantity": 2, "workingTimeInForce": "GTC",
    "pendingSide": "SELL", "pendingType": "STOP_LOSS", "pendingStopPrice": 95,
}  # fmt: skip
OCO = {
    "symbol": "BTCUSDT", "side": "SELL", "quantity": 1, "aboveType": "LIMIT_MAKER", "abovePrice": 110,
    "belowType": "STOP_LOSS", "belowStopPrice": 95,
}  # fmt: skip


class Caller:
    """Calls one running exchange; `headers` are those of the last answer."""

    def __init__(self, running):
        self.running, self.exchange, self.headers = running, running.exchange, {}
        self.start_ms = running.exchange.now_ms()

    def __call__(self, method, path, *, timeout=20.0, **params):
        """Send a signed request to `/api/v3/`; return its status and body."""
        query = urlencode({"timestamp": self.exchange.server_ms()} | params)
        signed = f"/api/v3/{path}?{query}&signature={sign('secret', query)}"
        return self.send(method, signed, headers={"X-MBX-APIKEY": "key"}, timeout=timeout)

    def send(self, method, target, body=None, *, headers, timeout=20.0):
        """Send one request; return its status and body."""
        connection = HTTPConnection(urlsplit(self.running.url).netloc, timeout=timeout)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            self.headers = dict(answer.getheaders())
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def control(self, path, body):
        """Post to the control plane; return status and body."""
        token = {"Authorization": f"Bearer {self.exchange.config.control_token}", "Content-Type": "application/json"}
        return self.send("POST", f"/control/{path}", json.dumps(body), headers=token)

    def order(self, side, kind, quantity=1, **params):
        """Place an order; return the body."""
        if kind == "LIMIT":
            params.setdefault("timeInForce", "GTC")
        return self("POST", "order", symbol="BTCUSDT", side=side, type=kind, quantity=quantity, **params)[1]

    def look_up(self, order_id):
        """Return an order."""
        return self("GET", "order", symbol="BTCUSDT", orderId=order_id)[1]

    def balance(self, asset):
        """Return (free, locked) of an asset."""
        rows = {row["asset"]: row for row in self("GET", "account")[1]["balances"]}
        row = rows.get(asset, {"free": "0", "locked": "0"})
        return Decimal(row["free"]), Decimal(row["locked"])

    def wait(self, ms):
        """Let exchange time pass."""
        self.running.advance(self.exchange.now_ms() + ms)

    def reach(self, hours, ms=-1):
        """Let exchange time pass to so many hours after the start; one millisecond before by default, when the bar is met."""
        self.running.advance(self.start_ms + hours * HOUR + ms)


@contextmanager
def calling(*prices, **settings):
    """Run an exchange of hourly bars with these closes, and yield a caller."""
    given = {"balances": {"USDT": Decimal(1_000), "BTC": Decimal(2)}} | settings
    with running_exchange(config_of(closes(*(prices or PRICES)), **given)) as running:
        yield Caller(running)


def by_type(body):
    """Return a list answer's orders by type."""
    return {report["type"]: report for report in body["orderReports"]}

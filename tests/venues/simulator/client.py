"""A client in the same process: signed requests to an exchange's desk, without sockets."""

from decimal import Decimal
from urllib.parse import urlencode

from atb.engine.policy import ExecutionModel
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.exchange import Exchange
from atb.venues.simulator.gateway import ApiRequest, Gateway
from atb.venues.simulator.signing import sign
from tests.bars import bars_of, frame_of
from tests.instruments import usual

HOUR = 3_600_000
FREE = ExecutionModel(fee=0.001, slippage=0.0)


def config_of(*frames, start=0, **settings):
    """Return a configuration of one hour-bar market per frame (BTC, ETH), `start` bars after its begin."""
    names = ("BTC/USDT", "ETH/USDT")
    series = tuple(bars_of(frame, symbol=name) for frame, name in zip(frames, names, strict=False))
    rules = tuple(usual(bars.symbol, lot=Decimal("0.001"), min_quantity=Decimal("0.001")) for bars in series)
    settings = {"instruments": rules, "execution": FREE} | settings
    return ExchangeConfig(series, int(series[0].opened_ms[start]), **settings)


def exchange_of(*frames, **settings):
    """Return an exchange of such a configuration."""
    return Exchange(config_of(*frames, **settings))


def closes(*prices, spread=0.0):
    """Return bars with these closes, each opening at the close before it."""
    return frame_of(list(prices), spread=spread)


class Asker:
    """Asks an exchange as a client would, and keeps the last answer's headers."""

    def __init__(self, exchange, key="key", secret="secret"):
        self.exchange, self.gateway, self.key, self.secret = exchange, Gateway(exchange), key, secret
        self.headers = {}

    def reply(self, method, path, *, signed=True, **params):
        values = {name: str(value) for name, value in params.items()}
        path = path if path.startswith("/") else f"/api/v3/{path}"
        if not signed:
            return self.gateway.handle(ApiRequest(method, path, values))
        values.setdefault("timestamp", str(self.exchange.server_ms()))
        payload = urlencode(values)
        return self.gateway.handle(
            ApiRequest(method, path, values, key=self.key, payload=payload, signature=sign(self.secret, payload))
        )

    def __call__(self, method, path, *, signed=True, **params):
        reply = self.reply(method, path, signed=signed, **params)
        self.headers = reply.headers
        return reply.status, reply.body

    def order(self, side, kind, quantity=1, **params):
        """Place an order and return the body."""
        if kind == "LIMIT":
            params.setdefault("timeInForce", "GTC")
        return self("POST", "order", symbol="BTCUSDT", side=side, type=kind, quantity=quantity, **params)[1]

    def status(self, order_id, symbol="BTCUSDT"):
        """Return an order's status."""
        return self("GET", "order", symbol=symbol, orderId=order_id)[1]["status"]

    def balance(self, asset):
        """Return (free, locked) of an asset."""
        rows = {row["asset"]: row for row in self("GET", "account")[1]["balances"]}
        row = rows.get(asset, {"free": "0", "locked": "0"})
        return Decimal(row["free"]), Decimal(row["locked"])

    def advance(self, to_ms):
        self.exchange.advance_to(to_ms)

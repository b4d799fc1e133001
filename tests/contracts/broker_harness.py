"""Where brokers are tried: a simulated exchange for each venue that has one, behind its own protocol, by each way of orders."""

from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from atb.domain import Order, Symbol
from atb.engine.policy import ExecutionModel
from atb.venues.broker import Access, connect
from atb.venues.simulator.configuration import ExchangeConfig, Key
from atb.venues.simulator.server import Running, running_exchange
from tests.bars import bars_of, random_walk
from tests.instruments import usual

HOUR_MS, ROW = 3_600_000, 200
FRAME = random_walk(400, 2)
PRICE = Decimal(str(FRAME["open"].iloc[ROW]))
WEBSOCKET = "binance by websocket"
ORDERS = dict.fromkeys(("binance", WEBSOCKET), "POST /api/v3/order") | {"coinbase": "POST /api/v3/brokerage/orders"}
SYMBOLS = dict.fromkeys(("binance", WEBSOCKET), Symbol.parse("BTC/USDT")) | {"coinbase": Symbol.parse("BTC/USD")}


def key_of(venue):
    """Return a key with a secret of the form that the venue gives out."""
    if venue != "coinbase":
        return Key("canary-key", "canary-secret")
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    return Key("organizations/canary/apiKeys/canary", pem.decode())


@dataclass
class Stage:
    """One venue with an account that has both assets, at the open of a bar."""

    venue: str
    running: Running
    key: Key

    @property
    def symbol(self):
        return SYMBOLS[self.venue]

    @property
    def bars(self):
        return bars_of(FRAME, str(self.symbol))

    @property
    def start_ms(self):
        return int(self.bars.opened_ms[ROW])

    @property
    def rules(self):
        return usual(self.symbol, tick=Decimal("0.01"), lot=Decimal("0.00001"), min_notional=Decimal(5))

    def connect(self, **access):
        """Return a broker that has asked for nothing yet."""
        name, _, way = self.venue.partition(" by ")
        settings = {"base_url": self.running.url, "timeout_s": 30.0, "frame_gap_ms": HOUR_MS} | access
        return connect(
            Access(name, self.key.name, self.key.secret, order_entry=way or "rest", **settings), self.running.clock
        )

    def order(self, role="entry", kind="market", name="0", **values):
        """Return an order of 0.5 in base; limits and stops are 10 % away from the price."""
        factor = {"target": "1.1"}.get(role, "0.9")
        price = (PRICE * Decimal(factor)).quantize(Decimal("0.01"))
        prices = {"limit": {"price": price}, "stop": {"stop_price": price}}.get(kind, {})
        side = "buy" if role == "entry" else "sell"
        known = {"client_id": f"atb-stage-{role[0]}{name}", "quantity": Decimal("0.5")} | prices | values
        return Order(symbol=self.symbol, side=side, role=role, type=kind, **known)

    def executions(self, client_id):
        """Return the trades of an order in the exchange's ledger."""
        return [row for row in self.running.ledger("trade") if row["client_id"] == client_id]

    def ways(self, order):
        """Return the ways by which requests about an order came."""
        return {row["via"] for row in self.running.ledger("request") if row["client_id"] == order.client_id}

    def asked(self):
        """Return how many requests have reached the exchange."""
        return len(self.running.ledger("request"))


@contextmanager
def stage(venue, **config):
    """Set a stage up."""
    key, symbol = key_of(venue), SYMBOLS[venue]
    bars = bars_of(FRAME, str(symbol))
    settings = {
        "balances": {symbol.quote: Decimal(10_000), symbol.base: Decimal(10)},
        "execution": ExecutionModel(fee=0.001, maker_fee=0.001),
        "fee_in": "quote",
        "keys": (key,),
        "start_ms": int(bars.opened_ms[ROW]),
    }
    with running_exchange(ExchangeConfig((bars,), **(settings | config))) as running:
        yield Stage(venue, running, key)

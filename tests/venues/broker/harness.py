"""A broker at the simulated exchange: real ccxt over loopback, a virtual clock, faults on demand, the ledger to judge by."""

from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal

from atb.domain import Order, Symbol, Timeframe
from atb.domain.venue import OrderList
from atb.engine.policy import ExecutionModel
from atb.venues.broker import Access, connect
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.server import running_exchange
from tests.bars import bars_of, random_walk

BTC, HOUR, HOUR_MS = Symbol.parse("BTC/USDT"), Timeframe.parse("1h"), 3_600_000
BARS = bars_of(random_walk(400, 2))
START = int(BARS.opened_ms[200])
PRICE = Decimal(str(BARS.frame["open"].iloc[200]))
ENDED = {"FILLED", "CANCELED", "EXPIRED", "REJECTED"}


@contextmanager
def exchange(*others, **values):
    """Run a simulated exchange that opens bar 200 of a random walk, with other series beside it."""
    settings = {
        "balances": {"USDT": Decimal(10_000), "BTC": Decimal(10)},
        "execution": ExecutionModel(),
        "fee_in": "quote",
    }
    with running_exchange(ExchangeConfig((BARS, *others), start_ms=START, **(settings | values))) as running:
        yield running


@asynccontextmanager
async def broker_at(running, *, clock=None, **access):
    """Yield a broker of the simulated exchange, open for BTC/USDT."""
    settings = {"base_url": running.url, "timeout_s": 30.0, "frame_gap_ms": HOUR_MS} | access
    broker = connect(Access("binance", "key", "secret", **settings), running.clock if clock is None else clock)
    try:
        await broker.open([BTC])
        yield broker
    finally:
        await broker.close()


def at(factor):
    """Return a price relative to the opening one, on the tick."""
    return (PRICE * Decimal(str(factor))).quantize(Decimal("0.01"))


def make(role="entry", kind="market", name="", **values):
    """Return an order of 0.5 BTC with prices 10 % away."""
    side = "buy" if role == "entry" else "sell"
    prices = {
        ("entry", "limit"): {"price": at(0.9)}, ("stop", "stop"): {"stop_price": at(0.9)}, ("target", "limit"): {"price": at(1.1)},
    }.get((role, kind), {})  # fmt: skip
    known = {"client_id": f"atb-sim-{role[0]}{name or 0}", "quantity": Decimal("0.5")} | prices | values
    return Order(symbol=BTC, side=side, role=role, type=kind, **known)


def make_list(kind, name="0"):
    """Return a list of orders of a kind."""
    entry, stop, target = make("entry", "limit", name), make("stop", "stop", name), make("target", "limit", name)
    orders = {"oco": (stop, target), "opo": (entry, stop), "opoco": (entry, stop, target)}[kind]
    return OrderList(f"atb-sim-l{name}", kind, orders)


def executed(running, client_id):
    """Return the last state of an order in the ledger, None if it never was there."""
    states = [
        row["status"] for row in running.ledger() if row["kind"] in {"order", "trade"} and row["client_id"] == client_id
    ]
    return states[-1] if states else None

"""The session that every client completes against the simulated exchange, whoever wrote the client."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from tests.timeouts import PATIENCE_S

SYMBOL, VENUE_SYMBOL = "BTC/USDT", "BTCUSDT"
ENDED = {"FILLED", "CANCELED", "EXPIRED", "REJECTED"}


@dataclass(frozen=True)
class OrderState:
    """One order as a client parsed it."""

    client_id: str
    exchange_id: str
    status: str
    filled: Decimal


@dataclass(frozen=True)
class Traded:
    """One fill as a client parsed it."""

    exchange_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str


class Client(Protocol):
    """A client as the session uses it: thin names over its own methods."""

    lists: frozenset[str]

    async def rules(self) -> tuple[Decimal, Decimal]: ...
    async def candles(self, limit: int) -> list[list[float]]: ...
    async def last_price(self) -> Decimal: ...
    async def best(self) -> tuple[Decimal, Decimal]: ...
    async def balance(self, asset: str) -> tuple[Decimal, Decimal]: ...
    async def place(self, client_id: str, side: str, **order: str) -> OrderState: ...
    async def order(self, client_id: str) -> OrderState: ...
    async def open_orders(self) -> list[str]: ...
    async def cancel(self, client_id: str) -> OrderState: ...
    async def replace(self, old_id: str, new_id: str, **order: str) -> str: ...
    async def trades(self) -> list[Traded]: ...
    async def place_list(self, kind: str, **parameters: str) -> None: ...
    async def cancel_list(self, list_id: str) -> None: ...


class Listener(Protocol):
    """A client's user stream: the statuses of an order and the balances of an asset received so far."""

    def statuses(self, client_id: str) -> list[str]: ...
    def free(self, asset: str) -> Decimal | None: ...


async def market_data(client: Client, rows: list[list[float]], *, instrument: Any) -> Decimal:
    """Ask for everything public; return the last price. `rows` are the bars up to the open one."""
    assert await client.rules() == (instrument.tick, instrument.lot)
    candles = await client.candles(5)
    assert [row[:5] for row in candles[:-1]] == [row[:5] for row in rows[-5:-1]]
    assert candles[-1][:2] == rows[-1][:2]
    last = await client.last_price()
    assert last == Decimal(str(rows[-1][1]))
    bid, ask = await client.best()
    assert bid <= last <= ask
    assert bid < ask
    return last


async def order_life(client: Client, last: Decimal) -> None:
    """Rest, ask, cancel; buy at the market; put a stop under it; every step seen from every side."""
    usdt, btc = await client.balance("USDT"), await client.balance("BTC")
    low = f"{last * Decimal('0.9'):.2f}"
    placed = await client.place("life-limit", "BUY", type="LIMIT", quantity="0.5", price=low)
    assert (placed.client_id, placed.status, placed.filled) == ("life-limit", "NEW", 0)
    assert await client.order("life-limit") == placed
    assert "life-limit" in await client.open_orders()
    free, locked = await client.balance("USDT")
    assert (free, locked) == (usdt[0] - Decimal("0.5") * Decimal(low), usdt[1] + Decimal("0.5") * Decimal(low))
    assert (await client.cancel("life-limit")).status == "CANCELED"
    assert await client.open_orders() == []
    assert await client.balance("USDT") == usdt

    bought = await client.place("life-market", "BUY", type="MARKET", quantity="0.2")
    assert (bought.status, bought.filled) == ("FILLED", Decimal("0.2"))
    traded = [trade for trade in await client.trades() if trade.exchange_id == bought.exchange_id]
    assert sum(trade.quantity for trade in traded) == Decimal("0.2")
    paid = sum(trade.quantity * trade.price for trade in traded)
    fees = {asset: sum(t.fee for t in traded if t.fee_asset == asset) for asset in ("USDT", "BTC")}
    assert (await client.balance("USDT"))[0] == usdt[0] - paid - fees["USDT"]
    assert (await client.balance("BTC"))[0] == btc[0] + Decimal("0.2") - fees["BTC"]

    stop = await client.place("life-stop", "SELL", type="STOP_LOSS", quantity="0.1", stopPrice=low)
    assert stop.status == "NEW"
    assert (await client.order("life-stop")).exchange_id == stop.exchange_id
    higher = {"type": "STOP_LOSS", "quantity": "0.1", "stopPrice": f"{last * Decimal('0.95'):.2f}"}
    assert await client.replace("life-stop", "life-stop-2", side="SELL", **higher) == "life-stop-2"
    assert (await client.order("life-stop")).status == "CANCELED"
    assert await client.open_orders() == ["life-stop-2"]
    assert (await client.cancel("life-stop-2")).status == "CANCELED"
    assert (await client.order("life-stop-2")).status == "CANCELED"


def list_parameters(kind: str, last: Decimal) -> dict[str, str]:
    """Return Binance's parameters of an order list whose entry, where it has one, rests below the price."""
    entry, stop, target = (f"{last * factor:.2f}" for factor in map(Decimal, ("0.95", "0.8", "1.2")))
    working = {"workingType": "LIMIT", "workingSide": "BUY", "workingPrice": entry, "workingQuantity": "0.3"}
    working |= {"workingTimeInForce": "GTC", "workingClientOrderId": f"{kind}-entry"}
    pending = {"pendingType": "STOP_LOSS", "pendingSide": "SELL", "pendingStopPrice": stop}
    pair = {"pendingSide": "SELL", "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": target}
    pair |= {"pendingBelowType": "STOP_LOSS", "pendingBelowStopPrice": stop}
    pair |= {"pendingAboveClientOrderId": f"{kind}-target", "pendingBelowClientOrderId": f"{kind}-stop"}
    oco = {"side": "SELL", "quantity": "0.1", "aboveType": "LIMIT_MAKER", "abovePrice": target}
    oco |= {"belowType": "STOP_LOSS", "belowStopPrice": stop}
    oco |= {"aboveClientOrderId": "oco-target", "belowClientOrderId": "oco-stop"}
    lists = {
        "oco": oco,
        "oto": working | pending | {"pendingQuantity": "0.3", "pendingClientOrderId": "oto-stop"},
        "otoco": working | pair | {"pendingQuantity": "0.3"},
        "opo": working | pending | {"pendingClientOrderId": "opo-stop"},
        "opoco": working | pair,
    }
    return {"symbol": VENUE_SYMBOL, "listClientOrderId": f"{kind}-list", **lists[kind]}


async def order_lists(client: Client, last: Decimal) -> None:
    """Place every kind of order list the client knows, see its orders, and cancel it whole."""
    for kind in sorted(client.lists):
        await client.place_list(kind, **list_parameters(kind, last))
        resting = await client.open_orders()
        assert f"{kind}-{'stop' if kind == 'oco' else 'entry'}" in resting, kind
        await client.cancel_list(f"{kind}-list")
        assert await client.open_orders() == [], kind
        ended = await client.order(f"{kind}-stop")
        assert ended.status in ENDED, kind


async def user_stream(client: Client, listener: Listener) -> None:
    """Buy, and hear of it; rest and cancel, and hear of that."""
    await client.place("heard-market", "BUY", type="MARKET", quantity="0.1")
    await until(lambda: listener.statuses("heard-market")[-1:] == ["FILLED"])
    low = f"{await client.last_price() * Decimal('0.9'):.2f}"
    await client.place("heard-limit", "BUY", type="LIMIT", quantity="0.1", price=low)
    await until(lambda: listener.statuses("heard-limit")[-1:] == ["NEW"])
    await client.cancel("heard-limit")
    await until(lambda: listener.statuses("heard-limit")[-1:] == ["CANCELED"])
    for asset in ("BTC", "USDT"):
        free, _ = await client.balance(asset)
        await until(lambda asset=asset, free=free: listener.free(asset) == free)


async def until(true: Any, *, seconds: float = PATIENCE_S) -> None:
    """Wait until something is true, or fail."""
    for _ in range(int(seconds / 0.01)):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"still not true after {seconds} s")

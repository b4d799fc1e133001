"""Playing one happening on the exchange: a price, a deposit, an order by hand, a cancellation."""

from decimal import Decimal
from typing import Any

from atb.venues.simulator.floor import Floor
from atb.venues.simulator.orders import STOPS
from atb.venues.simulator.refusals import Refusal
from atb.venues.simulator.requests import order_of
from atb.venues.simulator.scripts import Happening


def play(exchange: Floor, what: Happening) -> None:
    """Let a happening take its effect; an order that the exchange refuses is noted in the ledger."""
    detail = what.detail
    if what.kind == "price":
        tape = exchange.tapes[detail["symbol"]]
        tape.trade_at(float(detail["price"]))
        exchange.trading.meet(tape)
    elif what.kind == "deposit":
        exchange.trading.transfer(detail["asset"], Decimal(str(detail["amount"])))
    elif what.kind == "cancel":
        withdraw(exchange, detail)
    else:
        order_by_hand(exchange, detail, name=detail.get("newClientOrderId", "web_"))


def order_by_hand(exchange: Floor, detail: dict[str, Any], *, name: str) -> int | None:
    """Place an order that no program of ours asked for; return its id, None where the exchange refused it."""
    exchange.note("manual", {"order": dict(detail)})
    parameters = {key: str(value) for key, value in detail.items()}
    if name.endswith("_"):
        parameters["newClientOrderId"] = name + exchange.trading.book.new_name()
    try:
        return exchange.trading.place(order_of(exchange, parameters)).id
    except Refusal as refusal:
        exchange.note("refused", refusal.body())
        return None


def withdraw(exchange: Floor, detail: dict[str, Any]) -> None:
    """Cancel the open orders of a symbol, only those of a type (`stop`: any stop order) where one is given."""
    wanted = detail.get("type")
    for order in exchange.trading.book.open_in(detail["symbol"]):
        fits = wanted is None or order.type == wanted or (wanted == "stop" and order.type in STOPS)
        if order.open and fits and order.status != "PENDING_NEW":
            exchange.trading.cancel(order)

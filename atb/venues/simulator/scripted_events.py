"""Plays scripted events on the exchange: a price, a deposit, a manual order, a cancellation."""

from decimal import Decimal
from typing import Any

from atb.venues.simulator.floor import Floor
from atb.venues.simulator.orders import STOPS
from atb.venues.simulator.refusals import Refusal
from atb.venues.simulator.requests import read_order
from atb.venues.simulator.scripts import ScriptedEvent


def play_event(exchange: Floor, what: ScriptedEvent) -> None:
    """Play one event; a refused order is noted in the ledger."""
    detail = what.detail
    if what.kind == "price":
        tape = exchange.tapes[detail["symbol"]]
        tape.trade_at(float(detail["price"]), exchange.now_ms())
        exchange.trading.match_bar(tape)
    elif what.kind == "deposit":
        exchange.trading.transfer(detail["asset"], Decimal(str(detail["amount"])))
    elif what.kind == "cancel":
        cancel_orders(exchange, detail)
    else:
        place_manual_order(exchange, detail, name=detail.get("newClientOrderId", "web_"))


def place_manual_order(exchange: Floor, detail: dict[str, Any], *, name: str) -> int | None:
    """Place an order as a person would by hand; return its id, None if the exchange refused it."""
    exchange.note("manual", {"order": dict(detail)})
    parameters = {key: str(value) for key, value in detail.items()}
    if name.endswith("_"):
        parameters["newClientOrderId"] = name + exchange.trading.book.new_client_id()
    try:
        return exchange.trading.place(read_order(exchange, parameters)).id
    except Refusal as refusal:
        exchange.note("refused", refusal.body())
        return None


def cancel_orders(exchange: Floor, detail: dict[str, Any]) -> None:
    """Cancel the open orders of a symbol, only those of a type (`stop`: any stop order) where one is given."""
    wanted = detail.get("type")
    for order in exchange.trading.book.open_in(detail["symbol"]):
        fits = wanted is None or order.type == wanted or (wanted == "stop" and order.type in STOPS)
        if order.open and fits and order.status != "PENDING_NEW":
            exchange.trading.cancel(order)

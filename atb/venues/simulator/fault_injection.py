"""Injects the configured faults: timed faults are scheduled; requests and frames ask whether a fault strikes them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from atb.venues.simulator.faults import ON_READS, ON_REQUESTS, ON_STREAMS, TIMED, Fault
from atb.venues.simulator.floor import Floor
from atb.venues.simulator.orders import Order
from atb.venues.simulator.scripted_events import cancel_orders, place_manual_order, play_event
from atb.venues.simulator.scripts import ScriptedEvent

FOREIGN_CLIENT_ID = "x-stranger-"
_LAG_MS = 10_000  # as long as users of the exchange report; no page bounds it


class FaultInjector:
    """The faults of one exchange; the list in its configuration may grow while it runs."""

    def __init__(self, exchange: Floor) -> None:
        self._exchange = exchange
        self.faults: list[Fault] = exchange.config.faults
        self.maintenance = False
        self._planned: set[int] = set()

    def add(self, faults: list[Fault]) -> None:
        """Add faults; those that happen at a time are scheduled."""
        for fault in faults:
            if not any(fault is known for known in self.faults):
                self.faults.append(fault)
            if fault.kind in TIMED and id(fault) not in self._planned:
                self._planned.add(id(fault))
                at = fault.at_ms if fault.at_ms is not None else self._exchange.now_ms()
                self._exchange.plan(at, partial(self._start_timed, fault))

    def request_fault(self, *names: str) -> Fault | None:
        """Count a request known by these names, and return the fault that strikes it."""
        return self._next_fault(ON_REQUESTS, names)

    def lag_ms(self, *names: str) -> int:
        """Count a read known by these names, and return how old its answer is, in milliseconds."""
        fault = self._next_fault(ON_READS, names, lag_ms=_LAG_MS)
        usual = next((self._exchange.config.lags[name] for name in names if name in self._exchange.config.lags), 0)
        return int(fault.detail.get("lag_ms", _LAG_MS)) if fault is not None else usual

    def order_fault(self, kind: str, order: Order) -> Mapping[str, Any] | None:
        """Count an order that a kind of fault may strike, and return the details of the fault that does."""
        now, found = self._exchange.now_ms(), {"symbol": order.symbol, "side": order.side}
        for fault in self.faults:
            wanted = {name: value for name, value in fault.detail.items() if name in found}
            if fault.kind == kind and wanted.items() <= found.items() and fault.strikes(fault.path, now_ms=now):
                self._exchange.note("fault", {"fault": kind, "struck": order.client_id})
                return fault.detail
        return None

    def frame_fault(self, *names: str) -> Fault | None:
        """Count a stream's frame known by these names, and return the fault that strikes it; nearly always None."""
        return self._next_fault(ON_STREAMS, names)

    def pending(self) -> list[Fault]:
        """Return the faults that may still strike."""
        now = self._exchange.now_ms()
        return [fault for fault in self.faults if fault.times and not fault.is_over(now)]

    def _next_fault(self, kinds: frozenset[str], names: tuple[str, ...], **usual: int) -> Fault | None:
        """Return the fault that strikes, and note it with those of its details that have a `usual` value."""
        now = self._exchange.now_ms()
        fault = next(
            (fault for fault in self.faults if fault.kind in kinds and fault.strikes(*names, now_ms=now)), None
        )
        if fault is not None:
            details = {name: fault.detail.get(name, value) for name, value in usual.items()}
            self._exchange.note("fault", {"fault": fault.kind, "path": fault.path, "struck": names[0]} | details)
        return fault

    def _start_timed(self, fault: Fault) -> None:
        """Apply a timed fault."""
        exchange, detail = self._exchange, fault.detail
        exchange.note("fault", {"fault": fault.kind, "detail": dict(detail)})
        fault.times = 0
        if fault.kind == "skew":
            exchange.skew_ms += int(detail["ms"])
        elif fault.kind in {"manual", "stranger"}:
            place_manual_order(
                exchange, detail["order"], name="web_" if fault.kind == "manual" else FOREIGN_CLIENT_ID + "_"
            )
        elif fault.kind == "cancel_stop":
            cancel_orders(exchange, {"type": "stop"} | detail)
        elif fault.kind == "deposit":
            play_event(exchange, ScriptedEvent(exchange.now_ms(), "deposit", detail))
        else:
            self._switch(fault, on=True)
            if fault.until_ms is not None:
                exchange.plan(fault.until_ms, lambda: self._switch(fault, on=False))

    def _switch(self, fault: Fault, *, on: bool) -> None:
        """Switch a lasting fault on or off."""
        exchange, symbol = self._exchange, fault.detail.get("symbol", "*")
        if fault.kind == "maintenance":
            self.maintenance = on
        elif fault.kind in {"halt", "symbol"}:
            tape, values = exchange.tapes[symbol], {"status": "HALT"} if fault.kind == "halt" else {}
            values |= {name: value for name, value in fault.detail.items() if name != "symbol"}
            tape.capabilities = (
                tape.capabilities.changed(values) if on else tape.capabilities.restored(values, tape.usual)
            )
        elif fault.kind == "freeze":
            frozen = exchange.market.frozen
            frozen.pop(symbol, None)
            frozen.update({symbol: exchange.now_ms()} if on else {})
        else:
            key = (symbol, int(fault.detail["opened"]))
            revised = exchange.market.revised
            revised.pop(key, None)
            revised.update({key: float(fault.detail.get("factor", 1.01))} if on else {})
        if not on:
            exchange.note("fault", {"fault": fault.kind, "ended": symbol, "detail": dict(fault.detail)})

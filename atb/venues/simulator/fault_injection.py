"""Faults at work: those that happen at a time are planned, those that strike requests or frames are asked for."""

from atb.venues.simulator.faults import ON_REQUESTS, ON_STREAMS, TIMED, Fault
from atb.venues.simulator.floor import Floor
from atb.venues.simulator.scripted_events import cancel_orders, place_manual_order, play_event
from atb.venues.simulator.scripts import ScriptedEvent

STRANGER = "x-stranger-"


class FaultInjector:
    """The fault table of one exchange; the list of faults may also grow from outside."""

    def __init__(self, exchange: Floor) -> None:
        self._exchange = exchange
        self.faults: list[Fault] = exchange.config.faults
        self.maintenance = False
        self._planned: set[int] = set()

    def add(self, faults: list[Fault]) -> None:
        """Take faults on."""
        for fault in faults:
            if not any(fault is known for known in self.faults):
                self.faults.append(fault)
            if fault.kind in TIMED and id(fault) not in self._planned:
                self._planned.add(id(fault))
                at = fault.at_ms if fault.at_ms is not None else self._exchange.now_ms()
                self._exchange.plan(at, lambda it=fault: self._start_timed(it))  # type: ignore[misc] # its default

    def request_fault(self, *names: str) -> Fault | None:
        """Count a request by its names, and return the fault that strikes it."""
        return self._next_fault(ON_REQUESTS, names)

    def frame_fault(self, *names: str) -> Fault | None:
        """Count a stream's frame by its names (`*` matches any), and return the fault that strikes it; None is nearly always."""
        return self._next_fault(ON_STREAMS, names)

    def pending(self) -> list[Fault]:
        """Return the faults that may still strike."""
        return [fault for fault in self.faults if fault.times]

    def _next_fault(self, kinds: frozenset[str], names: tuple[str, ...]) -> Fault | None:
        now = self._exchange.now_ms()
        fault = next((one for one in self.faults if one.kind in kinds and one.strikes(*names, now_ms=now)), None)
        if fault is not None:
            self._exchange.note("fault", {"fault": fault.kind, "path": fault.path, "struck": names[0]})
        return fault

    def _start_timed(self, fault: Fault) -> None:
        """Let a fault that happens at a time take its effect."""
        exchange, detail = self._exchange, fault.detail
        exchange.note("fault", {"fault": fault.kind, "detail": dict(detail)})
        fault.times = 0
        if fault.kind == "skew":
            exchange.skew_ms += int(detail["ms"])
        elif fault.kind in {"manual", "stranger"}:
            place_manual_order(exchange, detail["order"], name="web_" if fault.kind == "manual" else STRANGER + "_")
        elif fault.kind == "cancel_stop":
            cancel_orders(exchange, {"type": "stop"} | detail)
        elif fault.kind == "deposit":
            play_event(exchange, ScriptedEvent(exchange.now_ms(), "deposit", detail))
        else:
            self._switch(fault, on=True)
            if fault.until_ms is not None:
                exchange.plan(fault.until_ms, lambda: self._switch(fault, on=False))

    def _switch(self, fault: Fault, *, on: bool) -> None:
        """Switch a state on or off."""
        exchange, symbol = self._exchange, fault.detail.get("symbol", "*")
        if fault.kind == "maintenance":
            self.maintenance = on
        elif fault.kind == "halt":
            exchange.tapes[symbol].halted = on
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
            exchange.note("fault", {"fault": fault.kind, "ended": symbol})

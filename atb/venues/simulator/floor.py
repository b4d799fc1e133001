"""The part of the exchange that faults, scripted events and requests use, as a protocol: they need not import the exchange."""

from collections.abc import Callable
from typing import Any, Protocol

from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.market import Market
from atb.venues.simulator.tape import Tape
from atb.venues.simulator.trading import Trading


class Floor(Protocol):
    """The exchange as seen by what acts on it; times are epoch milliseconds."""

    config: ExchangeConfig
    market: Market
    tapes: dict[str, Tape]
    trading: Trading
    skew_ms: int

    def now_ms(self) -> int:
        """Return the exchange's time."""
        ...

    def plan(self, time_ms: int, act: Callable[[], None]) -> None:
        """Schedule a call at a time."""
        ...

    def note(self, kind: str, values: dict[str, Any]) -> None:
        """Append an entry to the ledger."""
        ...

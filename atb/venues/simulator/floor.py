"""What faults, happenings and requests need of an exchange: its present, its market, its orders, its ledger."""

from collections.abc import Callable
from typing import Any, Protocol

from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.market import Market
from atb.venues.simulator.tape import Tape
from atb.venues.simulator.trading import Trading


class Floor(Protocol):
    """An exchange, seen by what acts on it; times are epoch milliseconds."""

    config: ExchangeConfig
    market: Market
    tapes: dict[str, Tape]
    trading: Trading
    skew_ms: int

    def now_ms(self) -> int:
        """Return the moment that is being played."""
        ...

    def plan(self, time_ms: int, act: Callable[[], None]) -> None:
        """Let something happen at a time."""
        ...

    def note(self, kind: str, values: dict[str, Any]) -> None:
        """Append to the ledger."""
        ...

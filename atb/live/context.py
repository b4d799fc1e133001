"""Contexts of a runner: its own (database, account, limits), the venue's, and the window of bars to trade."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from atb.db import Database
from atb.domain import Timer
from atb.domain.ports import Broker
from atb.live.bell import Bell
from atb.live.execution.timing import DeskTiming
from atb.live.feed.inputs import EventSource
from atb.live.journal.breakers import Breakers
from atb.live.journal.kill_switch import KillSwitch
from atb.live.portfolio import Portfolio
from atb.live.recheck import Recheck
from atb.live.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Window:
    """Which bars are traded: opens in [since, until), ISO 8601; None is the default start, and the end of the stored bars."""

    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class RunnerContext:
    """Everything a session needs but its market: database, account, limits, and what stops it.

    Parameters
    ----------
    database, account
        One runner per account.
    switch, bell
        The kill switch outside the database; the bell that wakes and stops the loop.
    breakers
        How much may be sent.
    grace_s
        Seconds the database may be away before the runner gives up.
    config
        Stored with the session's row.
    telemetry
        Metrics, log lines and the health page's data.
    max_loss
        Loss of the starting cash (quote) at which everything is closed; None is no limit.
    adopt
        Whether to take over the account's session under other manifests.
    shadow
        Promotions that are watched on the same bars and send nothing.
    health_page
        Served while this runner holds the account.
    recheck
        Verifies the promotions again while they trade; None does not.
    """

    database: Database
    account: str
    switch: KillSwitch = field(default_factory=KillSwitch)
    bell: Bell = field(default_factory=Bell)
    breakers: Breakers = field(default_factory=Breakers)
    grace_s: float = 60.0
    config: dict[str, Any] = field(default_factory=dict)
    telemetry: Telemetry = field(default_factory=Telemetry)
    max_loss: float | None = None
    adopt: bool = False
    shadow: Portfolio | None = None
    health_page: Callable[[], AbstractContextManager[None]] = nullcontext
    recheck: Recheck | None = None


@dataclass(frozen=True)
class VenueContext:
    """The venue of a session: its broker and clock, and how the desk paces itself.

    Parameters
    ----------
    broker, timer
        The venue, and its time.
    timing
        Pauses and margins.
    compare_ms
        Exchange time between two comparisons of the account with the books.
    tolerance
        Relative difference between account and books that is ignored.
    tick_ms
        Longest wait between two looks at the kill switch; None on a virtual clock.
    until_ms
        End of trading (a rehearsal's), None where there is none.
    events
        Where funding and sentiment that strategies read come from; None where there is no source.
    accept
        Whether what the account has beyond the books is ignored from now on.
    """

    broker: Broker
    timer: Timer
    timing: DeskTiming = field(default_factory=DeskTiming)
    compare_ms: int = 60_000
    tolerance: Decimal = Decimal("1e-6")
    tick_ms: int | None = 1_000
    until_ms: int | None = None
    accept: bool = False
    events: EventSource | None = None

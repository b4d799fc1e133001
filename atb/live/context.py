"""What a session is given: the office (database, account, limits), the venue, and which bars."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from atb.db import Database
from atb.domain import Timer
from atb.domain.ports import Broker
from atb.live.adoption import PreviousSession, session_of
from atb.live.execution.timing import Rules
from atb.live.journal.breakers import Breakers
from atb.live.journal.kill_switch import KillSwitch
from atb.live.journal.recovery import Resumed, find_session
from atb.live.loop import Bell
from atb.live.portfolio import Portfolio
from atb.live.recheck import Recheck
from atb.live.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Window:
    """Which bars are traded: opens in [since, until); None is the default start, and the end of the stored bars."""

    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class RunnerContext:
    """What every session needs: where it is written, for which account, and what stops it.

    Parameters
    ----------
    database, account
        One runner per account.
    switch, bell
        The kill switch past the database; rung by signals.
    breakers
        How much may be sent.
    grace_s
        How long the database may be away, in seconds.
    config
        What else the session's row shall say.
    watch
        Told how things stand.
    max_loss
        Quote currency that the account may lose of its cash before everything is closed; None is any loss.
    adopt
        Whether to take over the account's session under other manifests.
    shadow
        Promotions that are watched on the same bars, and send nothing.
    page
        Shows how things stand, from when the account is this runner's until it is given back.
    recheck
        Checks what is promoted again while it trades; None does not.
    """

    database: Database
    account: str
    switch: KillSwitch = field(default_factory=KillSwitch)
    bell: Bell = field(default_factory=Bell)
    breakers: Breakers = field(default_factory=Breakers)
    grace_s: float = 60.0
    config: dict[str, Any] = field(default_factory=dict)
    watch: Telemetry = field(default_factory=Telemetry)
    max_loss: float | None = None
    adopt: bool = False
    shadow: Portfolio | None = None
    page: Callable[[], AbstractContextManager[None]] = nullcontext
    recheck: Recheck | None = None

    def place(self, portfolio: Portfolio, *, alone: bool) -> tuple[Resumed | None, PreviousSession | None]:
        """Return where the portfolio's session stands, and whose it was if it is to be taken over.

        Raises
        ------
        InputError
            As `adoption.session_of`.
        """
        before = session_of(self.database, self.account, portfolio, adopt=self.adopt, alone=alone)
        key = portfolio.key if before is None else before.key
        return find_session(self.database, self.account, key), before


@dataclass(frozen=True)
class VenueContext:
    """The venue of a session: its broker and clock, and how patient the desk is.

    Parameters
    ----------
    broker, timer
        The venue, and its time.
    rules
        Pauses and margins.
    compare_ms
        Exchange time between two comparisons of the account with the books.
    tolerance
        Difference that is none, as a share.
    tick_ms
        Longest wait between two looks at the kill switch; None on a virtual clock.
    until_ms
        End of trading (a rehearsal's), None where there is none.
    accept
        Whether what the account has beyond the books is none of our business from now on.
    """

    broker: Broker
    timer: Timer
    rules: Rules = field(default_factory=Rules)
    compare_ms: int = 60_000
    tolerance: Decimal = Decimal("1e-6")
    tick_ms: int | None = 1_000
    until_ms: int | None = None
    accept: bool = False

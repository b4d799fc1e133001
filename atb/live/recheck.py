"""What was promoted is checked again while it trades, by the very function that let it start.

A runner goes on with the code that it verified: its sources are sealed in memory. So a check that fails says that what lies there
now is not what trades, not that what trades is wrong. The kill switch is then set to `pause`: no new entries, since nobody knows
what the next start would run; stops, targets and exits go on as promoted, since to close or to leave them bare would be a
decision that no evidence speaks for. The switch latches: restore what changed, start the runner anew, and resume the account;
until then a start refuses.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from atb.errors import AtbError
from atb.live.halt import Level, Switch
from atb.monitoring import get_logger

_log = get_logger(__name__)
SOURCE = "promotion"


@dataclass
class Recheck:
    """A check that is due every so often.

    Parameters
    ----------
    check
        Raises an error where what trades is not what is pinned; one that nobody foresaw counts as much. It runs in a thread.
    every_s
        Seconds of this machine between two checks.
    clock
        Gives seconds; another one in tests.
    """

    check: Callable[[], None]
    every_s: float
    clock: Callable[[], float] = monotonic
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        """Count from now: the start has just checked."""
        self._last = self.clock()

    async def look(self, switch: Switch) -> None:
        """Check if it is time to; pause the entries where the check fails."""
        if self.clock() - self._last < self.every_s:
            return
        try:
            await asyncio.to_thread(self.check)
        except Exception as changed:  # noqa: BLE001 - whatever kept the check from passing must not end what looks after positions
            told = str(changed) if isinstance(changed, AtbError | OSError) else f"{type(changed).__name__}: {changed}"
            _log.error("what is promoted is not what is pinned: no new entries", found=told)
            switch.signal(Level.PAUSE, told, source=SOURCE)
        self._last = self.clock()

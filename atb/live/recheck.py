"""Verifies the promotions again while they trade, with the same function that let the runner start, beside the loop.

A runner goes on with the code that it verified: its sources are sealed in memory. A check that fails therefore says that the files
on disk are no longer what trades, not that what trades is wrong. The kill switch is then set to `pause`: no new entries, since it
is unknown what the next start would run; stops, targets and exits go on as promoted, since no evidence supports closing positions
or leaving them without protection. The pause latches: restore what changed, restart the runner, and resume the account; until
then a start is refused.

The check reads files, and a file system can hang. So it runs in its own thread, the loop never waits for it, and no second check
begins before the first has returned. A late check says nothing about the promotions: entries are paused only until it returns
(`KillSwitch.hold`), which does not latch. If it returns clean, this pause alone is lifted; if it returns with a fault, the latching
pause takes its place. Both are recorded, as `recheck_late` and `recheck_back`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from atb.errors import AtbError
from atb.live.journal.kill_switch import KillSwitch, Level
from atb.live.journal.step import Notice
from atb.monitoring import get_logger
from atb.threads import Call

_log = get_logger(__name__)
SOURCE = "promotion"
LATE_S = 60.0  # a check takes less than a second if the disk answers


@dataclass
class Recheck:
    """A check that runs at intervals.

    Parameters
    ----------
    check
        Raises an error if what trades is not what is pinned; an unexpected error counts as well. It runs in a thread, and may
        never return.
    every_s
        Seconds between the end of a check and the start of the next.
    late_s
        Seconds after which a check that has not returned pauses entries.
    clock
        Returns seconds; replaced in tests.
    """

    check: Callable[[], None]
    every_s: float
    late_s: float = LATE_S
    clock: Callable[[], float] = monotonic
    _last: float = field(init=False)  # when the running check began, or the last one ended
    _call: Call[None] | None = field(init=False, default=None)
    _late: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Count from now: the start has just verified everything."""
        self._last = self.clock()

    def look(self, switch: KillSwitch) -> list[Notice]:
        """Start a check if it is due, and take the result of one that returned; return the notices to record."""
        if self._call is None:
            if self.clock() - self._last >= self.every_s:
                self._last, self._call = self.clock(), Call(self.check, "recheck")
            return []
        if self._call.done:
            done, self._call, self._last = self._call, None, self.clock()
            self._judge(done, switch)
            return self._back(switch)
        if not self._late and self.clock() - self._last >= self.late_s:
            self._late = True
            return [self._hold(switch)]
        return []

    def _judge(self, done: Call[None], switch: KillSwitch) -> None:
        """Pause entries if the check failed."""
        try:
            done.result()
        except Exception as error:  # noqa: BLE001 - no failure of the check may end the loop that guards positions
            reason = str(error) if isinstance(error, AtbError | OSError) else f"{type(error).__name__}: {error}"
            _log.error("what is promoted is not what is pinned: no new entries", found=reason)
            switch.signal(Level.PAUSE, reason, source=SOURCE)

    def _hold(self, switch: KillSwitch) -> Notice:
        reason = f"the check of what is promoted has not come back for {self.late_s:g} s: does the disk answer?"
        switch.hold(SOURCE, reason)
        return Notice("recheck_late", {"reason": reason, "entries": "paused until it comes back"}, "error")

    def _back(self, switch: KillSwitch) -> list[Notice]:
        """Lift the hold of a check that was late."""
        was_late, self._late = self._late, False
        switch.release(SOURCE)
        return [Notice("recheck_back", {"entries": "no longer paused by its lateness"})] if was_late else []

"""What was promoted is checked again while it trades, by the very function that let it start, beside the loop that trades.

A runner goes on with the code that it verified: its sources are sealed in memory. So a check that fails says that what lies there
now is not what trades, not that what trades is wrong. The kill switch is then set to `pause`: no new entries, since nobody knows
what the next start would run; stops, targets and exits go on as promoted, since to close or to leave them bare would be a
decision that no evidence speaks for. The switch latches: restore what changed, start the runner anew, and resume the account;
until then a start refuses.

The check reads files, and a file system can hang. So it runs in a thread of its own, the loop never waits for it, and no second
one begins before the first has come back. One that is late says nothing about what is promoted: entries are paused only for
as long as it lasts (`KillSwitch.hold`), which is not latched. When it comes back clean this pause is lifted, and no other one; when
it comes back with a fault, the latching pause takes its place. Both are on record, as `recheck_late` and `recheck_back`.
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
LATE_S = 60.0  # of this machine; a check takes less than a second where the disk answers


@dataclass
class Recheck:
    """A check that is due every so often.

    Parameters
    ----------
    check
        Raises an error where what trades is not what is pinned; one that nobody foresaw counts as much. It runs in a thread, and
        may never return.
    every_s
        Seconds of this machine between the end of a check and the beginning of the next.
    late_s
        Seconds after which a check that has not come back pauses entries.
    clock
        Gives seconds; another one in tests.
    """

    check: Callable[[], None]
    every_s: float
    late_s: float = LATE_S
    clock: Callable[[], float] = monotonic
    _last: float = field(init=False)  # when one began, or the one before ended
    _call: Call[None] | None = field(init=False, default=None)
    _late: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Count from now: the start has just checked."""
        self._last = self.clock()

    def look(self, switch: KillSwitch) -> list[Notice]:
        """Begin a check if it is time to, and take the result of one that came back; return what is to go on record."""
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
        """Pause the entries where the check failed."""
        try:
            done.result()
        except Exception as changed:  # noqa: BLE001 - whatever kept the check from passing must not end what looks after positions
            told = str(changed) if isinstance(changed, AtbError | OSError) else f"{type(changed).__name__}: {changed}"
            _log.error("what is promoted is not what is pinned: no new entries", found=told)
            switch.signal(Level.PAUSE, told, source=SOURCE)

    def _hold(self, switch: KillSwitch) -> Notice:
        reason = f"the check of what is promoted has not come back for {self.late_s:g} s: does the disk answer?"
        switch.hold(SOURCE, reason)
        return Notice("recheck_late", {"reason": reason, "entries": "paused until it comes back"}, "error")

    def _back(self, switch: KillSwitch) -> list[Notice]:
        """Lift the pause of a check that was late."""
        was_late, self._late = self._late, False
        switch.release(SOURCE)
        return [Notice("recheck_back", {"entries": "no longer paused by its lateness"})] if was_late else []

"""Whether a session's runner is at work: by its process, its lease, and the bars that it should have decided on.

A process that lives proves little: its feed may be silent. So its last decisions count too. Where they were made when their bars
closed, the next one is due at the close of the next bar; where the bars are of the past, as in a rehearsal or a replay, the pace of
the last decisions says when the next is due.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from atb.domain.timeframe import Timeframe
from atb.live.journal.lease import TTL_MS

SILENT_MS = 3_000  # without a renewal of the lease, which is renewed every second
LATE_MS = 4_000  # after a bar's close, until its decision counts as overdue
PACES = 3  # multiples of the usual time between two decisions on past bars
_LAGGING_MS = 60_000  # decisions made later than this after a bar's length are on past bars


@dataclass(frozen=True, slots=True)
class Decisions:
    """A session's decisions, as far as they are known; times in epoch milliseconds.

    Parameters
    ----------
    slots
        By trading slot: its symbol, its timeframe, and the open of the last bar that was decided on (None without one).
    written
        Of the newest decisions, the newest first: the open of the bar, its timeframe, and when the row was written.
    """

    slots: Sequence[tuple[str, str, int | None]]
    written: Sequence[tuple[int, str, int]]


@dataclass(frozen=True, slots=True)
class Stale:
    """Since when a runner is not at work, epoch milliseconds, and how that shows."""

    since_ms: int
    why: str


def stale(
    *, held: bool, renewed_until_ms: int | None, begun_ms: int, decisions: Decisions, now_ms: int
) -> Stale | None:
    """Return since when a session that calls itself running is not at work; None if all is well.

    Parameters
    ----------
    held
        Whether a process that may live holds the account.
    renewed_until_ms
        Until when the lease is; None without one, 0 for one that was released.
    begun_ms
        When this runner began.
    now_ms
        The present.
    """
    renewed_ms = begun_ms if not renewed_until_ms else renewed_until_ms - TTL_MS
    if not held:
        return Stale(renewed_ms, "no process holds the account: start the runner again, it goes on after its last bar")
    if now_ms - renewed_ms > SILENT_MS:
        return Stale(renewed_ms, "the runner has written nothing since, though its process may live")
    return overdue(decisions, begun_ms=begun_ms, now_ms=now_ms)


def overdue(decisions: Decisions, *, begun_ms: int, now_ms: int) -> Stale | None:
    """Return since when a decision is missing; None while none is."""
    if not decisions.written:
        lengths = [Timeframe.parse(timeframe).seconds * 1_000 for _, timeframe, _ in decisions.slots]
        due_ms = begun_ms + min(lengths, default=now_ms)
        return Stale(due_ms, "no bar was decided on yet") if now_ms > due_ms + LATE_MS else None
    return _overdue_bar(decisions, now_ms) if _in_time(*decisions.written[0]) else _fallen_behind(decisions, now_ms)


def _in_time(bar_ms: int, timeframe: str, written_ms: int) -> bool:
    """Return whether a decision was written about when its bar closed."""
    length = Timeframe.parse(timeframe)
    return written_ms - length.next_ms(bar_ms) < length.seconds * 1_000 + _LAGGING_MS


def _overdue_bar(decisions: Decisions, now_ms: int) -> Stale | None:
    found = []
    for symbol, timeframe, bar_ms in decisions.slots:
        if bar_ms is None:
            continue
        length = Timeframe.parse(timeframe)
        due_ms = length.next_ms(length.next_ms(bar_ms))
        if now_ms > due_ms + LATE_MS:
            found.append(Stale(due_ms, f"no decision on the {timeframe} bar of {symbol} that closed then"))
    return min(found, key=lambda one: one.since_ms, default=None)


def _fallen_behind(decisions: Decisions, now_ms: int) -> Stale | None:
    """Judge decisions on past bars by their own pace."""
    moments = sorted({bar_ms: written_ms for bar_ms, _, written_ms in decisions.written}.values())
    if len(moments) < 3:
        return None
    pace_ms = median(after - before for before, after in pairwise(moments))
    if now_ms - moments[-1] <= PACES * pace_ms + LATE_MS:
        return None
    return Stale(moments[-1], f"no decision since; there was one every {pace_ms / 1_000:.1f} s")

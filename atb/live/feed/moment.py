"""What a feed gives: moments of the market, each with the bars that close and open then."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from atb.domain import Bars, Timeframe
from atb.live.journal.step import Notice


@dataclass(frozen=True)
class Moment:
    """Bars by slot, each a series of one row.

    Parameters
    ----------
    time_ms
        The moment, epoch milliseconds UTC: the close of `closing` and the open of `opening`.
    closing
        Bars that close now, to be decided on.
    opening
        Bars that open now, as far as they are known yet; only their open may be used.
    finest
        The shortest timeframe traded, whether a bar of it closes now or not; None takes the shortest that closes.
    late
        True if another slot has already reached this time: equity for it was written then, and is not written again.
    """

    time_ms: int
    closing: Mapping[int, Bars] = field(default_factory=dict)
    opening: Mapping[int, Bars] = field(default_factory=dict)
    finest: Timeframe | None = None
    late: bool = False

    @property
    def bar_ms(self) -> int | None:
        """Open of the finest bar that ends now, None if none closes or all are late: each has its own, as in a backtest."""
        if not self.closing or self.late:
            return None
        shortest = min(self.closing.values(), key=lambda bar: bar.timeframe.seconds)
        finest = self.finest or shortest.timeframe
        if finest.unit == "M" or finest == shortest.timeframe:
            return int(shortest.opened_ms[-1])
        return self.time_ms - finest.seconds * 1_000


class Feed(Protocol):
    """Where closed bars come from, one moment at a time; `notices` are taken by whoever writes the audit trail."""

    notices: list[Notice]

    def histories(self) -> dict[int, Bars]:
        """Return by slot the bars known at the start: the warm-up, and what was traded already."""
        ...

    def next_ms(self) -> int | None:
        """Return when the next bar closes or opens, epoch milliseconds; None where the feed is at its end."""
        ...

    async def take(self) -> Moment | None:
        """Return the next moment once its time has come, None where nothing is there yet."""
        ...

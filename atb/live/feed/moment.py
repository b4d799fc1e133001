"""A moment of the market: which bars close now, and which open."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from atb.domain import Bars, Timeframe


@dataclass(frozen=True)
class Moment:
    """Bars by slot, each a series of one row.

    Parameters
    ----------
    time_ms
        The moment, epoch milliseconds UTC: the close of `closing` and the open of `opening`.
    closing
        Bars that are closed now, to be decided on.
    opening
        Bars that open now, as far as they are known yet; nothing but their open may be used.
    finest
        The shortest timeframe of all that is traded, whether a bar of it closes now or not; None takes the shortest that closes.
    late
        Whether another slot was at this moment, or beyond it, before: the account's equity was told then, and is not again.
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

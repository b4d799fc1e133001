"""The live feed: closed candles of a venue, each given once, late ones too; the venue's clock decides when a bar is closed."""

from collections.abc import Mapping
from dataclasses import dataclass

from atb.decimals import counted
from atb.domain import Bars
from atb.domain.ports import Broker
from atb.errors import DataError, VenueError
from atb.live.feed.inputs import EventSource, InputFeed, Rows
from atb.live.feed.market import Moment
from atb.live.journal.step import Notice
from atb.live.portfolio import Portfolio
from atb.monitoring import get_logger

_log = get_logger(__name__)
_RETRY_MS = 1_000
_SPARE = 20  # bars fetched beyond the warm-up, since a venue's candles may have gaps


@dataclass
class _Series:
    """One slot's candles: the newest bar known, and those that were fetched and not given out yet."""

    last: Bars
    waiting: list[Bars]


class CandleFeed:
    """Candles of a broker.

    Where several bars were missed they are given out one by one, oldest first: the kernel sees every bar. A bar that the venue
    does not have when a later one is closed is a gap, and passed over. Where one slot's bar stays away, the others go on without
    it, and it is late when it comes. A bar that was given out is never taken back; where the venue revises it, that is noted.

    Parameters
    ----------
    broker
        The venue.
    portfolio
        Whose symbols and timeframes.
    until_ms
        Exchange time of the last moment; None where there is no end.
    events
        Where funding and sentiment come from.
    """

    def __init__(
        self, broker: Broker, portfolio: Portfolio, *, until_ms: int | None = None, events: EventSource | None = None
    ) -> None:
        self._broker, self._portfolio, self._until_ms = broker, portfolio, until_ms
        self._inputs = InputFeed(broker, portfolio, events)
        self._input_histories: dict[int, Rows] = {}
        self._series: dict[int, _Series] = {}
        self._histories: dict[int, Bars] = {}
        self._retry_ms = self._given_ms = 0
        self.notices: list[Notice] = []

    async def open(self, trade_from_ms: int, last_bars: Mapping[int, int | None]) -> None:
        """Fetch the warm-up, and what was traded before a restart.

        Raises
        ------
        DataError
            If the venue has too few bars.
        VenueError
            If it does not show what was decided on last.
        """
        for slot, plan in enumerate(self._portfolio.plans):
            lead = self._portfolio.lead_bars(plan)
            since = trade_from_ms - (lead + _SPARE) * plan.timeframe.seconds * 1_000
            bars = await self._broker.bars(plan.symbol, plan.timeframe, since_ms=since)
            last = last_bars.get(slot)
            known_to = trade_from_ms if last is None else last + 1
            count = 0 if bars is None else int(bars.opened_ms.searchsorted(known_to))
            if bars is None or count < min(lead, plan.warmup) or not count:
                found = f"{counted(count, 'bar')} of {plan.symbol} {plan.timeframe} before {known_to}"
                raise DataError(f"{plan.manifest.name} needs {lead} bars to warm up", found=found)
            if last is not None and int(bars.opened_ms[count - 1]) < last:
                # It was closed when it was decided on: the venue's clock went back, or its candles stand still.
                raise VenueError(
                    f"The venue does not show the bar of {plan.symbol} that was decided on last",
                    found=f"nothing after {int(bars.opened_ms[count - 1])}, decided was {last}",
                    todo="Start again in a moment",
                )
            self._histories[slot] = bars.rows(0, count)
            waiting = [bars.rows(row, row + 1) for row in range(count, len(bars))]
            self._series[slot] = _Series(bars.rows(count - 1, count), waiting)
            if last is not None:
                self._given_ms = max(self._given_ms, plan.timeframe.next_ms(last))
        windows = {
            slot: self._histories[slot].last(plan.warmup + 1).closed_ms[[0, -1]].tolist()
            for slot, plan in enumerate(self._portfolio.plans)
            if plan.inputs
        }
        self._input_histories = await self._inputs.open(windows)

    def histories(self) -> dict[int, Bars]:
        """Return by slot the bars known at the start."""
        return self._histories

    def input_histories(self) -> dict[int, Rows]:
        """Return by slot and name the rows of inputs known at the start."""
        return self._input_histories

    def next_ms(self) -> int | None:
        """Return when the next bar closes; a second from now if one is overdue."""
        coming = max(self._retry_ms, min(self._due_ms(slot) for slot in self._series))
        return None if self._until_ms is not None and coming > self._until_ms else coming

    async def take(self) -> Moment | None:
        """Return the oldest moment whose bars are closed; None if the venue has nothing new."""
        now = self._broker.now_ms()
        for slot, series in self._series.items():
            if not series.waiting and self._due_ms(slot) <= now:
                await self._fetch(slot, series)
        closes = {slot: _close_ms(series.waiting[0]) for slot, series in self._series.items() if series.waiting}
        if not closes:
            self._retry_ms = now + _RETRY_MS
            return None
        time_ms = min(closes.values())
        slots = [slot for slot, close in closes.items() if close == time_ms]
        await self._inputs.fetch(slots, time_ms)
        behind = self._awaited(time_ms) or bool(self._inputs.missing(slots, time_ms))
        if behind and now - time_ms < _RETRY_MS * 2:
            self._retry_ms = now + _RETRY_MS
            return None
        self._retry_ms = 0
        inputs = self._inputs.take(slots, time_ms)
        self.notices += self._inputs.take_notices()
        closing = {}
        for slot in slots:
            closing[slot] = self._series[slot].last = self._series[slot].waiting.pop(0)
        late, self._given_ms = time_ms <= self._given_ms, max(time_ms, self._given_ms)
        return Moment(time_ms, closing, finest=self._portfolio.finest, late=late, inputs=inputs)

    def _awaited(self, time_ms: int) -> bool:
        """Return whether another slot's bar of this close may still arrive: shared cash wants them decided together."""
        return any(not series.waiting and self._due_ms(slot) <= time_ms for slot, series in self._series.items())

    def _due_ms(self, slot: int) -> int:
        """Return the close of the slot's next bar."""
        series = self._series[slot]
        if series.waiting:
            return _close_ms(series.waiting[0])
        timeframe = self._portfolio.plans[slot].timeframe
        return timeframe.next_ms(timeframe.next_ms(int(series.last.opened_ms[-1])))

    async def _fetch(self, slot: int, series: _Series) -> None:
        plan, last = self._portfolio.plans[slot], series.last
        try:
            bars = await self._broker.bars(plan.symbol, plan.timeframe, since_ms=int(last.opened_ms[-1]))
        except VenueError as error:
            _log.warning("the venue gives no candles", symbol=str(plan.symbol), error=str(error))
            return
        if bars is None:
            return
        first = int(bars.opened_ms.searchsorted(int(last.opened_ms[-1]) + 1))
        if first and not bars.frame.iloc[0].equals(last.frame.iloc[-1]):
            detail = {"symbol": str(plan.symbol), "bar_ms": int(last.opened_ms[-1])}
            self.notices.append(Notice("bar_revised", detail, "warning"))
            series.last = bars.rows(0, 1)  # reported once; the decision stays
        series.waiting += [bars.rows(row, row + 1) for row in range(first, len(bars))]


def _close_ms(bar: Bars) -> int:
    return bar.timeframe.next_ms(int(bar.opened_ms[-1]))

"""A shadow: a promotion watched before it trades; it decides on every close, on paper with its own book, and sends nothing."""

from collections.abc import Mapping

from atb.domain import Bars
from atb.domain.input_series import InputSeries
from atb.errors import InputError
from atb.live.execution.book import Book
from atb.live.execution.orders import OrderMaker
from atb.live.execution.paper_desk import PaperDesk
from atb.live.feed.market import History, Moment
from atb.live.journal.step import Commit, Notice, Step
from atb.live.portfolio import Portfolio


class Shadow:
    """A portfolio beside the one that trades, on the same bars.

    Its decisions go to the audit trail as `shadow_decision`, each with the orders it would have sent; it begins without a position.

    Parameters
    ----------
    portfolio, makers
        The promotions watched, and their order factories; slots are the trading portfolio's markets, in the same order.
    commit
        Writes steps.
    """

    def __init__(self, portfolio: Portfolio, makers: Mapping[int, OrderMaker], commit: Commit) -> None:
        self._portfolio, self._makers, self._commit = portfolio, makers, commit
        self._desk: PaperDesk | None = None
        self.decisions = 0

    def begin(
        self, histories: Mapping[int, Bars], inputs: Mapping[int, Mapping[str, InputSeries]] | None = None
    ) -> None:
        """Take the bars and inputs known at the start, enough for each slot's warm-up.

        Raises
        ------
        InputError
            If they are of other markets than the portfolio's, or too few; if the portfolio reads other inputs than these.
        """
        given = {slot: {name: rows.declared for name, rows in named.items()} for slot, named in (inputs or {}).items()}
        for slot, plan in enumerate(self._portfolio.plans):
            bars = histories.get(slot)
            if bars is None or (bars.symbol, bars.timeframe) != (plan.symbol, plan.timeframe):
                found = None if bars is None else f"{bars.symbol} {bars.timeframe}"
                raise InputError(f"{plan.manifest.name} cannot be watched in slot {slot}", found=found)
            if len(bars) < plan.warmup:
                raise InputError(
                    f"{plan.manifest.name} needs {plan.warmup} bars to warm up", found=f"{len(bars)} in this session",
                    todo="Watch it once the session has seen more",
                )  # fmt: skip
            if plan.inputs != given.get(slot, {}):
                raise InputError(
                    f"{plan.manifest.name} reads other inputs than what trades in slot {slot}, and cannot be watched beside it",
                    found={name: str(one) for name, one in plan.inputs.items()}, todo="Run it on an account of its own, on paper",
                )  # fmt: skip
        known = {slot: History(bars) for slot, bars in histories.items()}
        book = Book(self._portfolio, known, self._portfolio.fresh_state(), inputs=inputs)
        self._desk = PaperDesk(book, makers=self._makers)

    async def on_moment(self, moment: Moment) -> None:
        """Decide on the bars that closed, and write the orders that would have been sent."""
        if self._desk is None or not moment.closing:
            return
        step = self._desk.on_close(moment)
        notices = [
            Notice("shadow_decision", {"slot": decision.slot, "bar_ms": decision.bar_ms, "manifest": self._name(decision.slot),
                                       "side": decision.values["side"], "intents": decision.values["intents"],
                                       "refusal": decision.values["refusal"], "equity": step.equity})
            for decision in step.decided
        ]  # fmt: skip
        self.decisions += len(notices)
        await self._commit(Step(moment.time_ms, notices=notices))

    def _name(self, slot: int) -> str:
        return self._portfolio.plans[slot].manifest.name

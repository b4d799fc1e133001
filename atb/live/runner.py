"""The runner's loop: each closed bar is traded and journalled before the next one is looked at."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from time import time_ns
from typing import Any

from atb.data.moments import at_ms, short
from atb.db import Database
from atb.errors import InputError
from atb.live.feed import Pace, ReplayFeed, first_traded, replay_feed
from atb.live.history import History
from atb.live.journal import Journal, Resumed, find_session
from atb.live.lease import held_lease
from atb.live.plan import Plan
from atb.live.trader import Step, Trader
from atb.monitoring import get_logger

_log = get_logger(__name__)


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the present in epoch milliseconds, UTC."""
        return time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """Which bars are traded: opens in [since, until); None is the default start, and the end of the stored bars."""

    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """How a runner ended: `stopped` or `finished`, with the session's figures (equity in the quote currency)."""

    session_id: str
    status: str
    bars: int
    trades: int
    equity: float
    last_bar: str | None

    def __str__(self) -> str:
        """Return one line."""
        where = f" up to the bar of {self.last_bar}" if self.last_bar else ""
        return f"{self.status}: {self.bars} bars{where}, {self.trades} trades, equity {self.equity:,.2f}"


def run(
    plan: Plan,
    database: Database,
    *,
    account: str,
    bars_root: Path,
    window: Window,
    pace: Pace,
    config: dict[str, Any] | None = None,
) -> Summary:
    """Trade a plan on paper, from where its session stands, until the bars end or `pace` says stop.

    Parameters
    ----------
    account
        Name of the paper account; one runner per account.
    bars_root
        The catalogue to replay.
    pace
        How fast, and whether to go on.
    config
        What else the session's row shall say.

    Raises
    ------
    LeaseError
        If another runner holds the account, or takes it over.
    DataError
        If the catalogue lacks bars.
    """
    clock = SystemClock()
    with ExitStack() as stack:
        lease = stack.enter_context(held_lease(database, account, clock))
        there = find_session(database, account, plan.manifest.content_sha256)
        trade_from_ms = _start(plan, there, bars_root, since=window.since)
        feed = replay_feed(
            plan,
            bars_root,
            trade_from_ms=trade_from_ms,
            last_bar_ms=there.last_bar_ms if there else None,
            until=_until(plan, there, window),
        )
        journal = Journal(database, lease, clock, plan=plan)
        resumed = journal.begin(trade_from_ms, {"speed": pace.speed, **asdict(window), **(config or {})})
        trader = _trader(plan, feed, resumed, identity=(account, plan.manifest.content_sha256))
        _log.info("running", session=journal.session_id, bars_to_come=len(feed), epoch=lease.epoch)
        return _drive(trader, feed, journal, pace=pace)


def _start(plan: Plan, there: Resumed | None, bars_root: Path, *, since: str | None) -> int:
    if there is not None and since is None:
        return there.trade_from_ms
    return first_traded(plan, bars_root, since)


def _until(plan: Plan, there: Resumed | None, window: Window) -> str | None:
    """Return the end of the feed; bars that were traded already are history, whatever end is asked for now."""
    if window.until is None or there is None or there.last_bar_ms is None:
        return window.until
    reached = at_ms(plan.timeframe.next_ms(there.last_bar_ms)).isoformat()
    return max(window.until, reached, key=_moment_ms)


def _moment_ms(text: str) -> int:
    from atb.data.moments import in_ms, moment

    stamp = moment(text)
    if stamp is None:
        raise InputError("Not a moment", found=text)
    return in_ms(stamp)


def _trader(plan: Plan, feed: ReplayFeed, resumed: Resumed, *, identity: Sequence[str]) -> Trader:
    state = plan.fresh_state()
    if resumed.state is not None:
        state.load_json(resumed.state)
    history = History(feed.history(plan.symbol))
    return Trader(plan, history, state=state, working=resumed.working, identity=tuple(identity))


def _drive(trader: Trader, feed: ReplayFeed, journal: Journal, *, pace: Pace) -> Summary:
    """Take one step per bar; a step that has begun is finished."""
    bars, last, status = 0, None, "finished"
    for bar in feed:
        if not pace.wait(bar, journal.heartbeat):
            status = "stopped"
            break
        step = trader.step(bar)
        journal.write(step)
        _tell(step)
        bars, last = bars + 1, short(at_ms(step.bar_ms))
    summary = Summary(journal.session_id, status, bars, trader.trades, trader.equity, last)
    journal.end(status, asdict(summary))
    return summary


def _tell(step: Step) -> None:
    for done in step.fills:
        fill, what = done.fill, {"role": done.order.role, "reason": done.reason, "client_id": done.order.client_id}
        amounts = {"quantity": str(fill.quantity), "price": str(fill.price)}
        _log.info("filled", bar=short(at_ms(step.bar_ms)), side=fill.side, **what, **amounts)

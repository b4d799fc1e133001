"""The kill drill: the kill switch is pulled while a position is held, and everything has to be closed."""

import time
from dataclasses import dataclass

from atb.backtest.result import Result
from atb.db import open_database
from atb.domain.orders import CLIENT_ID_PREFIX
from atb.live.journal.kill_switch import Level, set_halt
from atb.rehearsal.faults import Schedule
from atb.rehearsal.harness import ACCOUNT, Played, Stage
from atb.rehearsal.ledger import Lives
from atb.venues.simulator.server import Running

_INSIDE_MS = 17_000  # after the position's first bar opened
_SHARE = 1 / 3  # of the period: what comes before is decided a second time


@dataclass(frozen=True)
class Drill:
    """The kill switch pulled while a position was held: the runner's exit code, and the time until it was flat.

    Parameters
    ----------
    milliseconds, seconds
        From the switch to the last sale in exchange time, and to the runner's end in real time.
    flat
        Whether nothing is held that could be sold.
    resting
        Orders of ours that were left at the exchange.
    before_ms, pulled_ms
        When the position was opened by the backtest, and when the switch was pulled (exchange time).
    """

    held: bool
    milliseconds: int
    exit_code: int
    flat: bool
    seconds: float = 0.0
    resting: int = 0
    before_ms: int = 0
    pulled_ms: int = 0

    @property
    def passed(self) -> bool:
        """Whether the runner closed everything and said so; a period without a position proves nothing, and fails nothing."""
        return not self.held or (self.flat and not self.resting and self.exit_code == 4)


def hold_drill(stage: Stage, result: Result) -> tuple[Drill, Played]:
    """Let the runner trade up to a position of the backtest and pull the kill switch in it.

    Returns
    -------
    tuple
        What was found, and how the run went; nothing is run where the backtest opens no position.
    """
    entered_ms = position_to_close(result, stage.period.start_ms, stage.period.end_ms)
    if entered_ms is None:
        return Drill(False, 0, 0, flat=True), Played()
    lever = _Lever(stage, entered_ms + _INSIDE_MS)
    played = stage.play(Schedule(), exact_fees=True, act=lever.plan)
    seconds = time.monotonic() - lever.began if lever.pulled_ms else 0.0
    sold = [entry["ms"] for entry in played.ledger if entry["kind"] == "trade" and entry["side"] == "SELL"]
    after = [int(ms) - lever.pulled_ms for ms in sold if ms >= lever.pulled_ms]
    drill = Drill(
        bool(lever.pulled_ms), max(after, default=0), played.exits[-1], flat=is_flat(played, stage), seconds=seconds,
        resting=left_resting(played), before_ms=entered_ms, pulled_ms=lever.pulled_ms,
    )  # fmt: skip
    return drill, played


class _Lever:
    """Pulls the kill switch at a moment of the exchange, once."""

    def __init__(self, stage: Stage, at_ms: int) -> None:
        self._stage, self._at_ms, self._planned = stage, at_ms, False
        self.pulled_ms, self.began = 0, 0.0

    def plan(self, running: Running) -> None:
        """Plan it at the exchange, where time stands while it happens."""
        if not self._planned:
            self._planned = True
            running.call(lambda: running.exchange.plan(self._at_ms, lambda: self._pull(running)))

    def _pull(self, running: Running) -> None:
        database = open_database(self._stage.url)
        set_halt(database, ACCOUNT, Level.FLATTEN, reason="kill drill of a rehearsal", source="rehearsal")
        database.close()
        self.pulled_ms, self.began = running.exchange.now_ms(), time.monotonic()
        running.exchange.barrier.wake()


def position_to_close(result: Result, start_ms: int, end_ms: int) -> int | None:
    """Return when the position was opened in which the switch is pulled; None where the backtest opens none.

    It is the last of the first third that outlives its bar: what was decided up to then is compared with the calm run, and the
    drill takes a fraction of its time.
    """
    frames = [slot.bars.timeframe.seconds * 1_000 for slot in result.problem.slots]
    lasting = sorted(
        int(trade["entry_time"])
        for trade in result.outcome.trades
        if trade["exit_time"] - trade["entry_time"] > frames[int(trade["slot"])]
    )
    early = [time_ms for time_ms in lasting if time_ms <= start_ms + (end_ms - start_ms) * _SHARE]
    entered = [int(order["time"]) for order in result.outcome.orders if order["role"] == 1]
    return next(iter([*early[-1:], *lasting, *entered]), None)


def is_flat(played: Played, stage: Stage) -> bool:
    """Tell whether the account holds nothing that could be sold, by the exchange's own ledger."""
    rows = [entry["balances"].items() for entry in played.ledger if entry["kind"] == "balance"]
    held = {asset: float(free) + float(locked) for row in rows for asset, (free, locked) in row}
    return all(
        held.get(plan.symbol.base, 0.0) < float(max(plan.instrument.lot, plan.instrument.min_quantity))
        for plan in stage.portfolio.plans
    )


def left_resting(played: Played) -> int:
    """Return how many orders of ours the exchange still has."""
    lives = Lives()
    for entry in played.ledger:
        lives.take(entry)
    return sum(life.client_id.startswith(CLIENT_ID_PREFIX) for life in lives.open())

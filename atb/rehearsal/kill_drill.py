"""The kill drill: the kill switch is set to flatten while a position is held, and the runner must close everything."""

import time
from dataclasses import dataclass

from atb.backtest.result import Result
from atb.db import open_database
from atb.domain.orders import CLIENT_ID_PREFIX
from atb.live.journal.kill_switch import Level, set_halt
from atb.rehearsal.faults import Schedule
from atb.rehearsal.harness import ACCOUNT, Harness, HarnessRun
from atb.rehearsal.ledger import LedgerOrders
from atb.venues.simulator.server import Running

_AFTER_ENTRY_MS = 17_000  # after the position's first bar opened
_EARLY_SHARE = 1 / 3  # of the period; decisions before the entry are compared with the calm run


@dataclass(frozen=True)
class KillDrill:
    """The result of a kill drill.

    Parameters
    ----------
    milliseconds, seconds
        From the kill switch to the last sale in exchange time, and to the runner's end in real time.
    flat
        Whether no sellable quantity is held.
    resting
        Our orders still open at the exchange.
    entered_ms, set_ms
        When the backtest opened the position, and when the kill switch was set (exchange time).
    """

    held: bool
    milliseconds: int
    exit_code: int
    flat: bool
    seconds: float = 0.0
    resting: int = 0
    entered_ms: int = 0
    set_ms: int = 0

    @property
    def passed(self) -> bool:
        """Whether everything was closed and the runner exited with 4; True without a position, which proves nothing."""
        return not self.held or (self.flat and not self.resting and self.exit_code == 4)


def run_kill_drill(harness: Harness, result: Result) -> tuple[KillDrill, HarnessRun]:
    """Let the runner trade up to a position of the backtest, then set the kill switch to flatten.

    Returns
    -------
    tuple
        The drill and its run; an empty run where the backtest opens no position.
    """
    entered_ms = position_to_close(result, harness.period.start_ms, harness.period.end_ms)
    if entered_ms is None:
        return KillDrill(False, 0, 0, flat=True), HarnessRun()
    trigger = _KillSwitchTrigger(harness, entered_ms + _AFTER_ENTRY_MS)
    run = harness.run(Schedule(), exact_fees=True, on_poll=trigger.arm)
    seconds = time.monotonic() - trigger.began if trigger.set_ms else 0.0
    sold = [entry["ms"] for entry in run.ledger if entry["kind"] == "trade" and entry["side"] == "SELL"]
    after = [int(ms) - trigger.set_ms for ms in sold if ms >= trigger.set_ms]
    drill = KillDrill(
        bool(trigger.set_ms), max(after, default=0), run.exits[-1], flat=is_flat(run, harness), seconds=seconds,
        resting=resting_orders(run), entered_ms=entered_ms, set_ms=trigger.set_ms,
    )  # fmt: skip
    return drill, run


class _KillSwitchTrigger:
    """Sets the kill switch once, at a time of the exchange."""

    def __init__(self, harness: Harness, at_ms: int) -> None:
        self._harness, self._at_ms, self._armed = harness, at_ms, False
        self.set_ms, self.began = 0, 0.0

    def arm(self, running: Running) -> None:
        """Schedule it at the exchange, whose clock stands still while it happens."""
        if not self._armed:
            self._armed = True
            running.call(lambda: running.exchange.plan(self._at_ms, lambda: self._set(running)))

    def _set(self, running: Running) -> None:
        database = open_database(self._harness.url)
        set_halt(database, ACCOUNT, Level.FLATTEN, reason="kill drill of a rehearsal", source="rehearsal")
        database.close()
        self.set_ms, self.began = running.exchange.now_ms(), time.monotonic()
        running.exchange.barrier.wake()


def position_to_close(result: Result, start_ms: int, end_ms: int) -> int | None:
    """Return the entry time of the position to close; None if the backtest opens none.

    This is the last one of the first third of the period that outlives its bar: enough decisions to compare with the calm run,
    in a fraction of its time.
    """
    frames = [slot.bars.timeframe.seconds * 1_000 for slot in result.inputs.slots]
    lasting = sorted(
        int(trade["entry_time"])
        for trade in result.outcome.trades
        if trade["exit_time"] - trade["entry_time"] > frames[int(trade["slot"])]
    )
    early = [time_ms for time_ms in lasting if time_ms <= start_ms + (end_ms - start_ms) * _EARLY_SHARE]
    entered = [int(order["time"]) for order in result.outcome.orders if order["role"] == 1]
    return next(iter([*early[-1:], *lasting, *entered]), None)


def is_flat(run: HarnessRun, harness: Harness) -> bool:
    """True if the account holds no sellable quantity, by the exchange's ledger."""
    rows = [entry["balances"].items() for entry in run.ledger if entry["kind"] == "balance"]
    held = {asset: float(free) + float(locked) for row in rows for asset, (free, locked) in row}
    return all(
        held.get(plan.symbol.base, 0.0) < float(max(plan.instrument.lot, plan.instrument.min_quantity))
        for plan in harness.portfolio.plans
    )


def resting_orders(run: HarnessRun) -> int:
    """Return the number of our orders still open at the exchange."""
    orders = LedgerOrders()
    for entry in run.ledger:
        orders.apply(entry)
    return sum(order.client_id.startswith(CLIENT_ID_PREFIX) for order in orders.open())

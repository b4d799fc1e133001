"""The harness of a rehearsal: the real runner against a simulated exchange, killed and restarted as the schedule says."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from atb.config import part_of
from atb.config.settings import Settings
from atb.decimals import exact
from atb.domain import Bars, Symbol
from atb.domain.input_series import InputSeries
from atb.errors import RunError
from atb.files import make_private_folder, open_private_log, write_private
from atb.live.portfolio import Portfolio
from atb.rehearsal.faults import Schedule
from atb.rehearsal.gap_kills import GapKills
from atb.rehearsal.ledger import DIED
from atb.venues.simulator.configuration import ExchangeConfig, Key
from atb.venues.simulator.fees import BNB
from atb.venues.simulator.server import Running, running_exchange

ACCOUNT = "rehearsal"
_BNB = Decimal(1_000_000)  # more than any rehearsal pays
KEY = Key("rehearsal-key", "rehearsal-secret")
_POLL_S = 0.005
_TIMEOUT_S = "0.5"  # per request, in real time; a lost answer costs no more than this
_FINISHED = {0, 4}  # exit codes of a runner that ended by itself: all done, halted
_MAX_STARTS = 200
_RESTART_MS = 5_000  # exchange time before a supervisor restarts a runner that gave up
_IN_FLIGHT_S = 0.05  # requests of a killed process that are in flight arrive before time goes on


@dataclass(frozen=True)
class TradedPeriod:
    """Bars by slot with their warm-up, and the traded period in epoch milliseconds.

    `read` are the series that strategies read as inputs, `inputs` the rows of inputs over the period, by slot and name.
    """

    bars: tuple[Bars, ...]
    start_ms: int
    end_ms: int
    read: tuple[Bars, ...] = ()
    inputs: Mapping[int, Mapping[str, InputSeries]] = field(default_factory=dict)

    def moving(self) -> dict[Symbol, Bars]:
        """Return by symbol the series that moves its price: the shortest that is traded, else the shortest that is read."""
        found = {bars.symbol: bars for bars in sorted(self.read, key=lambda b: -b.timeframe.seconds)}
        return found | {bars.symbol: bars for bars in sorted(self.bars, key=lambda b: -b.timeframe.seconds)}

    def served(self) -> tuple[Bars, ...]:
        """Return the other series, which the exchange only serves as candles."""
        moving = self.moving()
        series = {(bars.symbol, bars.timeframe): bars for bars in (*self.read, *self.bars)}
        return tuple(bars for (symbol, timeframe), bars in series.items() if moving[symbol].timeframe != timeframe)


@dataclass
class HarnessRun:
    """Outcome of one run of the harness.

    Parameters
    ----------
    ledger
        All entries of the exchange's ledger.
    deaths
        When no runner process was alive, as (from, to) in exchange time.
    exits
        Exit code of each of its processes; negative if it was killed.
    seconds
        Duration in real time.
    """

    ledger: list[dict[str, Any]] = field(default_factory=list)
    deaths: list[tuple[int, int]] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """The last exit code; 1 (an unexpected error) if any process ended with it."""
        return 1 if 1 in self.exits else self.exits[-1]


@dataclass(frozen=True)
class Harness:
    """A portfolio's manifests, the market they trade, and the folder of the run.

    Parameters
    ----------
    folder
        Holds the run's database (`atb.db`), ledger (`ledger.jsonl`) and log (`runner.log`).
    manifests
        Manifest files in the order of the portfolio's slots.
    """

    folder: Path
    settings: Settings
    manifests: Sequence[Path]
    portfolio: Portfolio
    period: TradedPeriod

    @property
    def url(self) -> str:
        """The run's own database."""
        return f"sqlite:///{self.folder / 'atb.db'}"

    @property
    def balances(self) -> dict[str, Decimal]:
        """Initial balances: the portfolio's cash and, where fees are not in base, BNB to pay them with.

        The exchange takes a buy's fee in base or in BNB and never in quote; a backtest without `fee_in_base` is one of an account
        that pays in BNB, whose fees the books keep by their value in quote.
        """
        first = self.portfolio.plans[0]
        cash = {first.symbol.quote: exact(self.portfolio.account.cash)}
        return cash if first.execution.fee_in_base else cash | {BNB: _BNB}

    @contextmanager
    def exchange(self, schedule: Schedule, *, exact_fees: bool) -> Iterator[Running]:
        """Run the simulated exchange from the first bar's open, with the portfolio's cash in the account."""
        first = self.portfolio.plans[0]
        config = ExchangeConfig(
            tuple(self.period.moving().values()),
            candles=self.period.served(),
            start_ms=self.period.start_ms,
            instruments=tuple({str(plan.symbol): plan.instrument for plan in self.portfolio.plans}.values()),
            balances=self.balances,
            keys=(KEY,),
            execution=first.execution,
            fee_in="base" if first.execution.fee_in_base else "bnb",
            atr_window=first.policy.atr_window,
            faults=list(schedule.faults),
            exact_fees=exact_fees,
        )
        with running_exchange(config) as running:
            yield running

    def run(
        self, schedule: Schedule, *, exact_fees: bool = False, progress: Callable[[int], None] | None = None,
        on_poll: Callable[[Running], None] | None = None,
    ) -> HarnessRun:  # fmt: skip
        """Run the runner to the period's end, or until it ends by itself.

        Parameters
        ----------
        schedule
            Faults and kills.
        exact_fees
            Whether the exchange does not round fees, as in a backtest.
        progress
            Called with exchange time at every poll of the process.
        on_poll
            Called with the exchange at every poll; the kill drill acts here.

        Raises
        ------
        RunError
            If the runner refuses to start, or keeps ending with the same exit code.
        """
        make_private_folder(self.folder)
        outcome, began, kills = HarnessRun(), time.monotonic(), list(schedule.kills)
        gap_kills = GapKills(schedule.gaps_until_ms)
        with (
            self.exchange(schedule, exact_fees=exact_fees) as running,
            open_private_log(self.folder / "runner.log") as log,
        ):
            gap_kills.connect(running)
            while len(outcome.exits) < _MAX_STARTS:
                process = self._start(running, log)
                gap_kills.watch(process)
                code = self._watch(process, running, kills, progress=progress, on_poll=on_poll)
                outcome.exits.append(code)
                if code in _FINISHED:
                    break
                if code == 2 or (code > 0 and len(outcome.exits) > 20 and len(set(outcome.exits[-20:])) == 1):
                    raise RunError(
                        f"The runner ended with {code}: {self._last_log_line()}",
                        todo=f"Its log is {self.folder / 'runner.log'}",
                    )
                planned = code < 0 and kills and not gap_kills.take_struck()
                outcome.deaths.append(_stay_down(running, kills.pop(0)[1] if planned else _RESTART_MS))
            outcome.ledger = running.ledger()
        self._write_ledger(outcome.ledger)
        outcome.seconds = time.monotonic() - began
        return outcome

    def _start(self, running: Running, log: Any) -> "subprocess.Popen[bytes]":
        """Start the real runner; only the exchange's address and keys, the database and timings differ from a live run."""
        runner = part_of(self.settings.project, "runners", "live.py")
        until = _iso(self.period.end_ms)
        command = [sys.executable, str(runner), *(str(path) for path in self.manifests), "--rehearse"]
        command += ["--account", ACCOUNT, "--until", until, "--root", str(self.settings.data.root)]
        own = {
            "ATB__EXCHANGE__ID": "binance",
            "ATB__EXCHANGE__BASE_URL": running.url,
            "ATB__EXCHANGE__CLOCK": running.clock_url,
            "ATB__EXCHANGE__API_KEY": KEY.name,
            "ATB__EXCHANGE__API_SECRET": KEY.secret,
            "ATB__EXCHANGE__TIMEOUT": _TIMEOUT_S,
            "ATB__EXCHANGE__ORDER_ENTRY": self.settings.exchange.order_entry,
            "ATB__DATABASE__URL": self.url,
            "ATB__STRATEGIES__FOLDER": str(self.settings.strategies_root),
            "ATB__LIVE__SYNC_INTERVAL": str(min(86_400, self._bar_s)),
            "ATB__LOG__JSON_LINES": "true",
        }
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | own
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 - our own program

    @property
    def _bar_s(self) -> int:
        """Shortest bar in seconds; the account is reconciled once per bar, since virtual time costs nothing."""
        return min(plan.timeframe.seconds for plan in self.portfolio.plans)

    def _watch(
        self, process: "subprocess.Popen[bytes]", running: Running, kills: Sequence[tuple[int, int]], *,
        progress: Callable[[int], None] | None, on_poll: Callable[[Running], None] | None,
    ) -> int:  # fmt: skip
        """Wait for the process to end; kill it when the next kill is due. Returns its exit code."""
        try:
            while (code := process.poll()) is None:
                now = running.clock.now_ms()
                if progress is not None:
                    progress(now)
                if on_poll is not None:
                    on_poll(running)
                if kills and now >= kills[0][0]:
                    process.kill()
                time.sleep(_POLL_S)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        return int(code)

    def _write_ledger(self, ledger: list[dict[str, Any]]) -> None:
        """Write the exchange's ledger beside the database."""
        lines = "".join(json.dumps(entry, default=str) + "\n" for entry in ledger)
        write_private(self.folder / "ledger.jsonl", lines.encode())

    def _last_log_line(self) -> str:
        lines = (self.folder / "runner.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote no log"


def _stay_down(running: Running, dead_ms: int) -> tuple[int, int]:
    """Let the market go on while no runner is alive; return the span in exchange time."""
    time.sleep(_IN_FLIGHT_S)
    running.call(lambda: running.exchange.note("mark", {"note": DIED}))
    died = running.clock.now_ms()
    return died, max(died, running.advance(died + dead_ms)) if dead_ms else died


def _iso(time_ms: int) -> str:
    from atb.times import at_ms

    return at_ms(time_ms).isoformat()

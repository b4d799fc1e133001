"""One run of the real runner against one simulated exchange: started, killed where the schedule says so, started again."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atb.config import part_of
from atb.config.settings import Settings
from atb.decimals import exact
from atb.domain import Bars
from atb.errors import RunError
from atb.files import make_private_folder, open_private_log, write_private
from atb.live.portfolio import Portfolio
from atb.rehearsal.faults import Schedule
from atb.venues.simulator.configuration import ExchangeConfig, Key
from atb.venues.simulator.server import Running, running_exchange

ACCOUNT = "rehearsal"
KEY = Key("rehearsal-key", "rehearsal-secret")
_POLL_S = 0.005
_TIMEOUT_S = "0.5"  # of a request, real time: what is lost costs no more
_ENDED = {0, 4}  # exit codes of a runner that ended by itself
_STARTS = 200
_RESTART_MS = 5_000  # of exchange time, before a supervisor starts a runner again that gave up
_LAST_WORDS_S = 0.05  # what a killed process had sent already arrives before time goes on


@dataclass(frozen=True)
class Period:
    """What is traded: bars by slot with their warm-up, and the period in epoch milliseconds."""

    bars: tuple[Bars, ...]
    start_ms: int
    end_ms: int


@dataclass
class Played:
    """How a run went.

    Parameters
    ----------
    ledger
        Everything that the exchange saw and did.
    deaths
        When the runner was dead, as (from, to) in exchange time.
    exits
        How each of its processes ended: below 0 it was killed.
    seconds
        Real time.
    """

    ledger: list[dict[str, Any]] = field(default_factory=list)
    deaths: list[tuple[int, int]] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def end(self) -> int:
        """The last exit code; 1, which nobody foresaw, where any process ended with it."""
        return 1 if 1 in self.exits else self.exits[-1]


@dataclass(frozen=True)
class Stage:
    """A folder, a portfolio's manifests and a market.

    Parameters
    ----------
    folder
        Where database (`atb.db`), ledger (`ledger.jsonl`) and log (`runner.log`) of the run are kept.
    manifests
        Files of the portfolio, in the order of its slots.
    """

    folder: Path
    settings: Settings
    manifests: Sequence[Path]
    portfolio: Portfolio
    period: Period

    @property
    def url(self) -> str:
        """The run's own database."""
        return f"sqlite:///{self.folder / 'atb.db'}"

    @contextmanager
    def exchange(self, plan: Schedule, *, exact_fees: bool) -> Iterator[Running]:
        """Give the simulated exchange at the first bar's open, with the account's cash on it."""
        first = self.portfolio.plans[0]
        symbols = {str(bars.symbol): bars for bars in sorted(self.period.bars, key=lambda b: -b.timeframe.seconds)}
        config = ExchangeConfig(
            tuple(symbols.values()),
            start_ms=self.period.start_ms,
            instruments=tuple({str(one.symbol): one.instrument for one in self.portfolio.plans}.values()),
            balances={first.symbol.quote: exact(self.portfolio.account.cash)},
            keys=(KEY,),
            execution=first.execution,
            fee_in="base" if first.execution.fee_in_base else "quote",
            atr_window=first.policy.atr_window,
            faults=list(plan.faults),
            exact_fees=exact_fees,
        )
        with running_exchange(config) as running:
            yield running

    def play(
        self, plan: Schedule, *, exact_fees: bool = False, tell: Callable[[int], None] | None = None,
        act: Callable[[Running], None] | None = None,
    ) -> Played:  # fmt: skip
        """Run the runner to the period's end, or until it ends by itself.

        Parameters
        ----------
        plan
            Faults and kills.
        exact_fees
            Whether the exchange leaves its fees unrounded, as a backtest does.
        tell
            Called with exchange time now and then.
        act
            Called with the exchange as often: a drill pulls its lever here.

        Raises
        ------
        RunError
            If the runner refuses to start, or ends too often.
        """
        make_private_folder(self.folder)
        played, began, kills = Played(), time.monotonic(), list(plan.kills)
        with self.exchange(plan, exact_fees=exact_fees) as running, open_private_log(self.folder / "runner.log") as log:
            while len(played.exits) < _STARTS:
                process = self._start(running, log)
                code = self._watch(process, running, kills, tell=tell, act=act)
                played.exits.append(code)
                if code in _ENDED:
                    break
                if code == 2 or (code > 0 and len(played.exits) > 20 and len(set(played.exits[-20:])) == 1):
                    raise RunError(
                        f"The runner ended with {code}: {self._last_words()}",
                        todo=f"Its log is {self.folder / 'runner.log'}",
                    )
                played.deaths.append(_be_dead(running, kills.pop(0)[1] if code < 0 and kills else _RESTART_MS))
            played.ledger = running.ledger()
        self._write(played.ledger)
        played.seconds = time.monotonic() - began
        return played

    def _start(self, running: Running, log: Any) -> "subprocess.Popen[bytes]":
        """Start the real runner with nothing but the exchange's address changed."""
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
            "ATB__DATABASE__URL": self.url,
            "ATB__LIVE__SYNC_INTERVAL": str(min(86_400, self._bar_s)),
            "ATB__LOG__JSON_LINES": "true",
        }
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | own
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 - our own program

    @property
    def _bar_s(self) -> int:
        """Length of the shortest bar in seconds: once in it the account is compared, since time that passes costs nothing."""
        return min(plan.timeframe.seconds for plan in self.portfolio.plans)

    def _watch(
        self, process: "subprocess.Popen[bytes]", running: Running, kills: Sequence[tuple[int, int]], *,
        tell: Callable[[int], None] | None, act: Callable[[Running], None] | None,
    ) -> int:  # fmt: skip
        """Wait for the process to end; kill it where its time has come."""
        try:
            while (code := process.poll()) is None:
                now = running.clock.now_ms()
                if tell is not None:
                    tell(now)
                if act is not None:
                    act(running)
                if kills and now >= kills[0][0]:
                    process.kill()
                time.sleep(_POLL_S)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        return int(code)

    def _write(self, ledger: list[dict[str, Any]]) -> None:
        """Keep the exchange's ledger beside the database that it was judged with."""
        lines = "".join(json.dumps(entry, default=str) + "\n" for entry in ledger)
        write_private(self.folder / "ledger.jsonl", lines.encode())

    def _last_words(self) -> str:
        lines = (self.folder / "runner.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _be_dead(running: Running, dead_ms: int) -> tuple[int, int]:
    """Let the market go on while no runner lives; return from when to when."""
    time.sleep(_LAST_WORDS_S)
    died = running.clock.now_ms()
    return died, max(died, running.advance(died + dead_ms)) if dead_ms else died


def _iso(time_ms: int) -> str:
    from atb.times import at_ms

    return at_ms(time_ms).isoformat()

"""The demo: all steps from sample data to a paper session, offline, each checked.

Everything runs on the synthetic market and as a user would run it: notebooks by papermill, the runner as a separate process. The
model is trained on bars before the backtest's first one, so that the backtest is out of sample.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from atb.config import part_of
from atb.decimals import counted
from atb.domain.bars import SYNTHETIC
from atb.errors import ParityError, RunError
from atb.experiments import BACKTEST, TRAINING
from atb.files import write_private

if TYPE_CHECKING:
    import pandas as pd

    from atb.backtest import Result
    from atb.config import Settings
    from atb.db import Database
    from atb.db.tables import RunRow
    from atb.promotion.gate import Verdict

SYMBOL, TIMEFRAME, VENUE = "BTC/USDT", "1h", SYNTHETIC
TRADED_FROM, TRADED_TO, REPLAYED_FROM = "2024-01-01", "2025-01-01", "2024-12-01"
STOP_LOSS = 0.05


@dataclass(frozen=True, slots=True)
class FinishedStep:
    """One finished step: its title, its outcome in a sentence, and its duration in seconds."""

    title: str
    outcome: str
    seconds: float


@dataclass
class Demo:
    """The demo's results so far; `steps` produces them in order."""

    settings: "Settings"
    database: "Database"
    backtest_run: "RunRow | None" = None
    manifest: Path | None = None
    verdict: "Verdict | None" = None
    month: "Result | None" = None
    year: "Result | None" = None
    published: dict[str, Any] = field(default_factory=dict)

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield each step's title and the function that runs it and returns its outcome."""
        yield "Sample market (synthetic)", self._sample
        yield "Train a model, export to ONNX", self._train
        yield "Backtest out of sample", self._backtest
        yield "Prove parity three ways", self._prove
        yield "Ask the gate", self._judge
        yield "Promote to paper, signed", self._promote
        yield "Runner: replay the last month", self._replay
        yield "Runner against backtest", self._compare
        yield "Report and picture", self._draw

    def run(self, announce: Callable[[str], None] = lambda _: None) -> Iterator[FinishedStep]:
        """Run every step: announce its title, then yield it when it is done; a step that fails raises."""
        for title, act in self.steps():
            announce(title)
            began = perf_counter()
            outcome = act()
            yield FinishedStep(title, outcome, perf_counter() - began)

    # --- the steps ----------------------------------------------------------------------------------------------------

    def _sample(self) -> str:
        from atb.data.providers.sample import write_sample

        written = write_sample(root=self.settings.bars_root)
        return f"{len(written)} symbols in {self.settings.bars_root}"

    def _train(self) -> str:
        run = self._execute(TRAINING, {"symbol": SYMBOL, "timeframe": TIMEFRAME, "venue": VENUE, "end": TRADED_FROM})
        beats = "beats" if run.metrics.get("beats_baselines") else "does not beat"
        return f"test AUC {run.metrics['auc']:.3f}; {beats} its baselines"

    def _backtest(self) -> str:
        from atb.experiments import published

        self.backtest_run = self._execute(BACKTEST, self._parameters(TRADED_FROM))
        self.published = published(Path(self.backtest_run.path))
        return str(self.published["headline"])

    def _prove(self) -> str:
        proof = self.published["evidence"]["parity_report"]
        if not proof["equal"]:
            raise ParityError("The backtest's executions differ", found=proof["first_difference"])
        return f"{proof['orders']} orders equal bit by bit: kernel loop, {', '.join(proof['ways'])}"

    def _judge(self) -> str:
        from atb.experiments.promotion import judge

        self.verdict = judge(self._run.run_id, settings=self.settings, database=self.database).verdict
        paper = "allowed" if self.verdict.passed else "refused"
        live = (
            f"refused ({counted(len(self.verdict.live_reasons), 'reason')})" if self.verdict.live_reasons else "allowed"
        )
        return f"paper {paper}, live {live}"

    def _promote(self) -> str:
        from atb.experiments.promotion import promote

        promoted = promote(self._run.run_id, settings=self.settings, database=self.database)
        self.manifest = promoted.path
        return f"{promoted.path.name}, {promoted.manifest_sha256[:12]}"

    def _replay(self) -> str:
        command = [
            *(sys.executable, str(part_of(self.settings.project, "runners", "live.py")), str(self.manifest)),
            *("--account", self.account, "--from", REPLAYED_FROM, "--until", TRADED_TO),
            *("--root", str(self.settings.data.root)),
        ]
        process = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
        if process.returncode:
            raise RunError("The runner failed", found=process.stderr.strip()[-2000:])
        return process.stdout.strip().rpartition(", finished: ")[2]

    def _compare(self) -> str:
        from atb.live.journal.overview import journalled_trades

        self.month = self._result(REPLAYED_FROM)
        backtest = [_trade_key(row) for row in self.month.outcome.trades]
        runner = journalled_trades(self.database, self.account)
        if backtest != runner:
            raise ParityError("The runner's trades are not the backtest's", found=f"{runner} and {backtest}")
        return f"{len(runner)} trades equal to the last digit"

    def _draw(self) -> str:
        from atb.reports.picture import equity_png

        self.year = self._result(TRADED_FROM)
        write_private(self.picture, equity_png(self.year))
        return str(self.report)

    # --- what the steps share -----------------------------------------------------------------------------------------

    @property
    def _run(self) -> "RunRow":
        if self.backtest_run is None:
            raise RunError("There is no backtest yet")
        return self.backtest_run

    @property
    def account(self) -> str:
        """The paper account of this demo: a new one each time."""
        return "demo-" + self._run.run_id.rpartition("-")[2]

    @property
    def picture(self) -> Path:
        """PNG of the year's equity."""
        return Path(self._run.path) / "equity.png"

    @property
    def report(self) -> Path:
        """HTML report of the backtest."""
        return Path(self._run.path) / "report.html"

    def _parameters(self, start: str) -> dict[str, object]:
        return {
            "strategy": "ml_basic",
            "symbol": SYMBOL,
            "timeframe": TIMEFRAME,
            "venue": VENUE,
            "start": start,
            "end": TRADED_TO,
            "stop_loss": STOP_LOSS,
        }

    def _execute(self, notebook: str, parameters: dict[str, object]) -> "RunRow":
        from atb.experiments import execute

        path = part_of(self.settings.project, "notebooks", notebook)
        run = execute(path, parameters, settings=self.settings, database=self.database)
        if run.status != "succeeded":
            raise RunError(f"{notebook} failed: {run.error}", todo=f"Look at {run.path}/{run.notebook}")
        return run

    def _result(self, start: str) -> "Result":
        """Backtest the promoted strategy from `start` in this process, with the settings of its run."""
        from atb.backtest import run
        from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
        from atb.strategies import make_strategy
        from atb.workbench.slots import Period, prepare_slot

        given = self.published["result"]["slots"][0]
        slot, first = prepare_slot(
            make_strategy(given["strategy"]["name"], **given["strategy"]["parameters"]),
            SYMBOL,
            TIMEFRAME,
            period=Period(start, TRADED_TO),
            venue=VENUE,
            policy=RiskPolicy.from_json(given["policy"]),
            execution=ExecutionModel.from_json(given["execution"]),
        )
        return run(slot, account=AccountPolicy.from_json(self.published["result"]["account"]), start=first)


def _trade_key(trade: Any) -> tuple[Any, ...]:
    """Return the identity of a round trip: times in epoch milliseconds, prices, quantity and profit as floats."""
    names = ("entry_time", "entry_price", "exit_time", "exit_price", "quantity", "pnl")
    return tuple(trade[name].item() for name in names)


def key_figures(result: "Result") -> "pd.DataFrame":
    """Return the figures printed at the end: one row per figure, the strategy beside its baselines."""
    import pandas as pd

    names = {
        "total_return_pct": "total return %",
        "sharpe": "Sharpe",
        "max_drawdown_pct": "max drawdown %",
        "fees_paid": "fees paid",
    }
    columns = {result.slots[0].strategy.name: result.stats, **result.baselines}
    table = {column: {text: values[key] for key, text in names.items()} for column, values in columns.items()}
    return pd.DataFrame(table)

"""A trading desk in a test's own folder: bars in a catalogue, a promoted manifest, the runner, and its journal read back."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import select

from atb.backtest import run as backtest
from atb.backtest.result import Result
from atb.checks import Check
from atb.data.catalogue.writing import save_bars
from atb.db import Database, open_database
from atb.db.tables import DecisionRow, EquityRow, FillRow, IntentRow, KernelStateRow, SessionRow, SlotRow, TradeRow
from atb.domain import Bars, Strategy
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.live.loop import Summary
from atb.live.plan import Plan, make_plan
from atb.live.portfolio import Portfolio
from atb.live.runner import RunnerContext, Window, run_paper
from atb.promotion.drafting import RunIdentity, draft_manifest
from atb.promotion.evidence import Evidence
from atb.promotion.gate import Verdict
from atb.promotion.manifest import load_manifest, write_manifest
from atb.strategies import make_strategy
from tests.bars import START, bars_of, random_walk
from tests.instruments import usual

REPOSITORY = Path(__file__).resolve().parents[2]
RUNNER = REPOSITORY / "runners" / "live.py"
BUSY = RiskPolicy(fraction=0.9, stop_loss=0.02, take_profit=0.03, allow_short=True, reenter=True)
MANY = RiskPolicy(
    sizing="risk", risk=0.02, fraction=0.6, entry="limit", entry_offset=0.001, entry_bars=3, allow_short=True, reenter=True,
    cooldown=1, scale_in=0.004, scale_share=0.5, stop_loss=0.03, stop_atr=3.0, atr_window=5, ladder=((0.006, 0.3), (0.012, 0.3)),
    take_profit=0.03, trailing_stop=0.02, trailing_after=0.004, break_even=0.005, break_even_offset=0.001, max_bars=30,
    session=("02:00", "23:00"), flat_weekend=True, cut_after=6, cut_below=0.002,
)  # fmt: skip
LIMITS = AccountPolicy(
    max_gross=0.9, max_net=0.8, daily_loss=0.05, orders_per_day=30, throttle=((0.02, 0.8), (0.05, 0.5))
)
COSTS = ExecutionModel(fee=0.0005, maker_fee=0.0002, slippage_atr=0.02, impact=0.01, borrow_rate=0.2)
CROSS = {"fast": 3, "slow": 8}
EVIDENCE = Evidence(
    run_status="succeeded", strategies=1, data_matches=True, kernel_matches=True, warm=True, synthetic=True, n_trades=3.0,
    sharpe=1.0, total_return_pct=1.0, hold_return_pct=0.5, max_drawdown_pct=5.0,
)  # fmt: skip
VERDICT = Verdict("paper", (), (Check("market", "error", "a test"),))
# What tells one execution of a session from another and nothing else: when it was written, under which epoch.
INCIDENTAL = {"created_at", "updated_at", "started_at", "epoch", "config", "versions"}


@dataclass(frozen=True)
class Desk:
    """The folders of one installation."""

    root: Path
    url: str

    @property
    def bars_root(self) -> Path:
        return self.root / "bars"

    @property
    def models_root(self) -> Path:
        return self.root / "models"

    @property
    def keys_root(self) -> Path:
        return self.root / "keys"

    @property
    def config(self) -> Path:
        """The user's configuration, apart from the data."""
        return self.root.with_name(f"{self.root.name}-config")

    @property
    def trust_root(self) -> Path:
        return self.config / "atb"

    def stock(self, n: int = 300, seed: int = 1, *, symbol: str = "BTC/USDT", timeframe: str = "1h") -> Bars:
        """Put a random market into the catalogue."""
        frame = random_walk(n, seed)
        frame.index = pd.date_range(START, periods=n, freq=timeframe, tz="UTC", name="timestamp")
        bars = bars_of(frame, symbol, timeframe)
        save_bars(bars, root=self.bars_root, source="a seeded walk")
        return bars

    def promote(self, result: Result, name: str = "desk", *, model: Path | None = None) -> Path:
        """Sign a manifest of a backtest's result."""
        draft = draft_manifest(
            result.to_json(), name=name, run=RunIdentity("a-run", None, None), model_folder=model, models_root=self.models_root,
            verdict=VERDICT, evidence=EVIDENCE,
        )  # fmt: skip
        return write_manifest(draft, self.root / "promoted", self.keys_root)

    def plan(self, path: Path) -> Plan:
        return make_plan(load_manifest(path), self.models_root)

    def portfolio(self, *paths: Path) -> Portfolio:
        return Portfolio(tuple(self.plan(path) for path in paths))

    def trade(
        self, *paths: Path, account: str = "paper", until: str | None = None, since: str | None = None, **context: Any
    ) -> Summary:
        """Run the loop in this process; `context` are more parts of the `RunnerContext`."""
        database = open_database(self.url)
        try:
            window = Window(since, until)
            runner = RunnerContext(database, account, **context)
            return run_paper(self.portfolio(*paths), runner, bars_root=self.bars_root, window=window)
        finally:
            database.close()

    def start(self, path: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the real runner as a process of its own."""
        environment = {
            "PATH": os.environ["PATH"],
            "ATB__DATA__ROOT": str(self.root),
            "ATB__DATABASE__URL": self.url,
            "XDG_CONFIG_HOME": str(self.config),
        }
        runner = options.pop("runner", RUNNER)
        return subprocess.Popen(
            [sys.executable, runner, path, *arguments], env=environment | options.pop("env", {}), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.root, **options,
        )  # fmt: skip


def warm_result(
    bars: Bars, *, strategy: Strategy | None = None, policy: RiskPolicy = BUSY, predictor=None, **rules: Any
) -> Result:
    """Backtest the whole series after its warm-up; `rules` are `execution` and `account`."""
    chosen = strategy or make_strategy("sma_cross", **CROSS)
    slot = Slot(chosen, bars, policy, rules.get("execution", ExecutionModel()), usual(bars.symbol), predictor)
    return backtest(slot, account=rules.get("account", AccountPolicy()), start=bars.frame.index[slot.warmup])


def ruled_result(bars: Bars) -> Result:
    """Backtest a policy of many rules, with costs and limits that act."""
    return warm_result(bars, policy=MANY, execution=COSTS, account=LIMITS)


def many_result(markets: Sequence[Bars]) -> Result:
    """Backtest a slot on each market at once, each with a policy of its own; all are traded from the same moment on."""
    bare = RiskPolicy(fraction=0.5, stop_loss=0.03, allow_short=True)
    policies = [replace(policy, atr_window=2) for policy in (BUSY, MANY, bare)]  # a short warm-up
    strategies = (make_strategy("sma_cross", **CROSS), make_strategy("sma_cross", fast=2, slow=7))
    slots = tuple(
        Slot(strategies[number % 2], bars, policies[number % 3], COSTS, usual(bars.symbol))
        for number, bars in enumerate(markets)
    )
    return backtest(slots, account=LIMITS, start=max(slot.bars.frame.index[slot.warmup] for slot in slots))


def promote_each(desk: Desk, result: Result) -> list[Path]:
    """Sign a manifest for every slot of a result, as if each had been backtested alone."""
    return [
        desk.promote(backtest(slot, account=LIMITS, start=slot.bars.frame.index[slot.warmup]), f"slot-{number}")
        for number, slot in enumerate(result.slots)
    ]


def first_open(result: Result) -> str:
    return result.index[0].isoformat()


def journal(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Return every row of a session's tables, in order, without what is incidental."""
    tables = (SessionRow, SlotRow, DecisionRow, IntentRow, FillRow, TradeRow, EquityRow, KernelStateRow)
    found = {}
    with database.session(read_only=True) as session:
        for table in tables:
            rows = session.scalars(select(table).order_by(*table.__table__.primary_key.columns)).all()
            names = [column.key for column in table.__table__.columns if column.key not in INCIDENTAL]
            found[table.__tablename__] = [{name: getattr(row, name) for name in names} for row in rows]
    return found


def read_journal(url: str) -> dict[str, list[dict[str, Any]]]:
    database = open_database(url)
    try:
        return journal(database)
    finally:
        database.close()

"""A rehearsal: without faults it must equal its backtest, with faults lose nothing, and at last the kill switch must flatten."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atb.backtest import run as backtest
from atb.backtest.result import Result
from atb.config.settings import Settings
from atb.data.catalogue import load_bars
from atb.data.catalogue.inputs import load_inputs
from atb.db import Database, open_database
from atb.domain import Bars, BarsInput
from atb.errors import InputError, did_you_mean
from atb.live.journal.session_rows import Row, decision_log, read_session
from atb.live.plan import Plan
from atb.live.portfolio import Portfolio
from atb.live.wiring import breakers, load_portfolio
from atb.rehearsal.comparison import Comparison, FaultComparison, compare, compare_with_faults
from atb.rehearsal.faults import LEVELS, Schedule, draw_schedule
from atb.rehearsal.harness import Harness, HarnessRun, TradedPeriod
from atb.rehearsal.judge import Judgement, judge
from atb.rehearsal.kill_drill import KillDrill, run_kill_drill
from atb.times import DAY_MS, at_ms
from atb.venues.simulator.fees import BNB

_FOR_EVER = 2**60
_QUIET_BARS = 3  # bars without faults at the end of a run, in which everything can be resolved
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Rehearsal:
    """The result of a rehearsal.

    Parameters
    ----------
    comparison
        The run without faults compared with the backtest.
    judgement
        The ten invariants over all stages, judged from the exchange's ledger and the journal alone.
    faults
        Number of faults that occurred, by kind.
    exits
        By stage, the exit code of the runner's last process, or 1 if any of its processes ended with 1.
    with_faults
        The run with faults compared with the backtest; None without faults.
    """

    names: tuple[str, ...]
    days: float
    level: str
    seed: int
    comparison: Comparison
    judgement: Judgement
    faults: dict[str, int]
    kills: int
    drill: KillDrill
    folder: str
    seconds: dict[str, float] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    with_faults: FaultComparison | None = None

    @property
    def passed(self) -> bool:
        """Whether decisions agree, no invariant is violated, every run ended with exit code 0, and the kill drill passed."""
        decided = self.comparison.equal and (self.with_faults is None or self.with_faults.decided_alike)
        return decided and self.judgement.clean and self.drill.passed and not any(self.exits.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as stored as evidence."""
        return {
            "manifests": list(self.names),
            "days": self.days,
            "faults": self.level,
            "seed": self.seed,
            "passed": self.passed,
            "comparison": self.comparison.to_json(),
            "with_faults_beside_backtest": None if self.with_faults is None else self.with_faults.to_json(),
            "exit_codes": self.exits,
            "invariants": self.judgement.to_json(),
            "struck": self.faults,
            "kills": self.kills,
            "drill": {
                "held": self.drill.held, "milliseconds": self.drill.milliseconds, "exit_code": self.drill.exit_code,
                "flat": self.drill.flat, "seconds": self.drill.seconds, "resting": self.drill.resting,
            },
            "folder": self.folder,
            "seconds": self.seconds,
        }  # fmt: skip


def rehearse(
    manifests: Sequence[Path], settings: Settings, *, days: int, level: str, seed: int, progress: Progress | None = None
) -> Rehearsal:
    """Rehearse promoted strategies on one account and store the result as evidence.

    Parameters
    ----------
    days
        How many of the catalogue's last days are traded.
    level
        Faults: `none`, `standard` or `hard`.
    seed
        Of the faults.
    progress
        Called with the name of the stage and its progress from 0 to 1.

    Raises
    ------
    InputError, DataError, PromotionError
        If a manifest is refused, or bars are missing.
    RunError
        If the runner refuses to start.
    """
    if level not in LEVELS:
        raise InputError("There is no such level of faults", found=level, todo=did_you_mean(level, LEVELS))
    portfolio = load_portfolio(manifests, settings)
    _check_spot(portfolio)
    _check_fees(portfolio)
    period = _period(portfolio, settings, days)
    folder = settings.data.root / "rehearsals" / f"{portfolio.key[:12]}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    report = progress or (lambda _stage, _done: None)

    def stage(name: str) -> Harness:
        return Harness(folder / name, settings, manifests, portfolio, period)

    calm = stage("calm")
    runs = {"calm": calm.run(Schedule(), exact_fees=True, progress=_progress_of(report, "without faults", period))}
    result = _backtest(portfolio, period)
    comparison = compare(calm.url, result, end_ms=period.end_ms)
    judgement = _judge_run(runs["calm"], calm)
    faults, with_faults = _draw_schedule(portfolio, period, level, seed=seed), None
    if faults.faults or faults.kills:
        faulty = stage("faults")
        runs["faults"] = faulty.run(faults, progress=_progress_of(report, "with faults", period))
        judgement.include(_judge_run(runs["faults"], faulty), "faults")
        with_faults = compare_with_faults(
            faulty.url, result, runs["faults"].ledger, end_ms=period.end_ms, kills=faults.kills
        )
    report("kill drill", 0.0)
    drilled = stage("drill")
    drill, drill_run = run_kill_drill(drilled, result)
    if drill.held:
        judgement.include(_judge_run(drill_run, drilled, halts=((drill.set_ms, _FOR_EVER, 3),)), "drill")
        judgement.repeated(_decisions_until(calm, drill.entered_ms), _decisions_until(drilled, drill.entered_ms))
    faulty_run = runs.get("faults", HarnessRun())
    found = Rehearsal(
        tuple(plan.manifest.name for plan in portfolio.plans), days, level, seed, comparison, judgement,
        _fault_counts(faulty_run), sum(code < 0 for code in faulty_run.exits), drill, str(folder),
        {name: run.seconds for name, run in runs.items()}, {name: run.exit_code for name, run in runs.items()}, with_faults,
    )  # fmt: skip
    _save(found, portfolio, settings)
    return found


def _judge_run(run: HarnessRun, stage: Harness, **more: Any) -> Judgement:
    """Judge the run of a stage under the order-rate limits of the settings; `more` goes to `judge`."""
    limits = breakers(stage.settings)
    return judge(
        run.ledger, stage.url, stage.portfolio, series=stage.period.bars, deaths=run.deaths, balances=stage.balances,
        orders_per_minute=limits.orders_per_minute, last_resort=limits.last_resort, until_ms=stage.period.end_ms, **more,
    )  # fmt: skip


def _check_spot(portfolio: Portfolio) -> None:
    for plan in portfolio.plans:
        if plan.policy.allow_short:
            raise InputError(
                f"{plan.manifest.name} may sell short, which is not possible on a spot exchange", found="allow_short",
                todo="Promote it without short positions",
            )  # fmt: skip


def _check_fees(portfolio: Portfolio) -> None:
    """Refuse fees that no exchange takes: one account pays all of them in base, or in BNB, which is a base itself at times."""
    ways = {plan.execution.fee_in_base for plan in portfolio.plans}
    if len(ways) > 1 or (
        ways == {False} and any(BNB in {plan.symbol.base, plan.symbol.quote} for plan in portfolio.plans)
    ):
        raise InputError(
            "The exchange takes a buy's fee in what it buys, or in BNB", found=", ".join(
                f"{plan.symbol} with fee_in_base={plan.execution.fee_in_base}" for plan in portfolio.plans
            ), todo="Backtest with fee_in_base=true, and promote that",
        )  # fmt: skip


def _period(portfolio: Portfolio, settings: Settings, days: int) -> TradedPeriod:
    """Return the last `days` that the catalogue holds for all slots, with their warm-up."""
    whole = [
        load_bars(plan.symbol, plan.timeframe, root=settings.bars_root, venue=plan.manifest.venue)
        for plan in portfolio.plans
    ]
    ends = [bars.timeframe.next_ms(int(bars.opened_ms[-1])) for bars in whole]
    longest = max(whole, key=lambda bars: bars.timeframe.seconds)
    # One bar is left after the end, so that orders of the last decision can fill.
    end_ms = int(longest.opened_ms[longest.opened_ms.searchsorted(min(ends)) - 1])
    start_ms = int(longest.opened_ms[max(0, int(longest.opened_ms.searchsorted(end_ms - days * DAY_MS)))])
    for plan, bars in zip(portfolio.plans, whole, strict=True):
        before, needed = int(bars.opened_ms.searchsorted(start_ms)), portfolio.lead_bars(plan)
        if before < needed or start_ms >= end_ms:
            raise InputError(
                f"{plan.manifest.name} needs {needed} bars before the first of {days} days", found=f"{before} bars",
                todo="Rehearse fewer --days, or download more bars",
            )  # fmt: skip
    inputs = {}
    for slot, (plan, bars) in enumerate(zip(portfolio.plans, whole, strict=True)):
        traded = _bars_before(bars, end_ms)
        first = _first_row(plan, traded, start_ms)
        inputs[slot] = load_inputs(plan.inputs, traded, root=settings.bars_root, from_row=first)
    return TradedPeriod(tuple(whole), start_ms, end_ms, _read_bars(portfolio, settings), inputs)


def _read_bars(portfolio: Portfolio, settings: Settings) -> tuple[Bars, ...]:
    """Return all stored bars that strategies read as inputs, each series once."""
    wanted = {
        (str(one.symbol), str(one.timeframe)): plan.manifest.venue
        for plan in portfolio.plans
        for one in plan.inputs.values()
        if isinstance(one, BarsInput)
    }
    return tuple(
        load_bars(symbol, timeframe, root=settings.bars_root, venue=venue)
        for (symbol, timeframe), venue in wanted.items()
    )


def _backtest(portfolio: Portfolio, period: TradedPeriod) -> Result:
    """Return the backtest of the period; a slot with inputs has the bars for which they were loaded."""
    slots = []
    for slot, (plan, whole) in enumerate(zip(portfolio.plans, period.bars, strict=True)):
        bars, inputs = _bars_before(whole, period.end_ms), period.inputs.get(slot, {})
        slots.append(
            plan.slot(bars.rows(_first_row(plan, bars, period.start_ms), len(bars)) if inputs else bars, inputs)
        )
    return backtest(slots, account=portfolio.account, start=at_ms(period.start_ms))


def _first_row(plan: Plan, bars: Bars, start_ms: int) -> int:
    """Return the row at which the warm-up before `start_ms` begins."""
    return max(0, int(bars.opened_ms.searchsorted(start_ms)) - plan.warmup)


def _bars_before(bars: Bars, end_ms: int) -> Bars:
    count = int(bars.opened_ms.searchsorted(end_ms))
    return Bars(bars.symbol, bars.timeframe, bars.frame.iloc[:count], bars.venue)


def _draw_schedule(portfolio: Portfolio, period: TradedPeriod, level: str, *, seed: int) -> Schedule:
    bar_ms = min(plan.timeframe.seconds for plan in portfolio.plans) * 1_000
    names = [symbol.joined for symbol in portfolio.symbols]
    end_ms = max(period.start_ms + bar_ms, period.end_ms - _QUIET_BARS * bar_ms)
    quote = portfolio.symbols[0].quote
    return draw_schedule(
        level, seed=seed, start_ms=period.start_ms, end_ms=end_ms, symbols=names, bar_ms=bar_ms, quote=quote
    )


def _fault_counts(run: HarnessRun) -> dict[str, int]:
    """Count the faults that occurred, by kind; the end of a lasting one is not counted again."""
    entries = [entry for entry in run.ledger if entry["kind"] == "fault" and "ended" not in entry]
    return dict(Counter(str(entry["fault"]) for entry in entries))


def _decisions_until(stage: Harness, until_ms: int) -> list[Row]:
    """Return the decisions of a run on bars that closed by `until_ms`."""
    database = open_database(stage.url)
    try:
        log = decision_log(read_session(database))
    finally:
        database.close()
    return [row for row in log if row["bar"]["closed"] <= until_ms]


def _progress_of(report: Progress, stage: str, period: TradedPeriod) -> Callable[[int], None]:
    """Return a callback that turns exchange time into the progress of a stage."""
    length = period.end_ms - period.start_ms

    def update(now_ms: int) -> None:
        report(stage, min(1.0, max(0.0, (now_ms - period.start_ms) / length)))

    return update


def _save(found: Rehearsal, portfolio: Portfolio, settings: Settings) -> None:
    """Store the result for every manifest of the portfolio and for the portfolio itself."""
    from sqlalchemy import insert

    from atb.db.tables import EvidenceRow

    keys = dict.fromkeys([portfolio.key, *(plan.manifest.content_sha256 for plan in portfolio.plans)])
    runs = {plan.manifest.content_sha256: plan.manifest.run_id for plan in portfolio.plans}
    rows = [
        {
            "kind": "rehearsal",
            "manifest_sha256": key,
            "run_id": runs.get(key),
            "passed": found.passed,
            "detail": found.to_json(),
        }
        for key in keys
    ]
    database: Database = open_database(settings.database.url)
    try:
        with database.engine.begin() as connection:
            connection.execute(insert(EvidenceRow), rows)
    finally:
        database.close()

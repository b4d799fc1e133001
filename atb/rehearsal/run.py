"""A rehearsal: without faults it must be its backtest, with faults it must lose nothing, and the kill switch must flatten."""

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
from atb.db import Database, open_database
from atb.domain import Bars
from atb.errors import InputError, did_you_mean
from atb.live.journal.session_rows import Row, decision_log, read_session
from atb.live.portfolio import Portfolio
from atb.live.wiring import breakers, load_portfolio
from atb.rehearsal.comparison import Beside, Comparison, compare, lay_beside
from atb.rehearsal.faults import LEVELS, Schedule, schedule
from atb.rehearsal.harness import Period, Played, Stage
from atb.rehearsal.judge import Judgement, judge
from atb.rehearsal.kill_drill import Drill, hold_drill
from atb.times import DAY_MS, at_ms

_FOR_EVER = 2**60
_QUIET_BARS = 3  # at the end of a run with faults nothing strikes, so that everything can come to rest
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found.

    Parameters
    ----------
    comparison
        Without faults: the runner beside the backtest.
    judgement
        The invariants, judged from the exchange's ledger and the journal alone, of every stage.
    faults
        Kind to number of faults that struck.
    exits
        By stage, the exit code of the runner's last process, or 1 where any ended so: something broke.
    beside
        The run with faults beside the backtest, None without one.
    """

    names: tuple[str, ...]
    days: float
    level: str
    seed: int
    comparison: Comparison
    judgement: Judgement
    faults: dict[str, int]
    kills: int
    drill: Drill
    folder: str
    seconds: dict[str, float] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    beside: Beside | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, no decision differed, every run came to its end, and the drill ended flat."""
        decided = self.comparison.equal and (self.beside is None or self.beside.decided_alike)
        return decided and self.judgement.clean and self.drill.passed and not any(self.exits.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as they are kept as evidence."""
        return {
            "manifests": list(self.names),
            "days": self.days,
            "faults": self.level,
            "seed": self.seed,
            "passed": self.passed,
            "comparison": self.comparison.to_json(),
            "with_faults_beside_backtest": None if self.beside is None else self.beside.to_json(),
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
    manifests: Sequence[Path], settings: Settings, *, days: int, level: str, seed: int, tell: Tell | None = None
) -> Rehearsal:
    """Rehearse promoted strategies on one account and keep the result as evidence.

    Parameters
    ----------
    days
        The last so many days of the catalogue.
    level
        Faults: `none`, `standard` or `hard`.
    seed
        Of the faults.
    tell
        Called with what is being done and how far it is, from 0 to 1.

    Raises
    ------
    InputError, DataError, PromotionError
        If manifests or bars do not do.
    RunError
        If the runner refuses to start.
    """
    if level not in LEVELS:
        raise InputError("There is no such level of faults", found=level, todo=did_you_mean(level, LEVELS))
    portfolio = load_portfolio(manifests, settings)
    _check_spot(portfolio)
    period = _period(portfolio, settings, days)
    folder = settings.data.root / "rehearsals" / f"{portfolio.key[:12]}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    say = tell or (lambda _what, _share: None)

    def stage(name: str, until_ms: int | None = None) -> Stage:
        shorter = Period(period.bars, period.start_ms, until_ms or period.end_ms)
        return Stage(folder / name, settings, manifests, portfolio, shorter)

    calm = stage("calm")
    quiet = calm.play(Schedule(), exact_fees=True, tell=_share(say, "without faults", period))
    played = {"calm": quiet}
    result = _backtest(portfolio, period)
    comparison = compare(calm.url, result, end_ms=period.end_ms)
    judgement = _judged(quiet, calm)
    plan, beside = _schedule(portfolio, period, level, seed=seed), None
    if plan.faults or plan.kills:
        rough = stage("faults")
        played["faults"] = rough.play(plan, tell=_share(say, "with faults", period))
        judgement.include(_judged(played["faults"], rough), "faults")
        beside = lay_beside(rough.url, result, played["faults"].ledger, end_ms=period.end_ms, kills=plan.kills)
    say("kill drill", 0.0)
    drilled = stage("drill")
    drill, last = hold_drill(drilled, result)
    if drill.held:
        judgement.include(_judged(last, drilled, halts=((drill.pulled_ms, _FOR_EVER, 3),)), "drill")
        judgement.repeated(_decided(calm, drill.before_ms), _decided(drilled, drill.before_ms))
    storm = played.get("faults", Played())
    found = Rehearsal(
        tuple(plan.manifest.name for plan in portfolio.plans), days, level, seed, comparison, judgement, _struck(storm),
        sum(code < 0 for code in storm.exits), drill, str(folder), {name: one.seconds for name, one in played.items()},
        {name: one.end for name, one in played.items()}, beside,
    )  # fmt: skip
    _keep(found, portfolio, settings)
    return found


def _judged(played: Played, stage: Stage, **more: Any) -> Judgement:
    """Judge a stage under the limits of the settings."""
    limits = breakers(stage.settings)
    return judge(
        played.ledger, stage.url, stage.portfolio, series=stage.period.bars, deaths=played.deaths,
        orders_per_minute=limits.orders_per_minute, last_resort=limits.last_resort, until_ms=stage.period.end_ms, **more,
    )  # fmt: skip


def _check_spot(portfolio: Portfolio) -> None:
    for plan in portfolio.plans:
        if plan.policy.allow_short:
            raise InputError(
                f"{plan.manifest.name} may sell short, which a spot exchange does not do", found="allow_short",
                todo="Promote it without short positions",
            )  # fmt: skip


def _period(portfolio: Portfolio, settings: Settings, days: int) -> Period:
    """Return the last `days` of the catalogue that all slots have, with what warms them up."""
    whole = [
        load_bars(plan.symbol, plan.timeframe, root=settings.bars_root, venue=plan.manifest.venue)
        for plan in portfolio.plans
    ]
    ends = [bars.timeframe.next_ms(int(bars.opened_ms[-1])) for bars in whole]
    longest = max(whole, key=lambda bars: bars.timeframe.seconds)
    # One bar is left beyond the end: what the last decision sends finds a market.
    end_ms = int(longest.opened_ms[longest.opened_ms.searchsorted(min(ends)) - 1])
    start_ms = int(longest.opened_ms[max(0, int(longest.opened_ms.searchsorted(end_ms - days * DAY_MS)))])
    for plan, bars in zip(portfolio.plans, whole, strict=True):
        there, needed = int(bars.opened_ms.searchsorted(start_ms)), portfolio.lead_bars(plan)
        if there < needed or start_ms >= end_ms:
            raise InputError(
                f"{plan.manifest.name} needs {needed} bars before the first of {days} days", found=f"{there} bars",
                todo="Rehearse fewer --days, or download more bars",
            )  # fmt: skip
    return Period(tuple(whole), start_ms, end_ms)


def _backtest(portfolio: Portfolio, period: Period) -> Result:
    slots = [plan.slot(_before(bars, period.end_ms)) for plan, bars in zip(portfolio.plans, period.bars, strict=True)]
    return backtest(slots[0] if len(slots) == 1 else slots, account=portfolio.account, start=at_ms(period.start_ms))


def _before(bars: Bars, end_ms: int) -> Bars:
    count = int(bars.opened_ms.searchsorted(end_ms))
    return Bars(bars.symbol, bars.timeframe, bars.frame.iloc[:count], bars.venue)


def _schedule(portfolio: Portfolio, period: Period, level: str, *, seed: int) -> Schedule:
    bar_ms = min(plan.timeframe.seconds for plan in portfolio.plans) * 1_000
    names = [symbol.joined for symbol in portfolio.symbols]
    end_ms = max(period.start_ms + bar_ms, period.end_ms - _QUIET_BARS * bar_ms)
    quote = portfolio.symbols[0].quote
    return schedule(
        level, seed=seed, start_ms=period.start_ms, end_ms=end_ms, symbols=names, bar_ms=bar_ms, quote=quote
    )


def _struck(played: Played) -> dict[str, int]:
    """Count the faults that really struck, by kind; that a lasting one ended is no other one."""
    entries = [entry for entry in played.ledger if entry["kind"] == "fault" and "ended" not in entry]
    return dict(Counter(str(entry["fault"]) for entry in entries))


def _decided(stage: Stage, until_ms: int) -> list[Row]:
    """Return what a run decided on bars that had closed by a moment."""
    database = open_database(stage.url)
    try:
        log = decision_log(read_session(database))
    finally:
        database.close()
    return [row for row in log if row["bar"]["closed"] <= until_ms]


def _share(say: Tell, what: str, period: Period) -> Callable[[int], None]:
    length = period.end_ms - period.start_ms

    def tell(now_ms: int) -> None:
        say(what, min(1.0, max(0.0, (now_ms - period.start_ms) / length)))

    return tell


def _keep(found: Rehearsal, portfolio: Portfolio, settings: Settings) -> None:
    """Write the result to the database, for every manifest of the portfolio and for the portfolio itself."""
    from sqlalchemy import insert

    from atb.db.tables import Evidence

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
            connection.execute(insert(Evidence), rows)
    finally:
        database.close()

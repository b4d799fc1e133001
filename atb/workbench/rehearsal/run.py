"""A rehearsal: without faults it must be its backtest, with faults it must lose nothing, and the kill switch must flatten."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atb.backtest import run as backtest
from atb.backtest.result import Result
from atb.config.settings import Settings
from atb.data.catalogue import load_bars
from atb.data.moments import at_ms
from atb.db import Database, open_database
from atb.domain import Bars
from atb.errors import InputError, did_you_mean
from atb.live.feed import lead_bars
from atb.live.halt import Level, set_halt
from atb.live.portfolio import Portfolio
from atb.live.wiring import load_portfolio
from atb.venues.simulator.server import Running
from atb.workbench.rehearsal.books import Row, decision_log, read_books
from atb.workbench.rehearsal.comparison import Comparison, compare
from atb.workbench.rehearsal.faults import LEVELS, Schedule, schedule
from atb.workbench.rehearsal.judge import Judgement, judge
from atb.workbench.rehearsal.stage import ACCOUNT, Period, Played, Stage

_DAY_MS = 86_400_000
_QUIET_BARS = 3  # at the end of a run with faults nothing strikes, so that everything can come to rest
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class Drill:
    """The kill switch pulled while a position was held: the runner's exit code, and the time until it was flat.

    Parameters
    ----------
    milliseconds, seconds
        From the switch to the last sale in exchange time, and to the runner's end in real time.
    """

    held: bool
    milliseconds: int
    exit_code: int
    flat: bool
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the runner closed everything and said so; a period without a position proves nothing, and fails nothing."""
        return not self.held or (self.flat and self.exit_code == 4)


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found.

    Parameters
    ----------
    comparison
        Without faults: the runner beside the backtest.
    judgement
        The invariants, judged from the exchange's ledger and the journal alone; of the run with faults where there was one.
    faults
        Kind to number of faults that struck.
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

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, nothing differed, and the drill ended flat."""
        return self.comparison.equal and self.judgement.clean and self.drill.passed

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as they are kept as evidence."""
        return {
            "manifests": list(self.names),
            "days": self.days,
            "faults": self.level,
            "seed": self.seed,
            "passed": self.passed,
            "comparison": self.comparison.to_json(),
            "invariants": self.judgement.to_json(),
            "struck": self.faults,
            "kills": self.kills,
            "drill": {
                "held": self.drill.held, "milliseconds": self.drill.milliseconds, "exit_code": self.drill.exit_code,
                "flat": self.drill.flat, "seconds": self.drill.seconds,
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
    seconds = {}
    quiet = calm.play(Schedule((), ()), exact_fees=True, tell=_share(say, "without faults", period))
    seconds["calm"] = quiet.seconds
    result = _backtest(portfolio, period)
    comparison = compare(calm.url, result, end_ms=period.end_ms)
    plan = _schedule(portfolio, period, level, seed=seed)
    judged, rough = calm, Played()
    if plan.faults or plan.kills_ms:
        judged = stage("faults")
        rough = judged.play(plan, tell=_share(say, "with faults", period))
        seconds["faults"] = rough.seconds
    judgement = judge((rough if rough.exits else quiet).ledger, judged.url, portfolio, deaths=rough.deaths)
    drilled = stage("drill")
    drill = _drill(drilled, result, say)
    if drill.held:
        before_ms = _first_entry(result)
        judgement.repeated(_decided(calm, before_ms), _decided(drilled, before_ms))
    found = Rehearsal(
        tuple(plan.manifest.name for plan in portfolio.plans), days, level, seed, comparison, judgement, _struck(rough),
        sum(code < 0 for code in rough.exits), drill, str(folder), seconds,
    )  # fmt: skip
    _keep(found, portfolio, settings)
    return found


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
    start_ms = int(longest.opened_ms[max(0, int(longest.opened_ms.searchsorted(end_ms - days * _DAY_MS)))])
    for plan, bars in zip(portfolio.plans, whole, strict=True):
        there, needed = int(bars.opened_ms.searchsorted(start_ms)), lead_bars(plan, portfolio.lead)
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
    return schedule(level, seed=seed, start_ms=period.start_ms, end_ms=end_ms, symbols=names, bar_ms=bar_ms)


def _struck(played: Played) -> dict[str, int]:
    """Count the faults that really struck, by kind."""
    found: dict[str, int] = {}
    for entry in played.ledger:
        if entry["kind"] == "fault":
            name = str(entry.get("fault", entry.get("name", "?")))
            found[name] = found.get(name, 0) + 1
    return found


def _drill(stage: Stage, result: Result, say: Tell) -> Drill:
    """Let the runner open a position, pull the kill switch inside the next bar, and take the time until it is flat."""
    entered_ms = _first_entry(result)
    if entered_ms is None:
        return Drill(False, 0, 0, flat=True)
    pulled: list[int] = []
    began: list[float] = []

    def pull(running: Running) -> None:
        now = running.clock.now_ms()
        if not pulled and now > entered_ms:
            database = open_database(stage.url)
            set_halt(database, ACCOUNT, Level.FLATTEN, reason="kill drill of a rehearsal", source="rehearsal")
            database.close()
            began.append(time.monotonic())
            pulled.append(running.call(running.exchange.now_ms))
            running.call(running.exchange.waiting.wake)

    say("kill drill", 0.0)
    played = stage.play(Schedule((), ()), exact_fees=True, act=pull)
    seconds = time.monotonic() - began[0] if began else 0.0
    sold = [int(entry["ms"]) for entry in played.ledger if entry["kind"] == "trade"]
    flat_ms = sold[-1] - pulled[0] if pulled and sold else 0
    return Drill(bool(pulled), max(0, flat_ms), played.exits[-1], flat=_flat(played, stage), seconds=seconds)


def _first_entry(result: Result) -> int | None:
    """Return when the backtest first opens a position, None where it opens none."""
    entered = [int(order["time"]) for order in result.outcome.orders if order["role"] == 1]
    return entered[0] if entered else None


def _decided(stage: Stage, before_ms: int | None) -> list[Row]:
    """Return what a run decided on bars that opened before a moment."""
    database = open_database(stage.url)
    try:
        log = decision_log(read_books(database))
    finally:
        database.close()
    return [row for row in log if before_ms is None or row["bar_ms"] < before_ms]


def _flat(played: Played, stage: Stage) -> bool:
    """Tell whether the account holds nothing that could be sold, by the exchange's own ledger."""
    rows = [entry["balances"].items() for entry in played.ledger if entry["kind"] == "balance"]
    held = {asset: float(free) + float(locked) for row in rows for asset, (free, locked) in row}
    return all(
        held.get(plan.symbol.base, 0.0) < float(max(plan.instrument.lot, plan.instrument.min_quantity))
        for plan in stage.portfolio.plans
    )


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

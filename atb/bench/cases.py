"""The cases of `atb bench`: the jobs each needs, and the rows made of what they measured."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from atb.bench.agreement import EXACT, ROUNDED, SUMMED, WHOLE_UNITS, compare, equal_prices
from atb.bench.engines import ENGINES, EngineResult, FillRules
from atb.bench.process import BenchJob
from atb.bench.workload import SEED, WILD

Facts = dict[str, Any]
Runner = Callable[[BenchJob], Facts]
Progress = Callable[[int, int, BenchJob], None]

ATB, BARE = "atb", "bare loop"
# Fill rules of engines that do not fill as atb does; the bare loop also runs under them.
OTHER_RULES = {"vectorbt numba": FillRules(False, False), "vectorbt rust": FillRules(False, False)}
TOLERANCES = {ATB: EXACT, BARE: EXACT, "backtesting.py": WHOLE_UNITS}
CASES = {
    "single": "one backtest with its orders, trades, equity and drawdown, as the engine keeps them",
    "tables": "the same with orders and trades as readable tables",
    "multi": "ten markets on one account",
    "fills": "the same on wild bars, where the fill rules of engines show",
    "sweep": "a grid of stops and targets",
    "grid": "a grid of the two windows",
    "cores": "the sweep on one and on two workers, wall time",
    "memory": "the sweep with a tenth, all and ten times the combinations",
    "start": "from the start of the process to the first result, wall time",
    "cold": "compiling the kernel into an empty cache",
    "load": "a million minutes from the catalogue, beside pandas from CSV, and one day of them, wall time",
    "indicators": "a closed bar's indicators by the live form, beside pandas computing them again",
    "live": "from a closed bar seen by the runner to the request it sends, as a histogram",
    "notebooks": "small notebooks in a batch with warm kernels, beside papermill, wall time of each",
    "ledger": "a sweep with the trials ledger and without it",
}


COMPARED = frozenset({"single", "tables", "multi", "fills", "sweep", "grid"})


@dataclass(frozen=True)
class Options:
    """Sizes of a measurement: bars, combinations of a sweep, repeats, seed of the bars, CPU seconds allowed per job."""

    bars: int = 100_000
    combos: int = 1_000
    repeat: int = 3
    seed: int = SEED
    budget: float = 20.0


@dataclass
class Row:
    """One line of the table; times in seconds, memory in MB, `ratio_to_atb` above 1 if atb is faster."""

    case: str
    engine: str
    bars: int
    combos: int
    cpu_s: float | None
    ratio_to_atb: float | None
    peak_mb: float | None
    agrees: bool | None
    wall_s: float | None = None
    workers: int = 1
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, the notes as one text."""
        return asdict(self) | {"notes": "; ".join(self.notes)}


def jobs_of(case: str, options: Options, engines: Sequence[str]) -> list[BenchJob]:
    """Return the jobs of a case, one per engine and size."""
    task = {"fills": "single", "cores": "sweep", "memory": "sweep"}.get(case, case)
    first = BenchJob(ATB, task, bars=options.bars, seed=options.seed, repeat=options.repeat, budget=options.budget)
    if case == "cold":
        return [first]
    if case == "start":
        return [replace(first, engine=name) for name in engines for _ in range(options.repeat)]
    if case == "cores":
        return [replace(first, combos=options.combos, workers=count) for count in (1, 2)]
    if case == "memory":
        return _memory_jobs(replace(first, repeat=1), options.combos, engines)
    if case in {"sweep", "grid"}:
        first = replace(first, combos=options.combos)
    if case == "fills":
        first = replace(first, sigma=WILD, repeat=1)
    return [_with_rules(replace(first, engine=name)) for name in engines]


def _memory_jobs(first: BenchJob, combos: int, engines: Sequence[str]) -> list[BenchJob]:
    """Return sweeps of atb in three sizes, and the smallest one for peers that hold all combinations in memory."""
    few = max(2, combos // 10)
    mine = [replace(first, combos=count) for count in (few, combos, combos * 10)]
    return mine + [replace(first, engine=name, combos=few) for name in engines if name.startswith("vectorbt")]


def run_cases(
    cases: Sequence[str], options: Options, engines: Sequence[str], *, runner: Runner, progress: Progress
) -> Iterator[Row]:
    """Run every job of the cases, one process at a time, and yield the rows of each case once it is done."""
    plan = {case: jobs_of(case, options, engines) for case in cases}
    done, total = 0, sum(len(jobs) for jobs in plan.values())
    for case, jobs in plan.items():
        facts = []
        for job in jobs:
            done += 1
            progress(done, total, job)
            facts.append(runner(job))
        yield from rows_of(case, jobs, facts)


def rows_of(case: str, jobs: Sequence[BenchJob], facts: Sequence[Facts]) -> list[Row]:
    """Return the rows of a case from the facts of its jobs."""
    if case == "start":
        jobs, facts = _quickest(jobs, facts)
    rows = [_row(case, job, fact) for job, fact in zip(jobs, facts, strict=True)]
    clock = "wall_s" if case in {"start", "cores"} else "cpu_s"
    for row in rows:
        mine = next((r for r in rows if r.engine == ATB and (r.combos, r.workers) == (row.combos, 1)), None)
        row.ratio_to_atb = _ratio(getattr(row, clock), getattr(mine, clock, None))
    if case in COMPARED:
        _check_agreement(rows, jobs, facts)
    if case == "cores" and rows[1].ratio_to_atb:
        rows[1].notes.append(f"{1 / rows[1].ratio_to_atb:.2f}x the speed of one worker, {os.cpu_count()} cores here")
    return rows


def _with_rules(job: BenchJob) -> BenchJob:
    """Let the bare loop also run under the other engines' fill rules."""
    if job.engine != BARE:
        return job
    return replace(job, rules=tuple(dict.fromkeys((r.entry_bar, r.exit_first) for r in OTHER_RULES.values())))


def _row(case: str, job: BenchJob, facts: Facts) -> Row:
    row = Row(case, job.engine, job.bars, job.combos, None, None, None, None, workers=job.workers)
    if "error" in facts:
        row.notes.append(f"failed: {facts['error']}")
        return row
    row.cpu_s, row.wall_s, row.peak_mb = facts["cpu_s"], facts["wall_s"], facts.get("peak_mb")
    if facts["measured"] < job.combos:
        row.notes.append(f"{facts['measured']} of {job.combos} combinations measured, the time is scaled up")
    return row


def _ratio(theirs: float | None, mine: float | None) -> float | None:
    return theirs / mine if theirs and mine else None


def _quickest(jobs: Sequence[BenchJob], facts: Sequence[Facts]) -> tuple[list[BenchJob], list[Facts]]:
    """Return one job and the facts of the fastest start per engine; a failed start counts only if all failed."""
    by_engine: dict[str, list[Facts]] = {}
    for job, fact in zip(jobs, facts, strict=True):
        by_engine.setdefault(job.engine, []).append(fact)
    chosen = {name: min(found, key=lambda fact: fact.get("wall_s", math.inf)) for name, found in by_engine.items()}
    return [next(job for job in jobs if job.engine == name) for name in chosen], list(chosen.values())


def _check_agreement(rows: Sequence[Row], jobs: Sequence[BenchJob], facts: Sequence[Facts]) -> None:
    """Write into each row whether its engine agrees with the bare loop under the same fill rules."""
    reference = next((fact for job, fact in zip(jobs, facts, strict=True) if job.engine == BARE), {})
    if "found" not in reference:
        return
    plain = EngineResult(**reference["found"])
    replays = {pair: EngineResult(**found) for pair, found in zip(_rules_of(jobs), reference["replays"], strict=True)}
    for row, fact in zip(rows, facts, strict=True):
        if "found" not in fact:
            continue
        found, tolerance = EngineResult(**fact["found"]), TOLERANCES.get(row.engine, ROUNDED)
        rules = OTHER_RULES.get(row.engine)
        held = plain if rules is None else replays[rules.entry_bar, rules.exit_first]
        verdict = compare(held, found, tolerance=tolerance, sums=SUMMED if row.case == "multi" else EXACT)
        row.agrees = verdict.agrees
        row.notes.append(verdict.text if rules is None else f"under its own fill rules {verdict.text}")
        if rules is not None and plain.trades:
            same = equal_prices(plain, found, tolerance=tolerance)
            row.notes.append(f"under atb's {same} of {len(plain.trades)}" + (_WHY if same < len(plain.trades) else ""))


_WHY = ": it checks no stop or target in the entry bar, and fills them before an exit due at the same bar's open"


def _rules_of(jobs: Sequence[BenchJob]) -> tuple[tuple[bool, bool], ...]:
    return next(job.rules for job in jobs if job.engine == BARE)


def measurable(missing: Sequence[str]) -> list[str]:
    """Return the installed engines, atb and the bare loop first."""
    return [name for name in ENGINES if name not in missing]

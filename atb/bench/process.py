"""One measurement in its own process: a job as JSON on standard input, what was measured as the last line of output."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atb import trial_folder
from atb.bench.engines import Engine, EngineResult, FillRules, make_engine
from atb.bench.measure import PeakMemory, Timing, timed
from atb.bench.workload import (
    MARKETS,
    SEED,
    SIGMA,
    BenchParameters,
    GeneratedBars,
    generate,
    policy_grid,
    strategy_grid,
)

WARM_UP = 8  # combinations of the discarded first run, for engines that take all at once
# Short calls are repeated until this many CPU seconds are used, and the fastest counts: on a shared machine anything slower is due
# to other work. All engines are measured this way.
LONG_ENOUGH, MOST = 1.0, 20


@dataclass(frozen=True)
class BenchJob:
    """One measurement.

    Parameters
    ----------
    engine, task
        A name in `ENGINES`, and one of `TASKS`.
    bars, seed, sigma
        Which bars are generated.
    combos, workers
        Combinations of a sweep, and how many workers atb may give them to.
    repeat
        Runs of which the fastest counts, after one that is discarded; short ones are repeated more often.
    budget
        CPU seconds after which no further repeat or chunk of combinations is started.
    rules
        Fill rules (entry_bar, exit_first) under which the bare loop runs too, untimed.
    """

    engine: str
    task: str
    bars: int = 100_000
    seed: int = SEED
    sigma: float = SIGMA
    combos: int = 1
    workers: int = 1
    repeat: int = 3
    budget: float = 20.0
    rules: tuple[tuple[bool, bool], ...] = ()


def main() -> None:
    """Read a job, run it, print what it measured."""
    job = BenchJob(**json.loads(sys.stdin.read()))
    with tempfile.TemporaryDirectory(prefix="atb-bench-") as folder:  # what is measured is no trial of the user's
        trial_folder.mount(lambda: Path(folder))
        facts = TASKS[job.task](job)
    print("\n" + json.dumps(facts))  # noqa: T201 - the answer to the process that asked


def measure_single(job: BenchJob) -> dict[str, Any]:
    """Time one backtest, with everything that a reader of its result needs.

    Each timed call gets bars in new memory, so that no cached result helps, right after an untimed call on other bars: the code is
    warm, the data are not.
    """
    engine, markets, memory = _ready(job)

    def load() -> Any:
        loaded = [engine.load(market.copy()) for market in markets]
        return loaded if job.task == "multi" else loaded[0]

    def call(data: Any) -> Any:
        return engine.several(data) if job.task == "multi" else engine.single(data, tables=job.task == "tables")

    call(load())
    peak, timings, raw = memory.megabytes(), list[Timing](), None
    begun = time.process_time()
    while not timings or not _enough(timings, job, time.process_time() - begun):
        raw, earlier, data = None, load(), load()
        raw, timing = timed(lambda data=data: call(data), before=lambda earlier=earlier: call(earlier))  # type: ignore[misc] # mypy: default
        timings.append(timing)

    def replay(loop: Engine) -> Any:
        return loop.several(markets) if job.task == "multi" else loop.single(markets[0])

    return _facts(timings, peak, engine.result(raw)) | _replays(job, replay)


def _enough(timings: list[Timing], job: BenchJob, gone: float) -> bool:
    """True if there are enough repeats (more for short calls), or the budget is used up."""
    short = sum(timing.cpu for timing in timings) < LONG_ENOUGH and len(timings) < MOST
    return gone > job.budget or (len(timings) >= job.repeat and not (short and job.repeat > 1))


def measure_many(job: BenchJob) -> dict[str, Any]:
    """Time a sweep chunk by chunk; if the budget ends first, the time is scaled up to all chunks."""
    engine, (market,), memory = _ready(job)
    combinations = combinations_of(job)
    call = _sweeper(engine, job)
    call(engine.load(market.copy()), combinations[: engine.chunk or WARM_UP])
    timings: list[Timing] = []
    found, begun = EngineResult(), time.process_time()
    while not timings or (len(timings) < job.repeat and time.process_time() - begun < job.budget):
        data, parts, found = engine.load(market.copy()), [], EngineResult()
        for chunk in _chunks(combinations, engine.chunk):
            raw, timing = timed(lambda data=data, chunk=chunk: call(data, chunk))  # type: ignore[misc] # mypy: default
            parts.append(timing)
            found.extend(engine.result(raw))
            if time.process_time() - begun > job.budget:
                break
        scale = len(combinations) / len(found.final_equity)
        timings.append(Timing(scale * sum(part.cpu for part in parts), scale * sum(part.wall for part in parts)))
    return _facts(timings, memory.megabytes(), found) | _replays(job, lambda loop: loop.many(market, combinations))


def measure_start(job: BenchJob) -> dict[str, Any]:
    """Import, make bars and run once, as a script does; return when the result was ready."""
    engine, (market,) = make_engine(job.engine), _markets(job)
    found = engine.result(engine.single(engine.load(market)))
    return {"at": time.time(), "cpu_s": time.process_time(), "found": found.to_json(), "measured": 1}


def measure_cold(_: BenchJob) -> dict[str, Any]:
    """Compile the kernel into this copy's empty cache."""
    from atb.engine.cache import cache_folder, is_compiled

    if is_compiled():
        raise RuntimeError(f"the kernel is compiled already in {cache_folder()}")

    def compile_all() -> None:
        from atb.engine.warm import warm_up

        warm_up()

    _, timing = timed(compile_all)
    return {"cpu_s": timing.cpu, "wall_s": timing.wall, "measured": 1}


TASKS: dict[str, Callable[[BenchJob], dict[str, Any]]] = {
    "single": measure_single,
    "tables": measure_single,
    "multi": measure_single,
    "sweep": measure_many,
    "grid": measure_many,
    "start": measure_start,
    "cold": measure_cold,
}


def combinations_of(job: BenchJob) -> list[BenchParameters]:
    """Return the combinations of a sweep's job."""
    return strategy_grid(job.combos) if job.task == "grid" else policy_grid(job.combos)


def _ready(job: BenchJob) -> tuple[Engine, list[GeneratedBars], PeakMemory]:
    """Return engine, bars, and the start of the memory count: after imports, with the bars loaded."""
    engine, markets = make_engine(job.engine), _markets(job)
    for market in markets:
        engine.load(market.copy())
    return engine, markets, PeakMemory()


def _markets(job: BenchJob) -> list[GeneratedBars]:
    count = MARKETS if job.task == "multi" else 1
    return [generate(job.bars, job.seed + k, sigma=job.sigma) for k in range(count)]


def _sweeper(engine: Engine, job: BenchJob) -> Callable[[Any, list[BenchParameters]], Any]:
    from atb.bench.subject import Atb

    if isinstance(engine, Atb):
        return lambda data, chunk: engine.sweep(data, chunk, workers=job.workers)
    return engine.many


def _chunks(combinations: list[BenchParameters], size: int | None) -> list[list[BenchParameters]]:
    step = size or len(combinations)
    return [combinations[i : i + step] for i in range(0, len(combinations), step)]


def _facts(timings: list[Timing], peak: float, found: EngineResult) -> dict[str, Any]:
    """Return the measurements: times of the fastest repeat, peak memory, results."""
    return {
        "cpu_s": min(timing.cpu for timing in timings),
        "wall_s": min(timing.wall for timing in timings),
        "repeats": len(timings),
        "peak_mb": peak,
        "found": found.to_json(),
        "measured": len(found.final_equity),
    }


def _replays(job: BenchJob, run: Callable[[Engine], Any]) -> dict[str, Any]:
    """Return the bare loop's results under the fill rules of other engines."""
    if not job.rules:
        return {}
    from atb.bench.bare import BareLoop

    loops = [BareLoop(FillRules(*pair)) for pair in job.rules]
    return {"replays": [loop.result(run(loop)).to_json() for loop in loops]}


if __name__ == "__main__":
    main()

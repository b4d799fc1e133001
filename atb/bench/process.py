"""One measurement in a process of its own: a job comes in as JSON on standard input, its facts go out as the last line."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atb.bench.engines import Engine, Found, Rules, make_engine
from atb.bench.measure import PeakMemory, Timing, timed
from atb.bench.workload import (
    MARKETS,
    SEED,
    SIGMA,
    Combination,
    Market,
    generate,
    policy_grid,
    strategy_grid,
)

WARM_UP = 8  # combinations of the discarded first run, for engines that take all at once
# A call of milliseconds is repeated until this much CPU time has gone, and the least is taken: on a machine with other work, what
# is above the least was the other work's doing. Every engine is measured so.
LONG_ENOUGH, MOST = 1.0, 20


@dataclass(frozen=True)
class Job:
    """What one process is asked to do.

    Parameters
    ----------
    engine, task
        A name in `ENGINES`, and one of `TASKS`.
    bars, seed, sigma
        Which bars are generated.
    combos, workers
        Combinations of a sweep, and how many workers atb may give them to.
    repeat
        Runs of which the least is taken, after one that is discarded; more where they are short.
    budget
        CPU seconds after which no further repeat and no further chunk of combinations is begun.
    rules
        Fill rules of other engines under which the bare loop is to run too, untimed: (entry_bar, exit_first) each.
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
    """Read a job, do it, print its facts."""
    job = Job(**json.loads(sys.stdin.read()))
    facts = TASKS[job.task](job)
    print("\n" + json.dumps(facts))  # noqa: T201 - the answer to the process that asked


def measure_single(job: Job) -> dict[str, Any]:
    """Time one backtest, with everything that a reader of its result needs.

    Each timed call is given bars in new memory, so that nothing remembered of earlier ones is of use, and follows at once upon
    an untimed call on other such bars: warm is the engine's code, not its data.
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

    return _facts(timings, peak, engine.found(raw)) | _replays(job, replay)


def _enough(timings: list[Timing], job: Job, gone: float) -> bool:
    """Tell whether there are repeats enough: those asked for, and of short calls more; or the budget has gone."""
    short = sum(timing.cpu for timing in timings) < LONG_ENOUGH and len(timings) < MOST
    return gone > job.budget or (len(timings) >= job.repeat and not (short and job.repeat > 1))


def measure_many(job: Job) -> dict[str, Any]:
    """Time a sweep chunk by chunk; when the budget ends before the chunks do, the time is scaled up to all of them."""
    engine, (market,), memory = _ready(job)
    combinations = combinations_of(job)
    call = _sweeper(engine, job)
    call(engine.load(market.copy()), combinations[: engine.chunk or WARM_UP])
    timings: list[Timing] = []
    found, begun = Found(), time.process_time()
    while not timings or (len(timings) < job.repeat and time.process_time() - begun < job.budget):
        data, parts, found = engine.load(market.copy()), [], Found()
        for chunk in _chunks(combinations, engine.chunk):
            raw, timing = timed(lambda data=data, chunk=chunk: call(data, chunk))  # type: ignore[misc] # mypy: default
            parts.append(timing)
            found.extend(engine.found(raw))
            if time.process_time() - begun > job.budget:
                break
        scale = len(combinations) / len(found.final_equity)
        timings.append(Timing(scale * sum(part.cpu for part in parts), scale * sum(part.wall for part in parts)))
    return _facts(timings, memory.megabytes(), found) | _replays(job, lambda loop: loop.many(market, combinations))


def measure_start(job: Job) -> dict[str, Any]:
    """Do what a script does first: import, take the bars, run once; say when the result was there."""
    engine, (market,) = make_engine(job.engine), _markets(job)
    found = engine.found(engine.single(engine.load(market)))
    return {"at": time.time(), "cpu_s": time.process_time(), "found": found.to_json(), "measured": 1}


def measure_cold(_: Job) -> dict[str, Any]:
    """Compile the kernel into the empty cache of this copy of atb."""
    from atb.engine.cache import cache_folder, is_compiled

    if is_compiled():
        raise RuntimeError(f"the kernel is compiled already in {cache_folder()}")

    def compile_all() -> None:
        from atb.engine.warm import warm_up

        warm_up()

    _, timing = timed(compile_all)
    return {"cpu_s": timing.cpu, "wall_s": timing.wall, "measured": 1}


TASKS: dict[str, Callable[[Job], dict[str, Any]]] = {
    "single": measure_single,
    "tables": measure_single,
    "multi": measure_single,
    "sweep": measure_many,
    "grid": measure_many,
    "start": measure_start,
    "cold": measure_cold,
}


def combinations_of(job: Job) -> list[Combination]:
    """Return the combinations that a sweep's job stands for."""
    return strategy_grid(job.combos) if job.task == "grid" else policy_grid(job.combos)


def _ready(job: Job) -> tuple[Engine, list[Market], PeakMemory]:
    """Return engine and bars, and the mark from which memory is counted: after imports, with the bars in memory."""
    engine, markets = make_engine(job.engine), _markets(job)
    for market in markets:
        engine.load(market.copy())
    return engine, markets, PeakMemory()


def _markets(job: Job) -> list[Market]:
    count = MARKETS if job.task == "multi" else 1
    return [generate(job.bars, job.seed + k, sigma=job.sigma) for k in range(count)]


def _sweeper(engine: Engine, job: Job) -> Callable[[Any, list[Combination]], Any]:
    from atb.bench.subject import Atb

    if isinstance(engine, Atb):
        return lambda data, chunk: engine.sweep(data, chunk, workers=job.workers)
    return engine.many


def _chunks(combinations: list[Combination], size: int | None) -> list[list[Combination]]:
    step = size or len(combinations)
    return [combinations[i : i + step] for i in range(0, len(combinations), step)]


def _facts(timings: list[Timing], peak: float, found: Found) -> dict[str, Any]:
    """Return what was measured: the least of the repeats, and the most memory that a call took."""
    return {
        "cpu_s": min(timing.cpu for timing in timings),
        "wall_s": min(timing.wall for timing in timings),
        "repeats": len(timings),
        "peak_mb": peak,
        "found": found.to_json(),
        "measured": len(found.final_equity),
    }


def _replays(job: Job, run: Callable[[Engine], Any]) -> dict[str, Any]:
    """Return what the bare loop finds under the rules of other engines."""
    if not job.rules:
        return {}
    from atb.bench.bare import BareLoop

    loops = [BareLoop(Rules(*pair)) for pair in job.rules]
    return {"replays": [loop.found(run(loop)).to_json() for loop in loops]}


if __name__ == "__main__":
    main()

"""Cost of the trials ledger: the same sweep with it and with a stand-in that records nothing, in turns."""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from atb import trial_folder
from atb.bench.cases import ATB, Options, Row
from atb.bench.measure import Timing, timed
from atb.bench.subject import Atb
from atb.bench.workload import BenchParameters, generate, policy_grid, strategy_grid

CASE, WITHOUT = "ledger", "without the ledger"
_TURNS = 3  # times as many as the repeats of other cases: two per cent are less than the noise of a single run


class _Nothing:
    """Takes what a sweep records, and forgets it."""

    due = False

    def __init__(self, *_: Any) -> None: ...

    def begin(self, *_: Any) -> None:
        """Take nothing."""

    def curve(self, *_: Any) -> None:
        """Keep no returns."""

    keep = write = begin


def measure_ledger(options: Options) -> list[Row]:
    """Return the rows of the case: a grid of stops and targets, and one of windows, each with the ledger and without it.

    Times are the fastest of the turns, in CPU seconds; the ledger's share is the median over the turns, of each with it and the one
    without it next to it, since the fastest of two series differ by more than two per cent by chance. Bars come in new memory, so
    their fingerprint is part of the time.
    """
    market, rows = generate(options.bars, options.seed), []
    with tempfile.TemporaryDirectory(prefix="atb-bench-") as folder:
        before = trial_folder.mounted()
        trial_folder.mount(lambda: Path(folder))
        try:
            for name, grid in (("stops and targets", policy_grid), ("windows", strategy_grid)):
                ours, bare = _in_turns(market, grid(options.combos), _TURNS * options.repeat)
                rows += _rows(options, ours, bare, note=f"a grid of {name}")
        finally:
            trial_folder.mount(lambda: before)
    return rows


def _in_turns(market: Any, combinations: list[BenchParameters], turns: int) -> tuple[list[Timing], list[Timing]]:
    """Return the times with the ledger and those without it, in turns."""
    from atb.backtest import sweeping

    module: Any = sweeping  # its recorder is replaced, which no other code may do
    engine, real, found = Atb(), module.SweepTrials, dict[bool, list[Timing]]({True: [], False: []})
    engine.many(engine.load(market.copy()), combinations[:8])
    for turn in range(2 * turns):
        recorded, data = turn % 2 == 0, engine.load(market.copy())
        module.SweepTrials = real if recorded else _Nothing
        try:
            found[recorded].append(timed(lambda data=data: engine.many(data, combinations))[1])  # type: ignore[misc] # mypy: default
        finally:
            module.SweepTrials = real
    return found[True], found[False]


def _rows(options: Options, ours: list[Timing], bare: list[Timing], *, note: str) -> list[Row]:
    sizes = options.bars, options.combos
    ratio = statistics.median(without.cpu / recorded.cpu for recorded, without in zip(ours, bare, strict=True))
    words = f"{note}: the ledger takes {100.0 * (1.0 - ratio):.1f} %"
    ours_best, bare_best = (min(times, key=lambda one: one.cpu) for times in (ours, bare))
    return [
        Row(CASE, ATB, *sizes, ours_best.cpu, 1.0, None, None, ours_best.wall, notes=[words]),
        Row(CASE, WITHOUT, *sizes, bare_best.cpu, ratio, None, None, bare_best.wall, notes=[note]),
    ]

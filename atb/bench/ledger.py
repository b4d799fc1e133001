"""Cost of the trials ledger: the same sweep with it and with a stand-in that records nothing, in turns."""

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

    The fastest of the turns counts, in CPU seconds. Bars come in new memory, so their fingerprint is part of the time.
    """
    market, rows = generate(options.bars, options.seed), []
    with tempfile.TemporaryDirectory(prefix="atb-bench-") as folder:
        before = trial_folder.mounted()
        trial_folder.mount(lambda: Path(folder))
        try:
            for name, grid in (("stops and targets", policy_grid), ("windows", strategy_grid)):
                ours, bare = _fastest(market, grid(options.combos), _TURNS * options.repeat)
                rows += _rows(options, ours, bare, note=f"a grid of {name}")
        finally:
            trial_folder.mount(lambda: before)
    return rows


def _fastest(market: Any, combinations: list[BenchParameters], turns: int) -> tuple[Timing, Timing]:
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
    return tuple(min(found[recorded], key=lambda one: one.cpu) for recorded in (True, False))  # type: ignore[return-value] # two


def _rows(options: Options, ours: Timing, bare: Timing, *, note: str) -> list[Row]:
    sizes = options.bars, options.combos
    share = 100.0 * (1.0 - bare.cpu / ours.cpu)
    return [
        Row(CASE, ATB, *sizes, ours.cpu, 1.0, None, None, ours.wall, notes=[f"{note}: the ledger takes {share:.1f} %"]),
        Row(CASE, WITHOUT, *sizes, bare.cpu, bare.cpu / ours.cpu, None, None, bare.wall, notes=[note]),
    ]

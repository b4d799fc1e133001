"""Targets for speed and memory, checked against measured rows.

Where the time of one backtest of 100,000 bars goes (SMA 20/50, stop and target, 930 trades), in milliseconds on a quiet 2-core
EPYC, 2.6 to 2.9 in all: the compiled loop 0.45, of which bars without a decision 0.2; the two moving averages of TA-Lib 0.35, bound
by the latency of a running sum; pandas around bars, features and signals 0.7; checking bars and signals and making their times 0.5;
first writes to new memory 0.4; policies, parameters and the equity's series 0.3. A first result takes a process 0.5 s of CPU,
most of it the imports of pandas and NumPy: numba is not loaded, see `atb.engine.native`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from atb.bench.cases import ATB, Row
from atb.bench.loading import CSV, size_ratio
from atb.bench.notebooks import CASE, PAPERMILL

BARS, COMBOS = 100_000, 1_000


@dataclass(frozen=True)
class TargetResult:
    """One target: its text, the measured figure, and whether it is met."""

    target: str
    figure: str
    met: bool

    def __str__(self) -> str:
        """Return the line that is printed."""
        return f"{'met' if self.met else 'MISSED'}: {self.target}: {self.figure}"


def check_targets(rows: Sequence[Row]) -> list[TargetResult]:
    """Return the result of each target that the rows cover."""
    found = [check(rows) for check in CHECKS]
    return [result for result in found if result is not None]


def _faster_than_vectorbt(rows: Sequence[Row], case: str, *, factor: float, target: str) -> TargetResult | None:
    """Check the ratio to the faster of vectorbt's engines; all results of the case must agree."""
    peers = [row for row in rows if row.case == case and row.engine.startswith("vectorbt") and row.ratio_to_atb]
    if not peers:
        return None
    nearest = min(peers, key=lambda row: row.ratio_to_atb or 0.0)
    ratio = nearest.ratio_to_atb or 0.0
    agreed = all(row.agrees for row in rows if row.case == case)
    figure = f"{ratio:.1f}x ({nearest.engine}{_sizes(nearest)})" + ("" if agreed else ", results do not agree")
    return TargetResult(target, figure, ratio >= factor and agreed)


def _single(rows: Sequence[Row]) -> TargetResult | None:
    return _faster_than_vectorbt(
        rows, "single", factor=10.0, target="one backtest of 100,000 bars at least 10x vectorbt"
    )


def _sweep(rows: Sequence[Row]) -> TargetResult | None:
    return _faster_than_vectorbt(
        rows, "sweep", factor=20.0, target="1,000 combinations x 100,000 bars at least 20x vectorbt per core"
    )


def _memory(rows: Sequence[Row]) -> TargetResult | None:
    peaks = [row for row in rows if row.case == "memory" and row.engine == ATB and row.peak_mb is not None]
    if not peaks:
        return None
    figure = ", ".join(f"{row.peak_mb:.0f} MB for {row.combos:,}" for row in peaks)
    target = "memory of a sweep at most data + 200 MB, whatever the number of combinations"
    return TargetResult(target, figure, max(row.peak_mb or 0.0 for row in peaks) <= 200.0)


def _cores(rows: Sequence[Row]) -> TargetResult | None:
    ratio = next((row.ratio_to_atb for row in rows if row.case == "cores" and row.workers == 2), None)
    return None if not ratio else TargetResult("at least 1.7x on two cores", f"{1 / ratio:.2f}x", 1 / ratio >= 1.7)


def _start(rows: Sequence[Row]) -> TargetResult | None:
    return _seconds(rows, "start", limit=1.0, target="process start to first result within 1 s")


def _live(rows: Sequence[Row]) -> TargetResult | None:
    row = next((row for row in rows if row.case == "live" and row.wall_s is not None), None)
    if row is None or row.wall_s is None:
        return None
    target = "99 % of requests leave within 50 ms of seeing a bar's close, durable commit included"
    return TargetResult(target, f"{row.wall_s * 1_000:.1f} ms", row.wall_s <= 0.050)


def _load(rows: Sequence[Row]) -> TargetResult | None:
    ours = next((row for row in rows if row.case == "load" and row.engine == ATB), None)
    row = next((row for row in rows if row.case == "load" and row.engine == CSV), None)
    if row is None or ours is None:
        return None
    smaller, faster = size_ratio(ours), row.ratio_to_atb or 0.0
    target = "a million bars load at least 8x faster than pandas from CSV, from at most 1/6 of its size"
    return TargetResult(target, f"{faster:.1f}x, 1/{smaller:.1f}", faster >= 8 and smaller >= 6 and bool(row.agrees))


def _indicators(rows: Sequence[Row]) -> TargetResult | None:
    row = next((row for row in rows if row.case == "indicators" and row.engine == "pandas"), None)
    if row is None or row.ratio_to_atb is None:
        return None
    figure = f"{row.ratio_to_atb:,.0f}x{_sizes(row)}" + ("" if row.agrees else ", values do not agree")
    target = "a live bar's indicators at least 500x pandas over 100,000 bars"
    return TargetResult(target, figure, row.ratio_to_atb >= 500.0 and bool(row.agrees))


def _ledger(rows: Sequence[Row]) -> TargetResult | None:
    row = next((row for row in rows if row.case == "ledger" and row.engine != ATB), None)
    if row is None or row.ratio_to_atb is None:
        return None
    share = 1.0 - row.ratio_to_atb
    return TargetResult("the trials ledger at most 2 % of a sweep", f"{100 * share:.1f} %{_sizes(row)}", share <= 0.02)


def _cold(rows: Sequence[Row]) -> TargetResult | None:
    return _seconds(rows, "cold", limit=15.0, target="cold compile within 15 s")


def _notebooks(rows: Sequence[Row]) -> TargetResult | None:
    found = next((row for row in rows if row.case == CASE and row.engine == PAPERMILL), None)
    if found is None:
        return None
    ratio, agreed = found.ratio_to_atb or 0.0, all(row.agrees for row in rows if row.case == CASE)
    figure = f"{ratio:.1f}x" + ("" if agreed else ", results do not agree")
    return TargetResult("small notebooks at least 10x papermill's throughput", figure, ratio >= 10.0 and agreed)


def _seconds(rows: Sequence[Row], case: str, *, limit: float, target: str) -> TargetResult | None:
    wall = next((row.wall_s for row in rows if row.case == case and row.engine == ATB), None)
    return None if wall is None else TargetResult(target, f"{wall:.2f} s", wall <= limit)


def _sizes(row: Row) -> str:
    """Return the sizes, if they are not the target's."""
    if row.bars == BARS and row.combos in {1, COMBOS}:
        return ""
    return f"; {row.bars:,} bars" + (f" x {row.combos:,} combinations" if row.combos > 1 else "")


CHECKS: tuple[Callable[[Sequence[Row]], TargetResult | None], ...] = (
    _single,
    _sweep,
    _memory,
    _cores,
    _start,
    _cold,
    _load,
    _indicators,
    _live,
    _notebooks,
    _ledger,
)

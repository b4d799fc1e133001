"""Loading of a million minutes: the catalogue beside pandas reading the same bars from CSV, and one day out of them.

The catalogue's time includes what it always does: every byte verified, gaps looked for, UTC times. Wall time counts, since it
decodes on two threads; the CSV file is in the system's cache, as the catalogue's files are.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from atb.bench.cases import ATB, Row
from atb.bench.measure import Timing, timed
from atb.bench.workload import generate

CASE, CSV, DAY = "load", "pandas from CSV", "atb, one day"
BARS = 1_000_000
_REPEATS = 5


def measure_loading(seed: int, *, bars: int = BARS) -> list[Row]:
    """Return the rows of the case: the catalogue, pandas, and one day, with the sizes and the bytes read in the notes.

    Parameters
    ----------
    seed
        Of the generated bars: minutes in cents, volumes of five digits.
    bars
        How many.
    """
    import pandas as pd

    from atb.data.catalogue.reading import load_bars
    from atb.data.catalogue.writing import save_bars
    from atb.data.catalogue.yearfile import read_years
    from atb.times import in_ms

    made = _minutes(bars, seed)
    with tempfile.TemporaryDirectory(prefix="atb-bench-") as folder:
        root, csv = Path(folder) / "bars", Path(folder) / "bars.csv"
        save_bars(made, root=root, source="atb bench")
        made.frame.to_csv(csv)
        paths = sorted(root.rglob("*.parquet"))
        size = sum(path.stat().st_size for path in paths)
        middle = made.frame.index[bars // 2].floor("D")
        ends = middle, middle + pd.Timedelta(1, "D")
        day, whole, theirs = _fastest(
            lambda: load_bars("BTC/USDT", "1m", *ends, root=root),
            lambda: load_bars("BTC/USDT", "1m", root=root),
            lambda: pd.read_csv(csv, parse_dates=["timestamp"], index_col="timestamp"),
        )
        read = read_years([path for path in paths if path.stem == str(middle.year)], in_ms(middle), in_ms(ends[1])).read
        text = csv.stat().st_size
    agrees = bool((whole[0].frame.to_numpy() == theirs[0].to_numpy()).all()) and len(whole[0]) == bars
    sizes = f"{size / 1e6:.1f} MB, 1/{text / size:.1f} of the {text / 1e6:.1f} MB of CSV"
    slice_note = f"{read / 1e6:.2f} MB read, 1/{size / read:.0f} of the files"
    return [
        _row(ATB, bars, whole[1], ours=whole[1], agrees=agrees, notes=[sizes]),
        _row(CSV, bars, theirs[1], ours=whole[1], agrees=agrees),
        _row(DAY, len(day[0]), day[1], ours=whole[1], notes=[slice_note]),
    ]


def size_ratio(row: Row) -> float:
    """Return how many times smaller than the CSV file the catalogue's files are, from the row's note."""
    return float(row.notes[0].split("1/")[1].split(" ")[0])


def _minutes(bars: int, seed: int) -> Any:
    import numpy as np
    import pandas as pd

    from atb.domain import Bars, Symbol, Timeframe
    from atb.domain.bars import bar_index

    frame = generate(bars, seed, sigma=0.0005).frame().round(2)
    volume = np.random.default_rng(seed).lognormal(2.0, 1.0, bars).round(5)
    index = bar_index(pd.date_range("2023-01-01", periods=bars, freq="min").as_unit("ms").to_numpy())
    return Bars(Symbol.parse("BTC/USDT"), Timeframe.parse("1m"), frame.assign(volume=volume).set_axis(index), "bench")


def _fastest(*calls: Callable[[], Any]) -> list[tuple[Any, Timing]]:
    """Return each call's result with the wall and CPU time of its fastest run; the calls take turns, so that load is shared."""
    found: list[list[tuple[Any, Timing]]] = [[] for _ in calls]
    for _ in range(_REPEATS):
        for runs, call in zip(found, calls, strict=True):
            runs.append(timed(call))
    return [min(runs, key=lambda run: run[1].wall) for runs in found]


def _row(
    engine: str, bars: int, timing: Timing, *, ours: Timing, agrees: bool | None = None, notes: list[str] | None = None
) -> Row:
    ratio = timing.wall / ours.wall
    return Row(CASE, engine, bars, 1, timing.cpu, ratio, None, agrees, wall_s=timing.wall, notes=notes or [])

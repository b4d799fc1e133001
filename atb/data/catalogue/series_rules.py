"""Trading rules read off a stored series: off all of its bars, so that they do not depend on the period that is traded.

They are cached in `<series>/rules.json` with the fingerprints of the year files, so that a backtest of a short period does not
read a long series. Changed files or changed code make them derived anew; the cache may be deleted.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pandas as pd

from atb.data.catalogue.atomic import write_files
from atb.data.catalogue.reading import sound_year
from atb.data.catalogue.series import Series, find_series, series_at
from atb.data.catalogue.yearfile import read_header
from atb.domain import Bars, Instrument, observed
from atb.errors import AtbError, DataError
from atb.reading import MIB, read_json

_FILE = "rules.json"


@dataclass(frozen=True, slots=True)
class Observed:
    """Rules read off bars, and the price step they are written in; None for computed prices, which have none."""

    rules: Instrument
    step: Decimal | None

    @classmethod
    def from_bars(cls, bars: Bars) -> "Observed":
        """Read the rules off these bars."""
        return cls(observed.observed_rules(bars), observed.written_step(bars))


def observe(bars: Bars, *, root: Path) -> Observed:
    """Return the rules of the stored series of these bars or that they were made of, or of the bars themselves if none is stored.

    A damaged year is left out.
    """
    series = series_at(root, venue=bars.venue, symbol=bars.symbol, timeframe=bars.timeframe)
    if not series.years:
        try:
            made = find_series(bars.symbol, bars.timeframe, root=root, venue=bars.venue)
        except AtbError:
            return Observed.from_bars(bars)
        series = made.base or made
    inputs = _inputs(series)
    if inputs and (cached := _cached(series, inputs)):
        return cached
    years = [sound_year(series, year) for year in sorted(series.years)]
    frames = [year[1] for year in years if year] or [bars.frame]
    found = Observed.from_bars(Bars(series.symbol, series.timeframe, pd.concat(frames), series.venue))
    if inputs and all(years):
        with suppress(DataError):  # a read-only catalogue has no cache
            step = None if found.step is None else str(found.step)
            content = json.dumps(
                {"read_off": inputs, "rules": found.rules.to_json(), "step": step}, indent=2, sort_keys=True
            )
            write_files({series.folder / _FILE: (content + "\n").encode()})
    return found


def _inputs(series: Series) -> dict[str, str] | None:
    """Return the fingerprint of each year and of this code; None if a year cannot be read."""
    code = hashlib.sha256(b"".join(Path(file).read_bytes() for file in (observed.__file__, __file__))).hexdigest()
    try:
        return {"way": code} | {str(year): read_header(path).fingerprint for year, path in series.years.items()}
    except DataError:
        return None


def _cached(series: Series, inputs: dict[str, str]) -> Observed | None:
    """Return the rules derived from exactly these inputs; None if they are not cached or cannot be read."""
    try:
        content = read_json(series.folder / _FILE, max_bytes=MIB)
        rules, step = Instrument.from_json(content["rules"]), content["step"]
        found = Observed(rules, None if step is None else Decimal(step))
    except (OSError, ValueError, ArithmeticError, KeyError, AttributeError, TypeError, AtbError):
        return None
    return found if content["read_off"] == inputs and rules.symbol == series.symbol else None

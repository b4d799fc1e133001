"""What a stored series shows of its trading rules, read off all of its bars: whatever part of it is traded, it is the same.

It is derived at the first need and kept in `<series>/rules.json` with the fingerprints of the year files, so that a long series
is not read for each backtest of a short part; other files, or another way to read rules, make it derived anew. Losing the file
loses nothing.
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
from atb.data.catalogue.series import Series, series_at
from atb.data.catalogue.yearfile import read_header
from atb.domain import Bars, Instrument, observed
from atb.errors import AtbError, DataError
from atb.reading import MIB, read_json

_FILE = "rules.json"


@dataclass(frozen=True, slots=True)
class Observed:
    """The rules that bars show, and the price step that they are written with, None where prices are computed and have none."""

    rules: Instrument
    step: Decimal | None

    @classmethod
    def of(cls, bars: Bars) -> "Observed":
        """Return what these bars show."""
        return cls(observed.observed_rules(bars), observed.written_step(bars))


def observe(bars: Bars, *, root: Path) -> Observed:
    """Return what the stored series of these bars shows; bars that no catalogue holds tell their own.

    A year that is damaged is left out.
    """
    series = series_at(root, venue=bars.venue, symbol=bars.symbol, timeframe=bars.timeframe)
    if not series.years:
        return Observed.of(bars)
    seen = _seen(series)
    if seen and (kept := _kept(series, seen)):
        return kept
    years = [sound_year(series, year) for year in sorted(series.years)]
    frames = [year[1] for year in years if year] or [bars.frame]
    found = Observed.of(Bars(series.symbol, series.timeframe, pd.concat(frames), series.venue))
    if seen and all(years):
        with suppress(DataError):  # a catalogue that is only read is read again the next time
            step = None if found.step is None else str(found.step)
            content = json.dumps(
                {"read_off": seen, "rules": found.rules.to_json(), "step": step}, indent=2, sort_keys=True
            )
            write_files({series.folder / _FILE: (content + "\n").encode()})
    return found


def _seen(series: Series) -> dict[str, str] | None:
    """Return the fingerprint of each year and of the way to read rules; None where a year cannot be told."""
    way = hashlib.sha256(b"".join(Path(one).read_bytes() for one in (observed.__file__, __file__))).hexdigest()
    try:
        return {"way": way} | {str(year): read_header(path).fingerprint for year, path in series.years.items()}
    except DataError:
        return None


def _kept(series: Series, seen: dict[str, str]) -> Observed | None:
    """Return what was derived from these very years; None where there is none, or it cannot be read."""
    try:
        kept = read_json(series.folder / _FILE, max_bytes=MIB)
        rules, step = Instrument.from_json(kept["rules"]), kept["step"]
        found = Observed(rules, None if step is None else Decimal(step))
    except (OSError, ValueError, ArithmeticError, KeyError, AttributeError, TypeError, AtbError):
        return None
    return found if kept["read_off"] == seen and rules.symbol == series.symbol else None

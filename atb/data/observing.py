"""Trading rules of a stored series, read off all of its bars: whatever part of it is traded, the rules are the same.

They are derived at the first need and kept in `<series>/rules.json` with the fingerprints of the year files, so that a long series
is not read for each backtest of a short part; other files, or another way to read rules, make them derived anew. Losing the file
loses nothing.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import pandas as pd

from atb.data.atomic import write_files
from atb.data.catalogue import sound_year
from atb.data.series import Series, series_at
from atb.data.yearfile import read_header
from atb.domain import Bars, Instrument, observed
from atb.errors import AtbError, DataError
from atb.reading import MIB, read_json

_FILE = "rules.json"


def rules_of_series(bars: Bars, *, root: Path) -> Instrument:
    """Return the rules that the stored series of these bars shows; bars that no catalogue holds tell their own.

    A year that is damaged is left out.
    """
    series = series_at(root, venue=bars.venue, symbol=bars.symbol, timeframe=bars.timeframe)
    if not series.years:
        return observed.observed_rules(bars)
    seen = _seen(series)
    if seen and (kept := _kept(series, seen)):
        return kept
    years = [sound_year(series, year) for year in sorted(series.years)]
    frames = [year[1] for year in years if year] or [bars.frame]
    found = observed.observed_rules(Bars(series.symbol, series.timeframe, pd.concat(frames), series.venue))
    if seen and all(years):
        with suppress(DataError):  # a catalogue that is only read is read again the next time
            content = json.dumps({"read_off": seen, "rules": found.to_json()}, indent=2, sort_keys=True)
            write_files({series.folder / _FILE: (content + "\n").encode()})
    return found


def _seen(series: Series) -> dict[str, str] | None:
    """Return the fingerprint of each year and of the way to read rules; None where a year cannot be told."""
    way = hashlib.sha256(Path(observed.__file__).read_bytes()).hexdigest()
    try:
        return {"way": way} | {str(year): read_header(path).fingerprint for year, path in series.years.items()}
    except DataError:
        return None


def _kept(series: Series, seen: dict[str, str]) -> Instrument | None:
    """Return the rules that were derived from these very years; None where there are none, or they cannot be read."""
    try:
        kept = read_json(series.folder / _FILE, most=MIB)
        found = Instrument.from_json(kept["rules"]) if kept["read_off"] == seen else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, AtbError):
        return None
    return found if found and found.symbol == series.symbol else None

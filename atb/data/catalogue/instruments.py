"""Trading rules of bars: published by the venue where known, else read off the bars; `Instrument.source` says which.

Published ones are fetched from the venue (`atb data download`, `atb data rules`) and kept beside its bars, in
`<root>/<venue>/instruments.json`, with the day; or they come with the package (`published/<venue>.csv`), with theirs. A published
price step that is coarser than the series' own prices, such as today's step for bars of long ago, is not used for them. Where
nothing is published the rules are read off the bars (`series_rules`): off the whole stored series, so that they do not depend on
the period that is traded.
"""

import csv
import json
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path

from atb.data.catalogue.atomic import sole_writer, write_files
from atb.data.catalogue.series import venue_name
from atb.domain import Bars, Instrument, Symbol
from atb.domain.bars import SYNTHETIC
from atb.errors import AtbError, DataError
from atb.reading import MIB, read_json

_FILE = "instruments.json"


def rules_of(bars: Bars, *, root: Path) -> Instrument:
    """Return the trading rules that a backtest of these bars uses: published ones if known, else those that their series shows.

    Raises
    ------
    DataError
        If stored rules cannot be read.
    """
    from atb.data.catalogue.series_rules import observe

    known = load_instrument(bars.symbol, root=root, venue=bars.venue)
    seen = observe(bars, root=root)
    if known is None:
        return seen.rules
    written = seen.step
    if written is None or known.tick <= written:
        return known
    note = f"{known.source}; but the price step from the data, where prices are finer than {known.tick:f}"
    return replace(known, tick=written, source=note)


def load_instrument(symbol: str | Symbol, *, root: Path, venue: str | None = None) -> Instrument | None:
    """Return the rules that a venue published, as stored in the catalogue or else as shipped; None if neither has them.

    Raises
    ------
    DataError
        If the stored rules cannot be read.
    """
    wanted, where = Symbol.parse(symbol), (venue or SYNTHETIC).lower()
    stored = _stored(root, where).get(str(wanted))
    if stored:
        return Instrument.from_json({"source": f"stored for {where}, the day is not told"} | stored)
    return _shipped(where).get(str(wanted))


def save_instruments(instruments: list[Instrument], *, root: Path, venue: str) -> Path:
    """Add rules to the venue's file, replacing those of the same symbols.

    Returns
    -------
    Path
        The file.
    """
    venue = venue_name(venue)
    path = root / venue / _FILE
    with sole_writer(path.parent):
        rules = _stored(root, venue) | {str(instrument.symbol): instrument.to_json() for instrument in instruments}
        write_files({path: (json.dumps(rules, indent=2, sort_keys=True) + "\n").encode()})
    return path


@cache
def _shipped(venue: str) -> dict[str, Instrument]:
    """Return the rules that come with the package; the first line of a venue's file gives day and source."""
    path = files("atb.data") / "published" / f"{venue}.csv"
    if not path.is_file():
        return {}
    about, *lines = path.read_text(encoding="utf-8").splitlines()
    day = about.split("date ")[1].split(";")[0]
    found = {}
    for row in csv.DictReader(lines):
        symbol = Symbol(*row.pop("symbol").split("/"))
        rules = {name: Decimal(value) for name, value in row.items()}
        found[str(symbol)] = Instrument(symbol, **rules, source=f"published by {venue}, {day}")
    return found


def _stored(root: Path, venue: str) -> dict[str, dict[str, str]]:
    path = root / venue / _FILE
    try:
        rules = read_json(path, max_bytes=16 * MIB)
        for values in rules.values():
            Instrument.from_json(values)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError, AtbError) as error:
        raise DataError(
            "The trading rules cannot be read", found=str(path), todo="Delete the file and run `atb data rules`"
        ) from error
    return dict(rules)

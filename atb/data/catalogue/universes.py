"""Universes in the catalogue: a CSV file each, that people can read and edit, with listings and their ends by date.

`<root>/_universes/<name>.csv` has the columns `symbol, listed, ended, delisted` (UTC; an empty `ended` is none). It can also
be derived from stored series: a symbol is listed when its first bar opens; a series that ends before the venue's newest bar was
delisted then. A hole of a week or more in one series, while others were traded, is an end as well, and a new listing after it:
trading was suspended, and what came back under the name may be another coin, as LUNA was in May 2022. A position carried over
the hole would earn the difference of two coins.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from atb.data.catalogue.atomic import sole_writer
from atb.data.catalogue.reading import coverage, recorded_gaps
from atb.data.catalogue.series import all_series
from atb.decimals import counted
from atb.domain import Symbol, Timeframe
from atb.domain.universe import Listing, Universe
from atb.errors import DataError, InputError, did_you_mean
from atb.files import make_public_folder, write_public
from atb.reading import MIB, read_file
from atb.times import DAY_MS, at_ms, in_ms, moment, short

_FOLDER, _COLUMNS = "_universes", ("symbol", "listed", "ended", "delisted")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HOLE_MS = 7 * DAY_MS  # exchanges are down for hours, suspended symbols for longer
_YES, _NO = {"yes", "true", "1"}, {"", "no", "false", "0"}


def universe_path(root: Path, name: str) -> Path:
    """Return where a universe is stored.

    Raises
    ------
    InputError
        If the name is not one.
    """
    if not _NAME.fullmatch(name):
        raise InputError("A universe has a name of letters, digits, _, - and .", found=name[:80])
    return root / _FOLDER / f"{name}.csv"


def all_universes(root: Path) -> list[str]:
    """Return the names of the stored universes."""
    return sorted(path.stem for path in (root / _FOLDER).glob("*.csv"))


def load_universe(name: str, *, root: Path) -> Universe:
    """Return a stored universe.

    Raises
    ------
    InputError
        If there is none of this name; the message names the nearest.
    DataError
        If its file is damaged.
    """
    path = universe_path(root, name)
    if not path.is_file():
        known = all_universes(root)
        todo = did_you_mean(name, known) if known else "Make one: atb data universe derive NAME, or import a file"
        raise InputError("There is no such universe", found=name, todo=todo)
    return read_universe(path, name)


def read_universe(path: Path, name: str) -> Universe:
    """Read a universe from a CSV file.

    Raises
    ------
    DataError
        If the file has other columns, or a row that cannot be read; the message names its line.
    """
    try:
        text = read_file(path, max_bytes=16 * MIB).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"The universe cannot be read ({reason})", found=str(path)) from None
    rows = csv.DictReader(io.StringIO(text, newline=""))
    missing = [column for column in _COLUMNS[:2] if column not in (rows.fieldnames or ())]
    if missing:
        raise DataError(f"A universe has the columns {', '.join(_COLUMNS)}", found=f"{path.name} without {missing[0]}",
                        todo="`ended` and `delisted` may be left out")  # fmt: skip
    try:
        listings = [_listing(row, f"{path.name}, line {rows.line_num}") for row in rows]
    except csv.Error as error:
        raise DataError(f"The universe is no CSV file ({error})", found=str(path)) from None
    if not listings:
        raise DataError("The universe lists no symbol", found=str(path))
    return Universe(name, tuple(listings))


def _listing(row: Mapping[str, str | None], where: str) -> Listing:
    try:
        return _parsed({column: (row.get(column) or "").strip() for column in _COLUMNS})
    except InputError as error:
        raise DataError(f"{where}: {error.wrong}", found=error.found, todo=error.todo) from None


def _parsed(values: Mapping[str, str]) -> Listing:
    listed, ended = moment(values["listed"] or None), moment(values["ended"] or None)
    if listed is None:
        raise InputError("A listing needs its first day", todo="Such as 2021-05-01")
    if (answer := values["delisted"].lower()) not in _YES | _NO:
        raise InputError("delisted is yes or no", found=answer[:40])
    return Listing(
        Symbol.parse(values["symbol"]), in_ms(listed), None if ended is None else in_ms(ended), answer in _YES
    )


def save_universe(universe: Universe, *, root: Path, replace: bool = False) -> Path:
    """Store a universe.

    Raises
    ------
    InputError
        If another one of this name is stored, and it is not to be replaced.
    """
    path = universe_path(root, universe.name)
    make_public_folder(path.parent)
    with sole_writer(path.parent):
        if path.exists() and not replace and load_universe(universe.name, root=root) != universe:
            raise InputError(
                "Another universe of this name is stored", found=universe.name, todo="Use --replace, or another name"
            )
        lines = io.StringIO()
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(_COLUMNS)
        for one in universe.listings:
            ended = "" if one.ended_ms is None else _written(one.ended_ms)
            table.writerow([one.symbol, _written(one.listed_ms), ended, "yes" if one.delisted else "no"])
        write_public(path, lines.getvalue().encode())
    return path


def _written(time_ms: int) -> str:
    return at_ms(time_ms).isoformat()


def derive_universe(
    name: str, *, root: Path, venue: str, timeframe: Timeframe, symbols: Iterable[Symbol] | None = None
) -> Universe:
    """Return the universe of a venue's stored series of one timeframe, listed by first bar and delisted by last.

    A series whose last bar is the newest of the venue, or misses at most one bar of it, still trades. A hole of a week or more that
    is not the venue's ends a listing, as above.

    Raises
    ------
    InputError
        If the venue has no such series.
    """
    chosen = None if symbols is None else set(symbols)
    series = [
        one
        for one in all_series(root)
        if one.venue == venue and one.timeframe == timeframe and (chosen is None or one.symbol in chosen)
    ]
    if not series:
        known = sorted({f"{one.venue} {one.timeframe}" for one in all_series(root)})
        found = f"{venue} {timeframe}"
        raise InputError(
            "No series of this venue and timeframe is stored", found=found, todo=did_you_mean(found, known)
        )
    spans = {one.symbol: tuple(in_ms(time) for time in coverage(one)) for one in series}
    gaps = {one.symbol: [(in_ms(start), in_ms(end)) for start, end in recorded_gaps(one)] for one in series}
    newest = max(last for _, last in spans.values())
    listings = []
    for symbol, (first, last) in spans.items():
        end = timeframe.next_ms(last)
        alive = timeframe.next_ms(end) > newest
        others = [(spans[other], gaps[other]) for other in spans if other != symbol]
        holes = [gap for gap in sorted(gaps[symbol]) if gap[1] - gap[0] >= _HOLE_MS and not _of_the_venue(*gap, others)]
        begins = [first, *(back for _, back in holes)]
        listings += [
            Listing(symbol, begun, start, delisted=True) for begun, (start, _) in zip(begins, holes, strict=False)
        ]
        listings.append(Listing(symbol, begins[-1], None if alive else end, delisted=not alive))
    return Universe(name, tuple(listings))


def _of_the_venue(start: int, back: int, others: Sequence[tuple[tuple[int, ...], list[tuple[int, int]]]]) -> bool:
    """Return whether none of the series around a hole, each with its span and its gaps, has a bar in it (epoch ms)."""
    around = [known for span, known in others if span[0] < start and span[1] >= back]
    return bool(around) and all(any(gap[0] <= start and gap[1] >= back for gap in known) for known in around)


def described(universe: Universe) -> str:
    """Return a universe in one sentence."""
    first = min(listing.listed_ms for listing in universe.listings)
    back = [str(symbol) for symbol in universe.symbols if any(one.delisted for one in universe.of(symbol)[:-1])]
    again = f"; traded again after a hole: {', '.join(back)}" if back else ""
    listed = counted(len(universe.symbols), "symbol")
    return f"{universe.name}: {listed} from {short(at_ms(first))} on, {len(universe.delisted)} of them delisted since{again}"

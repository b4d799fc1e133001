"""Series of a catalogue, found by its folders, and the one that a request means."""

import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from atb.domain import Symbol, Timeframe
from atb.domain.bars import SYNTHETIC
from atb.errors import DataError, InputError, did_you_mean
from atb.times import DAY_MS

MARK = "-mark"
"""Ends the name under which a venue's mark prices are stored: they are no market, and are used only when named."""
_VENUE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SHOWN = 12  # series named in a message
_YEAR = re.compile(r"\d{4}")


@dataclass(frozen=True)
class Series:
    """One venue's bars of a symbol and timeframe, as files by year."""

    venue: str
    symbol: Symbol
    timeframe: Timeframe
    folder: Path
    years: dict[int, Path]
    base: "Series | None" = None
    """The stored bars that these are resampled from; None if they are stored themselves."""

    def __str__(self) -> str:
        """Return the series as messages name it."""
        made = f", from {self.base.timeframe}" if self.base else ""
        return f"{self.symbol} {self.timeframe} ({self.venue}{made})"

    @property
    def exchange(self) -> str:
        """The venue's name without that of its mark prices."""
        return self.venue.removesuffix(MARK)

    @property
    def advice(self) -> str:
        """The command that fetches missing bars: from an exchange if the venue is one, else from a file."""
        if self.base:
            return self.base.advice
        if self.venue == SYNTHETIC:
            return "`atb data sample`"
        if is_exchange(self.exchange):
            venue = self.exchange + (" --mark" if self.venue.endswith(MARK) else "")
            return f"`atb data download {self.symbol} --timeframe {self.timeframe} --venue {venue} --start YYYY-MM-DD`"
        return f"`atb data import FILE --symbol {self.symbol} --timeframe {self.timeframe} --venue {self.venue}`"


def venue_name(text: str) -> str:
    """Return a venue's name as it is stored: in small letters, since a folder needs one spelling.

    Raises
    ------
    InputError
        If the name cannot be a folder.
    """
    venue = text.strip().lower()
    if not _VENUE.fullmatch(venue):
        raise InputError("A venue's name is letters, digits, - and _", found=text, todo="Use one like binance")
    return venue


def is_exchange(venue: str) -> bool:
    """Tell whether ccxt knows a venue, without importing ccxt: it has one module for each exchange."""
    found = importlib.util.find_spec("ccxt")
    if found is None or found.origin is None:
        return False
    return (Path(found.origin).parent / "abstract" / f"{venue}.py").is_file()


def series_at(root: Path, *, venue: str, symbol: Symbol, timeframe: Timeframe) -> Series:
    """Return the series of a venue, with no years if nothing is stored.

    Raises
    ------
    InputError
        If the venue's name cannot be a folder.
    """
    venue = venue_name(venue)
    folder = root / venue / symbol.slug / _folder_name(timeframe)
    paths = sorted(path for path in folder.glob("*.parquet") if _YEAR.fullmatch(path.stem))
    return Series(venue, symbol, timeframe, folder, {int(path.stem): path for path in paths})


def all_series(root: Path) -> list[Series]:
    """Return every series with at least one file, by venue, symbol and duration."""
    found = _series_of(root, root.glob("*/*/*"))
    return sorted(found, key=lambda series: (series.venue, series.symbol, series.timeframe.seconds))


def find_series(symbol: Symbol, timeframe: Timeframe, *, root: Path, venue: str | None = None) -> Series:
    """Return the series that a request means: the named venue's, else the only real one, else the synthetic one.

    A venue that does not store this timeframe has it if it can be resampled, from the longest shorter one that it stores.

    Raises
    ------
    DataError
        If there is none (the message lists what there is), or several venues have it.
    """
    found = fitting_series(symbol, timeframe, root=root, venue=venue)
    real = [series for series in found if series.venue != SYNTHETIC]
    if len(real) > 1:
        raise DataError(
            f"Several venues have {symbol} {timeframe}",
            found=", ".join(series.venue for series in real),
            todo="Name one: `--venue` on the command line, venue= in Python",
        )
    if not found:
        raise _unknown(symbol, timeframe, root=root, venue=venue)
    return (real or found)[0]


def fitting_series(symbol: Symbol, timeframe: Timeframe, *, root: Path, venue: str | None = None) -> list[Series]:
    """Return the series of a symbol that have this timeframe, of every venue or the named one; else those to resample from.

    Real bars are resampled also where only synthetic ones are stored.
    """
    venue = None if venue is None else venue_name(venue)
    paths = sorted(root.glob(f"{venue or '*'}/{symbol.slug}/*"))
    stored = [series for series in _series_of(root, paths) if venue or not series.venue.endswith(MARK)]
    exact = [series for series in stored if series.timeframe == timeframe]
    if any(series.venue != SYNTHETIC for series in exact):
        return exact
    made = _resampled(stored, timeframe)
    return [*exact, *(series for series in made if series.venue != SYNTHETIC or not exact)]


def divides(short: Timeframe, long: Timeframe) -> bool:
    """Return whether bars of one timeframe can be made of whole bars of another."""
    if short.seconds >= long.seconds or short.unit in {"w", "M"}:
        return False
    if long.unit in {"w", "M"}:
        return DAY_MS % (short.seconds * 1_000) == 0
    return long.seconds % short.seconds == 0


def _resampled(stored: list[Series], timeframe: Timeframe) -> list[Series]:
    """Return for each venue the series made of its longest timeframe that divides this one."""
    shorter = [series for series in stored if divides(series.timeframe, timeframe)]
    longest = {series.venue: series for series in sorted(shorter, key=lambda one: one.timeframe.seconds)}
    return [replace(base, timeframe=timeframe, base=base) for base in longest.values()]


def _series_of(root: Path, folders: Iterable[Path]) -> Iterator[Series]:
    """Yield the series of those folders that have one."""
    for folder in folders:
        venue, slug, name = folder.relative_to(root).parts
        if venue != venue.lower():
            continue  # not a folder of the catalogue: these are in small letters
        try:
            series = series_at(root, venue=venue, symbol=Symbol(*slug.split("-")), timeframe=Timeframe.parse(name))
        except (InputError, TypeError):
            continue  # not a folder of the catalogue
        if series.years:
            yield series


def _folder_name(timeframe: Timeframe) -> str:
    # On file systems that ignore case, a month ("1M") must not share a folder with a minute ("1m").
    return "1mo" if timeframe.unit == "M" else str(timeframe)


def _unknown(symbol: Symbol, timeframe: Timeframe, *, root: Path, venue: str | None) -> DataError:
    every = all_series(root)
    known = [f"{series.symbol} {series.timeframe} {series.venue}" for series in every]
    own = [name for name, series in zip(known, every, strict=True) if series.symbol == symbol]
    near = did_you_mean(f"{symbol} {timeframe}", known) if known else "`atb data sample` makes a synthetic market"
    near = "`atb data list` shows all" if near.startswith("Known") else near
    missing = Series(venue or "", symbol, timeframe, root, {})
    if venue is None or venue == SYNTHETIC:
        get = f"`atb data import FILE` or `atb data download {symbol} --timeframe {timeframe} --start YYYY-MM-DD` brings real ones"
    else:
        get = f"{missing.advice} brings them"
    at_venue = f" from {venue}" if venue else ""
    shown = (own or known)[:_SHOWN]
    more = len(known) - len(shown)
    stored = ", ".join(shown) + (f" and {more:,} more" if more else "") if known else "an empty catalogue"
    todo = near + (" " if near.endswith("?") else "; ") + get
    return DataError(f"No bars of {symbol} {timeframe}{at_venue} are stored in {root}", found=stored, todo=todo)

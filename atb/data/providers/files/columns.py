"""Roles of a file's columns: guessed from their names, whatever the case; every guess is shown to the user."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from atb.domain import BAR_COLUMNS, Symbol
from atb.domain.assets import QUOTES
from atb.errors import DataError

ROLES = ("timestamp", *BAR_COLUMNS)
CLOCK = "clock"
"""The role of a column with the time of day, where the date is in another."""
SYMBOL = "symbol"
"""The role of a column that names each row's symbol."""
CLOSE_TIMES = frozenset({"close_time", "closetime", "time_close", "end_time", "time_period_end", "close_timestamp"})
"""Names (normalised) of columns that hold when a bar closes: used if nothing says when it opens."""

# Epoch columns come first: they are never ambiguous about their time zone.
_TIMES = ("unix", "unix_timestamp", "unix_time", "epoch", "timestamp", "open_time", "opentime", "time_open",
          "open_timestamp", "start_time", "starttime", "start", "time_period_start", "datetime", "date_time", "date",
          "time", "ts", "t", "gmt_time", "local_time", "mts", "dt", "day", "index", "", "unnamed_0")  # fmt: skip
_YAHOO_CLOSE = "close_close_price_adjusted_for_splits"  # the heading on its website and the line beneath it
_PRICES: dict[str, tuple[str, ...]] = {
    "open": ("open", "open_price", "price_open", "o", "first", "opening_price"),
    "high": ("high", "high_price", "price_high", "h", "max"),
    "low": ("low", "low_price", "price_low", "l", "min"),
    "close": ("close", "close_price", "price_close", "c", "last", "price", "closing_price", _YAHOO_CLOSE),
}
_BASE_VOLUME = ("base_volume", "volume_base", "base_asset_volume", "volumefrom", "volume_from", "volume_coin")
_VOLUME = ("volume", "vol", "v", "volume_traded", "amount", "qty", "quantity")
_QUOTE_VOLUME = ("quote_volume", "volume_quote", "quote_asset_volume", "volumeto", "volume_to", "volume_currency",
                 "turnover", "quote_vol", "volccy", "volccyquote", "dollar_volume", "notional")  # fmt: skip
_ALIASES = {"BTC": ("btc", "xbt"), "DOGE": ("doge", "xdg")}
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?|\d{4}|\d{6}")
_DAY = re.compile(r"\d{4}[-./]?\d{1,2}[-./]?\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4}")
_SHOWN_NAMES, _LONGEST_NAME = 12, 40

Sample = Mapping[str, Sequence[Any]]
"""The first cells of each column, by its name."""


def guess_columns(names: Sequence[str], symbol: Symbol | None = None, sample: Sample | None = None) -> dict[str, str]:
    """Return the file's column for each of `timestamp open high low close volume`, and for `clock` if there is one.

    Parameters
    ----------
    names
        The file's column names.
    symbol
        Distinguishes `Volume BTC` from `Volume USDT`: volume is in base units.
    sample
        Distinguishes a date from a time of day.

    Raises
    ------
    DataError
        If a column is missing (the message shows what was found, and the guesses), or a name appears twice.
    """
    known = {name: normal_name(name) for name in names}
    guesses = _guess_times(known, sample or {})
    taken = set(guesses.values())
    for role, candidates in _PRICES.items():
        match = _first(known, candidates, besides=taken)
        if match is not None:
            guesses[role] = match
            taken.add(match)
    if volume := _guess_volume(known, symbol, besides=taken):
        guesses["volume"] = volume
    _refuse_twins(names, known, guesses)
    _refuse_missing(names, guesses, symbol)
    return guesses


def symbol_column(names: Sequence[str]) -> str | None:
    """Return the column that names each row's symbol, or None."""
    return _first(
        {name: normal_name(name) for name in names}, ("symbol", "ticker", "pair", "instrument"), besides=set()
    )


def listed_names(names: Sequence[str]) -> str:
    """Return columns' names for a message: the first of them, each as far as it is readable."""
    shown = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..." for name in names[:_SHOWN_NAMES]]
    more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more


def source_notes(names: Sequence[str], levels: Iterable[str] = ()) -> list[str]:
    """Return notes about the source, where these names reveal it.

    Parameters
    ----------
    names
        The columns' names.
    levels
        The names of the header's levels, if it has any: yfinance's are `Price` and `Ticker`.
    """
    adjusted = any(normal_name(name).startswith("adj_close") for name in names)
    called = {normal_name(level) for level in levels}
    if not adjusted and not {"price", "ticker"} <= called and called != {"price"}:
        return []
    notes = ["Yahoo gives the volume of cryptocurrencies in the quote asset: it is stored as written"]
    return [*notes, "the adjusted close is left out: prices are those that were traded"] if adjusted else notes


def normal_name(name: str) -> str:
    """Return a name in small letters and digits, words joined by `_`."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def names_utc(name: str) -> bool:
    """Whether a column's name says that its times are in UTC."""
    return re.search(r"(?:^|_)(?:utc|gmt)(?:$|_)", normal_name(name)) is not None


def _first(known: Mapping[str, str], candidates: Sequence[str], *, besides: set[str]) -> str | None:
    return next((name for want in candidates for name in known if known[name] == want and name not in besides), None)


def _guess_times(known: Mapping[str, str], sample: Sample) -> dict[str, str]:
    """Return the column of the open times, and of the time of day beside a date; of the closes if there is no other."""
    bare = {name: re.sub("_(?:utc|gmt)$", "", normal) for name, normal in known.items()}
    found = _first(bare, _TIMES, besides=set())
    if found is None:
        found = _first(bare, sorted(CLOSE_TIMES), besides=set())
        return {"timestamp": found} if found else {}
    clock = _first(bare, ("time", "clock", "hour"), besides={found})
    if bare[found] not in {"date", "day", "dt"} or clock is None:
        return {"timestamp": found}
    days, clocks = ([str(cell).strip() for cell in sample.get(name, ())] for name in (found, clock))
    if clocks and all(map(_CLOCK.fullmatch, clocks)) and all(map(_DAY.fullmatch, days)):
        return {"timestamp": found, CLOCK: clock}
    if days and all(map(_DAY.fullmatch, days)):
        return {"timestamp": clock}  # the other column says more than a day
    return {"timestamp": found}


def _guess_volume(known: Mapping[str, str], symbol: Symbol | None, *, besides: set[str]) -> str | None:
    """Return the column of the volume in base units: one that names the base asset before one that names nothing."""
    base = symbol.base if symbol else "BTC"
    named = _names_with(_ALIASES.get(base, (base.lower(),)))
    return _first(known, (*named, *_BASE_VOLUME, *_VOLUME), besides=besides)


def _names_with(assets: Sequence[str]) -> tuple[str, ...]:
    shapes = ("volume_{}", "{}_volume", "volume{}", "{}volume", "vol_{}", "{}_vol", "vol{}")
    return tuple(shape.format(asset) for asset in assets for shape in shapes)


def _quote_volume(names: Sequence[str], symbol: Symbol | None) -> str | None:
    """Return a column that counts volume in another currency than the base."""
    base = symbol.base if symbol else "BTC"
    quotes = [quote.lower() for quote in (*((symbol.quote,) if symbol else ()), *QUOTES) if quote != base]
    return _first({name: normal_name(name) for name in names}, (*_QUOTE_VOLUME, *_names_with(quotes)), besides=set())


def _refuse_missing(names: Sequence[str], guesses: Mapping[str, str], symbol: Symbol | None) -> None:
    missing = [role for role in ROLES if role not in guesses]
    if not missing:
        return
    if missing == ["volume"] and (quote := _quote_volume(names, symbol)):
        raise DataError(
            f"The file has no volume in {symbol.base if symbol else 'the base asset'}, only {quote!r}",
            found=listed_names(names),
            todo="Add a column `volume` in the base asset, such as that one divided by the close",
        )
    guessed = ", ".join(f"{role} from {name!r}" for role, name in guesses.items()) or "none"
    raise DataError(
        f"No column for {', '.join(missing)}; guessed so far: {guessed}",
        found=listed_names(names),
        todo=f"Name the columns {', '.join(ROLES)} in the file",
    )


def _refuse_twins(names: Sequence[str], known: Mapping[str, str], guesses: Mapping[str, str]) -> None:
    """Refuse a guess that another column fits as well."""
    for name in guesses.values():
        twins = [other for other in names if known[other] == known[name]]
        if names.count(name) > 1:
            raise DataError("Two columns have the same name", found=listed_names([name]), todo="Rename one of them")
        if len(twins) > 1:
            raise DataError("Columns that mean the same", found=listed_names(twins), todo="Keep one of them")

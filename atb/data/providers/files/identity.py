"""Venue, symbol and timeframe of files: as the user gave them, else from the files' names, else from the rows."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atb.data.catalogue.checks import infer_timeframe
from atb.domain import Symbol, Timeframe
from atb.errors import DataError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PERPETUAL = r"(?:[_.-](?:PERP|PERPETUAL|SWAP|perp|perpetual|swap))?"
_NAMES = (
    re.compile(
        rf"(?P<venue>[A-Za-z0-9]+)_(?P<symbol>[A-Za-z0-9-]+?{_PERPETUAL})_(?P<timeframe>\d{{1,2}}[mhdwM])(?:_.*)?"
    ),  # binance_BTCUSDT_1h, CryptoDataDownload's Binance_BTCUSDT_1h
    re.compile(
        r"(?P<venue>[A-Za-z0-9]+)_(?P<symbol>[A-Za-z0-9]+)(?:_\d{4})?_(?P<timeframe>d|minute)"
    ),  # CryptoDataDownload's days and minutes, these by year
    re.compile(
        rf"(?P<symbol>[A-Z0-9]{{5,20}}{_PERPETUAL})-(?P<timeframe>\d{{1,2}}(?:mo|[mhdw]))(?:-\d{{4}}-\d{{2}}(?:-\d{{2}})?)?"
    ),  # data.binance.vision
    re.compile(
        r"(?P<symbol>[A-Z0-9]+_[A-Z0-9]+(?:_[A-Z0-9]+)?)-(?P<timeframe>\d{1,2}[mhdwM])(?:-[a-z]+)?"
    ),  # freqtrade
)
_LONG_NAMES = {"d": "1d", "minute": "1m"}


def identity_of_name(name: str, *, symbols: bool = False) -> dict[str, str]:
    """Return venue, symbol and timeframe from a name like `binance_BTCUSDT_1h.parquet`, as far as they make sense.

    With `symbols` the file holds several, and the word in the symbol's place, as in `binance_PANEL_1d.parquet`, is none.
    """
    stem = name.split(".", maxsplit=1)[0]
    match = next(filter(None, (pattern.fullmatch(stem) for pattern in _NAMES)), None)
    if match is None:
        return {}
    found = {key: value for key, value in match.groupdict().items() if value}
    found["timeframe"] = _LONG_NAMES.get(found["timeframe"], found["timeframe"]).replace("mo", "M")
    if "venue" in found:
        found["venue"] = found["venue"].lower()
    if symbols:
        del found["symbol"]
    try:
        Symbol.parse(found.get("symbol", "BTC/USDT"))
        Timeframe.parse(found["timeframe"])
    except InputError:
        return {}
    return found


def identity_of_names(names: list[str]) -> dict[str, str]:
    """Return venue, symbol and timeframe as far as the files' names have them.

    Raises
    ------
    InputError
        If two names differ: one import is one series.
    """
    found: dict[str, str] = {}
    for name in names:
        for key, value in identity_of_name(name).items():
            known = found.setdefault(key, value)
            if (Symbol.parse(known) != Symbol.parse(value)) if key == "symbol" else known != value:
                raise InputError(
                    f"These files are not of one series: their names say different things ({key})",
                    found=f"{known} and {value}",
                    todo="Import the files of each series by themselves",
                )
    return found


def symbol_of(given: str | Symbol | None, named: dict[str, str], file: Path) -> Symbol:
    """Return the symbol that was given, else the one in the files' names.

    Raises
    ------
    InputError
        If neither says it.
    """
    if given is None and "symbol" not in named:
        if re.search(r"(?i)[A-Z0-9][_.-](perp|perpetual|swap)(?![a-z])", file.name):
            raise InputError(
                "The file's name is of a perpetual, and does not say what it is quoted and settled in",
                found=file.name,
                todo="Pass --symbol, such as BTC/USDT:USDT, or BTC/USD:BTC for one that is settled in its own coin",
            )
        raise InputError(
            "The file's name does not say which symbol it holds",
            found=file.name,
            todo="Pass --symbol (and --venue), or name the file like binance_BTCUSDT_1h.csv",
        )
    return Symbol.parse(given if given is not None else named["symbol"])


def timeframe_of(given: str | Timeframe | None, opened_ms: "NDArray[np.int64]") -> Timeframe:
    """Return the timeframe that was given, or else the most common step between rows.

    Raises
    ------
    DataError
        If the steps between rows (open times in epoch ms) are not of the given one, or of none.
    """
    if given is None:
        return infer_timeframe(opened_ms)
    wanted = Timeframe.parse(given)
    steps = np.unique(np.diff(opened_ms))
    if not len(steps) or wanted.unit == "M" or int(np.gcd.reduce(steps)) == wanted.seconds * 1_000:
        return wanted  # also of a market so thin that hardly two bars follow each other
    if (inferred := infer_timeframe(opened_ms)) != wanted:
        raise DataError(
            f"These are not {wanted} bars: the most common step between rows is {inferred}", found=str(inferred)
        )
    return wanted


def parsed_symbol(text: str) -> Symbol | None:
    """Return the symbol that a text spells, None if it spells none."""
    try:
        return Symbol.parse(text)
    except InputError:
        return None

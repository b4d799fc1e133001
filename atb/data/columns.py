"""Which column of a stranger's file is which: names guessed without regard to case, the guess always shown."""

import re
from collections.abc import Iterable, Sequence

from atb.domain import BAR_COLUMNS, Symbol
from atb.errors import DataError

ROLES = ("timestamp", *BAR_COLUMNS)
BINANCE_DUMP = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades",
    "taker_base_volume", "taker_quote_volume", "ignore",
)  # fmt: skip
"""The columns of data.binance.vision, whose older files have no header line."""

# Epoch columns come first: they are never ambiguous about their time zone.
_NAMES: dict[str, tuple[str, ...]] = {
    "timestamp": ("unix", "unix_timestamp", "unix_time", "epoch", "timestamp", "open_time", "opentime", "time_open",
                  "start_time", "datetime", "date_time", "date", "time", "ts", "t", "gmt_time", "index"),
    "open": ("open", "open_price", "o", "first"),
    "high": ("high", "high_price", "h", "max"),
    "low": ("low", "low_price", "l", "min"),
    "close": ("close", "close_price", "c", "last", "price_close"),
    "volume": ("volume", "base_volume", "volume_base", "vol", "v", "amount", "qty", "quantity"),
}  # fmt: skip


def guess_columns(names: Iterable[str], symbol: Symbol | None = None) -> dict[str, str]:
    """Return the file's column for each of `timestamp open high low close volume`.

    Parameters
    ----------
    names
        The file's column names.
    symbol
        Lets `Volume BTC` be told from `Volume USDT`: volume is in base units.

    Raises
    ------
    DataError
        If a column is missing (the message shows what was found, and the guesses), or a name appears twice.
    """
    found = list(names)
    normal = {name: _normal(name) for name in found}
    if len(set(found)) < len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise DataError("Two columns have the same name", found=twice, todo="Rename one of them")
    if len(set(normal.values())) < len(found):
        twin = next(name for name in found if list(normal.values()).count(normal[name]) > 1)
        others = [name for name in found if normal[name] == normal[twin]]
        raise DataError("Columns that mean the same", found=", ".join(others), todo="Keep one of them")
    guesses: dict[str, str] = {}
    for role, candidates in _NAMES.items():
        wanted = candidates + (_volume_names(symbol) if role == "volume" else ())
        match = next((name for want in wanted for name in found if normal[name] == want), None)
        if match is not None and match not in guesses.values():
            guesses[role] = match
    missing = [role for role in ROLES if role not in guesses]
    if missing:
        guessed = ", ".join(f"{role} from {name!r}" for role, name in guesses.items()) or "none"
        raise DataError(
            f"No column for {', '.join(missing)}; guessed so far: {guessed}",
            found=", ".join(found),
            todo=f"Name the columns {', '.join(ROLES)} in the file",
        )
    return guesses


def headerless(first_row: Sequence[str]) -> tuple[str, ...] | None:
    """Return column names for a file that begins with numbers, or None if its first row is a header."""
    if not all(re.fullmatch(r"\s*-?[\d.eE+-]+\s*", cell) for cell in first_row):
        return None
    return {len(BINANCE_DUMP): BINANCE_DUMP, len(ROLES): ROLES}.get(len(first_row))


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _volume_names(symbol: Symbol | None) -> tuple[str, ...]:
    base = symbol.base.lower() if symbol else "btc"
    return (f"volume_{base}", f"{base}_volume", f"vol_{base}")

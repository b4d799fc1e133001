"""Spot pair or perpetual: what venue, folders, names, rows and columns of files say, where the user did not.

Bars of a perpetual under the name of its spot pair would never meet its funding. So a file that is said to be of a perpetual is
taken for one, settled in its quote asset; where that asset is in doubt, the user is asked. Folders are those of the path as it
was given, and the layout `futures/um` anywhere above.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from atb.data.providers.files.identity import parsed_symbol
from atb.data.providers.files.table import Table
from atb.domain import Symbol
from atb.errors import InputError

_LINEAR = {"perp", "perps", "perpetual", "perpetuals", "swap", "swaps", "um", "usdm", "futures", "linear"}
_INVERSE = {"cm", "coinm", "inverse"}
_VENUE = re.compile(r"[a-z0-9]+?(usdm|futures|coinm)")  # ccxt's names: binanceusdm, kucoinfutures, binancecoinm
_COLUMNS = {"fundingrate", "lastfundingrate", "markprice", "openinterest"}


def perpetual_by_place(
    paths: Iterable[Path], names: Iterable[str], venue: str | None, *, spelt: str = ""
) -> str | None:
    """Return the sign that files are of a perpetual, in their venue, names or folders; None if there is none.

    Parameters
    ----------
    paths
        As they were given.
    names
        Of all files, also of those inside archives.
    venue
        As given, or as the names say it.
    spelt
        The symbol as the names spell it: its assets say nothing, SWAP and PERP are also coins.
    """
    if venue and (word := _word(venue) or _of_venue(venue)):
        return f"the venue {venue} says ({word})"
    for name in dict.fromkeys([*(path.name for path in paths if path.suffix), *names]):
        if word := _word(name.split(".", 1)[0].replace(spelt, " ")):
            return f"the file's name says ({word})"
    return next((f"the folder {folder} says" for path in paths for folder in _folders(path) if _word(folder)), None)


def perpetual_by_content(tables: Iterable[Table], pair: Symbol) -> str | None:
    """Return the sign inside of files that they are of a pair's perpetual: symbols of rows, or a column; None if there is none."""
    for table in tables:
        rows = set() if table.symbols is None else set(table.symbols.dropna().astype(str))
        said = [(name, symbol) for name in sorted(rows) if (symbol := parsed_symbol(name))]
        mine = [(name, symbol) for name, symbol in said if (symbol.base, symbol.quote) == (pair.base, pair.quote)]
        if mine and all(symbol.settle for _, symbol in mine):
            return f"its rows say ({mine[0][0]})"
        named = (name for name in table.others if re.sub(r"[^a-z]", "", name.lower()) in _COLUMNS)
        if column := next(named, None):
            return f"its column {column} says"
    return None


def as_perpetual(pair: Symbol, evidence: str) -> Symbol:
    """Return the perpetual of a pair, settled in its quote asset.

    Raises
    ------
    InputError
        If it may be settled in another asset.
    """
    if pair.quote == "USD" or any(word in evidence for word in _INVERSE):
        raise InputError(
            f"The file is of a perpetual, as {evidence}, and what it is settled in is not known",
            found=str(pair),
            todo=f"Pass --symbol {pair}:{pair.base} or {pair}:{pair.quote}; the spot pair is --symbol {pair}",
        )
    return Symbol(pair.base, pair.quote, pair.quote)


def taken_for(symbol: Symbol, pair: Symbol, evidence: str | None) -> str:
    """Return in words what files were taken for whose symbol the user did not give, and how to say otherwise."""
    if not symbol.settle:
        return f"taken for the spot pair {symbol}, as nothing says otherwise; a perpetual is --symbol {symbol}:{symbol.quote}"
    why = f", as {evidence}; the spot pair is --symbol {pair}" if evidence else ""
    return f"taken for the perpetual {symbol}{why}"


def _word(text: str) -> str | None:
    """Return the first word of a name that means a perpetual."""
    words = re.split(r"[^a-z0-9]+", text.lower())
    return next((word for word in words if word in _LINEAR | _INVERSE), None)


def _of_venue(venue: str) -> str | None:
    match = _VENUE.fullmatch(venue.lower())
    return match[1] if match else None


def _folders(path: Path) -> Iterator[str]:
    """Yield the folders of a path as given, the nearest first, but those that are named by a coin's pair; then `futures/um`."""
    given = path.parts if not path.suffix else path.parent.parts
    for folder in reversed(given):
        symbol = parsed_symbol(folder)
        if symbol is None or symbol.settle or symbol.base.lower() not in _LINEAR | _INVERSE:
            yield folder
    above = "/".join(path.absolute().parts)
    yield from (layout for layout in ("futures/um", "futures/cm") if f"/{layout}/" in above)

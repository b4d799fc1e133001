"""Columns that are named by price and ticker, as one name per column: those of the symbol that is wanted.

yfinance names columns so. They come as two levels (Parquet, feather), as header lines (CSV), or as names into which a user or a
library put both: `Close_BTC-USD`, `BTC-USD Close`, `('Close', 'BTC-USD')`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from atb.data.providers.files.identity import parsed_symbol
from atb.domain import Symbol
from atb.errors import DataError

Label = tuple[str, ...]
"""A column's name on each level; empty where it has none."""

_OHLC = frozenset({"open", "high", "low", "close"})
_WORD = r"adj[ _.]?close|open|high|low|close|volume|dividends|stock[ _.]?splits|capital[ _.]?gains|repaired\?"
_WORD_FIRST = re.compile(rf"({_WORD})[ _.:|/-]+(\S+)", re.IGNORECASE)
_WORD_LAST = re.compile(rf"(\S+?)[ _.:|/-]+({_WORD})", re.IGNORECASE)
_TUPLE = re.compile(r"""\(\s*['"]([^'"]*)['"]\s*,\s*['"]([^'"]*)['"]\s*\)""")


@dataclass(frozen=True)
class Header:
    """One name per column.

    Parameters
    ----------
    kept
        Which columns of the file (from 0) these are.
    names
        Their names.
    notes
        How names were read, a few words each.
    """

    kept: list[int]
    names: list[str]
    notes: list[str] = field(default_factory=list)


def one_level(labels: Sequence[Label], symbol: Symbol | None, name: str) -> Header:
    """Return the columns of one symbol, each by its price's name; names of one plain level as they are.

    Parameters
    ----------
    labels
        A name on each level for every column of the file.
    symbol
        The symbol that is wanted.
    name
        The file's, for messages.

    Raises
    ------
    DataError
        If the columns are of other symbols.
    """
    labels = [tuple(part.strip() for part in label) for label in labels]
    everything = list(range(len(labels)))
    notes: list[str] = []
    if len(labels[0]) == 1:
        parted = _parted([label[0] for label in labels])
        if parted is None:
            return Header(everything, [label[0] for label in labels])
        labels, notes = parted, ["names of columns read as price and ticker"]
    prices = _price_level(labels)
    if prices is None:
        return Header(everything, _joined(labels, _telling(labels)), notes)
    kept = everything
    for level in _ticker_levels(labels, prices):
        ticker, more = _chosen({label[level] for label in labels if label[prices] and label[level]}, symbol, name)
        kept = [at for at in kept if labels[at][level] in {ticker, ""} or not labels[at][prices]]
        notes += more
    named = [labels[at] for at in kept]
    names = [label[prices] or next(filter(None, label), "") for label in named]
    if len(set(names)) < len(names):
        names = _joined(named, _telling(named))
    return Header(kept, names, notes)


def _parted(names: Sequence[str]) -> list[Label] | None:
    """Return names that hold price and ticker as two levels, None if these names are not of that kind."""
    if _names_prices(set(names)):
        return None
    labels = [_pair(name) for name in names]
    prices = _price_level(labels)
    return labels if prices is not None and _ticker_levels(labels, prices) else None


def _pair(name: str) -> Label:
    if match := _TUPLE.fullmatch(name):
        return match[1].strip(), match[2].strip()
    if (match := _WORD_FIRST.fullmatch(name)) and parsed_symbol(match[2]):
        return match[1], match[2]
    if (match := _WORD_LAST.fullmatch(name)) and parsed_symbol(match[1]):
        return match[2], match[1]
    return name, ""


def _price_level(labels: Sequence[Label]) -> int | None:
    """Return the level that says open, high, low and close, None if there is none."""
    return next((at for at in range(len(labels[0])) if _names_prices({label[at] for label in labels})), None)


def _ticker_levels(labels: Sequence[Label], prices: int) -> list[int]:
    """Return the levels of which every name has an open, high, low and close of its own, and one at least is a symbol."""
    found = []
    for level in (at for at in range(len(labels[0])) if at != prices):
        columns: dict[str, set[str]] = {}
        for label in labels:
            if label[level] and label[prices]:
                columns.setdefault(label[level], set()).add(label[prices])
        if columns and all(map(_names_prices, columns.values())) and any(map(parsed_symbol, columns)):
            found.append(level)
    return found


def _names_prices(labels: set[str]) -> bool:
    return {label.lower() for label in labels} >= _OHLC


def _telling(labels: Sequence[Label]) -> list[int]:
    """Return the levels that tell columns apart."""
    return [level for level in range(len(labels[0])) if len({label[level] for label in labels if all(label)}) > 1]


def _joined(labels: Sequence[Label], levels: Sequence[int]) -> list[str]:
    return [" ".join(filter(None, (label[at] for at in levels))) or next(filter(None, label), "") for label in labels]


def _chosen(tickers: set[str], symbol: Symbol | None, name: str) -> tuple[str, list[str]]:
    """Return the ticker of the symbol, and a note if the only one is of the same asset in another currency."""
    exact = [ticker for ticker in tickers if parsed_symbol(ticker) == symbol]
    if len(exact) == 1:
        return exact[0], []
    listed = ", ".join(sorted(tickers)[:8])
    if len(tickers) > 1:
        raise DataError(f"{name} holds several symbols, and not one that is {symbol}", found=listed)
    parsed = parsed_symbol(listed)
    if symbol is None or parsed is None:
        return listed, []
    if parsed.base != symbol.base:
        raise DataError(f"{name} holds no row of {symbol}", found=listed, todo="Pass --symbol as the file says it")
    return listed, [f"the file itself calls its symbol {listed}"]

"""The columns of a file without a header: the known orders, and which of them the prices themselves bear out.

No one can name a column of bare numbers but by an order that is known, and orders differ: Coinbase writes low and high before
open, Bitfinex and KuCoin write close after open. In the right order the high is the highest of a row and the low the lowest,
in every row. An order is taken only if it alone fits.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from atb.data.providers.files.columns import CLOCK
from atb.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_OHLC = ("open", "high", "low", "close")
_ORDERS = (_OHLC, ("low", "high", "open", "close"), ("open", "close", "high", "low"))
BINANCE = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades",
    "taker_base_volume", "taker_quote_volume", "ignore",
)  # fmt: skip
"""The columns of data.binance.vision, whose older files have no header line."""
_KRAKEN_ANSWER = ("time", *_OHLC, "vwap", "volume", "count")
_TODO = "Write a first line that names the columns, such as timestamp,open,high,low,close,volume"


def columns_of(rows: "Sequence[Sequence[Any]]", *, dated: bool, name: str) -> tuple[str, ...]:
    """Return names for the columns of rows that no header names.

    Parameters
    ----------
    rows
        Some rows: the more, the surer the order.
    dated
        Whether the second column is a time of day and the first a date.
    name
        The file's, for messages.

    Raises
    ------
    DataError
        If the number of columns is of no known kind of file, or no known order, or more than one, fits the prices.
    """
    width = len(rows[0])
    prices = _numbers(rows)
    if width == len(BINANCE) and not dated and _fits(prices, 1, _OHLC):
        return BINANCE
    if width == len(_KRAKEN_ANSWER) and not dated and _fits(prices, 1, _OHLC) and _between(prices):
        return _KRAKEN_ANSWER
    lead = ("date", CLOCK) if dated else ("timestamp",)
    rest = width - len(lead) - 5
    orders = [order for order in _ORDERS if rest in {0, 1} and _fits(prices, len(lead), order)]
    if _same(prices, len(lead), orders):
        return (*lead, *orders[0], "volume", *("more",)[:rest])
    raise DataError(
        f"{name} cannot be read: it has no header line, and what its {width} columns hold is not known",
        found=_row(rows[0]),
        todo=_TODO,
    )


def _numbers(rows: "Sequence[Sequence[Any]]") -> "NDArray[np.float64]":
    """Return the cells as numbers, NaN where they are none; only full rows count."""

    def number(cell: Any) -> float:
        try:
            return np.nan if isinstance(cell, bool) else float(cell)
        except (TypeError, ValueError, OverflowError):
            return np.nan

    return np.array([[number(cell) for cell in row] for row in rows if len(row) == len(rows[0])], dtype=np.float64)


def _fits(prices: "NDArray[np.float64]", start: int, order: tuple[str, ...]) -> bool:
    if prices.shape[1] < start + 5:
        return False
    by_name = {role: prices[:, start + at] for at, role in enumerate(order)}
    whole = np.isfinite(prices[:, start : start + 4]).all(axis=1)
    if not whole.any():
        return order == _OHLC
    low, high, both = by_name["low"], by_name["high"], (by_name["open"], by_name["close"])
    return bool(all((low <= price)[whole].all() and (price <= high)[whole].all() for price in both))


def _between(prices: "NDArray[np.float64]") -> bool:
    """Whether the sixth column can be the volume-weighted price: inside low to high wherever there was volume."""
    traded = prices[:, 6] > 0
    inside = (prices[:, 5] >= prices[:, 3] * 0.999) & (prices[:, 5] <= prices[:, 2] * 1.001)
    return bool(traded.any() and inside[traded].all())


def _same(prices: "NDArray[np.float64]", start: int, orders: "Sequence[tuple[str, ...]]") -> bool:
    """Whether there is one order, or several that read the same numbers from these rows."""
    if not orders:
        return False
    columns = [{role: prices[:, start + at] for at, role in enumerate(order)} for order in orders]
    return all(np.array_equal(columns[0][role], other[role], equal_nan=True) for other in columns for role in _OHLC)


def _row(cells: "Sequence[Any]") -> str:
    return ", ".join(str(cell)[:20] for cell in cells[:12])

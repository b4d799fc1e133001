"""Synthetic markets: scripted events at given times, and a random walk drawn from a seed."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from atb.domain import Bars, Symbol, Timeframe
from atb.domain.bars import SYNTHETIC, bar_index

ScriptedEventKind = Literal["price", "deposit", "order", "cancel"]


@dataclass(frozen=True, slots=True)
class ScriptedEvent:
    """An event on the exchange at a given time.

    Parameters
    ----------
    time_ms
        When, in epoch milliseconds.
    kind
        `price`: the symbol trades at `price`, which may fill resting orders. `deposit`: `amount` (may be negative) of `asset`
        arrives. `order`: the account's owner places an order by hand, with the parameters of a request. `cancel`: the exchange
        cancels the open orders of `symbol`, only those of one `type` if that is given.
    detail
        Parameters of the kind, as named above.
    """

    time_ms: int
    kind: ScriptedEventKind
    detail: dict[str, Any] = field(default_factory=dict)


def walk(
    symbol: str, timeframe: str, *, start_ms: int, count: int, seed: int = 7, price: float = 100.0, sigma: float = 0.005
) -> Bars:
    """Return a geometric random walk drawn from a seed; each bar opens at the previous close.

    Parameters
    ----------
    symbol, timeframe
        Of the bars.
    start_ms
        Open of the first bar, in epoch milliseconds.
    count, seed, price, sigma
        Number of bars, seed, first price (quote per base), and standard deviation of a bar's log return.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(rng.normal(0.0, sigma, count)))
    opened = np.concatenate([[price], close[:-1]])
    reach = np.exp(np.abs(rng.normal(0.0, sigma / 2, (2, count))))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) * reach[0],
        "low": np.minimum(opened, close) / reach[1],
        "close": close,
        "volume": rng.lognormal(4.0, 0.5, count),
    }
    duration = Timeframe.parse(timeframe)
    times = [start_ms]
    while len(times) < count:
        times.append(duration.next_ms(times[-1]))
    index = bar_index(times)
    return Bars(Symbol.parse(symbol), duration, pd.DataFrame(columns, index=index).round(2), SYNTHETIC)

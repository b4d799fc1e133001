"""Frames as yfinance's `download` returns them in its versions, and as users reshape them before they save them."""

from collections.abc import Callable, Iterator

import pandas as pd

PRICES = ["Open", "High", "Low", "Close", "Adj Close", "Volume"]


def flat(bars: pd.DataFrame, *, adjusted: bool = True) -> pd.DataFrame:
    """Return one level of columns, as versions before 0.2.51 do for one ticker."""
    frame = bars.rename(columns=str.capitalize).rename_axis("Datetime")
    if adjusted:
        frame["Adj Close"] = frame["Close"] * 0.5  # differs, to tell it from the close
    return frame[[name for name in PRICES if name in frame]]


def levels(by_ticker: dict[str, pd.DataFrame], *, group: str = "column", **options: bool) -> pd.DataFrame:
    """Return two levels of columns, by price first or (`group="ticker"`) by ticker first."""
    frames = {ticker: flat(bars, **options) for ticker, bars in by_ticker.items()}
    frame = pd.concat(frames, axis=1, names=["Ticker", "Price"], sort=True)
    return frame if group == "ticker" else frame.swaplevel(axis=1).sort_index(axis=1)


def joined(frame: pd.DataFrame, form: Callable[[tuple[str, ...]], str]) -> pd.DataFrame:
    """Return two levels of columns joined into one name each."""
    return frame.set_axis([form(label) for label in frame.columns], axis=1)


def long(by_ticker: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per time and ticker, the ticker in a column."""
    return pd.concat([flat(bars).assign(Ticker=ticker) for ticker, bars in by_ticker.items()])


def forms(bars: pd.DataFrame, other: pd.DataFrame, ticker: str = "BTC-USD") -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each form with its name; those of several tickers hold `other` as another market that begins later."""
    one, both = {ticker: bars}, {"ETH-USD": other, ticker: bars}
    yield "one level", flat(bars)
    yield "one level, not adjusted", flat(bars, adjusted=False)
    yield "history", flat(bars, adjusted=False).assign(Dividends=0.0, **{"Stock Splits": 0.0, "Capital Gains": 0.0})
    for name, tickers in (("one ticker", one), ("two tickers", both)):
        yield f"{name}, by price", levels(tickers)
        yield f"{name}, by ticker", levels(tickers, group="ticker")
        yield f"{name}, not adjusted", levels(tickers, adjusted=False)
        yield f"{name}, stacked", levels(tickers).stack(level=1, future_stack=True)
        yield f"{name}, long", long(tickers)
        yield f"{name}, underlined", joined(levels(tickers), "_".join)
        yield f"{name}, ticker first", joined(levels(tickers, group="ticker"), " ".join)
        yield f"{name}, as tuples", joined(levels(tickers), str)
        yield f"{name}, index as a column", levels(tickers).reset_index()
        yield f"{name}, levels without names", levels(tickers).rename_axis(columns=[None, None])
    yield "one ticker taken out", levels(both).xs(ticker, axis=1, level="Ticker")

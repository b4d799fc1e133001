"""Every provider of the register, made over bars that are known, for the contract suite: `opened(name, folder)`."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from atb.data import ImportRules, sample_bars
from atb.data.catalogue.events import SENTIMENT, EventSeries, funding_at, sentiment_at
from atb.data.providers import open_events, open_provider
from atb.data.providers.candle_source import CandleSource
from atb.data.providers.ccxt_client import Route
from atb.data.providers.event_source import EventSource
from atb.domain import Bars, Symbol
from atb.times import at_ms, in_ms
from atb.venues.simulator.server import running_server
from tests.bars import bars_of, random_walk
from tests.data.providers.web import (
    ArchiveFiles,
    fear_greed_pages,
    funding_pages,
    kraken_pages,
    mark_price_pages,
    served,
)

HOUR_MS = 3_600_000
ROWS, CLOSED = 2_600, 2_500  # bars of the market, and how many of them have closed
MARKET = random_walk(ROWS, 5, sigma=0.001)


@dataclass(frozen=True)
class Stage:
    """A provider's maker, which makes the same one again each time, and the closed bars that it has."""

    make: Callable[[], CandleSource]
    bars: Bars

    @property
    def symbol(self) -> Symbol:
        """What it has bars of."""
        return self.bars.symbol


def market(venue: str) -> tuple[Bars, int]:
    """Return a market and a moment (epoch ms) at which its bar number `CLOSED` is half over."""
    bars = bars_of(MARKET, venue=venue)
    return bars, int(bars.opened_ms[CLOSED]) + HOUR_MS // 2


@contextmanager
def ccxt(folder: Path) -> Iterator[Stage]:
    """A real ccxt client at the simulated exchange."""
    bars, now_ms = market("binance")
    with running_server(bars, now_ms=now_ms) as url:
        yield Stage(
            lambda: open_provider("ccxt", "binance", route=Route(url), sleep=_no_sleep), bars.slice(end=_at(bars))
        )


@contextmanager
def files(folder: Path) -> Iterator[Stage]:
    """A CSV file and a Parquet file that overlap, the last bars still open."""
    bars, now_ms = market("kraken")
    paths = [folder / "first.csv", folder / "second.parquet"]
    bars.frame.iloc[:1_000].to_csv(paths[0])
    bars.frame.iloc[900:].to_parquet(paths[1])
    rules = ImportRules(now_ms=now_ms)
    yield Stage(
        lambda: open_provider("files", paths, symbol="BTCUSDT", venue="Kraken", rules=rules), bars.slice(end=_at(bars))
    )


@contextmanager
def sample(folder: Path) -> Iterator[Stage]:
    """The synthetic market, its first symbol."""
    yield Stage(lambda: open_provider("sample", seed=3), _sample())


@contextmanager
def archive(folder: Path) -> Iterator[Stage]:
    """An archive over HTTP: months, and days of the month that is not over; the last one in microseconds, today's not there."""
    bars, now_ms = market("binance")
    stored = ArchiveFiles()
    for month in ("2024-01", "2024-02", "2024-03"):
        stored.put_bars(bars, month)
    today = at_ms(now_ms).floor("D")
    for day in pd.date_range(pd.Timestamp("2024-04-01", tz="UTC"), today - pd.Timedelta(1, "D"), freq="D"):
        stored.put_bars(bars, f"{day:%Y-%m-%d}", unit=1_000 if day.day > 10 else 1)
    with served(stored.pages) as url:
        yield Stage(
            lambda: open_provider("archive", route=Route(url), sleep=_no_sleep, clock=lambda: now_ms),
            bars.slice(end=today),
        )


@contextmanager
def coinbase(folder: Path) -> Iterator[Stage]:
    """A real ccxt client at the simulated exchange, speaking Coinbase's protocol."""
    bars, now_ms = market("coinbase")
    with running_server(bars, now_ms=now_ms) as url:
        yield Stage(
            lambda: open_provider("ccxt", "coinbase", route=Route(url), sleep=_no_sleep), bars.slice(end=_at(bars))
        )


@contextmanager
def kraken(folder: Path) -> Iterator[Stage]:
    """A real ccxt client at answers in Kraken's form: of its market only the latest 720 candles."""
    bars, now_ms = market("kraken")
    with served(kraken_pages(bars, now_ms)) as url:
        latest = bars.slice(bars.frame.index[CLOSED + 1 - 720], _at(bars))
        yield Stage(lambda: open_provider("ccxt", "kraken", route=Route(url), sleep=_no_sleep), latest)


@contextmanager
def mark_prices(folder: Path) -> Iterator[Stage]:
    """A real ccxt client at answers in the form of Binance's futures: mark prices of a perpetual."""
    _, now_ms = market("binanceusdm")
    bars = bars_of(MARKET.assign(volume=0.0), "BTC/USDT:USDT", venue="binanceusdm-mark")
    with served(mark_price_pages(bars, now_ms)) as url:
        yield Stage(
            lambda: open_provider("ccxt", "binanceusdm", route=Route(url), sleep=_no_sleep, price="mark"),
            bars.slice(end=_at(bars)),
        )


STAGES = {
    "archive": archive,
    "ccxt": ccxt,
    "ccxt coinbase": coinbase,
    "ccxt kraken": kraken,
    "ccxt mark": mark_prices,
    "files": files,
    "sample": sample,
}
"""A stage for each provider, named first; exchanges behind one provider have their own."""


@cache
def _sample() -> Bars:
    return sample_bars(3)[0]


def _at(bars: Bars) -> object:
    return bars.frame.index[CLOSED]


def _no_sleep(seconds: float) -> None:
    return None


@dataclass(frozen=True)
class EventStage:
    """A provider of events: its maker, the events that it has, and the series that they belong to."""

    make: Callable[[], EventSource]
    events: pd.DataFrame
    series: Callable[[Path], EventSeries]


def payments() -> pd.DataFrame:
    """Return funding of 90 days whose interval goes from 8 to 4 to 1 hours."""
    steps = [8] * 90 + [4] * 180 + [1] * 240
    index = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.cumsum([0, *steps]), unit="h")
    rng = np.random.default_rng(5)
    columns = {
        "funding_rate": rng.normal(1e-4, 1e-4, len(index)).round(8),
        "mark_price": rng.uniform(4e4, 5e4, len(index)).round(2),
    }
    return pd.DataFrame(columns, index=pd.DatetimeIndex(index, name="timestamp").as_unit("ms"))


def of_perpetual(root: Path) -> EventSeries:
    return funding_at(root, symbol=Symbol.parse("BTC/USDT:USDT"), venue="binanceusdm")


@contextmanager
def funding_by_ccxt(folder: Path) -> Iterator[EventStage]:
    """A real ccxt client at answers in the form of Binance's futures, 100 at once."""
    events = payments()
    with served(funding_pages(events, in_ms(events.index[-1]) + HOUR_MS, most=100)) as url:
        yield EventStage(
            lambda: open_events("ccxt", "binanceusdm", "BTCUSDT-PERP", route=Route(url), sleep=_no_sleep),
            events,
            of_perpetual,
        )


@contextmanager
def funding_by_archive(folder: Path) -> Iterator[EventStage]:
    """An archive over HTTP, a zip for each month."""
    events, stored = payments()[["funding_rate"]], ArchiveFiles()
    for month in sorted(set(events.index.strftime("%Y-%m"))):
        stored.put_funding(events, month)
    with served(stored.pages) as url:
        yield EventStage(
            lambda: open_events(
                "archive", "binanceusdm", "BTC/USDT:USDT", route=Route(url), sleep=_no_sleep,
                clock=lambda: in_ms(events.index[-1]) + HOUR_MS,
            ),
            events,
            of_perpetual,
        )  # fmt: skip


def _values() -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=200, freq="D", tz="UTC", name="timestamp").as_unit("ms")
    values = np.random.default_rng(2).integers(5, 95, 200).astype(float)
    return pd.DataFrame({"value": values}, index=index).drop(index[[50, 51]])


@contextmanager
def fear_greed(folder: Path) -> Iterator[EventStage]:
    """Answers in the form of alternative.me, two days missing."""
    events = _values()
    with served(fear_greed_pages(events["value"])) as url:
        yield EventStage(
            lambda: open_events(
                "fear_greed", route=Route(url), sleep=_no_sleep, clock=lambda: in_ms(events.index[-1]) + HOUR_MS
            ),
            events,
            lambda root: sentiment_at(root, "fear_greed"),
        )


@contextmanager
def dated_files(folder: Path) -> Iterator[EventStage]:
    """A CSV file and a JSON file that overlap, newest first."""
    events = _values()
    paths = [folder / "index.csv", folder / "index.json"]
    events.iloc[:120][::-1].to_csv(paths[0], date_format="%Y-%m-%dT%H:%M:%SZ")
    rows = [{"date": f"{at:%Y-%m-%dT00:00:00Z}", "score": value} for at, value in events["value"].iloc[100:].items()]
    paths[1].write_text(json.dumps({"data": rows}))
    yield EventStage(
        lambda: open_events("files", paths, SENTIMENT, "mine"), events, lambda root: sentiment_at(root, "mine")
    )


EVENT_STAGES = {
    "archive": funding_by_archive,
    "ccxt": funding_by_ccxt,
    "fear_greed": fear_greed,
    "files": dated_files,
}

"""Every provider of the register, made over bars that are known, for the contract suite: `opened(name, folder)`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from atb.data import ImportRules, sample_bars
from atb.data.providers import open_provider
from atb.data.providers.candle_source import CandleSource
from atb.data.providers.ccxt_client import Route
from atb.domain import Bars
from atb.venues.simulator.server import running_server
from tests.bars import bars_of, random_walk

HOUR_MS = 3_600_000
ROWS, CLOSED = 2_600, 2_500  # bars of the market, and how many of them have closed
MARKET = random_walk(ROWS, 5, sigma=0.001)


@dataclass(frozen=True)
class Stage:
    """A provider's maker, which makes the same one again each time, and the closed bars that it has."""

    make: Callable[[], CandleSource]
    bars: Bars


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


STAGES = {"ccxt": ccxt, "files": files, "sample": sample}


@cache
def _sample() -> Bars:
    return sample_bars(3)[0]


def _at(bars: Bars) -> object:
    return bars.frame.index[CLOSED]


def _no_sleep(seconds: float) -> None:
    return None

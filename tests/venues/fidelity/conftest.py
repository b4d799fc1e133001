"""A simulated exchange on our own clock, so that clients need no patch; reachable by address and through the proxy."""

import socket
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atb.domain import Bars, Instrument
from atb.venues.simulator.configuration import ExchangeConfig, Key
from atb.venues.simulator.server import Running, running_exchange
from tests.bars import bars_of, random_walk
from tests.instruments import usual

HOUR = 3_600_000
CREDENTIALS = {"apiKey": "k" * 64, "secret": "s" * 64}
COINBASE_KEY = "organizations/one/apiKeys/two"


@dataclass(frozen=True)
class World:
    """A client's access to the exchange, and the answers expected from it."""

    url: str
    proxy_url: str
    ca_file: Path
    hosts: list[str]
    rows: list[list[float]]
    instrument: Instrument
    running: Running

    def hears(self, stream: str) -> bool:
        """Tell whether somebody listens to a stream."""
        return any(entry["stream"] == stream for entry in self.running.ledger("subscription"))

    @property
    def proxy_port(self) -> int:
        return int(self.proxy_url.rpartition(":")[2])


def hours_until_now(symbol: str, n: int = 30) -> Bars:
    """Return hourly bars whose last but six is the one that is open now."""
    present = int(time.time() * 1_000)
    if HOUR - present % HOUR < 20_000:  # a session must not straddle two bars
        time.sleep((HOUR - present % HOUR) / 1_000 + 0.1)
        present = int(time.time() * 1_000)
    frame = random_walk(n, 3)
    first = pd.Timestamp(present - present % HOUR, unit="ms", tz="UTC") - pd.Timedelta(hours=n - 6)
    frame.index = pd.date_range(first, periods=n, freq="1h", name="timestamp")
    return bars_of(frame, symbol)


def config(bars: Bars, **changes: Any) -> ExchangeConfig:
    """Return an exchange on our clock with enough of both assets."""
    pair = bars.symbol
    balances = {pair.quote: Decimal(10_000), pair.base: Decimal(5)}
    keys = (Key(CREDENTIALS["apiKey"], CREDENTIALS["secret"]),)
    values = {"start_ms": int(time.time() * 1_000), "balances": balances, "keys": keys, "clock": "real"}
    return ExchangeConfig((bars,), **(values | changes))


def rows_of(bars: Bars) -> list[list[float]]:
    """Return the bars that opened until now, as clients tell them."""
    known = int(np.searchsorted(bars.opened_ms, time.time() * 1_000, side="right"))
    return [[int(opened), *row] for opened, row in zip(bars.opened_ms, bars.frame.to_numpy().tolist(), strict=True)][
        :known
    ]


@pytest.fixture(autouse=True)
def stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """No client may even look for another host: what is not here is refused, and fails the test."""
    asked, look = [], socket.getaddrinfo

    def guarded(host: Any, *rest: Any, **terms: Any) -> Any:
        if host not in ("127.0.0.1", "localhost", b"127.0.0.1"):
            asked.append(host)
            raise OSError(f"{host} is not on this machine")
        return look(host, *rest, **terms)

    monkeypatch.setattr(socket, "getaddrinfo", guarded)
    yield
    assert asked == []


@pytest.fixture
def world(tmp_path: Path) -> Any:
    bars = hours_until_now("BTC/USDT")
    with running_exchange(config(bars), ca_file=tmp_path / "ca.pem") as running:
        way = (running.url, running.proxy_url, tmp_path / "ca.pem", running.hosts)
        yield World(*way, rows_of(bars), usual(bars.symbol), running)

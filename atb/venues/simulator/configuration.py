"""Configuration of a simulated exchange: market, account, costs, limits and clock, as one frozen value."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

from atb.domain import Bars, Instrument
from atb.engine.policy import ExecutionModel
from atb.errors import InputError
from atb.serving import Bounds
from atb.times import DAY_MS
from atb.venues.simulator.capabilities import Capabilities
from atb.venues.simulator.faults import Fault
from atb.venues.simulator.scripts import ScriptedEvent

FeeIn = Literal["base", "quote", "bnb"]


@dataclass(frozen=True, slots=True)
class Key:
    """An API key of the account, its secret and its permissions."""

    name: str = "key"
    secret: str = "secret"  # noqa: S105 - of an account that does not exist
    trade: bool = True
    withdraw: bool = False
    ip_restricted: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Request limits.

    Parameters
    ----------
    weight
        Request weight per minute of exchange time.
    orders_10s, orders_day
        Orders per ten seconds and per UTC day.
    retry_after_s
        Retry-After of a 429; a client that sends another request before that gets 418 for `ban_s`.
    ban_s
        Length of a ban in seconds.
    ban_grows
        Whether a request inside a ban lets it begin anew.
    """

    weight: int = 6_000
    orders_10s: int = 100
    orders_day: int = 200_000
    retry_after_s: int = 10
    ban_s: int = 120
    ban_grows: bool = True


@dataclass(frozen=True, slots=True)
class Filters:
    """Trading rules beside tick, lot, minimum quantity and minimum notional.

    Parameters
    ----------
    max_quantity, max_market_quantity
        Largest quantity of one order, and of one market order, in base.
    max_notional
        Largest value of one order, in quote.
    price_up, price_down
        A limit price must lie between these multiples of the symbol's reference price, or where it has none of the average price.
    average_minutes
        Minutes of that average (`avgPriceMins`); 0 takes the last price.
    max_orders, max_algo_orders
        Number of open orders of a symbol, and of open stop orders among them.
    """

    max_quantity: Decimal = Decimal(9_000_000)
    max_market_quantity: Decimal = Decimal(4_000_000)
    max_notional: Decimal = Decimal(900_000_000)
    price_up: Decimal = Decimal(5)
    price_down: Decimal = Decimal("0.2")
    average_minutes: int = 5
    max_orders: int = 200
    max_algo_orders: int = 5


@dataclass(frozen=True, slots=True)
class BookDepth:
    """Liquidity of the simulated order book; the defaults fill every order at once and in one piece.

    Parameters
    ----------
    max_execution
        Largest quantity (base) of one execution; a larger market order fills in several, a resting order over several bars.
    share
        Largest part of a bar's volume that resting orders take, as a fraction; None is unlimited.
    level, step
        Quantity (base) on each level of the book and distance between levels in ticks: a larger market order walks the book.
        None is one level of unlimited size.
    """

    max_execution: Decimal | None = None
    share: float | None = None
    level: Decimal | None = None
    step: int = 1


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """One simulated exchange.

    Parameters
    ----------
    series
        Bars of each symbol; the shortest timeframe of a symbol moves its price, the others are served as candles. Bars after
        the exchange's time stay hidden.
    candles
        Bars of the same symbols in other timeframes that are served as candles and never move a price.
    start_ms
        The exchange's time when it starts, in epoch milliseconds.
    instruments
        Trading rules of some symbols; the other symbols get this exchange's own.
    balances
        Starting balances by asset.
    keys
        API keys of the account.
    execution
        Fee rates, slippage, and whether stop or target comes first inside a bar: as in a backtest.
    fee_in
        Asset of the fees: `base` as at Binance (a buyer pays in base, a seller in quote), `quote`, or `bnb`.
    exact_fees
        Keep commissions as the kernel computes them instead of cutting them to 8 decimals as Binance does: a rehearsal's cash,
        and every quantity sized by it, then equals the backtest's to the last bit.
    opo_commission
        Where the commission of an OPO's working order is taken from, if it is in base: `free` as at Binance, from the free balance
        where that is enough (the pending legs then sell all that was received), or always from what was `received`.
    placement_shows
        What the answer to a new list shows of its pending legs: `pending` as at Binance, their state before anything was executed
        and no quantity of an OPO's, or what they are `now`.
    symbols
        What some symbols allow, as Binance spells them (`BTCUSDT`); the others allow everything.
    bnb_price
        Price of BNB in quote, for `bnb`, if the exchange has no bars of it.
    atr_window
        Bars of the ATR that slippage may read.
    clock
        `virtual`: time moves on request, or when all participants wait. `real`: `speed` times as fast as ours.
    pace
        Of a virtual clock: seconds that pass per second of ours while a participant works. 0 lets time stand still then, which
        hides every gap between two requests, and repeats a run exactly.
    faults
        Faults to inject; the list may grow while the exchange runs.
    lags
        How old the answers to some reads of the account always are, in milliseconds, by the name of the request as in a fault's
        `path`. Binance serves them from "Memory => Database", and documents no bound.
    archive_ms
        Age at which an order that ended without an execution is archived, in milliseconds.
    script
        Prices and events at given times, in addition to the bars.
    ledger
        File (JSON lines) that the ledger is also written to.
    control_token
        Token of the control plane, which moves time and money; random unless given.
    names
        Accepted Host names beside loopback and `host`: requests for other names are refused.
    bounds
        Limits on one client of the server.
    """

    series: tuple[Bars, ...]
    start_ms: int
    instruments: tuple[Instrument, ...] = ()
    balances: Mapping[str, Decimal] = field(default_factory=lambda: {"USDT": Decimal(10_000)})
    keys: tuple[Key, ...] = (Key(),)
    execution: ExecutionModel = field(default_factory=ExecutionModel)
    fee_in: FeeIn = "base"
    exact_fees: bool = False
    opo_commission: Literal["free", "received"] = "free"
    placement_shows: Literal["pending", "now"] = "pending"
    symbols: Mapping[str, Capabilities] = field(default_factory=dict)
    bnb_price: Decimal = Decimal(500)
    atr_window: int = 14
    filters: Filters = Filters()
    limits: Limits = Limits()
    book: BookDepth = BookDepth()
    clock: Literal["virtual", "real"] = "virtual"
    speed: float = 1.0
    pace: float = 0.0
    seed: int = 7
    faults: list[Fault] = field(default_factory=list)
    lags: Mapping[str, int] = field(default_factory=dict)
    archive_ms: int = 90 * DAY_MS
    script: tuple[ScriptedEvent, ...] = ()
    ledger: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    control_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    names: tuple[str, ...] = ()
    bounds: Bounds = field(default_factory=Bounds)
    candles: tuple[Bars, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an exchange without a market, or with a balance below 0."""
        if not self.series:
            raise InputError("An exchange needs bars", todo="Pass the bars of at least one symbol")
        for asset, amount in self.balances.items():
            if not amount >= 0:
                raise InputError("A balance is a number of at least 0", found=f"{asset}={amount}")
        if not self.speed > 0:
            raise InputError("The clock's speed is above 0", found=self.speed)
        if not self.pace >= 0:
            raise InputError("The clock's pace is at least 0", found=self.pace)

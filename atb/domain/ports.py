"""The ports: what the core needs from the outside world, as protocols."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from atb.domain.bars import Bars
from atb.domain.instrument import Instrument
from atb.domain.orders import Fill, Order
from atb.domain.signals import Signals
from atb.domain.symbol import Symbol
from atb.domain.timeframe import Timeframe
from atb.domain.venue import (
    Answer,
    Balance,
    Capabilities,
    Commissions,
    Contact,
    OrderList,
    OrderReport,
    Permissions,
    StreamUpdate,
)

if TYPE_CHECKING:
    import asyncio

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@runtime_checkable
class Strategy(Protocol):
    """A frozen dataclass of parameters with two pure functions.

    `name` is the register's key; `predicts` says that `signals` reads a column `prediction`, which `prepare` adds from
    a `Predictor`; `warmup` is the number of bars before the first one whose signal is exact to the last bit. A strategy that reads
    more than its own bars has `inputs` as well (`atb.domain.inputs`). One whose slots on several symbols of an account differ has
    `legs(symbols)`: a strategy for each of two or more symbols, in their order.
    """

    name: ClassVar[str]
    predicts: ClassVar[bool]

    @property
    def warmup(self) -> int:
        """Bars needed before the first signal."""
        ...

    def features(self, *args: Any, **kwargs: Any) -> "pd.DataFrame":
        """Return causal columns on the index of the bars: row t depends on bars up to and including t.

        Called as `features(bars)` with a frame of bars; as `features(bars, inputs)`, with a `Known` for each name, where the
        strategy declares `inputs`.
        """
        ...

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return the signals at each row of `frame` (bars' columns, features and, if wanted, `prediction`)."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """A fitted model: bars in, one prediction per bar out; with `inputs` of its own (`atb.domain.inputs`) these too."""

    @property
    def warmup(self) -> int:
        """Bars needed before the first prediction."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model's bytes and card."""
        ...

    def predict(self, *args: Any, **kwargs: Any) -> "NDArray[np.float64]":
        """Return one value per bar; NaN while warming up. Row t uses bars up to and including t.

        Called as `predict(bars)`; as `predict(bars, inputs)` where the predictor declares `inputs`.
        """
        ...


class Broker(Protocol):
    """A venue as the live runner sees it. A request that may have been executed is never an exception but an `Answer`.

    Requests that only read (they find or list something) raise `VenueError` when the venue cannot be asked.
    """

    capabilities: Capabilities

    async def open(self, symbols: Sequence[Symbol]) -> None:
        """Connect, learn the rules of `symbols` and the venue's clock."""
        ...

    async def close(self) -> None:
        """End every connection."""
        ...

    def now_ms(self) -> int:
        """Return the venue's present in epoch milliseconds, by the clock and the offset last measured."""
        ...

    def capabilities_of(self, symbol: Symbol) -> Capabilities:
        """Return the capabilities and the status of a symbol, as the venue last said; `capabilities` are the venue's own."""
        ...

    async def refresh(self, symbols: Sequence[Symbol]) -> None:
        """Ask the venue again for the rules of symbols, for what they allow, and for their status."""
        ...

    async def price(self, symbol: Symbol) -> Decimal:
        """Return the last price (quote per base)."""
        ...

    def instrument(self, symbol: Symbol) -> Instrument:
        """Return the trading rules of a symbol, as the venue gave them."""
        ...

    async def place(self, order: Order | OrderList) -> Answer:
        """Send an order, or orders that are tied together, whose intents are already committed."""
        ...

    async def cancel(self, order: Order | OrderList) -> Answer:
        """Withdraw an order or a whole list; `rejected` means that the venue has no such open order, and nothing else does."""
        ...

    async def replace(self, old: Order, new: Order) -> Answer:
        """Cancel `old` and place `new` in one request; neither happens where the cancellation fails.

        `rejected` with a report of `old` as cancelled: it is gone, and the venue refused `new`.
        """
        ...

    async def check(self, order: Order) -> Answer:
        """Let the venue judge an order without placing it."""
        ...

    async def find(self, order: Order) -> OrderReport | None:
        """Return the venue's report on one of our orders; None if the venue says it does not know it.

        None proves nothing by itself: a venue's look-up may lag behind what it has executed.
        """
        ...

    async def find_by_id(self, symbol: Symbol, exchange_id: str) -> OrderReport | None:
        """Return the report on any order of the account by the venue's id of it, which executions name; None if it is not known."""
        ...

    async def find_list(self, symbol: Symbol, list_id: str) -> Mapping[str, str] | None:
        """Return the venue's id of each leg of one of our order lists by its client id; None if the list is not known."""
        ...

    async def all_orders(self, symbol: Symbol, *, since_ms: int) -> Sequence[OrderReport]:
        """Return the account's orders in a symbol that were placed at `since_ms` or later, in any state."""
        ...

    async def open_orders(self, symbol: Symbol) -> Sequence[OrderReport]:
        """Return every open order of the account in a symbol, including orders that are not ours."""
        ...

    async def trades(self, symbol: Symbol, *, after: str | None, since_ms: int) -> Sequence[Fill]:
        """Return executions, oldest first: those after trade id `after`, or from `since_ms` if that is None."""
        ...

    async def balances(self) -> dict[str, Balance]:
        """Return the account's balances by asset."""
        ...

    async def bars(self, symbol: Symbol, timeframe: Timeframe, *, since_ms: int) -> Bars | None:
        """Return the bars that opened at `since_ms` or later and are closed by the venue's clock; None if there are none."""
        ...

    async def permissions(self) -> Permissions:
        """Return the key's permissions."""
        ...

    async def commissions(self, symbol: Symbol) -> Commissions | None:
        """Return the account's commission rates in a symbol; None if the venue gives none."""
        ...

    def listen(self, wake: Callable[[StreamUpdate], None]) -> None:
        """Call `wake` for every update that the venue pushes, from now on."""
        ...

    def observe(self, callback: Callable[[Contact], None]) -> None:
        """Call `callback` after every request from now on."""
        ...

    def silences(self) -> Mapping[str, int]:
        """Return the time since the last message of each stream, in milliseconds of exchange time."""
        ...


class Clock(Protocol):
    """The only source of the present time."""

    def now_ms(self) -> int:
        """Return the present in epoch milliseconds, UTC."""
        ...


class Timer(Clock, Protocol):
    """A clock that can be waited on."""

    async def wait_until(self, time_ms: int, wake: "asyncio.Event") -> bool:
        """Wait until `time_ms`, or until `wake` is set if that is earlier; return True if woken."""
        ...

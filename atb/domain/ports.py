"""The ports: what the core needs from the outside world, as protocols."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from atb.domain.bars import Bars
from atb.domain.orders import Fill, Order
from atb.domain.signals import Signals
from atb.domain.symbol import Symbol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@runtime_checkable
class Strategy(Protocol):
    """A frozen dataclass of parameters with two pure functions.

    `name` is the register's key; `predicts` says that `signals` reads a column `prediction`, which `prepare` adds from
    a `Predictor`; `warmup` is the number of bars before the first one whose signal can be trusted to the last bit.
    """

    name: ClassVar[str]
    predicts: ClassVar[bool]

    @property
    def warmup(self) -> int:
        """Bars needed before the first signal."""
        ...

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return causal columns on the index of `bars`: row t depends on bars up to and including t."""
        ...

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return the opinion at each row of `frame` (bars' columns, features and, if wanted, `prediction`)."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """A fitted model: bars in, one prediction per bar out."""

    @property
    def warmup(self) -> int:
        """Bars needed before the first prediction."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model's bytes and card."""
        ...

    def predict(self, bars: "pd.DataFrame") -> "NDArray[np.float64]":
        """Return one value per row; NaN while warming up. Row t uses bars up to and including t."""
        ...


class Broker(Protocol):
    """A venue as the runner sees it."""

    def submit(self, orders: Sequence[Order]) -> None:
        """Send orders whose intents are already committed."""
        ...

    def fills(self) -> Sequence[Fill]:
        """Return executions not returned before, oldest first."""
        ...


class BarSource(Protocol):
    """Where closed bars come from, one timestamp at a time."""

    def history(self, symbol: Symbol) -> Bars:
        """Return the bars known when the source starts: the features' warm-up."""
        ...

    def __iter__(self) -> Iterator[Bars]:
        """Yield each newly closed bar as a series of one row, in time order."""
        ...


class Clock(Protocol):
    """The only source of the present time."""

    def now_ms(self) -> int:
        """Return the present in epoch milliseconds, UTC."""
        ...

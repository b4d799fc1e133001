"""Faults: values that say what goes wrong, on which requests or stream frames, or at what time."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from atb.errors import InputError, did_you_mean
from atb.venues.simulator.orders import Order

# Faults on requests: refused ones are never executed, executed ones lose the answer, delayed ones are executed later.
REFUSED = frozenset(("rate_limit", "ban", "error", "refuse", "reset", "held"))
EXECUTED = frozenset(("lost", "held_after", "error_after", "truncated"))
DELAYED = frozenset(("late", "late_engine"))
ON_REQUESTS = REFUSED | EXECUTED | DELAYED
# Faults on reads of the account, beside any other fault: what is read is old.
ON_READS = frozenset(("lag",))
# Faults in the matching engine, on orders.
ON_ORDERS = frozenset(("partial", "reject_legs", "expire_stop"))
# Faults at a time, independent of requests.
TIMED = frozenset(
    ("skew", "maintenance", "halt", "symbol", "freeze", "revise", "manual", "stranger", "cancel_stop", "deposit")
)
# Faults on the frames of streams.
ON_STREAMS = frozenset(("drop", "gap", "duplicate", "reorder", "half_open", "delay"))
KINDS = ON_REQUESTS | ON_READS | ON_ORDERS | TIMED | ON_STREAMS
MANY = 1_000_000  # times of a fault that strikes until its end
# Paths that schedules draw from: reads by which a lost order is looked for, and requests that place orders.
ORDER_READS = ("GET /api/v3/order", "GET /api/v3/orderList", "GET /api/v3/openOrders", "GET /api/v3/myTrades", "reads")
PLACEMENTS = (
    "POST /api/v3/order",
    "POST /api/v3/orderList/opo",
    "POST /api/v3/orderList/opoco",
    "POST /api/v3/orderList/oco",
)

Strike = Callable[[str, Order], Mapping[str, Any] | None]  # a kind of ON_ORDERS and an order: details of the fault


def never(_kind: str, _order: Order) -> None:
    """Strike no order."""


@dataclass
class Fault:
    """One fault.

    Parameters
    ----------
    kind
        On requests, not executed: `rate_limit` (429 with Retry-After), `ban` (418), `error` (a status of 5xx, 503 unless
        `detail` has another `status`, with Binance's `code` in the body where it has one), `refuse` (with `code`, `msg` and
        perhaps `status` and `retry_after_s`), `reset`, `held` (no answer until the client disconnects). Executed: `lost` (the
        connection is reset instead of an answer), `held_after`, `error_after`, `truncated` (half of the body). Executed
        `delay_ms` of exchange time later, with no answer, or with that of `error` where `detail` has a `status` or a `code`:
        `late` (on the way; its timestamp is checked when it arrives), `late_engine` (accepted at once, and nothing bounds when
        the matching engine executes it).
        On reads of orders, lists, trades and balances: `lag` (the answer is as old as `lag_ms`: an order is not found yet, or is
        shown in an earlier state).
        On orders, of one `symbol` and one `side` where `detail` names them: `partial` (an order with a limit is met in part, a
        `share`, half by default; the rest stays on the book, or expires where it may not), `reject_legs` (the pending legs of a
        list are rejected when its working order is filled), `expire_stop` (a triggered stop expires unfilled, as by the price
        range rule).
        At a time: `skew` (the exchange's clock jumps by `ms`), `maintenance`, `halt` (of `symbol`; `status` is HALT unless it is
        given), `symbol` (what a `symbol` allows changes, by the names of `exchangeInfo`), `freeze` (candles stop),
        `revise` (the candle that opened at `opened` is served `factor` times too high until it is revised), `manual` and
        `stranger` (an `order` on the account; the latter has another program's client id), `cancel_stop` (of `symbol`), `deposit`.
        On streams: `drop`, `gap`, `duplicate`, `reorder`, `half_open`, `delay` (by `delay_ms` of exchange time); replies of the
        WebSocket API to orders and cancellations are the frames of a stream named `orders`.
    path
        On requests: a path, `METHOD path`, `changes` (orders and cancellations), `reads`, the name of an operation of the WebSocket
        API, or `*`; on streams the name of a stream.
    after
        Number of requests to the path (or of frames) that pass before.
    times
        Number of requests (or frames) it strikes.
    retry_after_s
        What a rate limit asks to wait, in seconds.
    at_ms
        Exchange time from which it strikes; None is from the start.
    until_ms
        When a lasting fault (maintenance, halt, symbol, freeze, revise) ends, and from when any other no longer strikes; None is
        never.
    detail
        Further parameters of the kind.
    """

    kind: str
    path: str = "/api/v3/klines"
    after: int = 0
    times: int = 1
    retry_after_s: int = 1
    at_ms: int | None = None
    until_ms: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a kind that does not exist."""
        if self.kind not in KINDS:
            raise InputError("There is no such fault", found=self.kind, todo=did_you_mean(self.kind, KINDS))

    def is_over(self, now_ms: int) -> bool:
        """Return True if it has an end and that has come."""
        return self.until_ms is not None and now_ms >= self.until_ms

    def strikes(self, *names: str, now_ms: int = 0) -> bool:
        """Count a request (or frame) known by these names; return True if this fault strikes it."""
        if not self.times or (self.path != "*" and self.path not in names):
            return False
        if (self.at_ms is not None and now_ms < self.at_ms) or self.is_over(now_ms):
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the fault as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Fault":
        """Read a fault from plain values; all but `kind` may be left out.

        Raises
        ------
        InputError
            If a name is unknown or the kind does not exist.
        """
        known = cls.__dataclass_fields__
        for name in values:
            if name not in known:
                raise InputError("A fault has no such field", found=name, todo=did_you_mean(name, known))
        if "kind" not in values:
            raise InputError("A fault needs a kind", found=values)
        return cls(**values)

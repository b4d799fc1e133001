"""Seeded schedules: a market, a portfolio and everything that goes wrong with them, drawn from one number."""

import hashlib
import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from atb.domain import Bars
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import warmup_bars
from atb.live.plan import Plan
from atb.strategies import make_strategy
from atb.venues.simulator.faults import Fault
from tests.bars import bars_of, random_walk
from tests.instruments import usual

HOUR = 3_600_000
WARM, QUIET = 200, 6  # bars before the first one, and after the last fault
WINDOW_MS, MARGIN_MS = 3_000, 1_000

POLICIES: tuple[dict[str, Any], ...] = (
    {"stop_loss": 0.02, "take_profit": 0.04},
    {"stop_loss": 0.015},
    {"stop_loss": 0.02, "take_profit": 0.05, "ladder": ((0.01, 0.3), (0.02, 0.3))},
    {
        "stop_loss": 0.03,
        "trailing_stop": 0.015,
        "trailing_after": 0.004,
        "break_even": 0.005,
        "break_even_offset": 0.001,
    },
    {"stop_loss": 0.03, "take_profit": 0.05, "trailing_stop": 0.012},
    {"stop_loss": 0.02, "take_profit": 0.03, "entry": "limit", "entry_offset": 0.002, "entry_bars": 3, "reenter": True},
    {"stop_loss": 0.02, "entry": "stop", "entry_offset": 0.002, "entry_bars": 3, "reenter": True},
    {"stop_loss": 0.03, "take_profit": 0.06, "scale_in": 0.005, "scale_share": 0.5, "reenter": True},
    {"sizing": "risk", "risk": 0.01, "stop_atr": 2.0, "atr_window": 5, "max_bars": 8, "reenter": True},
    {},
)
_ORDERS = (
    "changes",
    "changes",
    "POST /api/v3/order",
    "POST /api/v3/orderList/oco",
    "POST /api/v3/orderList/opo",
    "POST /api/v3/orderList/opoco",
    "POST /api/v3/order/cancelReplace",
    "DELETE /api/v3/order",
    "DELETE /api/v3/orderList",
)
_READS = (
    "reads",
    "GET /api/v3/order",
    "GET /api/v3/openOrders",
    "GET /api/v3/myTrades",
    "GET /api/v3/account",
    "GET /api/v3/klines",
)
_ON_ORDERS = ("error", "reset", "held", "lost", "held_after", "error_after", "truncated", "late")
_ON_READS = ("error", "reset", "truncated", "held_after")
_DEAD_MS = (0, 0, 400, 2_000, 20_000, 600_000, 3 * HOUR)


@dataclass(frozen=True)
class Schedule:
    """What is played; equal seeds give equal schedules.

    Parameters
    ----------
    plans, series
        The portfolio, and the bars of its slots.
    count
        Bars to trade.
    crashes
        One per life, in order: how many doors the process passes before it dies, or the name of the door at which it does, and how
        long it is dead (ms).
    losses
        Transactions (counted over all lives) at which the database goes away: before or after what they commit.
    halts
        When the kill switch is raised (bar, level) and lowered (bar, None where it is not).
    streams
        Whether the runner gets the exchange's streams. Its clock wakes it for whatever happens on the account anyway, and
        without them a schedule is the same to the last request every time.
    order_entry
        The way of orders. Over a WebSocket it is the real time of a reconnection that decides which orders go by REST meanwhile.
    """

    seed: int
    plans: tuple[Plan, ...]
    series: tuple[Bars, ...]
    count: int
    execution: ExecutionModel = field(default_factory=ExecutionModel)
    fee_in: str = "bnb"  # or base; no buy at the exchange pays in quote
    faults: tuple[Fault, ...] = ()
    crashes: tuple[tuple[int | str, int], ...] = ()
    losses: tuple[tuple[int, str], ...] = ()
    halts: tuple[tuple[int, int, int | None], ...] = ()
    streams: bool = False
    bar_ms: int = HOUR
    order_entry: str = "rest"

    @property
    def start_ms(self) -> int:
        """Open of the first bar to trade."""
        return int(self.series[0].opened_ms[WARM])

    @property
    def until_ms(self) -> int:
        """Close of the last bar to trade."""
        return self.start_ms + self.count * self.bar_ms


# --- drawing ------------------------------------------------------------------------------------------------------------


def plan_of(name: str, bars: Bars, policy: RiskPolicy, *, execution: ExecutionModel, **parameters: Any) -> Plan:
    """Return a plan as a promotion would make it, with the same name every time."""
    strategy = make_strategy("sma_cross", **parameters)
    digest = hashlib.sha256(f"{name} {bars.symbol} {policy} {parameters}".encode()).hexdigest()
    warmup = warmup_bars(strategy, policy, execution)
    manifest = SimpleNamespace(content_sha256=digest, name=name, mode="live", warmup=warmup, venue="x")
    return Plan(
        manifest,  # type: ignore[arg-type]
        strategy,
        bars.symbol,
        bars.timeframe,
        policy,
        execution,
        AccountPolicy(cash=10_000.0),
        usual(bars.symbol),
        None,
    )


def market(symbol: str, n: int, seed: int) -> Bars:
    """Return a walk that gaps, and jumps now and then."""
    frame = random_walk(n, seed, sigma=0.012)
    rng = np.random.default_rng(seed + 1)
    jumps = np.where(rng.random(n) < 0.04, rng.normal(0, 0.04, n), 0.0)
    factor = np.exp(np.cumsum(jumps))
    prices = ["open", "high", "low", "close"]
    frame[prices] = frame[prices].mul(factor, axis=0).round(2)
    return bars_of(frame, symbol)


def draw(seed: int, *, hard: bool = True) -> Schedule:
    """Draw a schedule; without `hard` nothing goes wrong."""
    rng = random.Random(seed)
    count = rng.randint(24, 44)
    fee_in = rng.choice(("base", "base", "bnb"))  # never in quote: no buy at the exchange pays so
    execution = ExecutionModel(
        fee=0.001, maker_fee=0.0005, slippage=rng.choice((0.0, 0.0005)), fee_in_base=fee_in == "base"
    )
    plans, series = [], []
    slots = rng.choice((1, 1, 2, 3))
    for number in range(slots):
        symbol = rng.choice(("BTC/USDT", "ETH/USDT"))
        bars = next((candidate for candidate in series if str(candidate.symbol) == symbol), None)
        bars = bars or market(symbol, WARM + count + 2, seed * 10 + number)
        policy = RiskPolicy(fraction=0.9 / slots, **rng.choice(POLICIES))
        fast = rng.randint(2, 4)
        plans.append(plan_of(f"p{number}", bars, policy, execution=execution, fast=fast, slow=fast + rng.randint(2, 5)))
        series.append(bars)
    start = int(series[0].opened_ms[WARM])
    made = Schedule(seed, tuple(plans), tuple(series), count, execution, fee_in)
    if not hard:
        return made
    end = start + (count - QUIET) * HOUR
    faults = tuple(_fault(rng, start, end, [str(bars.symbol) for bars in series]) for _ in range(rng.randint(4, 24)))
    crashes = tuple((rng.randint(1, 70), rng.choice(_DEAD_MS)) for _ in range(rng.choice((0, 1, 2, 4))))
    losses = tuple((rng.randint(3, 120), rng.choice(("before", "after"))) for _ in range(rng.choice((0, 0, 1, 3))))
    halts = _halts(rng, count)
    streams = rng.random() < 0.2
    return Schedule(
        seed, tuple(plans), tuple(series), count, execution, fee_in, faults, crashes, losses, halts, streams
    )


def _halts(rng: random.Random, count: int) -> tuple[tuple[int, int, int | None], ...]:
    if rng.random() > 0.25:
        return ()
    level, begin = rng.choice((1, 2, 3)), rng.randint(3, count - QUIET - 6)
    return ((begin, level, None if level == 3 else begin + rng.randint(1, 5)),)


def _fault(rng: random.Random, start: int, end: int, symbols: list[str]) -> Fault:
    """Draw one fault; what lasts ends before the quiet time."""
    # Most orders go out when a bar opens: half of the faults wait for that.
    at = rng.randrange(start, end)
    symbol = rng.choice(symbols).replace("/", "")
    group = rng.choices(("orders", "reads", "timed", "streams", "limits"), (8, 3, 4, 2, 1))[0]
    if group == "orders":
        return _on_request(rng, rng.choice(_ON_ORDERS), rng.choice(_ORDERS), at)
    if group == "reads":
        return _on_request(rng, rng.choice(_ON_READS), rng.choice(_READS), at)
    if group == "streams":
        kind = rng.choice(("drop", "gap", "duplicate", "reorder", "half_open"))
        return Fault(kind, "*", at_ms=at, times=rng.randint(1, 3))
    if group == "limits":
        return Fault(rng.choice(("rate_limit", "ban")), "*", at_ms=at, retry_after_s=rng.randint(1, 60))
    kind = rng.choice(
        ("skew", "maintenance", "halt", "freeze", "revise", "manual", "stranger", "cancel_stop", "deposit")
    )
    until = min(at + rng.choice((1_000, 30_000, 150_000)), end)
    if kind in {"manual", "stranger"}:
        order = {"symbol": symbol, "side": "BUY", "type": "MARKET", "quantity": "0.25"}
        return Fault(kind, at_ms=at, detail={"order": order})
    if kind == "deposit":
        return Fault(kind, at_ms=at, detail={"asset": rng.choice(("USDT", symbol[:3])), "amount": "1.5"})
    if kind == "skew":
        return Fault(kind, at_ms=at, detail={"ms": rng.choice((-1, 1)) * rng.randint(1_200, 9_000)})
    opened = at - at % HOUR - HOUR
    detail = {"symbol": symbol} | ({"opened": opened} if kind == "revise" else {})
    return Fault(kind, at_ms=at, until_ms=None if kind == "cancel_stop" else until, detail=detail)


def _on_request(rng: random.Random, kind: str, path: str, at: int) -> Fault:
    detail: dict[str, Any] = {}
    if kind == "late":
        detail = {"delay_ms": rng.choice((200, 1_500, 2_900, 4_000, 12_000))}
    if kind in {"error", "error_after"}:
        code = rng.choice((None, -1000, -1001, -1006, -1007))
        detail = {"status": rng.choice((500, 502, 503, 504))} | ({} if code is None else {"code": code})
    return Fault(kind, path, at_ms=at, times=rng.choice((1, 1, 1, 2)), detail=detail)

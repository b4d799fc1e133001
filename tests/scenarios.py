"""Strategies that say what a test tells them to, and random problems over all rules for the kernel."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from atb.domain import Bars, Instrument, Signals, Symbol
from atb.engine.policy import HALTS, OPPOSITES, AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from tests.bars import START, bars_of, frame_of, random_walk
from tests.instruments import usual

FREE = ExecutionModel(fee=0.0, slippage=0.0)
ALL_IN = AccountPolicy(cash=10_000.0, reserve=0.0)
LONE_LIMITS: tuple[dict[str, Any], ...] = (
    {"daily_loss": 0.01},
    {"max_drawdown": 0.05},
    {"throttle": ((0.02, 0.5), (0.05, 0.3))},
    {"maintenance": 0.5},
    {"turnover_per_day": 1.0},
    {"orders_per_day": 2},
)
LONE_RULES: tuple[dict[str, Any], ...] = (
    {"max_bars": 6},
    {"cut_after": 3, "cut_below": 0.01},
    {"session": ("07:00", "21:00")},
    {"flat_weekend": True},
    {"trailing_stop": 0.02},
    {"trailing_atr": 2.0},
    {"break_even": 0.01},
    {"scale_in": 0.005},
    {"cooldown": 4, "stop_loss": 0.01},
)
BASES = ("BTC", "ETH", "SOL")
THROTTLES = (((0.02, 0.7), (0.05, 0.4)), ((0.01, 0.8), (0.03, 0.5), (0.08, 0.25)), ((0.02, 0.5), (0.06, 0.0)))


@dataclass(frozen=True)
class Scripted:
    """A strategy whose opinions are given, one per bar; shorter scripts end in no opinion, empty ones are not given at all."""

    name: ClassVar[str] = "scripted"
    predicts: ClassVar[bool] = False
    sides: tuple[float, ...] = ()
    confidence: tuple[float, ...] = ()
    atr: tuple[float, ...] = ()
    volatility: tuple[float, ...] = ()
    stop: tuple[float, ...] = ()
    price: tuple[float, ...] = ()

    @property
    def warmup(self) -> int:
        return 0

    def features(self, bars: pd.DataFrame) -> pd.DataFrame:
        return bars[[]]

    def signals(self, frame: pd.DataFrame) -> Signals:
        names = ("confidence", "atr", "volatility", "stop", "price")
        given = {name: scripted(column, len(frame)) for name in names if (column := getattr(self, name))}
        return Signals(scripted(self.sides, len(frame)), **given)


def scripted(column: tuple[float, ...], n: int) -> np.ndarray:
    """Return `n` values of a script, NaN after its end."""
    values = np.full(n, np.nan)
    values[: len(column)] = column[:n]
    return values


class Timed(Scripted):
    """The same script by the times of its bars: what it says of one does not depend on which others are known."""

    def __init__(self, script: Scripted, bars: Bars) -> None:
        for name, value in vars(script).items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "opened", bars.frame.index)

    def signals(self, frame: pd.DataFrame) -> Signals:
        rows = self.opened.get_indexer(frame.index)
        given = super().signals(pd.DataFrame(index=self.opened))
        return Signals(**{name: None if column is None else column[rows] for name, column in vars(given).items()})


def ohlc(*rows: tuple[float, float, float, float]) -> pd.DataFrame:
    """Return hourly bars from (open, high, low, close) rows."""
    frame = frame_of(np.array([row[3] for row in rows]))
    return frame.assign(
        **{name: [float(row[i]) for row in rows] for i, name in enumerate(("open", "high", "low", "close"))}
    )


def scripted_slot(frame: pd.DataFrame, sides: tuple[float, ...], policy=None, execution=FREE, **options) -> Slot:
    """Return a slot that follows a script on these bars, free of cost unless told otherwise."""
    bars = bars_of(frame, **options)
    return Slot(Scripted(sides), bars, policy or RiskPolicy(fraction=0.5), execution, usual(bars.symbol))


def random_sides(rng: np.random.Generator, n: int, change: float = 0.15) -> tuple[float, ...]:
    """Return persistent random sides with silent stretches."""
    out, side = [], float(rng.choice([1.0, np.nan]))
    for _ in range(n):
        if rng.random() < change:
            side = float(rng.choice([-1.0, 0.0, 1.0, np.nan], p=[0.35, 0.15, 0.4, 0.1]))
        out.append(side)
    return tuple(out)


def lone_problem(
    seed: int, rule: dict[str, Any] | None = None, limit: dict[str, Any] | None = None
) -> tuple[tuple[Slot, ...], AccountPolicy]:
    """Return one slot with long-lived signals on a random walk, for which this rule and this limit are all that is on."""
    rng = np.random.default_rng(seed)
    policy = RiskPolicy(fraction=0.8, allow_short=True, reenter=True, **(rule or {}))
    frame = random_walk(150, seed, sigma=0.012)
    slot = Slot(Scripted(random_sides(rng, len(frame), 0.06)), bars_of(frame), policy, instrument=usual())
    return (slot,), AccountPolicy(**(limit or {}))


# --- random problems: every rule is on with some probability, so that most runs mix several ---


def random_slots(seed: int, bars: int = 150, costs: str = "all") -> tuple[tuple[Slot, ...], AccountPolicy]:
    """Return one to three slots with random markets, policies, costs, rules, start times, holes and timeframes.

    Two of the markets share most of their noise. `costs="vectorbt"` leaves out what vectorbt cannot represent (fees in base,
    funding, borrow) and shorts beyond equity, whose insolvent end vectorbt refuses to buy back.
    """
    draw = Draw(np.random.default_rng(seed), costs)
    account = draw.account()
    count = draw.whole(2 if account.max_cluster is not None else 1, 3 if draw.rules else 2)
    timeframe = "4h" if account.max_cluster is not None else ""
    shared = draw.rng.normal(0, 1, bars)
    slots = tuple(draw.slot(s, bars, shared, account, timeframe) for s in range(count))
    if costs == "vectorbt" and any(slot.policy.allow_short for slot in slots):
        account = AccountPolicy.from_json(account.to_json() | {"max_gross": min(account.max_gross, 0.9)})
    return slots, account


class Draw:
    """Random values of everything a problem consists of."""

    def __init__(self, rng: np.random.Generator, costs: str) -> None:
        self.rng, self.costs = rng, costs
        self.aside = rng.spawn(1)[0]  # for rules that are newer than the numbers of known problems
        # Large bare positions in wild markets: some end in liquidation.
        self.bold = costs == "all" and self.chance(0.12)
        # No bar closes at midnight, when a UTC day begins.
        self.pauses = self.chance(0.2)
        # A problem has one rule or none, or many.
        self.rules = self.one_of(0.0, 0.0, 0.7, 1.0, 1.0, 1.3)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def rule(self, probability: float) -> bool:
        """Whether a rule is on."""
        return self.chance(probability * self.rules)

    def number(self, low: float, high: float) -> float:
        return round(float(self.rng.uniform(low, high)), 6)

    def whole(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def one_of(self, *choices: Any) -> Any:
        return choices[self.whole(0, len(choices) - 1)]

    def perhaps(self, probability: float, low: float, high: float) -> float | None:
        """Return a number, or None for a rule that is off."""
        value = self.number(low, high)
        return value if self.rule(probability) else None

    def counted(self, probability: float, low: int, high: int) -> int:
        """Return a count, or 0 for a rule that is off."""
        value = self.whole(low, high)
        return value if self.rule(probability) else 0

    # --- the account ---

    def account(self) -> AccountPolicy:
        policy = AccountPolicy(
            cash=self.number(500, 50_000),
            max_gross=self.number(0.3, 1.0) if self.chance(0.5) else self.number(1.0, 3.0),
            reserve=self.one_of(0.0, 0.01, 0.05),
            max_net=self.perhaps(0.25, 0.2, 1.0),
            max_cluster=self.perhaps(0.3, 0.1, 0.8),
            cluster_threshold=0.6,
            cluster_days=self.whole(5, 8),
            max_positions=self.counted(0.2, 1, 2),
            orders_per_bar=self.counted(0.2, 1, 2),
            orders_per_day=self.counted(0.2, 2, 8),
            turnover_per_day=self.perhaps(0.25, 0.2, 3.0),
            daily_loss=self.perhaps(0.6 if self.pauses else 0.2, 0.003, 0.05),
            max_drawdown=self.perhaps(0.2, 0.03, 0.2),
            on_halt=self.one_of(*HALTS),
            maintenance=0.05 * self.rule(0.3),
            throttle=self.one_of(*THROTTLES) if self.rule(0.4) else (),
            recovery=self.one_of(0.005, 0.02),
        )
        if self.bold:
            bare = {"max_gross": self.number(2.0, 3.0), "max_net": None, "daily_loss": None, "max_drawdown": None}
            return replace(policy, maintenance=self.one_of(0.0, 0.2, 0.3), **bare)
        return policy if self.rules or self.chance(0.5) else replace(policy, **self.one_of(*LONE_LIMITS))

    # --- a slot ---

    def slot(self, s: int, bars: int, shared: np.ndarray, account: AccountPolicy, timeframe: str) -> Slot:
        timeframe = timeframe if timeframe and s < 2 else self.one_of("1h", "1h", "4h", "4h", "1d")
        sigma = self.number(0.002, 0.03)
        frame = self.market(bars, shared, together=s < 2, sigma=sigma)
        frame.index = pd.date_range(START, periods=bars, freq=timeframe.replace("d", "D"), tz="UTC", name="timestamp")
        frame = frame.iloc[self.kept(bars)]
        if self.pauses and timeframe != "1d":
            frame = frame[(frame.index + pd.Timedelta(timeframe)).hour != 0]
        policy, funded = self.policy(account), self.costs == "all" and self.rule(0.25)
        if self.bold:
            bare = {
                "stop_loss": None,
                "stop_atr": None,
                "signal_stop": False,
                "max_position": None,
                "max_participation": None,
            }
            policy = replace(policy, sizing="fixed_fraction", fraction=self.number(1.5, 3.0), allow_short=True, **bare)
        if not self.rules and self.chance(0.5):
            policy = replace(policy, **self.one_of(*LONE_RULES))
        funding = {"funding": self.funding(frame)} if funded else {}
        symbol = f"{BASES[s]}/USDT"
        return Slot(
            self.strategy(frame, sigma),
            bars_of(frame, symbol, timeframe),
            policy,
            self.execution(policy),
            self.instrument(symbol),
            **funding,
        )

    def market(self, n: int, shared: np.ndarray, *, together: bool, sigma: float) -> pd.DataFrame:
        """Return bars whose opens gap, whose ranges vary and which jump now and then; some have no volume."""
        own, rng = self.rng.normal(0, 1, n), self.rng
        noise = sigma * (0.97 * shared + 0.24 * own if together else own)
        if self.costs == "all" and self.chance(0.8 if self.bold else 0.2):
            jump = 0.3 if self.bold else 0.15
            noise = noise + rng.choice([0.0, -jump, jump], size=n, p=[0.97, 0.015, 0.015])
        close = float(10 ** rng.uniform(0, 4.5)) * np.exp(np.cumsum(noise))
        opened = np.concatenate([close[:1], close[:-1]]) * np.exp(rng.normal(0, sigma / 4, n))
        high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, sigma / 2, n)))
        low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, sigma / 2, n)))
        frame = pd.DataFrame({"open": opened, "high": high, "low": low, "close": close}).round(2).clip(lower=0.5)
        scale = float(rng.choice([1.0, 100.0, 10_000.0]))
        volume = scale * 100.0 / close[0] * rng.lognormal(4, 0.5, n) * (rng.random(n) > 0.02)
        return frame.assign(volume=volume.round(3))

    def kept(self, n: int) -> np.ndarray:
        """Return the rows that the market has: it may start late, end early and miss bars."""
        first = self.whole(1, n // 3) if self.chance(0.2) else 0
        last = n - self.whole(1, n // 3) if self.chance(0.2) else n
        share = self.number(0.8, 1.0)
        return np.array([row for row in range(first, last) if self.chance(share) or row == first])

    def funding(self, frame: pd.DataFrame) -> pd.Series:
        """Return a rate at every third bar or so."""
        paid = self.rng.random(len(frame)) < 0.3
        return pd.Series(np.where(paid, self.rng.normal(0, 0.002, len(frame)).round(6), 0.0), frame.index)

    def instrument(self, symbol: str) -> Instrument:
        return usual(
            Symbol.parse(symbol),
            tick=Decimal(self.one_of("0.01", "0.1", "0.00001")),
            lot=Decimal(self.one_of("0.00001", "0.001", "0.1")),
            min_quantity=Decimal(self.one_of("0.001", "0.001", "0.5")),
            min_notional=Decimal(self.one_of("5", "50")),
        )

    def execution(self, policy: RiskPolicy) -> ExecutionModel:
        every = self.costs == "all"
        return ExecutionModel(
            fee=self.one_of(0.0, 0.0004, 0.001),
            maker_fee=self.one_of(None, None, 0.0, 0.0002),
            fee_in_base=every and not policy.allow_short and self.chance(0.5),
            slippage=self.one_of(0.0, 0.0005, 0.003),
            slippage_atr=self.one_of(0.0, 0.0, 0.05),
            impact=self.one_of(0.0, 0.0, 0.01),
            borrow_rate=self.number(0.1, 5.0) if every and policy.allow_short and self.rule(0.5) else 0.0,
            target_first=self.chance(0.3),
            limit_gap="open" if self.aside.random() < 0.3 else "own",
        )

    def strategy(self, frame: pd.DataFrame, sigma: float) -> Scripted:
        """Return a script of sides with the columns that a strategy may give beside them, each with a few holes."""
        n, close, rng = len(frame), frame["close"].to_numpy(), self.rng
        sides = random_sides(rng, n, self.one_of(0.08, 0.15, 0.3))
        if self.bold and self.chance(0.5):
            sides = (-1.0,) * n
        away = rng.uniform(-0.2, 3.0, n) * sigma
        below = np.where(np.nan_to_num(np.array(sides)) < 0, 1 + away, 1 - away)
        columns = {
            "confidence": rng.uniform(-0.02, 1, n).clip(0).round(3),
            "atr": (close * sigma * rng.uniform(0.5, 2, n)).round(4),
            "volatility": rng.uniform(-0.01, 1.5, n).clip(0).round(4),
            "stop": (close * below).round(3),
            "price": (close * (1 + rng.normal(0, sigma, n))).round(3),
        }
        given = {name: tuple(self.holed(column)) for name, column in columns.items() if self.chance(0.6)}
        return Scripted(sides, **given)

    def holed(self, column: np.ndarray) -> list[float]:
        """Return the column with one value in twenty missing, and one in a hundred nonsense."""
        chance = self.rng.random(len(column))
        return np.select([chance < 0.05, chance < 0.06], [np.nan, 0.0], column).tolist()

    # --- the policy ---

    def policy(self, account: AccountPolicy) -> RiskPolicy:
        stops = {
            "stop_loss": self.perhaps(0.4, 0.005, 0.1),
            "stop_atr": self.perhaps(0.25, 0.5, 4.0),
            "signal_stop": self.rule(0.15),
        }
        entry = self.one_of("market", "market", "market", "limit", "stop")
        return RiskPolicy(
            **self.sizing(account, stopped=any(stops.values())),
            **stops,
            **self.targets(),
            **self.moving_stops(),
            **self.closing(),
            entry=entry,
            entry_offset=0.0 if entry == "market" else self.number(0.0, 0.02),
            entry_bars=self.whole(1, 6),
            allow_short=self.chance(0.6),
            reenter=self.chance(0.5),
            cooldown=self.counted(0.3, 1, 6),
            scale_in=self.perhaps(0.3, 0.002, 0.03),
            scale_share=self.number(0.1, 0.8),
            scale_limit=self.whole(1, 3),
            atr_window=self.whole(2, 14),
            volatility_window=24,
        )

    def sizing(self, account: AccountPolicy, *, stopped: bool) -> dict[str, Any]:
        sizing = self.one_of(
            "fixed_fraction", "fixed_fraction", "fixed_stake", "risk", "confidence", "volatility", "kelly"
        )
        if sizing == "risk" and not stopped:
            sizing = "kelly"
        fraction = self.number(0.1, 1.0) * self.one_of(1.0, max(1.0, 1.2 * account.max_gross))
        return {
            "sizing": sizing,
            "fraction": fraction,
            "stake": self.number(0.02, 0.8) * account.cash,
            "risk": self.number(0.002, 0.05),
            "volatility_target": self.number(0.1, 0.8),
            "kelly_scale": self.number(0.3, 1.0),
            "kelly_floor": min(fraction, self.one_of(0.0, 0.02, 0.1, 0.1)),
            "kelly_trades": self.whole(1, 4),
            "max_position": self.perhaps(0.2, 0.1, 0.6),
            "max_participation": self.perhaps(0.2, 0.01, 0.5),
        }

    def targets(self) -> dict[str, Any]:
        """Return a ladder that closes less than all or exactly all, and a take-profit beyond it."""
        distances = np.cumsum(self.rng.uniform(0.003, 0.02, 3)).round(5).tolist()
        shares = self.one_of((0.5, 0.5), (0.3, 0.3, 0.2), (0.5,), (0.25, 0.25, 0.5), (0.8, 0.1))
        ladder = tuple(zip(distances, shares, strict=False)) if self.rule(0.3) else ()
        beyond = ladder[-1][0] if ladder else 0.0
        return {"ladder": ladder, "take_profit": self.perhaps(0.5, beyond + 0.003, beyond + 0.1)}

    def moving_stops(self) -> dict[str, Any]:
        break_even = self.perhaps(0.3, 0.002, 0.03)
        return {
            "break_even": break_even,
            "break_even_offset": 0.0 if break_even is None or self.chance(0.5) else round(break_even / 2, 6),
            "trailing_stop": self.perhaps(0.25, 0.005, 0.06),
            "trailing_atr": self.perhaps(0.2, 0.5, 4.0),
            "trailing_after": self.perhaps(0.4, 0.0, 0.03),
        }

    def closing(self) -> dict[str, Any]:
        """Return what closes a position for another reason than its price."""
        start, end = self.rng.choice(24, size=2, replace=False)
        session = (f"{start:02d}:{self.one_of('00', '30')}", f"{end:02d}:00") if self.rule(0.12) else None
        return {
            "max_bars": self.counted(0.2, 2, 20),
            "session": session,
            "flat_weekend": self.rule(0.15),
            "cut_after": self.counted(0.2, 1, 8),
            "cut_below": self.number(0.001, 0.02),
            "signal_exit": self.chance(0.8),
            "opposite": self.one_of("reverse", *OPPOSITES),
        }

"""Strategies that say what a test tells them to, and random problems for the kernel."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import numpy as np
import pandas as pd

from atb.domain import Instrument, Signals, Symbol
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.prepare import Slot
from tests.bars import bars_of, frame_of, random_walk

FREE = ExecutionModel(fee=0.0, slippage=0.0)
ALL_IN = AccountPolicy(cash=10_000.0, reserve=0.0)


@dataclass(frozen=True)
class Scripted:
    """A strategy whose sides are given, one per bar; shorter scripts end in no opinion."""

    name: ClassVar[str] = "scripted"
    predicts: ClassVar[bool] = False
    sides: tuple[float, ...] = ()

    @property
    def warmup(self) -> int:
        return 0

    def features(self, bars: pd.DataFrame) -> pd.DataFrame:
        return bars[[]]

    def signals(self, frame: pd.DataFrame) -> Signals:
        side = np.full(len(frame), np.nan)
        side[: len(self.sides)] = self.sides[: len(frame)]
        return Signals(side)


def ohlc(*rows: tuple[float, float, float, float]) -> pd.DataFrame:
    """Return hourly bars from (open, high, low, close) rows."""
    frame = frame_of(np.array([row[3] for row in rows]))
    return frame.assign(
        **{name: [float(row[i]) for row in rows] for i, name in enumerate(("open", "high", "low", "close"))}
    )


def scripted_slot(frame: pd.DataFrame, sides: tuple[float, ...], policy=None, execution=FREE, **options) -> Slot:
    """Return a slot that follows a script on these bars, free of cost unless told otherwise."""
    return Slot(Scripted(sides), bars_of(frame, **options), policy or RiskPolicy(fraction=0.5), execution)


def random_sides(rng: np.random.Generator, n: int) -> tuple[float, ...]:
    """Return persistent random sides with silent stretches."""
    out, side = [], np.nan
    for _ in range(n):
        if rng.random() < 0.15:
            side = float(rng.choice([-1.0, 0.0, 1.0, np.nan]))
        out.append(side)
    return tuple(out)


def random_slots(seed: int, bars: int = 150) -> tuple[tuple[Slot, ...], AccountPolicy]:
    """Return one to three slots with random markets, policies, costs, rules, start times, holes and timeframes."""
    rng = np.random.default_rng(seed)
    slots = []
    for s in range(int(rng.integers(1, 4))):
        base = ("BTC", "ETH", "SOL")[s]
        timeframe = str(rng.choice(["1h", "1h", "4h"]))
        frame = random_walk(
            bars, seed * 7 + s, sigma=float(rng.uniform(0.002, 0.03)), price=float(10 ** rng.uniform(0, 4.5))
        )
        frame.index = pd.date_range("2024-01-01", periods=bars, freq=timeframe, tz="UTC", name="timestamp")
        kept = np.sort(rng.choice(bars, size=int(bars * rng.uniform(0.8, 1.0)), replace=False))
        frame = frame.clip(lower=0.5).iloc[kept]
        policy = RiskPolicy(
            fraction=float(rng.uniform(0.05, 1.0)),
            stop_loss=None if rng.random() < 0.3 else float(rng.uniform(0.005, 0.1)),
            take_profit=None if rng.random() < 0.3 else float(rng.uniform(0.005, 0.1)),
            allow_short=bool(rng.random() < 0.5),
            reenter=bool(rng.random() < 0.5),
        )
        execution = ExecutionModel(
            fee=float(rng.choice([0.0, 0.0004, 0.001])),
            maker_fee=None if rng.random() < 0.5 else 0.0002,
            slippage=float(rng.choice([0.0, 0.0005, 0.003])),
            target_first=bool(rng.random() < 0.3),
        )
        instrument = Instrument(
            Symbol.parse(f"{base}/USDT"),
            tick=Decimal(str(rng.choice(["0.01", "0.1", "0.00001"]))),
            lot=Decimal(str(rng.choice(["0.00001", "0.001", "0.1"]))),
            min_quantity=Decimal("0.001"),
            min_notional=Decimal(str(rng.choice(["5", "50"]))),
        )
        strategy = Scripted(random_sides(rng, len(frame)))
        slots.append(Slot(strategy, bars_of(frame, f"{base}/USDT", timeframe), policy, execution, instrument))
    # Shorts beyond equity can end insolvent, where vectorbt refuses the buy-back that a venue would force.
    shorts = any(slot.policy.allow_short for slot in slots)
    gross = float(rng.uniform(0.3, 0.9 if shorts else 2.0))
    account = AccountPolicy(cash=float(rng.uniform(500, 50_000)), max_gross=gross, reserve=0.01)
    return tuple(slots), account

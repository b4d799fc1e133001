"""Orders meet bars at the exchange exactly as in a backtest: random bars, random policies, order by order."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.strategies.from_signals import GivenSides
from atb.venues.simulator.configuration import ExchangeConfig, Limits
from atb.venues.simulator.exchange import Exchange
from tests.bars import bars_of, random_walk
from tests.instruments import usual
from tests.seeds import seeds
from tests.venues.simulator.kernel_trader import Trader, expected, merged

BARS = 250
LOT = Decimal("0.001")  # fees in base are exact in eight decimals then: the exchange rounds them, the kernel does not
MANY = Limits(weight=10**9, orders_10s=10**9, orders_day=10**9)


def policy_of(rng, entry):
    """Draw a policy that a spot account can trade."""
    maybe = lambda *values: values[rng.integers(len(values))]  # noqa: E731
    ladder = maybe((), (), ((0.01, 0.4),), ((0.008, 0.3), (0.02, 0.4)))
    return RiskPolicy(
        fraction=0.6,
        stop_loss=maybe(None, 0.01, 0.02, 0.004),
        take_profit=maybe(None, 0.03, 0.05),
        ladder=ladder,
        trailing_stop=maybe(None, 0.015, 0.03),
        break_even=maybe(None, 0.012),
        max_bars=maybe(0, 0, 12),
        entry=entry,
        entry_offset=maybe(0.002, 0.006) if entry != "market" else 0.0,
        entry_bars=maybe(1, 3),
        reenter=maybe(False, True),
    )


def execution_of(rng):
    maybe = lambda *values: values[rng.integers(len(values))]  # noqa: E731
    return ExecutionModel(
        fee=0.001,
        maker_fee=maybe(None, 0.0004),
        fee_in_base=maybe(False, True),
        slippage=maybe(0.0, 0.0007),
        slippage_atr=maybe(0.0, 0.05),
        target_first=maybe(False, True),
        limit_gap=maybe("own", "own", "open"),
    )


def leaping(seed):
    """Return a market of which every third open leaps, often beyond stops, targets and limit entries."""
    frame, rng = random_walk(BARS, seed, sigma=0.008), np.random.default_rng([seed, BARS])
    leaps = np.exp(np.cumsum(np.where(rng.random(BARS) < 0.3, rng.normal(0, 0.02, BARS), 0.0)))
    prices = ["open", "high", "low", "close"]
    return frame.assign(**(frame[prices].mul(leaps, axis=0).round(2)))


def drawn(seed, entry, frame, slippage=None):
    """Return a random slot, its account and what its backtest fills: the first of the seed that fills more than five orders."""
    account = AccountPolicy(cash=10_000.0)
    for more in range(100):
        slot = slot_of(np.random.default_rng([seed, len(entry), *[more] * (more > 0)]), entry, frame)
        if slippage is not None:
            slot = replace(slot, execution=replace(slot.execution, slippage=slippage))
        wanted = merged(expected(run(slot, account=account)))
        if len(wanted) > 5:
            return slot, account, wanted
    raise AssertionError("a hundred problems in which next to nothing is filled")


def slot_of(rng, entry, frame):
    sides = pd.Series(np.repeat(rng.choice([0.0, 1.0, np.nan], BARS // 5), 5), frame.index)
    bars, policy, execution = bars_of(frame), policy_of(rng, entry), execution_of(rng)
    return Slot(GivenSides(sides), bars, policy, execution, usual(bars.symbol, lot=LOT, min_quantity=LOT))


def play(seed, entry, frame, slippage=None):
    """Return (exchange's fills, backtest's fills, the exchange) of one random problem."""
    slot, account, wanted = drawn(seed, entry, frame, slippage)
    bars, policy, execution = slot.bars, slot.policy, slot.execution
    config = ExchangeConfig(
        (bars,), int(bars.opened_ms[0]), execution=execution, fee_in="base" if execution.fee_in_base else "quote",
        instruments=(slot.rules,), limits=MANY, atr_window=policy.atr_window,
    )  # fmt: skip
    exchange = Exchange(config)
    return merged(Trader(exchange, slot, account).run()), wanted, exchange


@pytest.mark.parametrize("entry", ["market", "limit", "stop"])
@pytest.mark.parametrize("seed", seeds(8))
def test_the_exchange_fills_what_the_backtest_fills(seed, entry):
    frame = random_walk(BARS, seed, sigma=0.008)
    filled, wanted, exchange = play(seed, entry, frame)
    assert filled == wanted
    codes = {row["code"] for row in exchange.ledger.entries() if row["kind"] == "answer"}
    assert codes <= {0, -2010, -2011}


@pytest.mark.parametrize("entry", ["market", "limit", "stop"])
@pytest.mark.parametrize("seed", seeds(40, quick=6))
def test_so_it_does_where_opens_leap_beyond_orders_and_entries_slip_beyond_their_stops(seed, entry):
    filled, wanted, _ = play(seed, entry, leaping(seed), slippage=(0.0, 0.006, 0.02)[seed % 3])
    assert filled == wanted

"""The kernel against an independent reference, and against golden traces that must never change unnoticed.

`python -m tests.engine.test_reference` writes `golden.json` anew. A change of a golden trace is a change of the rules: say so in
the changelog before you do.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from math import isnan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atb.backtest.simulation import SimulationRecords, simulate
from atb.domain import Symbol
from atb.engine import records
from atb.engine.codes import KINDS, REASONS, REFUSALS, ROLES
from atb.engine.kernel_input import KernelInput, prepare
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from tests.bars import bars_of, random_walk
from tests.engine.reference import Order, Reference, Trade
from tests.instruments import usual
from tests.scenarios import LONE_LIMITS, LONE_RULES, Scripted, lone_problem, random_slots
from tests.seeds import seeds

GOLDEN = Path(__file__).with_name("golden.json")
CODES = {  # the names of the refusals' constants, which follow each other in the records
    getattr(records, name): name
    for name in list(vars(records))[list(vars(records)).index("TOO_SMALL") :]
    if isinstance(getattr(records, name), int) and getattr(records, name) in REFUSALS
}


def orders_of(outcome: SimulationRecords) -> list[tuple]:
    """Return the kernel's orders in the reference's terms."""
    return [
        Order(
            int(order["slot"]),
            ROLES[int(order["role"])],
            int(order["side"]),
            *(float(order[name]) for name in ("quantity", "price", "fee")),
            int(order["time"]),
            bool(order["ambiguous"]),
            REASONS[int(order["reason"])],
            KINDS[int(order["kind"])],
            float(order["fee_base"]),
            float(order["reference"]),
            None if isnan(order["other"]) else float(order["other"]),
        )
        for order in outcome.orders
    ]


def trades_of(outcome: SimulationRecords) -> list[tuple]:
    """Return the kernel's trades in the reference's terms."""
    return [
        Trade(*(trade[name].item() for name in Trade._fields[:-1]), REASONS[int(trade["reason"])])
        for trade in outcome.trades
    ]


def refusals_of(outcome: SimulationRecords) -> list[tuple]:
    """Return what the kernel refused or shrunk as (slot, time, name of the constant)."""
    return [(int(found["slot"]), int(found["time"]), CODES[int(found["reason"])]) for found in outcome.refusals]


def assert_alike(found: list[tuple], expected: list[tuple]) -> None:
    """Compare rows: prices and amounts nearly, all else exactly."""
    for ours, theirs in zip(found, expected, strict=False):
        assert len(ours) == len(theirs)
        for value, wanted in zip(ours, theirs, strict=True):
            near = pytest.approx(wanted, rel=1e-9, abs=1e-8) if isinstance(wanted, float) else wanted
            assert value == near, f"{ours} is not {theirs}"
    assert len(found) == len(expected)


def assert_equal(problem: KernelInput) -> None:
    """Trade a problem both ways and compare everything that both write."""
    outcome, reference = simulate(problem), Reference(problem.slots, problem.account)
    reference.run(problem)
    assert_alike(orders_of(outcome), reference.orders)
    assert_alike(trades_of(outcome), reference.trades)
    assert refusals_of(outcome) == reference.refusals
    np.testing.assert_allclose(outcome.equity, reference.equity, rtol=1e-9)


@pytest.mark.parametrize("seed", seeds(100))
def test_the_kernel_trades_what_the_plain_reference_trades(seed):
    assert_equal(prepare(*random_slots(seed)))


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_they_agree_on_what_a_finer_timeframe_saw_first(seed):
    problem = prepare(*random_slots(seed))
    market = problem.market.copy()
    market["first"] = np.random.default_rng(seed).integers(0, 3, len(market))
    problem = problem.with_market(market)
    assert_equal(problem)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", LONE_RULES, ids=lambda rule: next(iter(rule)))
def test_they_agree_on_each_rule_alone_where_the_loop_may_pass_over_bars(rule, seed):
    assert_equal(prepare(*lone_problem(seed, rule=rule)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", LONE_LIMITS, ids=lambda limit: next(iter(limit)))
def test_they_agree_on_each_limit_alone_where_the_loop_may_pass_over_bars(limit, seed):
    assert_equal(prepare(*lone_problem(seed, limit=limit)))


def test_the_random_problems_reach_every_role_reason_and_refusal():
    roles, reasons, refusals = set(), set(), set()
    for seed in range(200):
        outcome = simulate(prepare(*random_slots(seed)))
        roles |= set(outcome.orders["role"].tolist())
        reasons |= set(outcome.orders["reason"].tolist())
        refusals |= set(outcome.refusals["reason"].tolist())
    assert roles == set(ROLES)
    assert {REASONS[code] for code in REASONS if code not in reasons} == set()
    assert {REFUSALS[code] for code in REFUSALS if code not in refusals} == set()


@pytest.mark.parametrize("seed", seeds(20))
def test_the_reference_itself_loses_no_money(seed):
    """Closed trades and open positions explain its equity; fees in base, whose dust changes value, are left out."""
    slots, account = random_slots(seed)
    slots = tuple(replace(slot, execution=replace(slot.execution, fee_in_base=False)) for slot in slots)
    reference = Reference(slots, account)
    reference.run()
    earned = sum(trade.pnl for trade in reference.trades)
    for book in reference.books:
        if (held := book.position) is not None:
            earned += float(held.realised - held.fees - held.financing + book.held * (book.mark - held.price))
    worth = reference.ledger.cash + sum(book.held * book.mark for book in reference.books)
    assert account.cash + earned == pytest.approx(float(worth), rel=1e-9)


# --- golden traces ---

BLOCKS = ((1.0,) * 14, (-1.0,) * 12, (0.0,) * 3, (1.0,) * 9, (float("nan"),) * 4, (-1.0,) * 10, (1.0,) * 8)
SIDES = tuple(side for block in BLOCKS for side in block)
EVERY_COST = ExecutionModel(
    fee=0.001, maker_fee=0.0002, slippage=0.0005, slippage_atr=0.02, impact=0.01, borrow_rate=0.5
)


def golden_slot(symbol: str, seed: int, policy: RiskPolicy, execution: ExecutionModel = EVERY_COST, **columns) -> Slot:
    """Return a slot on sixty bars of a seeded market, with a coarse tick and lot and eight-hourly funding."""
    frame = random_walk(60, seed, sigma=0.015)
    frame["volume"] = frame["volume"].round(1)
    instrument = usual(Symbol.parse(symbol), tick=Decimal("0.05"), lot=Decimal("0.001"), min_quantity=Decimal("0.01"))
    funding = pd.Series(0.0005, frame.index[7::8])
    return Slot(Scripted(SIDES, **columns), bars_of(frame, symbol), policy, execution, instrument, funding=funding)


def bracket() -> tuple[tuple[Slot, ...], AccountPolicy]:
    """Stop, ladder and trail on longs and shorts, with a scale-in and a break-even stop."""
    policy = RiskPolicy(
        fraction=0.5, stop_loss=0.04, ladder=((0.01, 0.3), (0.02, 0.3)), take_profit=0.06, trailing_stop=0.03, trailing_after=0.01,
        break_even=0.015, break_even_offset=0.002, scale_in=0.008, allow_short=True, reenter=True,
    )  # fmt: skip
    return (golden_slot("BTC/USDT", 1, policy),), AccountPolicy()


def resting_entries() -> tuple[tuple[Slot, ...], AccountPolicy]:
    """Limit entries with fees in base beside stop entries, both sized by their risk in ATRs."""
    common = {
        "sizing": "risk",
        "risk": 0.01,
        "fraction": 0.6,
        "stop_atr": 2.0,
        "take_profit": 0.03,
        "atr_window": 5,
        "reenter": True,
    }
    limit = RiskPolicy(entry="limit", entry_offset=0.004, entry_bars=3, **common)
    stop = RiskPolicy(entry="stop", entry_offset=0.004, entry_bars=2, allow_short=True, cooldown=2, **common)
    spot = ExecutionModel(fee=0.001, slippage=0.0005, fee_in_base=True)
    return (golden_slot("BTC/USDT", 2, limit, spot), golden_slot("ETH/USDT", 3, stop)), AccountPolicy()


def clocks() -> tuple[tuple[Slot, ...], AccountPolicy]:
    """A session, a time limit and an early cut."""
    session = RiskPolicy(fraction=0.3, session=("06:00", "20:00"), allow_short=True, reenter=True)
    timed = RiskPolicy(fraction=0.3, max_bars=6, cut_after=2, cut_below=0.004, allow_short=True, opposite="exit")
    return (golden_slot("BTC/USDT", 4, session), golden_slot("ETH/USDT", 5, timed)), AccountPolicy()


def limits() -> tuple[tuple[Slot, ...], AccountPolicy]:
    """Three slots that compete for gross, net, cash, orders and turnover, under a throttle."""
    policy = RiskPolicy(
        fraction=0.6, allow_short=True, stop_loss=0.02, reenter=True, max_position=0.5, max_participation=0.5
    )
    account = AccountPolicy(
        max_gross=1.2, max_net=0.7, orders_per_bar=4, orders_per_day=24, turnover_per_day=2.5, throttle=((0.02, 0.6), (0.05, 0.3)),
    )  # fmt: skip
    return tuple(golden_slot(f"{base}/USDT", 6 + s, policy) for s, base in enumerate(("BTC", "ETH", "SOL"))), account


def halts() -> tuple[tuple[Slot, ...], AccountPolicy]:
    """A daily loss that flattens, and a drawdown that ends it all."""
    policy = RiskPolicy(fraction=0.9, allow_short=True, reenter=True)
    account = AccountPolicy(daily_loss=0.03, max_drawdown=0.12, on_halt="flatten")
    return (golden_slot("BTC/USDT", 9, policy), golden_slot("ETH/USDT", 10, policy)), account


def sizes() -> tuple[tuple[Slot, ...], AccountPolicy]:
    """Kelly from the slot's own trades, beside the signal's confidence and its own stops."""
    kelly = RiskPolicy(
        sizing="kelly", fraction=0.6, kelly_floor=0.05, kelly_trades=2, take_profit=0.01, stop_loss=0.01, reenter=True
    )
    sure = RiskPolicy(sizing="confidence", fraction=0.6, signal_stop=True, allow_short=True, reenter=True)
    given = {
        "confidence": tuple(0.3 + 0.01 * t for t in range(60)),
        "stop": tuple(96.0 if side > 0 else 106.0 for side in SIDES),
    }
    return (golden_slot("BTC/USDT", 11, kelly), golden_slot("ETH/USDT", 12, sure, **given)), AccountPolicy()


CASES: tuple[Callable[[], tuple[tuple[Slot, ...], AccountPolicy]], ...] = (
    bracket,
    resting_entries,
    clocks,
    limits,
    halts,
    sizes,
)


def trace(case: Callable[[], tuple[tuple[Slot, ...], AccountPolicy]]) -> dict[str, list]:
    """Return what a case must go on to write, as JSON has it."""
    outcome = simulate(prepare(*case()))
    return {
        "orders": [list(order) for order in orders_of(outcome)],
        "refusals": [list(refusal) for refusal in refusals_of(outcome)],
        "equity": [float(outcome.equity[-1])],
    }


@pytest.mark.parametrize("case", CASES)
def test_golden_traces_do_not_change(case):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[case.__name__]
    assert golden["orders"]
    assert trace(case) == golden


@pytest.mark.parametrize("case", CASES)
def test_the_reference_replays_the_golden_traces(case):
    assert_equal(prepare(*case()))


def write_golden() -> None:
    """Write every case's trace, one row to a line so that a change can be read."""
    lines = []
    for case in CASES:
        tables = [
            f'    "{name}": [\n' + ",\n".join(f"      {json.dumps(row)}" for row in rows) + "\n    ]"
            for name, rows in trace(case).items()
        ]
        lines.append(f'  "{case.__name__}": {{\n' + ",\n".join(tables) + "\n  }")
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write_golden()

"""The loops: one slot passed over quickly equals many stepped through, plain Python equals machine code, and sums are sums."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from atb.backtest.simulation import scratch, scratch_of_one, simulate
from atb.engine import kernel, loop, matching, native, records, sizing
from atb.engine.kernel_input import KernelInput, prepare
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.records import fresh_account, fresh_slots
from atb.engine.slot import Slot
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk
from tests.engine.cases import FLAT, account, at, half, play, slot_of
from tests.scenarios import FREE, Scripted, random_sides, random_slots
from tests.seeds import seeds

ROOM = 2_000


def driven(problem: KernelInput, *, general: bool, room: int = ROOM, closes: bool = True) -> dict[str, np.ndarray]:
    """Run a problem of one slot through the general loop or through the one for a single slot; return all it wrote."""
    money, slots = fresh_account(problem.account.cash), fresh_slots(1)
    made = {
        "orders": np.zeros(room, records.ORDER),
        "trades": np.zeros(room, records.TRADE),
        "refusals": np.zeros(room, records.REFUSAL),
        "equity": np.zeros(len(problem.closes) if closes else 0),
        "summary": np.zeros(1, records.SUMMARY),
    }
    buffers = tuple(made.values())
    now = (money, problem.limits, slots, problem.parameters, problem.market)
    if general:
        loop.run(*now, problem.signals, problem.events, problem.closing, problem.opening, *buffers, *scratch())
    else:
        signal_columns = (problem.signal_columns.fields, problem.signal_columns.side)
        loop.run_one(*now[:4], *signal_columns, *problem.bar_columns.columns(), *buffers, *scratch_of_one())
    return {**made, "account": money, "slots": slots}


def assert_both_loops_agree(problem: KernelInput) -> dict[str, np.ndarray]:
    fast, slow = driven(problem, general=False), driven(problem, general=True)
    for name, table in slow.items():
        unequal = [i for i in range(len(table)) if fast[name][i].tobytes() != table[i].tobytes()]
        assert not unequal, (name, unequal[0], fast[name][unequal[0]], table[unequal[0]])
    return fast


@pytest.mark.parametrize("seed", seeds(60))
def test_a_single_slot_gives_the_same_bits_in_both_loops(seed):
    slots, money = random_slots(seed)
    assert_both_loops_agree(prepare(slots[:1], money))


def noisy(seed: int, policy: RiskPolicy, execution: ExecutionModel, *, funding: bool = False) -> Slot:
    """Return a slot on 300 hours of a walk, with a random script that is often silent."""
    frame = random_walk(300, seed, sigma=0.01)
    rates = pd.Series(np.where(np.arange(300) % 8 == 0, 0.001, 0.0), frame.index) if funding else None
    sides = random_sides(np.random.default_rng(seed), 300)
    return Slot(Scripted(sides), bars_of(frame), policy, execution, funding=rates)


PLAIN = ExecutionModel(fee=0.001, slippage=0.0005)
ONE_RULE = {
    "none": {},
    "stop and target": {"stop_loss": 0.02, "take_profit": 0.03},
    "ladder": {"ladder": ((0.01, 0.5), (0.02, 0.3)), "stop_loss": 0.02},
    "trailing stop": {"trailing_stop": 0.02},
    "trailing in ATRs": {"trailing_atr": 2.0},
    "break even": {"break_even": 0.01},
    "time limit": {"max_bars": 7},
    "early cut": {"cut_after": 5, "cut_below": 0.01},
    "session": {"session": ("06:00", "20:00")},
    "weekend": {"flat_weekend": True},
    "scale-in": {"scale_in": 0.01, "fraction": 0.2},
    "cooldown": {"cooldown": 6, "stop_loss": 0.01, "reenter": True},
    "again at once": {"stop_loss": 0.01, "reenter": True},
    "opposite exits": {"opposite": "exit"},
    "opposite ignored": {"opposite": "ignore", "stop_loss": 0.03},
    "no signal exit": {"signal_exit": False, "stop_loss": 0.03},
    "limit entries": {"entry": "limit", "entry_offset": 0.005, "entry_bars": 4, "stop_loss": 0.02},
    "stop entries": {"entry": "stop", "entry_offset": 0.005, "entry_bars": 4, "take_profit": 0.02},
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ONE_RULE)
def test_each_rule_by_itself_gives_the_same_bits_in_both_loops(name, seed):
    policy = RiskPolicy(**{"fraction": 0.5, "allow_short": True, **ONE_RULE[name]})
    done = assert_both_loops_agree(prepare((noisy(seed, policy, PLAIN),), AccountPolicy()))
    assert done["account"][0]["orders"] > 4


ONE_LIMIT = {
    "daily loss": {"daily_loss": 0.005},
    "daily loss, flat": {"daily_loss": 0.005, "on_halt": "flatten"},
    "drawdown": {"max_drawdown": 0.02},
    "drawdown, flat": {"max_drawdown": 0.02, "on_halt": "flatten"},
    "turnover": {"turnover_per_day": 0.8},
    "orders per day": {"orders_per_day": 2},
    "throttle": {"throttle": ((0.01, 0.5), (0.02, 0.2))},
    "maintenance": {"maintenance": 0.9},
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ONE_LIMIT)
def test_each_limit_by_itself_gives_the_same_bits_in_both_loops(name, seed):
    policy = RiskPolicy(fraction=0.95, allow_short=True)
    done = assert_both_loops_agree(prepare((noisy(seed, policy, PLAIN),), AccountPolicy(**ONE_LIMIT[name])))
    assert done["account"][0]["orders"] > 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["interest", "funding", "fee in base"])
def test_what_is_paid_at_closes_gives_the_same_bits_in_both_loops(name, seed):
    execution = {"interest": ExecutionModel(borrow_rate=1.0), "fee in base": ExecutionModel(fee_in_base=True)}
    policy = RiskPolicy(fraction=0.5, allow_short=name != "fee in base")
    slot = noisy(seed, policy, execution.get(name, FREE), funding=name == "funding")
    assert_both_loops_agree(prepare((slot,), AccountPolicy()))


def test_a_short_that_loses_everything_is_seen_while_it_is_passed_over():
    rows = [FLAT, FLAT, (100, 150, 100, 150), (150, 210, 150, 205), at(205), at(100), at(100)]
    slot = slot_of(rows, [-1.0] * 7, half(fraction=1.0, allow_short=True))
    done = assert_both_loops_agree(prepare((slot,), account()))
    assert done["account"][0]["halt"] == records.HALT_LIQUIDATION


def test_a_loss_at_an_open_is_seen_at_the_close_of_its_bar():
    """The exit's bar is a new day's first, and no close falls on midnight: that day began with the equity before the loss."""
    rows = [FLAT, FLAT, FLAT, at(90), at(90), at(90)]
    slot = slot_of(rows, [1.0, np.nan, 0.0, np.nan, 1.0], start="2024-01-01 20:30")
    done = assert_both_loops_agree(prepare((slot,), account(daily_loss=0.03)))
    assert done["refusals"][0]["reason"] == records.DAILY_LOSS


def test_a_first_and_a_last_bar_are_not_passed_over_wrongly():
    for sides in ([1.0], [], [0.0, 0.0, 1.0], [np.nan, 1.0, 1.0]):
        for rows in ([FLAT], [FLAT] * 2, [FLAT] * 3):
            assert_both_loops_agree(prepare((slot_of(rows, sides[: len(rows)]),), account()))
    daily = account(daily_loss=0.1, orders_per_day=3)
    assert_both_loops_agree(prepare((slot_of([FLAT] * 60, [np.nan] * 40 + [1.0]),), daily))


def test_buffers_that_are_too_small_are_filled_and_the_rest_is_counted():
    problem = prepare((noisy(1, RiskPolicy(fraction=0.5), PLAIN),), AccountPolicy())
    for general in (False, True):
        all_, few = driven(problem, general=general), driven(problem, general=general, room=2, closes=False)
        assert few["orders"].tobytes() == all_["orders"][:2].tobytes()
        assert few["trades"].tobytes() == all_["trades"][:2].tobytes()
        assert few["refusals"].tobytes() == all_["refusals"][:2].tobytes()
        assert few["summary"].tobytes() == all_["summary"].tobytes()
        assert few["account"].tobytes() == all_["account"].tobytes()
        assert all_["account"][0]["orders"] > 2 < all_["account"][0]["trades"]
        assert all_["summary"][0]["refused"] > 2


# --- sums ---


@pytest.mark.parametrize("seed", seeds(12))
def test_the_summary_is_what_the_tables_add_up_to(seed):
    outcome = simulate(prepare(*random_slots(seed)))
    total, equity = outcome.summary, np.concatenate([[outcome_cash(seed)], outcome.equity])
    gains = equity[1:] / equity[:-1] - 1.0
    peaks = np.maximum.accumulate(equity)[1:]
    assert total["bars"] == len(gains)
    assert total["last"] == equity[-1]
    assert total["returns"] == pytest.approx(gains.sum(), abs=1e-12)
    assert total["squares"] == pytest.approx((gains**2).sum())
    assert total["downside"] == pytest.approx((np.minimum(gains, 0) ** 2).sum())
    assert total["max_drawdown"] == pytest.approx((1 - equity[1:] / peaks).max(), abs=1e-12)
    below = np.concatenate([[0], (equity[1:] < peaks).astype(int), [0]])
    edges = np.flatnonzero(np.diff(below))
    assert total["longest"] == max([*(edges[1::2] - edges[::2]), 0])
    trades, orders = outcome.trades, outcome.orders
    relative = trades["pnl"] / (trades["quantity"] * trades["entry_price"])
    assert (total["wins"], total["losses"]) == ((trades["pnl"] > 0).sum(), (trades["pnl"] < 0).sum())
    assert total["gain"] == pytest.approx(trades["pnl"][trades["pnl"] > 0].sum())
    assert total["loss"] == pytest.approx(-trades["pnl"][trades["pnl"] < 0].sum())
    assert total["pnl"] == pytest.approx(trades["pnl"].sum())
    assert total["trade_returns"] == pytest.approx(relative.sum())
    assert total["best"] == relative.max(initial=-np.inf)
    assert total["worst"] == relative.min(initial=np.inf)
    assert total["bars_held"] == trades["bars_held"].sum()
    assert total["turnover"] == pytest.approx((orders["quantity"] * orders["price"]).sum())
    assert total["ambiguous"] == orders["ambiguous"].sum()
    assert total["refused"] + total["shrunk"] == len(outcome.refusals)


def outcome_cash(seed: int) -> float:
    return random_slots(seed)[1].cash


def test_cuts_and_refusals_are_counted_apart():
    cut = play([FLAT] * 4, [1.0, 0.0, 1.0], half(max_position=0.3)).outcome.summary
    assert (cut["shrunk"], cut["refused"]) == (2, 0)
    last = play([FLAT] * 4, [1.0], account=account(turnover_per_day=0.3)).outcome.summary
    assert (last["shrunk"], last["refused"]) == (1, 0)
    none = play([FLAT] * 4, [1.0, 1.0], half(max_position=0.0)).outcome.summary
    assert (none["shrunk"], none["refused"]) == (0, 2)


def test_equity_of_nothing_has_no_return():
    rows = [FLAT, (100, 200, 100, 200), *[at(200)] * 3]
    lost = play(rows, [-1.0] * 5, half(fraction=1.0, allow_short=True)).outcome
    assert lost.equity[1] == 0.0
    assert (lost.summary["returns"], lost.summary["squares"]) == (-1.0, 1.0)
    assert lost.summary["max_drawdown"] == 1.0


def test_bars_with_a_position_at_their_close_are_counted():
    assert play([FLAT] * 6, [1.0, 1.0, 0.0]).outcome.summary["exposed"] == 2
    assert play([FLAT] * 2, []).outcome.summary["exposed"] == 0


# --- plain Python ---


@pytest.fixture
def plain(monkeypatch):
    """The kernel as plain Python: how it is debugged, and how the coverage of its lines is measured."""
    for module in (matching, sizing, kernel, loop):
        for name, value in list(vars(module).items()):
            if hasattr(value, "py_func"):
                monkeypatch.setattr(module, name, value.py_func)
    monkeypatch.setattr(native, "run_one", loop.run_one)


def quiet_slots(seed):
    """Return a slot whose positions rest for many bars: the loop passes over those at once."""
    policy = RiskPolicy(
        fraction=0.9, stop_loss=0.06, take_profit=0.08, allow_short=seed % 2 == 0, reenter=seed % 3 == 0
    )
    return [Slot(make_strategy("sma_cross", fast=4, slow=12 + seed), bars_of(random_walk(400, seed)), policy)]


@pytest.mark.parametrize("seed", seeds(24))
def test_plain_python_and_compiled_code_give_the_same_bits(seed, request):
    slots, money = random_slots(seed)
    problems = [prepare(slots, money), prepare(slots[:1], money), prepare(quiet_slots(seed), money)]
    compiled = [simulate(problem) for problem in problems]
    request.getfixturevalue("plain")
    assert not hasattr(loop.run_one, "py_func")
    for problem, expected in zip(problems, compiled, strict=True):
        found = simulate(problem)
        for field in dataclasses.fields(found):
            assert getattr(found, field.name).tobytes() == getattr(expected, field.name).tobytes()


def test_every_entry_point_can_be_warmed_up_at_any_time():
    from atb.engine.cache import is_compiled
    from atb.engine.warm import warm_up

    warm_up()
    assert is_compiled()

"""The loops: one slot passed over quickly equals many stepped through, plain Python equals machine code, and sums are sums."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from atb.backtest.simulation import scratch, simulate
from atb.engine import kernel, loop, matching, native, records, sizing, summary
from atb.engine.kernel_input import KernelInput, prepare
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.records import fresh_account, fresh_slots
from atb.engine.slot import Slot
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk
from tests.engine.cases import FLAT, account, at, half, play, slot_of
from tests.engine.stepped import empty_buffers, stepped
from tests.scenarios import BASES, FREE, Scripted, random_sides, random_slots
from tests.seeds import seeds

ROOM = 2_000


def driven(problem: KernelInput, *, general: bool, room: int = ROOM, closes: bool = True) -> dict[str, np.ndarray]:
    """Run a problem through the loop for many slots, or through the one for a single slot; return all it wrote."""
    money, slots = fresh_account(problem.account.cash), fresh_slots(len(problem.slots))
    made = empty_buffers(problem, room=room, closes=closes)
    signals, work = problem.signal_columns, list(scratch(problem))
    if general and len(slots) == 1:
        work[5:] = [np.array([len(signals.side)]), *np.zeros((4, 1), np.int64)]
    run = loop.run if general else loop.run_one
    state = (money, problem.limits, slots, problem.parameters)
    run(*state, signals.fields, signals.side, *problem.bar_columns.columns(), *made.values(), *work)
    return {**made, "account": money, "slots": slots}


def assert_loops_agree(problem: KernelInput) -> dict[str, np.ndarray]:
    """Compare with the kernel stepped through the loop for many slots and, where there is one slot, the loop for that."""
    slow = stepped(problem, room=ROOM)
    for general in (True, False)[: 2 if len(problem.slots) == 1 else 1]:
        fast = driven(problem, general=general)
        for name, table in slow.items():
            unequal = [i for i in range(len(table)) if fast[name][i].tobytes() != table[i].tobytes()]
            assert not unequal, (name, unequal[0], fast[name][unequal[0]], table[unequal[0]])
    return slow


@pytest.mark.parametrize("seed", seeds(60))
def test_a_single_slot_gives_the_same_bits_in_all_loops(seed):
    slots, money = random_slots(seed)
    assert_loops_agree(prepare(slots[:1], money))


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
def test_each_rule_by_itself_gives_the_same_bits_in_all_loops(name, seed):
    policy = RiskPolicy(**{"fraction": 0.5, "allow_short": True, **ONE_RULE[name]})
    done = assert_loops_agree(prepare((noisy(seed, policy, PLAIN),), AccountPolicy()))
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
def test_each_limit_by_itself_gives_the_same_bits_in_all_loops(name, seed):
    policy = RiskPolicy(fraction=0.95, allow_short=True)
    done = assert_loops_agree(prepare((noisy(seed, policy, PLAIN),), AccountPolicy(**ONE_LIMIT[name])))
    assert done["account"][0]["orders"] > 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["interest", "funding", "fee in base"])
def test_what_is_paid_at_closes_gives_the_same_bits_in_all_loops(name, seed):
    execution = {"interest": ExecutionModel(borrow_rate=1.0), "fee in base": ExecutionModel(fee_in_base=True)}
    policy = RiskPolicy(fraction=0.5, allow_short=name != "fee in base")
    slot = noisy(seed, policy, execution.get(name, FREE), funding=name == "funding")
    assert_loops_agree(prepare((slot,), AccountPolicy()))


# --- many slots ---


def several(seed: int, policies: list[RiskPolicy], execution: ExecutionModel = PLAIN, **options) -> tuple[Slot, ...]:
    """Return slots on walks of their own that miss bars, begin late and end early, the last of another timeframe."""
    rng, made = np.random.default_rng(seed), []
    for k, policy in enumerate(policies):
        last = k == len(policies) - 1
        frame = random_walk(75 if last else 300, seed * 10 + k, sigma=0.01)
        frame.index = pd.date_range(frame.index[0], periods=len(frame), freq="4h" if last else "1h", name="timestamp")
        frame = frame.iloc[int(rng.integers(0, 20)) : len(frame) - int(rng.integers(0, 20))]
        frame = frame[rng.random(len(frame)) > 0.03]
        bars = bars_of(frame, symbol=f"{BASES[k]}/USDT", timeframe="4h" if last else "1h")
        rates = pd.Series(np.where(np.arange(len(frame)) % 8 == 0, 0.001, 0.0), frame.index)
        sides = random_sides(rng, len(frame), change=0.08)
        made.append(Slot(Scripted(sides), bars, policy, execution, funding=rates if options.get("funding") else None))
    return tuple(made)


@pytest.mark.parametrize("seed", seeds(60))
def test_many_slots_give_the_bits_of_the_kernel_stepped(seed):
    assert_loops_agree(prepare(*random_slots(seed)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ONE_RULE)
def test_a_rule_of_one_of_many_slots_gives_the_bits_of_the_kernel_stepped(name, seed):
    plain = RiskPolicy(fraction=0.3, allow_short=True, stop_loss=0.05)
    policy = RiskPolicy(**{"fraction": 0.3, "allow_short": True, **ONE_RULE[name]})
    done = assert_loops_agree(prepare(several(seed, [plain, policy, plain]), AccountPolicy()))
    assert done["account"][0]["orders"] > 12


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [*ONE_LIMIT, "positions", "orders per bar", "cluster", "gross"])
def test_a_limit_of_many_slots_gives_the_bits_of_the_kernel_stepped(name, seed):
    others = {"positions": {"max_positions": 1}, "orders per bar": {"orders_per_bar": 1}, "gross": {"max_gross": 0.5},
              "cluster": {"max_cluster": 0.3, "cluster_days": 5, "cluster_threshold": 0.0}}  # fmt: skip
    money = AccountPolicy(**{**ONE_LIMIT, **others}[name])
    done = assert_loops_agree(prepare(several(seed, [RiskPolicy(fraction=0.9, allow_short=True)] * 3), money))
    assert done["account"][0]["orders"] > 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["interest", "funding"])
def test_what_many_slots_pay_at_closes_gives_the_bits_of_the_kernel_stepped(name, seed):
    execution = ExecutionModel(borrow_rate=1.0) if name == "interest" else FREE
    slots = several(seed, [RiskPolicy(fraction=0.3, allow_short=True)] * 3, execution, funding=name == "funding")
    assert_loops_agree(prepare(slots, AccountPolicy()))


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_target_that_an_open_passes_is_met_before_another_slot_enters_there(side):
    gap = at(120) if side > 0 else at(80)
    rich = half(fraction=0.3, take_profit=0.1, allow_short=True)
    held = slot_of([FLAT, FLAT, FLAT, gap, gap, gap], [side] * 6, rich)
    entering = slot_of([FLAT] * 6, [0.0, 0.0, 1.0, 1.0, 1.0, 1.0], half(fraction=0.3), symbol="ETH/USDT")
    done = assert_loops_agree(prepare((held, entering), account()))
    roles = [records.ENTRY, records.TARGET, records.ENTRY]
    assert done["orders"]["role"][:3].tolist() == roles
    assert done["orders"]["slot"][:3].tolist() == [0, 0, 1]


def test_an_account_that_loses_everything_is_seen_while_its_slots_are_passed_over():
    rows = [FLAT, FLAT, (100, 150, 100, 150), (150, 260, 150, 255), at(255), at(100), at(100)]
    lost = slot_of(rows, [-1.0] * 7, half(fraction=0.9, allow_short=True))
    calm = slot_of([FLAT] * 7, [1.0] * 7, half(fraction=0.05), symbol="ETH/USDT")
    done = assert_loops_agree(prepare((lost, calm), account()))
    assert done["account"][0]["halt"] == records.HALT_LIQUIDATION


# --- single cases ---


def test_a_short_that_loses_everything_is_seen_while_it_is_passed_over():
    rows = [FLAT, FLAT, (100, 150, 100, 150), (150, 210, 150, 205), at(205), at(100), at(100)]
    slot = slot_of(rows, [-1.0] * 7, half(fraction=1.0, allow_short=True))
    done = assert_loops_agree(prepare((slot,), account()))
    assert done["account"][0]["halt"] == records.HALT_LIQUIDATION


def test_a_loss_at_an_open_is_seen_at_the_close_of_its_bar():
    """The exit's bar is a new day's first, and no close falls on midnight: that day began with the equity before the loss."""
    rows = [FLAT, FLAT, FLAT, at(90), at(90), at(90)]
    slot = slot_of(rows, [1.0, np.nan, 0.0, np.nan, 1.0], start="2024-01-01 20:30")
    done = assert_loops_agree(prepare((slot,), account(daily_loss=0.03)))
    assert done["refusals"][0]["reason"] == records.DAILY_LOSS


def test_a_first_and_a_last_bar_are_not_passed_over_wrongly():
    for sides in ([1.0], [], [0.0, 0.0, 1.0], [np.nan, 1.0, 1.0]):
        for rows in ([FLAT], [FLAT] * 2, [FLAT] * 3):
            assert_loops_agree(prepare((slot_of(rows, sides[: len(rows)]),), account()))
    daily = account(daily_loss=0.1, orders_per_day=3)
    assert_loops_agree(prepare((slot_of([FLAT] * 60, [np.nan] * 40 + [1.0]),), daily))


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
    for module in (matching, sizing, kernel, summary, loop):
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

"""What holds for every market and policy: sums that agree, directions that never turn, and a future that does not matter."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.backtest.simulation import simulate
from atb.engine import records
from atb.engine.kernel_input import KernelInput, prepare
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.engine.state import KernelState
from tests.bars import bars_of, random_walk
from tests.engine.cases import walk
from tests.instruments import usual
from tests.scenarios import Scripted, random_sides, random_slots
from tests.seeds import examples

NEAR = 1e-9  # relative to the amounts that were added up


@st.composite
def problems(draw: Any, costs: str = "all") -> tuple[tuple[Slot, ...], AccountPolicy]:
    """Draw random markets and policies with all rules."""
    return random_slots(draw(st.integers(0, 10**6)), bars=draw(st.integers(30, 120)), costs=costs)


# --- sums ---


class Ledger:
    """Cash, holdings and dust, booked from orders alone."""

    def __init__(self, problem: KernelInput) -> None:
        count = len(problem.slots)
        self.problem, self.cash = problem, problem.account.cash
        self.held, self.dust, self.mark = np.zeros(count), np.zeros(count), np.zeros(count)
        self.since = np.zeros(count)
        self.lots = [float(slot.rules.lot) for slot in problem.slots]

    def book(self, order: Any) -> None:
        s, side, value = int(order["slot"]), int(order["side"]), float(order["quantity"] * order["price"])
        in_base = order["fee_base"] > 0
        self.cash -= self.interest(s, float(order["price"]), int(order["time"]))
        self.cash -= side * value + (0.0 if in_base else float(order["fee"]))
        if in_base:
            bought = order["quantity"] - order["fee_base"] + self.dust[s]
            whole = np.floor(bought / self.lots[s] + 1e-6) * self.lots[s]
            self.held[s], self.dust[s] = self.held[s] + whole, bought - whole
        else:
            self.held[s] += side * order["quantity"]
        self.held[s] = np.round(self.held[s] / self.lots[s]) * self.lots[s]

    def close(self, s: int, bar: Any) -> None:
        """Mark a slot to the close of its bar, and pay what holding it cost."""
        self.mark[s] = bar["close"]
        value = self.held[s] * bar["close"]
        self.cash -= value * bar["funding"] + self.interest(s, float(bar["close"]), int(bar["closed"]))

    def interest(self, s: int, price: float, time: int) -> float:
        """Return what a short owes since it last paid."""
        years, self.since[s] = (time - self.since[s]) / (365 * 86_400_000), time
        return max(0.0, -self.held[s] * price) * self.problem.slots[s].execution.borrow_rate * years

    @property
    def equity(self) -> float:
        return float(self.cash + ((self.held + self.dust) * self.mark).sum())


@examples(60)
@given(problems())
def test_equity_is_cash_and_holdings_at_every_close(given_problem):
    """Orders that met an open are booked when it opened, orders that met a range when that bar closed."""
    problem = prepare(*given_problem)
    outcome = simulate(problem)
    ledger, n = Ledger(problem), 0
    for t, time in enumerate(problem.closes.tolist()):
        while n < len(outcome.orders):
            order = outcome.orders[n]
            bar = problem.market[order["row"]]
            passed = order["role"] == records.TARGET and order["time"] == bar["opened"]
            at_open = order["kind"] == records.AT_MARKET or passed
            if (bar["opened"] >= time) if at_open else (bar["closed"] > time):
                break
            ledger.book(order)
            n += 1
        for s, row in enumerate(problem.closing[np.searchsorted(problem.events, time)].tolist()):
            if row >= 0:
                ledger.close(s, problem.market[row])
        scale = problem.account.cash + abs(ledger.held * ledger.mark).sum()
        assert outcome.equity[t] == pytest.approx(ledger.equity, abs=NEAR * scale)


@examples(40)
@given(problems())
def test_the_sum_of_all_fills_is_the_position(given_problem):
    problem = prepare(*given_problem)
    outcome = simulate(problem)
    for s, slot in enumerate(outcome.slots):
        own = outcome.orders[outcome.orders["slot"] == s]
        bought = (own["side"] * own["quantity"] - own["fee_base"]).sum()
        assert slot["quantity"] + slot["dust"] == pytest.approx(bought, abs=1e-9 * (1 + own["quantity"].sum()))
        lots = slot["quantity"] / float(problem.slots[s].rules.lot)
        assert lots == pytest.approx(round(lots), abs=1e-6)
        assert 0 <= slot["dust"] < float(problem.slots[s].rules.lot)


@examples(40)
@given(problems())
def test_the_account_is_the_sum_of_its_orders_and_trades(given_problem):
    outcome = simulate(prepare(*given_problem))
    account, orders, trades = outcome.account, outcome.orders, outcome.trades
    assert account["orders"] == len(orders)
    assert account["trades"] == len(trades)
    assert account["fees"] == pytest.approx(orders["fee"].sum())
    assert account["financing"] == pytest.approx(trades["financing"].sum() + outcome.slots["financing"].sum())
    assert orders["id"].tolist() == list(range(len(orders)))
    assert (account["peak"] >= outcome.equity).all()


# --- fills ---


@dataclass(frozen=True)
class Fill:
    """One order, what its slot held just before it, and the cash before and after."""

    order: Any
    bar: Any
    before: Any
    slot: Slot
    spent: float

    @property
    def slip(self) -> float:
        """Slippage as the policy states it, from what was known at the last close."""
        costs, before = self.slot.execution, self.before
        slip = costs.slippage
        if costs.slippage_atr > 0 and before["atr"] > 0:
            slip += costs.slippage_atr * before["atr"] / self.met
        share = min(1.0, self.order["quantity"] / before["volume"]) if before["volume"] > 0 else 1.0
        return float(min(0.9, slip + costs.impact * np.sqrt(share)))

    @property
    def level(self) -> float:
        """The price at which the order rested; NaN for a market order."""
        names = {records.STOP: "stop", records.TARGET: "target", records.ENTRY: "entry_at", records.EXIT: ""}
        name = names[int(self.order["role"])]
        return float(self.before[name]) if name and self.order["kind"] != records.AT_MARKET else float("nan")

    @property
    def gapped(self) -> bool:
        """Whether the bar opened at or beyond the level, and the order rested by then."""
        return self.before["entered_inside"] == 0 and self.passed_by(self.bar["open"])

    @property
    def late(self) -> bool:
        """Whether the order was placed inside the bar, where the market had passed its level already."""
        return self.before["entered_inside"] != 0 and self.passed_by(self.before["entry_at"])

    def passed_by(self, price: float) -> bool:
        """Whether a price of the market is at or beyond the level."""
        beyond = self.order["side"] * (price - self.level)
        return bool(beyond >= 0 if self.order["kind"] == records.AT_STOP else beyond <= 0)

    @property
    def met(self) -> float:
        """The price of the market that the order met, before slippage and rounding."""
        limit = self.order["kind"] == records.AT_LIMIT
        if self.order["kind"] == records.AT_MARKET or (
            self.gapped and not (limit and self.slot.execution.limit_gap == "own")
        ):
            return float(self.bar["open"])
        return float(self.before["entry_at"] if self.late and not limit else self.level)

    @property
    def worst(self) -> float:
        """The price that a limit order is not worse than which takes the market, else NaN."""
        taken = self.order["role"] == records.ENTRY and self.order["kind"] == records.AT_MARKET
        return float(self.before["entry_at"]) if taken else float("nan")


def fills(problem: KernelInput) -> Iterator[Fill]:
    state = KernelState.fresh(problem.account.cash, limits=problem.limits, parameters=problem.parameters)
    before, cash = state.slots.copy(), problem.account.cash
    for closing, opening in zip(problem.closing, problem.opening, strict=True):
        for rows, phase in ((closing, records.RANGE), (opening, records.OPEN)):
            for order, _ in state.orders(problem.market, rows, phase):
                s, spent = int(order["slot"]), cash - float(state.account[0]["cash"])
                yield Fill(order, problem.market[order["row"]], before[s], problem.slots[s], spent)
                before, cash = state.slots.copy(), float(state.account[0]["cash"])
            if phase == records.RANGE and (closing >= 0).any():
                state.decide(problem.market, problem.signals, closing)
                before, cash = state.slots.copy(), float(state.account[0]["cash"])


def check_fills(problem: KernelInput) -> int:
    """Compare each fill's prices and time with the rules; return how many stops were placed beyond the market."""
    late = 0
    for fill in fills(problem):
        order, bar, tick = fill.order, fill.bar, float(fill.slot.rules.tick)
        assert order["reference"] == fill.met
        assert bar["low"] <= fill.met <= bar["high"] or (order["kind"] == records.AT_LIMIT and fill.gapped)
        at_open = order["kind"] == records.AT_MARKET or fill.gapped or fill.met == bar["open"]
        assert order["time"] == (bar["opened"] if at_open and fill.before["entered_inside"] == 0 else bar["closed"])
        worse = order["side"] * (order["price"] - fill.met * (1 + order["side"] * fill.slip))
        if order["kind"] == records.AT_LIMIT:
            assert order["price"] == fill.met
            assert not fill.gapped or order["side"] * (fill.met - bar["open"]) >= 0
        elif order["price"] == fill.worst:
            assert worse <= tick * (1 + 1e-6) + NEAR * fill.met
        else:
            assert -NEAR * fill.met - 1e-6 * tick <= worse < tick * (1 + 1e-6) + NEAR * fill.met
            assert not order["side"] * (order["price"] - fill.worst) > 0
        late += order["kind"] == records.AT_STOP and fill.late
    return late


@examples(60)
@given(problems())
def test_fills_lie_inside_the_bar_but_for_limits_that_the_open_passed(given_problem):
    check_fills(prepare(*given_problem))


@pytest.mark.parametrize(("seed", "bars"), [(865132, 54)])
def test_a_stop_that_its_entry_slipped_beyond_meets_the_market(seed, bars):
    assert check_fills(prepare(*random_slots(seed, bars=bars))) > 0


@examples(40)
@given(problems())
def test_no_fill_makes_the_account_richer_at_the_price_it_met(given_problem):
    """A fill turns cash into base or back; what it costs is what is lost on the way."""
    problem = prepare(*given_problem)
    for fill in fills(problem):
        order = fill.order
        received = order["side"] * order["quantity"] - order["fee_base"]
        assert received * fill.met <= fill.spent + NEAR * (abs(fill.spent) + 1)
        rate = fill.slot.execution.fee
        if order["kind"] == records.AT_LIMIT and fill.slot.execution.maker_fee is not None:
            rate = fill.slot.execution.maker_fee
        assert order["fee"] == pytest.approx(order["quantity"] * order["price"] * rate)
        in_base = order["quantity"] * rate if fill.slot.execution.fee_in_base and order["side"] > 0 else 0.0
        assert order["fee_base"] == pytest.approx(in_base)


@examples(40)
@given(st.integers(0, 10**6), st.floats(0, 0.02), st.floats(0, 0.02), st.floats(0, 5))
def test_higher_costs_never_leave_more(seed, fee, more, borrow):
    """With stakes that costs do not change, whoever pays more has less at every close."""
    rng = np.random.default_rng(seed)
    bars = bars_of(random_walk(80, seed))
    policy = RiskPolicy(sizing="fixed_stake", stake=100.0, allow_short=True, stop_loss=0.02, take_profit=0.03)
    sides = Scripted(random_sides(rng, 80))
    account = AccountPolicy(cash=10_000.0, max_gross=50.0)

    def equity(**costs):
        return simulate(
            prepare((Slot(sides, bars, policy, ExecutionModel(slippage=0.0, **costs), usual()),), account)
        ).equity

    cheap, dear = equity(fee=fee), equity(fee=fee + more, borrow_rate=borrow)
    assert (dear <= cheap + NEAR * 10_000).all()


# --- limits ---


LIMITS = {
    "max_gross": 0.2, "max_net": 0.1, "max_cluster": 0.1, "reserve": 0.9, "max_positions": 1, "orders_per_bar": 1,
    "orders_per_day": 1, "turnover_per_day": 0.3, "daily_loss": 0.005, "max_drawdown": 0.02, "throttle": ((0.005, 0.5),),
}  # fmt: skip
OWN_LIMITS = {"max_position": 0.1, "max_participation": 0.01, "allow_short": False, "cooldown": 5,
              "session": ("08:00", "12:00"), "flat_weekend": True}  # fmt: skip
OFF = {"max_gross": 100.0, "reserve": 0.0, "max_positions": 0, "orders_per_bar": 0, "orders_per_day": 0, "throttle": (),
       "allow_short": True, "cooldown": 0, "flat_weekend": False}  # fmt: skip


def limited(slots: tuple[Slot, ...], account: AccountPolicy, name: str, *, on: bool) -> KernelInput:
    """Return the problem with one limit on or off."""
    if name in LIMITS:
        value = LIMITS[name] if on else OFF.get(name)
        return prepare(slots, replace(account, **{name: value, "on_halt": "close_only"}))
    value = OWN_LIMITS[name] if on else OFF.get(name)
    changed = tuple(replace(slot, policy=replace(slot.policy, **{name: value})) for slot in slots)
    return prepare(changed, replace(account, on_halt="close_only"))


@examples(200)
@given(problems(costs="vectorbt"), st.sampled_from([*LIMITS, *OWN_LIMITS]))
def test_a_limit_never_enlarges_an_entry(given_problem, name):
    """Step with and without the limit; the first entry in which they differ, in slot order, is smaller with it."""
    slots, account = given_problem
    pairs = zip(*(walk(limited(slots, account, name, on=on)) for on in (False, True)), strict=False)
    for (_, free, _), (_, bound, _) in pairs:
        differs = np.flatnonzero(free.slots["entry"] != bound.slots["entry"])
        if len(differs):
            first = int(differs[0])
            assert abs(bound.slots["entry"][first]) < abs(free.slots["entry"][first])
            return
        if (free.slots["exit"] != bound.slots["exit"]).any():
            return  # a session also closes positions: from here on they are two stories


def test_every_limit_of_that_property_binds_somewhere():
    bound = set()
    for name in (*LIMITS, *OWN_LIMITS):
        for seed in range(60):
            slots, account = random_slots(seed, bars=60, costs="vectorbt")
            free, cut = (simulate(limited(slots, account, name, on=on)).orders for on in (False, True))
            if free.tobytes() != cut.tobytes():
                bound.add(name)
                break
    assert bound == {*LIMITS, *OWN_LIMITS}


# --- stops ---


@examples(80)
@given(problems())
def test_a_stop_never_loosens_while_its_position_is_open(given_problem):
    problem = prepare(*given_problem)
    steps = ((state.slots["quantity"].copy(), state.slots["stop"].copy()) for _, state, _ in walk(problem))
    for (held, stop), (still, moved) in pairwise(steps):
        for s in range(len(held)):
            if held[s] * still[s] > 0 and not np.isnan(stop[s]):
                assert np.sign(held[s]) * (moved[s] - stop[s]) >= 0


@examples(80)
@given(problems())
def test_no_position_is_without_a_stop_where_one_is_configured(given_problem):
    problem = prepare(*given_problem)
    protected = np.array([slot.policy.has_stop for slot in problem.slots])
    for _, state, _ in walk(problem):
        open_ = state.slots["quantity"] != 0
        assert not np.isnan(state.slots["stop"][open_ & protected]).any()
        assert np.isnan(state.slots["stop"][~open_]).all()


# --- time ---


def other_future(slots: tuple[Slot, ...], time: int, seed: int) -> tuple[Slot, ...]:
    """Return the slots with other bars, signals and funding after a time: what closes later was not known."""
    rng = np.random.default_rng(seed)
    changed = []
    for slot in slots:
        later = slot.bars.closed_ms > time
        frame = slot.bars.frame.copy()
        factors = rng.uniform(0.5, 2.0, later.sum())
        for name in ("open", "high", "low", "close", "volume"):
            frame.loc[later, name] = (frame.loc[later, name] * factors).clip(lower=0.01)
        begun = later & (slot.bars.opened_ms < time)  # a longer bar that is under way: its open was known
        frame.loc[begun, "open"] = slot.bars.frame.loc[begun, "open"]
        frame["high"], frame["low"] = frame[["open", "high"]].max(axis=1), frame[["open", "low"]].min(axis=1)
        given = {field.name: getattr(slot.strategy, field.name) for field in fields(slot.strategy)}
        columns = {
            name: tuple(np.where(later, rng.permutation(column), column)) for name, column in given.items() if column
        }
        funding = slot.funding
        if funding is not None:
            funding = funding.where(funding.index.as_unit("ms").asi8 <= time, 0.01)
        bars = bars_of(frame, str(slot.bars.symbol), str(slot.bars.timeframe))
        changed.append(replace(slot, strategy=Scripted(**columns), bars=bars, funding=funding))
    return tuple(changed)


def until(problem: KernelInput, time: int) -> tuple[bytes, ...]:
    """Return, bit by bit, all that was done up to and including the decisions of a time."""
    done: list[bytes] = []
    for now, state, orders in walk(problem):
        if now > time:
            break
        opens = bool(orders) and problem.market["opened"][orders[0]["row"]] == time
        if now < time or not opens:
            done.append(b"".join(order.tobytes() for order in orders) + state.to_bytes())
    return tuple(done)


@examples(60)
@given(problems(), st.floats(0.05, 0.95), st.integers(0, 1000))
def test_what_closes_later_changes_nothing_that_was_decided_before(given_problem, share, seed):
    slots, account = given_problem
    problem = prepare(slots, account)
    time = int(problem.closes[int(share * (len(problem.closes) - 1))])
    assert until(problem, time) == until(prepare(other_future(slots, time, seed), account), time)


# --- several symbols on one account ---


def alone_and_together(slots: tuple[Slot, ...], **limits: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the first slot's orders, traded alone and beside the others, sized by a fixed stake from a full purse."""
    staked = tuple(replace(slot, policy=replace(slot.policy, sizing="fixed_stake", stake=100.0)) for slot in slots)
    account = AccountPolicy(cash=1e9, **limits)
    alone, together = (simulate(prepare(part, account)).orders for part in (staked[:1], staked))
    own = together[together["slot"] == 0]
    own["id"] = np.arange(len(own))  # numbered over the account
    return alone, own


@examples(80)
@given(problems())
def test_a_symbol_more_changes_no_fill_of_another_while_no_shared_limit_binds(given_problem):
    slots, _ = given_problem
    alone, together = alone_and_together(slots)
    assert alone.tobytes() == together.tobytes()


def test_a_shared_limit_that_binds_does_change_the_fills_of_another():
    problems_of_two = (random_slots(seed)[0] for seed in range(60))
    changed = [
        slots
        for slots in problems_of_two
        if len(slots) > 1 and len({len(orders) for orders in alone_and_together(slots[::-1], max_positions=1)}) == 2
    ]
    assert changed

"""The paper desk: every moment through the kernel's own rules, under every level of the kill switch."""

import asyncio
import dataclasses
import json
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from atb.backtest import run as backtest
from atb.domain import Signals, Symbol
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.engine.state import dumps
from atb.live.execution.book import Book
from atb.live.execution.orders import ClientIds, OrderMaker
from atb.live.execution.paper_desk import PaperDesk
from atb.live.feed.market import History, Moment
from atb.live.feed.replay import ReplayFeed
from atb.live.journal.kill_switch import Level
from atb.live.journal.step import Withheld
from atb.live.plan import Plan
from atb.live.portfolio import Portfolio
from tests.bars import bars_of, random_walk
from tests.instruments import usual
from tests.live.desk import BUSY

BTC = Symbol.parse("BTC/USDT")
ACCOUNT = AccountPolicy()
RESTING = RiskPolicy(fraction=0.5, entry="limit", entry_offset=0.5, entry_bars=9)  # never met


@dataclasses.dataclass(frozen=True)
class Restless:
    """Any side at any bar, from the digits of the price: reversals, exits, no opinion."""

    name: ClassVar[str] = "restless"
    predicts: ClassVar[bool] = False
    warmup: int = 0

    def features(self, bars):
        return bars[[]]

    def signals(self, frame):
        digits = (frame["close"].to_numpy() * 100).round().astype(int) % 4
        return Signals(side=np.array([-1.0, 0.0, 1.0, np.nan])[digits])


@dataclasses.dataclass(frozen=True)
class Bull(Restless):
    """Long, always."""

    name: ClassVar[str] = "bull"

    def signals(self, frame):
        return Signals(side=np.ones(len(frame)))


def desk_of(bars, policy, account=ACCOUNT, *, strategy=Restless(), state=None, working=(), known=0):
    """Return a desk that knows the first bars, and goes on from a state where one is given."""
    manifest = SimpleNamespace(content_sha256="a", name="a", mode="paper", warmup=0)
    plan = Plan(manifest, strategy, BTC, bars.timeframe, policy, ExecutionModel(), account, usual(BTC), None)
    portfolio = Portfolio((plan,))
    fresh = portfolio.fresh_state()
    if state is not None:
        fresh.load_json(json.loads(dumps(state)))
    history = History(bars.slice(end=bars.frame.index[known]))
    return PaperDesk(
        Book(portfolio, {0: history}, fresh), makers={0: OrderMaker(ClientIds("s", ("a",)), BTC)}, working=working
    )


def traded(desk, moment, level=Level.NONE):
    """Return the steps of a moment."""
    closed = [desk.on_close(moment, level=level)] if moment.closing else []
    return closed + [step for step in [desk.on_open(moment) if moment.opening else None] if step is not None]


def steps_of(bars, policy, account):
    """Step a restless trader through bars; return its steps and the backtest of the same."""
    result = backtest(Slot(Restless(), bars, policy, ExecutionModel(), usual(bars.symbol)), account=account)
    feed = ReplayFeed({0: bars}, {0: 0})
    desk, steps = desk_of(bars, policy, account), []
    while (moment := asyncio.run(feed.take())) is not None:
        steps += traded(desk, moment)
    return steps, result


def test_an_entry_that_the_open_cannot_pay_is_rejected_with_its_reason():
    steps, result = steps_of(bars_of(random_walk(200, 8)), RiskPolicy(fraction=1.0), AccountPolicy(reserve=0.0))
    changes = [change for step in steps for change in step.changes.values()]
    rejected = [change.refusal for change in changes if change.state == "rejected"]
    noted = [decision.values["refusal"] for step in steps for decision in step.decided if decision.values["refusal"]]
    assert len(rejected) > 3
    assert set(rejected) == {"no_cash"}
    assert sorted(rejected + noted) == sorted(result.refused["reason"])


@pytest.mark.parametrize("seed", range(3))
def test_steps_with_reversals_equal_the_kernels_own_loop(seed):
    steps, result = steps_of(bars_of(random_walk(200, seed)), BUSY, AccountPolicy())
    done = [done for step in steps for done in step.fills]
    fills = [(each.fill.time_ms, each.order.role, float(each.fill.price), float(each.fill.fee)) for each in done]
    roles = {1: "entry", 2: "exit", 3: "stop", 4: "target"}
    orders = result.outcome.orders
    assert fills == [(order["time"], roles[order["role"]], order["price"], order["fee"]) for order in orders]
    assert len({each.fill.client_id for each in done}) == len(orders) > 100
    assert [step.equity for step in steps if step.bar_ms is not None] == list(result.equity)
    placed = [working.order.client_id for step in steps for working in step.placed]
    assert len(set(placed)) == len(placed)


# --- the kill switch and what was withheld ----------------------------------------------------------------------------


def moments(bars):
    feed = ReplayFeed({0: bars}, {0: 0})
    while (moment := asyncio.run(feed.take())) is not None:
        yield moment


def halted_after(policy, level, *, calm=3, bars=12, strategy=Bull()):
    """Trade calm bars, then bars under a level; return the desk, the steps of either part, and what was out between them."""
    market = bars_of(random_walk(bars, 5))
    desk, before, after, out, closes = desk_of(market, policy, strategy=strategy), [], [], (), 0
    for moment in moments(market):
        closes += bool(moment.closing)
        if closes <= calm:
            before += traded(desk, moment)
            out = desk.working
        else:
            after += traded(desk, moment, level)
    return desk, before, after, out


def placed(steps, role):
    return [working for step in steps for working in step.placed if working.order.role == role]


def refusals(steps):
    return [decision.values["refusal"] for step in steps for decision in step.decided]


def test_a_pause_makes_no_entry_and_says_so_at_every_decision():
    desk, before, after, _ = halted_after(BUSY, Level.PAUSE, calm=0)
    assert (before, placed(after, "entry"), desk.clear) == ([], [], True)
    assert set(refusals(after)) == {"halted"}


def test_a_pause_keeps_what_is_held_with_its_stop():
    desk, before, after, out = halted_after(RiskPolicy(fraction=0.5, stop_loss=0.9), Level.PAUSE)
    assert len(placed(before, "entry")) == 1
    assert [working.order.role for working in desk.working] == [working.order.role for working in out] == ["stop"]
    assert not desk.book.flat
    assert [step.fills for step in after if step.fills] == []


def test_a_pause_lets_a_resting_entry_run_out_and_makes_no_other():
    desk, before, after, out = halted_after(RESTING, Level.PAUSE, bars=16)
    (entry,) = placed(before, "entry")
    assert [working.order for working in out] == [entry.order]
    changes = [change for step in after for change in step.changes.items()]
    assert [(name, change.state) for name, change in changes] == [(entry.order.client_id, "expired")]
    assert (placed(after, "entry"), desk.clear) == ([], True)


def test_a_cancel_withdraws_the_resting_entry_at_the_next_close():
    desk, before, after, _ = halted_after(RESTING, Level.CANCEL)
    (entry,) = placed(before, "entry")
    assert after[0].changes[entry.order.client_id].state == "cancelled"
    assert (placed(after, "entry"), desk.clear) == ([], True)


def test_a_cancel_keeps_what_is_held_with_its_stop():
    desk, _, _, _ = halted_after(RiskPolicy(fraction=0.5, stop_loss=0.9), Level.CANCEL)
    assert [working.order.role for working in desk.working] == ["stop"]
    assert not desk.book.flat


def test_flatten_closes_at_the_next_open_and_withdraws_the_stop():
    desk, _, after, _ = halted_after(RiskPolicy(fraction=0.5, stop_loss=0.9), Level.FLATTEN)
    (done,) = [done for step in after for done in step.fills]
    assert (done.order.role, done.reason, done.fill.time_ms) == ("exit", "risk_limit", after[0].time_ms)
    assert desk.clear
    assert desk.book.trades == 1


def one_close(policy, strategy=Bull()):
    """Trade to the first decision, and return the desk, its step, the market and the moment it was decided in."""
    market = bars_of(random_walk(12, 5))
    desk = desk_of(market, policy, strategy=strategy)
    for moment in moments(market):
        if moment.closing:
            return desk, desk.on_close(moment), market, moment
        desk.on_open(moment)
    raise AssertionError


@pytest.mark.parametrize("policy", [RiskPolicy(fraction=0.5), RESTING])
def test_an_entry_that_was_withheld_is_never_filled(policy):
    desk, step, _, moment = one_close(policy)
    (entry,) = step.placed
    desk.drop([Withheld(entry.order.client_id, "order_rate")])
    assert desk.clear
    assert desk.on_open(moment) is None
    assert desk.book.slot(0)["entry"] == 0.0


def test_an_order_that_was_not_withheld_stays():
    desk, step, _, moment = one_close(RiskPolicy(fraction=0.5))
    desk.drop([Withheld("another", "order_rate")])
    desk.drop([])
    assert [working.order for working in desk.working] == [working.order for working in step.placed]
    assert [done.order.role for done in desk.on_open(moment).fills] == ["entry"]


def test_an_entry_that_was_withheld_just_before_the_process_died_is_not_wanted_by_the_next_one():
    desk, _, market, moment = one_close(RiskPolicy(fraction=0.5))
    again = desk_of(market, RiskPolicy(fraction=0.5), strategy=Bull(), state=desk.book.state, known=1)
    assert desk.book.slot(0)["entry"] > 0.0
    assert again.book.slot(0)["entry"] == 0.0
    assert again.on_open(moment) is None


def test_an_open_that_fills_nothing_is_no_step():
    market = bars_of(random_walk(12, 5))
    desk = desk_of(market, BUSY)
    assert desk.on_open(Moment(int(market.opened_ms[0]), {}, {0: market.slice(end=market.frame.index[1])})) is None


def test_where_an_open_is_only_known_at_its_close_the_fills_are_the_same():
    """A venue's candles come closed: what was decided meets their open then."""
    market = bars_of(random_walk(150, 6))
    replayed, candles = desk_of(market, BUSY), desk_of(market, BUSY)
    known, late = [], []
    for moment in moments(market):
        known += traded(replayed, moment)
        late += traded(candles, Moment(moment.time_ms, moment.closing)) if moment.closing else []
    assert len(late) == len(market)
    fills = [[(done.number, done.fill) for step in steps for done in step.fills] for steps in (known, late)]
    assert fills[0] == fills[1]
    assert len(fills[0]) > 100
    assert replayed.book.state.to_bytes() == candles.book.state.to_bytes()

"""Every rule live: random policies with many rules on, traded bar by bar on paper, equal their backtest bit by bit."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from atb.backtest.simulation import simulate
from atb.domain import Bars
from atb.engine import records
from atb.engine.codes import KINDS, REASONS, REFUSALS, ROLES, SIDES
from atb.engine.kernel_input import prepare
from atb.engine.state import dumps
from atb.live.execution.book import Book
from atb.live.execution.orders import ClientIds, OrderMaker
from atb.live.execution.paper_desk import PaperDesk
from atb.live.feed.market import History
from atb.live.feed.replay import ReplayFeed
from atb.live.plan import Plan
from atb.live.portfolio import Portfolio
from tests.database import mainly_sqlite
from tests.engine.cases import half, mirrored, slot_of
from tests.live.desk import first_open, read_journal, ruled_result
from tests.live.test_runner import assert_equal_to_backtest
from tests.scenarios import ALL_IN, Timed, random_slots
from tests.seeds import seeds
from tests.timeouts import PATIENCE_S

SEEDS = range(32)
RESTARTED = 9  # bars between two starts of the runner


def plans_of(problem):
    """Return the plan of every slot of a problem, as if each had been promoted."""
    return tuple(
        Plan(
            SimpleNamespace(content_sha256=f"{number}", name=f"slot {number}", mode="paper", warmup=slot.warmup),
            Timed(slot.strategy, slot.bars),
            slot.bars.symbol, slot.bars.timeframe, slot.policy, slot.execution, problem.account, slot.rules, None,
        )
        for number, slot in enumerate(problem.slots)
    )  # fmt: skip


def makers_of(portfolio):
    return {
        slot: OrderMaker(ClientIds(plan.strategy.name, (f"{slot}",)), plan.symbol)
        for slot, plan in enumerate(portfolio.plans)
    }


def started(portfolio, feed, gone, before=None):
    """Return a desk that begins, or goes on from the saved state of the one before: a new process in all but name."""
    state = portfolio.fresh_state()
    working, makers = (), makers_of(portfolio)
    if before is not None:
        state.load_json(json.loads(dumps(before.book.state)))
        working, makers = before.working, before._makers
    histories = {
        slot: History(Bars(bars.symbol, bars.timeframe, bars.frame.iloc[: gone[slot]], bars.venue))
        for slot, bars in feed._series.items()
    }
    return PaperDesk(Book(portfolio, histories, state), makers=makers, working=working)


def traded(problem):
    """Trade the slots of a problem moment by moment; every few of them a new desk goes on from the saved state."""
    portfolio = Portfolio(plans_of(problem))
    feed = ReplayFeed(dict(enumerate(slot.bars for slot in problem.slots)), dict.fromkeys(range(len(problem.slots)), 0))
    gone, desk, steps, count = Counter(), None, [], 0
    while (moment := asyncio.run(feed.take())) is not None:
        if count % RESTARTED == 0:
            desk = started(portfolio, feed, gone, desk)
        funding = {slot: fundings(problem, slot, gone[slot]) for slot in moment.closing}
        gone.update(moment.closing.keys())
        count += bool(moment.closing)
        if moment.closing:
            steps.append(desk.on_close(moment, funding))
            assert terms(working.order for working in desk.working) == wishes(desk)
            if count % RESTARTED == RESTARTED // 2:  # decided and written, and nothing filled yet
                desk = started(portfolio, feed, gone, desk)
        steps += filter(None, [desk.on_open(moment)])
    return steps, desk


def fundings(problem, slot, row):
    return float(problem.market["funding"][problem.offsets[slot] + row])


def terms(orders):
    """Return what orders ask for, whatever they are called, in the order of their roles."""
    return sorted(
        (order.role, order.side, order.type, order.quantity, str(order.price), str(order.stop_price), order.reason)
        for order in orders
    )


def wishes(desk):
    """Return what the kernel's state wants to be out after a decision: intents, and protection of what is held."""
    orders = []
    for slot, maker in makers_of(desk.book.portfolio).items():
        orders += [*maker.intents(desk.book.slot(slot)), *maker.protection(desk.book.slot(slot))]
    return terms(orders)


def one_slot(seed):
    """Return the first slot of a random problem; it pays fees in base wherever it only buys, and funding every eighth bar."""
    (first, *_), account = random_slots(seed)
    execution = replace(first.execution, fee_in_base=not first.policy.allow_short)
    paid = first.bars.frame.index[::8]
    funding = pd.Series(np.resize([0.0003, -0.0001], len(paid)), index=paid)
    return prepare((replace(first, execution=execution, funding=funding),), account)


def executed(done, took):
    """Return an execution in the words and numbers of an ORDER record; a limit entry that took the open is a market order there."""
    fill, order = done.fill, done.order
    kind = "market" if took and (order.role, order.type) == ("entry", "limit") else order.type
    in_base = fill.fee_asset == fill.symbol.base
    return (
        done.number, fill.time_ms, fill.side, float(fill.quantity), float(fill.price), float(fill.fee_value),
        float(fill.fee) if in_base else 0.0, order.role, done.reason, kind,
    )  # fmt: skip


def wanted(order):
    return (
        order["id"], order["time"], SIDES[order["side"]], order["quantity"], order["price"], order["fee"],
        order["fee_base"], ROLES[order["role"]], REASONS[order["reason"]], KINDS[order["kind"]],
    )  # fmt: skip


def refused(steps):
    """Return every refusal that a journal of these steps holds, by decision and by order."""
    by_decision = [
        decision.values["refusal"] for step in steps for decision in step.decided if decision.values["refusal"]
    ]
    return by_decision + [change.refusal for step in steps for change in step.changes.values() if change.refusal]


def many_slots(seed):
    """Return a random problem as it is: several slots, symbols and timeframes on one account."""
    slots, account = random_slots(seed)
    return prepare(slots, account)


@pytest.mark.parametrize("make", [one_slot, many_slots])
@pytest.mark.parametrize("seed", seeds(len(SEEDS), quick=3))
def test_paper_equals_the_backtest_order_by_order_under_random_rules(seed, make):
    assert_paper_equals_backtest(make(seed))


PASSED = [(100, 104, 100, 104), (107, 108, 106, 107), (107, 107, 107, 107), (107, 107, 107, 107)]


@pytest.mark.parametrize(
    ("sides", "rules"),
    [
        ((1.0, 0.0), {"take_profit": 0.05}),
        ((1.0, 0.0), {"ladder": ((0.05, 0.5),), "take_profit": 0.2}),
        ((1.0, -1.0, -1.0), {"take_profit": 0.05, "allow_short": True}),
        ((1.0, 1.0, 1.0), {"take_profit": 0.05, "scale_in": 0.03}),
        ((1.0, 1.0, 1.0), {"ladder": ((0.05, 0.5),), "take_profit": 0.2, "scale_in": 0.03}),
        ((0.0, 1.0, 1.0), {"entry": "limit", "entry_offset": 0.0, "stop_loss": 0.01}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_paper_equals_the_backtest_where_the_open_passes_an_order_before_what_is_sent_there(sides, rules):
    for rows in ([(100, 100, 100, 100), *PASSED], mirrored([(100, 100, 100, 100), *PASSED])):
        turned = rows[2][0] < 100
        slot = slot_of(rows, [-side if turned else side for side in sides], half(**{"allow_short": True, **rules}))
        assert_paper_equals_backtest(prepare((slot,), ALL_IN))


def assert_paper_equals_backtest(problem):
    outcome = simulate(problem)
    steps, desk = traded(problem)
    assert all(done.order.quantity == done.fill.quantity for step in steps for done in step.fills)
    fills, took = [done for step in steps for done in step.fills], outcome.orders["kind"] == records.AT_MARKET
    assert [executed(*fill) for fill in zip(fills, took, strict=True)] == [wanted(order) for order in outcome.orders]
    trades = [trade for step in steps for _, trade in step.trades]
    assert [trade.tobytes() for trade in trades] == [trade.tobytes() for trade in outcome.trades]
    equity = [step.equity for step in steps if step.bar_ms is not None]
    assert np.array(equity).tobytes() == outcome.equity.tobytes()
    assert sorted(refused(steps)) == sorted(REFUSALS[code] for code in outcome.refusals["reason"])
    assert desk.book.state.to_bytes() == outcome.account.tobytes() + outcome.slots.tobytes()


def test_the_random_problems_of_one_slot_exercise_most_rules():
    outcomes = [simulate(one_slot(seed)) for seed in SEEDS]
    orders = np.concatenate([outcome.orders for outcome in outcomes])
    assert set(orders["kind"]) == set(KINDS)
    assert set(orders["role"]) == set(ROLES)
    assert len({REASONS[code] for code in orders["reason"]}) >= 8
    assert (orders["fee_base"] > 0).any()
    assert any((outcome.trades["financing"] != 0).any() for outcome in outcomes)
    assert len({code for outcome in outcomes for code in outcome.refusals["reason"]}) >= 10


def assert_every_rule_acted(result):
    assert set(result.orders["reason"]) >= {
        "break_even", "entry_signal", "exit_signal", "partial_exit", "scale_in", "session_end", "stop_loss", "take_profit",
        "trailing_stop",
    }  # fmt: skip
    assert set(result.refused["reason"]) >= {"cooldown", "entry_expired", "out_of_session"}


@pytest.mark.slow
def test_the_real_runner_with_many_rules_equals_its_backtest(sqlite_desk):
    result = ruled_result(sqlite_desk.stock(480, 26))
    process = sqlite_desk.start(sqlite_desk.promote(result), "--from", first_open(result))
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "finished: 300 bars" in out
    journal = read_journal(sqlite_desk.url)
    assert_every_rule_acted(result)
    assert_equal_to_backtest(journal, result)
    refused = [row["refusal"] for row in (*journal["decision"], *journal["intent"]) if row["refusal"]]
    assert sorted(refused) == sorted(result.refused["reason"])
    intents = {row["client_id"]: row for row in journal["intent"]}
    assert {row["state"] for row in intents.values() if row["type"] == "limit"} >= {"filled", "cancelled", "expired"}
    assert {row["reason"] for row in intents.values() if row["role"] == "stop"} >= {
        "stop_loss",
        "break_even",
        "trailing_stop",
    }
    for fill in journal["fill"]:
        intent = intents[fill["client_id"]]
        assert (intent["state"], intent["quantity"], intent["reason"]) == ("filled", fill["quantity"], fill["reason"])


@mainly_sqlite
def test_a_session_of_many_rules_goes_on_wherever_it_stopped(desk):
    """Stopped every few bars, with entries resting, ladders half done and stops moved, on either database."""
    result = ruled_result(desk.stock(300, 5))
    path, index = desk.promote(result), result.index
    for cut in range(7, len(index), 12):
        desk.trade(path, since=first_open(result), until=index[cut].isoformat())
    desk.trade(path)
    assert_equal_to_backtest(read_journal(desk.url), result)

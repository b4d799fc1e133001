"""A portfolio: what may share an account, under which name, and clusters over its slots as in a backtest."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from atb.backtest.simulation import simulate
from atb.domain import Symbol, Timeframe
from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.live.execution.book import Book
from atb.live.execution.orders import ClientIds, OrderMaker
from atb.live.execution.paper_desk import PaperDesk
from atb.live.feed.market import History
from atb.live.feed.replay import ReplayFeed
from atb.live.plan import Plan
from atb.live.portfolio import Portfolio
from atb.strategies import make_strategy
from tests.bars import START, bars_of, frame_of
from tests.instruments import usual
from tests.live.feed.test_replay import all_of


def plan(sha="a", symbol="BTC/USDT", timeframe="1h", mode="paper", **changes):
    pair = Symbol.parse(symbol)
    manifest = SimpleNamespace(content_sha256=sha * 64, name=f"plan {sha}", mode=mode, warmup=9)
    made = Plan(
        manifest, make_strategy("sma_cross", fast=3, slow=8), pair, Timeframe.parse(timeframe), RiskPolicy(),
        ExecutionModel(), AccountPolicy(), usual(pair), None,
    )  # fmt: skip
    return replace(made, **changes)


def test_the_only_manifest_names_the_portfolio():
    alone = Portfolio((plan("a"),))
    assert alone.identity() == {"mode": "paper", "key": "a" * 64}


def test_another_set_or_order_of_manifests_is_another_portfolio():
    keys = {Portfolio(plans).key for plans in ((plan("a"), plan("b")), (plan("b"), plan("a")), (plan("a"), plan("c")))}
    assert len(keys) == 3
    assert Portfolio((plan("a"), plan("b"))).key in keys
    assert all(len(key) == 64 for key in keys)


def test_money_is_real_only_if_every_manifest_says_so():
    modes = [("paper", "paper"), ("live", "paper"), ("paper", "live"), ("live", "live")]
    found = [Portfolio((plan("a", mode=mode), plan("b", mode=other))).mode for mode, other in modes]
    assert found == ["paper", "paper", "paper", "live"]


def test_symbols_are_listed_once_and_the_finest_timeframe_is_known():
    many = Portfolio((plan("a", timeframe="4h"), plan("b"), plan("c", "ETH/USDT", "1d")))
    assert [str(symbol) for symbol in many.symbols] == ["BTC/USDT", "ETH/USDT"]
    assert str(many.finest) == "1h"


@pytest.mark.parametrize(
    ("plans", "message"),
    [
        ((), "needs a manifest"),
        (
            (plan("a"), plan("b", account=AccountPolicy(cash=5.0))),
            "plan b was promoted for another account than plan a",
        ),
        ((plan("a"), plan("b", account=AccountPolicy(daily_loss=0.1))), "another account"),
        ((plan("a"), plan("b"), plan("a")), "named twice"),
        ((plan("a"), plan("b", "ETH/EUR")), "one quote currency"),
    ],
)
def test_what_cannot_share_an_account_is_refused(plans, message):
    with pytest.raises(InputError, match=message):
        Portfolio(plans)


def test_a_fresh_state_has_a_slot_for_each_plan_with_its_own_rules():
    state = Portfolio((plan("a"), plan("b", policy=RiskPolicy(fraction=0.25)))).fresh_state()
    assert (len(state.slots), float(state.account[0]["cash"])) == (2, AccountPolicy().cash)
    assert state.parameters["fraction"].tolist() == [RiskPolicy().fraction, 0.25]


# --- clusters ---------------------------------------------------------------------------------------------------------

DAYS = 40
CLUSTERED = AccountPolicy(max_cluster=0.3, cluster_threshold=0.6, cluster_days=6)


def together(seed):
    """Return three markets over forty days, the first two of which share most of their noise half of the time."""
    rng, count = np.random.default_rng(seed), DAYS * 24
    shared, drift = rng.normal(0, 0.01, count), np.arange(count) // (10 * 24) % 2
    noise = [rng.normal(0, 0.01, count) for _ in range(3)]
    noise[1] = np.where(drift == 0, shared + 0.2 * noise[1], noise[1])
    noise[0] = shared + 0.2 * noise[0]
    frames = []
    for bars in noise:
        frame = frame_of(100 * np.exp(np.cumsum(bars)))
        frame.index = pd.date_range(START, periods=count, freq="h", tz="UTC", name="timestamp")
        frames.append(frame)
    return [bars_of(frame, f"{base}/USDT") for frame, base in zip(frames, ("BTC", "ETH", "SOL"), strict=True)]


def test_clusters_of_many_slots_equal_the_backtest_with_no_more_bars_than_their_lead():
    """The runner knows only the lead before its first bar, the backtest everything: they number the clusters alike."""
    markets = together(4)
    plans = tuple(
        plan(str(n), str(bars.symbol), policy=RiskPolicy(fraction=0.3, reenter=True), account=CLUSTERED)
        for n, bars in enumerate(markets)
    )
    portfolio = Portfolio(plans)
    assert portfolio.lead_days == CLUSTERED.cluster_days + 2
    start = pd.Timestamp(START, tz="UTC") + pd.Timedelta(days=20, hours=5)
    slots = tuple(
        Slot(plan_of_slot.strategy, bars, plan_of_slot.policy, plan_of_slot.execution, plan_of_slot.instrument)
        for plan_of_slot, bars in zip(plans, markets, strict=True)
    )
    problem = prepare(slots, CLUSTERED, start)
    outcome = simulate(problem)
    known = [
        bars.slice(start - pd.Timedelta(days=portfolio.lead_days), start + pd.Timedelta(days=6)) for bars in markets
    ]
    start_ms = start.value // 10**6
    feed = ReplayFeed(dict(enumerate(known)), dict.fromkeys(range(3), start_ms))
    histories = {slot: History(bars) for slot, bars in feed.histories().items()}
    makers = {
        slot: OrderMaker(ClientIds("s", (str(slot),)), plan_of_slot.symbol) for slot, plan_of_slot in enumerate(plans)
    }
    desk = PaperDesk(Book(portfolio, histories, portfolio.fresh_state()), makers=makers)
    steps = []
    for moment in all_of(feed):
        steps += [desk.on_close(moment)] if moment.closing else []
        steps += filter(None, [desk.on_open(moment)])
    equity = [step.equity for step in steps if step.bar_ms is not None]
    assert equity == outcome.equity[: len(equity)].tolist()
    assert len(equity) == 6 * 24
    wanted = problem.signals["cluster"].reshape(3, -1)[:, : len(equity)]
    assert len({tuple(column) for column in wanted.T}) > 1, "the clusters never change"
    assert any("cluster" in (decision.values["refusal"] or "") for step in steps for decision in step.decided)

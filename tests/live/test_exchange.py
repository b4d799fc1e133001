"""The runner at a simulated exchange, through real ccxt, is its backtest: every order at its price and in its quantity."""

from dataclasses import replace

import pandas as pd
import pytest

from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.live.bell import Bell
from atb.strategies import make_strategy
from tests.bars import START, bars_of, random_walk
from tests.live.exchange_harness import HOUR, venue
from tests.rehearsal.schedules import market as gapping

CROSS = make_strategy("sma_cross", fast=3, slow=8)
COSTS = ExecutionModel(fee=0.001, maker_fee=0.0005, slippage=0.0003)
FIRST, COUNT = 200, 50
POLICIES = {
    "a stop and a target": RiskPolicy(fraction=0.9, stop_loss=0.02, take_profit=0.03, reenter=True),
    "nothing but signals": RiskPolicy(fraction=0.9),
    "a ladder": RiskPolicy(fraction=0.9, stop_loss=0.02, take_profit=0.04, ladder=((0.01, 0.3), (0.02, 0.3))),
    "a trailing stop and break-even": RiskPolicy(
        fraction=0.9, stop_loss=0.03, trailing_stop=0.015, trailing_after=0.005, break_even=0.005, break_even_offset=0.001
    ),
    "a trailing stop and a target": RiskPolicy(fraction=0.9, stop_loss=0.03, take_profit=0.05, trailing_stop=0.015),
    "limit entries that expire": RiskPolicy(
        fraction=0.9, stop_loss=0.02, take_profit=0.03, entry="limit", entry_offset=0.002, entry_bars=3, reenter=True
    ),
    "stop entries": RiskPolicy(
        fraction=0.9, stop_loss=0.02, take_profit=0.03, entry="stop", entry_offset=0.002, entry_bars=3, reenter=True
    ),
    "scale-ins": RiskPolicy(
        fraction=0.4, stop_loss=0.03, take_profit=0.06, scale_in=0.005, scale_share=0.5, reenter=True
    ),
    "risk sized by ATR, sessions, weekends and a time limit": RiskPolicy(
        sizing="risk", risk=0.01, stop_atr=2.0, atr_window=5, max_bars=12, session=("02:00", "22:00"), flat_weekend=True,
        reenter=True,
    ),
}  # fmt: skip


def market(seed=5, symbol="BTC/USDT", timeframe="1h", n=FIRST + COUNT + 2):
    """Return a walk; longer bars move further."""
    hours = pd.Timedelta(timeframe) / pd.Timedelta("1h")
    frame = random_walk(n, seed, sigma=0.01 * hours**0.5)
    frame.index = pd.date_range(START, periods=n, freq=timeframe, tz="UTC", name="timestamp")
    return bars_of(frame, symbol, timeframe)


BTC, ETH = market(), market(6, "ETH/USDT")
# Between them: a stop, targets, a trail, break-even, resting entries, scale-ins, sizing by risk.
REPRESENTATIVE = {
    "a ladder",
    "a trailing stop and break-even",
    "limit entries that expire",
    "scale-ins",
    "risk sized by ATR, sessions, weekends and a time limit",
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in REPRESENTATIVE else pytest.mark.slow) for name in POLICIES]
)
def test_every_order_is_the_backtests(tmp_path, name):
    with venue(tmp_path, [(CROSS, BTC, POLICIES[name])], first=FIRST, count=COUNT, execution=COSTS) as v:
        summary = v.trade()
        assert (summary.status, summary.bars) == ("finished", COUNT)
        assert v.unlike() == []
        result = v.backtest()
        assert len(result.outcome.orders) >= 5, "a market in which nothing happens proves nothing"
        assert summary.equity == pytest.approx(float(result.equity.iloc[-1]), rel=1e-9)


def test_an_entry_follows_the_open_where_that_has_leapt_from_the_close(tmp_path):
    """A list's first order needs a worst price: by the last close it would not be filled, unlike in the backtest."""
    leaping = gapping("BTC/USDT", FIRST + COUNT + 2, 31)
    with venue(
        tmp_path, [(CROSS, leaping, POLICIES["a stop and a target"])], first=FIRST, count=COUNT, execution=COSTS
    ) as v:
        v.trade()
        assert v.unlike() == []
        closes = dict(zip(leaping.opened_ms + HOUR, leaping.frame["close"], strict=True))
        leaps = [
            float(fill.price) / closes[fill.time_ms]
            for fill in v.fills()
            if fill.role == "entry" and fill.time_ms in closes
        ]
        assert max(leaps) > 1.03


def test_fees_in_base_leave_what_the_backtest_leaves(tmp_path):
    policy = POLICIES["a ladder"]
    in_base = replace(COSTS, fee_in_base=True)
    with venue(tmp_path, [(CROSS, BTC, policy)], first=FIRST, count=COUNT, execution=in_base) as v:
        v.trade()
        assert v.unlike() == []
        assert {fill.fee_asset for fill in v.fills() if fill.side == "buy"} == {"BTC"}
        assert v.events("drift", "stranger_trade", "sold_too_much") == []


SLOTS = [
    (CROSS, BTC, replace(POLICIES["a ladder"], fraction=0.4, reenter=True)),
    (CROSS, ETH, replace(POLICIES["a stop and a target"], fraction=0.5)),
    (
        make_strategy("sma_cross", fast=2, slow=7),
        BTC,
        replace(POLICIES["a trailing stop and break-even"], fraction=0.5),
    ),
]
LIMITS = AccountPolicy(max_gross=0.9, daily_loss=0.03)


def test_three_slots_on_two_symbols_share_an_account_and_its_limits(tmp_path):
    with venue(tmp_path, SLOTS, first=FIRST, count=COUNT, account=LIMITS, execution=COSTS) as v:
        v.trade()
        assert v.unlike() == []
        assert len({(fill.slot, str(fill.symbol)) for fill in v.fills()}) == 3
        refused = v.backtest().refused["reason"]
        assert len(refused), "limits that never act prove nothing"


def test_two_timeframes_share_an_account(tmp_path):
    long = market(9, "ETH/USDT", "4h", n=80)
    plans = [(CROSS, BTC, replace(POLICIES["a stop and a target"], fraction=0.5)),
             (make_strategy("sma_cross", fast=2, slow=4), long, RiskPolicy(fraction=0.5, stop_loss=0.04))]  # fmt: skip
    with venue(tmp_path, plans, first=FIRST, count=48, execution=COSTS) as v:
        v.trade()
        assert v.unlike() == []
        assert {fill.slot for fill in v.fills()} == {0, 1}


# --- restarts -----------------------------------------------------------------------------------------------------------


def session_of(v):
    """Return what a session did, without what says when and by whom it was written."""
    fills = [
        (fill.time_ms, fill.slot, fill.role, fill.price, fill.quantity, fill.fee, fill.reason) for fill in v.fills()
    ]
    return {"fills": fills, "curve": v.curve(), "state": {k: v for k, v in v.state().items() if k != "desk"}}


@pytest.mark.parametrize(
    "name",
    [
        "a trailing stop and break-even",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("a ladder", "limit entries that expire")),
    ],
)
def test_stopped_and_started_again_every_few_bars_it_is_the_uninterrupted_run(tmp_path, name):
    runs = []
    for every in (None, 5):
        root = tmp_path / str(every)
        root.mkdir()
        with venue(root, [(CROSS, BTC, POLICIES[name])], first=FIRST, count=30, execution=COSTS) as v:
            starts, summary = 1, v.trade(closes=every)
            while summary.status == "stopped":
                starts, summary = starts + 1, v.trade(closes=every)
            assert starts == (1 if every is None else 7)
            assert v.unlike() == []
            runs.append(session_of(v))
    assert runs[0] == runs[1]
    assert runs[0]["fills"]


@pytest.mark.slow
def test_a_portfolio_survives_restarts_too(tmp_path):
    with venue(tmp_path, SLOTS, first=FIRST, count=40, account=LIMITS, execution=COSTS) as v:
        while v.trade(closes=9).status == "stopped":
            pass
        assert v.unlike() == []
        assert v.events("drift", "stranger_order", "stranger_trade", "unrecorded_order") == []


def test_a_stop_that_comes_before_anything_sends_nothing(tmp_path):
    bell = Bell()
    bell.stop()
    with venue(tmp_path, [(CROSS, BTC, RiskPolicy())], first=FIRST, count=10) as v:
        assert v.trade(context={"bell": bell}).bars == 0
        assert v.requests("POST") == []

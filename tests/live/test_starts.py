"""What a runner decides at a bar does not depend on when it was started: its columns are of a window, and of nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import select

from atb.db import open_database
from atb.db.tables import DecisionRow
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import warmup_bars
from atb.live.feed.market import History, newest_columns
from atb.live.plan import Plan
from atb.live.portfolio import Portfolio
from atb.strategies import STRATEGIES, make_strategy
from atb.validation.markets import standing_still, synthetic_input
from tests.bars import bars_of
from tests.contracts.columns import Odds
from tests.instruments import usual
from tests.live.desk import warm_result
from tests.seeds import seeds

EXECUTION = ExecutionModel()
STARTS = 100  # bars within which the runners start
POLICIES = {"plain": RiskPolicy(), "measured": RiskPolicy(atr_window=5, stop_atr=2.0, sizing="volatility")}


def market(warmup, seed):
    """Return a market of small prices, 200 bars longer than the latest start, that stands still for 60 of them."""
    begin = warmup + STARTS
    return bars_of(standing_still(begin + 200, seed, quiet=range(begin, begin + 60)))


def portfolio_of(strategy, bars, policy, warmup):
    name, predictor = strategy.name, Odds() if strategy.predicts else None
    manifest = SimpleNamespace(content_sha256="a" * 64, name=name, mode="paper", warmup=warmup)
    of = manifest, strategy, bars.symbol, bars.timeframe, policy, EXECUTION, AccountPolicy(), usual(bars.symbol)
    return Portfolio((Plan(*of, predictor),))


def decided(portfolio, bars, start, rows):
    """Return the columns at some rows of a runner that knew `start` bars when it began."""
    inputs = {name: synthetic_input(one, bars.frame.index) for name, one in portfolio.plans[0].inputs.items()}
    index = bars.frame.index
    history, found = History(bars.slice(end=index[start])), {}
    for known, row in zip([start, *(row + 1 for row in rows)], rows, strict=False):
        history.append(bars.slice(index[known], index[row] + index.freq))
        now = newest_columns(portfolio, {0: history}, [0], inputs={0: inputs})[0]
        prediction = None if now.prediction is None else now.prediction.tobytes()
        found[row] = now.signals.tobytes(), now.market.tobytes(), prediction
    return found


@pytest.mark.parametrize("seed", seeds(3, quick=1))
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_decision_is_the_same_bit_by_bit_whenever_the_runner_was_started(name, policy, seed):
    strategy = make_strategy(name, **getattr(STRATEGIES[name], "example", {}))
    warmup = warmup_bars(strategy, policy, EXECUTION, predictor=Odds() if strategy.predicts else None)
    bars, rng = market(warmup, seed), np.random.default_rng(seed)
    portfolio, begin = portfolio_of(strategy, bars, policy, warmup), warmup + STARTS
    rows = sorted({begin + 59, begin + 60, *rng.integers(begin, begin + 200, 15).tolist()})
    first = decided(portfolio, bars, warmup, rows)
    for start in rng.integers(warmup, begin, 2):
        assert decided(portfolio, bars, int(start), rows) == first


def test_the_real_runner_decides_the_same_from_wherever_it_is_started(sqlite_desk):
    bars = sqlite_desk.stock(420, 6)
    policy = RiskPolicy(fraction=0.5, stop_atr=2.0, atr_window=3, reenter=True)
    path = sqlite_desk.promote(warm_result(bars, policy=policy))
    decided = []
    for start in (130, 187, 301):
        since = bars.frame.index[start]
        session = sqlite_desk.trade(path, account=f"from-{start}", since=f"{since:%Y-%m-%dT%H:%M}").session_id
        database = open_database(sqlite_desk.url)
        with database.session(read_only=True) as connection:
            rows = connection.scalars(select(DecisionRow).where(DecisionRow.session_id == session)).all()
        database.close()
        decided.append({row.bar_ms: (row.side, row.confidence) for row in rows if row.bar_ms >= bars.opened_ms[301]})
    assert decided[0] == decided[1] == decided[2]
    assert len(decided[0]) > 100

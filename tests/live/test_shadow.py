"""A promotion that is watched: it decides on the same bars as the one that trades, and sends nothing."""

from dataclasses import replace

import pytest

from atb.db.tables import DecisionRow
from atb.errors import InputError
from atb.live.portfolio import Portfolio
from atb.strategies import make_strategy
from tests.live.desk import read_journal, warm_result
from tests.live.exchange_harness import plan_of, venue
from tests.live.test_exchange import BTC, COSTS, CROSS, ETH, POLICIES

TRADED = POLICIES["a stop and a target"]
WATCHED = make_strategy("sma_cross", fast=2, slow=9)
COUNT = 30


def watched(bars=BTC, **changes):
    return Portfolio((plan_of(WATCHED, bars, replace(TRADED, fraction=0.5, **changes), execution=COSTS),))


def shadow_decisions(v):
    return [(e.detail["bar_ms"], e.detail["side"], shapes(e.detail["intents"])) for e in v.events("shadow_decision")]


def shapes(intents):
    """Return intents without their names: those are each session's own."""
    return [{name: value for name, value in intent.items() if name != "client_id"} for intent in intents]


def test_what_is_watched_decides_as_it_would_on_paper_and_sends_nothing(tmp_path):
    roots = [tmp_path / name for name in ("watched", "paper", "alone")]
    for root in roots:
        root.mkdir()
    plans = [(CROSS, BTC, TRADED)]
    with venue(roots[0], plans, first=200, count=COUNT, execution=COSTS) as v:
        v.trade(context={"shadow": watched()})
        assert v.unlike() == []
        decided, sent = shadow_decisions(v), [entry["client_id"] for entry in v.requests("POST")]
        assert {event.detail["manifest"] for event in v.events("shadow_decision")} == {watched().plans[0].manifest.name}
    with venue(roots[1], plans, first=200, count=COUNT, execution=COSTS) as v:
        v.trade(portfolio=watched(), paper=True)
        rows = v.rows(DecisionRow, by=DecisionRow.bar_ms)
        assert v.requests("POST") == []
    assert decided == [(row.bar_ms, row.side, shapes(row.intents)) for row in rows]
    assert any(intents for _, _, intents in decided)
    with venue(roots[2], plans, first=200, count=COUNT, execution=COSTS) as v:
        v.trade()
        assert len(v.requests("POST")) == len(sent), "the one that trades is not disturbed"


def test_a_shadow_stands_beside_paper_too(sqlite_desk):
    bars = sqlite_desk.stock(80, 5)
    path = sqlite_desk.promote(warm_result(bars), "traded")
    other = sqlite_desk.promote(warm_result(bars, strategy=make_strategy("sma_cross", fast=2, slow=5)), "watched")
    sqlite_desk.trade(path, since=bars.frame.index[20].isoformat(), shadow=sqlite_desk.portfolio(other))
    assert len(read_journal(sqlite_desk.url)["decision"]) == 60


@pytest.mark.parametrize(
    ("shadow", "message"),
    [
        (lambda: watched(ETH), "cannot be watched in slot 0; found 'BTC/USDT 1h'"),
        (lambda: Portfolio((*watched().plans, *watched(stop_loss=0.07).plans)), "cannot be watched in slot 1"),
        (lambda: Portfolio((plan_of(make_strategy("sma_cross", fast=50, slow=190), BTC, TRADED),)), "bars to warm up"),
    ],
)
def test_what_cannot_be_watched_is_refused(tmp_path, shadow, message):
    with venue(tmp_path, [(CROSS, BTC, TRADED)], first=200, count=4) as v:
        with pytest.raises(InputError, match=message):
            v.trade(context={"shadow": shadow()})
        assert v.requests("POST") == []

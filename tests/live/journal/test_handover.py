"""A hand-over: the position and its stop stay where they are, the new rules apply from the next close, and both are on record."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from atb.db import open_database
from atb.db.tables import HandoverRow, SessionRow
from atb.engine.policy import RiskPolicy
from atb.errors import InputError
from atb.live.journal.handover import previous_session
from atb.live.portfolio import Portfolio
from atb.strategies import make_strategy
from tests.live.desk import read_journal, warm_result
from tests.live.exchange_harness import ACCOUNT, plan_of, venue
from tests.live.execution.test_desk import COSTS, CROSS, FIRST, GUARDED, rising
from tests.live.test_exchange import market

HELD = 4  # bars after which the rising market is held
TIGHTER = replace(GUARDED, stop_loss=0.05, take_profit=None, trailing_stop=0.02)
STEADY = make_strategy("sma_cross", fast=4, slow=9)


@pytest.fixture
def v(tmp_path):
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=20, execution=COSTS) as made:
        made.trade(bars=HELD)
        assert made.held("BTC") > 0
        yield made


def successor(policy=TIGHTER, bars=None):
    return Portfolio((plan_of(STEADY, bars or rising(), policy, execution=COSTS),))


def handovers(v):
    return [
        (row.kind, row.slot, row.from_manifest_sha256, row.to_manifest_sha256)
        for row in v.rows(HandoverRow, by=HandoverRow.id)
    ]


def test_the_position_and_its_stop_stay_and_the_record_says_whose_they_were_and_are(v):
    before = {order.client_id: order.status for order in v.open_orders()}
    held = v.held("BTC")
    v.trade(portfolio=successor(), context={"adopt": True}, bars=HELD)
    assert {order.client_id: order.status for order in v.open_orders()} == before, "nothing moved before a close"
    old, new = v.portfolio.plans[0].manifest.content_sha256, successor().plans[0].manifest.content_sha256
    (row,) = v.rows(HandoverRow, by=HandoverRow.id)
    assert handovers(v) == [("adopted", 0, old, new)]
    assert row.position == held
    assert row.stop_client_id in before
    (session,) = v.rows(SessionRow, by=SessionRow.session_id)
    assert session.key == successor().key


def test_the_new_rules_apply_from_the_next_close(v):
    v.trade(portfolio=successor(), context={"adopt": True}, bars=HELD + 1)
    order, target = sorted(v.open_orders(), key=lambda order: order.stop_price, reverse=True)
    assert (order.type, target.type) == ("STOP_LOSS", "LIMIT_MAKER"), "the position keeps the target that it was given"
    close = rising().frame["high"].iloc[FIRST : FIRST + HELD + 1].max()
    assert float(order.stop_price) == pytest.approx(close * 0.98, rel=2e-3)
    assert order.quantity == v.held("BTC")
    assert len([fill for fill in v.fills() if fill.role == "entry"]) == 1
    assert v.events("drift", "stranger_trade", "unrecorded_order") == []


def test_to_go_back_is_a_hand_over_too_and_is_called_that(v):
    v.trade(portfolio=successor(), context={"adopt": True}, bars=HELD + 2)
    v.trade(context={"adopt": True}, bars=HELD + 3)
    assert [kind for kind, *_ in handovers(v)] == ["adopted", "rolled_back"]
    assert sorted(order.type for order in v.open_orders()) == ["LIMIT_MAKER", "STOP_LOSS"]
    assert v.trade(bars=HELD + 4).status == "finished", "it is its own session again"
    assert len(v.rows(HandoverRow, by=HandoverRow.id)) == 2


def test_what_was_adopted_trades_on_without_being_asked_again(v):
    v.trade(portfolio=successor(), context={"adopt": True}, bars=HELD + 1)
    assert v.trade(portfolio=successor(), bars=HELD + 2).bars == 1
    assert v.trade(portfolio=successor(), context={"adopt": True}, bars=HELD + 3).bars == 1, (
        "asked twice, it is done once"
    )
    assert len(v.rows(HandoverRow, by=HandoverRow.id)) == 1


@pytest.mark.parametrize("adopt", [False, True])
def test_other_manifests_are_refused_while_a_position_is_held_unless_the_markets_are_the_same(v, adopt):
    sent = len(v.requests("POST", "DELETE"))
    if adopt:
        other, message = (
            successor(bars=market(timeframe="4h", n=40)),
            "trades other markets.*BTC/USDT 4h instead of BTC/USDT 1h",
        )
    else:
        other, message = successor(), "holds positions of other manifests.*--adopt"
    with pytest.raises(InputError, match=message) as refused:
        v.trade(portfolio=other, context={"adopt": adopt})
    assert refused.value.exit_code == 2
    assert len(v.requests("POST", "DELETE")) == sent
    assert handovers(v) == []


def test_more_slots_than_there_are_is_another_market(v):
    two = Portfolio((*successor().plans, *successor(replace(TIGHTER, trailing_stop=0.03)).plans))
    with pytest.raises(InputError, match="trades other markets"):
        v.trade(portfolio=two, context={"adopt": True})


def test_where_there_is_nothing_to_take_over_it_says_so(tmp_path):
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=4) as v:
        with pytest.raises(InputError, match=r"no session to take over.*Leave --adopt out"):
            v.trade(context={"adopt": True})
        database = open_database(v.url)
        assert previous_session(database, ACCOUNT, "x") is None
        database.close()


def test_a_flat_account_may_begin_under_other_manifests_without_any_hand_over(tmp_path):
    with venue(tmp_path, [(CROSS, rising(), RiskPolicy(entry="limit", entry_offset=0.5))], first=FIRST, count=8) as v:
        v.trade(bars=2)
        v.trade(portfolio=successor(), bars=4)
        assert handovers(v) == []
        assert len(v.rows(SessionRow, by=SessionRow.session_id)) == 2


def test_a_runner_that_dies_right_after_the_hand_over_goes_on_under_the_new_rules(v):
    from atb.live import runner

    class Died(BaseException):
        pass

    def die(*_arguments, **_named):
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_exchange_desk", die)
        with pytest.raises(Died):
            v.trade(portfolio=successor(), context={"adopt": True}, bars=HELD + 1)
    assert v.trade(portfolio=successor(), bars=HELD + 2).bars == 2
    assert len(v.rows(HandoverRow, by=HandoverRow.id)) == 1
    assert {order.quantity for order in v.open_orders()} == {v.held("BTC")}


# --- on paper -----------------------------------------------------------------------------------------------------------


def promoted(desk):
    bars = desk.stock(120, 5)
    old = warm_result(bars, policy=RiskPolicy(fraction=0.9, stop_loss=0.2))
    new = warm_result(bars, strategy=STEADY, policy=RiskPolicy(fraction=0.5, stop_loss=0.05, reenter=True))
    at = next(n for n in range(30, 80) if old.positions.iloc[n, 0] != 0 and old.positions.iloc[n - 3, 0] != 0)
    start = bars.frame.index[30]
    return desk.promote(old, "old"), desk.promote(new, "new"), start.isoformat(), old.index[at].isoformat()


def test_on_paper_a_session_is_taken_over_and_given_back(desk):
    old, new, since, until = promoted(desk)
    desk.trade(old, since=since, until=until)
    held = read_journal(desk.url)["kernel_state"][0]["payload"]["slots"][0]["quantity"]
    desk.trade(new, adopt=True, until=until)
    database = open_database(desk.url)
    with database.session(read_only=True) as session:
        (row,) = session.scalars(select(HandoverRow)).all()
    assert (row.kind, float(row.position)) == ("adopted", held)
    assert desk.trade(new).status == "finished"
    assert desk.trade(old, adopt=True).status == "finished"
    with database.session(read_only=True) as session:
        kinds = [one.kind for one in session.scalars(select(HandoverRow).order_by(HandoverRow.id))]
        sessions = len(session.scalars(select(SessionRow)).all())
    database.close()
    assert (kinds, sessions) == (["adopted", "rolled_back"], 1)


def test_on_paper_other_manifests_have_sessions_of_their_own(sqlite_desk):
    old, new, since, until = promoted(sqlite_desk)
    sqlite_desk.trade(old, since=since, until=until)
    sqlite_desk.trade(new, since=since, until=until)
    assert len(read_journal(sqlite_desk.url)["session"]) == 2

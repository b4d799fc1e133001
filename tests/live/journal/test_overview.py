"""What the journal tells a person: sessions with their slots, trades, orders, and why a trade was made."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from atb.db.tables import PromotionRow, RunRow
from atb.errors import InputError
from atb.live.journal.handover import HandOver
from atb.live.journal.kill_switch import set_halt
from atb.live.journal.overview import accounts, journalled_trades, orders, sessions, trades
from atb.live.journal.step import Notice, Step
from atb.live.journal.why import explain_trade
from tests.rehearsal.ledger import (
    HOUR,
    START,
    Plans,
    StillClock,
    became,
    close,
    filled,
    open_journal,
    plan,
    round_trip,
    working,
)

VERDICT = {"mode": "paper", "passed": True, "reasons": []}


def traded(database):
    """Enter at the close of bar 0, leave at the close of bar 1; the other slot's entry is still out."""
    journal = open_journal(database)
    entry, other = working(), working(slot=1)
    journal.commit(close(0, slots=(0, 1), placed=[entry, other]))
    time_ms = START + HOUR
    journal.commit(Step(time_ms, fills=[filled(entry.order, 0, time_ms=time_ms)], changes=became(entry, "filled")))
    out = working("exit", bar=1)
    state = close(1).state | {"slots": [{"quantity": 0.0}, {"quantity": 2.0, "entry_price": 9.5, "stop": None}]}
    journal.commit(close(1, placed=[out], state=state))
    end = START + 2 * HOUR
    done = filled(out.order, 1, time_ms=end)
    journal.commit(Step(end, fills=[done], trades=[(1, round_trip(exit_ms=end))], changes=became(out, "filled")))
    return journal


def test_a_session_shows_its_slots_its_money_and_what_is_out(database):
    traded(database)
    set_halt(database, "paper", "cancel", reason="news", source="cli")
    (row,) = sessions(database, now_ms=START + 1_000, is_dead=lambda _: False)
    assert (row["state"], row["halt"], row["halt_reason"]) == ("running", "cancel", "news")
    assert (row["strategy"], row["symbol"], row["position"]) == ("sma_cross", "BTC/USDT, ETH/USDT", None)
    assert (row["equity"], row["pnl"], row["trades"]) == ("10001.0", "1.0", 1)
    assert (row["open_orders"], row["unknown"]) == (1, 1)
    assert row["lease"]["held"]
    assert [(slot["symbol"], slot["position"], slot["entry_price"]) for slot in row["slots"]] == [
        ("BTC/USDT", 0.0, None),
        ("ETH/USDT", 2.0, 9.5),
    ]
    assert row["slots"][0]["last_bar"] == "2024-01-01T01:00:00+00:00"
    json.dumps(row)


def barred(journal, bar, drift, quarantine):
    """Write a step as an exchange desk does that compared the account with the books."""
    state = {"schema": 1, "account": {"cash": 9_500.25}, "slots": [{}, {}], "desk": {"quarantine": quarantine}}
    state["desk"]["stuck"] = {"0": "quarantined"} if quarantine else {}
    notices = [Notice("drift", {"asset": asset, "drift": amount}, "warning") for asset, amount in drift.items()]
    journal.commit(close(bar, state=state, notices=notices))


def test_a_session_shows_where_entries_are_barred_and_what_differs_until_it_does_not(database):
    journal = open_journal(database)
    (row,) = sessions(database)
    assert (row["barred"], row["drift"], [slot["barred"] for slot in row["slots"]]) == ({}, {}, [None, None])
    barred(journal, 0, {"BTC": "-0.5", "USDT": "3"}, {"BTC/USDT": "drift"})
    (row,) = sessions(database)
    assert (row["barred"], row["drift"]) == ({"BTC/USDT": "drift"}, {"BTC": "-0.5", "USDT": "3"})
    assert [slot["barred"] for slot in row["slots"]] == ["drift", None]
    assert (row["stuck"], [slot["stuck"] for slot in row["slots"]]) == ("quarantined", ["quarantined", None])
    barred(journal, 1, {"BTC": "0", "USDT": "2.5"}, {})
    (row,) = sessions(database)
    assert (row["barred"], row["drift"], row["stuck"]) == ({}, {"USDT": "2.5"}, None)
    journal.commit(Step(START + 3 * HOUR, notices=[Notice("accepted", {"surplus": {}}, "warning")]))
    assert sessions(database)[0]["drift"] == {}


def test_cash_is_the_present_one_and_the_first_has_its_own_name(database):
    journal = open_journal(database)
    (row,) = sessions(database)
    assert (float(row["cash"]), float(row["initial_cash"])) == (10_000.0, 10_000.0)
    barred(journal, 0, {}, {})
    (row,) = sessions(database)
    assert (row["cash"], float(row["initial_cash"])) == ("9500.25", 10_000.0)


def test_a_session_of_one_slot_says_beside_it_what_the_slot_says(database):
    open_journal(database, portfolio=Plans((plan(),)))
    (row,) = sessions(database, now_ms=START + 60_000)
    assert (row["state"], row["manifest_sha256"], row["position"]) == ("stale", "a" * 64, 0.0)


def test_orders_and_trades_are_listed_newest_first(database):
    traded(database)
    assert [order["role"] for order in orders(database)] == ["exit", "entry", "entry"]
    assert [order["symbol"] for order in orders(database, open_only=True)] == ["ETH/USDT"]
    assert len(orders(database, symbol="BTC/USDT", limit=1)) == 1
    assert orders(database, account="other") == []
    (trade,) = trades(database, account="paper", symbol="BTC/USDT", strategy="sma_cross")
    assert (trade["trade"], trade["pnl"], trade["exit_reason"]) == (f"paper-{'c' * 16}/1", "1.5", "exit_signal")
    assert trades(database, strategy="breakout") == []
    assert accounts(database) == ["paper"]
    assert len(journalled_trades(database, "paper")) == 1
    json.dumps([orders(database), trade])


def run_row() -> RunRow:
    return RunRow(
        run_id="r1", notebook="03_backtest.ipynb", notebook_sha256="0", parameters={}, parameters_sha256="0",
        status="succeeded", versions={}, data=[], metrics={}, path="runs/r1", started_at=datetime.now(UTC),
    )  # fmt: skip


def test_a_trade_is_explained_back_to_the_notebook(database):
    traded(database)
    with database.session() as session:
        session.add(run_row())
        session.add(
            PromotionRow(manifest_sha256="a" * 64, name="btc", mode="paper", run_id="r1", path="p", verdict=VERDICT)
        )
    (trade,) = trades(database)
    why = explain_trade(database, trade["trade"])
    assert [fill["role"] for fill in why["fills"]] == ["entry", "exit"]
    assert [order["role"] for order in why["orders"]] == ["entry", "exit"]
    assert [decision["bar"]["close"] for decision in why["decisions"]] == [100.0, 100.0]
    assert (why["manifest_sha256"], why["promotion"]["name"], why["notebook"]) == ("a" * 64, "btc", "03_backtest.ipynb")
    assert why["run"]["path"] == "runs/r1"
    assert why["slot"]["timeframe"] == "1h"
    json.dumps(why)


def test_a_trade_belongs_to_the_manifest_that_decided_it(database):
    journal = traded(database)
    passed = HandOver(0, "adopted", plan(sha="d" * 64), START + 2 * HOUR, Decimal(0))
    journal.hand_over([passed], Plans((passed.plan, Plans().plans[1]), key="e" * 64), close(1).state)
    why = explain_trade(database, f"paper-{'c' * 16}/1")
    assert why["manifest_sha256"] == "a" * 64
    assert (why["promotion"], why["run"], why["notebook"]) == (None, None, None)


@pytest.mark.parametrize("wrong", ["", "unknown/1", "paper", f"paper-{'c' * 16}/2", f"paper-{'c' * 16}/x"])
def test_an_unknown_trade_is_refused_with_the_way_to_find_one(database, wrong):
    open_journal(database, clock=StillClock())
    with pytest.raises(InputError, match="atb trades"):
        explain_trade(database, wrong)

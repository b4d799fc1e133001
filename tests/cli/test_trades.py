"""`atb trades`, `atb orders`, `atb why`: what the journal knows, for people and for programs, and the way back to the notebook."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.db.tables import PromotionRow, RunRow
from tests.database import database, database_url, postgres
from tests.rehearsal.ledger import HOUR, START, became, close, filled, open_journal, round_trip, working

__all__ = ["database", "database_url", "postgres"]
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # what no dialect changes
SESSION = f"paper-{'c' * 16}"
RUN = "20240131-094500-03-backtest-1f9a3c"


def atb(*arguments):
    return CliRunner().invoke(main, arguments)


def refused(done, *texts):
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    for text in texts:
        assert text in done.stderr
    assert "Traceback" not in done.output


@pytest.fixture
def traded(database, database_url, monkeypatch):
    """A session with a trade in each of its two slots, and one order that is still out."""
    monkeypatch.setenv("ATB__DATABASE__URL", database_url)
    journal = open_journal(database)
    for slot in (0, 1):
        entry, leave = working("entry", 2 * slot, slot=slot), working("exit", 2 * slot + 1, slot=slot)
        done = [filled(entry.order, 2 * slot, slot=slot, time_ms=START + 2 * slot * HOUR)]
        journal.commit(close(2 * slot, slots=(slot,), placed=[entry], fills=done, changes=became(entry, "filled")))
        out = [filled(leave.order, 2 * slot + 1, slot=slot, time_ms=START + (2 * slot + 1) * HOUR)]
        trade = round_trip(slot=slot, entry_ms=START + 2 * slot * HOUR, exit_ms=START + (2 * slot + 1) * HOUR)
        journal.commit(
            close(
                2 * slot + 1,
                slots=(slot,),
                placed=[leave],
                fills=out,
                changes=became(leave, "filled"),
                trades=[(slot + 1, trade)],
            )
        )
    journal.commit(close(4, placed=[working("stop", 4, type="stop")]))
    return database


def test_trades_are_listed_newest_first_and_filtered(traded):
    rows = json.loads(atb("trades", "--json").stdout)
    assert [row["trade"] for row in rows] == [f"{SESSION}/2", f"{SESSION}/1"]
    assert rows[1]["pnl"] == "1.5"
    assert [row["symbol"] for row in json.loads(atb("trades", "--symbol", "ethusdt", "--json").stdout)] == ["ETH/USDT"]
    assert len(json.loads(atb("trades", "--limit", "1", "--account", "paper", "--json").stdout)) == 1
    assert json.loads(atb("trades", "--strategy", "ml_basic", "--json").stdout) == []
    traded_by = rows[0]["strategy"]
    assert len(json.loads(atb("trades", "--strategy", traded_by, "--json").stdout)) == 2
    table = atb("trades").stdout.splitlines()
    assert table[0].split()[:3] == ["trade", "strategy", "symbol"]
    assert f"{SESSION}/2" in table[1]


def test_orders_are_listed_with_what_became_of_them(traded):
    states = {row["client_id"]: row["state"] for row in json.loads(atb("orders", "--json").stdout)}
    assert sorted(states.values()) == ["filled"] * 4 + ["sent"]
    (out,) = json.loads(atb("orders", "--open", "--json").stdout)
    assert (out["role"], out["state"], out["quantity"]) == ("stop", "sent", "0.5")
    assert "stop" in atb("orders", "--open").stdout
    assert json.loads(atb("orders", "--symbol", "ETH/USDT", "--open", "--json").stdout) == []


def test_orders_show_at_what_price_they_were_filled_and_what_that_cost(traded):
    rows = {(row["role"], row["symbol"]): row for row in json.loads(atb("orders", "--json").stdout)}
    entry, stop = rows["entry", "BTC/USDT"], rows["stop", "BTC/USDT"]
    assert (entry["average_price"], entry["fees"]) == ("100", {"USDT": "0.05"})
    assert (stop["average_price"], stop["fees"]) == (None, {})
    lines = atb("orders").stdout.splitlines()
    assert "fill price" in lines[0]
    shown = next(line for line in lines if "entry" in line)
    assert "buy 0.5 at market" in shown
    assert "0.05 USDT" in shown


def test_an_order_filled_at_several_prices_shows_their_average_weighted_by_quantity(
    database, database_url, monkeypatch
):
    monkeypatch.setenv("ATB__DATABASE__URL", database_url)
    journal = open_journal(database)
    entry = working("entry", 0)
    parts = [
        filled(entry.order, n, time_ms=START + n, price=Decimal(price), quantity=Decimal(quantity), fee=Decimal(fee))
        for n, (price, quantity, fee) in enumerate([("100", "0.1", "0.01"), ("103", "0.2", "0.02")])
    ]
    journal.commit(close(0, placed=[entry], fills=parts, changes=became(entry, "filled")))
    (row,) = json.loads(atb("orders", "--json").stdout)
    assert (row["average_price"], row["fees"]) == ("102", {"USDT": "0.03"})


def test_status_counts_what_is_out_and_shows_each_slot(traded):
    (row,) = json.loads(atb("status", "--account", "paper", "--json").stdout)
    assert (row["open_orders"], row["unknown"], row["trades"], len(row["slots"])) == (1, 1, 2, 2)
    text = atb("status").stdout
    assert "Slots" in text
    assert "ETH/USDT" in text


def test_nothing_yet_is_said_in_words():
    assert atb("trades").stdout == "No closed trade yet.\n"
    assert atb("orders").stdout == "No order yet.\n"
    assert atb("orders", "--open").stdout == "No order is out.\n"
    assert json.loads(atb("trades", "--json").stdout) == []
    refused(atb("why", "paper/1"), "No such trade")


@SQLITE
@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (("trades", "--account", "papr"), ("No such account; found 'papr'", "Did you mean 'paper'?")),
        (("orders", "--account", "nobody"), ("Known: paper",)),
        (("trades", "--symbol", "B?"), ("symbol",)),
        (("trades", "--strategy", "sma_cros"), ("No such strategy; found 'sma_cros'", "Did you mean 'sma_cross'?")),
        (("trades", "--limit", "0"), ("--limit",)),
        (("why", f"{SESSION}/7"), ("No such trade", f"Did you mean '{SESSION}/")),
        (("why", f"{SESSION[:-1]}d/1"), (f"Did you mean '{SESSION}/1'?",)),
        (("why", "1"), ("No such trade", "`atb trades` lists them")),
        (("why", f"{SESSION}/x"), ("No such trade",)),
        (("why", ""), ("No such trade",)),
        (("why",), ("TRADE_ID",)),
    ],
)
def test_bad_input_is_one_clear_error(traded, arguments, texts):
    refused(atb(*arguments), *texts)


def promoted(database, tmp_path):
    """Leave what a promotion and its run leave, for the manifest of the first slot."""
    facts = {
        "notebook": "03_backtest.ipynb", "notebook_sha256": "0", "parameters": {}, "parameters_sha256": "0",
        "status": "succeeded", "started_at": datetime.now(UTC), "commit": "c0ffee", "dirty": False, "versions": {}, "data": [],
        "metrics": {}, "path": str(tmp_path / "runs" / RUN),
    }  # fmt: skip
    manifest = {"name": "desk", "mode": "paper", "path": "promoted/desk.json", "verdict": {"mode": "paper"}}
    with database.session() as session:
        session.add(RunRow(run_id=RUN, **facts))
        session.add(PromotionRow(manifest_sha256="a" * 64, run_id=RUN, **manifest))


def test_a_trade_leads_back_to_its_notebook(traded, tmp_path):
    promoted(traded, tmp_path)
    found = json.loads(atb("why", f"{SESSION}/1", "--json").stdout)
    assert [fill["role"] for fill in found["fills"]] == ["entry", "exit"]
    assert len(found["decisions"]) == 2
    assert (found["promotion"]["name"], found["run"]["run_id"], found["notebook"]) == ("desk", RUN, "03_backtest.ipynb")
    text = atb("why", f"{SESSION}/1").stdout
    for line in (
        f"Trade {SESSION}/1: sma_cross on BTC/USDT",
        "Fills",
        "Decisions",
        "promoted/desk.json",
        RUN,
        "c0ffee",
        "03_backtest.ipynb",
    ):
        assert line in text


@SQLITE
def test_a_trade_whose_run_is_elsewhere_says_so(traded):
    text = atb("why", f"{SESSION}/2").stdout
    assert "not promoted from here" in text
    assert "not recorded here" in text


@SQLITE
def test_the_beginning_of_a_session_is_enough(traded):
    assert json.loads(atb("why", "paper/2", "--json").stdout)["trade"]["trade"] == f"{SESSION}/2"


@SQLITE
def test_a_beginning_of_several_is_refused(traded, monkeypatch):
    rows = [{"trade": "paper-aaaa/1"}, {"trade": "paper-bbbb/1"}]
    monkeypatch.setattr("atb.live.journal.overview.trades", lambda *_, **__: rows)
    refused(atb("why", "paper/1"), "Several trades begin so", "paper-aaaa/1, paper-bbbb/1")

"""A million rows of each kind: no page reads more of them than it shows."""

import json
import re
import time

import pytest
from sqlalchemy import event, text

from atb.dashboards.page import Look
from atb.dashboards.pages import PAGES
from tests.dashboards.pages.test_contract import queries, source
from tests.dashboards.pages.worlds import one
from tests.rehearsal.ledger import HOUR, START

__all__ = ["source"]
BIG = ("decision", "equity", "trade", "fill", "intent", "event", "run")
ROWS = 1_000_000
ENOUGH_S = 1.0
TRIES = 3
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
_BAR = {"opened": 0, "closed": 3_600_000, "open": 1.0, "high": 1.0, "low": 1.0, "close": 100.5, "volume": 1.0}
_EACH_SECOND = "strftime('%Y-%m-%d %H:%M:%f000', 1704067200 + i, 'unixepoch')"
_LONG_AGO = "'2024-01-01 00:00:00.000000'"


def test_no_page_scans_or_sorts_what_grows(source):
    """By the database's own plan, so that it holds on any machine."""
    known, seen = one(source), []
    event.listen(source.database.engine, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
    faults = {}
    for page in PAGES:
        for query in queries(page, known):
            seen.clear()
            page.read(source, query)
            faults |= {
                (page.path, fault): sql for sql, values in list(seen) for fault in plan_faults(source, sql, values)
            }
    assert faults == {}


def plan_faults(source, sql, values):
    """Yield the steps of a statement's plan that cost more the more rows there are."""
    if not sql.lstrip().startswith("SELECT"):
        return
    with source.database.engine.connect() as connection:
        steps = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
    for step in steps:
        words = step.split()
        if words[1] not in BIG:
            continue
        whole = words[0] == "SCAN" or step.endswith("(session_id=?)")
        unbounded = (
            "LIMIT" not in sql
            or "USE TEMP B-TREE FOR ORDER BY" in steps
            or (
                words[1] != "run" and filters_what_it_walks(sql)  # a million runs are walked in half a second
            )
        )
        if whole and unbounded and "count(*)" not in sql:
            yield step


def filters_what_it_walks(sql):
    """Tell whether a statement has other conditions than the session's: a limit then bounds what it returns, not what it reads."""
    found = re.search(r"WHERE (.*?)(?: ORDER BY| GROUP BY| LIMIT|$)", " ".join(sql.split()))
    return found is not None and not re.fullmatch(r"\w+\.session_id = \?", found[1])


@pytest.mark.slow
def test_every_page_is_there_within_a_second(source):
    known = one(source)
    fill(source, known["session"])
    taken: dict[str, float] = {}
    for page in PAGES:
        for query in queries(page, known):
            name = f"{page.path} {dict(query) or ''}"
            taken[name] = min(seconds(page, source, query) for _ in range(TRIES))
    print({name: f"{took:.3f} s" for name, took in taken.items()})  # noqa: T201 - what was measured
    assert {name for name, took in taken.items() if took > ENOUGH_S} == set()


def seconds(page, source, query) -> float:
    began = time.monotonic()
    page.draw(page.read(source, query), Look())
    return time.monotonic() - began


def fill(source, session_id: str) -> None:
    """Add a million rows of each kind to a session."""
    at, values = f"{START} + i * {HOUR}", {"count": ROWS, "of": session_id}
    rows = {
        "decision (session_id, bar_ms, slot, strategy, symbol, side, prediction, confidence, bar, intents, created_at)":
            f"SELECT :of, {at}, 0, 'sma_cross', 'BTC/USDT', 1, 0.5, 0.5, :bar, '[]', {_LONG_AGO}",
        "equity (session_id, bar_ms, equity, cash)": f"SELECT :of, {at}, '10000.5', '10000'",
        "trade (session_id, trade_no, slot, strategy, symbol, side, quantity, entry_ms, entry_price, exit_ms, exit_price, fees, "
        "pnl, exit_reason, bars_held)":
            f"SELECT :of, i, 0, 'x', 'BTC/USDT', 'long', '0.5', {at}, '100', {at} + 1, '101', '0.1', '0.4', 'exit_signal', 1",
        "fill (session_id, symbol, trade_id, fill_no, client_id, slot, side, role, price, quantity, fee, fee_asset, time_ms, "
        "created_at)":
            f"SELECT :of, 'BTC/USDT', 'f' || i, i, 'c' || i, 0, 'buy', 'entry', '100', '0.5', '0.1', 'USDT', {at}, {_LONG_AGO}",
        "intent (client_id, session_id, slot, strategy, symbol, bar_ms, role, attempt, side, type, quantity, state, filled, epoch, "
        "placed_ms, sent_ms, created_at, updated_at)":
            f"SELECT 'c' || i, :of, 0, 'x', 'BTC/USDT', {at}, 'exit', 0, 'buy', 'market', '0.5', 'filled', '0.5', 1, {at}, {at}, "
            f"{_LONG_AGO}, {_LONG_AGO}",
        "event (session_id, time, severity, kind, detail)": f"SELECT :of, {_LONG_AGO}, 'info', 'shadow_decision', '{{}}'",
        "run (run_id, notebook, notebook_sha256, parameters, parameters_sha256, status, started_at, versions, data, metrics, path)":
            f"SELECT 'r' || i, '03_backtest.ipynb', '', :given, '', 'succeeded', {_EACH_SECOND}, '{{}}', '[]', :found, '/nowhere'",
    }  # fmt: skip
    named = values | {"bar": json.dumps(_BAR), "given": '{"strategy": "x"}', "found": '{"sharpe": 1.0}'}
    with source.database.engine.begin() as connection:
        for into, select in rows.items():
            statement = text(f"INSERT INTO {into} {_NUMBERS} {select} FROM n")
            connection.execute(
                statement, {name: value for name, value in named.items() if f":{name}" in str(statement)}
            )
        newest = {"of": session_id, "last": START + ROWS * HOUR}
        connection.execute(text("UPDATE slot SET last_bar_ms = :last WHERE session_id = :of AND slot = 0"), newest)

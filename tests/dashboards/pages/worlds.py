"""Worlds that a page may meet: nothing at all, one stopped session, one with everything, many."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import nbformat
from sqlalchemy import insert, update

from atb.dashboards.page import Source
from atb.db import Database
from atb.db.tables import EventRow, EvidenceRow, PromotionRow, RunRow, SessionRow
from atb.experiments.publication import write_text
from atb.live.journal.breakers import Breakers
from atb.live.journal.journal import Journal
from atb.live.journal.kill_switch import set_halt
from tests.rehearsal.ledger import (
    ETH,
    START,
    Plans,
    StillClock,
    close,
    filled,
    open_journal,
    plan,
    round_trip,
    take,
    working,
)  # fmt: skip

STRATEGY = "<i>sma</i>"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"
RUN, OTHER_RUN = "20240101-000000-03-backtest-aaaaaa", "20240102-000000-03-backtest-bbbbbb"
MANIFEST = "a" * 64


def nothing(source: Source) -> dict[str, str]:
    """An empty database and no files."""
    return {}


def stopped(source: Source) -> dict[str, str]:
    """A session that decided on nothing and was stopped."""
    journal = open_journal(source.database)
    journal.end("stopped", {"status": "stopped"})
    return {"session": journal.session_id}


def one(source: Source) -> dict[str, str]:
    """A session with a trade, an open position and its stop, halted, with a manifest, a run, evidence and hostile texts."""
    _promoted(source.database)
    add_run(source, RUN, batch="b" * 64, fast=10)
    add_run(source, OTHER_RUN, batch="b" * 64, fast=20)
    journal = open_journal(source.database, portfolio=Plans((plan(), plan(ETH, "b" * 64))))
    entry, leave, stop = working("entry", 0), working("exit", 1), working("stop", 2, stop_price=None)
    journal.commit(close(0, slots=(0, 1), placed=[entry]))
    journal.commit(close(1, slots=(0, 1), placed=[leave], fills=[filled(entry.order, 0)]))
    journal.commit(close(2, slots=(0, 1), fills=[filled(leave.order, 1)], trades=[(0, round_trip())], placed=[stop]))
    held = {"quantity": 0.5, "mark": 100.0, "stop": 95.0, "target": 120.0, "entry_price": 99.0, "cluster": 1.0}
    account = {
        "equity": 10_003.0, "cash": 9_950.0, "peak": 10_100.0, "day_equity": 10_050.0, "day_orders": 2, "day_turnover": 100.0,
        "throttle": 0, "fees": 0.1, "financing": 0.0,
    }  # fmt: skip
    desk = {"quarantine": {"ETH/USDT": HOSTILE}, "stuck": {"0": "no_position"}}
    state = {"schema": 4, "account": account, "slots": [held, {"quantity": 0.0, "mark": 100.0}], "desk": desk}
    step = close(3, slots=(0, 1), state=state)
    step.decided[0].values.update(
        prediction=0.7, confidence=0.4, refusal=HOSTILE, intents=[{"role": "entry", "side": "buy"}]
    )
    journal.commit(step)
    started_with(source.database, journal.session_id, Breakers(orders_per_minute=77, turnover_per_day=Decimal(300)))
    _audited(source.database, journal.session_id)
    set_halt(source.database, "paper", "pause", reason=HOSTILE, source="a test")
    return {"session": journal.session_id, "trade": f"{journal.session_id}/0"}


def many(source: Source) -> dict[str, str]:
    """Several sessions on as many accounts."""
    known = one(source)
    for number in range(4):
        lease = take(source.database, account=f"account-{number}")
        journal = Journal(source.database, lease, StillClock(), portfolio=Plans(key=f"{number:064d}"))
        journal.begin(START, {})
        journal.commit(close(number))
    return known


WORLDS: dict[str, Callable[[Source], dict[str, str]]] = {
    "nothing": nothing,
    "stopped": stopped,
    "one": one,
    "many": many,
}


def started_with(database: Database, session_id: str, breakers: Breakers) -> None:
    """Let a session's row say with which limits its runner was started."""
    config = {"limits": {"breakers": breakers.to_json(), "max_loss": None}}
    with database.session() as session:
        session.execute(update(SessionRow).where(SessionRow.session_id == session_id).values(config=config))


def _promoted(database: Database) -> None:
    check = {"name": "parity", "required_for": "paper", "status": "ok", "found": HOSTILE, "wanted": "equal"}
    verdict = {"mode": "paper", "passed": True, "reasons": [HOSTILE], "live": {"passed": False}, "checks": [check]}
    row = {
        "manifest_sha256": MANIFEST,
        "name": "btc-usdt",
        "mode": "paper",
        "run_id": RUN,
        "path": "/nowhere",
        "verdict": verdict,
    }
    found = {
        "kind": "rehearsal",
        "manifest_sha256": MANIFEST,
        "run_id": RUN,
        "passed": True,
        "detail": {"faults": HOSTILE, "x": [1]},
    }
    with database.session() as session:
        session.execute(insert(PromotionRow), [row])
        session.execute(insert(EvidenceRow), [found])


def _audited(database: Database, session_id: str) -> None:
    rows = [
        {"session_id": session_id, "severity": "error", "kind": "drift", "detail": {"asset": "BTC", "drift": "0.25"}},
        {
            "session_id": None,
            "severity": "warning",
            "kind": "login_refused",
            "detail": {"user": HOSTILE, "address": "10.9.8.7"},
        },
    ]
    with database.session() as session:
        session.execute(insert(EventRow), rows)


def add_run(source: Source, run_id: str, *, batch: str, fast: int) -> None:
    began = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=fast)
    folder = source.settings.runs_root / run_id
    folder.mkdir(parents=True)
    row = RunRow(
        run_id=run_id, notebook="03_backtest.ipynb", notebook_sha256="0" * 64, status="succeeded", error=None, failed_cell=None,
        parameters={"strategy": STRATEGY, "symbol": "BTC/USDT", "timeframe": "1h", "params": {"fast": fast}},
        parameters_sha256="0" * 64, started_at=began, ended_at=began + timedelta(seconds=5),
        seconds=5.0, commit="c" * 40, dirty=False,
        kernel_hash="k" * 64, seed=7, versions={}, path=str(folder), holder=None, identity=None, claim=None, batch=batch,
        data=[{"symbol": "BTC/USDT", "timeframe": "1h", "venue": "synthetic", "bars": 100, "fingerprint": "f"}],
        metrics={"total_return_pct": 1.234567, "sharpe": float(fast), "n_trades": 3, "max_drawdown_pct": 2.0, "fees_paid": 1.5},
    )  # fmt: skip
    with source.database.session() as session:
        session.add(row)
    figure = {"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4]}],
              "layout": {"title": {"text": f"<b>Equity</b><br>{HOSTILE}"},
                         "yaxis": {"title": {"text": "equity (USDT)"}}}}  # fmt: skip
    output = nbformat.v4.new_output("display_data", {"application/vnd.plotly.v1+json": figure})
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    nbformat.write(node, folder / "03_backtest.ipynb")
    write_text(folder / "report.html", "<html><script>document.title = 'ran'</script></html>")
    write_text(folder / "result.json", '{"headline": "up", "findings": ["' + HOSTILE.replace('"', "") + '"]}')
    write_text(folder / "equity.csv", "time,equity\n2024-01-01 00:00:00+00:00,100\n2024-01-01 01:00:00+00:00,101\n")

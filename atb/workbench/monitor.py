"""A runner's session for notebooks: its journal, the backtest beside it, its last rehearsal, and findings."""

import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.config import load_settings, part_of
from atb.decimals import counted
from atb.errors import InputError, RunError

if TYPE_CHECKING:
    import pandas as pd

    from atb.backtest import Result
    from atb.config import Settings
    from atb.db import Database
    from atb.db.tables import SessionRow
    from atb.rehearsal.comparison import Comparison
    from atb.reports import SessionRecord

Json = dict[str, Any]
_SHOWN = ("account", "mode", "state", "halt", "strategy", "symbol", "last_bar", "equity", "pnl", "trades", "open_orders",
          "unknown")  # fmt: skip
_PAPER_SECONDS = 600


@dataclass(frozen=True)
class Monitored:
    """A session from the journal, compared with its backtest.

    Parameters
    ----------
    standing
        The row of `atb status`.
    record
        Tables and backtest, as the session figures need them.
    comparison
        Decisions and executions compared with the backtest's; None without a backtest.
    rehearsal
        The last rehearsal of the session's portfolio; None without one.
    changed
        Differences from the time of the promotion, a sentence each.
    """

    standing: Json
    record: "SessionRecord"
    comparison: "Comparison | None"
    rehearsal: Json | None
    changed: tuple[str, ...] = ()

    def findings(self) -> list[str]:
        """Return the problems with a session, a sentence each, worst first; empty if there are none."""
        now, same, rehearsed = self.standing, self.comparison, self.rehearsal
        checks = [
            (bool(self.changed), f"this is no longer what traded: {'; '.join(self.changed)}"),
            (now["unknown"] > 0, f"the outcome of {counted(now['unknown'], 'order')} is unknown"),
            (now["state"] == "stale", "the runner died: start it again, and it continues after its last bar"),
            (now["halt"] != "none", f"the kill switch is set to {now['halt']}: {now['halt_reason']}"),
            (same is None, "it was not compared with a backtest: its promoted strategy is no longer available"),
            (
                same is not None and not same.equal,
                f"it differs from its backtest, first in {_named(same.first_difference if same else None)}",
            ),
            (rehearsed is None, "it was never rehearsed: atb rehearse MANIFEST"),
            (rehearsed is not None and not rehearsed["passed"], "its last rehearsal failed"),
            (rehearsed is not None and rehearsed["faults"] == "none", "its last rehearsal was without faults"),
        ]
        return [text for applies, text in checks if applies]

    @property
    def headline(self) -> str:
        """The changes since the promotion, if any, and the outcome of the comparison."""
        same = self.comparison
        first = [f"CHANGED SINCE THE PROMOTION: {text}" for text in self.changed]
        if same is not None and self.changed:
            first.append("The backtest beside it uses what is installed now.")
        compared = (
            "Not compared with a backtest; everything below is from the journal alone."
            if same is None
            else f"{counted(same.decisions, 'decision')} and {counted(same.orders, 'execution')} compared; equal: {same.equal}"
        )
        return "\n".join([*first, compared])

    def metrics(self) -> Json:
        """Return the figures to publish; None for those of a comparison that was not made."""
        same = self.comparison
        return {
            "session": self.record.name,
            "equal": None if same is None else same.equal,
            "decisions": None if same is None else same.decisions,
            "executions": None if same is None else same.orders,
            "orders": len(self.record.orders),
            "unknown": self.standing["unknown"],
            "findings": len(self.findings()),
        }


def _named(difference: Json | None) -> str:
    """Return a difference in words: what, where, and both values; empty without one."""
    from atb.times import at_ms

    if difference is None:
        return ""
    bar_ms, slot, *rest = difference["key"]
    where = " ".join([f"the bar of {at_ms(int(bar_ms)):%Y-%m-%d %H:%M} UTC in slot {slot}", *rest])
    return f"{difference['what']} at {where}: runner {difference['runner']}, backtest {difference['backtest']}"


def ensure_session(*, days: int = 30) -> str:
    """Make a paper session if the database has none; return a sentence on what is there.

    The real runner, as a separate process, trades the newest paper manifest over the last `days` of stored bars. Without a manifest
    the newest backtest is promoted to paper first, and without a backtest one is run.

    Raises
    ------
    RunError
        If the backtest or the runner failed.
    """
    from atb.live.journal.overview import sessions

    settings = load_settings()
    database = _open(settings)
    try:
        found = sessions(database)
        if found:
            return f"The journal holds {counted(len(found), 'session')}, the newest on account {found[0]['account']}."
        manifest = _newest_manifest(database) or _promoted(days)
    finally:
        database.close()
    return f"There was no session yet, so one was traded on paper: {_trade(manifest, settings, days)}"


def _promoted(days: int) -> Path:
    from atb.workbench.runs import judged_run, promote_run

    return promote_run(judged_run(days=max(days, 60)).run.run_id).path


def _newest_manifest(database: "Database") -> Path | None:
    from sqlalchemy import select

    from atb.db.tables import PromotionRow

    query = select(PromotionRow.path).where(PromotionRow.mode == "paper").order_by(PromotionRow.created_at.desc())
    with database.session(read_only=True) as session:
        return next((Path(path) for path in session.scalars(query) if Path(path).is_file()), None)


def _trade(manifest: Path, settings: "Settings", days: int) -> str:
    """Run the real runner on paper, as a separate process, and return its last line."""
    from atb.promotion.manifest import load_manifest
    from atb.workbench.market import load_bars

    plan = load_manifest(manifest)
    bars = load_bars(plan.symbol, plan.timeframe, venue=plan.venue)
    since = bars.frame.index[-1] + timedelta(seconds=bars.timeframe.seconds) - timedelta(days=days)
    command = [
        *(sys.executable, str(part_of(settings.project, "runners", "live.py")), str(manifest)),
        *("--from", f"{since:%Y-%m-%dT%H:%M}", "--root", str(settings.data.root)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PAPER_SECONDS)  # noqa: S603 - our own program
    if done.returncode:
        raise RunError("The runner failed", found=done.stderr.strip()[-2_000:])
    return done.stdout.strip()


def sessions_table() -> "pd.DataFrame":
    """Return one row per session, newest first, with the columns of `atb status`; amounts in quote currency, to the cent."""
    import pandas as pd

    from atb.live.journal.overview import sessions

    database = _open(load_settings())
    try:
        rows = sessions(database)
    finally:
        database.close()
    table = pd.DataFrame(
        [{name: row[name] for name in ("session", *_SHOWN)} for row in rows], columns=["session", *_SHOWN]
    )
    money = {name: table[name].astype(float).round(2) for name in ("equity", "pnl")}
    table = table.assign(**money, last_bar=table["last_bar"].str[:16].str.replace("T", " "))
    return table.rename(columns=lambda name: name.replace("_", " ")).set_index("session")


def watch_session(session: str | None = None) -> Monitored:
    """Return a session with the backtest of the same bars by the same manifests; by default the newest session.

    A past session stays readable when its strategy has changed or is gone: changes are listed, and a backtest that can no longer be
    made is left out.

    Parameters
    ----------
    session
        A session's id, or a prefix of it.

    Raises
    ------
    InputError
        If there is no such session, it has not decided on any bar yet, or its slots were handed over, so that no single
        backtest matches it.
    DataError
        If its bars are not in the catalogue.
    """
    from atb.rehearsal.comparison import compare
    from atb.rehearsal.past_session import portfolio_of_session, session_backtest

    settings = load_settings()
    database = _open(settings)
    try:
        row, standing = _chosen(database, session)
        end_ms = _end_ms(row, standing)
        portfolio, changed = portfolio_of_session(database, standing, settings)
        result = None
        if portfolio is not None:
            result = session_backtest(portfolio, row.trade_from_ms, end_ms, bars_root=settings.bars_root)
        record = _record(row, result, database)
        rehearsal = _rehearsal(database, row.key)
        paper = not _reached_an_exchange(database, row.session_id)
    finally:
        database.close()
    same = None
    if result is not None:
        url = settings.database.url
        same = compare(url, result, end_ms=end_ms, session_id=row.session_id, paper=paper)
    return Monitored(standing, record, same, rehearsal, changed)


def _open(settings: "Settings") -> "Database":
    from atb.db import open_database

    return open_database(settings.database.url)


def _chosen(database: "Database", wanted: str | None) -> tuple["SessionRow", Json]:
    from atb.db.tables import SessionRow
    from atb.live.journal.overview import sessions

    found = [row for row in sessions(database) if wanted is None or row["session"].startswith(wanted)]
    if not found:
        raise InputError("There is no such session", found=wanted, todo="`atb status` lists them")
    with database.session(read_only=True) as session:
        row = session.get_one(SessionRow, found[0]["session"])
        session.expunge(row)
    if row.last_bar_ms is None:
        raise InputError("This session has not decided on any bar yet", found=row.session_id)
    return row, found[0]


def _record(row: "SessionRow", result: "Result | None", database: "Database") -> "SessionRecord":
    from atb.live.journal.frames import equity_table, fills_table, orders_table
    from atb.reports import SessionRecord

    fills = fills_table(database, row.session_id)
    orders = orders_table(database, row.session_id, fills)
    return SessionRecord(row.session_id, result, equity_table(database, row.session_id), fills, orders)


def _end_ms(row: "SessionRow", standing: Json) -> int:
    """Return the close of the session's last bar, epoch milliseconds."""
    from atb.domain import Timeframe

    assert row.last_bar_ms is not None  # `_chosen` refuses it
    frames = [Timeframe.parse(slot["timeframe"]) for slot in standing["slots"] if slot["status"] != "shadow"]
    return min(frames, key=lambda frame: frame.seconds).next_ms(row.last_bar_ms)


def _reached_an_exchange(database: "Database", session_id: str) -> bool:
    """Return whether an exchange, real or simulated, ever gave an order of the session a name of its own."""
    from sqlalchemy import exists, select

    from atb.db.tables import IntentRow

    named = select(exists().where(IntentRow.session_id == session_id, IntentRow.exchange_id.is_not(None)))
    with database.session(read_only=True) as session:
        return bool(session.scalar(named))


def _rehearsal(database: "Database", key: str) -> Json | None:
    """Return the last rehearsal of a portfolio; None without one."""
    from sqlalchemy import select

    from atb.db.tables import EvidenceRow

    query = select(EvidenceRow.detail).where(EvidenceRow.kind == "rehearsal", EvidenceRow.manifest_sha256 == key)
    with database.session(read_only=True) as session:
        return session.scalars(query.order_by(EvidenceRow.id.desc()).limit(1)).one_or_none()

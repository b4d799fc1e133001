"""A rehearsal's checks and the origin of a trade, as small tables for notebooks."""

from typing import TYPE_CHECKING, Any

from atb.config import load_settings

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]


def last_rehearsal(run_id: str) -> Json | None:
    """Return the last rehearsal of a run's manifests, as `atb rehearse --json` prints it; None without one."""
    from sqlalchemy import select

    from atb.db import open_database
    from atb.db.tables import EvidenceRow

    query = select(EvidenceRow.detail).where(EvidenceRow.kind == "rehearsal", EvidenceRow.run_id == run_id)
    database = open_database(load_settings().database.url)
    try:
        with database.session(read_only=True) as session:
            return session.scalars(query.order_by(EvidenceRow.id.desc()).limit(1)).one_or_none()
    finally:
        database.close()


def rehearsal_table(rehearsal: Json | None) -> "pd.DataFrame":
    """Return a rehearsal's checks, one per row; no rows without a rehearsal."""
    import pandas as pd

    from atb.rehearsal.table import COLUMNS, rows

    found = rows(rehearsal) if rehearsal else []
    return pd.DataFrame(found, columns=list(COLUMNS)).set_index(COLUMNS[0])


def explained(trade: str | None = None, *, session: str | None = None) -> "pd.DataFrame":
    """Return the origin of a trade, one step per row: fills, decisions, manifest, run, notebook; by default of the newest trade.

    Parameters
    ----------
    trade
        `SESSION/NUMBER`, as `atb trades` shows it.
    session
        Session of the newest trade; None for any session.
    """
    import pandas as pd

    from atb.db import open_database
    from atb.live.journal.overview import trades
    from atb.live.journal.why import explain_trade

    database = open_database(load_settings().database.url)
    try:
        listed = [row["trade"] for row in trades(database) if session is None or row["trade"].startswith(session)]
        name = trade or next(iter(listed), None)
        rows = (
            [(step, what, _moment(when)) for step, what, when in _origin(explain_trade(database, name))] if name else []
        )
    finally:
        database.close()
    return pd.DataFrame(rows, columns=["step", "what", "when (UTC)"]).set_index("step")


def _moment(when: str) -> str:
    """Return a time (ISO 8601, UTC) as tables show it."""
    return when[:16].replace("T", " ")


def _origin(found: Json) -> list[tuple[str, str, str]]:
    trade = found["trade"]
    rows = [
        (
            "trade",
            f"{trade['side']} {trade['symbol']}, {float(trade['pnl']):+,.2f} by {trade['exit_reason']}",
            trade["exit_time"],
        )
    ]
    rows += [
        (f"fill ({fill['role']})", f"{fill['side']} {fill['quantity']} at {fill['price']}", fill["time"])
        for fill in found["fills"]
    ]
    for decision in found["decisions"]:
        seen = "" if decision["prediction"] is None else f", prediction {decision['prediction']:.3f}"
        signal = f"signal {decision['side']:g} at close {decision['bar']['close']:,.2f}{seen}"
        rows.append(("decision", signal, decision["time"]))
    promotion, run = found["promotion"] or {}, found["run"] or {}
    origin = {
        "manifest": promotion.get("name"),
        "run": promotion.get("run_id"),
        "commit": (run.get("commit") or "")[:12],
        "notebook": found["notebook"],
    }
    return [*rows, *((step, str(value or "not recorded here"), "") for step, value in origin.items())]

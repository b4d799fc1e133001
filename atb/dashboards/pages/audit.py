"""Audit: what happened to sessions, kill switches, users and data, the newest first, page by page.

The addresses of logins are in the admin's table of events alone; that of a halt is part of who set it.
"""

from typing import Any

from dash import html
from dash.development.base_component import Component

from atb.dashboards.elements import link, listed, notice, section
from atb.dashboards.page import Look, Page, Query, Source
from atb.dashboards.pages.monitor.sections import EVENTS, said
from atb.errors import InputError

MOST = 100  # rows of a page
WITHIN = 20_000  # rows that a filter looks at
PRIVATE = ("address", "browser")
SEVERITIES = ("info", "warning", "error")
_HALTS = {"account": "account", "level": "level", "reason": "reason", "source": "by", "set_at": "set"}


def read(source: Source, query: Query) -> dict[str, Any]:
    """Return the newest `rows` (of a `severity`, `kind` or `session`, before the row `before`), and each account's kill switch.

    Raises
    ------
    InputError
        If `before` is no number, or there is no such severity.
    """
    from atb.live.journal.kill_switch import halts
    from atb.live.journal.overview import accounts
    from atb.live.journal.watch import audit_rows

    asked = dict(query)
    before, severity = asked.get("before"), asked.get("severity")
    if before is not None and not (before.isascii() and before.isdecimal() and len(before) < 19):
        raise InputError("`before` is the number of a row", found=before)
    if severity not in {None, *SEVERITIES}:
        raise InputError("There is no such severity", found=severity, todo=f"One of {', '.join(SEVERITIES)}")
    rows, oldest = audit_rows(
        source.database, session_id=asked.get("session"), severity=severity, kind=asked.get("kind"),
        before=None if before is None else int(before), limit=MOST, within=WITHIN,
    )  # fmt: skip
    for row in rows:
        row["detail"] = {name: value for name, value in row["detail"].items() if name not in PRIVATE}
    newest = [(name, next(iter(halts(source.database, name)), None)) for name in accounts(source.database)]
    return {
        "rows": rows,
        "oldest": oldest,
        "asked": {name: value for name, value in asked.items() if name in {"session", "severity", "kind"}},
        "halts": [
            {"account": name, "level": halt.name, "reason": halt.reason, "source": halt.source, "set_at": halt.since}
            for name, halt in newest
            if halt is not None
        ],
    }


def draw(content: dict[str, Any], look: Look) -> Component:  # noqa: ARG001 - the register's signature
    """Return the kill switches and the trail."""
    asked = content["asked"]
    ways = [
        link("All", "/audit"),
        *(link(severity, "/audit", **asked | {"severity": severity}) for severity in SEVERITIES),
    ]
    rows = [{**row, "said": said(row["detail"]), "kind": link(row["kind"], "/audit", **asked | {"kind": row["kind"]}),
             "session": row["session"] and link(row["session"], "/live", session=row["session"])}
            for row in content["rows"]]  # fmt: skip
    older = (
        None if content["oldest"] is None else html.P(link("Older rows", "/audit", **asked, before=content["oldest"]))
    )
    only = ", ".join(f"{name} {value}" for name, value in asked.items())
    return html.Div(
        [
            html.H1("Audit"),
            section("Kill switches", listed(content["halts"], _HALTS, empty="No account was ever halted.")),
            section(
                "Trail",
                html.Nav(ways, className="ways"),
                notice(f"Only {only}.") if only else None,
                listed(rows, EVENTS | {"session": "session"}, empty="Nothing was noted."),
                older,
            ),
        ]
    )


PAGE = Page("/audit", "Audit", read, draw)

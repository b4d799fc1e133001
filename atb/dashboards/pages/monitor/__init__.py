"""Live monitor: what each session holds and how it stands, and everything that its journal says of one of them."""

from typing import Any

from dash import html
from dash.development.base_component import Component

from atb.dashboards.elements import address, link, notice, section, table
from atb.dashboards.page import Look, Page
from atb.dashboards.pages.monitor import sections
from atb.dashboards.pages.monitor.content import read

_COLUMNS = {
    "session": "session",
    "account": "account",
    "mode": "mode",
    "shown_state": "state",
    "halt": "halt",
    "strategy": "strategy",
    "equity": "equity (quote)",
    "pnl": "profit (quote)",
    "trades": "closed trades",
    "trouble": "stuck or barred",
    "last_bar": "last bar",
}


def draw(content: dict[str, Any], look: Look) -> Component:
    """Return the sessions, and the chosen one in parts."""
    chosen, halted = content["chosen"], _halted(content["file"])
    if chosen is None:
        first = notice("No session was ever started: `atb live` starts one on paper.")
        return html.Div([html.H1("Live"), *halted, first])
    return html.Div(
        [
            html.H1(f"Live: {chosen['session']}"),
            *halted,
            *sections.state_notices(chosen),
            sections.money(chosen),
            sections.positions(chosen),
            sections.limits(chosen),
            *sections.pictures(chosen, look),
            sections.market(chosen),
            sections.health(chosen),
            sections.orders(chosen),
            sections.decisions(chosen),
            sections.trades(chosen),
            sections.events(chosen),
            _origin(chosen),
            _sessions(content["sessions"]),
        ]
    )


def _halted(file: dict[str, str] | None) -> list[Component]:
    if file is None:
        return []
    return [
        notice(f"Every runner over this folder is halted by its file HALT ({file['level']}): {file['reason']}.", "bad")
    ]


def _origin(chosen: dict[str, Any]) -> Component:
    """Return links to what trades."""
    names = {slot["manifest_sha256"]: slot["manifest"] or slot["manifest_sha256"][:16] for slot in chosen["slots"]}
    items = [html.Li(link(name, "/manifests", sha256=sha256)) for sha256, name in names.items()]
    return section("What trades", html.Ul(items))


def _sessions(rows: list[dict[str, Any]]) -> Component:
    shown = [
        {
            **row,
            "shown_state": "stale" if row["stale"] else row["state"],
            "equity": float(row["equity"]),
            "pnl": float(row["pnl"]),
            "trouble": ", ".join(filter(None, [row["stuck"], *row["barred"]])) or None,
            "to": address("/live", session=row["session"]),
        }
        for row in rows
    ]
    return section("Sessions", table(shown, _COLUMNS, links={"session": "to"}))


PAGE = Page("/live", "Live", read, draw)

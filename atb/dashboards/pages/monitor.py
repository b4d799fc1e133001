"""Live monitor: what each session holds, and how it stands."""

from typing import Any

from dash import html
from dash.development.base_component import Component

from atb.dashboards.elements import notice, table
from atb.dashboards.page import Look, Page, Query, Source

_COLUMNS = {
    "session": "session",
    "account": "account",
    "mode": "mode",
    "state": "state",
    "halt": "halt",
    "equity": "equity (quote)",
    "last_bar": "last bar (UTC)",
}


def read(source: Source, query: Query) -> list[dict[str, Any]]:  # noqa: ARG001 - the register's signature
    """Return the sessions of the journal."""
    from atb.live.journal.overview import sessions

    return sessions(source.database, now_ms=source.now_ms)


def draw(content: list[dict[str, Any]], look: Look) -> Component:  # noqa: ARG001 - the register's signature
    """Return a table of the sessions."""
    if not content:
        return html.Div([html.H1("Live"), notice("No session was ever started: `atb live` starts one on paper.")])
    return html.Div([html.H1("Live"), table(content, _COLUMNS)])


PAGE = Page("/live", "Live", read, draw)

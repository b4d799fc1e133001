"""Building blocks of pages: tables, cards, notices and figures, all of them text-safe; numbers to the right, times in UTC."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from atb.dashboards.figures import Drawn, drawn
from atb.dashboards.page import Look
from atb.decimals import number

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


def text(value: object) -> str:
    """Return a value as a cell shows it: a dash for None and NaN, decimals without exponent, yes or no, times to the second."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    strftime = getattr(value, "strftime", None)
    return str(strftime(TIME_FORMAT)) if callable(strftime) else _moment(str(value))


def _moment(value: str) -> str:
    """Return an ISO time in UTC as `2024-01-31 09:45:00`, any other text as it is."""
    is_moment = len(value) >= len("2024-01-31T09:45") and value[4:5] == "-" and value[10:11] == "T"
    return value[:19].replace("T", " ") if is_moment else value


def table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, links: Mapping[str, str] | None = None
) -> Component:
    """Return rows as a table that scrolls in its own box when it is wide.

    Parameters
    ----------
    columns
        The heading of each column by its name in the rows; a heading holds the unit.
    links
        By column, the name in the rows of an address on this server to which the cell leads.
    """
    right = {name for name in columns if rows and all(_is_number(row.get(name)) for row in rows)}
    styles = {name: "number" if name in right else "" for name in columns}
    heads = [html.Th(head, className=styles[name], scope="col") for name, head in columns.items()]
    lines = [html.Tr([_cell(row, name, (links or {}).get(name), styles[name]) for name in columns]) for row in rows]
    return html.Div(html.Table([html.Thead(html.Tr(heads)), html.Tbody(lines)]), className="scroll", tabIndex=0)


def _cell(row: Mapping[str, Any], name: str, link: str | None, style: str) -> Component:  # noqa: PLR0917 - a cell's four facts
    shown: Any = text(row.get(name))
    if link is not None and (address := row.get(link)) is not None:
        shown = dcc.Link(shown, href=str(address))
    return html.Td(shown, className=style)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def cards(facts: Mapping[str, object]) -> Component:
    """Return facts as cards; a label holds the unit."""
    return html.Div(
        [
            html.Div([html.Div(label, className="label"), html.Div(text(value), className="value")], className="card")
            for label, value in facts.items()
        ],
        className="cards",
    )


def notice(sentence: str, kind: str = "") -> Component:
    """Return a sentence in a box: plain, `good`, `warn` or `bad`."""
    return html.P(sentence, className=f"notice {kind}".strip(), role="alert" if kind == "bad" else "note")


def figure(made: Any, look: Look, *, name: str) -> Component:
    """Return a figure of `atb.reports` for a page: title and caption as text of the page, colours and width as it is looked at.

    Parameters
    ----------
    made
        The plotly figure; not changed.
    name
        Unique on the page; keeps zoom and selection while the page refreshes itself.
    """
    shown: Drawn = drawn(made, dark=look.dark, narrow=look.narrow)
    return html.Figure(
        [
            html.H3(shown.title),
            html.P(shown.label, className="label"),
            dcc.Graph(id=name, figure=shown.figure, config={"displaylogo": False, "responsive": True},
                      style={"height": f"{shown.height}px"}),
            html.Figcaption(shown.caption),
        ]
    )  # fmt: skip

"""Building blocks of pages: tables, cards, notices and figures, all of them text-safe; numbers to the right, times in UTC."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from dash import dcc, html
from dash.development.base_component import Component

from atb.dashboards.figures import Drawn, drawn
from atb.dashboards.page import Look
from atb.decimals import MISSING, number

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
PROSE = 30  # characters, from which on a cell is prose
_ROUNDED = re.compile(r"[+-]?\d{1,3}(,\d{3})*(\.\d+)?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?")


def text(value: object) -> str:
    """Return a value as a cell shows it: a dash for None and NaN, decimals without exponent, yes or no, times to the second."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int):
        return f"{value:,}"
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
    right = {name for name in columns if _are_numbers([row.get(name) for row in rows])}
    styles = {name: "number" if name in right else "" for name in columns}
    heads = [html.Th(head, className=styles[name], scope="col") for name, head in columns.items()]
    lines = [html.Tr([_cell(row, name, (links or {}).get(name), styles[name]) for name in columns]) for row in rows]
    return html.Div(html.Table([html.Thead(html.Tr(heads)), html.Tbody(lines)]), className="scroll", tabIndex=0)


def _cell(row: Mapping[str, Any], name: str, link: str | None, style: str) -> Component:  # noqa: PLR0917 - a cell's four facts
    value = row.get(name)
    shown: Any = value if isinstance(value, Component) else text(value)
    if link is not None and (address := row.get(link)) is not None:
        shown = dcc.Link(shown, href=str(address))
    return html.Td(shown, className=_style(shown) or style)


def _style(shown: object) -> str:
    """Return the style of a cell by its text: a moment on one line, prose in a column that can be read on a telephone."""
    if not isinstance(shown, str):
        return ""
    return "moment" if _MOMENT.fullmatch(shown) else "prose" if len(shown) > PROSE else ""


def _are_numbers(values: Sequence[object]) -> bool:
    """Return whether there is a number among values, and nothing else that is shown."""
    known = [value for value in values if value is not None]
    return bool(known) and all(_is_number(value) for value in known)


def _is_number(value: object) -> bool:
    """Return whether a value is a number, or the text of one that is rounded."""
    if isinstance(value, str):
        return value == MISSING or _ROUNDED.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def cards(facts: Mapping[str, object]) -> Component:
    """Return facts as cards; a label holds the unit."""
    return html.Div(
        [
            html.Div([html.Div(label, className="label"), html.Div(text(value), className="value")], className="card")
            for label, value in facts.items()
        ],
        className="cards",
    )


def link(shown: object, path: str, **query: object) -> Component:
    """Return a link to a page of this server, with names and values after the question mark."""
    return dcc.Link(text(shown), href=address(path, **query))


def address(path: str, **query: object) -> str:
    """Return an address on this server; names without a value are left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def rounded(value: float | None, digits: int = 2) -> float | None:
    """Return a percentage or a ratio with so many decimals; None for None."""
    return None if value is None else round(float(value), digits)


def section(title: str, *parts: Any) -> Component:
    """Return a part of a page under its heading; what is None is left out."""
    return html.Section([html.H2(title), *(part for part in parts if part is not None)])


def facts(values: Mapping[str, object]) -> Component:
    """Return facts as a list of terms and what they are; a component is shown as it is."""
    terms = [
        [html.Dt(name), html.Dd(each if isinstance(each, Component) else text(each))] for name, each in values.items()
    ]
    return html.Dl([part for pair in terms for part in pair], className="facts")


def listed(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, empty: str, **options: Any) -> Component:
    """Return a table of rows, or a sentence where there are none."""
    return table(rows, columns, **options) if rows else html.P(empty, className="soft")


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

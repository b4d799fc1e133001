"""The Dash application: a bar with the pages, the page that is asked for, and a second hand that asks what is new.

Every page is redrawn by one callback from the snapshot that all viewers share; a viewer who has that version already is sent
nothing. The callback itself asks for the role: a layout alone protects nothing.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from flask import Flask, abort, g, request

from atb.dashboards.elements import notice, text
from atb.dashboards.gate import CALLBACK, FORM_COOKIE, of_port
from atb.dashboards.page import Look, Page, Query, has_rights
from atb.dashboards.pages import PAGES, page_at
from atb.dashboards.site import Site
from atb.dashboards.snapshots import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

TICK_MS = 1_000
NARROW = 600  # pixels
LONGEST_QUERY = 500  # characters
_INDEX = """<!doctype html>
<html lang="en">
<head>
  {%metas%}<meta name="viewport" content="width=device-width, initial-scale=1"><title>{%title%}</title>
  <link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css"><script src="/page.js"></script>{%css%}
</head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>"""
_LOOK = f"""(_, before) => {{
  const look = {{dark: matchMedia("(prefers-color-scheme: dark)").matches, narrow: innerWidth < {NARROW}}};
  const same = before && before.dark === look.dark && before.narrow === look.narrow;
  return same ? window.dash_clientside.no_update : look;
}}"""
# The callback of every page, by component and property: what it writes, and what it reads with the kind of each value.
_SHOWN = (("page", "children"), ("age", "children"), ("bar", "children"), ("who", "children"), ("shown", "data"))
_ASKED: dict[tuple[str, str], type] = {
    ("place", "pathname"): str, ("place", "search"): str, ("tick", "n_intervals"): int, ("look", "data"): dict,
}  # fmt: skip
_KEPT: dict[tuple[str, str], type] = {("shown", "data"): str}
_LOOKS = {"dark", "narrow"}
_TITLE = """(path) => {
  const titles = %s, place = path.replace(/\\/+$/, "");
  document.title = (titles[place] ?? titles[""]) + " · atb";
  return window.dash_clientside.no_update;
}"""


class _Pages(Dash):
    """Dash, whose script reads the form token from the cookie of this port."""

    def interpolate_index(self, **parts: Any) -> str:  # type: ignore[override] # its parts, by name
        """Return the page that every address begins with."""
        parts["config"] = parts["config"].replace(json.dumps(FORM_COOKIE), json.dumps(of_port(FORM_COOKIE)))
        dash: Any = super()
        return str(dash.interpolate_index(**parts))


def add_pages(server: Flask, site: Site) -> Dash:
    """Put the Dash application on a server and return it."""
    app = _Pages(
        __name__,
        server=server,  # type: ignore[arg-type] # a Flask application is what it documents
        title="atb",
        update_title="",
        index_string=_INDEX,
        assets_folder=str(Path(__file__).parent / "assets"),
        include_assets_files=False,
        suppress_callback_exceptions=True,  # a page brings its parts when it is shown
        csrf_token_name=FORM_COOKIE,
        csrf_header_name="X-CSRFToken",
        add_log_handler=False,
    )
    app.layout = _layout()
    in_browser: Callable[..., None] = app.clientside_callback
    in_browser(_LOOK, Output("look", "data"), Input("tick", "n_intervals"), State("look", "data"))
    titles = json.dumps({"": PAGES[0].title} | {page.path: page.title for page in PAGES})
    in_browser(_TITLE % titles, Output("titled", "data"), Input("place", "pathname"))

    @server.before_request
    def refuse_malformed() -> None:
        if request.path == CALLBACK and not is_asked_by_a_page(request.get_json(silent=True)):
            abort(400)

    @app.callback(
        *(Output(*place) for place in _SHOWN),
        *(Input(*place) for place in _ASKED),
        *(State(*place) for place in _KEPT),
    )
    def show(path: str, search: str, _tick: int, look: dict[str, bool] | None, shown: str | None) -> Any:  # noqa: PLR0917
        if look is None:  # the browser says it in a moment
            return no_update
        return _shown(site, path or "/", search or "", look=Look(**look), shown=shown)

    return app


def is_asked_by_a_page(body: Any) -> bool:
    """Return whether the body of a callback is what a page of ours sends: Dash itself would fail on anything else."""
    if not isinstance(body, dict) or body.get("output") != ".." + "...".join(map(".".join, _SHOWN)) + "..":
        return False
    outputs, changed = body.get("outputs"), body.get("changedPropIds", [])
    named = isinstance(outputs, list) and _places(outputs) == list(_SHOWN)
    changes = isinstance(changed, list) and all(isinstance(each, str) for each in changed)
    return named and changes and _holds(body.get("inputs"), _ASKED) and _holds(body.get("state"), _KEPT)


def _holds(found: Any, wanted: dict[tuple[str, str], type]) -> bool:
    """Return whether values stand in the places where they are wanted, each of its kind or absent."""
    if not isinstance(found, list) or _places(found) != list(wanted):
        return False
    values = [each.get("value") for each in found]
    looks = [value for value in values if isinstance(value, dict)]
    sound = all(value is None or isinstance(value, kind) for value, kind in zip(values, wanted.values(), strict=True))
    return sound and all(
        set(look) == _LOOKS and all(isinstance(each, bool) for each in look.values()) for look in looks
    )


def _places(found: list[Any]) -> list[Any]:
    return [(each.get("id"), each.get("property")) if isinstance(each, dict) else None for each in found]


def _layout() -> Component:
    return html.Div(
        [
            html.A("Skip to the page", href="#page", className="skip"),
            dcc.Location(id="place"),
            dcc.Interval(id="tick", interval=TICK_MS),
            dcc.Store(id="look"),
            dcc.Store(id="shown"),
            dcc.Store(id="titled"),
            html.Header(
                [
                    html.Span("atb", className="name"),
                    html.Nav(id="bar", **_named("Pages")),
                    html.Span(id="who", className="who"),
                ],
                className="bar",
            ),
            html.Main(id="page", tabIndex=-1),
            html.P(id="age", className="age"),
        ]
    )


def _named(name: str) -> dict[str, Any]:
    """Return the attribute by which a screen reader names a part."""
    return {"aria-label": name}


def _who(site: Site) -> list[Any]:
    """Return the name of the signed-in user, with links to what the role may do."""
    login = g.login
    ways = [("Control", "/control", "operator"), ("Admin", "/admin/", "admin")]
    links = [html.A(name, href=href, className="act") for name, href, role in ways if has_rights(login.role, role)]
    read_only = ", read-only" if site.read_only else ""
    return [*links, html.A(f"{login.user} ({login.role}{read_only})", href="/me", className="act")]


def _shown(site: Site, path: str, search: str, *, look: Look, shown: str | None) -> Any:
    """Return the page, its age, the navigation and the version; only the age where the version is shown already."""
    page = page_at(path)
    if page is None:
        missing = html.Div([html.H1("There is no such page"), html.P(path)])
        return missing, "", _navigation(None), _who(site), f"none {path}"
    if not has_rights(g.login.role, page.role):
        abort(403)
    snapshot = site.snapshots.of(page, query_of(search))
    version = json.dumps([path, search, look.dark, look.narrow, snapshot.version])
    age = _age(snapshot)
    if version == shown:
        return no_update, age, no_update, no_update, no_update
    return _drawn(page, snapshot, look), age, _navigation(page), _who(site), version


def query_of(search: str) -> Query:
    """Return the names and values of an address after its question mark, sorted; a name given twice counts once."""
    pairs = parse_qsl(search.removeprefix("?")[:LONGEST_QUERY], max_num_fields=20)
    return tuple(sorted(dict(pairs).items()))


def _drawn(page: Page, snapshot: Snapshot, look: Look) -> Component:
    problem = [notice(snapshot.problem, "bad")] if snapshot.problem else []
    if snapshot.read_at is None:
        waiting = [] if snapshot.problem else [notice("The files are being read.")]
        return html.Div([html.H1(page.title), *problem, *waiting])
    drawn = snapshot.drawings.of(look, lambda: page.draw(snapshot.content, look))
    return html.Div([*problem, drawn])


def _age(snapshot: Snapshot) -> str:
    if snapshot.read_at is None:
        return "Nothing was read yet. All times are UTC."
    when = text(snapshot.read_at)
    return f"Old: as of {when}. All times are UTC." if snapshot.problem else f"As of {when}. All times are UTC."


def _navigation(here: Page | None) -> list[Component]:
    listed = [page for page in PAGES if page.listed and has_rights(g.login.role, page.role)]
    return [_link(page, current=page is here) for page in listed]


def _link(page: Page, *, current: bool) -> Component:
    named: dict[str, Any] = {"aria-current": "page"} if current else {}
    return html.A(page.title, href=page.path, **named)

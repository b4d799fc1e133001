"""Every registered page in every world: read with few queries, drawn in every look, units named, texts as text, sent as JSON."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from dash import dcc, html
from dash.development.base_component import Component
from sqlalchemy import event

from atb.config import load_settings
from atb.dashboards.page import Look, Page, Source
from atb.dashboards.pages import PAGES, page_at
from atb.db import open_database
from atb.errors import InputError
from tests.dashboards.pages.worlds import HOSTILE, MANIFEST, OTHER_RUN, RUN, STRATEGY, WORLDS
from tests.database import empty_postgresql, migrated_sqlite, postgres
from tests.rehearsal.ledger import START

__all__ = ["postgres"]
LOOKS = [Look(dark=dark, narrow=narrow) for dark in (False, True) for narrow in (False, True)]
QUERIES = 120  # statements of one reading, whatever the number of rows
COUNTS = {
    "trades", "runs", "succeeded", "running", "failed", "interrupted", "slot", "positions", "closed trades", "open orders", "rows",
    "orders without an answer", "orders refused or lost", "warnings and errors of the last hour", "lease epoch", "bars held",
    "seed",
    "series", "bars", "gaps", "missing bars", "bars behind", "bars judged", "used", "allowed", "profit factor of those",
    "profit factor",
    "prediction", "figure", "value", "params.fast", "throttle level (0 is none)",
}  # fmt: skip
"""Headings and labels of numbers that have no unit: counts, and ratios of one amount to another."""


@pytest.fixture
def source(tmp_path) -> Iterator[Source]:
    (tmp_path / "atb.db").write_bytes(migrated_sqlite())
    settings = load_settings(data={"root": tmp_path}, database={"url": f"sqlite:///{tmp_path}/atb.db"})
    database = open_database(settings.database.url)
    yield Source(database, settings, START + 1_000 * 3_600_000)
    database.close()


def queries(page: Page, known: dict[str, str]) -> list[tuple[tuple[str, str], ...]]:
    """Return addresses of a page to look at in a world."""
    own = {
        "/live": [{}] + ([{"session": known["session"], "slot": "1"}] if "trade" in known else []),
        "/trade": [{"id": known.get("trade", "x/1")}],
        "/run": [{"id": RUN}],
        "/compare": [{"runs": f"{RUN},{OTHER_RUN}"}],
        "/manifests": [{}, {"sha256": MANIFEST}],
        "/batches": [{}, {"batch": "b" * 64}],
        "/backtests": [{}, {"chosen": f"{RUN},{OTHER_RUN}", "status": "succeeded"}],
        "/audit": [{}, {"severity": "error"}, {"kind": "drift", "before": "9"}],
    }.get(page.path, [{}])
    return [tuple(sorted(each.items())) for each in own]


def parts(component: Any) -> Iterator[Any]:
    """Yield a component and everything in it."""
    yield component
    children = getattr(component, "children", None)
    for child in children if isinstance(children, list | tuple) else [children]:
        if isinstance(child, Component):
            yield from parts(child)
        elif child is not None:
            yield child


def text_of(component: Any) -> str:
    return " ".join(str(part) for part in parts(component) if not isinstance(part, Component))


def sent(component: Component) -> str:
    """Return what a browser is sent."""
    import plotly

    return json.dumps(component.to_plotly_json(), cls=plotly.utils.PlotlyJSONEncoder)


@pytest.mark.parametrize("world", WORLDS)
def test_every_page_is_read_and_drawn_in_every_world_and_look(source, world):
    known = WORLDS[world](source)
    statements: list[str] = []
    event.listen(source.database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    for page in PAGES:
        for query in queries(page, known):
            statements.clear()
            try:
                content = page.read(source, query)
            except InputError:
                assert query, f"{page.path} must have something to say without a query, or be reached from a list"
                continue
            assert len(statements) <= QUERIES * (5 if world == "many" else 1), page.path
            assert {statement.split()[0] for statement in statements} <= {"BEGIN", "SELECT"}, f"{page.path} only reads"
            drawn = [page.draw(content, look) for look in LOOKS]
            assert [sent(each) for each in drawn][:1] == [sent(page.draw(content, LOOKS[0]))], "drawing is pure"
            for each in drawn:
                check_drawing(each)


@pytest.mark.slow
def test_every_page_is_read_on_postgresql_by_a_session_that_may_only_read(source, postgres):
    with empty_postgresql(postgres) as url:
        database = open_database(url)
        there = replace(source, database=database)
        known = WORLDS["many"](there)
        with database.engine.begin() as connection:
            connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        for page in PAGES:
            for query in queries(page, known):
                check_drawing(page.draw(page.read(there, query), LOOKS[0]))
        database.close()


def check_drawing(drawn: Component) -> None:
    """Refuse a drawing that a browser or a reader could not take."""
    found = list(parts(drawn))
    assert sum(isinstance(part, html.H1) for part in found) == 1
    assert not [
        part for part in found if type(part).__name__ in {"Markdown", "DangerouslySetInnerHTML", "Iframe", "Script"}
    ]
    names = [part.id for part in found if isinstance(part, dcc.Graph)]
    assert len(names) == len(set(names))
    assert all(not getattr(part, "href", "/").startswith(("http", "javascript", "//")) for part in found)
    for table in (part for part in found if isinstance(part, html.Table)):
        heads = [(head.children, head.className) for head in parts(table) if isinstance(head, html.Th)]
        assert [head for head, style in heads if style == "number" and not has_unit(head)] == []
    for graph in (part for part in found if isinstance(part, dcc.Graph)):
        axes = {name: axis for name, axis in graph.figure["layout"].items() if re.fullmatch(r"[xy]axis\d*", name)}
        titles = [(axis.get("title") or {}).get("text") for axis in axes.values() if axis.get("title")]
        assert all(has_unit(title) for title in titles if title), titles
    labels = [
        part.children for part in found if getattr(part, "className", "") == "label" and isinstance(part, html.Div)
    ]
    numbers = [part.children for part in found if getattr(part, "className", "") == "value"]
    numeric = [label for label, value in zip(labels, numbers, strict=True) if re.fullmatch(r"-?[\d,.]+", value)]
    assert [label for label in numeric if not has_unit(label)] == []


def has_unit(heading: str) -> bool:
    return "(" in heading or heading in COUNTS or heading.startswith(("20", "BTC", STRATEGY[:3], "p "))


def test_hostile_texts_are_shown_as_text(source):
    known = WORLDS["one"](source)
    pages = {page.path: page for page in PAGES}
    shown = {
        "/live": (), "/manifests": (("sha256", MANIFEST),), "/audit": (), "/run": (("id", RUN),), "/backtests": (),
        "/trade": (("id", known["trade"]),),
    }  # fmt: skip
    for path, query in shown.items():
        drawn = pages[path].draw(pages[path].read(source, query), Look())
        if path == "/backtests":
            assert STRATEGY in text_of(drawn)
        elif path != "/trade":
            assert HOSTILE in text_of(drawn).replace("&quot;", '"'), path
        assert "<script>alert" not in json.dumps(
            [part.figure for part in parts(drawn) if isinstance(part, dcc.Graph)], default=str
        )


def test_times_have_their_zone_said_once_and_by_the_frame_alone(source):
    known = WORLDS["one"](source)
    for page in PAGES:
        for query in queries(page, known):
            assert "UTC)" not in text_of(page.draw(page.read(source, query), Look())).replace("time (UTC)", ""), (
                page.path
            )


def test_what_an_address_names_wrongly_is_one_sentence(source):
    WORLDS["one"](source)
    wrong = [
        ("/live", {"session": "nothing"}), ("/live", {"slot": "9"}), ("/trade", {}), ("/trade", {"id": "x"}),
        ("/trade", {"id": "x/99999999999999999999"}), ("/run", {}), ("/run", {"id": "../.."}), ("/compare", {"runs": RUN}),
        ("/compare", {"runs": f"{RUN},nothing"}), ("/manifests", {"sha256": "nothing"}), ("/audit", {"before": "-1"}),
        ("/audit", {"before": "9" * 30}), ("/audit", {"severity": "grave"}), ("/audit", {"before": "²"}),
    ]  # fmt: skip
    for path, query in wrong:
        with pytest.raises(InputError):
            page_at(path).read(source, tuple(sorted(query.items())))


def test_paths_are_unique_and_the_first_page_is_the_live_monitor():
    paths = [page.path for page in PAGES]
    assert len(paths) == len(set(paths))
    assert page_at("/").path == page_at("/live/").path == "/live"
    assert page_at("/nothing") is None


@pytest.mark.parametrize("path", ["/backtests", "/run", "/compare"])
def test_a_figure_of_merit_is_rounded_on_every_page_as_everywhere(source, path):
    WORLDS["one"](source)
    page = page_at(path)
    drawn = page.draw(page.read(source, queries(page, {})[0]), Look())
    cells = [
        (text_of(part), getattr(part, "className", "")) for part in parts(drawn) if isinstance(part, html.Td | html.Div)
    ]
    assert [style for text, style in cells if text == "+1.23"]  # of 1.234567
    assert {style for text, style in cells if text == "+1.23"} <= {"number", "value"}
    assert not [text for text, _ in cells if "1.234567" in text]

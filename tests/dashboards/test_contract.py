"""Every route of the server, by every method and role: what is not open is closed, and a post needs a form token."""

import pytest

from atb.dashboards.access import login_rows
from atb.dashboards.gate import OPEN, needed_role
from atb.dashboards.page import has_rights
from tests.dashboards.conftest import ROLES

FILLED = {"export_type": "csv", "form": "rules", "package_name": "dash", "fingerprinted_path": "x.js"}
WRITING = {"POST", "PUT", "PATCH", "DELETE"}


def routes(server):
    """Yield rule, path and method of every route."""
    adapter = server.url_map.bind("localhost")
    for rule in server.url_map.iter_rules():
        values = {name: FILLED.get(name, "x") for name in rule.arguments}
        path = adapter.build(rule.endpoint, values, method=next(iter(rule.methods - {"OPTIONS", "HEAD"})))
        for method in sorted(rule.methods):
            yield rule.rule, path, method


def test_every_route_by_every_method_asks_for_a_login(server, stranger):
    found = [
        (path, method, answer.status_code)
        for rule, path, method in routes(server)
        if rule not in OPEN
        and (answer := stranger.client.open(path, method=method, headers={"Accept": "text/html"})).status_code
        not in {302, 401}
    ]
    assert found == []


@pytest.mark.parametrize("role", ROLES)
def test_no_role_reaches_the_routes_of_a_higher_one(server, signed_in, role, monkeypatch):
    monkeypatch.setattr(login_rows, "note", lambda *_, **__: None)  # a hundred rows on disk say nothing more
    browser = signed_in(role)
    higher = [
        (path, method)
        for rule, path, method in routes(server)
        if (needed := needed_role(rule, path)) is not None and not has_rights(role, needed)
    ]
    assert bool(higher) == (role != "admin")
    answers = {(path, method): browser.client.open(path, method=method).status_code for path, method in higher}
    assert {each for each, code in answers.items() if code != 403} == set()


def test_nothing_is_posted_without_a_form_token(server, signed_in, stranger):
    admin = signed_in("admin")
    writing = [(rule, path, method) for rule, path, method in routes(server) if method in WRITING]
    assert len(writing) > 50
    found = []
    for rule, path, method in writing:
        browser = stranger if rule in OPEN else admin
        code = browser.client.open(path, method=method, json={}, headers={"X-CSRFToken": "made up"}).status_code
        if code != 400:
            found.append((path, method, code))
    assert found == []


def test_a_route_that_is_added_later_is_closed_too(server, stranger):
    assert needed_role("/new", "/new") == "viewer"
    assert needed_role("", "/admin/unknown") == "admin"
    assert needed_role("/<path:path>", "/control") == "operator"
    assert stranger.get("/anything/at/all").status_code == 302
    assert stranger.client.get("/anything").status_code == 401


def test_every_answer_carries_the_headers(server, signed_in, stranger):
    admin = signed_in("admin")
    for browser, path in (
        (stranger, "/login"),
        (admin, "/"),
        (admin, "/admin/fill/"),
        (admin, "/nothing"),
        (admin, "/style.css"),
    ):
        headers = browser.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-eval" not in policy
        assert "script-src 'self' 'nonce-" in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert "Strict-Transport-Security" not in headers

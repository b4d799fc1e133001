"""Login and logout: by name and password, bounded in number, and never to another server."""

import re

import pytest
from sqlalchemy import select

from atb.dashboards.access import logins, passwords
from atb.dashboards.gate import safe_next
from atb.db import open_database
from atb.db.access import LoginRow
from atb.db.tables import EventRow
from tests.dashboards.conftest import PASSWORD
from tests.dashboards.viewers import wanted


def trail(settings, *kinds):
    """Return the audit trail's rows of some kinds, oldest first."""
    database = open_database(settings.database.url)
    with database.session(read_only=True) as session:
        rows = session.scalars(select(EventRow).where(EventRow.kind.in_(kinds)).order_by(EventRow.id)).all()
    database.close()
    return [(row.kind, row.severity, row.detail) for row in rows]


def test_a_user_signs_in_and_goes_where_was_asked_first(stranger, settings):
    asked = stranger.get("/live?x=1")
    assert (asked.status_code, asked.location) == (302, "/login?next=%2Flive%3Fx%3D1")
    done = stranger.sign_in("viewer", wanted="/live?x=1")
    assert (done.status_code, done.location) == (303, "/live?x=1")
    assert stranger.get("/").status_code == 200
    assert [(kind, detail["user"]) for kind, _, detail in trail(settings, "login")] == [("login", "viewer")]


def test_the_cookie_is_kept_from_scripts_and_its_token_is_stored_as_a_hash(stranger, settings):
    cookie = next(line for line in stranger.sign_in("viewer").headers.getlist("Set-Cookie") if "atb_login" in line)
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    token = re.search(r"atb_login_80=([^;]+)", cookie)[1]
    database = open_database(settings.database.url)
    with database.session(read_only=True) as session:
        (row,) = session.scalars(select(LoginRow)).all()
    database.close()
    assert token not in str(vars(row))
    assert len(row.token_sha256) == 64


@pytest.mark.parametrize(
    ("name", "password"), [("viewer", "wrong"), ("no one", PASSWORD), ("", ""), ("VIEWER", PASSWORD)]
)
def test_a_wrong_name_and_a_wrong_password_are_refused_alike(stranger, settings, name, password):
    done = stranger.sign_in(name, password)
    assert done.status_code == 401
    assert "Name or password is wrong." in done.text
    assert stranger.get("/").status_code == 302
    ((_, severity, detail),) = trail(settings, "login_refused")
    assert (severity, detail["user"]) == ("warning", "viewer" if name == "viewer" else "unknown")
    assert password not in str(detail) or not password


def test_a_user_who_does_not_exist_costs_as_much_as_a_wrong_password(stranger, monkeypatch):
    verified = []
    real = passwords.HASHER.verify
    hasher = type(
        "Counting", (), {"hash": passwords.HASHER.hash, "verify": lambda _, *a: verified.append(a) or real(*a)}
    )
    monkeypatch.setattr(passwords, "HASHER", hasher())
    stranger.sign_in("viewer", "wrong")
    stranger.sign_in("no one", "wrong")
    assert len(verified) == 2
    assert [given[0].rpartition("$")[0].rpartition("$")[0] for given in verified[:1]] == [
        given[0].rpartition("$")[0].rpartition("$")[0] for given in verified[1:]
    ], "the same parameters"


def test_tries_are_bounded_for_one_address_and_a_form_token_is_no_way_round(stranger, server):
    codes = [stranger.sign_in("viewer", "wrong").status_code for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2
    assert stranger.sign_in("viewer").status_code == 429
    other = type(stranger)(server.test_client())
    other.client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert other.sign_in("viewer").status_code == 303


def test_an_ipv6_household_counts_as_one(server, stranger):
    codes = []
    for number in range(12):
        stranger.client.environ_base["REMOTE_ADDR"] = f"2001:db8::{number:x}"
        codes.append(stranger.sign_in("viewer", "wrong").status_code)
    assert codes[-1] == 429


def test_signing_out_ends_the_login_for_good(signed_in, settings):
    browser = signed_in("viewer")
    cookie = browser.client.get_cookie("atb_login_80").value
    assert browser.post("/logout", page="/me").status_code == 303
    browser.client.set_cookie("atb_login_80", cookie)
    assert browser.get("/").status_code == 302
    assert [kind for kind, _, _ in trail(settings, "logout")] == ["logout"]


def test_two_servers_on_one_host_do_not_sign_each_other_out(server, stranger):
    """A browser sends the cookies of a host to all of its ports."""
    ports = ("localhost:8050", "localhost:8060")
    for port in ports:
        asked = {"base_url": f"http://{port}", "headers": {"Accept": "text/html"}}
        form = stranger.client.get("/login", **asked).text
        token = re.search(r'name="csrf_token" value="([^"]+)"', form)[1]
        data = {"csrf_token": token, "name": "viewer", "password": PASSWORD}
        assert stranger.client.post("/login", data=data, **asked).status_code == 303
    for port in ports:
        page = stranger.client.get("/", base_url=f"http://{port}")
        assert page.status_code == 200
        assert f'"_csrf_token_{port[-4:]}"' in page.text, "the name that Dash's script reads"
        assert any(cookie.startswith(f"_csrf_token_{port[-4:]}=") for cookie in page.headers.getlist("Set-Cookie"))
    names = {cookie.key for cookie in stranger.client._cookies.values()}
    assert {"atb_login_8050", "atb_login_8060", "atb_form_8050", "atb_form_8060"} <= names


@pytest.mark.parametrize(
    ("host", "code"),
    [("localhost.", 200), ("LOCALHOST.:8050", 200), ("127.0.0.1.", 200), ("localhost..", 421), ("localhost.evil", 421),
     (".", 421), ("localhost:x", 200), ("localhost:99999", 200)],
)  # fmt: skip
def test_it_answers_to_this_machine_s_names_in_every_spelling_and_to_no_other(stranger, host, code):
    assert stranger.client.get("/login", headers={"Host": host}).status_code == code


def test_a_form_token_from_before_the_login_is_of_no_use_after_it(stranger):
    before = stranger.token("/login")
    stranger.sign_in("admin")
    assert stranger.client.post("/logout", data={"csrf_token": before}).status_code == 400


def test_a_login_cookie_of_someone_s_making_lets_no_one_in(stranger):
    for made in ("", "x", "x" * 4_000, "\x00", "ä", "0" * 43):
        stranger.client.set_cookie("atb_login_80", made)
        assert stranger.get("/").status_code == 302


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "\\/evil", "javascript:alert(1)", "/a\nb", " /x",
     "/\t/evil", None, "", "///x", "/a\\b", "http:/x"],
)  # fmt: skip
def test_the_next_page_is_always_on_this_server(wanted):
    assert safe_next(wanted) == "/"


@pytest.mark.parametrize("wanted", ["/", "/live", "/live?x=1&y=//z", "/why?trade=a%2F1"])
def test_a_page_of_this_server_is_gone_to(wanted):
    assert safe_next(wanted) == wanted


def test_a_password_is_changed_by_who_knows_it_and_all_logins_end(signed_in, settings, stranger, monkeypatch):
    monkeypatch.setattr(logins, "CHECKED_S", 0.0)
    one, other = signed_in("operator"), signed_in("operator")
    new = "another long password"
    for present, first, again in (("wrong", new, new), (PASSWORD, new, "different"), (PASSWORD, "short", "short")):
        refused = one.post("/me/password", page="/me", present=present, new=first, again=again)
        assert (refused.status_code, refused.location) == (303, "/me")
    done = one.post("/me/password", page="/me", present=PASSWORD, new=new, again=new)
    assert done.location == "/login"
    assert one.get("/").status_code == 302
    assert other.get("/").status_code == 302
    assert stranger.sign_in("operator").status_code == 401
    assert stranger.sign_in("operator", new).status_code == 303


def test_brackets_nested_by_the_thousand_are_refused_before_any_login(stranger):
    stranger.client.set_cookie("atb_login_80", "made up")
    deep = stranger.client.post("/_dash-update-component", data="[" * 100_000, content_type="application/json")
    assert deep.status_code == 400


def test_twenty_viewers_of_a_page_cost_one_reading_of_the_database(signed_in, site, monkeypatch):
    viewers, before = [signed_in(role) for role in ("viewer", "operator", "admin")], site.snapshots.readings
    monkeypatch.setattr("atb.dashboards.snapshots.monotonic", lambda: 1.0)  # all of them within one moment
    answers = [viewers[number % 3].ask(wanted()) for number in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert all("Live: paper" in answer.text for answer in answers)
    assert site.snapshots.readings == before + 1


def test_a_callback_that_no_page_sends_is_refused_in_one_line(signed_in, caplog):
    viewer, sound = signed_in("viewer"), wanted()
    assert viewer.ask(sound).status_code == 200
    odd = [{}, [], 1, None, {**sound, "output": "page.children"}, {**sound, "outputs": [1]}, {**sound, "inputs": {}}]
    odd += [
        {**sound, "inputs": sound["inputs"][:2]},
        {**sound, "state": [{"id": "shown", "property": "data", "value": 7}]},
    ]
    for look in (3, {"dark": 1, "narrow": False}, {"dark": True}):
        odd.append({**sound, "inputs": [*sound["inputs"][:3], {"id": "look", "property": "data", "value": look}]})
    assert {viewer.ask(body).status_code for body in odd} == {400}
    assert "Traceback" not in caplog.text

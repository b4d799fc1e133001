"""Where the server listens: on this machine, or elsewhere by TLS or behind a stated proxy, and by no other way."""

import http.client
import ssl
import threading
from contextlib import closing, contextmanager

import pytest
import trustme
from flask import Flask, request

from atb.dashboards import listening
from atb.dashboards.listening import Place
from atb.dashboards.server import form_secret, make_server
from atb.dashboards.site import Reach, Site
from atb.errors import InputError
from tests.dashboards.conftest import Browser
from tests.timeouts import PATIENCE_S


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.org", ""])
def test_another_machine_is_not_let_in_in_the_clear(host):
    with pytest.raises(InputError, match="in the clear"):
        Place(host)
    assert Place(host, proxy="10.0.0.5").reach == Reach(secure=True, proxied=True)


@pytest.mark.parametrize("proxy", ["*", "", "proxy.example.org", "localhost", "10.0.0.0/8"])
def test_a_proxy_is_named_by_its_address_and_never_everyone(proxy):
    with pytest.raises(InputError, match="by its IP address"):
        Place("0.0.0.0", proxy=proxy)


def test_loopback_needs_nothing(tmp_path):
    assert Place().reach == Place("localhost").reach == Place("::1").reach == Reach()
    with pytest.raises(InputError, match="its key"):
        Place(certificate=tmp_path / "x.pem")
    with pytest.raises(InputError, match="not at both"):
        Place(certificate=tmp_path / "x.pem", key=tmp_path / "y.pem", proxy="10.0.0.5")


@contextmanager
def serving(app, place):
    """Serve in a thread for the length of a block, and yield the link."""
    found, ready = [], threading.Event()
    thread = threading.Thread(
        target=listening.serve, args=(app, place, lambda link: (found.append(link), ready.set())), daemon=True
    )
    thread.start()
    assert ready.wait(PATIENCE_S)
    yield found[0]


@pytest.fixture
def echo():
    app = Flask(__name__)

    @app.route("/echo", methods=["GET", "POST"])
    def show():
        return {"from": request.remote_addr, "scheme": request.scheme, "host": request.host, "body": len(request.get_data()),
                "stated": request.headers.get("X-Forwarded-For")}  # fmt: skip

    @app.get("/two")
    def two():
        return "x", 200, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]

    return app


def test_plain_http_serves_on_a_free_port_and_believes_no_client_about_itself(echo):
    with serving(echo, Place(port=0)) as link:
        port = int(link.rsplit(":", 1)[1].strip("/"))
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
            connection.request("GET", "/echo", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"})
            body = connection.getresponse().read().decode()
    assert '"from":"127.0.0.1"' in body
    assert '"scheme":"http"' in body
    assert "6.6.6.6" not in body


def test_a_port_that_is_taken_is_one_clear_error(echo):
    with serving(echo, Place(port=0)) as link:
        port = int(link.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(InputError, match="cannot listen there"):
            listening.serve(echo, Place(port=port), print)


@pytest.fixture
def certificate(tmp_path):
    """Return certificate, key and authority."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "chain.pem").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"


def test_tls_ends_here_and_who_asked_is_known_behind_it(echo, certificate):
    chain, key, authority = certificate
    with serving(echo, Place(port=0, certificate=chain, key=key)) as link:
        assert link.startswith("https://127.0.0.1:")
        port = int(link.rsplit(":", 1)[1].strip("/"))
        context = ssl.create_default_context(cafile=authority)
        with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE_S, context=context)) as connection:
            connection.request("POST", "/echo?a=%2F", body=b"x" * 100_000, headers={"X-Forwarded-For": "6.6.6.6"})
            body = connection.getresponse().read().decode()
            connection.request("GET", "/two")
            answer = connection.getresponse()
            answer.read()
    assert '"from":"127.0.0.1"' in body
    assert '"scheme":"https"' in body
    assert '"body":100000' in body
    assert f'"host":"127.0.0.1:{port}"' in body
    assert "6.6.6.6" not in body
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]


def test_files_that_are_no_certificate_are_one_clear_error(echo, tmp_path, certificate):
    chain, key, _ = certificate
    (tmp_path / "bad.pem").write_text("nothing")
    for one, other in ((tmp_path / "bad.pem", key), (chain, tmp_path / "bad.pem"), (chain, tmp_path / "missing.pem")):
        with pytest.raises(InputError, match="cannot be used"):
            listening.serve(echo, Place(port=0, certificate=one, key=other), print)


# --- the way by which it is asked -------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8050", "127.0.0.1.evil.example", "10.0.0.1"])
def test_a_page_that_points_its_own_name_here_is_refused(stranger, host):
    assert stranger.get("/login", headers={"Host": host}).status_code == 421
    for own in ("localhost", "127.0.0.1:8050", "[::1]:8050"):
        assert stranger.get("/login", headers={"Host": own}).status_code == 200


def test_behind_a_proxy_only_tls_is_answered_and_cookies_never_travel_without(settings, site):
    proxied = Site(settings, site.link, b"x" * 32, reach=Reach(secure=True, proxied=True))
    browser = Browser(make_server(proxied).test_client())
    assert browser.get("/login", base_url="http://desk.example").status_code == 403
    page = browser.get("/login", base_url="https://desk.example")
    assert page.status_code == 200
    assert page.headers["Strict-Transport-Security"]
    cookies = page.headers.getlist("Set-Cookie")
    assert cookies
    assert all("Secure" in cookie and "__Host-" in cookie for cookie in cookies)


def test_the_key_of_form_tokens_is_kept_for_its_owner_alone(tmp_path):
    made = form_secret(tmp_path / "keys")
    assert form_secret(tmp_path / "keys") == made
    assert ((tmp_path / "keys" / "dashboards.key").stat().st_mode & 0o777) == 0o600
    (tmp_path / "file").touch()
    assert len(form_secret(tmp_path / "file")) == 32

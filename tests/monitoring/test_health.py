"""The health page: it answers while the runner is busy, tells the truth about it, and only to those it is for."""

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import threading
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from atb.errors import SetupError
from atb.monitoring import health as page
from atb.monitoring.health import READY, Health, Vitals
from atb.monitoring.metrics import Metrics
from atb.redaction import Redactor, install
from tests.timeouts import PATIENCE_S, wait_until


@pytest.fixture
def health():
    with Health(Vitals(), Metrics()).start() as started:
        yield started


def ask(health, path, method="GET", headers=None, body=None):
    """Return status and text, by a plain HTTP client."""
    place = urlsplit(health.address)
    with closing(http.client.HTTPConnection(place.hostname, place.port, timeout=PATIENCE_S)) as connection:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        ask.headers = dict(answer.getheaders())
        return answer.status, answer.read().decode()


def test_a_runner_is_ready_when_every_condition_was_told_to_be_good(health):
    status, text = ask(health, "/readyz")
    assert status == 503
    assert json.loads(text)["conditions"]["lease"] == {"ok": False, "found": "not known yet"}
    for name in READY:
        health.vitals.tell(name, True)
    assert ask(health, "/readyz")[0] == 200
    health.vitals.tell("streams", False, "no frame for 40 s")
    status, text = ask(health, "/readyz")
    assert status == 503
    assert json.loads(text)["conditions"]["streams"] == {"ok": False, "found": "no frame for 40 s"}
    with pytest.raises(ValueError, match="a condition is one of"):
        health.vitals.tell("mood", True)


def test_status_shows_the_last_picture_and_no_secret_of_it(health):
    assert ask(health, "/status") == (200, "{}")
    install(Redactor(("kNrYkNrY",)))
    try:
        health.vitals.show(
            {"equity": "10000.1", "note": "key kNrYkNrY", "api_key": "x", "at": None, "nan": float("nan")}
        )
    finally:
        install(Redactor())
    status, text = ask(health, "/status")
    assert (status, ask.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert json.loads(text) == {"equity": "10000.1", "note": "key ***", "api_key": "***", "at": None, "nan": "nan"}


def test_metrics_are_read_by_prometheus_own_parser(health):
    from prometheus_client.parser import text_string_to_metric_families

    health._metrics.equity.set(12_345.5)
    status, text = ask(health, "/metrics")
    assert status == 200
    assert ask.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert found["atb_equity"][0].value == 12_345.5


def test_without_metrics_there_is_no_such_page():
    with Health(Vitals()).start() as health:
        assert ask(health, "/metrics")[0] == 404
        assert ask(health, "/livez")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/status", "/metrics"])
def test_the_page_is_read_only(health, method, path):
    assert ask(health, path, method, body=b"{}" if method in {"POST", "PUT"} else None)[0] == 405


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/status/", "/livez/../status", "//status", "/halt"])
def test_there_are_no_other_pages(health, path):
    assert ask(health, path)[0] == 404


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil", "[::2]", "[x", ""],
)
def test_a_request_that_was_meant_for_another_host_gets_nothing(health, host):
    status, text = ask(health, "/status", headers={"Host": host})
    assert status in {400, 403}
    assert "{" not in text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1", "127.0.0.1:1", "[::1]:80", "127.1.2.3"])
def test_this_machines_own_names_are_answered(health, host):
    assert ask(health, "/livez", headers={"Host": host})[0] == 200


def test_two_host_headers_are_refused(health):
    place = urlsplit(health.address)
    with socket.create_connection((place.hostname, place.port), timeout=PATIENCE_S) as raw:
        raw.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert raw.recv(100).split()[1] in {b"400", b"403"}


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", "::"])
def test_another_machines_address_is_refused_unless_that_is_said(host):
    with pytest.raises(SetupError, match="for this machine alone"):
        Health(Vitals(), host=host)


def test_a_public_page_answers_under_any_name():
    with Health(Vitals(), host="0.0.0.0", public=True).start() as health:
        port = health._socket.getsockname()[1]
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
            connection.request("GET", "/livez", headers={"Host": "runner.internal"})
            assert connection.getresponse().status == 200


def test_a_taken_port_is_one_clear_refusal(health):
    port = urlsplit(health.address).port
    with pytest.raises(SetupError, match=r"cannot listen there.*live\.health_port"):
        Health(Vitals(), port=port)


def test_the_port_is_free_again_when_the_page_is_closed():
    first = Health(Vitals()).start()
    port = urlsplit(first.address).port
    first.close()
    Health(Vitals(), port=port).start().close()


def test_nothing_tells_a_browser_to_keep_the_page(health):
    ask(health, "/status")
    assert (ask.headers["Cache-Control"], ask.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert "aiohttp" not in ask.headers["Server"]


def test_the_page_answers_while_the_runner_is_busy_and_says_that_it_is(monkeypatch):
    """The event loop of the runner is blocked by a computation; a thread of Python still gets its turns."""
    monkeypatch.setattr(page, "OLDEST_TICK", 0.5)
    monkeypatch.setattr(page, "_ASK_EVERY", 0.05)

    def says(health, status):
        wait_until(lambda: ask(health, "/livez")[0] == status)

    async def runner(health):
        health.start(asyncio.get_running_loop())
        await asyncio.to_thread(says, health, 200)
        watcher = threading.Thread(target=says, args=(health, 503))
        watcher.start()
        while watcher.is_alive():
            sum(range(1_000))
        await asyncio.to_thread(says, health, 200)

    with Health(Vitals()) as health:
        asyncio.run(runner(health))
        says(health, 503)  # the runner's loop is gone


def test_a_real_process_answers_until_it_is_told_to_end(tmp_path):
    program = (
        "import sys\nfrom atb.monitoring.health import Health, Vitals\nfrom atb.monitoring.metrics import Metrics\n"
        "with Health(Vitals(), Metrics()).start() as health:\n    print(health.address, flush=True)\n    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    address = process.stdout.readline().strip()
    place = urlsplit(address)
    with closing(http.client.HTTPConnection(place.hostname, place.port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
    process.communicate("", timeout=PATIENCE_S)
    assert process.returncode == 0

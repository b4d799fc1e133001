"""Random secrets through every path that text can take out of a process; everything it wrote is searched for them."""

import base64
import secrets as entropy
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from atb.db import open_database
from atb.live.journal.kill_switch import set_halt
from atb.live.journal.step import Notice, OrderEvent
from atb.redaction import Redactor, install
from tests.rehearsal.ledger import START, became, close, open_journal, working
from tests.timeouts import PATIENCE_S

PROGRAM = Path(__file__).with_name("leaky_program.py")


class Exchange(BaseHTTPRequestHandler):
    """Refuses, breaks off and hangs up, as asked; keeps the signatures that it was sent."""

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        asked = parse_qs(urlsplit(self.path).query) | parse_qs(body)
        self.server.signatures += asked.get("signature", [])
        self.server.keys.append(self.headers.get("X-MBX-APIKEY"))
        fault = asked.get("fault", [""])[0]
        if fault == "reset":
            self.connection.close()
            return
        # The venue itself may repeat what it was sent.
        echo = f"{self.path} {self.headers.get('X-MBX-APIKEY')}"
        content = f'{{"code":-1022,"msg":"Signature for this request is not valid: {echo}"}}'.encode()
        self.send_response(500 if fault == "500" else 200 if fault == "truncated" else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content) + (50 if fault == "truncated" else 0)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


@pytest.fixture
def exchange():
    with HTTPServer(("127.0.0.1", 0), Exchange) as server:
        server.signatures, server.keys = [], []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


def spellings(secret: str) -> set[bytes]:
    raw = secret.encode()
    texts = {secret, quote(secret, safe=""), quote(secret, safe="").lower(), quote(quote(secret, safe=""), safe="")}
    return {text.encode() for text in texts} | {base64.b64encode(raw), raw.hex().encode()}


@pytest.mark.parametrize("form", ["json", pytest.param("text", marks=pytest.mark.slow)])
def test_no_secret_leaves_a_process_by_any_path(tmp_path, exchange, form):
    key, secret = "kNrY" + entropy.token_urlsafe(30) + "+/=", "kNrY" + entropy.token_urlsafe(30) + "&?%"
    folder = tmp_path / "out"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, PROGRAM, key, secret, f"http://127.0.0.1:{exchange.server_port}", folder, form],
        capture_output=True, cwd=tmp_path, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr.decode()[-2000:]
    assert len(exchange.signatures) >= 6, "real signed requests were sent"
    assert key in exchange.keys
    written = {"stdout": done.stdout, "stderr": done.stderr} | {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()
    }
    assert {"beside.log", "atb.db"} <= set(written)
    texts = (
        "it failed",
        "too few",
        "finalizer",
        "thread ***",
        "nobody awaits",
        "VenueError",
        "ExceptionGroup",
        "BTC/USDT",
    )
    assert [text for text in texts if text not in done.stderr.decode()] == []
    assert b"root said" in written["beside.log"]
    wanted = [spelling for secret_text in (key, secret, *exchange.signatures) for spelling in spellings(secret_text)]
    leaks = [
        (name, line[:300])
        for name, content in written.items()
        for line in content.splitlines()
        if any(secret_text in line for secret_text in wanted)
    ]
    assert leaks == []
    assert all(b"kNrY" not in content for content in written.values())


def test_no_secret_reaches_a_row_of_the_journal(tmp_path):
    """Whatever a venue, a library or an operator put into a text, the journal keeps it without the secrets of this process."""
    secret = "kNrY" + entropy.token_urlsafe(30)
    signed = f"GET https://x/api/v3/order?timestamp=1&signature={entropy.token_hex(32)}kNrY"
    install(Redactor((secret,)))
    database = open_database(f"sqlite:///{tmp_path / 'atb.db'}")
    try:
        journal = open_journal(database)
        entry, late = working(), working("stop", type="stop")
        texts = {
            "text": f"{signed} {secret}",
            "headers": {"X-MBX-APIKEY": "kNrY"},
            "nested": [{"apiKey": ["kNrY"]}, secret],
        }
        notice, order_events = (
            Notice("venue", texts, "error"),
            OrderEvent(entry.order.client_id, "answer", texts, START),
        )
        journal.commit(close(0, placed=[entry, late], notices=[notice], order_events=[order_events]))
        journal.commit(close(1, changes=became(entry, "rejected", refusal=f"{signed} {secret}")))
        set_halt(database, "paper", "pause", reason=f"leaked {secret}", source="a test")
        journal.end("stopped", texts)
    finally:
        database.close()
        install(Redactor())
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"https://x/api/v3/order" in content
    assert b"leaked ***" in content
    assert b"kNrY" not in content

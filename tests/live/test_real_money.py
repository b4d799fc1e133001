"""The real runner as a process: whatever its environment holds, it does not trade real money unless a person said so."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from sqlalchemy import func, select

from atb.db import open_database
from atb.db.tables import AcknowledgementRow, SessionRow
from atb.promotion.manifest import load_manifest
from tests.live.desk import warm_result
from tests.promotion.test_live import signed_live
from tests.timeouts import PATIENCE_S

WORDS = "main max-loss 250"


class Exchange(BaseHTTPRequestHandler):
    """Counts whoever comes near it."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_error(500)

    do_POST = do_DELETE = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def armed():
    """An environment with everything that a variable can say, and an exchange that counts who asks it."""
    with HTTPServer(("127.0.0.1", 0), Exchange) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.asked, {
            "ATB__EXCHANGE__API_KEY": "k" * 20, "ATB__EXCHANGE__API_SECRET": "s" * 20, "ATB__LIVE__ACCOUNT": "main",
            "ATB__LIVE__MAX_LOSS": "250", "ATB__EXCHANGE__BASE_URL": f"http://127.0.0.1:{server.server_port}",
            "LIVE": "1", "ACK": WORDS, "ATBLIVE": WORDS, "ATBACK": WORDS,
        }  # fmt: skip
        server.shutdown()


@pytest.fixture
def manifests(sqlite_desk):
    paper = sqlite_desk.promote(warm_result(sqlite_desk.stock(60, 1)))
    return {"paper": paper, "live": signed_live(sqlite_desk, load_manifest(paper))}


@pytest.mark.parametrize(
    ("mode", "arguments", "message"),
    [
        ("live", ("--account", "main"), "--live was not given"),
        pytest.param(
            "paper",
            ("--account", "main", "--live", "--ack", WORDS),
            "promoted to live, not to paper",
            marks=pytest.mark.slow,
        ),
        pytest.param("live", ("--account", "main", "--live"), f'Type it: --ack "{WORDS}"', marks=pytest.mark.slow),
        pytest.param(
            "live",
            ("--account", "main", "--live", "--ack", "main max-loss 2500"),
            "not of this account and its largest loss",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "live", ("--account", "other", "--live", "--ack", WORDS), "account main alone", marks=pytest.mark.slow
        ),
    ],
)
def test_half_of_it_is_refused_before_anything_is_asked_of_the_exchange(
    sqlite_desk, armed, manifests, mode, arguments, message
):
    asked, environment = armed
    process = sqlite_desk.start(manifests[mode], *arguments, env=environment)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, stderr
    assert message in stderr
    assert asked == []
    database = open_database(sqlite_desk.url)
    with database.session(read_only=True) as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in (AcknowledgementRow, SessionRow)]
    database.close()
    assert counts == [0, 0]


@pytest.mark.slow
def test_with_every_variable_set_a_live_manifest_still_trades_on_paper(sqlite_desk, armed, manifests):
    asked, environment = armed
    process = sqlite_desk.start(manifests["live"], "--account", "paper", env=environment)
    out, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert "on paper account paper" in out
    assert asked == []


def test_the_words_alone_reach_the_preflight_which_refuses_what_it_cannot_see(sqlite_desk, armed, manifests):
    asked, environment = armed
    process = sqlite_desk.start(manifests["live"], "--account", "main", "--live", "--ack", WORDS, env=environment)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode in {2, 6}, stderr
    assert asked, "the exchange was asked, and did not answer as one"
    database = open_database(sqlite_desk.url)
    with database.session(read_only=True) as session:
        rows = [row.text for row in session.scalars(select(AcknowledgementRow))]
    database.close()
    assert rows == [WORDS]
    assert "kkkk" not in stderr

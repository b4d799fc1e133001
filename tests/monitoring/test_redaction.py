"""Secrets never reach the log: by name, by shape, by value, in messages, structures and tracebacks."""

import io
import json
import logging
import secrets as entropy
import string
import subprocess
import sys
import threading
import time
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from atb.monitoring import Redactor, configure_logging, get_logger
from atb.monitoring.redaction import is_secret_name

WORDS = st.text(string.ascii_letters + string.digits, min_size=8, max_size=40).map(lambda text: f"kNrY{text}")
AWKWARD = st.text(string.printable, min_size=8, max_size=40).map(lambda text: f"kNrY{text}")

# Where exchange libraries, drivers and people put secrets; each text holds one that nobody declared.
PLACES = (
    "binance GET https://api.binance.com/api/v3/account?timestamp=1&recvWindow=5000&signature={} 400 Bad Request",
    "signature={}&symbol=BTCUSDT",
    "{{'X-MBX-APIKEY': '{}', 'Accept': '*/*'}}",
    '{{"apiKey": "{}", "n": 1}}',
    "X-MBX-APIKEY: {}",
    "X-MBX-APIKEY={}",
    "Authorization: Bearer {}",
    "Authorization: Basic {}",
    "authorization='Bearer {}'",
    "CB-ACCESS-SIGN: {}",
    "ATB__EXCHANGE__API_SECRET={}",
    "api_secret='{}'",
    "password = {}",
    "passphrase: {},",
    "listenKey={}",
    "postgresql+psycopg2://me:{}@localhost:5432/atb",
    "could not connect to postgres://me:{}@db.internal/atb, retrying",
    "https://user:{}@example.com/path",
    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
    "private_key={}",
    r'"{{\"secret\": \"{}\"}}"',
    "b'token={}'",
)


@pytest.mark.parametrize("place", PLACES)
@given(secret=WORDS)
def test_a_secret_nobody_declared_is_found_by_its_place(place, secret):
    assert secret not in Redactor().text(place.format(secret))


@given(secret=AWKWARD, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_declared_secret_is_found_anywhere_in_any_spelling(secret, before, after):
    redactor = Redactor((secret,))
    for spelling in (secret, quote(secret, safe=""), json.dumps(secret), repr(secret), repr({"x": secret})):
        assert "kNrY" not in redactor.text(f"{before}{spelling}{after}")


@given(secret=WORDS, name=st.sampled_from(["api_key", "apiSecret", "X-MBX-APIKEY", "password", "jwt", "signature"]))
def test_a_value_under_a_telling_name_is_replaced_at_any_depth(secret, name):
    cleaned = Redactor().value({"a": [{"b": ({name: secret}, {name: {"nested": secret}})}], "n": 1, "flag": True})
    assert secret not in repr(cleaned)
    assert (cleaned["n"], cleaned["flag"]) == (1, True)


@pytest.mark.parametrize(
    "text",
    [
        "order sent client_id=atb-1-smacro-k3x symbol=BTC/USDT quantity=0.10000 price=42000.10",
        "kernel_hash=0f3a fingerprint=deadbeef token_count=4 tokens=5",
        "GET https://api.binance.com/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=1000",
        "sqlite:////data/atb.db opened; designature of 3 keys: a, b",
    ],
)
def test_ordinary_lines_stay_as_they_are(text):
    assert Redactor().text(text) == text


@pytest.mark.parametrize("name", ["client_id", "kernel_hash", "token_count", "symbol", "keys", "signal", "key"])
def test_ordinary_names_are_no_secrets(name):
    assert not is_secret_name(name)


def test_a_short_secret_does_not_blank_the_whole_log():
    assert Redactor(("a",)).text("a bar and a fill") == "a bar and a fill"


def test_a_structure_that_contains_itself_ends():
    loop: dict[str, object] = {}
    loop["self"] = loop
    assert "..." in repr(Redactor().value(loop))


def test_a_long_hostile_text_is_searched_quickly():
    began = time.process_time()
    for piece in ("a-", "a.b_", "x" * 50, "://", "api_", "'", "secret"):
        Redactor(("kNrY",)).text(piece * (20_000 // len(piece)))
    assert time.process_time() - began < 5


@pytest.fixture
def captured():
    """Logging into a string, with one declared secret; everything is put back afterwards."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    before = (list(root.handlers), list(root.filters), root.level)
    yield lambda **options: _configured(options)
    root.handlers[:], root.filters[:] = before[0], before[1]
    root.setLevel(before[2])
    logging.captureWarnings(capture=False)
    sys.excepthook, threading.excepthook = hooks
    structlog.reset_defaults()


def _configured(options):
    stream = io.StringIO()
    secret = entropy.token_urlsafe(24)
    configure_logging("DEBUG", secrets=[secret], stream=stream, **options)
    return stream, secret


@pytest.mark.parametrize("json_lines", [True, False])
def test_no_way_of_logging_lets_a_secret_through(captured, json_lines):
    stream, secret = captured(json_lines=json_lines)
    log = get_logger("atb.test")
    log.info(f"plain {secret}", note=secret, headers={"X-MBX-APIKEY": secret}, url=f"https://x/?signature={secret}")
    log.bind(api_key=secret).warning("bound")
    with structlog.contextvars.bound_contextvars(context=secret):
        log.info("context")
    log.info("keys", balances={secret: 1}, raw=secret.encode())
    logging.getLogger().warning("root %s", secret)
    logging.getLogger("aiohttp").error(ValueError(secret), stack_info=True)
    logging.getLogger("ccxt.base").debug("signed %s", {"signature": secret})
    try:
        raise ValueError(f"GET https://x/?signature={secret}")
    except ValueError:
        log.exception("structured")
        logging.getLogger("urllib3").exception("foreign %s", secret)
    text = stream.getvalue()
    assert secret not in text
    assert text.count("ValueError") >= 2
    assert text.count("***") >= 8


@pytest.mark.parametrize("json_lines", [True, False])
def test_undeclared_secrets_under_telling_names_are_replaced_whole(captured, json_lines):
    stream, _ = captured(json_lines=json_lines)
    get_logger("atb.test").info("connected", credentials={"user": ["kNrY-one"]}, api_key=["kNrY-two"])
    assert "kNrY" not in stream.getvalue()
    assert "connected" in stream.getvalue()


def test_handlers_that_come_later_see_the_redacted_message(captured):
    _, secret = captured(json_lines=True)
    later = io.StringIO()
    handler = logging.StreamHandler(later)
    logging.getLogger().addHandler(handler)
    logging.getLogger("library").warning("signed with %s", secret)
    logging.getLogger().warning("signed with %s", secret)
    assert later.getvalue() == "signed with ***\n" * 2


def test_handlers_that_were_there_before_see_the_root_loggers_messages_redacted(captured):
    _, secret = captured(json_lines=True)
    earlier = io.StringIO()
    logging.getLogger().handlers.insert(0, logging.StreamHandler(earlier))
    logging.getLogger().warning("signed with %s", secret)
    assert earlier.getvalue() == "signed with ***\n"


def test_json_lines_are_json_with_time_level_and_context(captured):
    stream, _ = captured(json_lines=True)
    with structlog.contextvars.bound_contextvars(strategy="sma_cross"):
        get_logger("atb.test").info("decided", side=1.0)
    logging.getLogger("elsewhere").warning("odd")
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {"event": "decided", "side": 1.0, "level": "info", "strategy": "sma_cross"}.items() <= first.items()
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["logger"], second["level"]) == ("odd", "elsewhere", "warning")


def test_the_level_is_kept(captured):
    stream, _ = captured(json_lines=True)
    configure_logging("WARNING", json_lines=True, stream=stream)
    get_logger("atb.test").info("quiet")
    get_logger("atb.test").warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_configuring_twice_writes_each_line_once(captured):
    stream, _ = captured(json_lines=True)
    configure_logging("INFO", json_lines=True, stream=stream)
    logging.getLogger("x").info("once")
    assert len(stream.getvalue().splitlines()) == 1


def test_a_crash_prints_its_traceback_without_the_secret(tmp_path):
    program = tmp_path / "crash.py"
    program.write_text(
        "import sys, threading\n"
        "from atb.monitoring import configure_logging\n"
        "configure_logging(secrets=[sys.argv[1]])\n"
        "def fail(): raise RuntimeError('thread ' + sys.argv[1])\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        "raise RuntimeError('main ' + sys.argv[1])\n",
        encoding="utf-8",
    )
    secret = entropy.token_hex(16)
    done = subprocess.run([sys.executable, program, secret], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert secret not in done.stdout + done.stderr
    assert "RuntimeError: main ***" in done.stderr
    assert "RuntimeError: thread ***" in done.stderr

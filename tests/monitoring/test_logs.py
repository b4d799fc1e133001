"""Logging: no way of it lets a secret through or raises, lines are JSON or for people, and context is bound to blocks."""

import asyncio
import io
import json
import logging
import secrets as entropy
import subprocess
import sys
import threading
import warnings

import pytest
import structlog

from atb.monitoring import bound, configure_logging, get_logger
from atb.monitoring.logs import RedactingHandler, lost_lines
from atb.redaction import Redactor, install


@pytest.fixture
def captured():
    """Logging into a string, with one declared secret; everything is put back afterwards."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    before = (list(root.handlers), list(root.filters), root.level)
    factory, unraisable = logging.getLogRecordFactory(), sys.unraisablehook
    yield lambda **options: _configured(options)
    logging.setLogRecordFactory(factory)
    sys.unraisablehook = unraisable
    install(Redactor())
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
    with bound(strategy="sma_cross"):
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


def test_context_is_bound_to_a_block_and_to_the_tasks_that_start_in_it(captured):
    stream, secret = captured(json_lines=True)
    log = get_logger("atb.test")

    async def inner():
        with bound(client_id="atb-1"):
            log.info("inner")
            logging.getLogger("library").warning("foreign")

    async def outer():
        with bound(strategy="sma", symbol="BTC/USDT", bar="2024-01-01", epoch=3, nothing=None, note=secret):
            await asyncio.gather(inner(), asyncio.create_task(inner()))
            log.info("outer")
        log.info("after")

    asyncio.run(outer())
    lines = [json.loads(line) for line in stream.getvalue().splitlines() if "asyncio" not in line]
    context = {"strategy": "sma", "symbol": "BTC/USDT", "bar": "2024-01-01", "epoch": 3, "note": "***"}
    names = {*context, "client_id", "nothing"}
    found = [(line["event"], {key: value for key, value in line.items() if key in names}) for line in lines]
    inside = {**context, "client_id": "atb-1"}
    assert found == [("inner", inside), ("foreign", inside)] * 2 + [("outer", context), ("after", {})]


def test_extra_fields_are_told_and_redacted_for_every_handler(captured):
    stream, secret = captured(json_lines=True)
    later = io.StringIO()
    handler = logging.StreamHandler(later)
    handler.setFormatter(logging.Formatter("%(message)s %(note)s %(api_key)s %(request)s"))
    logging.getLogger().addHandler(handler)
    extra = {"note": f"see {secret}", "api_key": "kNrY", "request": {"headers": [("X-MBX-APIKEY", "kNrY")]}, "n": 1}
    logging.getLogger("library").warning("signed", extra=extra)
    line = json.loads(stream.getvalue())
    assert (line["note"], line["api_key"], line["n"]) == ("see ***", "***", 1)
    assert later.getvalue() == "signed see *** *** {'headers': [['X-MBX-APIKEY', '***']]}\n"


def test_tracebacks_in_handlers_of_others_are_redacted_through_their_whole_chain(captured):
    _, secret = captured(json_lines=True)
    other = io.StringIO()
    handler = logging.StreamHandler(other)
    logging.getLogger("library").addHandler(handler)
    try:
        try:
            raise ValueError(secret)
        except ValueError as first:
            raise RuntimeError(f"again {secret}") from first
    except RuntimeError:
        logging.getLogger("library").exception("failed", stack_info=True)
    logging.getLogger("library").removeHandler(handler)
    assert secret not in other.getvalue()
    assert "ValueError: ***" in other.getvalue()
    assert "RuntimeError: again ***" in other.getvalue()


class Full(io.StringIO):
    def write(self, _):
        raise OSError(28, "No space left on device")


class Mute:
    def __str__(self):
        raise RuntimeError("no words")

    __repr__ = __str__


def say_everything():
    log = get_logger("atb.test")
    log.info("structured", value=Mute(), keys={Mute(): 1})
    log.exception("no exception at hand")  # noqa: LOG004
    logging.getLogger("library").error("too few %s %s", 1)  # noqa: PLE1206
    logging.getLogger("library").error("odd %d", "x")
    logging.getLogger("library").error(Mute())
    logging.getLogger("library").error("extra", extra={"it": Mute()})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("warned", stacklevel=1)


@pytest.mark.parametrize("json_lines", [True, False])
@pytest.mark.parametrize("kind", ["full", "closed", "sound"])
def test_logging_never_raises_into_the_program(captured, capsys, json_lines, kind):
    captured(json_lines=json_lines)
    stream = Full() if kind == "full" else io.StringIO()
    configure_logging("DEBUG", json_lines=json_lines, stream=stream)
    if kind == "closed":
        stream.close()
    say_everything()
    assert "Logging error" not in capsys.readouterr().err
    if kind == "sound":
        assert lost_lines() == 0
        assert "cannot be rendered" in stream.getvalue()
    else:
        assert lost_lines() >= 5


def test_a_full_disk_costs_lines_and_not_the_program(tmp_path):
    program = (
        "import logging\nfrom atb.monitoring import configure_logging, get_logger\nfrom atb.monitoring.logs import lost_lines\n"
        "configure_logging('DEBUG', secrets=['kNrYkNrY'])\n"
        "for n in range(500):\n"
        "    get_logger('x').info('filled', n=n, note='kNrYkNrY')\n"
        "    logging.getLogger('y').warning('%s', 'kNrYkNrY')\n"
        "print('traded on', lost_lines() > 0)\n"
    )
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )
    assert done.stdout == "traded on True\n"


def test_what_a_formatter_adds_is_redacted_too():
    stream, secret = io.StringIO(), entropy.token_urlsafe(24)
    handler = RedactingHandler(stream, Redactor((secret,)))
    handler.setFormatter(logging.Formatter(f"%(message)s {secret}"))
    handler.handle(logging.makeLogRecord({"msg": "sent"}))
    assert stream.getvalue() == "sent ***\n"

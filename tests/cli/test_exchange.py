"""`atb exchange`: a real process that serves, and options that are refused before it does."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from decimal import Decimal

import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.cli.exchange import COINBASE_KEY, _control_token, make_config
from atb.domain import Symbol
from atb.errors import InputError
from atb.venues.broker import Access, connect
from atb.venues.simulator.server import running_exchange
from tests.timeouts import PATIENCE_S

DEFAULTS = {
    "symbols": (), "walks": ("BTC/USDT",), "timeframe": "1h", "since": None, "venue": None, "host": "127.0.0.1", "port": 0,
    "clock": "virtual", "speed": 1.0, "balances": (), "fee": 0.001, "slippage": 0.0, "fee_in": "base", "faults": None,
    "fault_count": 20, "seed": 7, "ledger": None, "pace": 0.5,
    "coinbase_key": None,
}  # fmt: skip


def test_a_process_serves_a_drawn_market_until_it_is_ended(tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    options = [
        "--walk",
        "BTC/USDT",
        "--clock",
        "virtual",
        "--port",
        "0",
        "--balance",
        "USDT=77",
        "--ledger",
        str(ledger),
    ]
    command = [sys.executable, "-m", "atb", "--root", str(tmp_path), "exchange", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            url = re.search(r"http://\S+?(?=;)", line)[0]
            settings = [process.stdout.readline() for _ in range(2)][-1].split()
            assert settings[0] == f"ATB__EXCHANGE__BASE_URL={url}"
            clock = re.fullmatch(r"ATB__EXCHANGE__CLOCK=ws://control:([\w-]{32})@(\S+)/control/clock", settings[1])
            assert f"http://{clock[2]}" == url
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"{url}/control/state", timeout=PATIENCE_S)
            asked = urllib.request.Request(f"{url}/control/state", headers={"Authorization": f"Bearer {clock[1]}"})
            with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
                state = json.load(answer)
            with urllib.request.urlopen(f"{url}/api/v3/ticker/price?symbol=BTCUSDT", timeout=PATIENCE_S) as answer:
                assert json.load(answer)["price"] == "100.00000000"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(PATIENCE_S) == 130
            finally:
                process.kill()  # whatever happened, nothing is left to wait for
    assert state["balances"] == [{"asset": "USDT", "free": "77.00000000", "locked": "0.00000000"}]
    assert [json.loads(row)["kind"] for row in ledger.read_text().splitlines()] == ["request", "answer"]


def test_a_program_reads_addresses_and_markets_as_one_line_of_json(tmp_path):
    options = ["--walk", "BTC/USDT", "--clock", "virtual", "--port", "0", "--json"]
    command = [sys.executable, "-m", "atb", "--root", str(tmp_path), "exchange", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            facts = json.loads(process.stdout.readline())
            with urllib.request.urlopen(f"{facts['url']}/api/v3/ping", timeout=PATIENCE_S) as answer:
                assert json.load(answer) == {}
        finally:
            process.kill()
    assert facts["keys"] == ["key"]
    assert facts["markets"] == [{"symbol": "BTC/USDT", "timeframe": "1h", "bars": 20_000, "price": 100.0}]
    assert re.fullmatch(r"ws://control:[\w-]{32}@\S+/control/clock", facts["clock"])


def test_with_a_key_of_coinbase_its_own_protocol_is_answered(tmp_path):
    file = tmp_path / "coinbase.pem"
    made = make_config(DEFAULTS | {"walks": ("BTC/USD",), "balances": ("USD=500",), "coinbase_key": file})
    with running_exchange(made) as running:

        async def ask():
            broker = connect(Access("coinbase", COINBASE_KEY, file.read_text(), base_url=running.url), running.clock)
            try:
                await broker.open((Symbol.parse("BTC/USD"),))
                return await broker.balances()
            finally:
                await broker.close()

        assert asyncio.run(ask())["USD"].total == 500
    with pytest.raises(InputError, match="cannot be written"):
        make_config(DEFAULTS | {"coinbase_key": tmp_path / "no" / "folder.pem"})
    (tmp_path / "mine.pem").write_text("a key that somebody needs")
    with pytest.raises(InputError, match="cannot be written"):
        make_config(DEFAULTS | {"coinbase_key": tmp_path / "mine.pem"})
    assert (tmp_path / "mine.pem").read_text() == "a key that somebody needs"


def test_options_become_a_configuration(tmp_path):
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"kind": "lost", "path": "changes"}]))
    made = make_config(DEFAULTS | {"faults": str(faults), "balances": ("btc=2",), "since": "2024-03-01", "fee": 0.002})
    assert (made.balances, made.faults[0].kind, made.execution.fee) == ({"BTC": Decimal(2)}, "lost", 0.002)
    assert (made.start_ms, made.pace) == (1_709_251_200_000, 0.5)
    mixed = make_config(DEFAULTS | {"faults": "standard", "fault_count": 5})
    assert len(mixed.faults) == 5


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"walks": ()}, "needs a market"),
        ({"balances": ("USDT",)}, "ASSET=AMOUNT"),
        ({"balances": ("USDT=-1",)}, "at least 0"),
        ({"faults": "nowhere.json"}, "No such file or mix"),
        ({"speed": 0.0}, "above 0"),
    ],
)
def test_wrong_options_are_refused(changed, text):
    with pytest.raises(InputError, match=text):
        make_config(DEFAULTS | changed)


def test_a_file_of_faults_must_be_one(tmp_path):
    file = tmp_path / "faults.json"
    file.write_text("{")
    with pytest.raises(InputError, match="JSON list"):
        make_config(DEFAULTS | {"faults": str(file)})


def test_a_proxy_needs_both_its_options():
    answer = CliRunner().invoke(main, ["exchange", "--walk", "BTC/USDT", "--proxy-port", "0"])
    assert answer.exit_code == 2
    assert "--ca-file" in answer.output


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--port", "99999", "0<=x<=65535"), ("--fault-count", "-3", "x>=0"), ("--start", "foo", "foo")],
)
def test_bad_input_is_one_clear_error(tmp_path, option, value, words):
    done = CliRunner().invoke(main, ["--root", str(tmp_path), "exchange", "--walk", "BTC/USDT", option, value])
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "example.com", "::"])
def test_other_machines_are_let_in_only_when_that_is_said_twice(host):
    done = CliRunner().invoke(main, ["exchange", "--walk", "BTC/USDT", "--host", host])
    assert done.exit_code == 2
    assert "Other machines could reach" in done.output
    assert "--public" in done.output


def test_the_control_token_is_kept_in_a_file_that_others_cannot_read(tmp_path):
    path = tmp_path / "token"
    before = os.umask(0)
    try:
        token = _control_token(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert _control_token(path) == token
    path.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        _control_token(path)
    path.write_text("short\n")
    path.chmod(0o600)
    with pytest.raises(InputError, match="at least 16"):
        _control_token(path)

"""The runner as a process: what it never loads, how fast it answers, how it refuses an argument."""

import contextlib
import fcntl
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from socket import socket

import pytest

from tests.live.desk import RUNNER, first_open, warm_result
from tests.timeouts import PATIENCE_S

NEVER = ("vectorbt", "papermill", "plotly", "jupyter", "jupyter_client", "nbformat", "nbconvert", "IPython", "sklearn",
         "skl2onnx", "ipywidgets", "atb.backtest", "atb.validation", "atb.reports", "atb.experiments", "atb.workbench")  # fmt: skip
INSPECT = """
import runpy, sys
sys.argv = {arguments!r}
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    assert ended.code == 0, ended.code
print("LOADED", *[name for name in {never!r} if name in sys.modules])
print("TRADED", "atb.engine.kernel" in sys.modules)
"""


def test_a_running_runner_has_loaded_nothing_of_research(sqlite_desk):
    result = warm_result(sqlite_desk.stock(60, 1))
    arguments = [str(RUNNER), str(sqlite_desk.promote(result)), "--from", first_open(result)]
    code = INSPECT.format(arguments=arguments, never=NEVER)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "finished: 53 bars" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["LOADED", "TRADED True"]


def runner(*arguments):
    return subprocess.run([sys.executable, RUNNER, *arguments], capture_output=True, text=True, check=False)


def test_help_answers_without_loading_anything_heavy():
    command = [sys.executable, "-X", "importtime", str(RUNNER), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--account" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in loaded
    assert not loaded & {"numpy", "pandas", "numba", "sqlalchemy", "pydantic", "structlog", "onnxruntime"}


@pytest.mark.slow
def test_a_second_runner_is_told_of_the_first_and_not_of_its_page(sqlite_desk):
    result = warm_result(sqlite_desk.stock(60, 1))
    path, arguments = sqlite_desk.promote(result), ("--from", first_open(result), "--speed", "60")
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    first = sqlite_desk.start(path, *arguments, env={"ATB__LIVE__HEALTH_PORT": port})
    try:
        wait_until(lambda: answers(port), first)
        second = sqlite_desk.start(path, *arguments, env={"ATB__LIVE__HEALTH_PORT": port})
        _, stderr = second.communicate(timeout=PATIENCE_S)
        assert (second.returncode, "is traded by another runner" in stderr) == (3, True), stderr
        other = sqlite_desk.start(path, *arguments, "--account", "other", env={"ATB__LIVE__HEALTH_PORT": port})
        _, stderr = other.communicate(timeout=PATIENCE_S)
        assert (other.returncode, "health page cannot listen" in stderr) == (2, True), stderr
    finally:
        first.terminate()
        first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 0


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=PATIENCE_S) as page:
            return page.status == 200
    except OSError:
        return False


def wait_until(happened, process, seconds=PATIENCE_S):
    until = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_start_beyond_the_bars_is_refused_and_leaves_no_session(sqlite_desk):
    result = warm_result(sqlite_desk.stock(60, 1))
    manifest = str(sqlite_desk.promote(result))
    done = runner(manifest, "--from", "2030-01-01")
    assert done.returncode == 2
    assert "The range is not covered by BTC/USDT 1h (test)" in done.stderr
    assert "found '2030-01-01 00:00 to the end'" in done.stderr
    assert runner(manifest, "--from", first_open(result)).returncode == 0


@pytest.mark.parametrize(
    "table",
    ["session", *(pytest.param(name, marks=pytest.mark.slow) for name in ("decision", "halt", "account_lease"))],
)
def test_a_database_without_one_of_its_tables_is_one_sentence(sqlite_desk, table):
    result = warm_result(sqlite_desk.stock(60, 1))
    manifest = str(sqlite_desk.promote(result))
    assert runner(manifest, "--from", first_open(result), "--account", "first").returncode == 0
    with contextlib.closing(sqlite3.connect(sqlite_desk.url.removeprefix("sqlite:///"))) as database:
        database.execute(f"DROP TABLE {table}")
    done = runner(manifest, "--from", first_open(result), "--account", "second")
    assert done.returncode in {2, 5}, done.stderr
    assert [line[:6] for line in done.stderr.splitlines() if "no such table" in line or "Restore a backup" in line] == [
        "Error:"
    ]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: MANIFEST"),
        (["x.json", "--speed", "0"], "speed is a number above 0"),
        (["x.json", "--speed", "nan"], "speed is a number above 0"),
        (["x.json", "--account", "../up"], "letters, digits"),
        (["x.json", "--account", ""], "letters, digits"),
        (["x.json", "--live", "--rehearse"], "not allowed with argument --live"),
        (["x.json", "--live"], "The manifest cannot be read"),
        (["x.json"], "The manifest cannot be read"),
    ],
)
def test_a_wrong_argument_is_one_error_and_exit_code_2(arguments, message):
    done = runner(*arguments)
    assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr


@pytest.mark.slow
def test_a_log_that_is_not_read_stops_nothing(sqlite_desk):
    """A collector that stood still stopped the loop at the next line, once the pipe between them was full."""
    result = warm_result(sqlite_desk.stock(300, 1))
    arguments = [str(RUNNER), str(sqlite_desk.promote(result)), "--from", first_open(result)]
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4_096)
    try:
        done = subprocess.run(
            [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=writing, text=True, check=False, timeout=PATIENCE_S
        )  # fmt: skip
        os.set_blocking(reading, False)
        assert len(os.read(reading, 65_536)) > 3_000, "the pipe was full"
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.returncode, "finished: 293 bars" in done.stdout) == (0, True), done.stdout


def test_no_environment_variable_makes_anything_real(sqlite_desk):
    result = warm_result(sqlite_desk.stock(40, 1))
    path = sqlite_desk.promote(result)
    wishes = {"ATB_LIVE": "1", "LIVE": "true", "ATB_MODE": "live", "ATB__EXCHANGE__API_KEY": "key-of-a-test",
              "ATB__EXCHANGE__API_SECRET": "secret-of-a-test"}  # fmt: skip
    process = sqlite_desk.start(path, "--from", first_open(result), env=wishes)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "on paper account" in out
    assert "secret-of-a-test" not in out + err

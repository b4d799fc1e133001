"""The doctor tells the truth: each check is shown a broken thing and a sound one."""

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner

from atb.cli import doctor, main
from atb.cli.routes import route_to
from atb.config import load_settings
from atb.data.providers.ccxt_candles import CcxtCandles
from atb.domain import Symbol
from atb.venues.simulator.server import running_exchange
from tests.venues.fidelity.conftest import config, hours_until_now


def put_distribution(folder, name, version, requires=()):
    """Write the metadata of an installed distribution, as pip would."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Requires-Python: >=3.11"]
    text = "\n".join([*lines, *(f"Requires-Dist: {item}" for item in requires)])
    (info / "METADATA").write_text(text + "\n", encoding="utf-8")


@pytest.fixture
def shadow(tmp_path, monkeypatch):
    """A folder first on the module path: distributions put there hide the installed ones."""
    folder = tmp_path / "shadow"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return folder


def test_a_sound_environment_has_no_error(repository):
    found = [*doctor.check_packages(repository / "requirements.lock"), doctor.check_python(), doctor.check_vectorbt()]
    assert [check for check in found if check.status == "error"] == []


def test_a_package_of_a_wrong_version_is_an_error(shadow, tmp_path):
    put_distribution(shadow, "numpy", "1.0")
    found = {check.name: check for check in doctor.check_packages(tmp_path / "no.lock")}
    assert found["package numpy"].status == "error"
    assert "1.0 is installed, <3,>=2.4.6 is required" in found["package numpy"].found


def test_a_missing_package_of_the_core_is_an_error_and_of_an_extra_a_warning(shadow, tmp_path):
    needs = ["no-such-core>=1", "no-such-extra>=1; extra == 'research'", "no-such-windows; sys_platform == 'win32'"]
    put_distribution(shadow, "atb-workbench", "0.1.0", needs)
    found = {check.name: check.status for check in doctor.check_packages(tmp_path / "no.lock")}
    assert found == {"package no-such-core": "error", "package no-such-extra": "warning"}


def test_a_python_that_is_not_wanted_is_an_error(shadow, monkeypatch):
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.10.1")
    assert doctor.check_python().status == "error"


def test_a_version_that_is_not_the_locked_one_is_a_warning(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "click==0.1 \\\n    --hash=sha256:00\nrich==0.2 ; python_version < '3' \\\n    --hash=sha256:00\n",
        encoding="utf-8",
    )
    (found,) = doctor.check_packages(lock)
    assert (found.name, found.status) == ("lock file", "warning")
    assert "click" in found.found
    assert "rich" not in found.found


def test_different_versions_of_vectorbt_and_its_engine_are_an_error(shadow):
    put_distribution(shadow, "vectorbt-rust", "1.1.0")
    found = doctor.check_vectorbt()
    assert (found.status, "vectorbt-rust 1.1.0" in found.found) == ("error", True)


@pytest.mark.parametrize(("off", "status"), [(True, "warning"), (False, "ok")])
def test_switched_off_byte_code_is_a_warning(monkeypatch, off, status):
    monkeypatch.setattr(sys, "dont_write_bytecode", off)
    assert doctor.check_byte_code().status == status


def test_folders_that_can_be_written_are_ok_and_nothing_is_left_in_them(tmp_path):
    (found,) = doctor.check_folders(load_settings())
    assert found.status == "ok"
    assert [path.name for path in tmp_path.iterdir()] == ["atb.toml"]


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path):
    (tmp_path / "runs").write_text("", encoding="utf-8")
    (found,) = doctor.check_folders(load_settings())
    assert (found.status, found.found) == ("error", f"{tmp_path / 'runs'} is a file")


def test_a_folder_that_refuses_files_is_an_error(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    found = doctor.check_folders(load_settings())
    assert {check.status for check in found} == {"error"}
    assert "cannot be written: Permission denied" in found[0].found


def test_a_database_that_is_not_there_yet_is_ok_and_not_made(tmp_path):
    assert doctor.check_database(f"sqlite:///{tmp_path}/atb.db").status == "ok"
    assert not (tmp_path / "atb.db").exists()


def test_a_migrated_database_is_ok(tmp_path):
    from atb.db import open_database

    url = f"sqlite:///{tmp_path}/atb.db"
    open_database(url).close()
    assert "its schema current" in doctor.check_database(url).found


def test_a_file_that_is_no_database_is_an_error(tmp_path):
    (tmp_path / "atb.db").write_bytes(b"this is no database, and long enough to be read as a header of one" * 20)
    assert doctor.check_database(f"sqlite:///{tmp_path}/atb.db").status == "error"


def test_a_server_that_does_not_answer_is_an_error_without_its_password():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        found = doctor.check_database(f"postgresql+psycopg2://me:canary@127.0.0.1:{taken.getsockname()[1]}/atb")
    assert found.status == "error"
    assert "canary" not in repr(found)


@pytest.mark.parametrize("url", ["mysql://u@h/x", "nonsense"])
def test_a_database_url_that_names_no_known_database_is_an_error(url):
    assert doctor.check_database(url).status == "error"


def test_a_kernel_that_is_not_compiled_is_a_warning(monkeypatch):
    from atb.engine import cache

    monkeypatch.setattr(cache, "is_compiled", lambda: False)
    assert doctor.check_kernel().status == "warning"
    monkeypatch.setattr(cache, "is_compiled", lambda: True)
    assert doctor.check_kernel().status == "ok"


def test_the_notebook_kernel_is_found_here():
    assert doctor.check_jupyter().status == "ok"


def test_a_notebook_kernel_whose_interpreter_is_gone_is_an_error(tmp_path, monkeypatch):
    spec = tmp_path / "kernels" / "python3"
    spec.mkdir(parents=True)
    content = {"argv": ["/no/such/python", "-m", "x"], "display_name": "x", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    found = doctor.check_jupyter()
    assert (found.status, "/no/such/python" in found.found) == ("error", True)


class Exchange(BaseHTTPRequestHandler):
    """Answers Binance's time, shifted by the server's `offset_ms`."""

    def do_GET(self):
        content = json.dumps({"serverTime": int(time.time() * 1_000) + self.server.offset_ms}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def exchange(monkeypatch) -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Exchange) as server:
        server.offset_ms = 0
        monkeypatch.setenv("ATB__EXCHANGE__BASE_URL", f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(("offset_ms", "status"), [(0, "ok"), (-60_000, "error"), (60_000, "error")])
def test_the_clock_is_compared_with_the_exchanges(exchange, offset_ms, status):
    exchange.offset_ms = offset_ms
    found = doctor.check_exchange(load_settings())
    assert found.status == status, found


def test_an_exchange_that_cannot_be_reached_is_only_a_warning(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ATB__EXCHANGE__BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        found = doctor.check_exchange(load_settings(), timeout_ms=1_000)
    assert (found.status, found.found) == ("warning", "did not answer: NetworkError")


def test_the_exchange_is_reached_through_the_proxy_and_by_the_certificates_of_the_settings(tmp_path):
    ca_file = tmp_path / "ca.pem"
    with running_exchange(config(hours_until_now("BTC/USDT")), ca_file=ca_file) as running:
        through = {"proxy": running.proxy_url, "ca_file": str(ca_file)}
        assert doctor.check_exchange(load_settings(exchange=through)).found.startswith("answered")
        unknown = doctor.check_exchange(load_settings(exchange={"proxy": running.proxy_url}))
        assert (unknown.status, unknown.found) == ("warning", "did not answer: NetworkError")
        source = CcxtCandles("binance", route=route_to("binance", load_settings(exchange=through)))
        assert source.rules(Symbol.parse("BTC/USDT")).symbol == Symbol.parse("BTC/USDT")


def test_an_exchange_that_ccxt_does_not_know_is_an_error():
    found = doctor.check_exchange(load_settings(exchange={"id": "binanse"}))
    assert (found.status, found.todo) == ("error", "Did you mean 'binance'?")


def test_the_command_prints_each_check_and_exits_by_the_worst(exchange, tmp_path):
    sound = CliRunner().invoke(main, ["doctor"])
    assert sound.exit_code == 0, sound.output
    (tmp_path / "bars").write_text("", encoding="utf-8")
    broken = CliRunner().invoke(main, ["doctor", "--json"])
    report = json.loads(broken.stdout)
    assert (broken.exit_code, report["healthy"]) == (1, False)
    assert [check["name"] for check in report["checks"] if check["status"] == "error"] == [
        f"folder {tmp_path / 'bars'}"
    ]


def test_wrong_settings_are_one_error_and_the_other_checks_still_run(monkeypatch):
    monkeypatch.setenv("ATB__SEED", "x")
    done = CliRunner().invoke(main, ["doctor", "--json"])
    found = {check["name"]: check["status"] for check in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 1
    assert found["settings"] == "error"
    assert "python" in found


def test_doctor_looks_at_what_others_can_read_and_says_what_to_do(tmp_path):
    env, toml = tmp_path / ".env", tmp_path / "atb.toml"
    env.write_text("ATB__EXCHANGE__API_SECRET=kNrY\n")
    env.chmod(0o644)
    (found,) = doctor.check_private(load_settings())
    assert (found.name, found.status, found.todo) == ("private .env", "error", f"chmod 600 {env}")
    env.chmod(0o600)
    toml.write_text('[exchange]\nproxy = "http://me:kNrY@h.example:1"\n')
    toml.chmod(0o644)
    (found,) = doctor.check_private(load_settings())
    assert found.name == "private atb.toml"
    assert "kNrY" not in str(found)
    toml.write_text("")
    assert [check.status for check in doctor.check_private(load_settings())] == ["ok"]
    tmp_path.chmod(0o777)
    assert "go-w" in doctor.check_private(load_settings())[-1].todo

"""Secrets leave a process's environment: what `/proc` shows of it, what its children get, and what it still knows itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from atb.config import load_settings
from atb.environment import hide_secrets, is_secret, secrets_for_child, variables
from atb.errors import ConfigError

CANARY = "kNrY0000000000%/:@"
SECRETS = {
    "ATB__EXCHANGE__API_KEY": CANARY,
    "ATB__EXCHANGE__API_SECRET": CANARY,
    "ATB__DATABASE__URL": f"postgresql://me:{CANARY}@db.example/atb",
    "GITHUB_TOKEN": CANARY,
    "AWS_SECRET_ACCESS_KEY": CANARY,
}
has_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="this system shows no environment of a process"
)


def environment_of(process) -> bytes:
    return Path(f"/proc/{process.pid}/environ").read_bytes()


@has_proc
def test_a_running_command_shows_no_secret_of_its_environment(tmp_path):
    command = [sys.executable, "-m", "atb", "--root", str(tmp_path), "exchange", "--walk", "BTC/USDT", "--port", "0"]
    given = {**os.environ, **SECRETS, "KEPT": "as it is"}
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert "listens" in process.stdout.readline()
            block = environment_of(process)
        finally:
            process.kill()
    assert b"kNrY" not in block
    assert b"KEPT=as it is" in block
    assert b"ATB__EXCHANGE__API_KEY" in block, "it was started with it"


LAUNCHER = """
import subprocess, sys
from atb.environment import hide_secrets, secrets_for_child
from pathlib import Path
with hide_secrets():
    assert b"kNrY" not in Path("/proc/self/environ").read_bytes()
    with secrets_for_child() as options:
        child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True, **options)
    print(child.communicate()[0], child.returncode)
"""
CHILD = """
import os
from pathlib import Path
first = Path("/proc/self/environ").read_bytes().count(b"kNrY")
from atb.environment import hide_secrets
from atb.config import load_settings
with hide_secrets():
    secret = load_settings().exchange.api_secret.get_secret_value()
    print(first, secret, os.environ.get("ATB__EXCHANGE__API_SECRET"), "ATB_SECRETS_PIPE" in os.environ)
"""


@has_proc
def test_a_child_of_ours_gets_them_through_a_pipe_and_never_has_them_in_its_environment(tmp_path):
    given = {**os.environ, **{name: value for name, value in SECRETS.items() if name.startswith("ATB__")}}
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, CHILD], env=given, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == f"0 {CANARY} None False"


def test_settings_still_know_what_was_hidden_and_afterwards_all_is_as_before(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with hide_secrets():
        assert not [name for name in SECRETS if name.startswith("ATB__") and name in os.environ]
        assert os.environ["GITHUB_TOKEN"] == CANARY, "other programs' variables are theirs"
        assert load_settings().exchange.api_key.get_secret_value() == CANARY
        assert variables() == before
        with hide_secrets():
            assert load_settings().exchange.api_secret.get_secret_value() == CANARY
        assert load_settings().exchange.api_secret.get_secret_value() == CANARY
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", ["PATH", "PWD", "OLDPWD", "SSH_AUTH_SOCK", "KEYBOARD", "ATB__DATA__ROOT", "MONKEY"])
def test_ordinary_variables_are_no_secrets(name):
    assert not is_secret(name, "/some/value")


def test_nothing_is_handed_over_where_nothing_was_hidden():
    with secrets_for_child() as options:
        assert options == {"env": dict(os.environ)}


@pytest.fixture
def secret_file(tmp_path, monkeypatch):
    path = tmp_path / "secret"
    path.write_text(CANARY + "\n")
    path.chmod(0o600)
    monkeypatch.setenv("ATB__EXCHANGE__API_SECRET_FILE", str(path))
    return path


def test_a_secret_may_stand_in_a_file_of_its_own(secret_file, tmp_path, monkeypatch):
    assert load_settings().exchange.api_secret.get_secret_value() == CANARY
    monkeypatch.delenv("ATB__EXCHANGE__API_SECRET_FILE")
    (tmp_path / ".env").write_text("ATB__EXCHANGE__API_SECRET_FILE=secret\n")
    assert load_settings().exchange.api_secret.get_secret_value() == CANARY


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.chmod(0o640), "chmod 600"),
        (lambda path: path.chmod(0o602), "chmod 600"),
        (lambda path: path.parent.chmod(0o777), "chmod go-w"),
        (lambda path: (path.rename(path.with_name("other")), path.symlink_to(path.with_name("other"))), "is a link"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_text("\n"), "empty"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "no text"),
        (lambda path: os.environ.__setitem__("ATB__EXCHANGE__API_SECRET", "too"), "given twice"),
    ],
)
def test_a_secrets_file_that_others_can_use_is_refused_with_what_to_do(secret_file, monkeypatch, spoil, message):
    monkeypatch.setenv("ATB__EXCHANGE__API_SECRET", "")
    spoil(secret_file)
    with pytest.raises(ConfigError, match=message) as refused:
        load_settings()
    assert "kNrY" not in str(refused.value)

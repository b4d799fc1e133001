"""`atb keys`: what may sign, and trust that is typed."""

import json

import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.cli.doctor import check_keys
from atb.config import load_settings
from atb.promotion.signing import PRIVATE, PUBLIC, fingerprint, signing_key


def atb(*arguments):
    return CliRunner().invoke(main, ["keys", *map(str, arguments)])


@pytest.fixture
def settings():
    return load_settings()


def test_nothing_is_trusted_until_it_is_typed(settings):
    assert "No key yet" in atb().output
    done = atb("trust")
    assert (done.exit_code, "--fingerprint" in done.output) == (2, True), done.output
    name = fingerprint(signing_key(settings.trust_root).public_key())
    wrong = atb("trust", "--fingerprint", "0" * 16)
    assert (wrong.exit_code, f"begins with {name[:16]}" in wrong.output) == (2, True), wrong.output
    (row,) = json.loads(atb("--json").stdout)
    assert (row["fingerprint"], row["live"]) == (name, "no")
    done = atb("trust", "--fingerprint", name[:16])
    assert (done.exit_code, name in done.output) == (0, True), done.output
    (row,) = json.loads(atb("--json").stdout)
    assert (row["live"], row["paper"]) == ("trusted", "yes")
    assert json.loads(atb("distrust", name[:8], "--json").stdout)["fingerprint"] == name
    assert json.loads(atb("--json").stdout)[0]["live"] == "no"


def test_another_machines_key_is_trusted_by_its_file_and_its_fingerprint(settings, tmp_path):
    name = fingerprint(signing_key(tmp_path / "other").public_key())
    done = atb("trust", tmp_path / "other" / PUBLIC, "--fingerprint", name, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["fingerprint"] == name
    assert [row["fingerprint"] for row in json.loads(atb("--json").stdout)] == [name]
    (tmp_path / "no.pub").write_text("no key")
    assert "it is not a public key" in atb("trust", tmp_path / "no.pub", "--fingerprint", name).output


def test_trust_is_never_given_from_a_notebook(monkeypatch):
    monkeypatch.setenv("JPY_PARENT_PID", "17")
    done = atb("trust", "--fingerprint", "0" * 64)
    assert (done.exit_code, "notebook" in done.output) == (2, True)


def test_the_doctor_looks_at_keys(settings, tmp_path):
    assert [(check.status, check.found) for check in check_keys(settings)] == [
        ("ok", "none is trusted with real money")
    ]
    signing_key(settings.keys_root)
    (settings.keys_root / "dropped.pub").write_bytes(b"x")
    (settings.keys_root / PRIVATE).chmod(0o640)
    assert [check.status for check in check_keys(settings)] == ["error", "warning"]
    inside = load_settings(live__trust_root=settings.data.root / "keys")
    assert "must not lie in the data folder" in check_keys(inside)[-1].found

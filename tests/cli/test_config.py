"""`atb config`: values, sources, masks."""

import json

import pytest
from click.testing import CliRunner

from atb.cli import main


def atb(*arguments):
    return CliRunner().invoke(main, list(arguments))


def test_show_names_value_and_source_of_each_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("ATB__LOG__LEVEL", "debug")
    (tmp_path / "atb.toml").write_text("seed = 5\n", encoding="utf-8")
    rows = {row["key"]: row for row in json.loads(atb("config", "show", "--json").stdout)}
    assert rows["log.level"] == {"key": "log.level", "value": "DEBUG", "source": "environment variable ATB__LOG__LEVEL"}
    assert (rows["seed"]["value"], rows["seed"]["source"]) == (5, "atb.toml")
    assert (rows["exchange.id"]["value"], rows["exchange.id"]["source"]) == ("binance", "default")


def test_show_names_the_root_option_as_an_argument(tmp_path):
    rows = {row["key"]: row for row in json.loads(atb("--root", "x", "config", "show", "--json").stdout)}
    assert (rows["data.root"]["value"], rows["data.root"]["source"]) == (str(tmp_path / "x"), "argument")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_show_masks_secrets_and_passwords(monkeypatch, form):
    monkeypatch.setenv("ATB__EXCHANGE__API_KEY", "canary1")
    monkeypatch.setenv("ATB__EXCHANGE__API_SECRET", "canary2")
    monkeypatch.setenv("ATB__DATABASE__URL", "postgres://me:canary3@host/atb")
    done = atb("config", "show", *form)
    assert done.exit_code == 0
    assert "canary" not in done.output
    assert "me:***@host" in done.output


def test_show_fails_on_an_unknown_variable_with_exit_code_2(monkeypatch):
    monkeypatch.setenv("ATB__SEEED", "1")
    done = atb("config", "show")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Did you mean 'ATB__SEED'?" in done.stderr


def test_path_lists_every_place(tmp_path):
    rows = {row["what"]: row for row in json.loads(atb("config", "path", "--json").stdout)}
    assert rows["models"]["path"] == str(tmp_path / "models")
    assert rows["atb.toml"] == {"what": "atb.toml", "path": str(tmp_path / "atb.toml"), "exists": True}


def test_the_schema_describes_every_setting():
    schema = json.loads(atb("config", "schema").stdout)
    assert set(schema["properties"]) == {
        "data",
        "database",
        "exchange",
        "live",
        "log",
        "notebooks",
        "seed",
        "strategies",
    }
    assert schema["additionalProperties"] is False

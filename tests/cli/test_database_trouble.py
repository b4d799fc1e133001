"""Every command that opens the database answers trouble with it in one sentence; which commands those are the CLI itself tells."""

import asyncio
import os
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from atb.cli import main
from atb.data.providers.sample import write_sample
from atb.db import database as databases
from atb.db import open_database
from tests.database import postgres
from tests.db.test_reading import NOBODY, without_rights

__all__ = ["postgres"]

PASSWORD = "kNrY0000"
# What an argument or an option that must be given is called, and something that will do.
VALUES = {"strategy": "sma_cross", "symbol": "BTC/USDT", "symbols": "BTC/USDT", "timeframe": "1h", "reason": "a test",
          "run_id": "2024", "trade_id": "paper/1", "days": "5", "notebook": "03_backtest.ipynb"}  # fmt: skip
# The kill switch works without a database, by a file; doctor lists what it finds, and goes on.
ELSEWISE = {
    "halt": (0, "The database was not reached: "),
    "flatten": (0, "The database was not reached: "),
    "doctor": (1, "error"),
}


class StoppedError(Exception):
    """A command went on to work of its own: it does not open the database first."""


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield (*path, name), command
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))


def lines_of(path: tuple[str, ...], command: click.Command) -> Iterator[list[str]]:
    """Yield command lines: with what is required alone, then with each of its flags too."""
    needed: list[str] = []
    for parameter in command.params:
        if parameter.required or (isinstance(parameter, click.Argument) and parameter.nargs != 0):
            value = (
                parameter.type.choices[0]
                if isinstance(parameter.type, click.Choice)
                else VALUES.get(parameter.name or "", "1")
            )
            needed += [str(value)] if isinstance(parameter, click.Argument) else [parameter.opts[0], str(value)]
    yield [*path, *needed]
    for option in command.params:
        if isinstance(option, click.Option) and option.is_flag:
            yield [*path, *needed, option.opts[0]]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("market")
    write_sample(root=root / "bars")
    return root


@pytest.fixture
def stored(market: Path, tmp_path: Path) -> Path:
    (tmp_path / "bars").symlink_to(market / "bars")
    return tmp_path


@pytest.fixture(scope="module")
def openers(market: Path) -> dict[str, list[str]]:
    """The command line of each command that opens the settings' database before it does anything that takes long."""

    def stop(*_: Any, **__: Any) -> Any:
        raise StoppedError

    reached: list[str] = []

    def opened(url: str, *_: Any, **__: Any) -> Any:
        reached.append(str(url))
        raise StoppedError

    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((subprocess, "Popen"), (os, "execv"), (os, "execve"), (asyncio, "run"), (socket.socket, "connect"),
                            (os, "fork"), (time, "sleep")):  # fmt: skip
            patch.setattr(owner, name, stop)
        patch.setattr(databases, "_engine", opened)
        patch.setattr("atb.engine.warm.warm_up", stop)  # a minute where nothing is compiled yet
        patch.setenv("ATB__DATA__ROOT", str(market))
        patch.chdir(market)
        (market / "atb.toml").touch()
        for path, command in leaves(main):
            for line in lines_of(path, command):
                reached.clear()
                CliRunner().invoke(main, line)
                if any(str(market) in url for url in reached):
                    found[" ".join(path)] = line
                    break
    return found


def test_the_commands_that_open_the_database_are_found(openers):
    assert set(openers) >= {"status", "trades", "orders", "why", "halt", "flatten", "runs", "runs show", "promote", "doctor",
                            "resume", "run", "train", "backtest", "live", "demo"}  # fmt: skip


def text_file(root: Path) -> str:
    (root / "atb.db").write_text("this is a letter, and no database " * 100)
    return f"sqlite:///{root}/atb.db"


def folder(root: Path) -> str:
    (root / "atb.db").mkdir()
    return f"sqlite:///{root}/atb.db"


def newer(root: Path) -> str:
    return changed(root, "UPDATE alembic_version SET version_num = '9999'")


def dropped(root: Path) -> str:
    return changed(root, "DROP TABLE run")


def changed(root: Path, statement: str) -> str:
    open_database(f"sqlite:///{root}/atb.db").close()
    connection = sqlite3.connect(root / "atb.db", isolation_level=None)
    connection.execute(statement)
    connection.close()
    return f"sqlite:///{root}/atb.db"


def cut(root: Path) -> str:
    path = root / "atb.db"
    open_database(f"sqlite:///{path}").close()
    path.write_bytes(path.read_bytes()[:5_000])
    return f"sqlite:///{path}"


def below_a_file(root: Path) -> str:
    (root / "file").touch()
    return f"sqlite:///{root}/file/atb.db"


def in_memory(_: Path) -> str:
    return "sqlite:///:memory:"


def no_port(_: Path) -> str:
    return f"postgresql://me:{PASSWORD}@127.0.0.1:1/atb"


def no_host(_: Path) -> str:
    return f"postgresql://me:{PASSWORD}@host.invalid/atb?connect_timeout=2"


def bad_option(_: Path) -> str:
    return f"postgresql://me:{PASSWORD}@127.0.0.1:1/atb?sslmode=perhaps"


def bad_port(_: Path) -> str:
    return f"postgresql://me:{PASSWORD}@127.0.0.1:port/atb"


def another_kind(_: Path) -> str:
    return f"mysql://me:{PASSWORD}@127.0.0.1/atb"


TROUBLES = (
    text_file,
    folder,
    newer,
    dropped,
    cut,
    below_a_file,
    in_memory,
    no_port,
    no_host,
    bad_option,
    bad_port,
    another_kind,
)


def check(name: str, done: Result) -> None:
    shown = (name, done.output, done.exception)
    code, sentence = ELSEWISE.get(name, (2, "Error: "))
    assert done.exit_code == code, shown
    assert done.exception is None or isinstance(done.exception, SystemExit), shown
    assert done.output.count(sentence) >= 1, shown
    assert done.output.count("Error: ") <= 1, shown
    assert "Traceback" not in done.output, shown
    assert PASSWORD not in done.output, shown


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda it: it.__name__)
def test_trouble_with_the_database_is_one_sentence(openers, stored, monkeypatch, trouble):
    monkeypatch.setenv("ATB__DATABASE__URL", trouble(stored))
    for name, line in openers.items():
        check(name, CliRunner().invoke(main, line))


def test_a_database_that_others_keep_is_one_sentence(openers, stored, monkeypatch):
    url = f"sqlite:///{stored}/atb.db"
    monkeypatch.setitem(open_database.__kwdefaults__, "patience_s", 0.05)
    first = open_database(url)
    with first.session():
        for name, line in openers.items():
            check(name, CliRunner().invoke(main, line))
    first.close()


def test_a_database_that_may_not_even_be_read_is_one_sentence(openers, monkeypatch):
    with tempfile.TemporaryDirectory(prefix="atb-closed-") as name:  # which the user that this is tried as reaches
        place = Path(name)
        open_database(f"sqlite:///{place}/atb.db").close()
        (place / "atb.toml").touch()
        (place / "atb.db").chmod(0)
        if os.geteuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        monkeypatch.setenv("ATB__DATA__ROOT", name)
        for variable in ("HOME", "XDG_CONFIG_HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR"):
            monkeypatch.setenv(variable, name)
        monkeypatch.chdir(place)
        with without_rights():
            for command, line in openers.items():
                check(command, CliRunner().invoke(main, line))


def test_a_file_of_no_bytes_is_a_database_that_was_just_made(stored):
    (stored / "atb.db").touch()
    assert CliRunner().invoke(main, ["status"]).exit_code == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"database": "nowhere"}, "does not let atb in"),
        ({"username": "nobody", "password": PASSWORD}, "does not let atb in"),
        ({"query": {"sslmode": "require"}}, "cannot be used"),
        ({"query": {"sslmode": "verify-full", "sslrootcert": "/nowhere.pem"}}, "cannot be used"),
    ],
)
def test_what_a_server_refuses_is_one_sentence(postgres, openers, stored, monkeypatch, change, words):
    query = {**postgres.query, **change.pop("query", {})}
    if "sslmode" in query:  # over a socket of this machine there is no TLS to speak of
        query.pop("host", None)
        change["host"] = "127.0.0.1"
    url = postgres.set(**change).set(query=query)
    monkeypatch.setenv("ATB__DATABASE__URL", url.render_as_string(hide_password=False))
    for name in ("status", "runs", "promote", "halt"):
        done = CliRunner().invoke(main, openers[name])
        check(name, done)
        assert words in done.output

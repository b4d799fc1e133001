"""Every file that a user names to a command: where it cannot be written, that is one sentence and nothing is left behind."""

from pathlib import Path

import click
import pytest

from atb.cli import COMMANDS, main
from atb.cli.targets import TargetFile, writable, write_target
from atb.errors import InputError
from tests.cli.test_runs import atb, runs

__all__ = ["runs"]
LONG = "x" * 300
WALK = ("exchange", "--walk", "BTC/USDT", "--port", "0")
# Options that name a file to write, by their command; a new one must be tried here, too.
WRITTEN = {
    "sweep --figure": None,
    "sweep --csv": None,
    "report --output": ("report", "run-0", "--no-open", "--output"),
    "runs export --to": ("runs", "export", "run-0", "--to"),
    "exchange --ledger": (*WALK, "--ledger"),
    "exchange --ca-file": (*WALK, "--proxy-port", "0", "--ca-file"),
    "exchange --coinbase-key": (*WALK, "--coinbase-key"),
    "exchange --control-token-file": (*WALK, "--control-token-file"),
}
TRIED = {name: words for name, words in WRITTEN.items() if words}


@pytest.fixture
def written(runs, monkeypatch, tmp_path):
    """Runs whose report can be made, in a folder with a file that is in the way."""
    monkeypatch.setattr("atb.experiments.report.recorded_report", lambda *_: "page")
    (tmp_path / "file").write_text("in the way")
    return tmp_path


def commands(group=main, before=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*before, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))


@pytest.mark.parametrize("target", ["/proc/none", LONG, "file/below/x"])
@pytest.mark.parametrize("option", TRIED)
def test_a_target_that_can_be_none_is_one_sentence(written, option, target):
    before = {path for path in written.rglob("*") if path.suffix in {".zip", ".html"}}
    done = atb(*TRIED[option], target)
    assert done.exit_code == 2, (done.output, done.exception)
    assert isinstance(done.exception, SystemExit)
    assert done.output.count("Error: ") == 1
    assert {path for path in written.rglob("*") if path.suffix in {".zip", ".html"}} == before


def test_every_option_of_the_kind_is_known_here():
    """Options of a file that is written: those of the type, and those whose help says so."""
    found = {
        f"{' '.join(names)} {max(option.opts, key=len)}"
        for names, command in commands()
        for option in command.params
        if isinstance(option, click.Option)
        and isinstance(option.type, click.Path)
        and (isinstance(option.type, TargetFile) or "rite" in (option.help or "") or option.name == "target")
    }
    assert found | {"exchange --control-token-file"} == {*WRITTEN}
    assert {name.split()[0] for name in WRITTEN} <= {*COMMANDS}


@pytest.mark.parametrize("reason", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_what_the_disk_says_is_in_the_sentence(tmp_path, monkeypatch, reason):
    monkeypatch.setattr("atb.files.os.fsync", lambda _: (_ for _ in ()).throw(reason))
    with pytest.raises(InputError, match=f"cannot be written.*{reason.strerror}"):
        write_target(tmp_path / "rows.csv", b"rows")
    assert list(tmp_path.glob("*rows*")) == []


def test_what_is_no_error_of_the_disk_passes_through():
    with pytest.raises(ZeroDivisionError), writable(Path("x")):
        _ = 1 / 0

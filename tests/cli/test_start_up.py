"""The command line's shell: what a start loads, how errors look, how commands are found."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from atb.cli import COMMANDS, HINTS, main
from atb.errors import InputError, RunError

HEAVY = ("pandas", "numpy", "pydantic", "rich", "sqlalchemy", "structlog", "ccxt", "json", "importlib.metadata")
PRINT_LOADED = f"import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"


def every_command() -> list[tuple[str, ...]]:
    """Return the path of each command and subcommand."""
    paths: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        paths += paths_below((name,), command)
    return paths


def paths_below(path: tuple[str, ...], command: click.Command | None) -> list[tuple[str, ...]]:
    """Return the path of a command and of all commands below it."""
    inner = command.commands if isinstance(command, click.Group) else {}
    return [path, *(found for name, each in inner.items() for found in paths_below((*path, name), each))]


def options_of(path: tuple[str, ...]) -> set[str]:
    """Return the option names of a command."""
    command = main
    for name in path:
        command = command.get_command(click.Context(command), name)
    return {name for parameter in command.params for name in parameter.opts}


@pytest.fixture
def refusing(monkeypatch):
    """Put a command into the register that raises what it is given."""

    def put(error: BaseException) -> None:
        @click.command()
        def failing() -> None:
            raise error

        monkeypatch.setattr(sys.modules[__name__], "failing", failing, raising=False)
        monkeypatch.setitem(COMMANDS, "failing", (f"{__name__}:failing", "Fails."))

    return put


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["no-such-command"]])
def test_the_register_answers_without_loading_anything_heavy(arguments, tmp_path):
    code = f"import sys; sys.argv = ['atb', *{arguments!r}]\nfrom atb.cli import main\ntry: main()\nfinally:\n  {PRINT_LOADED}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    loaded = done.stdout.splitlines()[-1].split()
    assert set(loaded) <= {"json", "importlib.metadata"}, done.stderr


def test_help_lists_every_command_with_its_one_line():
    text = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    for name, (_, line) in COMMANDS.items():
        assert f"{name} {line}" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_registered_command_is_there_under_its_name(name):
    command = main.get_command(click.Context(main), name)
    assert isinstance(command, click.Command)
    assert command.name == name


def test_every_command_that_prints_values_prints_json_too():
    without = {" ".join(path) for path in every_command() if "--json" not in options_of(path)}
    # Groups alone, a schema that is JSON, a server that becomes another process, and a runner with its own log.
    assert without == {"data", "data universe", "config", "config schema", "dashboards", "lab", "live", "users"}


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_command_has_help_with_examples(path):
    done = CliRunner().invoke(main, [*path, "--help"])
    assert done.exit_code == 0
    _, _, examples = re.split(r"^( *Examples?:)$", done.output, maxsplit=1, flags=re.MULTILINE)
    assert f"atb {path[0]}" in examples.replace("atb --root scratch", "atb")


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_the_help_of_a_command_loads_no_data_tools(path, tmp_path):
    heavy = ("pandas", "sqlalchemy", "pyarrow", "onnxruntime", "papermill", "plotly", "vectorbt", "ccxt", "rich")
    shown = f"import sys; print(*[name for name in {heavy!r} if name in sys.modules])"
    code = f"import sys; sys.argv = ['atb', *{path!r}, '--help']\nfrom atb.cli import main\ntry: main()\nfinally:\n  {shown}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.splitlines()[-1] == "", done.stdout[-200:]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("backtst", "'backtest'"),
        ("doctr", "'doctor'"),
        ("backtesting", "'atb backtest'"),
        ("download-data", "'atb data download'"),
        ("trade", "'atb live'"),
    ],
)
def test_an_unknown_command_is_refused_with_the_one_that_was_meant(typed, meant):
    done = CliRunner().invoke(main, [typed])
    assert done.exit_code == 2
    assert f"No such command '{typed}'. Did you mean {meant}?" in done.stderr
    assert done.stdout == ""


def test_every_hint_leads_to_a_command():
    assert [hint for hint in HINTS.values() if hint.split()[0].lstrip("-") not in {*COMMANDS, "help", "version"}] == []
    assert set(HINTS) & set(COMMANDS) == set()


@pytest.mark.parametrize(("error", "code"), [(InputError("Odd", found=3, todo="Do"), 2), (RunError("Broke"), 1)])
def test_a_refusal_is_one_line_on_standard_error_with_its_exit_code(refusing, error, code):
    refusing(error)
    done = CliRunner().invoke(main, ["failing"])
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr == f"Error: {error}\n"


def test_a_refusal_is_red_in_a_terminal_only(refusing):
    refusing(InputError("Odd"))
    assert CliRunner().invoke(main, ["failing"], color=True).stderr == "\x1b[31mError: Odd\x1b[0m\n"
    assert CliRunner(env={"NO_COLOR": "1"}).invoke(main, ["failing"], color=True).stderr == "Error: Odd\n"


def test_ctrl_c_ends_with_the_code_a_shell_expects(refusing):
    refusing(KeyboardInterrupt())
    done = CliRunner().invoke(main, ["failing"])
    assert done.exit_code == 130
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_reported_without_a_traceback(refusing):
    refusing(OSError(28, "No space left on device"))
    done = CliRunner().invoke(main, ["failing"])
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: The disk is full")


def test_a_bug_is_not_dressed_up_as_a_refusal(refusing):
    refusing(ZeroDivisionError("bug"))
    assert isinstance(CliRunner().invoke(main, ["failing"]).exception, ZeroDivisionError)


def test_a_reader_that_stops_early_is_no_error(tmp_path):
    atb = Path(sys.executable).with_name("atb")
    script = f"{atb} config schema | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() in {"0", "1"}


def test_root_holds_for_one_call_and_every_process_it_starts(tmp_path, monkeypatch):
    seen = {}

    @click.command()
    def failing() -> None:
        seen["root"] = os.environ["ATB__DATA__ROOT"]

    monkeypatch.setattr(sys.modules[__name__], "failing", failing, raising=False)
    monkeypatch.setitem(COMMANDS, "failing", (f"{__name__}:failing", "Looks."))
    before = os.environ["ATB__DATA__ROOT"]
    assert CliRunner().invoke(main, ["--root", "elsewhere", "failing"]).exit_code == 0
    assert seen["root"] == str(tmp_path / "elsewhere")
    assert os.environ["ATB__DATA__ROOT"] == before


def test_root_may_not_be_a_file(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = CliRunner().invoke(main, ["--root", "file", "config", "show"])
    assert done.exit_code == 2
    assert "is a file" in done.stderr


@pytest.mark.parametrize(
    ("typed", "meant"), [(("data", "lst"), "'list'"), (("runs", "shwo"), "'show'"), (("config", "pth"), "'path'")]
)
def test_a_misspelt_subcommand_is_answered_with_the_one_that_was_meant(typed, meant):
    from click.testing import CliRunner

    from atb.cli import main

    done = CliRunner().invoke(main, list(typed))
    assert done.exit_code == 2
    assert f"Did you mean {meant}" in done.stderr

"""Every command refuses an option of one value that is given twice."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from atb.cli import COMMANDS, main
from atb.cli.commands import Command, Family
from tests.conftest import REPOSITORY


def every_command() -> list[tuple[tuple[str, ...], click.Command]]:
    """Return each command of the register and of its groups, with the words that call it."""
    context = click.Context(main)
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in COMMANDS:
        command = main.get_command(context, name)
        found.append(((name,), command))
        if isinstance(command, click.Group):
            found += [((name, child), command.commands[child]) for child in command.commands]
    return found


def options() -> list[tuple[str, click.Option]]:
    """Return each option of one value: the words that call its command, and the option."""
    return [(" ".join(words), parameter) for words, command in every_command() for parameter in command.params
            if isinstance(parameter, click.Option) and not parameter.multiple and not parameter.is_flag]  # fmt: skip


def test_every_command_is_of_the_kind_that_looks_for_options_given_twice():
    other = [words for words, command in every_command() if not isinstance(command, Command | Family)]
    assert other == []


@pytest.mark.parametrize(("words", "option"), [pytest.param(*one, id=f"{one[0]} {one[1].name}") for one in options()])
def test_an_option_given_twice_is_refused_and_both_values_are_named(words, option):
    flag = max(option.opts, key=len)
    for given in ([flag, "first-A", flag, "second-B"], [f"{flag}=first-A", f"{flag}=second-B"]):
        done = CliRunner().invoke(main, [*words.split(), *given])
        assert done.exit_code == 2, done.output
        assert f"{flag} is given more than once: 'first-A' and 'second-B'" in done.stderr
        assert done.stdout == ""


def test_an_option_of_the_whole_program_is_given_once_too(tmp_path):
    done = CliRunner().invoke(main, ["--root", str(tmp_path / "a"), "--root", str(tmp_path / "b"), "runs"])
    assert done.exit_code == 2
    assert "--root is given more than once" in done.stderr
    assert not (tmp_path / "a").exists()


def test_a_flag_may_be_repeated_but_not_contradicted():
    assert CliRunner().invoke(main, ["config", "show", "--json", "--json"]).exit_code == 0
    done = CliRunner().invoke(main, ["lab", "--browser", "--no-browser"])
    assert done.exit_code == 2
    assert "--browser/--no-browser is given more than once" in done.stderr


def test_the_runner_refuses_an_option_that_is_given_twice():
    command = [
        sys.executable,
        str(REPOSITORY / "runners" / "live.py"),
        "x.json",
        "--account",
        "one",
        "--account",
        "two",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--account is given more than once: 'one' and 'two'" in done.stderr

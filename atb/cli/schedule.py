"""`atb schedule`: the lines for cron and systemd that run a command of atb by the clock; nothing is installed."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from atb.cli.commands import Command
from atb.cli.output import json_option, print_json, start
from atb.errors import InputError

if TYPE_CHECKING:
    from atb.config import Settings


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--hourly", metavar="MM", help="At this minute of every hour.")
@click.option("--daily", metavar="HH:MM", help="At this time of every day, UTC.")
@click.option("--weekly", metavar="DAY@HH:MM", help="At this time of every such day, UTC: mon@06:30.")
@click.option("--name", help="Name of the units and of the log; by default made of the command.")
@json_option
def schedule(command: tuple[str, ...], **options: str | None) -> None:
    """Print cron and systemd lines that run COMMAND, a command of atb with its arguments, in this project.

    Paths are absolute, the project's folder and data root are those of this call, and secrets are never printed: keep them in the
    project's .env. systemd reads times as UTC; cron reads the machine's time zone, for which its line is written, and says so.

    \b
    Examples:
      atb schedule --daily 02:30 run notebooks/14_nightly.ipynb
      atb schedule --hourly 5 data download BTC/USDT --timeframe 1h
      atb schedule --weekly mon@06:00 --name retrain train --symbol BTC/USDT --timeframe 1h
    """
    from atb.experiments.schedules import Job, When

    as_json = bool(options.pop("as_json"))
    settings = start()
    name = options.pop("name")
    job = Job.of(_checked(command, settings), When.of(options), settings=settings, name=name)
    if as_json:
        print_json(job.to_json())
        return
    click.echo(f"# crontab -e; {job.zone_note}\n{job.cron()}\n")
    for path, text in job.units().items():
        click.echo(f"# {path}\n{text}")
    click.echo(f"# then: systemctl --user daemon-reload; systemctl --user enable --now {job.name}.timer")


def _checked(command: tuple[str, ...], settings: "Settings") -> tuple[str, ...]:
    """Refuse what would fail every night: an unknown command, a notebook or a parameter that there is not.

    Raises
    ------
    InputError, click.UsageError
        As the command itself would say it.
    """
    from atb.cli import COMMANDS, main
    from atb.errors import did_you_mean

    if command[0] == "schedule" or command[0] not in COMMANDS:
        raise InputError(
            "There is no such command to schedule", found=command[0], todo=did_you_mean(command[0], COMMANDS)
        )
    context = click.get_current_context().find_root()
    found = main.get_command(context, command[0])
    assert found is not None
    if not isinstance(found, click.Group):
        parsed = found.make_context(command[0], list(command[1:]), parent=context)
        notebook = parsed.params.get("notebook")
        if command[0] == "run" and isinstance(notebook, Path):
            _check_run(notebook, parsed.params, settings)
    return command


def _check_run(notebook: Path, options: "dict[str, object]", settings: "Settings") -> None:
    from atb.cli.executing import chosen_values
    from atb.cli.run import located
    from atb.experiments.parameters import read_parameters, validate_parameters

    path, file, given = located(notebook, settings), options["file"], options["given"]
    assert isinstance(given, tuple)
    values = chosen_values(path, {}, given, file=file if isinstance(file, Path) else None)
    validate_parameters(read_parameters(path), values)

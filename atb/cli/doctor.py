"""`atb doctor`: what is wrong with this environment, and what to do about it."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from atb.cli.commands import Command
from atb.cli.output import json_option, print_json

if TYPE_CHECKING:
    from atb.checks import Check

_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command(cls=Command)
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check versions, folders, database, kernel, notebooks and the exchange; exit 1 if anything is an error.

    \b
    Examples:
      atb doctor
      atb doctor --json
    """
    from atb.cli.checks import check_all

    checks = []
    for check in check_all():
        checks.append(check)
        if not as_json:
            _print(check)
    errors = sum(check.status == "error" for check in checks)
    warnings = sum(check.status == "warning" for check in checks)
    if as_json:
        print_json({"healthy": not errors, "checks": [asdict(check) for check in checks]})
    else:
        click.echo(f"\n{len(checks)} checks: {errors} errors, {warnings} warnings.")
    ctx.exit(1 if errors else 0)


def _print(check: "Check") -> None:
    verdict = click.style(check.status.ljust(7), fg=_COLOURS[check.status])
    click.echo(f"{verdict}  {check.name}: {check.found}")
    if check.todo:
        click.echo(f"         {check.todo}")

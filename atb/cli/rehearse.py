"""`atb rehearse`: the real runner trades promoted strategies at a simulated exchange, with faults."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli.commands import Command
from atb.cli.output import json_option, print_json, print_table, start
from atb.decimals import counted

if TYPE_CHECKING:
    from atb.rehearsal.run import Progress, Rehearsal


@click.command(cls=Command)
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=90,
    show_default=True,
    help="How many of the last stored days to trade.",
)
@click.option("--faults", default="standard", show_default=True, help="Level of faults: none, standard or hard.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Seed of the faults and kills.")
@json_option
def rehearse(manifests: tuple[Path, ...], as_json: bool, **chosen: Any) -> None:
    """Trade MANIFESTS on one account at a simulated exchange: without faults, with faults, and with the kill switch.

    The real runner trades through the real exchange library, on a virtual clock. Without faults every decision, order, price and
    quantity must equal the backtest's; with faults and kills ten invariants are judged from the exchange's own ledger; at last the
    kill switch must close everything. The result is stored as evidence. Exit code 1 if it failed.

    \b
    Examples:
      atb rehearse runners/promoted/NAME.json
      atb rehearse runners/promoted/NAME.json --days 30 --faults hard --seed 11
      atb rehearse runners/promoted/ONE.json runners/promoted/TWO.json --json
    """
    from atb.rehearsal.run import rehearse as run

    settings = start()
    with _progress(hidden=as_json) as progress:
        days, level, seed = (chosen[name] for name in ("days", "faults", "seed"))
        found = run(manifests, settings, days=days, level=level, seed=seed, progress=progress)
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)
    raise SystemExit(0 if found.passed else 1)


@contextmanager
def _progress(*, hidden: bool) -> Iterator["Progress"]:
    """Show the stage and its progress on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=hidden or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("rehearsing", total=1.0)
        yield lambda stage, done: bar.update(task, description=stage, completed=done)


def _print(found: "Rehearsal") -> None:
    from atb.rehearsal.table import COLUMNS, rows

    print_table([dict(zip(COLUMNS, row, strict=True)) for row in rows(found.to_json())], COLUMNS)
    verdict = "passed" if found.passed else "FAILED"
    click.echo(
        f"Rehearsal of {', '.join(found.names)} over {counted(found.days, 'day')} {verdict}. Kept in {found.folder}"
    )

"""`atb rehearse`: promoted strategies through the real runner against a simulated exchange, with faults on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli.commands import Command
from atb.cli.output import json_option, print_json, print_table, start

if TYPE_CHECKING:
    from atb.rehearsal.run import Rehearsal, Tell


@click.command(cls=Command)
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--days", type=click.IntRange(min=1), default=90, show_default=True, help="The last days of the catalogue."
)
@click.option("--faults", default="standard", show_default=True, help="What goes wrong: none, standard or hard.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Of the faults and kills.")
@json_option
def rehearse(manifests: tuple[Path, ...], as_json: bool, **chosen: Any) -> None:
    """Trade MANIFESTS on one account at a simulated exchange: as in the backtest, then with faults, then the kill switch.

    The real runner trades through the real exchange library, on a virtual clock. Without faults every decision, order, price and
    quantity must be the backtest's; with faults and kills the exchange's own ledger is judged by ten invariants; at last the kill
    switch must close everything. The result is kept as evidence. Exit code 1 where it failed.

    \b
    Examples:
      atb rehearse runners/promoted/NAME.json
      atb rehearse runners/promoted/NAME.json --days 30 --faults hard --seed 11
      atb rehearse runners/promoted/ONE.json runners/promoted/TWO.json --json
    """
    from atb.rehearsal.run import rehearse as run

    settings = start()
    with _progress(hidden=as_json) as tell:
        days, level, seed = (chosen[name] for name in ("days", "faults", "seed"))
        found = run(manifests, settings, days=days, level=level, seed=seed, tell=tell)
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)
    raise SystemExit(0 if found.passed else 1)


@contextmanager
def _progress(*, hidden: bool) -> Iterator["Tell"]:
    """Show on standard error, in a terminal alone, what is being done and how far it is."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=hidden or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("rehearsing", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)


def _print(found: "Rehearsal") -> None:
    from atb.rehearsal.table import COLUMNS, rows

    print_table([dict(zip(COLUMNS, row, strict=True)) for row in rows(found.to_json())], COLUMNS)
    verdict = "passed" if found.passed else "FAILED"
    click.echo(f"Rehearsal of {', '.join(found.names)} over {found.days} days {verdict}. Kept in {found.folder}")

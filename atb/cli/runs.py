"""`atb runs`: list recorded runs, show one, compare several, and take one to another machine as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli import completing
from atb.cli.accounts import canonical_symbol, journal
from atb.cli.commands import Family
from atb.cli.executing import run_as_json, run_facts
from atb.cli.output import json_option, print_fields, print_json, print_points, print_table, start
from atb.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from datetime import datetime

    from atb.db import Database
    from atb.db.tables import RunRow
    from atb.experiments.registry import Wanted


@click.group(cls=Family, invoke_without_command=True)
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Number of runs, newest first."
)
@click.option("--notebook", help="Only runs of this notebook, such as 03_backtest.")
@click.option("--status", help="Only runs that are running, succeeded, failed or interrupted.")
@click.option("--strategy", help="Only runs of this strategy.")
@click.option("-s", "--symbol", help="Only runs on this symbol.")
@click.option("--since", help="Only runs that began at or after this day or time (UTC), or in the last 12h, 7d, 4w.")
@click.option("--batch", help="Only runs of this batch of `atb sweep`.")
@json_option
@click.pass_context
def runs(ctx: click.Context, /, limit: int, **options: Any) -> None:
    """List recorded runs, newest first.

    \b
    Examples:
      atb runs
      atb runs --notebook 03_backtest --limit 5
      atb runs --strategy sma_cross --symbol BTC/USDT --since 7d
      atb runs --status failed --json
      atb runs show 20240131-0945
      atb runs compare 20240131-0945 20240131-1102
      atb runs export 20240131-0945 --to share/
    """
    if ctx.invoked_subcommand is not None:
        return
    from atb.experiments.registry import Wanted, list_runs, run_json

    wanted = Wanted(
        notebook=options["notebook"], status=options["status"], strategy=options["strategy"],
        symbol=canonical_symbol(options["symbol"]), since=_since(options["since"]), batch=options["batch"],
    )  # fmt: skip
    with journal(reading=True) as database:
        found = list_runs(database, limit, wanted=wanted)
        if not found:
            _refuse_unknown(wanted, database)
    if options["as_json"]:
        print_json([run_json(row) for row in found])
        return
    filtered = any(options[name] for name in ("notebook", "status", "strategy", "symbol", "since", "batch"))
    empty = "No run fits." if filtered else "No run yet. Try: atb backtest sma_cross"
    print_table([_line(row) for row in found], empty=empty)


def _refuse_unknown(wanted: "Wanted", database: "Database") -> None:
    """Refuse names that are known nowhere: a list without runs would look as if there had never been one.

    Raises
    ------
    InputError
        With the nearest name that is known.
    """
    from atb.cli.batch import known_notebooks
    from atb.experiments.registry import recorded_names
    from atb.strategies import strategy_names

    recorded = recorded_names(database)
    notebooks = {path.name for path in known_notebooks(start())} | recorded["notebook"]
    known = {
        "strategy": recorded["strategy"] | {*strategy_names()},
        "notebook": notebooks | {Path(name).stem for name in notebooks},
    }
    for what, names in known.items():
        name = getattr(wanted, what)
        if name is not None and name not in names:
            raise InputError(f"There is no such {what}", found=name, todo=did_you_mean(name, names))


def _since(text: str | None) -> "datetime | None":
    """Return a moment from `2024-01-31`, `2024-01-31T09:45` or a span before now, `7d`."""
    if text is None:
        return None
    from datetime import UTC, datetime, timedelta

    from atb.times import moment

    unit = {"h": "hours", "d": "days", "w": "weeks"}.get(text[-1:])
    if unit and text[:-1].isdigit() and len(text) < 8:
        return datetime.now(UTC) - timedelta(**{unit: int(text[:-1])})
    found = moment(text)
    return None if found is None else found.to_pydatetime()


@runs.command()
@click.argument("run_id", shell_complete=completing.run)
@json_option
def show(run_id: str, as_json: bool) -> None:
    """Show one run: how it went, what it used and where its files are.

    A unique prefix of the id is enough.

    \b
    Examples:
      atb runs show 20240131-094500-03-backtest-1f9a3c
      atb runs show 20240131-0945 --json
    """
    from atb.experiments.registry import get_run

    with journal(reading=True) as database:
        row = get_run(database, run_id)
    if as_json:
        print_json(run_as_json(row))
        return
    print_fields(run_facts(row))
    print_fields({f"parameter {name}": str(value) for name, value in row.parameters.items()})
    print_fields(row.metrics)


@runs.command()
@click.argument("run_ids", nargs=-1, required=True, shell_complete=completing.run)
@json_option
def compare(run_ids: tuple[str, ...], as_json: bool) -> None:
    """Show two or more runs side by side: parameters that differ, then figures; first why they may not be compared.

    \b
    Examples:
      atb runs compare 20240131-0945 20240131-1102
      atb runs compare 20240131-0945 20240131-1102 --json
    """
    from atb.workbench.run_comparison import compare_runs

    start()
    compared = compare_runs(run_ids)
    if as_json:
        print_json(compared.to_json())
        return
    if compared.notes:
        print_points(compared.notes)
        click.echo()
    for table in (compared.parameters, compared.figures):
        kind = str(table.index.name)
        rows = [
            {kind: str(name), **{str(key): value for key, value in row.items()}}
            for name, row in table.to_dict("index").items()
        ]
        print_table(rows, empty=f"No {kind} differs.")
        click.echo()


@runs.command()
@click.argument("run_id", shell_complete=completing.run)
@click.option(
    "--to", "target", type=click.Path(), default=".",
    help="File, or a folder: one that ends in / is made; by default here.",
)  # fmt: skip
@json_option
def export(run_id: str, target: str, as_json: bool) -> None:
    """Write a run as one file: notebook, report, results and record, with their hashes.

    \b
    Examples:
      atb runs export 20240131-0945
      atb runs export 20240131-0945 --to share/best.zip
    """
    from atb.experiments.archive import export_run
    from atb.experiments.registry import get_run

    with journal(reading=True) as database:
        row = get_run(database, run_id)
    path = export_run(row, target)
    if as_json:
        print_json({"run_id": row.run_id, "file": str(path), "bytes": path.stat().st_size})
        return
    print_fields({"run": row.run_id, "file": str(path), "size": f"{path.stat().st_size / 1e6:.2f} MB"})


@runs.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def import_(file: Path, as_json: bool) -> None:
    """Read an exported run into this project's runs.

    It is listed and shown like a run of this machine, and may be promoted as one: the gate computes its evidence again.

    \b
    Examples:
      atb runs import 20240131-094500-03-backtest-1f9a3c.zip
    """
    from atb.experiments.archive import import_run

    settings = start()
    with journal(settings) as database:
        row = import_run(file, settings=settings, database=database)
    if as_json:
        print_json(run_as_json(row))
        return
    print_fields(run_facts(row))


def _line(row: "RunRow") -> dict[str, object]:
    wanted = ("strategy", "symbol", "timeframe")
    about = " ".join(str(row.parameters[name]) for name in wanted if row.parameters.get(name))
    return {
        "run": row.run_id,
        "started (UTC)": f"{row.started_at:%Y-%m-%d %H:%M}",
        "status": row.status,
        "seconds": row.seconds,
        "about": about,
        "error": (row.error or "")[:60],
    }

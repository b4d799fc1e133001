"""`atb run`, `atb runs`, `atb backtest`, `atb train`: notebooks executed with checked parameters, and what they left behind."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from atb.cli.commands import Command, Family
from atb.cli.output import json_option, print_fields, print_json, print_table, start
from atb.cli.rules import check_parameters, chosen_rules, rule_options
from atb.errors import InputError, RunError

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.db.tables import Run
    from atb.experiments.running import Progress

C = TypeVar("C", bound=Callable[..., Any])

TRAINING, BACKTEST = "02_train.ipynb", "03_backtest.ipynb"
# In a summary the strategy stands beside holding in these figures, and alone in the others.
COMPARED = (
    "total_return_pct",
    "cagr_pct",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown_pct",
    "volatility_pct",
    "fees_paid",
)
ALONE = ("n_trades", "win_rate_pct", "profit_factor", "exposure_time_pct", "rejected_signals", "ambiguous_bars")


def run_options(command: C) -> C:
    """Add what every command that executes a notebook takes: `-p`, `--timeout`, `--json`."""
    added = [
        click.option("-p", "given", multiple=True, metavar="NAME=VALUE", help="A parameter; repeat it for more."),
        click.option("--timeout", type=float, default=3600.0, show_default=True, help="Seconds for the whole run."),
        json_option,
    ]
    for option in reversed(added):
        command = option(command)
    return command


def market_options(command: C) -> C:
    """Add the options that choose bars."""
    added = [
        click.option("--symbol", help="Such as BTC/USDT or BTCUSDT."),
        click.option("--timeframe", help="Duration of a bar: 1m ... 1h 4h 1d."),
        click.option("--start", help="First day or moment (UTC)."),
        click.option("--end", help="Day or moment (UTC) before which to stop."),
        click.option("--venue", help="Where the bars come from, when several have the symbol."),
    ]
    for option in reversed(added):
        command = option(command)
    return command


@click.command(cls=Command)
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--parameters", "file", type=click.Path(path_type=Path), help="JSON file of parameters; -p wins over it.")
@click.option("--list-parameters", is_flag=True, help="Show the notebook's parameters and run nothing.")
@run_options
def run(notebook: Path, file: Path | None, list_parameters: bool, **options: Any) -> None:
    """Execute a notebook and record the run.

    Parameters are typed in the notebook's cell tagged `parameters`; an unknown or mistyped one is an error. The executed
    notebook, its report and its results are kept in one folder under data/runs, also when a cell fails.

    \b
    Examples:
      atb run notebooks/03_backtest.ipynb --list-parameters
      atb run notebooks/03_backtest.ipynb -p symbol=ETH/USDT -p timeframe=1h
      atb run notebooks/02_train.ipynb --parameters train.json --json
    """
    from atb.experiments.parameters import read_parameters

    settings = start()
    path = _locate(notebook, settings)
    if list_parameters:
        _show_parameters(read_parameters(path), as_json=options["as_json"])
        return
    given = {**(_from_file(file) if file else {}), **_pairs(options["given"])}
    if path.name == BACKTEST:
        check_parameters(path, given)
    row = _execute(path, given, settings, timeout=options["timeout"], quiet=options["as_json"])
    _report(row, _print_metrics, as_json=options["as_json"])


@click.command(cls=Command)
@click.argument("strategy")
@market_options
@click.option("--days", type=click.IntRange(min=1), help="The last days of the data, instead of --start and --end.")
@click.option("--finer", help="A finer stored timeframe that settles bars in which stop and target were both met.")
@rule_options
@run_options
def backtest(strategy: str, **options: Any) -> None:
    """Backtest one strategy: the backtest notebook by one word.

    \b
    Examples:
      atb backtest sma_cross --symbol BTCUSDT --timeframe 1h --days 90
      atb backtest sma_cross --start 2023-01-01 --end 2024-01-01 -p 'params={"fast": 10, "slow": 40}'
      atb backtest sma_cross --stop-loss 0.03 --policy '{"trailing_stop": 0.03, "max_bars": 48, "daily_loss": 0.02}'
      atb backtest ml_basic --symbol BTC/USDT --policy rules.json --json
      atb backtest sma_cross --timeframe 1h --stop-loss 0.01 -p take_profit=0.01 --finer 5m
    """
    from atb.strategies import make_strategy

    make_strategy(strategy)  # an unknown name is answered before anything runs
    if options["days"] and (options["start"] or options["end"]):
        raise InputError("--days and --start or --end are two ways to say the same", todo="Use one of them")
    pairs = _pairs(options["given"])
    given = {"strategy": strategy, **_market(options), **chosen_rules(options, pairs), **pairs}
    given = {name: options[name] for name in ("days", "finer") if options[name]} | given
    settings = start()
    path = _notebook(settings, BACKTEST)
    check_parameters(path, given)
    row = _execute(path, given, settings, timeout=options["timeout"], quiet=options["as_json"])
    _report(row, _print_backtest, as_json=options["as_json"])


@click.command(cls=Command)
@market_options
@run_options
def train(**options: Any) -> None:
    """Train a model: the training notebook by one word.

    \b
    Examples:
      atb train
      atb train --symbol ETH/USDT --timeframe 1h
      atb train --symbol BTCUSDT --timeframe 1h -p horizon=24 --json
    """
    given = {**_market(options), **_pairs(options["given"])}
    settings = start()
    path = _notebook(settings, TRAINING)
    row = _execute(path, given, settings, timeout=options["timeout"], quiet=options["as_json"])
    _report(row, _print_training, as_json=options["as_json"])


@click.group(cls=Family, invoke_without_command=True)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
@click.option("--notebook", help="Only runs of this notebook, such as 03_backtest.")
@click.option("--status", help="Only runs that are running, succeeded, failed or interrupted.")
@json_option
@click.pass_context
def runs(ctx: click.Context, /, limit: int, notebook: str | None, **options: Any) -> None:
    """List recorded runs, newest first.

    \b
    Examples:
      atb runs
      atb runs --notebook 03_backtest --limit 5
      atb runs --status failed --json
      atb runs show 20240131-0945
    """
    if ctx.invoked_subcommand is not None:
        return
    from atb.experiments.registry import list_runs, run_json

    with _database(start()) as database:
        found = list_runs(database, limit, notebook=notebook, status=options["status"])
    if options["as_json"]:
        print_json([run_json(row) for row in found])
        return
    print_table([_line(row) for row in found], empty="No run yet. Try: atb backtest sma_cross")


@runs.command()
@click.argument("run_id")
@json_option
def show(run_id: str, as_json: bool) -> None:
    """Show one run: how it went, what it used and where its files are.

    The beginning of an id is enough when only one run begins so.

    \b
    Examples:
      atb runs show 20240131-094500-03-backtest-1f9a3c
      atb runs show 20240131-0945 --json
    """
    from atb.experiments.registry import get_run

    with _database(start()) as database:
        row = get_run(database, run_id)
    if as_json:
        print_json(_as_json(row))
        return
    print_fields(_facts(row))
    print_fields({f"parameter {name}": str(value) for name, value in row.parameters.items()})
    print_fields(row.metrics)


def _notebook(settings: "Settings", name: str) -> Path:
    from atb.config import part_of

    return part_of(settings.project, "notebooks", name)


def _locate(notebook: Path, settings: "Settings") -> Path:
    """Return the notebook as given, or the one of that name, with or without its suffix, among the project's notebooks."""
    named = notebook.with_name(f"{notebook.name}.ipynb") if notebook.suffix != ".ipynb" else notebook
    for candidate in (notebook, named, _notebook(settings, named.name)):
        if candidate.is_file():
            return candidate
    return named if named.parent != Path() else _notebook(settings, named.name)


def _pairs(given: tuple[str, ...]) -> dict[str, object]:
    """Return `name=value` texts as a dict; what the value means is decided by the declared type."""
    found: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError("A parameter is given as NAME=VALUE", found=text)
        if name in found:
            raise InputError("A parameter is given twice", found=name)
        found[name] = value
    return found


def _from_file(path: Path) -> dict[str, object]:
    from atb.reading import read_json

    try:
        found = read_json(path)
    except OSError as problem:
        raise InputError(f"The parameter file cannot be read ({problem.strerror})", found=str(path)) from None
    except ValueError as problem:
        raise InputError(f"The parameter file is no JSON ({problem})", found=str(path)) from None
    if not isinstance(found, dict):
        raise InputError("The parameter file must hold one JSON object", found=type(found).__name__)
    return found


def _market(options: Mapping[str, Any]) -> dict[str, object]:
    """Return the market parameters that were given, checked and in their canonical spelling."""
    from atb.data.moments import moment
    from atb.domain import Symbol, Timeframe

    readers: dict[str, Callable[[Any], object]] = {"symbol": Symbol.parse, "timeframe": Timeframe.parse, "venue": str}
    found = {name: str(read(options[name])) for name, read in readers.items() if options[name] is not None}
    bounds = {name: moment(options[name]) for name in ("start", "end")}
    if bounds["start"] is not None and bounds["end"] is not None and bounds["start"] >= bounds["end"]:
        raise InputError("The start must be before the end", found=f"{options['start']} .. {options['end']}")
    return {**found, **{name: options[name] for name in bounds if options[name] is not None}}


def _execute(path: Path, given: Mapping[str, object], settings: "Settings", *, timeout: float, quiet: bool) -> "Run":
    from atb.experiments.execution import RunInterrupted, execute

    with _database(settings) as database, _progress_bar(path.name, hidden=quiet) as progress:
        try:
            return execute(path, given, settings=settings, database=database, progress=progress, timeout=timeout)
        except RunInterrupted as stopped:
            click.echo(f"Recorded as {stopped.run.run_id}; its notebook is in {stopped.run.path}", err=True)
            raise


@contextmanager
def _database(settings: "Settings") -> Iterator[Any]:
    from atb.db import open_database

    database = open_database(settings.database.url)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _progress_bar(name: str, *, hidden: bool) -> Iterator["Progress | None"]:
    """Show the cells done in a terminal; elsewhere nothing."""
    if hidden or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TextColumn("cells"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _report(row: "Run", print_result: Callable[[dict[str, Any]], None], *, as_json: bool) -> None:
    """Print how a run went and what it published, and fail when it failed."""
    from atb.experiments.publication import published

    if as_json:
        print_json(_as_json(row))
    else:
        print_fields(_facts(row))
        if row.status == "succeeded":
            print_result(published(Path(row.path)))
    if row.status != "succeeded":
        raise RunError(f"The notebook failed in {row.error}", todo=f"It was kept: {Path(row.path) / row.notebook}")


def _as_json(row: "Run") -> dict[str, Any]:
    """Return the run's row, what it published and where its files are."""
    from atb.experiments.publication import published
    from atb.experiments.registry import run_json

    found = published(Path(row.path))
    kept = {name: found.get(name) for name in ("headline", "findings", "model", "result", "evidence")}
    return {**run_json(row), **kept, "files": {name: str(path) for name, path in _files(row).items()}}


def _files(row: "Run") -> dict[str, Path]:
    """Return the files of a run that exist, by what they are."""
    names = {"notebook": row.notebook, "report": "report.html", "result": "result.json"}
    names |= {table: f"{table}.csv" for table in ("orders", "trades", "equity", "refused")}
    found = {what: Path(row.path) / name for what, name in names.items()}
    return {what: path for what, path in found.items() if path.exists()}


def _facts(row: "Run") -> dict[str, object]:
    seconds = None if row.seconds is None else f"{row.seconds:.1f} s"
    facts = {"run": row.run_id, "status": row.status, "took": seconds, "error": row.error}
    data = [
        f"{series['symbol']} {series['timeframe']} {series['venue']}, {series['bars']:,} bars" for series in row.data
    ]
    return {name: value for name, value in {**facts, "data": "; ".join(data), **_files(row)}.items() if value}


def _line(row: "Run") -> dict[str, object]:
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


def _show_parameters(spec: Any, *, as_json: bool) -> None:
    rows = [{"name": each.name, "type": str(each.kind), "default": each.default, "help": each.help} for each in spec]
    if as_json:
        print_json(rows)
        return
    print_table([{**row, "default": repr(row["default"])} for row in rows], empty="The notebook has no parameters.")


def _print_metrics(found: dict[str, Any]) -> None:
    if found.get("headline"):
        click.echo(f"\n{found['headline']}")
    metrics = found.get("metrics") or {}
    print_table([{"metric": name, "value": value} for name, value in metrics.items()], empty="Nothing was published.")


def _print_backtest(found: dict[str, Any]) -> None:
    """Print the headline, and the key figures beside those of holding."""
    result = found.get("result")
    if not result:
        _print_metrics(found)
        return
    stats, hold = result["stats"], result["baselines"]["hold"]
    rows = [{"figure": name, "strategy": stats[name], "hold": hold.get(name)} for name in COMPARED if name in stats]
    rows += [{"figure": name, "strategy": stats[name], "hold": None} for name in ALONE if name in stats]
    click.echo(f"\n{found['headline']}\n")
    print_table(rows)
    click.echo(f"\n{result['fill_model']}")


def _print_training(found: dict[str, Any]) -> None:
    _print_metrics(found)
    if found.get("model"):
        click.echo(f"\nmodel  {found['model']['path']}")

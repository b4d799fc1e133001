"""Notebook execution for commands: parameters checked before a kernel starts, progress, and the recorded run in words."""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from atb.cli import completing
from atb.cli.accounts import journal
from atb.cli.output import json_option, print_fields, print_json
from atb.cli.parameters import notebook_values, parameter_file, parameter_option, read_pairs
from atb.decimals import counted
from atb.errors import InputError, RunError
from atb.experiments import BACKTEST, TRAINING

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.db.tables import RunRow
    from atb.experiments.parameters import Parameter
    from atb.experiments.running import Progress
    from atb.workbench.backtesting import Prepared

C = TypeVar("C", bound=Callable[..., Any])
LONGEST_S = 1e8  # of a time limit; the system refuses some longer ones
QUARTERS = 4  # lines of progress without a terminal


def run_options(command: C) -> C:
    """Add the options of every command that executes a notebook: `-p`, `--timeout`, `--json`."""
    added = [
        parameter_option("A parameter of the notebook; for a backtest one of the strategy, or a rule, too."),
        click.option("--timeout", type=float, default=3600.0, show_default=True, help="Seconds for the whole run."),
        json_option,
    ]
    for option in reversed(added):
        command = option(command)
    return command


def market_options(command: C) -> C:
    """Add the options that choose bars."""
    return _market_options(command)


def markets_options(command: C) -> C:
    """Add the options that choose bars, of one symbol or of several that share an account."""
    return _market_options(command, multiple=True)


def _market_options(command: C, *, multiple: bool = False) -> C:
    help_text = "Such as BTC/USDT or BTCUSDT; by default the only one stored, else BTC/USDT."
    more = " Repeat it for several that share the account."
    added = [
        click.option(
            "-s", "--symbol", multiple=multiple, shell_complete=completing.symbol, help=help_text + more * multiple
        ),
        click.option(
            "-t",
            "--timeframe",
            shell_complete=completing.timeframe,
            help="Duration of a bar: 1m ... 1h 4h 1d; by default the only one stored, else 1h.",
        ),
        click.option("--start", help="First day or time (UTC)."),
        click.option("--end", help="Day or time (UTC) before which to stop."),
        click.option("--venue", help="Venue of the bars, if several have the symbol."),
    ]
    for option in reversed(added):
        command = option(command)
    return command


def days_option(command: C) -> C:
    """Add the option that trades the last days of the data; `refuse_two_periods` checks it."""
    text = "Trade the last days of the data, instead of --start and --end."
    return click.option("--days", type=click.IntRange(min=1), help=text)(command)


def refuse_two_periods(options: Mapping[str, Any]) -> None:
    """Refuse --days together with --start or --end.

    Raises
    ------
    InputError
        If both were given.
    """
    if options["days"] and (options["start"] or options["end"]):
        raise InputError("--days cannot be combined with --start or --end", todo="Use one of them")


def chosen_market(options: Mapping[str, Any]) -> dict[str, object]:
    """Return the market parameters that were given, checked and in their canonical spelling."""
    from atb.domain import Symbol, Timeframe
    from atb.times import moment

    readers: dict[str, Callable[[Any], object]] = {"symbol": Symbol.parse, "timeframe": Timeframe.parse, "venue": str}
    symbols = (
        [str(Symbol.parse(symbol)) for symbol in options["symbol"]] if isinstance(options["symbol"], tuple) else []
    )
    one = {**options, "symbol": symbols[0] if symbols else None} if isinstance(options["symbol"], tuple) else options
    found: dict[str, object] = {name: str(read(one[name])) for name, read in readers.items() if one[name] is not None}
    found |= {"symbols": symbols} if len(symbols) > 1 else {}
    bounds = {name: moment(options[name]) for name in ("start", "end")}
    if bounds["start"] is not None and bounds["end"] is not None and bounds["start"] >= bounds["end"]:
        raise InputError("The start must be before the end", found=f"{options['start']} .. {options['end']}")
    return {**found, **{name: options[name] for name in bounds if options[name] is not None}}


def chosen_values(
    path: Path, given: Mapping[str, object], pairs: Sequence[str] | Mapping[str, object], *, file: Path | None = None
) -> dict[str, object]:
    """Return a notebook's parameters from options and `-p`, read or not yet, which take precedence over a file."""
    from atb.experiments.parameters import read_parameters

    spec = read_parameters(path)
    read = pairs if isinstance(pairs, Mapping) else read_pairs(pairs)
    found = {**(parameter_file(file) if file else {}), **notebook_values(spec, given, read)}
    return {**found, **sole_market(found, {parameter.name: parameter.default for parameter in spec})}


def sole_market(given: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, str]:
    """Return symbol and timeframe, if not given, from the only stored series, and say so on standard error."""
    from atb.domain import Symbol, Timeframe
    from atb.workbench.market import sole_series

    if given.get("universe"):
        return {}  # it names the symbols
    missing = [name for name in ("symbol", "timeframe") if name in defaults and name not in given]
    if not missing or not {"symbol", "timeframe"} <= {*defaults}:
        return {}
    symbol = str(Symbol.parse(str(given["symbol"]))) if "symbol" in given else None
    timeframe = str(Timeframe.parse(str(given["timeframe"]))) if "timeframe" in given else None
    venue = given.get("venue")
    usual = (str(defaults["symbol"]), str(defaults["timeframe"]))
    series = sole_series(symbol, timeframe, venue=None if venue is None else str(venue), usual=usual)
    if series is None:
        return {}
    found = {"symbol": str(series.symbol), "timeframe": str(series.timeframe)}
    if any(found[name] != defaults[name] for name in missing):
        click.echo(f"Using {series}, the only stored series that fits.", err=True)
    return {name: found[name] for name in missing}


def check_values(path: Path, given: Mapping[str, object]) -> "Prepared | None":
    """Refuse what the notebook would refuse, before a kernel is started; return the backtest it would run, if any.

    A user's own notebook of the same name may have other parameters, which it checks itself.
    """
    from atb.experiments.parameters import read_parameters, validate_parameters, with_defaults
    from atb.workbench.backtesting import BACKTEST as NEEDED
    from atb.workbench.backtesting import TRAINING as LEARNING
    from atb.workbench.backtesting import check_training, prepare_backtest

    spec: Sequence[Parameter] = read_parameters(path)
    values = with_defaults(spec, validate_parameters(spec, given))
    if path.name == BACKTEST and values.keys() >= NEEDED:
        return prepare_backtest(values)
    if path.name == TRAINING and values.keys() >= LEARNING:
        check_training(values)
    return None


def notebook_at(settings: "Settings", name: str) -> Path:
    """Return the path of one of the project's notebooks."""
    from atb.config import part_of

    return part_of(settings.project, "notebooks", name)


def executed(path: Path, given: Mapping[str, object], settings: "Settings", *, timeout: float, quiet: bool) -> "RunRow":
    """Execute a notebook with progress on standard error, and return its row; on Ctrl-C print where it was kept."""
    from atb.experiments.execution import RunInterrupted, execute

    with journal(settings) as database, _progress(path.name, hidden=quiet) as progress:
        try:
            return execute(path, given, settings=settings, database=database, progress=progress, timeout=timeout)
        except RunInterrupted as interrupted:
            click.echo(f"Recorded as {interrupted.run.run_id}; its notebook is in {interrupted.run.path}", err=True)
            raise


@contextmanager
def within(seconds: float, work: str) -> Iterator[Callable[[], None]]:
    """Limit what is computed in this process, such as a strategy that never ends, as a notebook's run is limited.

    Yields a function that starts the time anew.

    Raises
    ------
    InputError
        If the limit is none.
    RunError
        If it takes longer; raised wherever the work stands.
    """
    if not seconds > 0:
        raise InputError("The time limit must be above 0 seconds", found=seconds)

    def end(*_: object) -> None:
        todo = "Give it a longer --timeout; `atb test-strategy` finds a strategy that computes or waits without end"
        raise RunError(f"{work} did not end within {seconds:g} s", todo=todo)

    def begin() -> None:
        signal.setitimer(signal.ITIMER_REAL, min(seconds, LONGEST_S))

    before, outer = signal.signal(signal.SIGALRM, end), signal.getitimer(signal.ITIMER_REAL)
    begin()
    try:
        yield begin
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *outer)


@contextmanager
def _progress(name: str, *, hidden: bool) -> Iterator["Progress | None"]:
    """Show progress by cells on standard error: a bar in a terminal, otherwise a line per quarter."""
    if hidden:
        yield None
        return
    if not sys.stderr.isatty():
        yield _lines(name)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TextColumn("cells"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(name: str) -> "Progress":
    last = -1

    def update(done: int, total: int) -> None:
        nonlocal last
        if (quarter := QUARTERS * done // max(1, total)) > last:
            last = quarter
            click.echo(f"{name}: {done} of {counted(total, 'cell')}", err=True)

    return update


def report(row: "RunRow", print_result: Callable[[dict[str, Any]], None], *, as_json: bool) -> None:
    """Print a run and its published result; raise if it failed."""
    from atb.experiments.publication import published

    if as_json:
        print_json(run_as_json(row))
    else:
        print_fields(run_facts(row))
        if row.status == "succeeded":
            print_result(published(Path(row.path)))
    refuse_failed(row)


def refuse_failed(row: "RunRow") -> None:
    """Raise the error of a run that did not succeed."""
    if row.status != "succeeded":
        raise RunError(f"The notebook failed in {row.error}", todo=f"It was kept: {Path(row.path) / row.notebook}")


def run_as_json(row: "RunRow") -> dict[str, Any]:
    """Return the run's row, its published result and the paths of its files."""
    from atb.experiments.publication import published
    from atb.experiments.registry import run_json

    found = published(Path(row.path))
    kept = {name: found.get(name) for name in ("headline", "findings", "model", "result", "evidence")}
    return {**run_json(row), **kept, "files": {name: str(path) for name, path in _files(row).items()}}


def run_facts(row: "RunRow") -> dict[str, object]:
    """Return a run as fields for printing: status, duration, bars, files."""
    seconds = None if row.seconds is None else f"{row.seconds:.1f} s"
    facts = {"run": row.run_id, "status": row.status, "took": seconds, "error": row.error}
    data = [
        f"{series['symbol']} {series['timeframe']} {series['venue']}, {series['bars']:,} bars" for series in row.data
    ]
    return {name: value for name, value in {**facts, "data": "; ".join(data), **_files(row)}.items() if value}


def _files(row: "RunRow") -> dict[str, Path]:
    """Return the existing files of a run by kind."""
    names = {"notebook": row.notebook, "report": "report.html", "result": "result.json"}
    tables = [
        (table, f"{table}.{kind}") for table in ("orders", "trades", "equity", "refused") for kind in ("csv", "parquet")
    ]
    found = [(what, Path(row.path) / name) for what, name in [*names.items(), *tables]]
    return {what: path for what, path in found if path.exists()}

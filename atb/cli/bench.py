"""`atb bench`: measure atb beside other backtesters, check that results agree, and compare with atb's targets and kept results."""

import sys
from typing import TYPE_CHECKING, Any

import click

from atb.cli.commands import Command
from atb.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atb.bench.cases import Options, Row
    from atb.bench.process import BenchJob

# Repeated from `atb.bench.cases`, so that --help imports nothing heavy; a test keeps them equal.
CASES = (
    "single",
    "tables",
    "multi",
    "fills",
    "sweep",
    "grid",
    "cores",
    "memory",
    "start",
    "cold",
    "load",
    "indicators",
    "live",
    "notebooks",
    "ledger",
)
COLUMNS = ("case", "engine", "bars", "combos", "workers", "cpu_s", "wall_s", "ratio_to_atb", "peak_mb", "agrees")


@click.command(cls=Command)
@click.option(
    "--case", "cases", multiple=True, type=click.Choice([*CASES, "all"]), help="May be repeated; by default all."
)
@click.option(
    "--bars", default=100_000, show_default=True, type=click.IntRange(500, 10_000_000), help="Bars of the market."
)
@click.option(
    "--combos", default=1_000, show_default=True, type=click.IntRange(2, 100_000), help="Combinations of a sweep."
)
@click.option(
    "--repeat",
    default=3,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Runs per measurement, of which the fastest counts; short runs are repeated more often.",
)
@click.option(
    "--seed", type=click.IntRange(0), help="Seed of other bars; on the default bars all engines make the same trades."
)
@click.option("--keep", is_flag=True, help="Keep the ratios under tests/bench/results, in the file of this version.")
@json_option
def bench(cases: tuple[str, ...], *, keep: bool, as_json: bool, **sizes: Any) -> None:
    """Measure atb beside vectorbt, backtesting.py and a bare compiled loop.

    All get the same generated bars and the same rule: SMA 20/50 cross, 0.1 % fee, 2 % stop, 4 % target. Each runs in a
    process of its own; the first run is discarded and the fastest of the others counts. Ratios are of CPU seconds, those
    of `cores`, `load` and `start` of wall time. Peak memory is counted above imports and bars. With --keep the ratios of a
    release are kept; each later run prints how its ratios differ from the last kept ones. The exit code is 1 if engines
    with the same fill rules disagree.

    \b
    Cases:
      single  one backtest with its orders, trades, equity and drawdown, as the engine keeps them
      tables  the same with orders and trades as readable tables
      multi   ten markets on one account
      fills   the same on wild bars, where the fill rules of engines show
      sweep   a grid of stops and targets
      grid    a grid of the two windows
      cores   the sweep on one and on two workers
      memory  the sweep with a tenth, all and ten times the combinations
      start   from the start of the process to the first result
      cold    compiling the kernel into an empty cache
      load    a million minutes from the catalogue, beside pandas from CSV, and one day of them
      indicators  a closed bar's indicators by the live form, beside pandas computing them again
      ledger  a sweep with the trials ledger and without it
      live    from a closed bar seen by the runner to the request it sends, as a histogram; an order to its answer, by each way
      notebooks  small notebooks in a batch with warm kernels, beside papermill

    \b
    Examples:
      atb bench
      atb bench --case single --case sweep
      atb bench --case sweep --bars 20000 --combos 200 --json
      atb bench --case single --case sweep --keep
    """
    from atb.bench.cases import Options, measurable, run_cases
    from atb.bench.engines import ENGINES, missing_engines
    from atb.bench.launch import launch
    from atb.bench.measure import busy
    from atb.bench.workload import SEED

    missing = missing_engines()
    for name in missing:
        click.echo(f"{name} is not installed and is left out: `make {ENGINES[name].target}` adds it", err=True)
    if warning := busy():
        click.echo(warning, err=True)
    seed = SEED if sizes["seed"] is None else sizes["seed"]
    options = Options(sizes["bars"], sizes["combos"], sizes["repeat"], seed)
    chosen = CASES if not cases or "all" in cases else tuple(dict.fromkeys(cases))
    peers = tuple(case for case in chosen if case not in {"load", "indicators", "live", "notebooks", "ledger"})
    rows = list(run_cases(peers, options, measurable(missing), runner=launch, progress=_show_progress))
    rows += _measured_here(chosen, options)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    if as_json:
        print_json([row.to_json() for row in rows])
    else:
        _print_rows(rows)
    _print_targets(rows, to_error=as_json)
    _compare_kept(rows, keep=keep, to_error=as_json)
    if any(row.agrees is False for row in rows):
        sys.exit(1)


def _measured_here(chosen: "Sequence[str]", options: "Options") -> "list[Row]":
    """Return the rows of the chosen cases that have no peer to run in a process of its own."""
    rows: list[Row] = []
    if "load" in chosen:
        from atb.bench.loading import measure_loading

        rows += measure_loading(options.seed)
    if "indicators" in chosen:
        from atb.bench.indicators import measure_indicators

        rows += measure_indicators(options.bars, options.seed)
    if "live" in chosen:
        from atb.bench.latency import WAYS, measure_latency, measure_orders
        from atb.monitoring import configure_logging

        configure_logging("WARNING")
        rows.append(measure_latency(options.seed).row())
        rows += [measure_orders(way, options.seed).order_row(way) for way in WAYS]
    if "notebooks" in chosen:
        from atb.bench.notebooks import measure_notebooks

        rows += measure_notebooks()
    if "ledger" in chosen:
        from atb.bench.ledger import measure_ledger

        rows += measure_ledger(options)
    return rows


def _show_progress(number: int, total: int, job: "BenchJob") -> None:
    combos = f" x {job.combos:,} combinations" if job.combos > 1 else ""
    text = f"[{number}/{total}] {job.task}: {job.engine}, {job.bars:,} bars{combos}"
    terminal = sys.stderr.isatty()
    click.echo(f"\r\x1b[K{text}" if terminal else text, nl=not terminal, err=True)


def _print_rows(rows: "Sequence[Row]") -> None:
    print_table([{name: _short(getattr(row, name)) for name in COLUMNS} for row in rows], COLUMNS)
    click.echo()
    for row in rows:
        if row.notes:
            click.echo(f"{row.case}, {row.engine}: {'; '.join(row.notes)}")
    click.echo()


def _short(value: object) -> object:
    """Return a number with four significant digits; more would be noise."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _print_targets(rows: "Sequence[Row]", *, to_error: bool) -> None:
    from atb.bench.targets import check_targets

    for result in check_targets(rows):
        click.echo(click.style(str(result), fg="green" if result.met else "red"), err=to_error)


def _compare_kept(rows: "Sequence[Row]", *, keep: bool, to_error: bool) -> None:
    """Print how ratios differ from the last kept ones; with `keep` from those of an older version, and keep these."""
    from atb import __version__
    from atb.bench import history

    kept = history.last_kept(history.RESULTS, before=__version__ if keep else None)
    if kept is not None and (lines := history.changes(rows, kept)):
        click.echo(f"\nRatios to atb, compared with those of {kept.version}, kept on {kept.kept}", err=to_error)
        for line in lines:
            click.echo(f"  {line}", err=to_error)
    if keep:
        click.echo(f"\nKept in {history.keep(rows, history.RESULTS, __version__)}", err=to_error)

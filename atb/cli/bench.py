"""`atb bench`: measure atb beside its peers, check that they agree, and hold the figures against what atb promises."""

import sys
from typing import TYPE_CHECKING

import click

from atb.cli.commands import Command
from atb.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atb.bench.cases import Row
    from atb.bench.process import Job

# Written here as well, because the help must not import what measures; a test holds them equal.
CASES = ("single", "tables", "multi", "fills", "sweep", "grid", "cores", "memory", "start", "cold", "live")
COLUMNS = ("case", "engine", "bars", "combos", "workers", "cpu_s", "wall_s", "ratio_to_atb", "peak_mb", "agrees")


@click.command(cls=Command)
@click.option(
    "--case", "cases", multiple=True, type=click.Choice([*CASES, "all"]), help="Repeat it for more; by default all."
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
    help="Runs of which to take the least; short ones are run more often.",
)
@click.option("--seed", type=click.IntRange(0), help="Chooses other bars; with the usual ones all engines trade alike.")
@json_option
def bench(cases: tuple[str, ...], *, bars: int, combos: int, repeat: int, seed: int | None, as_json: bool) -> None:
    """Measure atb beside vectorbt, backtesting.py and a bare compiled loop.

    All get the same generated bars and the same rule: SMA 20/50 cross, 0.1 % fee, 2 % stop, 4 % target. Each runs in a
    process of its own; one run is discarded and the least of the others taken. Ratios are of CPU seconds, those
    of `cores` and `start` of wall time. Peak memory is counted above imports and bars. The exit code is 1 if engines
    disagree that fill by the same rules.

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
      live    from a closed bar that the runner has seen to the request it sends, as a histogram

    \b
    Examples:
      atb bench
      atb bench --case single --case sweep
      atb bench --case sweep --bars 20000 --combos 200 --json
    """
    from atb.bench.cases import Options, measurable, run_cases
    from atb.bench.engines import ENGINES, missing_engines
    from atb.bench.launch import launch
    from atb.bench.measure import busy
    from atb.bench.workload import SEED

    missing = missing_engines()
    for name in missing:
        click.echo(f"{name} is not installed and left out: `make {ENGINES[name].target}` adds it", err=True)
    if warning := busy():
        click.echo(warning, err=True)
    options = Options(bars, combos, repeat, SEED if seed is None else seed)
    chosen = CASES if not cases or "all" in cases else tuple(dict.fromkeys(cases))
    peers = tuple(case for case in chosen if case != "live")
    rows = list(run_cases(peers, options, measurable(missing), runner=launch, progress=_show_progress))
    if "live" in chosen:
        from atb.bench.latency import measure_latency
        from atb.monitoring import configure_logging

        configure_logging("WARNING")
        rows.append(measure_latency(options.seed).row())
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    if as_json:
        print_json([row.to_json() for row in rows])
    else:
        _print_rows(rows)
    _print_targets(rows, to_error=as_json)
    if any(row.agrees is False for row in rows):
        sys.exit(1)


def _show_progress(number: int, total: int, job: "Job") -> None:
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
    """Return a number with four significant digits: more would be noise."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _print_targets(rows: "Sequence[Row]", *, to_error: bool) -> None:
    from atb.bench.targets import judge_targets

    for verdict in judge_targets(rows):
        click.echo(click.style(str(verdict), fg="green" if verdict.met else "red"), err=to_error)

"""`atb sweep`: backtest every combination of a grid, and rank them; a ranking is no evidence, and the output says so."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import click

from atb.cli import INTERRUPTED, completing
from atb.cli.commands import Command
from atb.cli.executing import (
    chosen_market,
    chosen_values,
    days_option,
    markets_options,
    notebook_at,
    refuse_two_periods,
    within,
)
from atb.cli.grid import Axes, read_axes
from atb.cli.output import command_line, json_option, print_json, print_table, print_text, start
from atb.cli.parameters import FLAGS, chosen_rules, joined, parameter_option, read_pairs, rule_options
from atb.cli.targets import TargetFile, write_target
from atb.decimals import counted
from atb.errors import InputError, did_you_mean
from atb.experiments import BACKTEST

if TYPE_CHECKING:
    import pandas as pd

    from atb.backtest.sweeping import Sweep
    from atb.workbench.backtesting import PreparedSweep

C = TypeVar("C", bound=Callable[..., Any])
SHOWN = ("total_return_pct", "sharpe", "max_drawdown_pct", "calmar", "n_trades", "exposure_time_pct", "fees_paid")
SPARE = ("fees_paid", "exposure_time_pct", "calmar")
NOTICE = (
    "A sweep ranks, it is no evidence: the best of many is partly luck. Judge it on bars that the sweep has not seen."
)
SMALLER_IS_BETTER = ("max_drawdown_pct", "max_drawdown_days", "volatility_pct", "fees_paid", "financing_paid")


def notebook_options(command: C) -> C:
    """Add the options of a batch of notebook runs."""
    added = [
        click.option("--timeout", type=float, default=3600.0, show_default=True, help="Seconds for each run, or combination."),
        click.option("--memory", type=float, metavar="GIB", help="Memory of each notebook's kernel."),
        click.option("--force", is_flag=True, help="Run finished notebooks again, too."),
        click.option("--retry", is_flag=True, help="Run notebooks again that failed before."),
        click.option("--take-over", is_flag=True, help="Run what a lost machine was at work on."),
        click.option("--cold", is_flag=True, help="Start every notebook's kernel anew instead of forking a warm one."),
    ]  # fmt: skip
    for option in reversed(added):
        command = option(command)
    return command


@click.command(cls=Command)
@click.argument("strategy", metavar="STRATEGY|NOTEBOOK", shell_complete=completing.strategy)
@click.option("--grid", "grid", multiple=True, metavar="NAME=VALUES|FILE",
              help="An axis, as fast=10,20,30 or fast=10:30:10, or a YAML file of axes. Repeat it for more.")  # fmt: skip
@markets_options
@days_option
@click.option("--by", default="sharpe", show_default=True, help="The figure of merit that ranks.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Rows to show.")
@click.option("--least-trades", type=click.IntRange(min=0), default=0, show_default=True,
              help="Rank only combinations with so many closed trades.")  # fmt: skip
@click.option("--axes", help="One or two swept parameters to draw, as fast,slow; by default the first two.")
@click.option("--figure", "picture", type=TargetFile(), help="Write a heat map: an HTML file.")
@click.option("--csv", "table", type=TargetFile(), help="Write every row: a CSV file.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Threads, or processes for a notebook; by default one per core."
)
@click.option("--scheduler", metavar="URL", help="Run on this Dask cluster instead: tcp://127.0.0.1:8786, or tls://.")
@click.option("--dry-run", is_flag=True, help="Check everything and say how many combinations there are; run none.")
@notebook_options
@parameter_option("A parameter of the strategy, or a rule, that all combinations share.")
@rule_options
@json_option
def sweep(strategy: str, **options: Any) -> None:
    """Backtest every combination of a grid of parameters and rules, and rank them; or run a notebook for each.

    A sweep ranks; it is no evidence. The best of many is partly luck: judge it on bars that the sweep has not seen. Combinations
    that the strategy refuses, such as a fast window above the slow one, are left out.

    A notebook instead of a strategy makes a batch: one recorded run for each combination, none that has finished before, by worker
    processes with warm kernels. Ctrl-C ends it in order; the same command goes on. What failed is listed, and run again by --retry.

    \b
    Examples:
      atb sweep sma_cross --grid fast=5:30:5 --grid slow=40:160:20 --symbol BTC/USDT --timeframe 1h
      atb sweep sma_cross --grid stop_loss=0.02,0.05,none --grid take_profit=0.05,0.1 -p fast=10 --by calmar
      atb sweep sma_cross --grid grid.yaml --start 2022-01-01 --end 2024-01-01 --figure heat.html --csv rows.csv
      atb sweep sma_cross --grid fast=5:60:1 --grid slow=20:300:5 --dry-run
      atb sweep notebooks/03_backtest.ipynb --grid fast=10,20,40 --grid symbol=BTC/USDT,ETH/USDT --workers 2
      atb sweep 02_train --grid grid.yaml --dry-run
      atb sweep rule -p entry='rsi({n}) < {low}' -p exit='rsi({n}) > 60' --grid n=7,14,21 --grid low=20:40:5
    """
    from atb.cli.batch import notebook_named, sweep_notebook

    notebook = notebook_named(strategy, start())
    refuse_two_periods(options)
    if notebook is not None:
        sweep_notebook(notebook, options)
        return
    _check_strategy(strategy)
    pairs = read_pairs(options["given"])  # once: standard input can be read once
    axes = read_axes(options["grid"], strategy, pairs)
    quiet = options["as_json"]
    with within(options["timeout"], "A combination of the sweep") as restarted:
        prepared = _prepared(strategy, axes, pairs=pairs, options=options)
        if options["dry_run"]:
            _print_counts(prepared, as_json=quiet)
            return
        if not quiet:
            click.echo(f"{prepared.backtest.part}\n{_counts(prepared)}.", err=True)
        _check_names(prepared, axes, options)
        with _progress(prepared, restarted, hidden=quiet or not sys.stderr.isatty()) as progress:
            done = prepared.run(workers=options["workers"], progress=progress, scheduler=options["scheduler"])
    ranked = _ranked(done, options["by"], options["least_trades"])
    _write(done, options)
    if quiet:
        print_json(_as_json(done, ranked, prepared))
    else:
        _print(done, ranked, total=len(prepared.strategies) * len(prepared.policies), options=options)
    if not done.complete:
        raise click.exceptions.Exit(INTERRUPTED)


def _check_strategy(name: str) -> None:
    """Refuse an unknown name before anything runs; the notebooks that a sweep takes are known names, too."""
    from atb.cli.batch import known_notebooks
    from atb.strategies import make_strategy, strategy_names

    strategies = strategy_names()
    if name in strategies:
        make_strategy(name)
        return
    known = [*strategies, *(path.stem for path in known_notebooks(start()))]
    raise InputError("There is no such strategy or notebook", found=name, todo=did_you_mean(name, known))


@contextmanager
def _progress(
    prepared: "PreparedSweep", restarted: Callable[[], None], *, hidden: bool
) -> Iterator[Callable[[int, int], None]]:
    """Yield what takes (done, all): it draws a bar, unless `hidden`, and gives the next combination its whole time."""
    from atb.backtest.sweeping import ProgressBar

    bar = nullcontext(None) if hidden else ProgressBar(len(prepared.strategies) * len(prepared.policies))
    with bar as drawn:

        def progress(done: int, total: int) -> None:
            restarted()
            if drawn is not None:
                drawn(done, total)

        restarted()
        yield progress


def _prepared(strategy: str, axes: Axes, *, pairs: dict[str, object], options: dict[str, Any]) -> "PreparedSweep":
    """Return the sweep over the bars, costs and rules that `atb backtest` would use with the same options."""
    from atb.experiments.parameters import read_parameters, validate_parameters, with_defaults
    from atb.workbench.backtesting import prepare_sweep

    path = notebook_at(start(), BACKTEST)
    given = {"strategy": strategy, **chosen_market(options), **chosen_rules(options)}
    given |= {"days": options["days"]} if options["days"] else {}
    chosen = chosen_values(path, given, pairs)
    for part in (chosen, chosen.get("params"), chosen.get("policy")):
        joined(part if isinstance(part, dict) else {}, {**axes.params, **axes.rules})
    spec = read_parameters(path)
    return prepare_sweep(with_defaults(spec, validate_parameters(spec, chosen)), axes.params, axes.rules)


def _check_names(prepared: "PreparedSweep", axes: Axes, options: dict[str, Any]) -> None:
    """Refuse figures and axes that there are not, before the sweep: a single combination has all names."""
    from dataclasses import replace

    one = replace(prepared, strategies=prepared.strategies[:1], policies=prepared.policies[:1]).run(workers=1)
    if options["by"] not in one.table.columns:
        raise InputError(
            "There is no such figure", found=options["by"], todo=did_you_mean(options["by"], list(one.table.columns))
        )
    varied = [name for name, values in {**axes.params, **axes.rules}.items() if len(values) > 1]
    drawn = _drawn(options)
    if unknown := [name for name in drawn or () if name not in varied]:
        raise InputError("--axes names swept parameters", found=unknown[0], todo=did_you_mean(unknown[0], varied))
    if options["picture"] and not (varied and len(drawn or varied[:2]) <= 2):
        raise InputError(
            "A figure is drawn over one or two parameters of several values", found=options["axes"] or "none"
        )


def _drawn(options: dict[str, Any]) -> list[str] | None:
    return [name.strip() for name in options["axes"].split(",")] if options["axes"] else None


def _counts(prepared: "PreparedSweep") -> str:
    total = len(prepared.strategies) * len(prepared.policies)
    more = f", {counted(prepared.refused, 'more is', 'more are')} refused by the strategy" if prepared.refused else ""
    return counted(total, "combination") + more


def _print_counts(prepared: "PreparedSweep", *, as_json: bool) -> None:
    if as_json:
        total = len(prepared.strategies) * len(prepared.policies)
        print_json({"combinations": total, "refused": prepared.refused})
    else:
        click.echo(f"{prepared.backtest.part}\n{_counts(prepared)}; nothing was run.")


def _ranked(done: "Sweep", by: str, least_trades: int) -> "pd.DataFrame":
    """Return the table's rows from the best on; undefined figures last, without those of too few trades."""
    table = done.table[done.table["n_trades"] >= least_trades]
    return table.sort_values(by, ascending=by in SMALLER_IS_BETTER, kind="stable")


def _write(done: "Sweep", options: dict[str, Any]) -> None:
    if options["table"]:
        write_target(options["table"], done.table.to_csv(lineterminator="\n").encode())
    if options["picture"]:
        from atb.reports.sweep import sweep_figure

        figure = sweep_figure(done, options["by"], _drawn(options))
        page = figure.to_html(include_plotlyjs=True, config={"responsive": True, "displaylogo": False})
        narrow = '<head><meta name="viewport" content="width=device-width"><title>atb sweep</title>'
        write_target(options["picture"], page.replace("<head>", narrow, 1).encode())


def _print(done: "Sweep", ranked: "pd.DataFrame", *, total: int, options: dict[str, Any]) -> None:
    by = options["by"]
    click.echo(click.style(done.label, bold=True))
    columns = [*done.swept, *dict.fromkeys([by, *SHOWN])]
    rows = [{"row": row, **_shown(ranked.loc[row], done.swept, columns)} for row in ranked.index[: options["top"]]]
    empty = "No combination has so many closed trades: lower --least-trades."
    print_table(rows, ["row", *columns], spare=[name for name in SPARE if name != by], empty=empty)
    click.echo()
    print_text(f"{len(ranked):,} of {counted(total, 'combination')} ranked by {by}. {NOTICE} {done.seen}")
    for path in (options["table"], options["picture"]):
        if path:
            click.echo(f"Written: {path}")
    if rows:
        print_text(f"Next: {command_line(_backtest(done, ranked, options))}")


def _shown(row: "pd.Series[Any]", swept: list[str], columns: list[str]) -> dict[str, object]:
    """Return a row's cells; a rule that is off reads `none`."""
    return {name: "none" if name in swept and plain_value(row[name]) == "none" else row[name] for name in columns}


def _backtest(done: "Sweep", ranked: "pd.DataFrame", options: dict[str, Any]) -> str:
    """Return the command that backtests the best row over the same bars."""
    import shlex

    best, slots = ranked.iloc[0].to_dict(), done.slots
    words = ["backtest", done.combinations[int(ranked.index[0])].strategy.name]
    for slot in slots:
        words += ["--symbol", str(slot.bars.symbol)]
    words += ["--timeframe", str(slots[0].bars.timeframe), "--start", f"{done.start:%Y-%m-%dT%H:%M}"]
    for name in ("end", "venue", "policy", *FLAGS):
        words += [f"--{name.replace('_', '-')}", plain_value(options[name])] if options[name] is not None else []
    pairs = [*options["given"], *(f"{name}={plain_value(best[name])}" for name in done.swept)]
    return shlex.join([*words, *(word for pair in pairs for word in ("-p", pair))])


def plain_value(value: Any) -> str:
    """Return a swept value as it is given on the command line."""
    return "none" if value is None or value != value else f"{value:.12g}" if isinstance(value, float) else str(value)  # noqa: PLR0124 - NaN


def _as_json(done: "Sweep", ranked: "pd.DataFrame", prepared: "PreparedSweep") -> dict[str, Any]:
    return {
        "label": done.label,
        "start": done.start.isoformat(),
        "combinations": len(prepared.strategies) * len(prepared.policies),
        "refused": prepared.refused,
        "complete": done.complete,
        "swept": done.swept,
        "notice": NOTICE,
        "seen": done.seen.to_json(),
        "rows": [{"row": row, **values} for row, values in zip(ranked.index, ranked.to_dict("records"), strict=True)],
    }

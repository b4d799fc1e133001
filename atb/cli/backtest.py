"""`atb backtest`: the figures at once, computed in this process, then the notebook, its proofs and its report.

Both are one run: the same functions over the same bars. The notebook's figures are compared with those that were printed, and a
difference, which a catalogue that changes meanwhile can make, is an error and no second result. With `--no-report` nothing is
recorded: there is no row, no folder and no proof, so such a run cannot be promoted, and the output says so.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli import completing
from atb.cli.commands import Command
from atb.cli.executing import (
    check_values,
    chosen_market,
    chosen_values,
    days_option,
    executed,
    markets_options,
    notebook_at,
    refuse_failed,
    refuse_two_periods,
    report,
    run_as_json,
    run_facts,
    run_options,
    within,
)
from atb.cli.output import command_line, print_fields, print_json, print_points, print_table, print_text, start
from atb.cli.parameters import chosen_rules, rule_options
from atb.errors import InputError, RunError
from atb.experiments import BACKTEST

if TYPE_CHECKING:
    from atb.backtest import Result
    from atb.db.tables import RunRow
    from atb.engine.slot import Slot
    from atb.workbench.backtesting import Prepared

# Metrics shown beside those of holding; the others are shown for the strategy alone.
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
UNRECORDED = "Not recorded, so it cannot be promoted: leave out --no-report for the proofs, the report and a run."


@click.command(cls=Command)
@click.argument("strategy", shell_complete=completing.strategy)
@markets_options
@days_option
@click.option("--universe", help="A stored universe (atb data universe): its symbols trade while they belong to it.")
@click.option("--finer", help="A finer stored timeframe to resolve bars that touch both stop and target.")
@click.option("--no-report", is_flag=True, help="Stop after the table: no notebook, no proofs, no record.")
@rule_options
@run_options
def backtest(strategy: str, **options: Any) -> None:
    """Backtest one strategy: the figures at once, then the backtest notebook with proofs and a report.

    Without dates the last 365 days are traded, or as many as are stored.

    \b
    Examples:
      atb backtest sma_cross --symbol BTCUSDT --timeframe 1h --days 90
      atb backtest sma_cross --start 2023-01-01 --end 2024-01-01 -p fast=10 -p slow=40
      atb backtest sma_cross --stop-loss 0.03 --policy '{"trailing_stop": 0.03, "max_bars": 48, "daily_loss": 0.02}'
      atb backtest ml_basic --symbol BTC/USDT --policy rules.json --json
      atb backtest sma_cross --symbol BTC/USDT --symbol ETH/USDT --days 365
      atb backtest pairs --symbol BTC/USDT --symbol ETH/USDT --policy '{"allow_short": true, "sizing": "confidence"}'
      atb backtest sma_cross --timeframe 1h --stop-loss 0.01 -p take_profit=0.01 --finer 5m
      atb backtest sma_cross --days 30 --no-report
      atb backtest rule -p entry='close > lag(highest(high, {n=20}), 1)' -p exit='close < lag(lowest(low, {n}), 1)' -p n=40
    """
    from atb.strategies import make_strategy

    make_strategy(strategy)  # refuse an unknown name before anything runs
    refuse_two_periods(options)
    if options["universe"] and options["symbol"]:
        raise InputError("--universe names the symbols; --symbol cannot be combined with it", todo="Use one of them")
    settings = start()
    given = {"strategy": strategy, **chosen_market(options), **chosen_rules(options)}
    given |= {name: options[name] for name in ("days", "finer", "universe") if options[name]}
    path = notebook_at(settings, BACKTEST)
    values = chosen_values(path, given, options["given"])
    quiet = options["as_json"]
    with within(options["timeout"], "The backtest"):
        prepared = check_values(path, values)
        result = prepared.run() if prepared is not None else None
    if prepared is None or result is None:  # a user's own backtest notebook: only it knows what it does
        report(
            executed(path, values, settings, timeout=options["timeout"], quiet=quiet), _print_published, as_json=quiet
        )
        return
    if not quiet:
        _print_first(result, prepared, values, recorded=not options["no_report"])
    if options["no_report"]:
        if quiet:
            print_json(_unrecorded(result, values))
        return
    row = executed(path, values, settings, timeout=options["timeout"], quiet=quiet)
    if quiet:
        print_json({**run_as_json(row), **_rules(result, values)})
    else:
        _print_second(row, result)
    refuse_failed(row)
    _refuse_other_figures(row, result)


def _print_first(result: "Result", prepared: "Prepared", values: Mapping[str, Any], *, recorded: bool) -> None:
    """Print headline, findings, metrics beside those of holding, and rules."""
    from atb.experiments.findings import UNPROVEN, assumptions, findings

    click.echo(click.style(result.label, bold=True))
    print_text(prepared.part)
    click.echo()
    print_text(result.headline)
    click.echo("\nFindings, the gravest first")
    found = findings(result)
    print_points([text for text in found if not (recorded and text == UNPROVEN)] or ["nothing against it so far"])
    click.echo()
    _print_figures(result.stats, result.baselines["hold"])
    click.echo("\nRules as used")
    print_fields(assumptions(result, _named(values)))
    click.echo()
    print_text(result.fill_model)
    click.echo()
    print_text("Next: the proofs and the report, from the notebook." if recorded else UNRECORDED)


def _named(values: Mapping[str, Any]) -> set[str]:
    """Return the names of the rules and strategy parameters that were given."""
    return {*values, *values.get("params", {}), *values.get("policy", {})}


def _print_figures(stats: Mapping[str, Any], hold: Mapping[str, Any]) -> None:
    rows = [{"figure": name, "strategy": stats[name], "hold": hold.get(name)} for name in COMPARED if name in stats]
    rows += [{"figure": name, "strategy": stats[name], "hold": None} for name in ALONE if name in stats]
    print_table(rows)


def _print_second(row: "RunRow", result: "Result") -> None:
    """Print what the notebook adds: further findings, proofs, and the paths of its files."""
    from atb.experiments.evidence import ResultEvidence
    from atb.experiments.findings import findings
    from atb.experiments.publication import published

    found = published(Path(row.path)) if row.status == "succeeded" else {}
    if new := [text for text in found.get("findings") or [] if text not in findings(result)]:
        click.echo(click.style("\nFindings from the proofs", bold=True))
        print_points(new)
    if evidence := found.get("evidence"):
        click.echo("\nProven")
        print_points(ResultEvidence.from_json(evidence).sentences())
    click.echo()
    print_fields(run_facts(row))
    if found:
        click.echo(f"\nThe report: {command_line(f'report {row.run_id}')}")
    if found and len(result.slots) > 1:
        alone = _alone(result.slots)
        print_text("\nTo promote it, backtest each symbol alone: a manifest holds one, and a runner takes several.")
        if alone:
            click.echo("With the same options, and these of each symbol's own:")
        for options in alone:
            click.echo(f"  {options}")
    elif found:
        click.echo(f"Next: {command_line(f'promote {row.run_id} --to paper')}")


def _alone(slots: "Sequence[Slot]") -> list[str]:
    """Return the options that backtest each symbol alone where the strategies differ: those in which they do."""
    import shlex

    from atb.strategies import differing_params

    found = []
    for slot, differing in zip(slots, differing_params(slot.strategy for slot in slots), strict=True):
        if differing:
            words = [word for name, value in differing.items() for word in ("-p", f"{name}={value}")]
            found.append(shlex.join(["--symbol", str(slot.bars.symbol), *words]))
    return found


def _print_published(found: dict[str, Any]) -> None:
    """Print the published result of a user's own backtest notebook: headline, and metrics beside those of holding."""
    from atb.cli.run import print_metrics

    result = found.get("result")
    if not result:
        print_metrics(found)
        return
    click.echo(f"\n{found['headline']}\n")
    _print_figures(result["stats"], result["baselines"]["hold"])
    click.echo()
    print_text(result["fill_model"])


def _rules(result: "Result", values: Mapping[str, Any]) -> dict[str, Any]:
    """Return for `--json` every rule with its value, and the names of those left at their defaults."""
    from atb.experiments.findings import assumptions, rules_used

    given, used = _named(values), rules_used(result)
    return {
        "policy": used,
        "defaults": [name for name in used if name not in given],
        "assumptions": assumptions(result, given),
    }


def _unrecorded(result: "Result", values: Mapping[str, Any]) -> dict[str, Any]:
    """Return for `--json` an unrecorded backtest, with the keys of a recorded one."""
    from atb.experiments.findings import findings

    kept = {"headline": result.headline, "findings": findings(result), "model": None, "result": result.to_json()}
    record = {"run_id": None, "status": "not recorded", "parameters": dict(values), "metrics": result.stats}
    return {**record, **kept, "evidence": None, "files": {}, **_rules(result, values)}


def _refuse_other_figures(row: "RunRow", result: "Result") -> None:
    from atb.workbench.backtesting import differences

    if others := differences(result, row.metrics):
        name, (ours, theirs) = next(iter(others.items()))
        raise RunError(
            f"The notebook's figures are not those that this command computed: {name} {ours} here, {theirs} there",
            found=", ".join(others),
            todo=f"Bars, model or sources changed meanwhile: run it again, and do not use run {row.run_id}",
        )

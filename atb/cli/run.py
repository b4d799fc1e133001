"""`atb run`, `atb train`: execute notebooks with checked parameters."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli.commands import Command
from atb.cli.executing import (
    check_values,
    chosen_market,
    chosen_values,
    executed,
    market_options,
    notebook_at,
    report,
    run_options,
)
from atb.cli.output import print_json, print_points, print_table, start
from atb.experiments import TRAINING

if TYPE_CHECKING:
    from atb.config import Settings


@click.command(cls=Command)
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option(
    "--parameters", "file", type=click.Path(path_type=Path), help="JSON file of parameters; -p takes precedence."
)
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
    path = located(notebook, settings)
    if list_parameters:
        _show_parameters(read_parameters(path), as_json=options["as_json"])
        return
    given = chosen_values(path, {}, options["given"], file=file)
    check_values(path, given)
    row = executed(path, given, settings, timeout=options["timeout"], quiet=options["as_json"])
    report(row, print_metrics, as_json=options["as_json"])


@click.command(cls=Command)
@market_options
@run_options
def train(**options: Any) -> None:
    """Train a model with the training notebook.

    \b
    Examples:
      atb train
      atb train --symbol ETH/USDT --timeframe 1h
      atb train --symbol BTCUSDT --timeframe 1h -p horizon=24 --json
    """
    settings = start()
    path = notebook_at(settings, TRAINING)
    given = chosen_values(path, chosen_market(options), options["given"])
    check_values(path, given)
    row = executed(path, given, settings, timeout=options["timeout"], quiet=options["as_json"])
    report(row, _print_training, as_json=options["as_json"])


def located(notebook: Path, settings: "Settings") -> Path:
    """Return the notebook as given, or the project's notebook of that name, with or without suffix."""
    named = notebook.with_name(f"{notebook.name}.ipynb") if notebook.suffix != ".ipynb" else notebook
    for candidate in (notebook, named, notebook_at(settings, named.name)):
        if candidate.is_file():
            return candidate
    return named if named.parent != Path() else notebook_at(settings, named.name)


def _show_parameters(spec: Any, *, as_json: bool) -> None:
    rows = [{"name": each.name, "type": str(each.kind), "default": each.default, "help": each.help} for each in spec]
    if as_json:
        print_json(rows)
        return
    print_table([{**row, "default": repr(row["default"])} for row in rows], empty="The notebook has no parameters.")


def print_metrics(found: dict[str, Any]) -> None:
    """Print a notebook's published headline, findings and metrics."""
    if found.get("headline"):
        click.echo(f"\n{found['headline']}")
    if found.get("findings"):
        click.echo("\nFindings, the gravest first")
        print_points(found["findings"])
        click.echo()
    metrics = found.get("metrics") or {}
    print_table([{"metric": name, "value": value} for name, value in metrics.items()], empty="Nothing was published.")


def _print_training(found: dict[str, Any]) -> None:
    print_metrics(found)
    if found.get("model"):
        click.echo(f"\nmodel  {found['model']['path']}")

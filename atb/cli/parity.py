"""`atb parity`: prove that the compiled loop, vectorbt's accounting and the bar-by-bar kernel trade a strategy alike."""

import sys
from typing import TYPE_CHECKING, Any

import click

from atb.cli.output import json_option, print_fields, print_json, start

if TYPE_CHECKING:
    import pandas as pd

    from atb.engine.prepare import Slot


@click.command()
@click.argument("strategy")
@click.option("--symbol", default="BTC/USDT", show_default=True, help="Such as BTC/USDT or BTCUSDT.")
@click.option("--timeframe", default="1h", show_default=True, help="Duration of a bar: 1m ... 1h 4h 1d.")
@click.option("--start", "since", help="First day or moment (UTC); by default the last 365 days.")
@click.option("--end", help="Day or moment (UTC) before which to stop.")
@click.option("--venue", help="Where the bars come from, when several have the symbol.")
@click.option("-p", "given", multiple=True, metavar="NAME=VALUE", help="A strategy parameter; repeat it for more.")
@click.option("--stop-loss", type=float, default=0.05, show_default=True, help="Fraction; 0 is off.")
@click.option("--take-profit", type=float, default=0.1, show_default=True, help="Fraction; 0 is off.")
@json_option
def parity(strategy: str, given: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Prove that loop, bar-by-bar calls and vectorbt agree on every order, bit by bit.

    Exit code 1 and the first difference, with both sides and the bar it happened in, where they do not.

    \b
    Examples:
      atb parity sma_cross --symbol BTC/USDT --timeframe 1h
      atb parity sma_cross -p fast=10 -p slow=40 --start 2024-01-01 --end 2024-07-01
      atb parity ml_basic --json
    """
    from atb.validation.parity import prove

    start()
    slot, first = _slot(strategy, given, options)
    report = prove(slot, start=first)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(f"{strategy} on {slot.bars.label}, {len(slot.bars):,} bars: {report}")
        for side, value in (report.first_difference or {}).items():
            print_fields({side: str(value)})
    if not report.equal:
        sys.exit(1)


def _slot(strategy: str, given: tuple[str, ...], options: dict[str, Any]) -> "tuple[Slot, pd.Timestamp]":
    from atb.engine.policy import RiskPolicy
    from atb.strategies import make_strategy
    from atb.workbench.slots import Period, prepare_slot

    return prepare_slot(
        make_strategy(strategy, **_typed(strategy, given)),
        options["symbol"],
        options["timeframe"],
        period=Period(options["since"], options["end"]),
        venue=options["venue"],
        policy=RiskPolicy(stop_loss=options["stop_loss"] or None, take_profit=options["take_profit"] or None),
    )


def _typed(strategy: str, given: tuple[str, ...]) -> dict[str, Any]:
    """Return `NAME=VALUE` texts as the types that the strategy declares; what is no number stays text and is refused."""
    from atb.errors import InputError
    from atb.strategies import parameter_types

    types, values = parameter_types(strategy), {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError("A parameter is given as NAME=VALUE", found=text)
        try:
            values[name] = types[name](value) if types.get(name) in (int, float) else value
        except ValueError:
            values[name] = value
    return values

"""`atb parity`: prove that compiled loop, vectorbt and bar-by-bar kernel trade a strategy alike, on the columns of a runner."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from atb.cli import completing
from atb.cli.commands import Command
from atb.cli.executing import days_option, refuse_two_periods
from atb.cli.output import json_option, print_fields, print_json, print_table, start
from atb.cli.parameters import chosen_rules, parameter_option, read_pairs, rule_options, strategy_values
from atb.decimals import counted

if TYPE_CHECKING:
    import pandas as pd

    from atb.engine.policy import AccountPolicy
    from atb.engine.slot import Slot

UNLESS_GIVEN = {
    "stop_loss": 0.05,
    "take_profit": 0.1,
}  # so that stops and targets take part, where no --policy says otherwise
WAYS = ("kernel", "vectorbt", "stepwise", "backtest", "runner")


@click.command(cls=Command)
@click.argument("strategy", shell_complete=completing.strategy)
@click.option("-s", "--symbol", default=["BTC/USDT"], show_default=True, multiple=True, shell_complete=completing.symbol,
              help="Such as BTC/USDT or BTCUSDT. Repeat it for several that share the account.")  # fmt: skip
@click.option("-t", "--timeframe", default="1h", show_default=True, shell_complete=completing.timeframe,
              help="Duration of a bar: 1m ... 1h 4h 1d.")  # fmt: skip
@click.option("--start", help="First day or moment (UTC); by default the last 365 days.")
@click.option("--end", help="Day or moment (UTC) before which to stop.")
@days_option
@click.option("--venue", help="Where the bars come from, when several have the symbol.")
@parameter_option("A parameter of the strategy, or a rule.")
@rule_options
@json_option
def parity(strategy: str, given: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Prove that loop, bar-by-bar calls and vectorbt agree on every order, bit by bit, and that a runner would decide the same.

    Features and signals are computed again at every bar by a process that knows the declared warm-up and the bars up to it, as a
    runner does: a strategy that looks ahead, or declares too short a warm-up, is named with the bar.

    Without --policy a stop of 5 % and a target of 10 % take part. Exit code 1 and the first difference, with both sides, the bar
    it happened in and the signal before it, where they do not agree. vectorbt knows no fee in base, no funding, no interest on
    shorts and no credit: what was compared without them is named.

    \b
    Examples:
      atb parity sma_cross --symbol BTC/USDT --timeframe 1h
      atb parity sma_cross --days 60
      atb parity sma_cross -p fast=10 -p slow=40 --start 2024-01-01 --end 2024-07-01
      atb parity sma_cross --policy '{"entry": "limit", "entry_bars": 3, "trailing_stop": 0.03, "fee_in_base": true}'
      atb parity ml_basic --policy rules.json --json
      atb parity pairs --symbol BTC/USDT --symbol ETH/USDT --policy '{"allow_short": true}'
    """
    from atb.validation.parity import prove

    refuse_two_periods(options)
    start()
    slots, first, account = _problem(strategy, given, options)
    report = prove(slots, account=account, start=first)
    if as_json:
        print_json(report.to_json() | _instruments(slots))
    else:
        bars = ", ".join(f"{slot.bars.label}, {counted(len(slot.bars), 'bar')}" for slot in slots)
        click.echo(f"{strategy} on {bars}: {report}")
        for rules in dict.fromkeys(str(slot.rules) for slot in slots):
            click.echo(f"{rules}.")
        if report.first_difference:
            _print_difference(report.first_difference)
    if not report.equal:
        sys.exit(1)


def _instruments(slots: "Sequence[Slot]") -> dict[str, Any]:
    """Return for `--json` the trading rules: of the one symbol, or by symbol."""
    if len(slots) == 1:
        return {"instrument": slots[0].rules.to_json()}
    return {"instruments": {str(slot.bars.symbol): slot.rules.to_json() for slot in slots}}


def _problem(
    strategy: str, given: tuple[str, ...], options: dict[str, Any]
) -> "tuple[tuple[Slot, ...], pd.Timestamp, AccountPolicy]":
    from atb.strategies import make_strategy
    from atb.workbench.portfolio import prepare_slots
    from atb.workbench.rules import make_rules
    from atb.workbench.slots import Period

    chosen = chosen_rules(options)
    values = strategy_values(strategy, chosen, read_pairs(given))
    flags = {name: value for name, value in chosen.items() if name != "policy"}
    rules = make_rules(values["policy"], **({} if "policy" in chosen else UNLESS_GIVEN) | flags)
    slots, first = prepare_slots(
        make_strategy(strategy, **values["params"]),
        options["symbol"],
        options["timeframe"],
        period=Period(options["start"], options["end"], **({"days": days} if (days := options["days"]) else {})),
        venue=options["venue"],
        rules=rules,
    )
    return slots, first, rules.account


def _print_difference(difference: Mapping[str, Any]) -> None:
    """Print where the first difference is, both sides field by field with those that differ marked, and the inputs."""
    sides = {way: difference[way] for way in WAYS if way in difference}
    inputs = ("bar", "signal_before")
    click.echo(f"\nFirst difference: {difference['table']}, row {difference.get('index', 0)}")
    print_fields(
        {name: str(value) for name, value in difference.items() if name not in {*sides, *inputs, "table", "index"}}
    )
    click.echo()
    print_table(_side_by_side(sides))
    for name in inputs:
        if difference.get(name):
            click.echo(f"\n{name.replace('_', ' ').capitalize()}")
            print_fields({field: repr(value) for field, value in difference[name].items()})


def _side_by_side(sides: Mapping[str, Any]) -> list[dict[str, object]]:
    """Return one row per field with its exact value on each side; a side that has nothing there says so."""
    tables = {way: side if isinstance(side, Mapping) else {"": side} for way, side in sides.items()}
    names = list(dict.fromkeys(name for way, table in tables.items() if sides[way] is not None for name in table))
    rows: list[dict[str, object]] = []
    for name in names:
        shown = {way: repr(table[name]) if name in table else "nothing" for way, table in tables.items()}
        rows.append({"field": name, **shown, "": "<- differs" if len(set(shown.values())) > 1 else ""})
    return rows

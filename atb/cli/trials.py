"""`atb trials`: how often the bars of each market were tried, and the Sharpe ratio that luck alone would reach by now."""

from typing import TYPE_CHECKING, Any

import click

from atb.cli import completing
from atb.cli.commands import Command
from atb.cli.output import json_option, print_json, print_note, print_table, print_text

if TYPE_CHECKING:
    from atb.trials.seen import Seen

COLUMNS = ("market", "from", "to", "trials", "independent", "best sharpe", "lucky sharpe", "rows")
NOTICE = (
    "Sharpe ratios are annualised. The lucky one is what the best of so many trials is expected to show without any skill: a best "
    "one that is not well above it is worth nothing yet."
)


@click.command(cls=Command)
@click.option(
    "-s", "--symbol", shell_complete=completing.symbol, help="Of this symbol alone: BTC/USDT, BTCUSDT, BTC-USDT."
)
@json_option
def trials(symbol: str | None, *, as_json: bool) -> None:
    """Say how often the bars of each market were tried, and the Sharpe ratio that luck alone would reach by now.

    Every backtest, each combination of a sweep, every column of a screen and each move of the explorer is a trial; equal ones count
    once. Independent are those whose daily returns are not alike.

    \b
    Examples:
      atb trials
      atb trials --symbol BTCUSDT --json
    """
    from atb.domain import Symbol
    from atb.trials.reading import read_ledger
    from atb.trials.seen import seen_by_market

    ledger = read_ledger()
    wanted = None if symbol is None else str(Symbol.parse(symbol))
    found = [(seen, span) for seen, span in seen_by_market(ledger) if wanted in {None, seen.markets[0].split()[0]}]
    if as_json:
        rows = [{**seen.to_json(), "from": start.isoformat(), "to": end.isoformat()} for seen, (start, end) in found]
        print_json({"markets": rows, "faults": ledger.faults()})
        return
    print_table([_row(seen, span) for seen, span in found], COLUMNS, spare=("rows",), empty="Nothing was tried yet.")
    for fault in ledger.faults():
        print_note(f"{fault}.")
    if found:
        click.echo()
        print_text(NOTICE)


def _row(seen: "Seen", span: tuple[Any, Any]) -> dict[str, object]:
    return {
        "market": seen.markets[0],
        "from": f"{span[0]:%Y-%m-%d}",
        "to": f"{span[1]:%Y-%m-%d}",
        "trials": seen.trials,
        "independent": seen.independent,
        "best sharpe": round(seen.best, 2),
        "lucky sharpe": round(seen.lucky, 2),
        "rows": seen.rows,
    }

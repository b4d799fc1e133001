"""`atb data known`: what could have been known at a time, of everything that is stored."""

import click

from atb.cli.commands import Command
from atb.cli.output import json_option, print_json, print_table


@click.command(cls=Command)
@click.argument("time")
@click.option("--symbol", help="Only bars and funding of this symbol, and whether universes list it.")
@json_option
def known(time: str, *, symbol: str | None, as_json: bool) -> None:
    """Show the newest bar, payment, sentiment and listing that was known at a time (UTC), with the values as they stood then.

    \b
    Examples:
      atb data known 2022-05-10T12:00
      atb data known 2022-05-10 --symbol LUNA/USDT --json
    """
    from atb.config import load_settings
    from atb.data.known import known_at
    from atb.decimals import number
    from atb.times import short

    found = known_at(time, root=load_settings().bars_root, symbol=symbol)
    rows = [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]
    if as_json:
        print_json(rows)
        return
    shown = [
        {**row, "stated": short(row["stated"]), "known": short(row["known"]),
         "values": ", ".join(f"{name} {number(value)}" for name, value in row["values"].items())}
        for row in rows
    ]  # fmt: skip
    print_table(shown, empty="Nothing stored was known by then.")

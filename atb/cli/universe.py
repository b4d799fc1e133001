"""`atb data universe`: which symbols could be traded when, from a file or from the stored series."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from atb.cli.commands import Family
from atb.cli.output import json_option, print_json, print_table, print_text
from atb.decimals import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atb.data import ImportReport
    from atb.domain.universe import Universe


@click.group(cls=Family)
def universe() -> None:
    """Universes: symbols with the days of their listing and their end, delisted ones included.

    \b
    Examples:
      atb data universe derive binance-daily --venue binance --timeframe 1d
      atb data universe import top20.csv --name top20
      atb data universe show binance-daily --on 2021-05-01
      atb backtest sma_cross --universe binance-daily --timeframe 1d --start 2021-01-01
    """


@universe.command("derive")
@click.argument("name")
@click.option("--venue", required=True, help="Venue whose stored series make the universe.")
@click.option("--timeframe", default="1d", show_default=True, help="Timeframe of the series.")
@click.option("--replace", is_flag=True, help="Replace the stored universe of this name.")
@json_option
def derive(name: str, *, venue: str, timeframe: str, replace: bool, as_json: bool) -> None:
    """Make a universe of a venue's stored series: listed by the first bar, delisted by the last.

    A series that ends before the newest bar of the venue was delisted then; so was one with a hole of a week or more while others
    were traded, and what came after the hole is a new listing. Store the dead symbols too: a universe of survivors
    flatters every strategy.

    \b
    Examples:
      atb data universe derive binance-daily --venue binance --timeframe 1d
    """
    from atb.config import load_settings
    from atb.data import derive_universe, save_universe
    from atb.domain import Timeframe

    root = load_settings().bars_root
    made = derive_universe(name, root=root, venue=venue, timeframe=Timeframe.parse(timeframe))
    _print(made, save_universe(made, root=root, replace=replace), as_json=as_json)


@universe.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="By default the file's.")
@click.option("--replace", is_flag=True, help="Replace the stored universe of this name.")
@json_option
def import_universe(file: Path, *, name: str | None, replace: bool, as_json: bool) -> None:
    """Store a universe from a CSV file with the columns symbol, listed, ended and delisted (the last two may be left out).

    \b
    Examples:
      atb data universe import top20.csv --name top20
    """
    from atb.config import load_settings
    from atb.data.catalogue.universes import read_universe, save_universe, universe_path

    root = load_settings().bars_root
    universe_path(root, name or file.stem)
    made = read_universe(file, name or file.stem)
    _print(made, save_universe(made, root=root, replace=replace), as_json=as_json)


@universe.command("list")
@json_option
def list_universes(*, as_json: bool) -> None:
    """List the stored universes.

    \b
    Examples:
      atb data universe list --json
    """
    from atb.config import load_settings
    from atb.data.catalogue.universes import all_universes, load_universe

    root = load_settings().bars_root
    rows = [_row(load_universe(name, root=root)) for name in all_universes(root)]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, empty="No universe is stored. Make one: atb data universe derive NAME --venue VENUE")


@universe.command("show")
@click.argument("name")
@click.option("--on", "day", help="Show the symbols that belong at this day or moment (UTC), as it was known then.")
@json_option
def show(name: str, *, day: str | None, as_json: bool) -> None:
    """Show the listings of a universe, or who belongs on a day.

    \b
    Examples:
      atb data universe show top20
      atb data universe show top20 --on 2021-05-01 --json
    """
    from atb.config import load_settings
    from atb.data import load_universe
    from atb.times import at_ms, in_ms, moment, short

    found = load_universe(name, root=load_settings().bars_root)
    time = moment(day)
    if time is not None:
        symbols = [str(symbol) for symbol in found.as_of(in_ms(time))]
        if as_json:
            print_json({"name": name, "on": time.isoformat(), "symbols": symbols})
        else:
            print_text(f"{counted(len(symbols), 'symbol')} at {short(time)} UTC: {', '.join(symbols)}")
        return
    rows = [
        {
            "symbol": str(one.symbol),
            "listed": short(at_ms(one.listed_ms)),
            "ended": "" if one.ended_ms is None else short(at_ms(one.ended_ms)),
            "delisted": one.delisted,
        }
        for one in found.listings
    ]
    print_json(rows) if as_json else print_table(rows)


def print_symbols(reports: "Sequence[ImportReport]", *, as_json: bool) -> None:
    """Print a line per series; its trading rules are those of `atb data rules`."""
    rows = [report.to_json() for report in reports]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        row["gaps"] = len(cast("list[object]", row["gaps"]))
        row["first"], row["last"] = str(row["first"])[:16].replace("T", " "), str(row["last"])[:16].replace("T", " ")
    shown = ("symbol", "timeframe", "venue", "bars", "added", "gaps", "first", "last")
    print_table(rows, shown, spare=("timeframe", "venue"))
    if spot := sum(not report.bars.symbol.settle for report in reports):
        print_text(
            f"Taken for spot pairs, as nothing says otherwise: {spot} of {len(reports)}. A perpetual is named like BTC/USDT:USDT, "
            "in the rows or by --symbol."
        )


def _print(made: "Universe", path: Path, *, as_json: bool) -> None:
    from atb.data.catalogue.universes import described

    if as_json:
        print_json({**_row(made), "path": str(path)})
    else:
        print_text(f"{described(made)}.\n{path}")


def _row(made: "Universe") -> dict[str, object]:
    from atb.times import at_ms, short

    return {
        "name": made.name,
        "symbols": len(made.symbols),
        "first": short(at_ms(min(one.listed_ms for one in made.listings))),
        "delisted": len(made.delisted),
        "fingerprint": made.fingerprint[:16],
    }

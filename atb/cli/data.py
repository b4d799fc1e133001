"""`atb data`: import, download, list and verify market data, fetch trading rules, or make a synthetic market."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from atb.cli.commands import Family
from atb.cli.known import known
from atb.cli.output import json_option, print_fields, print_json, print_table
from atb.cli.routes import route_to, route_to_archive
from atb.cli.universe import print_symbols, universe
from atb.cli.updates import funding, gaps, progress_bar, refuse_offline, revisions, sentiment, update
from atb.decimals import counted
from atb.errors import DataError, InputError

if TYPE_CHECKING:
    from atb.data import ImportReport, SeriesInfo
    from atb.data.catalogue.gaps import Gap
    from atb.data.providers.download import DownloadReport
    from atb.domain import Instrument, Symbol, Timeframe

SHOWN_GAPS = 10


@click.group(cls=Family)
def data() -> None:
    """Import, download, list and verify market data.

    Bars lie under data/bars as Parquet, one file per year. Gaps are never filled: one that was not accepted is an error.

    \b
    Examples:
      atb data sample
      atb data import binance_BTCUSDT_1h.parquet
      atb data download BTC/USDT --timeframe 1h --start 2022-01-01
      atb data rules BTC/USDT
      atb data update
      atb data funding BTC/USDT:USDT --venue binanceusdm
      atb data sentiment
      atb data list
      atb data gaps
      atb data verify
      atb data universe derive daily --venue binance --timeframe 1d
      atb data known 2022-05-10T12:00 --symbol BTC/USDT
    """


for _command in (universe, update, funding, sentiment, gaps, revisions):
    data.add_command(_command)
data.add_command(known)


@data.command(name="import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--symbol", help="Such as BTC/USDT; by default from a file name like binance_BTCUSDT_1h.csv.")
@click.option("--every-symbol", is_flag=True, help="Import each symbol that the file names, as a series of its own.")
@click.option("--timeframe", help="Such as 1h; by default from the file name, or the most common step.")
@click.option("--venue", help="Where the bars come from; by default from the file name, else 'file'.")
@click.option("--accept-gaps", is_flag=True, help="Record the gaps and import; they are never filled.")
@click.option("--utc", "assume_utc", is_flag=True, help="Times without a time zone are UTC.")
@click.option("--tz", "zone", help="The zone of times without one, such as Europe/Berlin.")
@click.option("--replace", is_flag=True, help="Let the file win where stored bars differ.")
@json_option
def import_command(files: tuple[Path, ...], **options: str | bool | None) -> None:
    """Import the bars of one series from files, archives or a folder.

    CSV, JSON, feather and Parquet, also in zip, gz, xz and bz2, as exchanges, freqtrade, ccxt, pandas and the usual download
    sites write them. Columns are found by name and shown. A file that breaks a rule is refused with the first offending row,
    and nothing is written. Importing a file again changes nothing.

    \b
    Examples:
      atb data import binance_BTCUSDT_1h.parquet
      atb data import BTCUSDT-1h-2024-*.zip --venue binance
      atb data import prices.csv --symbol BTC/USDT --timeframe 1h --venue kraken
      atb data import binance_BTCUSDT_1h.parquet --accept-gaps --json
      atb data import binance_PANEL_1d.parquet --every-symbol --accept-gaps
    """
    from atb.config import load_settings
    from atb.data import ImportRules, import_file, import_symbols, rules_of

    if options["assume_utc"] and options["zone"]:
        raise InputError("Times are either UTC or of another zone", found=options["zone"], todo="Pass --utc or --tz")
    root = load_settings().bars_root
    identity = {name: _text(options[name]) for name in ("symbol", "timeframe", "venue")}
    kept: Literal["refuse", "keep"] = "keep" if options["accept_gaps"] else "refuse"
    rules = ImportRules(
        assume_utc=bool(options["assume_utc"]), zone=_text(options["zone"]), replace=bool(options["replace"])
    )
    if options["every_symbol"]:
        if options["symbol"]:
            raise InputError(
                "--every-symbol takes all symbols; --symbol cannot be combined with it", todo="Use one of them"
            )
        del identity["symbol"]
        reports = import_symbols(files, root=root, **identity, gaps=kept, rules=rules)
        print_symbols(reports, as_json=bool(options["as_json"]))
        return
    report = import_file(files, root=root, **identity, gaps=kept, rules=rules)
    if options["as_json"]:
        print_json(report.to_json() | {"rules": rules_of(report.bars, root=root).to_json()})
    else:
        _print_import(report, rules_of(report.bars, root=root))


@data.command()
@click.argument("symbol")
@click.option("--timeframe", default="1h", show_default=True, help="Duration of a bar.")
@click.option("--start", help="First day or moment (UTC); needed unless bars are stored already.")
@click.option("--end", help="Day or moment (UTC) before which to stop; by default the present.")
@click.option("--venue", help="The exchange's ccxt name; by default the setting exchange.id.")
@click.option("--source", type=click.Choice(["exchange", "archive"]), default="exchange", help="archive: bulk files.")
@click.option("--mark", is_flag=True, help="Mark prices of a perpetual, stored as the venue's name with -mark.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
@click.pass_context
def download(ctx: click.Context, /, symbol: str, **options: str | bool | None) -> None:
    """Download closed bars from an exchange; no account is needed.

    Called again it goes on after the last stored bar. Ctrl-C keeps what was fetched. Gaps that the exchange confirms
    are listed and recorded.

    \b
    Examples:
      atb data download BTC/USDT --timeframe 1h --start 2022-01-01
      atb data download ETHUSDT --timeframe 1d --start 2020-01-01 --end 2024-01-01
      atb data download BTC/USDT --timeframe 1m --start 2020-01-01 --source archive
      atb data download BTC/USDT:USDT --venue binanceusdm --mark --start 2024-01-01
    """
    from atb.config import load_settings
    from atb.data.providers import open_provider
    from atb.data.providers.download import download_bars

    settings = load_settings()
    refuse_offline(settings, "atb data download")
    venue = _text(options["venue"]) or settings.exchange.id
    archive, price = options["source"] == "archive", "mark" if options["mark"] else "trade"
    route = route_to_archive(settings) if archive else route_to(venue, settings)
    source = open_provider("archive" if archive else "ccxt", venue, route=route, price=price)
    with progress_bar(
        f"{symbol} {options['timeframe']}", hidden=bool(options["quiet"] or options["as_json"])
    ) as progress:
        report = download_bars(
            symbol,
            str(options["timeframe"]),
            _text(options["start"]),
            _text(options["end"]),
            root=settings.bars_root,
            source=source,
            progress=progress,
        )
    if archive:
        from atb.data.providers.archives import remember_download

        remember_download(report, source, root=settings.bars_root)
    if options["as_json"]:
        print_json(report.to_json())
    else:
        _print_download(report)
    if report.interrupted:
        from atb.cli import INTERRUPTED

        ctx.exit(INTERRUPTED)


@data.command(short_help="Fetch or show trading rules.")
@click.argument("symbols", nargs=-1, metavar="SYMBOL...")
@click.option("--venue", help="The exchange's ccxt name; by default the setting exchange.id.")
@json_option
def rules(symbols: tuple[str, ...], venue: str | None, as_json: bool) -> None:
    """Fetch price steps, lots and least orders as an exchange publishes them today, and keep them beside its bars.

    Backtests of the exchange's bars use them from then on. Bars that were imported without a venue keep the rules that are
    read off them: import them with --venue to use an exchange's. No account is needed.

    \b
    Examples:
      atb data rules BTC/USDT DOGE/USDT
      atb data rules ETH/BTC --venue kraken --json
    """
    from atb.config import load_settings
    from atb.data import save_instruments
    from atb.data.providers.ccxt_candles import CcxtCandles
    from atb.domain import Symbol

    settings = load_settings()
    refuse_offline(settings, "atb data rules")
    if not symbols:
        raise InputError("No symbol was given", todo="Name one or more: atb data rules BTC/USDT")
    wanted = [Symbol.parse(symbol) for symbol in symbols]
    exchange = venue or settings.exchange.id
    source = CcxtCandles(exchange, route=route_to(exchange, settings), needs_history=False)
    try:
        found = [source.rules(symbol) for symbol in wanted]
    except DataError as error:
        kept = "; ".join(_rules_meanwhile(symbol, root=settings.bars_root, venue=source.venue) for symbol in wanted)
        raise DataError(
            error.wrong, found=error.found, todo=f"{error.todo}. Nothing was stored; {kept}".lstrip(". ")
        ) from error
    save_instruments(found, root=settings.bars_root, venue=source.venue)
    if as_json:
        print_json([instrument.to_json() for instrument in found])
        return
    for instrument in found:
        click.echo(f"{instrument}.")


def _rules_meanwhile(symbol: "Symbol", *, root: Path, venue: str) -> str:
    """Return which rules backtests of a symbol use while the exchange's present ones are unknown."""
    from atb.data.catalogue.instruments import load_instrument

    known = load_instrument(symbol, root=root, venue=venue)
    return f"backtests of {symbol} use the rules {known.source if known else 'read off its bars'}"


@data.command(name="list", short_help="List the stored series.")
@json_option
def list_command(as_json: bool) -> None:
    """List the stored series with their range, known gaps and fingerprint.

    \b
    Examples:
      atb data list
      atb data list --json
    """
    from atb.config import load_settings
    from atb.data import list_series

    root = load_settings().bars_root
    series = list_series(root)
    if as_json:
        print_json([info.to_json() for info in series])
        return
    print_table([_row(info) for info in series], empty=f"No bars are stored in {root}. `atb data sample` makes some.")
    for info in series:
        if info.problem:
            click.echo(click.style(f"{info.symbol} {info.timeframe} {info.venue}: {info.problem}", fg="red"))


@data.command(short_help="Check that every series is as it was stored.")
@click.argument("symbol", required=False)
@click.option("--timeframe", help="Only this duration.")
@click.option("--venue", help="Only this venue.")
@json_option
@click.pass_context
def verify(ctx: click.Context, symbol: str | None, timeframe: str | None, venue: str | None, as_json: bool) -> None:  # noqa: PLR0917 - click passes by name
    """Hash every file again and check order, values and gaps; exit 1 if a series is not as it was stored.

    \b
    Examples:
      atb data verify
      atb data verify BTC/USDT --timeframe 1h --json
    """
    from atb.config import load_settings
    from atb.data import verify as verify_series

    root = load_settings().bars_root
    verdicts = verify_series(root, symbol=symbol, timeframe=timeframe, venue=venue)
    if not verdicts:
        raise _no_such_series(root, symbol, timeframe, venue)
    if as_json:
        print_json([verdict.to_json() for verdict in verdicts])
    else:
        for verdict in verdicts:
            mark = click.style("damaged", fg="red") if verdict.problems else click.style("ok     ", fg="green")
            click.echo(f"{mark}  {verdict.symbol} {verdict.timeframe} {verdict.venue}: {counted(verdict.bars, 'bar')}")
            for problem in verdict.problems:
                click.echo(f"         {problem}")
    ctx.exit(1 if any(verdict.problems for verdict in verdicts) else 0)


def _no_such_series(root: Path, *wanted: str | None) -> DataError:
    """Return the refusal to verify a series that is not stored, with the nearest one that is."""
    from atb.data.catalogue.series import all_series
    from atb.errors import did_you_mean

    known = [f"{series.symbol} {series.timeframe} {series.venue}" for series in all_series(root)]
    asked = " ".join(filter(None, wanted))
    near = did_you_mean(asked, known) if known else "`atb data sample` makes a synthetic market"
    return DataError(f"No such series is stored in {root}", found=asked or "none at all", todo=near)


@data.command(short_help="Make the synthetic market.")
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="Equal seeds give equal bytes.")
@click.option("--replace", is_flag=True, help="Replace a sample of another seed.")
@json_option
def sample(seed: int, replace: bool, as_json: bool) -> None:
    """Make the synthetic market: BTC/USDT and ETH/USDT, three years of hourly bars.

    It clusters, jumps and changes its regime, and holds a weak edge of known size. It is no real market, and every label
    says so.

    \b
    Examples:
      atb data sample
      atb data sample --seed 11 --replace
    """
    from atb.config import load_settings
    from atb.data import write_sample

    rows = [
        {
            "symbol": str(bars.symbol),
            "timeframe": str(bars.timeframe),
            "venue": bars.venue,
            "bars": len(bars),
            "added": saved.added,
            "replaced": saved.replaced,
            "first": bars.frame.index[0].isoformat(),
            "last": bars.frame.index[-1].isoformat(),
            "seed": seed,
            "fingerprint": bars.fingerprint,
        }
        for bars, saved in write_sample(root=load_settings().bars_root, seed=seed, replace=replace)
    ]
    if as_json:
        print_json(rows)
        return
    shown = ("symbol", "timeframe", "venue", "bars", "added", "replaced", "seed")
    print_table(rows, shown)
    click.echo("SYNTHETIC data: generated, no real market.")


def _text(value: str | bool | None) -> str | None:
    return value if isinstance(value, str) else None


def _row(series: "SeriesInfo") -> dict[str, object]:
    from atb.domain.bars import SYNTHETIC
    from atb.times import short

    return {
        "symbol": str(series.symbol),
        "timeframe": str(series.timeframe),
        "venue": f"{series.venue} (SYNTHETIC)" if series.venue == SYNTHETIC else series.venue,
        "bars": f"{series.bars:,}",
        "first": short(series.first) if series.first is not None else "",
        "last": short(series.last) if series.last is not None else "",
        "gaps": len(series.gaps),
        "MB": round(series.size / 1e6, 2),
        "fingerprint": series.fingerprint[:12] or "DAMAGED",
    }


def _print_import(report: "ImportReport", rules: "Instrument") -> None:
    from atb.times import short

    bars = report.bars
    columns = ", ".join(role if role == name else f"{role} from {name!r}" for role, name in report.columns.items())
    print_fields(
        {
            "series": bars.label,
            "columns": columns,
            "notes": "; ".join(report.notes),
            "range": f"{short(bars.frame.index[0])} to {short(bars.frame.index[-1])}, {counted(len(bars), 'bar')}",
            "stored": _outcome(report),
            "rules": str(rules).removeprefix(f"Trading rules of {bars.symbol} "),
            "fingerprint": bars.fingerprint[:12],
        }
    )
    _print_gaps(bars.gaps, bars.timeframe)


def _outcome(report: "ImportReport") -> str:
    if report.unchanged:
        return "nothing new: all of these bars are stored already"
    saved = report.saved
    return f"{saved.added:,} added, {saved.unchanged:,} unchanged, {saved.replaced:,} replaced"


def _print_download(report: "DownloadReport") -> None:
    from atb.times import short

    reach = f"{short(report.first)} to {short(report.last)}" if report.first and report.last else "nothing stored"
    print_fields(
        {
            "series": f"{report.symbol} {report.timeframe} · {report.venue}",
            "added": counted(report.added, "bar") if report.added else "nothing new",
            "stored": reach,
        }
    )
    _print_gaps(report.gaps, report.timeframe)
    if report.interrupted:
        click.echo("Interrupted: what was fetched is stored; the same command goes on from there.", err=True)


def _print_gaps(gaps: "tuple[Gap, ...]", timeframe: "Timeframe") -> None:
    from atb.data.catalogue.gaps import describe_gap

    if gaps:
        click.echo(f"{counted(len(gaps), 'gap')}, recorded and not filled:")
    for gap in gaps[:SHOWN_GAPS]:
        click.echo(f"  {describe_gap(gap, timeframe)}")
    if len(gaps) > SHOWN_GAPS:
        click.echo(f"  and {len(gaps) - SHOWN_GAPS} more (--json lists all)")

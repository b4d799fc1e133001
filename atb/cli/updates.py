"""`atb data update`, `funding`, `sentiment`, `gaps` and `revisions`: what is new, what is missing, what was corrected."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli.commands import Command
from atb.cli.output import json_option, print_fields, print_json, print_table
from atb.cli.routes import route_to, route_to_archive, route_to_sentiment
from atb.errors import DataError, InputError

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.data.catalogue.events import EventSeries
    from atb.data.catalogue.series import Series
    from atb.data.providers.ccxt_client import Pace
    from atb.data.providers.download import Progress
    from atb.data.providers.updating import EventReport, Outcome, Task


@click.command(cls=Command, short_help="Fetch what is new of every stored series.")
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@click.option("--timeframe", help="Only this duration.")
@click.option("--venue", help="Only this venue.")
@click.option("--jobs", default=4, show_default=True, type=click.IntRange(1, 16), help="Series at the same time.")
@click.option("--recheck", default=10, show_default=True, type=click.IntRange(0), help="Last bars to ask for again.")
@click.option("--replace", is_flag=True, help="Let corrected bars win; the ledger keeps both either way.")
@click.option("--max-age", help="Leave out a series younger than this, such as 6h: its last bar closed since.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
@json_option
@click.pass_context
def update(ctx: click.Context, /, symbols: tuple[str, ...], **options: Any) -> None:
    """Fetch the closed bars, funding and sentiment that are new since the last time; series of no exchange stay.

    Several series are fetched at the same time, within the exchange's rate limit. The last bars are asked for again: one that the
    exchange has corrected since goes into the ledger of revisions (`atb data revisions`), and the stored one stays. Files of an
    archive that was corrected are read again. Ctrl-C keeps what has come.

    \b
    Examples:
      atb data update
      atb data update BTC/USDT ETH/USDT --timeframe 1h
      atb data update --max-age 6h --jobs 8
      atb data update --venue binance --json
    """
    from atb.config import load_settings
    from atb.data.providers.updating import run_together
    from atb.domain.inputs import duration_ms

    settings = load_settings()
    refuse_offline(settings, "atb data update")
    max_age = duration_ms(options["max_age"]) if options["max_age"] else None
    wanted = [one for one in _wanted(settings, symbols, options) if max_age is None or not _is_young(one, max_age)]
    tasks = _tasks(settings, wanted, options)
    if not tasks:
        nothing = "Nothing to update: no stored series comes from an exchange, or all are young enough"
        print_json([]) if options["as_json"] else click.echo(nothing)
        return
    with _bars(hidden=bool(options["quiet"] or options["as_json"])) as progress:
        outcomes, interrupted = run_together(tasks, workers=int(options["jobs"]), progress=progress)
    rows = [_row(outcome) for outcome in outcomes]
    if options["as_json"]:
        print_json(rows)
    else:
        print_table(rows, ("series", "added", "revised", "last", "problem"))
    if interrupted:
        from atb.cli import INTERRUPTED

        ctx.exit(INTERRUPTED)
    if any(outcome.error for outcome in outcomes):
        ctx.exit(2)


@click.command(cls=Command, short_help="Download or import a perpetual's funding.")
@click.argument("symbol")
@click.option("--venue", help="The exchange's ccxt name; by default the setting exchange.id.")
@click.option("--start", help="First day (UTC); by default all there is, or after what is stored.")
@click.option("--source", type=click.Choice(["exchange", "archive"]), default="exchange", show_default=True)
@click.option("--file", "files", multiple=True, type=click.Path(path_type=Path), help="Import a file instead.")
@click.option("--column", "columns", multiple=True, metavar="OURS=THEIRS", help="A column of the file by its name.")
@click.option("--utc", "assume_utc", is_flag=True, help="Times without a time zone are UTC.")
@click.option("--replace", is_flag=True, help="Let values that differ win over stored ones.")
@json_option
def funding(symbol: str, **options: Any) -> None:
    """Download or import the funding of a perpetual: every payment at its own time, nothing filled.

    A backtest of the perpetual pays it from then on. The interval is read off the payments; holes are listed.

    \b
    Examples:
      atb data funding BTC/USDT:USDT --venue binanceusdm
      atb data funding BTC/USDT:USDT --venue binanceusdm --source archive --start 2022-01-01
      atb data funding BTC/USDT:USDT --venue binanceusdm --file funding.csv --utc
    """
    from atb.config import load_settings
    from atb.data.catalogue.events import FUNDING, funding_at
    from atb.data.providers import open_events
    from atb.data.providers.updating import download_events
    from atb.domain import Symbol

    settings = load_settings()
    venue = options["venue"] or settings.exchange.id
    series = funding_at(settings.bars_root, symbol=Symbol.parse(symbol), venue=venue)
    if options["files"]:
        given = _columns(options["columns"])
        zone = "UTC" if options["assume_utc"] else None
        source = open_events("files", options["files"], FUNDING, str(Symbol.parse(symbol)), columns=given, zone=zone)
        report = download_events(series, source, start=options["start"] or _beginning(), replace=options["replace"])
    else:
        refuse_offline(settings, "atb data funding")
        archive = options["source"] == "archive"
        route = route_to_archive(settings) if archive else route_to(venue, settings)
        source = open_events("archive" if archive else "ccxt", venue, symbol, route=route)
        report = download_events(series, source, start=options["start"], replace=options["replace"])
    _print_events(report, as_json=options["as_json"])


@click.command(cls=Command, short_help="Download Fear & Greed, or import a sentiment index.")
@click.argument("name", default="fear_greed", required=False)
@click.option("--file", "files", multiple=True, type=click.Path(path_type=Path), help="Import a dated file instead.")
@click.option("--column", "columns", multiple=True, metavar="OURS=THEIRS", help="A column of the file by its name.")
@click.option("--utc", "assume_utc", is_flag=True, help="Times without a time zone are UTC.")
@click.option("--replace", is_flag=True, help="Let values that differ win over stored ones.")
@json_option
def sentiment(name: str, **options: Any) -> None:
    """Download the Fear & Greed index of alternative.me, or import any index from a dated file.

    Each value keeps when it came. It is used one publication late; history that was not seen while it was new is labelled
    reconstructed. Days without a value stay without one.

    \b
    Examples:
      atb data sentiment
      atb data sentiment my_index --file index.csv --utc
      atb data sentiment news --file news.csv --column value=score --column published=released_at --utc
    """
    from atb.config import load_settings
    from atb.data.catalogue.events import SENTIMENT, sentiment_at
    from atb.data.providers import open_events
    from atb.data.providers.fear_greed import NAME
    from atb.data.providers.updating import download_events

    settings = load_settings()
    series = sentiment_at(settings.bars_root, name)
    if options["files"]:
        given = _columns(options["columns"])
        zone = "UTC" if options["assume_utc"] else None
        source = open_events("files", options["files"], SENTIMENT, name, columns=given, zone=zone)
        report = download_events(series, source, start=_beginning(), replace=options["replace"])
    else:
        if name != NAME:
            raise InputError("Only fear_greed can be downloaded", found=name, todo="Import it: --file FILE")
        refuse_offline(settings, "atb data sentiment")
        report = download_events(
            series, open_events("fear_greed", route=route_to_sentiment(settings)), replace=options["replace"]
        )
    _print_events(report, as_json=options["as_json"])


@click.command(cls=Command, short_help="List every gap of the stored series.")
@click.argument("symbol", required=False)
@click.option("--timeframe", help="Only this duration.")
@click.option("--venue", help="Only this venue.")
@json_option
def gaps(symbol: str | None, *, timeframe: str | None, venue: str | None, as_json: bool) -> None:
    """List the recorded gaps of bars and the holes in funding and sentiment, with how much is missing; nothing is ever filled.

    \b
    Examples:
      atb data gaps
      atb data gaps BTC/USDT --timeframe 1h --json
    """
    from atb.config import load_settings
    from atb.data.catalogue.gap_report import gap_report

    rows = gap_report(load_settings().bars_root, symbol=symbol, timeframe=timeframe, venue=venue)
    if as_json:
        print_json(rows)
        return
    print_table(
        [{**row, "start": str(row["start"])[:16], "end": str(row["end"])[:16]} for row in rows], empty="No gaps."
    )


@click.command(cls=Command, short_help="List bars and values that were corrected.")
@click.argument("symbol", required=False)
@click.option("--venue", help="Only this venue.")
@json_option
def revisions(symbol: str | None, *, venue: str | None, as_json: bool) -> None:
    """List what a source said first and what it said later, and which of them is stored.

    \b
    Examples:
      atb data revisions
      atb data revisions BTC/USDT --json
    """
    from atb.config import load_settings
    from atb.data.catalogue.gap_report import revision_report

    rows = revision_report(load_settings().bars_root, symbol=symbol, venue=venue)
    if as_json:
        print_json(rows)
        return
    shown = [{**row, "at": str(row["at"])[:16], "seen": str(row["seen"])[:16]} for row in rows]
    print_table(shown, ("series", "at", "seen", "first", "later", "kept"), empty="Nothing was revised.")


def refuse_offline(settings: "Settings", command: str) -> None:
    """Refuse a command that needs the network while the settings say offline."""
    if settings.data.offline:
        raise InputError(
            f"{command} needs the network, and data.offline is set",
            todo="Unset it (ATB__DATA__OFFLINE, atb.toml), or work with what is stored: atb data list",
        )


def _wanted(settings: "Settings", symbols: tuple[str, ...], options: dict[str, Any]) -> "list[Series | EventSeries]":
    """Return the stored series and events that the options choose and a provider can bring up to date."""
    from atb.data.catalogue.events import SENTIMENT, all_events
    from atb.data.catalogue.series import all_series, is_exchange, venue_name
    from atb.data.providers.fear_greed import NAME
    from atb.domain import Symbol, Timeframe

    names = {str(Symbol.parse(symbol)) for symbol in symbols}
    timeframe = Timeframe.parse(options["timeframe"]) if options["timeframe"] else None
    root, venue = settings.bars_root, venue_name(options["venue"]) if options["venue"] else None
    bars = [
        one
        for one in all_series(root)
        if is_exchange(one.exchange)
        and (not names or str(one.symbol) in names)
        and timeframe in {None, one.timeframe}
        and venue in {None, one.venue}
    ]
    events = [] if timeframe else [one for one in all_events(root) if one.kind != SENTIMENT or one.subject == NAME]
    chosen = [
        one
        for one in events
        if (one.kind == SENTIMENT and not names and venue is None)
        or (
            one.kind != SENTIMENT
            and is_exchange(one.venue)
            and venue in {None, one.venue}
            and (not names or one.name in names)
        )
    ]
    if (names or timeframe or venue) and not bars and not chosen:
        found = ", ".join(map(str, all_series(root))) or "an empty catalogue"
        raise DataError("No stored series of an exchange is meant", found=found, todo="`atb data list` shows all")
    return [*bars, *chosen]


def _tasks(settings: "Settings", wanted: "list[Series | EventSeries]", options: dict[str, Any]) -> "list[Task]":
    from atb.data.catalogue.series import MARK
    from atb.data.providers.ccxt_client import Pace
    from atb.data.providers.updating import Task

    paces: dict[str, Pace] = {}
    return [
        Task(
            str(one), _work(one, settings, pace=paces.setdefault(one.venue.removesuffix(MARK), Pace()), options=options)
        )
        for one in wanted
    ]


def _work(
    one: "Series | EventSeries", settings: "Settings", *, pace: "Pace", options: dict[str, Any]
) -> "Callable[[Progress], Any]":
    """Return the function that brings a series up to date."""

    def work(progress: "Progress") -> dict[str, Any]:
        from atb.data.catalogue.series import Series
        from atb.data.providers import open_events
        from atb.data.providers.archives import is_archived
        from atb.data.providers.updating import download_events, update_bars

        root, replace = settings.bars_root, bool(options["replace"])
        if isinstance(one, Series):
            again = int(options["recheck"])
            route = route_to_archive(settings) if is_archived(one) else route_to(one.exchange, settings)
            return update_bars(
                one, root=root, route=route, pace=pace, recheck_last=again, replace=replace, progress=progress
            )
        if one.venue:
            source = open_events("ccxt", one.venue, one.name, route=route_to(one.venue, settings), pace=pace)
        else:
            source = open_events("fear_greed", route=route_to_sentiment(settings))
        return download_events(one, source, replace=replace).to_json()

    return work


def _is_young(one: "Series | EventSeries", max_age_ms: int) -> bool:
    """Return whether a series' newest row is younger than that; a damaged one is not: its update says what to do."""
    from datetime import UTC, datetime

    from atb.data.catalogue.gap_report import newest

    try:
        known_ms = newest(one)
    except DataError:
        return False
    return datetime.now(UTC).timestamp() * 1_000 - known_ms < max_age_ms


def _row(outcome: "Outcome") -> dict[str, Any]:
    result = outcome.result or {}
    return {
        "series": outcome.name,
        "added": result.get("added", 0),
        "revised": result.get("revised", 0),
        "last": result.get("last"),
        "problem": str(outcome.error) if outcome.error else "",
    }


def _columns(pairs: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        ours, is_pair, theirs = pair.partition("=")
        if not is_pair or not theirs:
            raise InputError("A column is named as OURS=THEIRS", found=pair, todo="Such as --column value=score")
        found[ours.strip()] = theirs.strip()
    return found


def _beginning() -> str:
    """Return a day before all data: a file is imported whole."""
    return "1970-01-01"


def _print_events(report: "EventReport", *, as_json: bool) -> None:
    from atb.times import short

    if as_json:
        print_json(report.to_json())
        return
    reach = f"{short(report.first)} to {short(report.last)}" if report.first and report.last else "nothing stored"
    found = f"{report.added:,} added, {report.unchanged:,} unchanged, {report.revised:,} differ (kept in the ledger)"
    print_fields({"series": str(report.series), "events": found, "stored": reach})


@contextmanager
def progress_bar(title: str, *, hidden: bool) -> "Iterator[Progress]":
    """Show the share of market time done, on standard error and only in a terminal."""
    with _bars(hidden=hidden) as show:
        yield lambda done, total: show(title, done, total)


@contextmanager
def _bars(*, hidden: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar for each series that is worked on, on standard error and only in a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=hidden or not console.is_terminal, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=None)
            bars.update(tasks[name], completed=done, total=total)

        yield show

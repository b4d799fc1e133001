"""`atb live` and `atb status`: one strategy on paper in a process of its own, and what the runners hold."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli import completing
from atb.cli.accounts import journal
from atb.cli.commands import Command
from atb.cli.executing import check_values, chosen_values
from atb.cli.output import json_option, moments, print_json, print_points, print_table, print_text, start
from atb.cli.parameters import chosen_rules, parameter_option, rule_options
from atb.decimals import counted, number
from atb.errors import AtbError
from atb.experiments import BACKTEST

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.db import Database

COLUMNS = ("session", "state", "mode", "halt", "runner", "strategy", "symbol", "timeframe", "last_bar", "equity", "pnl", "trades",
           "position", "stop", "target", "open_orders", "unknown", "live")  # fmt: skip
# Left out where room is scarce, the last one first: `--json` has them all.
SPARE = (
    "halt",
    "trades",
    "stop",
    "unknown",
    "timeframe",
    "open_orders",
    "strategy",
    "mode",
    "target",
    "runner",
    "live",
)
SPARE_SLOTS = ("strategy", "timeframe", "status", "target", "entry_price", "manifest")
SLOTS = (
    "session",
    "slot",
    "status",
    "barred",
    "stuck",
    "strategy",
    "symbol",
    "timeframe",
    "last_bar",
    "position",
    "entry_price",
    "stop",
    "target",
    "manifest",
)


@click.command(cls=Command)
@click.argument("strategy", shell_complete=completing.strategy)
@click.option("-s", "--symbol", required=True, shell_complete=completing.symbol,
              help="What to trade: BTC/USDT, BTCUSDT, BTC-USDT.")  # fmt: skip
@click.option("-t", "--timeframe", default="1h", show_default=True, shell_complete=completing.timeframe,
              help="Duration of a bar.")  # fmt: skip
@click.option("--days", type=click.IntRange(min=1), default=30, show_default=True, help="Days of stored bars to trade.")
@click.option("--account", default="paper", show_default=True, help="Name of the paper account.")
@parameter_option("A parameter of the strategy, or a rule.")
@rule_options
@click.option("--paper-trading", "paper", is_flag=True, help="Trade on paper: the only way this command has.")
@click.option("--live-trading", "real", is_flag=True, help="Refused here: says what real money asks for.")
def live(strategy: str, paper: bool, real: bool, **options: Any) -> None:
    """Backtest a strategy with its defaults, promote it to paper and start the runner on it.

    \b
    Examples:
      atb live sma_cross --symbol BTCUSDT --days 30 --paper-trading
      atb live sma_cross --symbol BTCUSDT -p fast=10 -p slow=40 --paper-trading
      atb live sma_cross --symbol BTCUSDT --policy '{"trailing_stop": 0.03}' --paper-trading
    """
    from atb.errors import InputError
    from atb.strategies import make_strategy

    if real:
        raise InputError(
            "This command promotes whatever comes out of a backtest, and never to real money",
            todo="Promote a rehearsed run: atb promote RUN_ID --to live; then python runners/live.py MANIFEST --live",
        )
    if not paper:
        raise InputError("Say how to trade", todo="Add --paper-trading")
    make_strategy(strategy)
    rules = {"given": options["given"], **chosen_rules(options)}
    settings = start()
    market = {key: options[key] for key in ("symbol", "timeframe", "days")}
    path, since, until = _promoted(strategy, settings, rules=rules, **market)
    sys.exit(_run_runner(path, since, until, account=options["account"], settings=settings))


def _promoted(
    strategy: str, settings: "Settings", *, rules: dict[str, Any], symbol: str, timeframe: str, days: int
) -> tuple[Path, str, str]:
    """Backtest the last stored `days`, promote the run, and return the manifest with the traded period."""
    from atb.config import part_of
    from atb.domain import Instrument, Symbol, Timeframe
    from atb.errors import RunError
    from atb.experiments.execution import execute
    from atb.experiments.promotion import promote
    from atb.experiments.publication import published

    market = {"symbol": str(Symbol.parse(symbol)), "timeframe": str(Timeframe.parse(timeframe))}
    notebook = part_of(settings.project, "notebooks", BACKTEST)
    pairs = rules.pop("given")
    given = chosen_values(notebook, {"strategy": strategy, **market, "days": days, **rules}, pairs)
    check_values(notebook, given)
    with journal(settings) as database:
        run = execute(notebook, given, settings=settings, database=database)
        if run.status != "succeeded":
            raise RunError(f"The backtest failed in {run.error}", todo=f"It was kept: {Path(run.path) / run.notebook}")
        promoted = promote(run.run_id, settings=settings, database=database)
    report = published(settings.runs_root / run.run_id)
    result = report["result"]
    print_text(f"Backtest {run.run_id}: {result['headline']}")
    print_points(report.get("findings") or [])
    click.echo(f"Promoted to paper: {promoted.path}")
    for slot in result["slots"]:
        click.echo(f"{Instrument.from_json(slot['instrument'])}.")
    return promoted.path, str(result["start"]), str(result["end"])


def _run_runner(path: Path, *period: str, account: str, settings: "Settings") -> int:
    """Run the runner as a process of its own and return its exit code; Ctrl-C reaches it too, and it ends by itself."""
    import subprocess

    from atb.config import part_of
    from atb.environment import secrets_for_child

    runner = part_of(settings.project, "runners", "live.py")
    command = [sys.executable, str(runner), str(path), "--account", account, "--from", period[0], "--until", period[1]]
    click.echo("Running: " + " ".join(command))
    with secrets_for_child() as options:
        process = subprocess.Popen(command, **options)  # noqa: S603 - our own program with checked arguments
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


@click.command(cls=Command)
@click.option("--account", help="Of this account alone.")
@json_option
def status(account: str | None, *, as_json: bool) -> None:
    """Show what the runners hold, decided and filled, whether they are alive, and what the kill switch forbids.

    `stale` is a session whose runner died; `unknown` counts orders whose answer was lost and that are not resolved yet; `barred`
    names the symbols in which no entry is sent, since something at the exchange is not as the books say; `stuck` says why a slot
    cannot act: unknown entry, quarantined, refused, closed market, dust.

    \b
    Examples:
      atb status
      atb status --account main --json
    """
    from atb.live.journal.overview import known_account, sessions

    settings = start()
    with journal(settings, reading=True) as database:
        wanted = None if account is None else known_account(database, account)
        rows = [row for row in sessions(database) if wanted in {None, row["account"]}]
        changed = _changed_sources(database)
    rows = [_with_file(_with_changes(row, changed), settings.data.root) for row in rows]
    if as_json:
        print_json(rows)
        return
    _warn_of_file(settings.data.root)
    for row in rows:
        _warn_of_changes(row)
        _warn_of_barred_symbols(row)
    shown = [_shown(row) for row in rows]
    print_table(
        shown,
        COLUMNS,
        spare=SPARE,
        empty="No session yet. Start one: python runners/live.py runners/promoted/NAME.json",
    )
    if any(len(row["slots"]) > 1 for row in rows):
        click.echo("\nSlots")
        slots = [{"session": row["session"], **moments(slot, "last_bar")} for row in rows for slot in row["slots"]]
        print_table(slots, SLOTS, spare=SPARE_SLOTS)


def _changed_sources(database: "Database") -> dict[str, list[str]]:
    """Return the source files that changed since each promotion, by the manifest's hash; what cannot be read is left out."""
    from sqlalchemy import select

    from atb.db.tables import PromotionRow
    from atb.promotion.manifest import load_past_manifest
    from atb.promotion.provenance import changed_sources

    with database.session(read_only=True) as session:
        paths = {row.manifest_sha256: Path(row.path) for row in session.scalars(select(PromotionRow))}
    found = {}
    for sha256, path in paths.items():
        with suppress(AtbError):
            found[sha256] = changed_sources(load_past_manifest(path).sources)
    return found


def _with_changes(row: dict[str, Any], changed: dict[str, list[str]]) -> dict[str, Any]:
    """Return a session with the source files that changed since its promotion."""
    files = {file for slot in row["slots"] for file in changed.get(slot["manifest_sha256"], [])}
    return {**row, "changed": sorted(files)}


def _warn_of_changes(row: dict[str, Any]) -> None:
    if files := row["changed"]:
        more = f" and {len(files) - 5} more" if len(files) > 5 else ""
        listed = f"{', '.join(files[:5])}{more}"
        click.echo(
            f"CHANGED since the promotion of {row['session']}: {listed}. Promote again to start it anew", err=True
        )


def _with_file(row: dict[str, Any], root: Path) -> dict[str, Any]:
    """Return a session with the halt of the file HALT, if that is stronger than the database's."""
    from atb.live.journal.kill_switch import Level, read_halt_file

    file = read_halt_file(root)
    if file.level <= Level[row["halt"].upper()]:
        return row
    return {**row, "halt": file.name, "halt_reason": file.reason}


def _warn_of_file(root: Path) -> None:
    from atb.live.journal.kill_switch import FILE, read_halt_file

    if file := read_halt_file(root):
        click.echo(f"HALTED by the file {root / FILE}: {file.name} ({file.reason})", err=True)


def _warn_of_barred_symbols(row: dict[str, Any]) -> None:
    """Warn of symbols in which no entry is sent, and of balances that differ from the books."""
    if row["barred"]:
        why = ", ".join(f"{symbol} ({reason})" for symbol, reason in row["barred"].items())
        todo = "Look at the exchange; when it may stay so, start the runner with --accept"
        click.echo(f"ENTRIES BARRED in {row['session']}: {why}. {todo}", err=True)
    if row["drift"]:
        differs = ", ".join(
            f"{'+' if float(amount) > 0 else ''}{number(float(amount))} {asset}"
            for asset, amount in row["drift"].items()
        )
        click.echo(f"DRIFT in {row['session']}: the account has {differs} beside the books", err=True)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a session as people read it; one with a symbol that is barred has no plain `running`."""
    state = f"{row['state']}, entries barred" if row["barred"] else row["state"]
    state += f", stuck: {row['stuck']}" if row["stuck"] not in {None, "quarantined"} else ""
    return {
        **moments(row, "last_bar"),
        **_rounded(row),
        "state": state,
        "barred": ", ".join(row["barred"]),
        "runner": _runner(row),
        "live": _live_verdict(row["verdict"]),
    }


def _runner(row: dict[str, Any]) -> str:
    """Return the process that holds the account's lease, and the epoch."""
    lease = row["lease"]
    if lease is None or not lease["held"]:
        return "none"
    host, pid = lease["holder"].rsplit(" ", 2)[:2]
    return f"{host}:{pid} (epoch {lease['epoch']})"


def _rounded(row: dict[str, Any]) -> dict[str, str]:
    """Return the exact amounts as people read them; `--json` keeps every digit."""
    return {name: f"{float(row[name]):,.2f}" for name in ("equity", "pnl")}


def _live_verdict(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return "not known"
    reasons = verdict["live"]["reasons"]
    return f"refused ({counted(len(reasons), 'reason')})" if reasons else "allowed by the gate"

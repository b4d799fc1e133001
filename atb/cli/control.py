"""`atb halt`, `atb resume` and `atb flatten`: the kill switch, which works while the runner runs and without the database."""

from typing import TYPE_CHECKING, Any

import click

from atb.cli.accounts import journal
from atb.cli.commands import Command
from atb.cli.output import json_option, print_json, start
from atb.errors import HaltError

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.db import Database
    from atb.live.journal.verbs import Switch

_POLL = 0.2  # seconds between two checks whether everything is closed
_account = click.option("--account", help="The account; every one that ever traded here without it.")
_reason = click.option("--reason", required=True, help="Why: it goes into the audit trail.")
_file = click.option("--file", "with_file", is_flag=True, help="Write the file HALT too, for runners over this folder.")


@click.command(cls=Command)
@click.option("--level", default="pause", show_default=True, help="pause entries, cancel resting ones too, or flatten.")
@_account
@_reason
@_file
@json_option
def halt(level: str, account: str | None, reason: str, *, with_file: bool, as_json: bool) -> None:
    """Forbid entries, cancel resting ones, or close everything; in force until `atb resume`.

    Stops and targets stay at the exchange in any case. If the database does not answer, the file HALT in the data folder
    halts every runner over that folder.

    \b
    Examples:
      atb halt --reason "odd fills"
      atb halt --level cancel --account main --reason "exchange maintenance"
      atb halt --level flatten --reason "leaving the market" --file
    """
    settings = start()
    done = _halt(settings, level, account, reason=reason, with_file=with_file)
    _print_halt(done, as_json)


@click.command(cls=Command)
@_account
@_reason
@_file
@click.option(
    "--wait", type=click.FloatRange(min=0), default=30.0, show_default=True, help="Seconds to watch it close."
)
@json_option
def flatten(account: str | None, reason: str, *, with_file: bool, wait: float, as_json: bool) -> None:
    """Close everything an account holds, and say when that is done; nothing is opened until `atb resume`.

    The runner of the account does it. Exit code 4: something was still held when the wait was over.

    \b
    Examples:
      atb flatten --account main --reason "leaving the market"
      atb flatten --reason "end of the test" --wait 120 --json
    """
    settings = start()
    done = _halt(settings, "flatten", account, reason=reason, with_file=with_file)
    if done["accounts"]:
        with journal(settings) as database:
            done["flat"] = _wait_until_flat(database, [row["account"] for row in done["accounts"]], wait)
    _print_halt(done, as_json)
    if held := [name for name, flat in done.get("flat", {}).items() if not flat]:
        raise HaltError(
            f"Not closed yet: {', '.join(held)}", todo="`atb status` shows whether a runner is at work on it"
        )


@click.command(cls=Command)
@click.option("--account", help="The account; the only halted one without it.")
@click.option("--reason", default="", help="Why: it goes into the audit trail.")
@click.option("--file", "with_file", is_flag=True, help="Delete the file HALT first.")
@json_option
def resume(account: str | None, *, reason: str, with_file: bool, as_json: bool) -> None:
    """Let one account trade again.

    A flatten must have finished, and the file HALT must be gone, since it halts every runner over the folder.

    \b
    Examples:
      atb resume --account main --reason "checked by hand"
      atb resume --account main --file --json
    """
    from atb.live.journal.verbs import resume as let_trade

    done = let_trade(_switch(start()), account, reason=reason, source=source(), with_file=with_file)
    if done.was is None:
        content: dict[str, Any] = {"resumed": None, "file_removed": True}
        _print_resumed(content, "The file HALT is deleted; no account was halted", as_json)
        return
    was = {"account": done.account, "was": done.was.name, "reason": done.was.reason, "source": done.was.source}
    content = {"resumed": was, "file_removed": done.file_removed}
    _print_resumed(content, f"{done.account} may trade again; it was: {done.was.name}", as_json)


# --- halting ----------------------------------------------------------------------------------------------------------


def _switch(settings: "Settings") -> "Switch":
    from atb.live.journal.verbs import PATIENCE_S, Switch

    return Switch(lambda: journal(settings), settings.data.root, PATIENCE_S)


def _halt(settings: "Settings", word: str, account: str | None, *, reason: str, with_file: bool) -> dict[str, Any]:
    """Halt in the database, and in the file where that is asked for or the database does not answer."""
    from atb.live.journal.verbs import halt as stop

    done = stop(_switch(settings), word, account, reason=reason, source=source(), with_file=with_file)
    return {
        "level": done.level.word,
        "accounts": [
            {"account": name, "level": held.name, "reason": held.reason, "source": held.source}
            for name, held in done.accounts.items()
        ],
        "file": None if done.file is None else str(done.file),
        "database": done.lost or "ok",
    }


def _wait_until_flat(database: "Database", names: list[str], wait: float) -> dict[str, bool]:
    """Return whether each account is flat, as soon as all are or the time is over."""
    import time

    from atb.live.journal.kill_switch import is_flat

    until = time.monotonic() + wait
    while True:
        with database.session(read_only=True) as session:
            flat = {name: is_flat(session.connection(), name) for name in names}
        if all(flat.values()) or time.monotonic() >= until:
            return flat
        time.sleep(_POLL)


def source() -> str:
    """Return the user who halts or resumes, for the audit trail."""
    import getpass

    try:
        return f"{getpass.getuser()} at the command line"
    except (OSError, KeyError):  # a container's user without a name
        return "the command line"


# --- printing ---------------------------------------------------------------------------------------------------------


def _print_halt(done: dict[str, Any], as_json: bool) -> None:
    if done["database"] != "ok":
        click.echo(f"The database was not reached: {done['database']}", err=True)
    if as_json:
        print_json(done)
        return
    for row in done["accounts"]:
        stronger = "" if row["level"] == done["level"] else f", which is more than {done['level']}"
        click.echo(f"{row['account']}: {row['level']}{stronger} ({row['source']}: {row['reason']})")
    if done["file"]:
        click.echo(f"Every runner over this folder: {done['level']}, by {done['file']}")
    for name, flat in done.get("flat", {}).items():
        click.echo(f"{name}: nothing is held" if flat else f"{name}: still held")
    stays = "" if done["level"] == "flatten" else "Stops and targets at the exchange stay. "
    click.echo(f"{stays}Trade again: atb resume --account NAME")


def _print_resumed(content: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print_json(content)
    else:
        click.echo(text)

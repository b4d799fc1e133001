"""Trade one promoted strategy on paper: `python runners/live.py runners/promoted/NAME.json`.

This file is the wiring diagram: every part that touches the world is made here, once. It is a process of its own, and to start
it is to recover: a session goes on after the last bar that its journal holds.

Exit codes: 0 the bars ended, or a signal (SIGTERM, SIGINT) asked it to stop and the step in hand was finished; 1 something broke
that nobody foresaw; 2 refused, with the reason (arguments, manifest, settings, data, database); 3 another runner has the account.
"""

import argparse
import signal
import sys
from pathlib import Path
from threading import Event


def main(arguments: list[str] | None = None) -> int:
    """Verify the manifest, open the journal and trade; return the exit code."""
    asked = _parser().parse_args(arguments)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    from atb.errors import AtbError

    try:
        print(_trade(asked, stop))  # noqa: T201 - the last line is for people
    except AtbError as refused:
        print(f"Error: {refused}", file=sys.stderr)  # noqa: T201
        return refused.exit_code
    return 0


def _trade(asked: argparse.Namespace, stop: Event) -> str:
    from atb.config import load_settings
    from atb.db import open_database
    from atb.live.feed import Pace
    from atb.live.plan import make_plan
    from atb.live.runner import Window, run
    from atb.monitoring import configure_logging, get_logger
    from atb.promotion.manifest import load_manifest, verify

    settings = load_settings(**({"data__root": asked.root} if asked.root else {}))
    configure_logging(settings.log.level, json_lines=settings.log.json_lines, secrets=settings.secrets())
    manifest = load_manifest(asked.manifest)  # refuses a changed byte
    keys = settings.data.root / "keys"
    for warning in verify(manifest, models_root=settings.models_root, keys_root=keys):  # and everything it pins
        get_logger("atb.live").warning(warning)
    plan = make_plan(manifest, settings.models_root)
    database = open_database(settings.database.url)
    try:
        summary = run(
            plan,
            database,
            account=asked.account,
            bars_root=settings.bars_root,
            window=Window(asked.since, asked.until),
            pace=Pace(asked.speed, stop),
            config={"manifest": str(asked.manifest)},
        )
    finally:
        database.close()
    return f"{manifest.name} on paper account {asked.account}, {summary}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Trade one promoted strategy on paper, over bars of the catalogue.")
    parser.add_argument("manifest", type=Path, help="what `atb promote` wrote, such as runners/promoted/NAME.json")
    parser.add_argument("--account", type=_account, default="paper", help="name of the paper account (default: paper)")
    parser.add_argument("--from", dest="since", metavar="T", help="open of the first bar to trade (default: 30 days)")
    parser.add_argument("--until", metavar="T", help="trade bars that open before T (default: all that are stored)")
    parser.add_argument("--speed", type=_speed, metavar="N", help="seconds of market time per second, or max (default)")
    parser.add_argument("--root", type=Path, help="folder for everything that is written")
    return parser


def _account(text: str) -> str:
    if not text or len(text) > 32 or not all(c.isascii() and (c.isalnum() or c in "-_") for c in text):
        raise argparse.ArgumentTypeError(f"an account's name is 1 to 32 letters, digits, - and _, was {text!r}")
    return text


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = float("nan")
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"speed is a number above 0, or max, was {text!r}")
    return speed


if __name__ == "__main__":
    sys.exit(main())

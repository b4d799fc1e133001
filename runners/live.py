"""Trade promoted strategies: `python runners/live.py runners/promoted/NAME.json`, on paper unless real money is armed.

This file is the wiring diagram: every part that touches the world is made here, once. It is a process of its own, and to start
it is to recover: a session goes on after the last bar that its journal holds, and every order that was out is asked for first.

    live.py NAME.json                      paper, over bars of the catalogue
    live.py NAME.json --candles            paper, over the exchange's candles as they close
    live.py NAME.json --rehearse           the exchange of the settings, which must be a simulator with a virtual clock
    live.py NAME.json OTHER.json --live    real money: a live manifest, the account of the settings, a typed acknowledgement

Exit codes: 0 the bars ended, or a signal (SIGTERM, SIGINT) asked it to stop and the step in hand was finished; a second signal
ends it at once. 1 something broke that nobody foresaw. 2 refused, with the reason (arguments, manifest, settings, data,
database). 3 another runner has the account. 4 the kill switch closed everything. 5 the database stayed away for longer than the
grace; stops rest at the exchange. 6 the exchange cannot be reached. SIGUSR1 pauses entries.

It runs in Python's isolated mode (`-I -B`; started otherwise, it starts anew in its place): modules come from the environment's own
folders, not from the working directory, this one, or one that a variable names. The package is the one beside this file, compiled
from its sources (`atb.sources`), and only from those that the manifests pin.
"""

import sys

if __name__ == "__main__":  # before another import, which a file in this folder could answer
    _at = len(sys.orig_argv) - len(sys.argv)
    _as_script = _at > 0 and sys.orig_argv[_at] == sys.argv[0]
    if (_as_script or __spec__ is not None) and not (sys.flags.isolated and sys.flags.dont_write_bytecode):
        import os

        _flags = sys.orig_argv[1:_at] if _as_script else []
        os.execv(sys.executable, [sys.executable, "-I", "-B", *_flags, __file__, *sys.argv[1:]])  # noqa: S606 - this very program

import argparse
import asyncio
import signal
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atb.config.settings import Settings
    from atb.errors import AtbError
    from atb.live.loop import Summary
    from atb.live.portfolio import Portfolio
    from atb.live.runner import Office


def main(arguments: list[str] | None = None) -> int:
    """Verify the manifests, open the journal and trade; return the exit code."""
    asked = _parser().parse_args(arguments)
    if "atb" not in sys.modules:
        _load_package()
    from atb.environment import hidden_secrets
    from atb.errors import AtbError

    try:
        with hidden_secrets():
            print(_trade(asked))  # noqa: T201 - no logs yet - the last line is for people
    except Exception as problem:
        refused = problem if isinstance(problem, AtbError) else _refusal(problem)
        if refused is None:
            raise
        print(f"Error: {refused}", file=sys.stderr)  # noqa: T201 - no logs yet
        return refused.exit_code
    return 0


def _refusal(problem: Exception) -> "AtbError | None":
    """Return what a database's own error says to people; None for every other error."""
    if "sqlalchemy" not in sys.modules:  # no database was asked, or there is nothing to ask one with
        return None
    from atb.db.refusals import refusal

    return refusal(problem)


class _FromSource(SourceFileLoader):
    """Loads a module from its source, whatever byte code there is."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - importlib's signature
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def _load_package() -> None:
    """Load `atb` from its sources: the one beside this file, or the installed one."""
    beside = Path(__file__).resolve().parents[1] / "atb"
    installed = None if beside.is_dir() else find_spec("atb")
    folder = Path(installed.origin).parent if installed and installed.origin else beside
    name = "atb.sources"
    loader = _FromSource(name, str(folder / "sources.py"))
    spec = spec_from_loader(name, loader)
    assert spec is not None  # a loader was given
    module = sys.modules[name] = module_from_spec(spec)
    loader.exec_module(module)
    module.begin()


def _trade(asked: argparse.Namespace) -> str:
    from atb.config import load_settings
    from atb.db import open_database
    from atb.live import wiring
    from atb.live.halt import Switch
    from atb.live.loop import Bell
    from atb.live.runner import Office
    from atb.monitoring import configure_logging

    settings = load_settings(**({"data__root": asked.root} if asked.root else {}))
    configure_logging(settings.log.level, json_lines=settings.log.json_lines, secrets=settings.secrets())
    portfolio = wiring.load_portfolio(asked.manifests, settings, seal=True)
    database = open_database(settings.database.url, patience_s=wiring.patience(settings))
    watch, max_loss = wiring.watched(settings, live=asked.live)
    told = {"manifests": [str(path) for path in asked.manifests]}
    office = Office(
        database,
        asked.account,
        Switch(settings.data.root),
        Bell(),
        wiring.breakers(settings),
        settings.live.database_grace,
        told,
        watch,
        max_loss,
        asked.adopt,
        wiring.load_portfolio(asked.shadow, settings, seal=True) if asked.shadow else None,
        lambda: wiring.health(settings, watch),
        wiring.recheck([*asked.manifests, *(asked.shadow or [])], settings),
    )
    _listen(office)
    try:
        summary = asyncio.run(_run(asked, settings, portfolio, office=office))
    finally:
        database.close()
    names = ", ".join(plan.manifest.name for plan in portfolio.plans)
    return f"{names} on {'' if asked.live else 'paper '}account {asked.account}, {summary}"


async def _run(
    asked: argparse.Namespace, settings: "Settings", portfolio: "Portfolio", *, office: "Office"
) -> "Summary":
    """Choose the venue: paper over stored bars, paper over candles, a simulated exchange, or the real one."""
    from atb.live import wiring
    from atb.live.runner import Window, trade_candles, trade_exchange, trade_paper

    if not asked.rehearse:
        wiring.arm(portfolio, settings, office, live=asked.live, typed=asked.ack)
    if not (asked.candles or asked.rehearse or asked.live):
        window = Window(asked.since, asked.until)
        return await trade_paper(portfolio, office, bars_root=settings.bars_root, window=window, speed=asked.speed)
    simulated = asked.rehearse or (asked.candles and settings.exchange.clock is not None)
    venue = wiring.exchange(
        settings, portfolio, simulated=simulated, orders=not asked.candles, until=asked.until, accept=asked.accept
    )
    async with venue as exchange:
        if asked.candles:
            return await trade_candles(portfolio, office, exchange)
        if asked.live:
            await wiring.inspect(portfolio, settings, office=office, exchange=exchange)
        return await trade_exchange(portfolio, office, exchange)


def _listen(office: "Office") -> None:
    """Stop between two steps at the first signal, at once at the second; SIGUSR1 pauses entries."""
    from atb.live.halt import Level

    def stop(_number: int, _frame: object) -> None:
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, signal.SIG_DFL)  # which ends a process that waits for its database, too
        office.bell.stop()

    def pause(_number: int, _frame: object) -> None:
        office.switch.signal(Level.PAUSE, "SIGUSR1")
        office.bell.ring()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGUSR1, pause)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Trade promoted strategies, on paper unless --live says otherwise.")
    parser.register("action", None, _Once)
    parser.add_argument(
        "manifests",
        type=Path,
        nargs="+",
        metavar="MANIFEST",
        help="what `atb promote` wrote: runners/promoted/NAME.json",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--candles", action="store_true", help="paper over the exchange's candles as they close")
    where.add_argument("--rehearse", action="store_true", help="orders to a simulated exchange on this machine")
    where.add_argument("--live", action="store_true", help="real money; asks for an acknowledgement")
    parser.add_argument("--ack", metavar="TEXT", help="the acknowledgement, where nobody is there to type it")
    parser.add_argument("--account", type=_account, default="paper", help="name of the account (default: paper)")
    parser.add_argument(
        "--accept",
        action="store_true",
        help="take the account as it is: what it has beyond the books is not ours, what it lacks is written off",
    )
    parser.add_argument("--adopt", action="store_true", help="take over the account's session under other manifests")
    parser.add_argument(
        "--shadow",
        type=Path,
        action="append",
        metavar="MANIFEST",
        help="watch this one on the same bars; it sends nothing",
    )
    parser.add_argument("--from", dest="since", metavar="T", help="open of the first bar to trade (default: 30 days)")
    parser.add_argument("--until", metavar="T", help="trade bars that open before T (default: all that come)")
    parser.add_argument("--speed", type=_speed, metavar="N", help="seconds of market time per second, or max (default)")
    parser.add_argument("--root", type=Path, help="folder for everything that is written")
    return parser


class _Once(argparse.Action):
    """Keeps one value and refuses a second one: the last would win in silence otherwise."""

    given: object = None

    def __call__(  # noqa: PLR0917 - argparse calls it so
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Keep the value, or end with a usage error that names both."""
        if self.given is not None:
            parser.error(f"{option_string} is given more than once: {str(self.given)!r} and {str(values)!r}")
        self.given = values
        setattr(namespace, self.dest, values)


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

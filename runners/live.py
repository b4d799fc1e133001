"""Trade promoted strategies: `python runners/live.py runners/promoted/NAME.json`, on paper unless real money is armed.

This file is the wiring diagram: every part that touches the world is made here, once. The runner is its own process, and starting
is recovering: a session goes on after the last bar in its journal, and every open order is looked up first.

    live.py NAME.json                      paper, over bars of the catalogue
    live.py NAME.json --candles            paper, over the exchange's candles as they close
    live.py NAME.json --rehearse           the exchange of the settings, which must be a simulator; its clock may be virtual
    live.py NAME.json OTHER.json --live    real money: a live manifest, the account of the settings, a typed acknowledgement

Exit codes: 0 the bars ended, or a signal (SIGTERM, SIGINT) stopped it after the step in hand; a second signal ends it at once.
1 an unexpected error. 2 refused, with the reason (arguments, manifest, settings, data, database). 3 another runner has the account.
4 the kill switch closed everything. 5 the database stayed away for longer than the grace; stops rest at the exchange. 6 the
exchange cannot be reached. SIGUSR1 pauses entries.

It runs in Python's isolated mode (`-I -B`; started otherwise, it restarts itself so): modules come from the environment's own
folders, not from the working directory, this folder, or one named by a variable. The package is the one beside this file, compiled
from its sources (`atb.sources`), and only from those that the manifests pin: their hashes are compared here, before any of the
package runs and with the standard library alone, since a changed checker inside the package would pass itself. A strategy of your
own (`own/...` in a manifest) lies in the folder that the settings name: the package, proven by then, compares its bytes before
anything of that folder runs.
"""

import sys

if __name__ == "__main__":  # before any other import, which a file in this folder could shadow
    _at = len(sys.orig_argv) - len(sys.argv)
    _as_script = _at > 0 and sys.orig_argv[_at] == sys.argv[0]
    if (_as_script or __spec__ is not None) and not (sys.flags.isolated and sys.flags.dont_write_bytecode):
        import os

        _flags = sys.orig_argv[1:_at] if _as_script else []
        os.execv(sys.executable, [sys.executable, "-I", "-B", *_flags, __file__, *sys.argv[1:]])  # noqa: S606 - this very program

import argparse
import asyncio
import hashlib
import json
import os
import signal
import stat
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atb.config.settings import Settings
    from atb.errors import AtbError
    from atb.live.loop import Summary
    from atb.live.portfolio import Portfolio
    from atb.live.runner import RunnerContext

ROOT = Path(__file__).resolve().parents[1]
_LARGEST = 1 << 20  # bytes of a manifest or a source
_OWN = "own/"  # before the names of files in the folder of own strategies
_PARTING_S = 30.0  # at the end the process waits no longer for a database that hangs


def main(argv: list[str] | None = None) -> int:
    """Verify the manifests, open the journal and trade; return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        _load_package(_pinned([*arguments.manifests, *(arguments.shadow or [])]))
        from atb.sources import ForeignModuleError
    except _RefusedError as error:
        return _refuse(error, 2)
    try:
        return _main(arguments)
    except ForeignModuleError as error:
        return _refuse(error, 2)


def _refuse(error: Exception, code: int) -> int:
    print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
    return code


def _main(arguments: argparse.Namespace) -> int:
    from atb.environment import hide_secrets
    from atb.errors import AtbError
    from atb.files import owner_only_writes

    try:
        with hide_secrets(), owner_only_writes():
            print(_trade(arguments))  # noqa: T201 - the last line is for people
    except Exception as error:
        refused = error if isinstance(error, AtbError) else _refusal(error)
        if refused is None:
            raise
        return _refuse(refused, refused.exit_code)
    return 0


def _refusal(problem: Exception) -> "AtbError | None":
    """Return a database's error as a sentence for people; None for any other error."""
    if "sqlalchemy" not in sys.modules:  # no database was used
        return None
    from atb.db.refusals import refusal

    return refusal(problem)


# --- before anything of the package runs ----------------------------------------------------------------------------------


class _RefusedError(Exception):
    """A start that is refused before any of the package has run."""


def _pinned(manifests: Iterable[Path]) -> dict[Path, bytes]:
    """Return the content of each source of the package that the manifests pin.

    Their signatures are checked later, by `atb.promotion`, and so are the files of your own strategies.

    Raises
    ------
    _RefusedError
        If a pinned source has changed, a manifest pins less than the runner loads, or cannot be read.
    """
    contents: dict[Path, bytes] = {}
    for manifest in manifests:
        pinned, changed = _sources_of(manifest), []
        for name, sha256 in pinned.items():
            if name.startswith(_OWN):
                continue
            content = _read(ROOT / name)
            if isinstance(content, str) or hashlib.sha256(content).hexdigest() != sha256:
                changed.append(name if name.isprintable() else ascii(name))
            else:
                contents[ROOT / name] = content
        if changed:
            which = "A source file" if len(changed) == 1 else f"{len(changed)} source files"
            more = f" and {len(changed) - 10} more" if len(changed) > 10 else ""
            listed = ", ".join(changed[:10])[:2_500] + more
            raise _RefusedError(
                f"{which} changed since the promotion: {listed}. Restore it, or backtest and promote again"
            )
        if missing := [name for name in ("atb/sources.py", "atb/__init__.py", "runners/live.py") if name not in pinned]:
            raise _RefusedError(
                f"{manifest} pins less than the runner loads: {', '.join(missing)}. Backtest and promote again"
            )
    return contents


def _sources_of(manifest: Path) -> dict[str, str]:
    """Return the sources that a manifest pins: SHA-256 (hex) by path."""
    raw = _read(manifest)
    if isinstance(raw, str):
        where = "Promoted manifests lie in runners/promoted; `atb promote RUN_ID --to paper` makes one"
        raise _RefusedError(f"The manifest cannot be read ({raw}); found {str(manifest)!r}. {where}")
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise _RefusedError(f"The manifest is no JSON: {why}; found {str(manifest)!r}. Promote again") from None
    sources = content.get("sources") if isinstance(content, dict) else None
    if not isinstance(sources, dict) or not all(isinstance(sha256, str) for sha256 in sources.values()):
        raise _RefusedError(
            f"The manifest does not list the sources that it pins; found {str(manifest)!r}. Promote again"
        )
    return sources


def _read(path: Path) -> bytes | str:
    """Return the content of a regular file of at most 1 MiB, or why it cannot be read; never blocks on a pipe."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "it is no regular file"
            content = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    return content if len(content) <= _LARGEST else "it is larger than 1 MiB"


class _VerifiedLoader(SourceFileLoader):
    """Loads a module from verified bytes, even if its file has changed since."""

    def __init__(self, fullname: str, path: str, content: bytes) -> None:
        super().__init__(fullname, path)
        self._content = content

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - importlib's signature
        code: CodeType = self.source_to_code(self._content, self.path)
        return code


def _load_package(contents: dict[Path, bytes]) -> None:
    """Load `atb` from these sources, and let this process import no other module of it."""
    if "atb" in sys.modules:
        raise _RefusedError("Something imported atb before the runner did: look at sitecustomize and the .pth files")
    name, file = "atb.sources", ROOT / "atb" / "sources.py"
    loader = _VerifiedLoader(name, str(file), contents[file])
    spec = spec_from_loader(name, loader)
    assert spec is not None  # a loader was given
    module = sys.modules[name] = module_from_spec(spec)
    loader.exec_module(module)
    module.seal(contents)
    module.begin()


# --- the wiring -----------------------------------------------------------------------------------------------------------


def _trade(arguments: argparse.Namespace) -> str:
    from atb.config import load_settings
    from atb.monitoring import configure_logging
    from atb.monitoring.outlet import unhurried

    settings = load_settings(**({"data__root": arguments.root} if arguments.root else {}))
    with unhurried(sys.stderr) as stream:
        log = settings.log
        configure_logging(log.level, json_lines=log.json_lines, secrets=settings.secrets(), stream=stream)
        return _traded(arguments, settings)


def _traded(arguments: argparse.Namespace, settings: "Settings") -> str:
    from atb.db import open_database
    from atb.live import wiring
    from atb.live.bell import Bell
    from atb.live.journal.kill_switch import KillSwitch
    from atb.live.runner import RunnerContext
    from atb.threads import Call

    wiring.check_secrets(settings, live=arguments.live)
    portfolio = wiring.load_portfolio(arguments.manifests, settings, seal=True)
    database = open_database(settings.database.url, patience_s=wiring.patience(settings))
    telemetry = wiring.make_telemetry(settings)
    context = RunnerContext(
        database,
        arguments.account,
        KillSwitch(settings.data.root),
        Bell(),
        wiring.breakers(settings),
        settings.live.database_grace,
        {"manifests": [str(path) for path in arguments.manifests]},
        telemetry,
        wiring.max_loss(settings, live=arguments.live),
        arguments.adopt,
        wiring.load_portfolio(arguments.shadow, settings, seal=True) if arguments.shadow else None,
        lambda: wiring.health_page(settings, telemetry),
        wiring.recheck([*arguments.manifests, *(arguments.shadow or [])], settings),
    )
    _listen(context)
    try:
        summary = asyncio.run(_run(arguments, settings, portfolio, context=context))
    finally:
        Call(database.close, "database").wait(_PARTING_S)
    names = ", ".join(plan.manifest.name for plan in portfolio.plans)
    return f"{names} on {'' if arguments.live else 'paper '}account {arguments.account}, {summary}"


async def _run(
    arguments: argparse.Namespace, settings: "Settings", portfolio: "Portfolio", *, context: "RunnerContext"
) -> "Summary":
    """Choose the venue: paper over stored bars, paper over candles, a simulated exchange, or the real one."""
    from atb.live import wiring
    from atb.live.runner import Window, trade_candles, trade_exchange, trade_paper

    if not arguments.rehearse:
        wiring.arm(portfolio, settings, context, live=arguments.live, typed=arguments.ack)
    if not (arguments.candles or arguments.rehearse or arguments.live):
        window = Window(arguments.since, arguments.until)
        return await trade_paper(portfolio, context, bars_root=settings.bars_root, window=window, speed=arguments.speed)
    simulated = arguments.rehearse or (arguments.candles and settings.exchange.clock is not None)
    opened = wiring.venue(
        settings,
        portfolio,
        simulated=simulated,
        orders=not arguments.candles,
        until=arguments.until,
        accept=arguments.accept,
    )
    async with opened as venue:
        if arguments.candles:
            return await trade_candles(portfolio, context, venue)
        if arguments.live:
            await wiring.inspect(portfolio, settings, context=context, venue=venue)
        return await trade_exchange(portfolio, context, venue)


def _listen(context: "RunnerContext") -> None:
    """Stop between two steps at the first signal, at once at the second; SIGUSR1 pauses entries."""
    from atb.live.journal.kill_switch import Level

    def stop(_number: int, _frame: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)  # the second signal ends even a process that waits for its database
        context.bell.stop()

    def pause(_number: int, _frame: object) -> None:
        context.switch.signal(Level.PAUSE, "SIGUSR1")
        context.bell.ring()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGUSR1, pause)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Trade promoted strategies, on paper unless --live says otherwise.")
    parser.register("action", None, _SingleValue)
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
    parser.add_argument("--ack", metavar="TEXT", help="the acknowledgement, where there is no terminal to type it at")
    parser.add_argument("--account", type=_account, default="paper", help="name of the account (default: paper)")
    parser.add_argument(
        "--accept",
        action="store_true",
        help="take the account as it is: what it has beyond the books is ignored, what it lacks is written off",
    )
    parser.add_argument("--adopt", action="store_true", help="take over the account's session under other manifests")
    parser.add_argument(
        "--shadow",
        type=Path,
        action="append",
        metavar="MANIFEST",
        help="a shadow: watch this manifest on the same bars; it sends nothing",
    )
    parser.add_argument("--from", dest="since", metavar="T", help="open of the first bar to trade (default: 30 days)")
    parser.add_argument("--until", metavar="T", help="trade bars that open before T (default: all that come)")
    parser.add_argument("--speed", type=_speed, metavar="N", help="seconds of market time per second, or max (default)")
    parser.add_argument("--root", type=Path, help="folder for everything that is written")
    return parser


class _SingleValue(argparse.Action):
    """Refuses an option that is given twice, where the last would win silently otherwise."""

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

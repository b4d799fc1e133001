"""The command line: a register of commands that are imported only when one of them is called.

`atb --help` must answer at once, so this module imports click and nothing heavier; the register holds each command's
place and its one-line help. Anything atb refuses on purpose is printed as `Error: ...` without a traceback.
"""

import errno
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from atb import __version__, strategy_folder
from atb.errors import AtbError, InputError, did_you_mean

ROOT_VARIABLE = "ATB__DATA__ROOT"
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
RIGHTS = {errno.EACCES, errno.EPERM}
INTERRUPTED = 130  # what a shell reports for a process that Ctrl-C ended

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("atb.cli.demo:demo", "The whole path on a synthetic market, offline: from candles to a paper trade."),
    "data": ("atb.cli.data:data", "Import, download, list and verify market data."),
    "train": ("atb.cli.run:train", "Train a model by the training notebook."),
    "backtest": ("atb.cli.backtest:backtest", "Backtest one strategy: figures at once, then proofs and a report."),
    "sweep": ("atb.cli.sweep:sweep", "Backtest every combination of a grid, or run a notebook for each."),
    "trials": ("atb.cli.trials:trials", "Say how often which bars were tried, and what luck alone would reach."),
    "strategies": ("atb.cli.strategies:strategies", "List the strategies with their questions, inputs and parameters."),
    "new": ("atb.cli.own:new", "Write a strategy of your own: its file, a test and a notebook."),
    "test-strategy": ("atb.cli.own:test_strategy", "Check what every strategy must keep, bar by bar."),
    "run": ("atb.cli.run:run", "Execute a notebook with parameters and record the run."),
    "runs": ("atb.cli.runs:runs", "List recorded runs; show, compare, export one."),
    "report": ("atb.cli.report:report", "Write and open the report of a run: one HTML file that shows offline."),
    "schedule": ("atb.cli.schedule:schedule", "Print the cron and systemd lines that run a command by the clock."),
    "parity": ("atb.cli.parity:parity", "Prove that loop, bar-by-bar calls and vectorbt agree."),
    "promote": ("atb.cli.promote:promote", "Turn a run into a signed manifest that the runner accepts."),
    "keys": ("atb.cli.keys:keys", "List the keys that may sign what trades; trust one with real money."),
    "exchange": (
        "atb.cli.exchange:exchange",
        "Run a simulated exchange that speaks Binance Spot, with faults on demand.",
    ),
    "rehearse": (
        "atb.cli.rehearse:rehearse",
        "The real runner at a simulated exchange: as backtested, with faults, and the kill switch.",
    ),
    "live": ("atb.cli.live:live", "Run one strategy in a process of its own, on paper."),
    "status": ("atb.cli.live:status", "Show what the runners hold, decided and filled."),
    "trades": ("atb.cli.trades:trades", "List closed round trips."),
    "orders": ("atb.cli.trades:orders", "List orders and what became of them."),
    "why": ("atb.cli.trades:why", "Explain a trade, back to its decision, model, run and notebook."),
    "dashboards": ("atb.cli.dashboards:dashboards", "Serve the dashboards and the admin pages to a browser."),
    "users": ("atb.cli.users:users", "Add, list and remove the dashboards' users; end their logins."),
    "halt": ("atb.cli.control:halt", "Kill switch: pause entries, cancel them, or close everything."),
    "flatten": ("atb.cli.control:flatten", "Close everything, and say when that is done."),
    "resume": ("atb.cli.control:resume", "Let a halted account trade again."),
    "lab": ("atb.cli.lab:lab", "Open JupyterLab on the notebooks."),
    "config": ("atb.cli.config:config", "Show the settings and where each value came from."),
    "doctor": ("atb.cli.doctor:doctor", "Say what is wrong with this environment, and what to do."),
    "bench": ("atb.cli.bench:bench", "Measure atb beside vectorbt, backtesting.py and a bare loop."),
    "warmup": ("atb.cli.warmup:warmup", "Compile the decision kernel ahead of its first use."),
}
# Verbs of other tools that people already type.
HINTS = {
    "backtesting": "backtest",
    "download-data": "data download",
    "convert-data": "data import",
    "list-data": "data list",
    "import": "data import",
    "hyperopt": "sweep",
    "optimize": "sweep",
    "grid": "sweep",
    "download": "data download",
    "sample": "data sample",
    "trade": "live",
    "start": "live",
    "show-trades": "trades",
    "dashboard": "dashboards",
    "webserver": "dashboards",
    "monitor": "dashboards",
    "user": "users",
    "stop": "halt",
    "stopentry": "halt",
    "kill": "halt",
    "pause": "halt",
    "forceexit": "flatten",
    "close": "flatten",
    "explain": "why",
    "show-config": "config show",
    "backtesting-show": "runs",
    "lookahead-analysis": "run notebooks/04_validate.ipynb",
    "cron": "schedule",
    "batch": "sweep",
    "jupyter": "lab",
    "research": "lab",
    "check": "parity",
    "notebook": "run",
    "tearsheet": "report",
    "plot": "report",
    "version": "--version",
    "help": "--help",
}


class Refusal(click.ClickException):
    """A refusal on its way to the terminal, with the exit code of its class."""

    def __init__(self, error: AtbError) -> None:
        super().__init__(str(error))
        self.exit_code = error.exit_code  # type: ignore[misc] # click reads it from the instance

    def show(self, file: IO[Any] | None = None) -> None:
        """Print `Error: ...` on standard error; click drops the colour where the output is no terminal."""
        from atb.cli.output import print_error

        print_error(self.message, file)


class CommandRegister(click.Group):
    """A group whose commands are imported when they are called."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an option that is given twice, then parse."""
        from atb.cli.commands import refuse_twice

        refuse_twice(self, ctx, args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        """Return the names in the register's order, which is the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click calls it so
        """Import and return one command, None if it is not in the register."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click calls it so
        """Write the list of commands from the register, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        name = args[0]
        if name in COMMANDS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        hint = f"Did you mean 'atb {HINTS[name]}'?" if name in HINTS else did_you_mean(name, COMMANDS)
        raise click.UsageError(f"No such command {name!r}. {hint}", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn refusals and Ctrl-C into messages and exit codes."""
        try:
            return super().invoke(ctx)
        except AtbError as error:
            raise Refusal(error) from error
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as error:
            refused = _foreseen(error)
            if refused is None:
                raise
            raise Refusal(refused) from error


def _foreseen(error: Exception) -> AtbError | None:
    """Return the refusal for an error of the disk or the database; None for an unforeseen error."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return InputError("The name of a file is too long", found=str(error.filename or ""), todo="Name it shorter")
    if isinstance(error, OSError) and error.errno in RIGHTS | DISK:
        found = f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
        if error.errno in RIGHTS:
            return AtbError(f"A file may not be used ({found})", todo="Look at the rights of this user there")
        full = "The disk is full" if error.errno == errno.ENOSPC else "The disk refuses what is written"
        return AtbError(
            f"{full} ({found})", todo="Free some space, or look at the rights and limits there, and repeat the command"
        )
    if "sqlalchemy" not in sys.modules and "sqlite3" not in sys.modules:  # then it is no error of a database
        return None
    from atb.db.refusals import refusal

    return refusal(error)


@contextmanager
def _data_root(root: Path) -> Iterator[None]:
    """Set the data root for this call and every process it starts: kernels and runners must see the same one."""
    previous = os.environ.get(ROOT_VARIABLE)
    os.environ[ROOT_VARIABLE] = str(root)
    try:
        yield
    finally:
        if previous is None:
            os.environ.pop(ROOT_VARIABLE, None)
        else:
            os.environ[ROOT_VARIABLE] = previous


@click.command(cls=CommandRegister, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="atb")
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for everything that is written, instead of the setting data.root.",
)
@click.pass_context
def main(ctx: click.Context, root: Path | None) -> None:
    """Research trading strategies in notebooks; trade exactly what was tested.

    \b
    Examples:
      atb demo
      atb data import btc.parquet --symbol BTC/USDT --timeframe 1h
      atb backtest sma_cross --symbol BTC/USDT --timeframe 1h --days 90
      atb --root scratch runs --json
    """
    from atb.environment import hide_secrets
    from atb.files import owner_only_writes

    ctx.with_resource(hide_secrets())
    ctx.with_resource(owner_only_writes())
    # nbformat loads jsonschema, which would build the grammar of international addresses (2 s): no notebook's schema asks for them.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None: an import of it raises ImportError
    if root is not None:
        ctx.with_resource(_data_root(root.expanduser().absolute()))
    strategy_folder.mount(_own_strategies)


def _own_strategies() -> strategy_folder.StrategyFolder:
    """Return the folder of the settings, which are loaded only when a strategy is looked up."""
    from atb.config.own import folder_of_settings

    return folder_of_settings()

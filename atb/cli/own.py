"""`atb new` and `atb test-strategy`: a strategy of your own in a file, and the contract that every strategy keeps."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from atb.checks import Check
from atb.cli import completing
from atb.cli.commands import Command
from atb.cli.output import command_line, json_option, print_check, print_fields, print_json, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atb.config import Settings


@click.command(cls=Command)
@click.argument("name")
@click.option("--entry", help="A rule as text, such as 'rsi(14) < 30': the strategy is then these rules.")
@click.option("--exit", help="The rule by which a long position is left.")
@click.option("--short-entry", help="The rule by which a short position is entered.")
@click.option("--short-exit", help="The rule by which it is left.")
@json_option
def new(name: str, *, as_json: bool, **rules: str | None) -> None:
    """Write a strategy NAME that works, to be changed: its file, a test and a notebook, in the folder strategies.folder.

    It is found by its name at once. In a notebook `%%strategy NAME` as the first line of a cell writes that cell instead.

    \b
    Examples:
      atb new rsi
      atb new dip --entry 'rsi(14) < 30 and close > sma(200)' --exit 'rsi(14) > 70'
      ATB__STRATEGIES__FOLDER=~/strategies atb new rsi --json
    """
    from atb.workbench.scaffold import new_strategy

    written = new_strategy(name, start(), rules={key: text for key, text in rules.items() if text})
    if as_json:
        print_json(written.to_json())
        return
    print_fields(written.to_json())
    click.echo(f"\nNext: {command_line(f'test-strategy {name}')}, then {command_line(f'backtest {name}')}")


@click.command(cls=Command)
@click.argument("name", shell_complete=completing.strategy)
@json_option
@click.pass_context
def test_strategy(ctx: click.Context, name: str, as_json: bool) -> None:
    """Check what every strategy must keep, on seeded markets; exit 1 if anything is broken.

    It must know nothing of later bars, read no clock, be silent until warm, keep no memory, change none of its inputs, use every
    parameter, and decide at each bar as a runner does, in a process that knows the declared warm-up and the bars so far. Each check
    has 60 s of processor time, or 50 times what the longest before it took: one that never ends is named.

    \b
    Examples:
      atb test-strategy rsi
      atb test-strategy sma_cross --json
    """
    from atb.validation.apart import checks_apart

    settings = start()
    checks = checks_apart(lambda: _checks(name, settings))
    broken = [check for check in checks if check.failed]
    if as_json:
        print_json({"strategy": name, "holds": not broken, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            print_check(check)
        click.echo(f"\n{name}: {len(checks) - len(broken)} of {len(checks)} checks hold.")
    ctx.exit(1 if broken else 0)


def _checks(name: str, settings: "Settings") -> "Iterator[tuple[str, Callable[[], Check]]]":
    """Yield each check with its title, after the strategy was loaded."""
    from atb.strategies import is_own
    from atb.validation.contract import checks_of
    from atb.workbench.own import check_own

    if is_own(name):
        check_own(name, settings)
    yield from checks_of(name)
    yield "loads what a promotion pins", lambda: _pinned(name)


def _pinned(name: str) -> Check:
    """Check that a promotion can pin all that the strategy loads."""
    from atb.errors import PromotionError
    from atb.promotion.provenance import source_hashes
    from atb.strategies import strategy_module

    title = "loads what a promotion pins"
    try:
        return Check(title, "ok", f"{len(source_hashes(strategy_module(name)))} sources")
    except PromotionError as error:
        return Check(title, "error", str(error))

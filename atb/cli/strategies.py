"""`atb strategies`: which strategies there are, what each asks, reads and takes."""

import itertools
from typing import TYPE_CHECKING

import click

from atb.cli import completing
from atb.cli.commands import Command
from atb.cli.output import (
    command_line,
    json_option,
    print_fields,
    print_json,
    print_note,
    print_table,
    print_text,
    start,
)
from atb.decimals import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from atb.workbench.strategies import Listed, Parameter

_EMPTY = "''"


@click.command(cls=Command)
@click.argument("name", required=False, shell_complete=completing.strategy)
@json_option
def strategies(name: str | None, *, as_json: bool) -> None:
    """List the strategies, built in and your own, or show strategy NAME with the meaning of its parameters.

    \b
    Examples:
      atb strategies
      atb strategies breakout
      atb strategies --json
    """
    from atb.workbench.strategies import listed_strategies, listed_strategy

    settings = start()
    if name is not None:
        found = listed_strategy(name, settings)
        print_json(found.to_json()) if as_json else _print_one(found)
        return
    listed = listed_strategies(settings)
    if as_json:
        print_json([one.to_json() for one in listed])
        return
    print_table([_row(one) for one in listed if not one.fault], spare=("shorts", "reads"))
    for one in listed:
        if one.fault:
            print_note(f"{one.name} cannot be used: {one.fault}")


def _row(one: "Listed") -> dict[str, object]:
    return {
        "strategy": f"{one.name} (own)" if one.own else one.name,
        "question": one.question,
        "reads": one.reads,
        "shorts": "yes" if one.shorts else "",
        "parameters": _typed(one.parameters),
    }


def _print_one(one: "Listed") -> None:
    click.echo(click.style(f"{one.name}: {one.question}", bold=True))
    print_text(f"\n{one.text}\n")
    print_fields({
        "reads": f"its own bars, {one.reads}" if one.reads else "its own bars",
        "warm-up": counted(one.warmup, "bar"),
        "shorts": "it may sell short: set allow_short" if one.shorts else "no",
    })  # fmt: skip
    click.echo()
    groups = [list(group) for _, group in itertools.groupby(one.parameters, key=lambda each: each.meaning)]
    print_table(
        [{"parameters": _typed(group), "meaning": group[0].meaning} for group in groups], empty="It has no parameters."
    )
    trained = f"{command_line('train')}, then " if one.predicts else ""
    example = f"backtest {one.name} -p allow_short=true" if one.shorts else f"backtest {one.name}"
    click.echo(f"\nNext: {trained}{command_line(example)}")


def _typed(parameters: "Iterable[Parameter]") -> str:
    """Return parameters with their defaults as they are typed behind `-p`; an empty text as two quotation marks."""
    return ", ".join(f"{each.name}={each.default if each.default != '' else _EMPTY}" for each in parameters)

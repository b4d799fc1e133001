"""Completion of arguments, in a shell and in a notebook: strategies and their parameters, stored symbols, timeframes and runs.

A shell completes `atb` after `eval "$(_ATB_COMPLETE=bash_source atb)"` (`zsh_source`, `fish_source`), a notebook `%atb` by itself.
What cannot be read, as settings that are wrong, completes to nothing: the command itself will say what is wrong.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import click

from atb.errors import AtbError

Completer = Callable[[click.Context, click.Parameter, str], list[str]]
_RUNS = 50  # newest ones


def _completer(values: Callable[[click.Context], Iterable[str]]) -> Completer:
    """Return click's callback: those of the values that begin with what is typed, in any case of letters."""

    @wraps(values)
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click calls it so
        try:
            found = dict.fromkeys(values(ctx))
        except (AtbError, OSError):
            return []
        return [value for value in found if value.lower().startswith(incomplete.lower())]

    return complete


@_completer
def strategy(ctx: click.Context) -> Iterable[str]:  # noqa: ARG001 - called as the others are
    """Return the names of all strategies, own ones too."""
    from atb.strategies import strategy_names

    return strategy_names()


@_completer
def symbol(ctx: click.Context) -> Iterable[str]:
    """Return the stored symbols; of the timeframe alone, if one is given."""
    wanted = ctx.params.get("timeframe")
    return (str(one.symbol) for one in _stored() if wanted in {None, str(one.timeframe)})


@_completer
def timeframe(ctx: click.Context) -> Iterable[str]:
    """Return the stored timeframes; those of the symbols alone, if some are given."""
    given = ctx.params.get("symbol") or ()
    wanted = {given} if isinstance(given, str) else {*given}
    return (str(one.timeframe) for one in _stored() if not wanted or str(one.symbol) in wanted)


@_completer
def pair(ctx: click.Context) -> Iterable[str]:
    """Return `NAME=` for each parameter of the strategy."""
    from atb.strategies import make_strategy, strategy_params

    name = ctx.params.get("strategy") or next(iter(ctx.args), None)  # click stops at an option without its value
    return (f"{key}=" for key in strategy_params(make_strategy(name))) if name else ()


@_completer
def run(ctx: click.Context) -> Iterable[str]:  # noqa: ARG001 - called as the others are
    """Return the ids of the newest runs."""
    from atb.cli.accounts import journal
    from atb.experiments.registry import list_runs

    with journal(reading=True) as database:
        return [row.run_id for row in list_runs(database, _RUNS)]


def _stored() -> Iterable[Any]:
    from atb.config import load_settings
    from atb.data.catalogue.series import all_series

    return all_series(load_settings().bars_root)

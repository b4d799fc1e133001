"""The rules as options, shared by the commands that backtest: the common ones as flags, every other one by its name."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from atb.errors import InputError

C = TypeVar("C", bound=Callable[..., Any])

FLAGS = {
    "fraction": "Value of a new position as a fraction of equity.",
    "stop_loss": "Stop, as a fraction of the entry price; 0 is off.",
    "take_profit": "Target, as a fraction of the entry price; 0 is off.",
    "fee": "Fee of each order, as a fraction of its value.",
    "slippage": "How much worse market orders and stops fill, as a fraction.",
    "cash": "Starting cash in the quote currency.",
}
_OFF_AT_ZERO = ("stop_loss", "take_profit")
_POLICY = (
    """Every other rule by its name: a JSON file, or JSON such as '{"trailing_stop": 0.03, "daily_loss": 0.02}'."""
)


def rule_options(command: C) -> C:
    """Add `--policy` and a flag for each common rule."""
    for name, text in reversed(FLAGS.items()):
        command = click.option(f"--{name.replace('_', '-')}", name, type=float, help=text)(command)
    return click.option("--policy", metavar="FILE|JSON", help=_POLICY)(command)


def chosen_rules(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules that were given as parameters of the backtest notebook: the flags by their names, the rest as `policy`.

    Raises
    ------
    InputError
        If a rule is given twice, or the rules cannot be read.
    """
    from atb.workbench.rules import read_rules

    flags = {name: options[name] for name in FLAGS if options[name] is not None}
    flags |= {name: None for name in _OFF_AT_ZERO if flags.get(name) == 0}
    policy = read_rules(options["policy"])
    if twice := [name for name in policy if name in flags]:
        raise InputError("A rule is given twice", found=", ".join(twice), todo="Leave it out of --policy, or the flag")
    return {**flags, **({"policy": policy} if policy else {})}

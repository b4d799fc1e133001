"""The rules as options, shared by the commands that backtest: the common ones as flags, every other one by its name."""

from collections.abc import Callable, Mapping
from pathlib import Path
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


def chosen_rules(options: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the rules that were given as parameters of the backtest notebook: the flags by their names, the rest as `policy`.

    Raises
    ------
    InputError
        If a rule is given twice (`beside`: those given in yet another way), or the rules cannot be read.
    """
    from atb.workbench.rules import read_rules

    flags = {name: options[name] for name in FLAGS if options[name] is not None}
    flags |= {name: None for name in _OFF_AT_ZERO if flags.get(name) == 0}
    policy = read_rules(options["policy"])
    elsewhere = {*flags, *(beside or {})}
    twice = [name for name in (*policy, *(["policy"] if policy else [])) if name in elsewhere]
    if twice:
        raise InputError(
            "A rule is given twice", found=", ".join(twice), todo="Leave it out of --policy, or the other one"
        )
    return {**flags, **({"policy": policy} if policy else {})}


def check_parameters(notebook: Path, given: Mapping[str, object]) -> None:
    """Answer what is wrong with a backtest's parameters before anything runs."""
    from atb.experiments.parameters import read_parameters, validate_parameters, with_defaults
    from atb.workbench.slots import CHECKED, check_backtest

    spec = read_parameters(notebook)
    values = with_defaults(spec, validate_parameters(spec, given))
    if values.keys() >= CHECKED:  # somebody's own backtest notebook may have other parameters
        check_backtest(values)

"""Parameters of every command: `-p NAME=VALUE`, where NAME is the strategy's, a rule, or the notebook's own; rules as options too.

The declared type decides: `fast=10` is a whole number, `stop_loss=0.03` is not. A name that could mean two things and one given
twice, in whatever ways, are refused; a mistyped one is answered with the nearest. A text for a strategy under the name of a rule
that is one of few words means the strategy unless it is such a word: `entry=limit` is the rule, `entry=close > open` is not.

`-p @FILE` takes the parameters of a JSON file, `-p @-` those of standard input. Every user of the machine can read a command's
arguments (`ps`), and the shell keeps them: private values, such as an address with a password, are given this way. No
program that atb starts for a notebook gets parameters as arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

import click

from atb.cli import completing
from atb.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from atb.experiments.conversion import Kind
    from atb.experiments.parameters import Parameter

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
STDIN = Path("-")
OF_STRATEGY = (
    "strategy",
    "params",
    "policy",
)  # a notebook with these takes a strategy's parameters and rules by their names


def parameter_option(text: str) -> Callable[[C], C]:
    """Add `-p NAME=VALUE`, passed to the command as `given`."""
    help_text = f"{text} Repeat it for more. @FILE reads a JSON file, @- standard input: others can read arguments."
    return click.option(
        "-p", "given", multiple=True, metavar="NAME=VALUE", shell_complete=completing.pair, help=help_text
    )


def read_pairs(given: Sequence[str]) -> dict[str, object]:
    """Return `NAME=VALUE` texts, and what is in each `@FILE`, as a dict; what a value means is decided by the declared type.

    Raises
    ------
    InputError
        A text is no such pair, a file cannot be read, a name is given twice, or it is that of a secret.
    """
    from atb.experiments.parameters import refuse_secret

    found: dict[str, object] = {}
    given_by: dict[str, str] = {}  # as it was written: what a file holds is not shown
    for text in given:
        for name, value in _pairs(text).items():
            refuse_secret(name)
            if name in found:
                both = " and ".join(written[:80] for written in (given_by[name], text))
                raise InputError("A parameter is given twice", found=f"{name} by {both}" if "@" in both else both)
            found[name], given_by[name] = value, text
    return found


def _pairs(text: str) -> Mapping[str, object]:
    if text.startswith("@"):
        return parameter_file(Path(text[1:]))
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError("A parameter is given as NAME=VALUE", found=text[:200], todo="Such as -p fast=10")
    return {name: value}


@dataclass
class Sorted:
    """Parameters by what they belong to: the strategy, the rules, the notebook."""

    params: dict[str, Any] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)


def sort_pairs(
    pairs: Mapping[str, object],
    strategy: str,
    notebook: Sequence["Parameter"] = (),
    *,
    types: Mapping[str, type] | None = None,
) -> Sorted:
    """Return each parameter, in the type that its target declares, under what it belongs to.

    Parameters
    ----------
    pairs
        As `read_pairs` gives them.
    strategy
        A registered one, whose parameters may be named.
    notebook
        Parameters of the notebook that takes the rest; what it declares itself wins over a rule of that name.
    types
        The strategy's parameters with their types; None: its own, and those that texts among the pairs name.

    Raises
    ------
    InputError
        A name is unknown or means two things, or a value does not fit.
    """
    from atb.engine.policy import CHOICES
    from atb.experiments.conversion import convert
    from atb.strategies import parameter_types
    from atb.workbench.rules import rule_hints

    own = {parameter.name: parameter.kind for parameter in notebook}
    known = parameter_types(strategy, pairs) if types is None else types
    params = {name: kind_of(hint) for name, hint in known.items()}
    rules = {name: kind_of(hint) for name, hint in rule_hints().items() if name not in own}
    found = Sorted()
    homes = ((found.params, params), (found.own, own), (found.rules, rules))
    for name, value in pairs.items():
        places = [(home, kinds[name]) for home, kinds in homes if name in kinds]
        if len(places) > 1 and name in CHOICES and known.get(name) is str:
            places = [places[-1 if value in CHOICES[name] else 0]]
        if not places:
            near = did_you_mean(name[:80], {**own, **params, **rules})
            raise InputError("There is no such parameter", found=name[:80], todo=near)
        if len(places) > 1:
            raise _ambiguous(name, strategy)
        home, kind = places[0]
        home[name] = convert(name, kind, value)
    return found


def _ambiguous(name: str, strategy: str) -> InputError:
    todo = f"Say -p 'params={{\"{name}\": ...}}' for the strategy's, --policy '{{\"{name}\": ...}}' or the option for the other"
    return InputError(f"Both {strategy} and the rules have a parameter of this name", found=name, todo=todo)


def notebook_values(
    notebook: Sequence["Parameter"], given: Mapping[str, object], pairs: Mapping[str, object]
) -> dict[str, object]:
    """Return a notebook's parameters: `given` by options, `pairs` by `-p`; a strategy's go into `params`, rules into `policy`.

    A notebook that declares no strategy takes only its own parameters.

    Raises
    ------
    InputError
        A name is unknown or means two things, a value does not fit, or something is given twice.
    """
    defaults = {parameter.name: parameter.default for parameter in notebook}
    if not {*defaults} >= {*OF_STRATEGY}:
        return joined(given, pairs)
    strategy = str(given.get("strategy") or pairs.get("strategy") or defaults["strategy"])
    found = sort_pairs(pairs, strategy, notebook)
    params = joined(_dict(found.own.pop("params", None)), found.params)
    policy = joined(_dict(found.own.pop("policy", None)), _dict(given.get("policy")), found.rules)
    plain = joined({name: value for name, value in given.items() if name != "policy"}, found.own)
    joined(plain, policy)  # a rule is given as a parameter or in the policy, not both
    return {**plain, **({"params": params} if params else {}), **({"policy": policy} if policy else {})}


def joined(*parts: Mapping[str, object]) -> dict[str, object]:
    """Merge parameters from several places, and refuse one that is given in two of them."""
    found: dict[str, object] = {}
    for part in parts:
        if twice := sorted({*found} & {*part}):
            raise InputError("A parameter is given twice", found=", ".join(twice), todo="Give it in one way alone")
        found |= part
    return found


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def strategy_values(strategy: str, rules: Mapping[str, object], pairs: Mapping[str, object]) -> dict[str, Any]:
    """Return `params`, `policy` and the rules given as flags, for a command that runs no notebook; errors as `notebook_values`."""
    from atb.experiments.conversion import Kind
    from atb.experiments.parameters import Parameter

    kinds = {"strategy": Kind("str"), "params": Kind("dict"), "policy": Kind("dict")}
    spec = [Parameter(name, kind, None) for name, kind in kinds.items()]
    return {"params": {}, "policy": {}, **notebook_values(spec, {"strategy": strategy, **rules}, pairs)}


def kind_of(hint: Any) -> "Kind":
    """Return the declared type of a strategy's parameter or a rule as that of a notebook's; a tuple is given as a list.

    >>> str(kind_of(float | None)), str(kind_of(tuple[str, str]))
    ('float | None', 'list')
    """
    from atb.experiments.conversion import Kind

    parts = (
        [part for part in get_args(hint) if part is not type(None)]
        if get_origin(hint) in {Union, UnionType}
        else [hint]
    )
    base = get_origin(parts[0]) or parts[0]
    return Kind("list" if base is tuple else base.__name__, optional=type(None) in get_args(hint))


def parameter_file(path: Path) -> dict[str, object]:
    """Return the parameters of a JSON file, `-` for standard input.

    Raises
    ------
    InputError
        It cannot be read, is no JSON, or holds no object.
    """
    from atb.reading import read_json

    try:
        found = _json_of_stdin() if path == STDIN else read_json(path)
    except OSError as problem:
        raise InputError(f"The parameter file cannot be read ({problem.strerror})", found=str(path)) from None
    except ValueError as problem:
        raise InputError(f"The parameter file is no JSON ({problem})", found=str(path)) from None
    if not isinstance(found, dict):
        raise InputError("The parameter file must hold one JSON object", found=type(found).__name__)
    return found


def _json_of_stdin() -> object:
    import sys

    from atb.reading import MIB, parse_json

    text = sys.stdin.buffer.read(MIB + 1)
    if len(text) > MIB:
        raise ValueError("it is larger than 1 MiB")
    return parse_json(text)


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

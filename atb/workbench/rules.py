"""Policies from one flat set of rules, given as a dict, as JSON text or as a JSON file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.errors import InputError, did_you_mean
from atb.reading import MIB, parse_json, read_file

Given = str | Path | Mapping[str, Any]
_KINDS = {"policy": RiskPolicy, "execution": ExecutionModel, "account": AccountPolicy}


@dataclass(frozen=True, slots=True)
class BacktestRules:
    """The three policies of a backtest: sizing and exits, costs and fills, limits of the account."""

    policy: RiskPolicy = field(default_factory=RiskPolicy)
    execution: ExecutionModel = field(default_factory=ExecutionModel)
    account: AccountPolicy = field(default_factory=AccountPolicy)


def make_rules(given: Given | None = None, **common: Any) -> BacktestRules:
    """Return the policies made from a flat set of rules; rules not named keep their defaults.

    >>> make_rules('{"trailing_stop": 0.03, "daily_loss": 0.02}', fraction=0.5).account.daily_loss
    0.02

    Parameters
    ----------
    given
        Fields of `RiskPolicy`, `ExecutionModel` and `AccountPolicy` by name: a dict, JSON text of one, or a file that holds it.
    common
        Further rules, such as a notebook's parameters; `given` takes precedence.

    Raises
    ------
    InputError
        If there is no such rule (the message names the nearest), a value is out of range, or rules contradict each other.
    """
    homes = rule_homes()
    parts: dict[str, dict[str, Any]] = {part: {} for part in _KINDS}
    for name, value in {**common, **read_rules(given)}.items():
        if name not in homes:
            raise InputError("There is no such rule", found=name, todo=did_you_mean(name, homes))
        parts[homes[name]][name] = value
    return BacktestRules(
        RiskPolicy.from_json(parts["policy"]),
        ExecutionModel.from_json(parts["execution"]),
        AccountPolicy.from_json(parts["account"]),
    )


def rule_homes() -> dict[str, str]:
    """Return every rule's name with its policy: `policy`, `execution` or `account`."""
    return {rule.name: part for part, kind in _KINDS.items() for rule in fields(kind)}


def rule_hints() -> dict[str, Any]:
    """Return every rule's name with its annotation."""
    return {name: hint for kind in _KINDS.values() for name, hint in get_type_hints(kind).items()}


def read_rules(given: Given | None) -> dict[str, Any]:
    """Return rules from a dict, JSON text or a JSON file, as a dict; empty if nothing was given."""
    if not given:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    text = str(given)
    if not text.lstrip().startswith("{"):
        text = _content(Path(given))
    try:
        found = parse_json(text)
    except ValueError as error:
        raise InputError(f"The rules are not JSON ({error})", found=str(given)) from None
    if not isinstance(found, dict):
        raise InputError("Rules must be one JSON object", found=str(given), todo='Such as {"trailing_stop": 0.03}')
    return found


def _content(path: Path) -> str:
    try:
        return read_file(path, max_bytes=MIB).decode("utf-8")
    except (OSError, ValueError) as error:
        not_text = "it is not text" if isinstance(error, UnicodeError) else str(error)
        reason = getattr(error, "strerror", None) or not_text
        todo = 'Rules are a JSON file or JSON text such as {"trailing_stop": 0.03}'
        raise InputError(f"The file of rules cannot be read ({reason})", found=str(path), todo=todo) from None

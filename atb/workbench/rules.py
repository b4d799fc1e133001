"""Every rule by its name: one flat set of values, as a dict, as JSON text or as a file of it, becomes the three policies."""

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
class Rules:
    """How a slot trades, what that costs, and the account's limits."""

    policy: RiskPolicy = field(default_factory=RiskPolicy)
    execution: ExecutionModel = field(default_factory=ExecutionModel)
    account: AccountPolicy = field(default_factory=AccountPolicy)


def make_rules(given: Given | None = None, **common: Any) -> Rules:
    """Return the policies that a flat set of rules makes; what is not named keeps its default.

    >>> make_rules('{"trailing_stop": 0.03, "daily_loss": 0.02}', fraction=0.5).account.daily_loss
    0.02

    Parameters
    ----------
    given
        Fields of `RiskPolicy`, `ExecutionModel` and `AccountPolicy` by name: a dict, JSON text of one, or a file that holds it.
    common
        Fields that `given` overrules: a notebook's own parameters.

    Raises
    ------
    InputError
        If no policy has a field of that name (with the nearest), a value is out of its range, or rules contradict each other.
    """
    homes = rule_homes()
    parts: dict[str, dict[str, Any]] = {part: {} for part in _KINDS}
    for name, value in {**common, **read_rules(given)}.items():
        if name not in homes:
            raise InputError("There is no such rule", found=name, todo=did_you_mean(name, homes))
        parts[homes[name]][name] = value
    return Rules(
        RiskPolicy.from_json(parts["policy"]),
        ExecutionModel.from_json(parts["execution"]),
        AccountPolicy.from_json(parts["account"]),
    )


def rule_homes() -> dict[str, str]:
    """Return every rule's name with the part that has it: `policy`, `execution` or `account`."""
    return {one.name: part for part, kind in _KINDS.items() for one in fields(kind)}


def rule_hints() -> dict[str, Any]:
    """Return every rule's name with its annotation."""
    return {name: hint for kind in _KINDS.values() for name, hint in get_type_hints(kind).items()}


def read_rules(given: Given | None) -> dict[str, Any]:
    """Return rules as a dict: a dict itself, JSON text of an object, or the content of a file; nothing where nothing was given."""
    if not given:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    text = str(given)
    if not text.lstrip().startswith("{"):
        text = _content(Path(given))
    try:
        found = parse_json(text)
    except ValueError as problem:
        raise InputError(f"The rules are no JSON ({problem})", found=str(given)) from None
    if not isinstance(found, dict):
        raise InputError("Rules are one JSON object", found=str(given), todo='Such as {"trailing_stop": 0.03}')
    return found


def _content(path: Path) -> str:
    try:
        return read_file(path, max_bytes=MIB).decode("utf-8")
    except (OSError, ValueError) as problem:
        no_text = "it is no text" if isinstance(problem, UnicodeError) else str(problem)
        reason = getattr(problem, "strerror", None) or no_text
        todo = 'Rules are a JSON file or JSON text such as {"trailing_stop": 0.03}'
        raise InputError(f"The file of rules cannot be read ({reason})", found=str(path), todo=todo) from None

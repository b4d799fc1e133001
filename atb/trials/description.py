"""Descriptions of trials as plain values: strategies with parameters and source, policies, costs; of many, what differs."""

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from operator import attrgetter
from typing import Any

from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.slot import Slot

Json = Any
_BUILT_IN = "atb.strategies."
_OWN = "atb.strategies.own."
_SIMPLE = (bool, int, float, str, type(None))


def plain(value: Any) -> Json:
    """Return a value as JSON types; a dataclass by its fields, arrays and tables by their content's hash, the rest by its type."""
    if isinstance(value, _SIMPLE):
        return value
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {"class": type(value).__qualname__} | {
            each.name: plain(getattr(value, each.name, None)) for each in fields(value)
        }
    return _by_content(value)


def _by_content(value: Any) -> Json:
    item, array = getattr(value, "item", None), getattr(value, "to_numpy", None) or getattr(value, "__array__", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        return plain(item())
    if callable(array):
        content = array()
        data = repr(content.tolist()).encode() if content.dtype.hasobject else content.tobytes()
        return f"{type(value).__qualname__} {hashlib.sha256(data).hexdigest()[:24]}"
    return f"{type(value).__module__}.{type(value).__qualname__}"


@functools.lru_cache(maxsize=1024)
def source_hash(cls: Any) -> str:
    """Return the hash of a class's source, empty for a strategy that atb brings: its name says it all.

    The same class, changed and tried again, is another trial.
    """
    module: str = cls.__module__
    if module.startswith(_BUILT_IN) and not module.startswith(_OWN):
        return ""
    try:
        text = inspect.getsource(cls)
    except (OSError, TypeError):  # typed at a prompt: what it was compiled to
        text = repr([_compiled(member) for _, member in sorted(vars(cls).items())])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _compiled(member: Any) -> Any:
    function = getattr(member, "fget", None) or getattr(member, "__func__", member)
    code = getattr(function, "__code__", None)
    return (
        None
        if code is None
        else (code.co_code.hex(), code.co_names, [c for c in code.co_consts if isinstance(c, _SIMPLE)])
    )


# --- many at once ---------------------------------------------------------------------------------------------------------


def described(values: Sequence[Any]) -> Json:
    """Return dataclasses as JSON types: what all share once, and a list of values for each field in which they differ."""
    kinds = {type(value) for value in values}
    if len(kinds) > 1 or not is_dataclass(values[0]):
        return {"each": [_alone(value) for value in values]}
    kind = kinds.pop()
    same, differ = {**_named(kind)}, {}
    names = [each.name for each in fields(kind)]
    for name, column in zip(names, _columns(values, names), strict=True):
        if column.count(column[0]) == len(column):
            same[name] = plain(column[0])
        else:
            differ[name] = [value if isinstance(value, _SIMPLE) else plain(value) for value in column]
    return {"same": same, "differ": differ, "count": len(values)}


def _columns(values: Sequence[Any], names: list[str]) -> list[tuple[Any, ...]]:
    if not names:
        return []
    read = attrgetter(*names)
    if len(names) == 1:
        return [tuple(read(value) for value in values)]
    return list(zip(*map(read, values), strict=True))


def _named(kind: Any) -> dict[str, Json]:
    """Return the name of a strategy's class and its source's hash; nothing for a policy."""
    if issubclass(kind, RiskPolicy | ExecutionModel):
        return {}
    found = {"strategy": str(getattr(kind, "name", kind.__qualname__))}
    source = source_hash(kind)
    return found | ({"source": source} if source else {})


def _alone(value: Any) -> Json:
    own = {each.name: plain(getattr(value, each.name, None)) for each in fields(value)} if is_dataclass(value) else {}
    if not own and not hasattr(value, "signals"):
        return plain(value)
    return _named(type(value)) | own


def each_of(found: Json) -> list[Json]:
    """Return one description for each value that `described` was given."""
    if "each" in found:
        return list(found["each"])
    same, differ = found["same"], found["differ"]
    columns = zip(*differ.values(), strict=True) if differ else [()] * found["count"]
    return [{**same, **dict(zip(differ, values, strict=True))} for values in columns]


def digest(value: Json) -> str:
    """Return a short hash of JSON types; the order of names does not matter, and 2 is 2.0."""
    text = json.dumps(_numbers(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _numbers(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_numbers(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


# --- slots ----------------------------------------------------------------------------------------------------------------


def of_slots(values: Sequence[Any], slots: Sequence[Slot]) -> Json:
    """Return the description of one thing (strategy, policy, costs) of every slot: once where all are alike, else by symbol."""
    if all(value == values[0] for value in values):
        return _alone(values[0])
    return {str(slot.bars.symbol): _alone(value) for slot, value in zip(slots, values, strict=True)}

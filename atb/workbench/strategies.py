"""Strategies as a list to choose from: the question of each, what it reads, its parameters, and whether it may sell short."""

import dataclasses
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atb.domain.inputs import declared_inputs, input_to_json

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.domain import Strategy

_PARAMETERS = re.compile(r"\n *Parameters\n *-+\n")
_SECTION = re.compile(r"\n *\w[\w ]*\n *-{3,}\n")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a strategy: its type by name, its default, and its explanation, empty where none is written."""

    name: str
    kind: str
    default: Any
    meaning: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields, the type under `type`."""
        return {"name": self.name, "type": self.kind, "default": self.default, "meaning": self.meaning}


@dataclass(frozen=True)
class Listed:
    """A strategy as it is listed, with its default parameters.

    Parameters
    ----------
    question, text
        The question it asks of a market, and its explanation.
    own
        Whether it is a file of your own folder.
    predicts, shorts
        Whether it follows a model, and whether some of its parameters make it sell short.
    warmup
        Bars before its first signal.
    inputs
        Its inputs beside its own bars, by name, as plain values with a `text`.
    fault
        Why it cannot be used; then the rest is empty.
    """

    name: str
    question: str = ""
    text: str = ""
    own: bool = False
    predicts: bool = False
    shorts: bool = False
    warmup: int = 0
    inputs: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    fault: str = ""

    @property
    def reads(self) -> str:
        """Its inputs beside its own bars, in words."""
        model = ["a model"] if self.predicts else []
        return ", ".join([*model, *(one["text"] for one in self.inputs.values())])

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "parameters": [one.to_json() for one in self.parameters]}


def listed_strategies(settings: "Settings") -> list[Listed]:
    """Return every strategy: the built-in ones, then your own by name, those that cannot be used with their fault."""
    from atb.strategies import STRATEGIES
    from atb.workbench.own import own_strategies

    own = [
        listed(one.kind, own=True) if one.kind else Listed(one.name, own=True, fault=one.fault)
        for one in own_strategies(settings)
    ]
    return [*(listed(kind) for kind in STRATEGIES.values()), *own]


def listed_strategy(name: str, settings: "Settings") -> Listed:
    """Return one strategy.

    Raises
    ------
    InputError
        If there is none of this name (the message names the nearest), or its file cannot be loaded.
    """
    from atb.config.own import mount_folder
    from atb.strategies import is_own, strategy_class
    from atb.workbench.own import check_own

    mount_folder(settings)
    own = is_own(name)
    if own:
        check_own(name, settings)
    return listed(strategy_class(name), own=own)


def listed(kind: "type[Strategy]", *, own: bool = False) -> Listed:
    """Return a strategy's class as it is listed."""
    from atb.strategies import parameter_types

    usual: Any = kind()
    text, meanings = _explained(inspect.getdoc(kind) or "")
    types = parameter_types(kind)
    parameters = (
        Parameter(name, each.__name__, getattr(usual, name), meanings.get(name, "")) for name, each in types.items()
    )
    return Listed(
        kind.name, getattr(kind, "question", "") or text.partition("\n")[0], text, own, kind.predicts,
        shorts=_may_short(kind), warmup=usual.warmup, parameters=tuple(parameters),
        inputs={name: {**input_to_json(one), "text": str(one)} for name, one in declared_inputs(usual).items()},
    )  # fmt: skip


def _may_short(kind: "type[Strategy]") -> bool:
    """Return whether it says so, or decides by its parameters."""
    stated = inspect.getattr_static(kind, "shorts", False)
    return stated if isinstance(stated, bool) else True


def _explained(doc: str) -> tuple[str, dict[str, str]]:
    """Return a docstring's text before its parameters, and the explanation of each parameter."""
    text, section = _parted(doc)
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.partition(":")[0].split(",")]
        elif line:
            meanings |= {name: f"{meanings.get(name, '')} {line.strip()}".strip() for name in names}
    return text.strip(), meanings


def _parted(doc: str) -> tuple[str, str]:
    """Return a docstring before its first section, and the lines of its section of parameters."""
    found = _PARAMETERS.search(doc)
    return _SECTION.split(doc)[0], _SECTION.split(doc[found.end() :])[0] if found else ""

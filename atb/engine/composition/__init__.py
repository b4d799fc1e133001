"""A composition: signals, filters, a sizer and exits, joined to a strategy and its policy.

    from atb.workbench import Composition, exits, filters, signals, sizers

    made = Composition(
        signals.average_cross(12, 48),
        filters=(filters.above_average(200),),
        sizer=sizers.risk(0.01),
        exits=(exits.stop_atr(2.0),),
    )
    run(Slot(made.strategy, bars, made.policy))

It adds no way to decide, size or leave: signals and filters are texts of the strategy `rule`, sizer and exits are fields of
`RiskPolicy`. So it goes into a sweep, a run and a manifest as any strategy and policy do, and the runner trades it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from atb.engine.composition import exits as exits
from atb.engine.composition import sizers as sizers
from atb.engine.composition.part import PolicyPart
from atb.engine.policy import RiskPolicy
from atb.errors import InputError
from atb.strategies.components.filters import Filter
from atb.strategies.components.signals import Signal
from atb.strategies.rules import Rule

__all__ = ["Composition", "PolicyPart", "exits", "sizers"]


@dataclass(frozen=True, slots=True)
class Composition:
    """Components joined; two are equal, and hash alike, where their components are.

    Parameters
    ----------
    signal
        When to be in the market.
    filters
        Conditions that must all hold for an entry.
    sizer
        How much.
    exits
        How a position is protected and ended, beside the signal's own exit.
    shorts
        Whether the signal's rules for short positions are used.

    Raises
    ------
    InputError
        If a rule cannot be read, two parts say different things of one rule of the policy, or the policy refuses them together.
    """

    signal: Signal
    filters: tuple[Filter, ...] = ()
    sizer: PolicyPart = sizers.fraction()  # noqa: RUF009 - a frozen value
    exits: tuple[PolicyPart, ...] = ()
    shorts: bool = False

    def __post_init__(self) -> None:
        """Accept lists, and refuse parts in the wrong place or that do not fit together."""
        object.__setattr__(self, "filters", _tuple_of("filters", self.filters, Filter))
        object.__setattr__(self, "exits", _tuple_of("exits", self.exits, PolicyPart))
        _tuple_of("signal", (self.signal,), Signal)
        _tuple_of("sizer", (self.sizer,), PolicyPart)
        if self.shorts and not self.signal.short_entry:
            raise InputError(
                "The signal has no rules for short positions", found=str(self.signal), todo="Write shorts=False"
            )
        _ = self.strategy, self.policy

    @property
    def strategy(self) -> Rule:
        """The strategy `rule` with the signal's rules, the filters joined to its entries."""
        entry, leave = self._filtered(self.signal.entry, "long"), self.signal.exit
        if not self.shorts:
            return Rule(entry, leave)
        return Rule(entry, leave, self._filtered(self.signal.short_entry, "short"), self.signal.short_exit)

    def _filtered(self, entry: str, side: str) -> str:
        return " and ".join(f"({text})" for text in (entry, *(getattr(one, side) for one in self.filters)))

    @property
    def policy(self) -> RiskPolicy:
        """The policy of sizer and exits."""
        chosen: dict[str, Any] = {}
        said_by: dict[str, PolicyPart] = {}
        shorts = [PolicyPart("shorts=True", (("allow_short", True),))] if self.shorts else []
        for one in (*shorts, self.sizer, *self.exits):
            for name, value in one.fields:
                if chosen.get(name, value) != value:
                    raise InputError(f"Two parts set {name} differently", found=f"{said_by[name]} and {one}")
                chosen[name], said_by[name] = value, one
        return RiskPolicy(**chosen)

    def __str__(self) -> str:
        """Return the components, joined by `+`."""
        sides = ["long and short"] if self.shorts else []
        return " + ".join(map(str, (self.signal, *self.filters, self.sizer, *self.exits, *sides)))

    def to_json(self) -> dict[str, Any]:
        """Return the labels of the components, and strategy and policy in the form that runs and manifests have them in."""
        from atb.strategies import strategy_params

        strategy = {"name": self.strategy.name, "params": strategy_params(self.strategy)}
        return {"composition": str(self), "strategy": strategy, "policy": self.policy.to_json()}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of strategy and policy: the same for two compositions that decide alike, in every process."""
        content = {name: value for name, value in self.to_json().items() if name != "composition"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _tuple_of(name: str, given: Iterable[Any], kind: type) -> tuple[Any, ...]:
    parts = tuple(given) if isinstance(given, Iterable) else (given,)
    for one in parts:
        if not isinstance(one, kind):
            raise InputError(f"A composition's {name} takes a {kind.__name__}", found=one)
    return parts

"""A part of a policy under a label: some of its fields, with their values."""

from dataclasses import dataclass
from typing import Any

from atb.engine.policy import RiskPolicy


@dataclass(frozen=True, slots=True)
class PolicyPart:
    """Fields of `RiskPolicy` that belong together.

    Parameters
    ----------
    label
        How it prints, such as `stop_atr(2.0)`.
    fields
        Names and values; a tuple, so that a part can be compared and hashed.
    """

    label: str
    fields: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        """Return the label."""
        return self.label


def part(name: str, **fields: Any) -> PolicyPart:
    """Return a part of these fields, whose label shows the values that are not the policy's defaults."""
    usual = RiskPolicy()
    shown = [
        f"{value!r}" if field == name else f"{field}={value!r}"
        for field, value in fields.items()
        if field != "sizing" and value != getattr(usual, field)
    ]
    return PolicyPart(f"{name}({', '.join(shown)})", tuple(fields.items()))

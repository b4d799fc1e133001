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
    """Return a part of these fields, whose label shows the first number and the values that are not the policy's defaults."""
    usual = RiskPolicy()
    numbers = [field for field in fields if field != "sizing"]
    shown = [
        f"{fields[field]!r}" if field in (name, numbers[0]) else f"{field}={fields[field]!r}"
        for field in numbers
        if field == numbers[0] or fields[field] != getattr(usual, field)
    ]
    return PolicyPart(f"{name}({', '.join(shown)})", tuple(fields.items()))

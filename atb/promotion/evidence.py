"""The evidence that the gate judges: facts of one run, its proofs and its rehearsal, as plain values that a manifest keeps."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import UnionType
from typing import Any, Self, get_args, get_origin


@dataclass(frozen=True, slots=True)
class Proofs:
    """Proofs that a run made of its own result; None is "not proven".

    Parameters
    ----------
    parity, lookahead_clean, columns_equal, out_of_sample
        As in `Evidence`.
    """

    parity: bool | None = None
    lookahead_clean: bool | None = None
    columns_equal: bool | None = None
    out_of_sample: bool | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read the proofs of a published result; whatever is not a JSON boolean proves nothing."""
        read = {spec.name: values.get(spec.name) for spec in fields(cls)}
        return cls(**{name: value if isinstance(value, bool) else None for name, value in read.items()})


@dataclass(frozen=True, slots=True)
class RehearsalEvidence:
    """A rehearsal as the gate sees it: outcome, days traded, level of faults, whether the kill switch had a position to close."""

    passed: bool
    days: float
    faults: str
    drilled: bool

    @classmethod
    def from_json(cls, passed: bool, detail: Mapping[str, Any]) -> Self:
        """Read the stored detail of a rehearsal."""
        drill = detail.get("drill") or {}
        return cls(passed, float(detail.get("days", 0)), str(detail.get("faults", "none")), bool(drill.get("held")))

    def thorough(self, min_days: float = 30) -> bool:
        """Whether it was long enough, had faults, and gave the kill switch a position to close."""
        return self.days >= min_days and self.faults != "none" and self.drilled


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Facts of one run, as plain values; None is "not proven", which live counts as a no.

    Parameters
    ----------
    run_status
        Status in the registry; only a run that `succeeded` is evidence.
    strategies
        Number of slots of the run's result; 0 if it published none.
    data_matches
        Whether the catalogue still holds exactly the run's bars.
    kernel_matches
        Whether the run used the installed kernel.
    warm
        Whether the warm-up before the first traded bar is complete.
    synthetic
        Whether the bars were generated.
    n_trades, sharpe, total_return_pct, hold_return_pct, max_drawdown_pct
        Results of the run after costs; NaN if not computable.
    parity, lookahead_clean
        Whether kernel parity and the absence of look-ahead were proven for the run.
    columns_equal
        Whether a process that knows, at every traded bar, only the declared warm-up and the bars so far computed the columns that
        the backtest traded, as a runner does.
    predicts, beats_baselines, out_of_sample
        Whether the strategy uses a model, whether that beat its baselines out of sample, and whether every traded bar opened after
        the last bar of its training and validation.
    dirty
        Whether the checkout had uncommitted changes.
    refused
        Number of refused or reduced intents by reason.
    shorts
        Whether the policy allows short positions.
    of_universe
        Whether a slot was traded only while a universe listed it.
    enters_bare
        Whether an entry can fill before the policy's stop can rest at the exchange.
    limits_at_open
        Whether the backtest met resting limit orders that a bar's open passed at that better open, and not at their own price.
    rehearsed
        Whether the last rehearsal of a manifest that decides the same passed; one that was not `thorough` counts only if it
        failed.
    """

    run_status: str
    strategies: int
    data_matches: bool
    kernel_matches: bool
    warm: bool
    synthetic: bool
    n_trades: float
    sharpe: float
    total_return_pct: float
    hold_return_pct: float
    max_drawdown_pct: float
    parity: bool | None = None
    lookahead_clean: bool | None = None
    columns_equal: bool | None = None
    predicts: bool = False
    beats_baselines: bool | None = None
    out_of_sample: bool | None = None
    dirty: bool | None = None
    refused: Mapping[str, int] = field(default_factory=dict)
    shorts: bool = False
    enters_bare: bool = False
    limits_at_open: bool = False
    of_universe: bool = False
    rehearsed: bool | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self | None:
        """Read what `to_json` wrote; None if a value is missing, unknown or of the wrong type."""
        if sorted(values) != sorted(spec.name for spec in fields(cls)):
            return None
        numbers = {spec.name for spec in fields(cls) if spec.type is float}
        read: dict[str, Any] = {
            name: math.nan if name in numbers and value is None else value for name, value in values.items()
        }
        evidence = cls(**read)
        if not all(_is_plain(getattr(evidence, spec.name), spec.type) for spec in fields(cls)):
            return None
        return evidence if all(type(count) is int for count in evidence.refused.values()) else None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; NaN becomes None."""
        values = asdict(self) | {"refused": dict(self.refused)}
        return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}


def _is_plain(value: object, annotation: Any) -> bool:
    """True if a value has its field's type; a bool is not a number, an int is also a float."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (get_origin(annotation) or annotation,)
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, (*kinds, int) if float in kinds else kinds)

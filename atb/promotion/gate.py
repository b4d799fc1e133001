"""The gate: evidence in, verdict with every reason out; pure.

Paper is refused only if the evidence does not belong to what would trade: other bars, another kernel, or a strategy that decides
differently when it does not know the whole history. Results never keep a strategy from paper, which is where they are found out.
Live also needs proofs, results and a rehearsal. Both verdicts are always given.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import UnionType
from typing import Any, Self, get_args, get_origin

from atb.decimals import figure


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """The results that live requires.

    Parameters
    ----------
    min_trades
        Fewest closed round trips; with less, statistics say nothing.
    min_sharpe
        Lowest annualised Sharpe ratio after costs.
    max_drawdown_pct
        Largest drawdown, positive, in percent.
    """

    min_trades: int = 30
    min_sharpe: float = 1.0
    max_drawdown_pct: float = 25.0


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
    enters_bare
        Whether an entry can fill before the policy's stop can rest at the exchange.
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a run may not be promoted, to the requested mode and to live; no reasons mean that it may."""

    mode: str
    reasons: tuple[str, ...]
    live_reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the requested mode is allowed."""
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        """Return both verdicts as plain JSON values."""
        live = {"passed": not self.live_reasons, "reasons": list(self.live_reasons)}
        return {"mode": self.mode, "passed": self.passed, "reasons": list(self.reasons), "live": live}


def gate(evidence: Evidence, policy: GatePolicy | None = None, *, mode: str = "paper") -> Verdict:
    """Return the verdict on `evidence` for `mode` (`paper` or `live`), and always for live too."""
    broken = _integrity(evidence)
    live = (*broken, *_proofs(evidence), *_results(evidence, policy or GatePolicy()))
    return Verdict(mode, live if mode == "live" else broken, live)


def _chosen(*findings: tuple[bool, str]) -> tuple[str, ...]:
    return tuple(text for applies, text in findings if applies)


def _integrity(evidence: Evidence) -> tuple[str, ...]:
    """Return why this is no evidence, or evidence of something else than what would trade."""
    if evidence.run_status != "succeeded":  # a failed run lacks more, which are no further reasons
        return (f"the run did not succeed (status {evidence.run_status})",)
    if evidence.strategies == 0:
        return ("the run published no strategy result",)
    return _chosen(
        (
            evidence.strategies > 1,
            f"the run has {evidence.strategies} slots, and a manifest holds one; a runner takes several manifests",
        ),
        (not evidence.data_matches, "the bars of the run are not, or no longer, in the catalogue"),
        (not evidence.kernel_matches, "the run used another decision kernel than the installed one"),
        (
            evidence.columns_equal is False,
            "a runner, which knows only the declared warm-up and the bars so far, would decide differently from the backtest",
        ),
    )


def _proofs(evidence: Evidence) -> tuple[str, ...]:
    """Return the proofs that live requires and the run lacks."""
    return _chosen(
        (evidence.synthetic, "the bars are SYNTHETIC: nothing was shown on a real market"),
        (evidence.parity is None, "parity of the kernel was not proven in this run"),
        (evidence.parity is False, "parity of the kernel failed"),
        (evidence.lookahead_clean is None, "the absence of look-ahead was not proven in this run"),
        (evidence.lookahead_clean is False, "the strategy looks ahead"),
        (evidence.columns_equal is None, "not every bar's columns were computed again as a runner computes them"),
        (not evidence.warm, "features were not settled at the first traded bar"),
        (evidence.predicts and evidence.beats_baselines is None, "the model's baselines are not known"),
        (
            evidence.predicts and evidence.beats_baselines is False,
            "the model does not beat its baselines out of sample",
        ),
        (
            evidence.predicts and evidence.out_of_sample is not True,
            "the model had seen some of the traded bars, or it is not known whether it had",
        ),
        (evidence.dirty is None, "the commit of the run is not known"),
        (evidence.dirty is True, "the run's checkout had uncommitted changes"),
        (evidence.shorts, "its policy sells short, which a spot account cannot"),
        (
            evidence.enters_bare,
            "its policy enters at a stop, which no exchange takes together with the position's own: enter at market or limit",
        ),
        (
            evidence.rehearsed is None,
            "it was not rehearsed over 30 days or more with faults and a kill drill: promote it to paper, then rehearse it",
        ),
        (evidence.rehearsed is False, "its last rehearsal failed"),
    )


def _results(evidence: Evidence, policy: GatePolicy) -> tuple[str, ...]:
    """Return the results that are too weak; every comparison is false for NaN, which is therefore too weak."""
    gain, hold = evidence.total_return_pct, evidence.hold_return_pct
    refused = sum(evidence.refused.values())
    reasons = ", ".join(f"{name} {count}" for name, count in sorted(evidence.refused.items()))
    return _chosen(
        ("ruined" in evidence.refused, "the account was ruined"),
        (not evidence.n_trades >= policy.min_trades, f"{evidence.n_trades:.0f} trades, fewer than {policy.min_trades}"),
        (not gain > hold, f"it does not beat holding after costs: {gain:+.2f} % against {hold:+.2f} %"),
        (
            not evidence.sharpe >= policy.min_sharpe,
            f"Sharpe {figure(evidence.sharpe, '.2f')}, below {policy.min_sharpe:.2f}",
        ),
        (
            not evidence.max_drawdown_pct <= policy.max_drawdown_pct,
            f"drawdown {evidence.max_drawdown_pct:.1f} %, above {policy.max_drawdown_pct:.1f} %",
        ),
        (refused > 0, f"{refused} signals were not traded as given: {reasons}"),
    )

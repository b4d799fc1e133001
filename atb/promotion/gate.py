"""The gate: evidence in, a verdict of named checks out; pure.

Paper is refused only if the evidence does not belong to what would trade: other bars, another kernel, or a strategy that decides
differently when it does not know the whole history. Results never keep a strategy from paper, which is where they are found out.
Live also needs proofs, results and a rehearsal. Both verdicts are always given.

Every answer is a `Check`: its name, what was found, what the gate wants, and whether it held. What a check that did not hold has
found is a reason. A verdict is stored with its reasons beside its checks, because manifests signed earlier have only the reasons.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from atb.checks import Check
from atb.decimals import counted, merit
from atb.promotion.evidence import Evidence


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
class Verdict:
    """Whether a run may be promoted, to the requested mode and to live, check by check.

    Parameters
    ----------
    mode
        The requested mode, `paper` or `live`.
    paper
        What paper requires, and live too.
    beyond_paper
        What only live requires.
    """

    mode: str
    paper: tuple[Check, ...]
    beyond_paper: tuple[Check, ...]

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check that live requires, those of paper first."""
        return (*self.paper, *self.beyond_paper)

    @property
    def live_reasons(self) -> tuple[str, ...]:
        """The reasons against live."""
        return _reasons(self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons against the requested mode."""
        return self.live_reasons if self.mode == "live" else _reasons(self.paper)

    @property
    def passed(self) -> bool:
        """Whether the requested mode is allowed."""
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        """Return both verdicts as plain JSON values: reasons as text, and every check with the mode from which it is required."""
        live = {"passed": not self.live_reasons, "reasons": list(self.live_reasons)}
        checks = [
            {
                "required_for": mode,
                "name": check.name,
                "status": check.status,
                "found": check.found,
                "wanted": check.wanted,
            }
            for mode, group in (("paper", self.paper), ("live", self.beyond_paper))
            for check in group
        ]
        reasons = list(self.reasons)
        return {"mode": self.mode, "passed": self.passed, "reasons": reasons, "live": live, "checks": checks}


def gate(evidence: Evidence, policy: GatePolicy | None = None, *, mode: str = "paper") -> Verdict:
    """Return the verdict on `evidence` for `mode` (`paper` or `live`), and always for live too."""
    return Verdict(mode, _integrity(evidence), (*_proofs(evidence), *_results(evidence, policy or GatePolicy())))


def _reasons(checks: Iterable[Check]) -> tuple[str, ...]:
    return tuple(check.found for check in checks if check.failed)


def _check(name: str, wanted: str, holds: str, *wrong: tuple[bool, str]) -> Check:
    """Return a check with the text of the first fault that applies; it held if none does."""
    fault = next((text for applies, text in wrong if applies), None)
    return Check(name, "error" if fault else "ok", fault or holds, wanted=wanted)


def _integrity(evidence: Evidence) -> tuple[Check, ...]:
    """Return whether this is evidence, and of what would trade."""
    status = f"the run did not succeed (status {evidence.run_status})"
    ended = _check("run", "it succeeded", "the run succeeded", (evidence.run_status != "succeeded", status))
    slots = f"the run has {evidence.strategies} slots, and a manifest holds one; a runner takes several manifests"
    one_slot = _check(
        "slots",
        "one strategy on one symbol",
        "the run has one slot",
        (evidence.strategies == 0, "the run published no strategy result"),
        (evidence.strategies > 1, slots),
        (
            evidence.of_universe,
            "the run traded its symbol as a universe lists it, as no runner does: backtest it alone",
        ),
    )
    if ended.failed:  # a failed run lacks more, which are no further reasons
        return (ended,)
    if evidence.strategies == 0:
        return ended, one_slot
    return ended, one_slot, *_same(evidence)


def _same(evidence: Evidence) -> tuple[Check, ...]:
    """Return whether bars, kernel and decisions are those that would trade."""
    knows = "a runner, which knows only the declared warm-up and the bars so far"
    differs = f"{knows}, would decide differently from the backtest"
    return (
        _check(
            "bars",
            "the catalogue holds exactly the run's bars",
            "the bars of the run are in the catalogue",
            (not evidence.data_matches, "the bars of the run are not, or no longer, in the catalogue"),
        ),
        _check(
            "kernel",
            "the installed decision kernel",
            "the run used the installed decision kernel",
            (not evidence.kernel_matches, "the run used another decision kernel than the installed one"),
        ),
        _check(
            "decisions of a runner",
            "not known to differ from the backtest's",
            "no bar is known at which a runner would decide differently from the backtest",
            (evidence.columns_equal is False, differs),
        ),
    )


def _proofs(evidence: Evidence) -> tuple[Check, ...]:
    """Return the proofs that live requires."""
    return (*_proofs_of_columns(evidence), *_proofs_of_model(evidence), *_proofs_of_trading(evidence))


def _proofs_of_columns(evidence: Evidence) -> tuple[Check, ...]:
    return (
        _check(
            "market",
            "bars of a real market",
            "the bars were not generated",
            (evidence.synthetic, "the bars are SYNTHETIC: nothing was shown on a real market"),
        ),
        _check(
            "parity",
            "proven in the run",
            "the kernel and its two other ways agree",
            (evidence.parity is None, "parity of the kernel was not proven in this run"),
            (evidence.parity is False, "parity of the kernel failed"),
        ),
        _check(
            "look-ahead",
            "its absence is proven in the run",
            "the strategy does not look ahead",
            (evidence.lookahead_clean is None, "the absence of look-ahead was not proven in this run"),
            (evidence.lookahead_clean is False, "the strategy looks ahead"),
        ),
        _check(
            "columns",
            "every bar's computed again as a runner computes them",
            "every bar's columns were computed again as a runner computes them",
            (
                evidence.columns_equal is None,
                "not every bar's columns were computed again as a runner computes them",
            ),
        ),
        _check(
            "warm-up",
            "complete before the first traded bar",
            "features were settled at the first traded bar",
            (not evidence.warm, "features were not settled at the first traded bar"),
        ),
    )


def _proofs_of_model(evidence: Evidence) -> tuple[Check, ...]:
    baselines, unseen = (
        "it beats its baselines out of sample",
        "every traded bar opened after its training and validation",
    )
    if not evidence.predicts:
        skipped = [("model's baselines", baselines), ("model's training", unseen)]
        return tuple(Check(name, "skipped", "the strategy uses no model", wanted=wanted) for name, wanted in skipped)
    return (
        _check(
            "model's baselines",
            baselines,
            "the model beats its baselines out of sample",
            (evidence.beats_baselines is None, "the model's baselines are not known"),
            (evidence.beats_baselines is False, "the model does not beat its baselines out of sample"),
        ),
        _check(
            "model's training",
            unseen,
            "the model had seen none of the traded bars",
            (
                evidence.out_of_sample is not True,
                "the model had seen some of the traded bars, or it is not known whether it had",
            ),
        ),
    )


def _proofs_of_trading(evidence: Evidence) -> tuple[Check, ...]:
    bare = "its policy enters at a stop, which no exchange takes together with the position's own: enter at market or limit"
    at_open = (
        "its backtest met resting limit orders at an open that passed them, where takers of an exchange reach them first, at their "
        "own price: backtest with limit_gap=own"
    )
    unrehearsed = (
        "it was not rehearsed over 30 days or more with faults and a kill drill: promote it to paper, then rehearse it"
    )
    return (
        _check(
            "commit",
            "a known one, without uncommitted changes",
            "the run's checkout had no uncommitted changes",
            (evidence.dirty is None, "the commit of the run is not known"),
            (evidence.dirty is True, "the run's checkout had uncommitted changes"),
        ),
        _check(
            "short sales",
            "none",
            "its policy sells nothing short",
            (evidence.shorts, "its policy sells short, which a spot account cannot"),
        ),
        _check(
            "protection of entries",
            "the stop can rest as soon as the entry is filled",
            "no entry is filled before its stop can rest",
            (evidence.enters_bare, bare),
        ),
        _check(
            "limit orders",
            "met at their own price",
            "limit orders that rest are met at their own price",
            (evidence.limits_at_open, at_open),
        ),
        _check(
            "rehearsal",
            "the last one passed, over 30 days or more, with faults and a kill drill",
            "its last rehearsal passed",
            (evidence.rehearsed is None, unrehearsed),
            (evidence.rehearsed is False, "its last rehearsal failed"),
        ),
    )


def _results(evidence: Evidence, policy: GatePolicy) -> tuple[Check, ...]:
    """Return whether the results suffice; every comparison is false for NaN, which is therefore too weak."""
    gain, hold = evidence.total_return_pct, evidence.hold_return_pct
    sharpe, drawdown = (
        f"Sharpe {merit('sharpe', evidence.sharpe)}",
        f"drawdown {merit('max_drawdown_pct', evidence.max_drawdown_pct)}",
    )
    trades, returns = (
        f"{evidence.n_trades:.0f} trades",
        " against ".join(merit("total_return_pct", value) for value in (gain, hold)),
    )
    refused = sum(evidence.refused.values())
    counts = ", ".join(f"{name} {count}" for name, count in sorted(evidence.refused.items()))
    few, weak = not evidence.n_trades >= policy.min_trades, not evidence.sharpe >= policy.min_sharpe
    deep = not evidence.max_drawdown_pct <= policy.max_drawdown_pct
    return (
        _check(
            "ruin",
            "none",
            "the account was not ruined",
            ("ruined" in evidence.refused, "the account was ruined"),
        ),
        _check(
            "trades",
            f"{policy.min_trades} or more",
            trades,
            (few, f"{trades}, fewer than {policy.min_trades}"),
        ),
        _check(
            "holding",
            "a higher return than holding, after costs",
            f"it beats holding after costs: {returns}",
            (not gain > hold, f"it does not beat holding after costs: {returns}"),
        ),
        _check(
            "Sharpe ratio",
            f"{merit('sharpe', policy.min_sharpe)} or more",
            sharpe,
            (weak, f"{sharpe}, below {merit('sharpe', policy.min_sharpe)}"),
        ),
        _check(
            "drawdown",
            f"{merit('max_drawdown_pct', policy.max_drawdown_pct)} or less",
            drawdown,
            (deep, f"{drawdown}, above {merit('max_drawdown_pct', policy.max_drawdown_pct)}"),
        ),
        _check(
            "signals not traded",
            "none refused or reduced",
            "all signals were traded as given",
            (refused > 0, f"{counted(refused, 'signal was', 'signals were')} not traded as given: {counts}"),
        ),
    )

"""The verdict of a report: what a result is worth, in one sentence, from its published figures and proofs alone.

The first rule that applies speaks, the gravest first: what is proven wrong comes before what was earned.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from atb.decimals import counted, merit
from atb.domain.bars import SYNTHETIC

Facts = Mapping[str, Any]

FEW_TRADES = 30  # below it statistics say nothing
BEATEN = 0.95  # share of the runs with random entry that a result must beat, or it may be luck


def verdict(published: Facts) -> str:
    """Return the verdict on a published result, in one sentence; empty if there is no result.

    Parameters
    ----------
    published
        As a notebook published it: `result`, `evidence`, `findings`.
    """
    result = published.get("result")
    if not result or not result.get("stats"):
        return ""
    said = next(_verdicts(result, published.get("evidence") or {}))
    return f"SYNTHETIC data, so this says nothing about any market. {said}" if _synthetic(result) else said


def _synthetic(result: Facts) -> bool:
    return any(slot.get("venue") == SYNTHETIC for slot in result.get("slots") or [])


def _verdicts(result: Facts, evidence: Facts) -> Iterator[str]:
    """Yield the sentences that apply, the gravest first; the last always applies."""
    yield from _not_proven(evidence)
    stats, held = result["stats"], (result.get("baselines") or {}).get("hold") or {}
    earned, trades = _number(stats.get("total_return_pct")), _number(stats.get("n_trades"))
    if result.get("ruin"):
        yield "Worth nothing: it ruined the account."
    if stats.get("halted"):
        yield f"Not worth trading as it is: its own limits halted it, at {_returned(earned)}."
    if trades == 0 and not stats.get("open_trades"):
        yield "Nothing to judge: it never traded."
    if not earned > 0:
        yield f"Not worth trading as it is: {_returned(earned)} after costs."
    if trades < FEW_TRADES:
        yield f"Not enough to judge: {_returned(earned)} after costs, in only {counted(trades, 'closed trade')}."
    yield from _no_better(result, stats, held)
    yield (
        f"Worth a closer look: {_returned(earned)} after costs{_beside(held)}, and more than chance explains. Validate it before "
        "you believe it."
    )


def _not_proven(evidence: Facts) -> Iterator[str]:
    if evidence.get("lookahead_clean") is False:
        yield "Worth nothing: the strategy looks ahead."
    if evidence.get("parity") is False or evidence.get("columns_equal") is False:
        yield "Worth nothing: a runner would not trade this, because its proofs failed."
    if evidence.get("out_of_sample") is False:
        yield "No test at all: its model had seen some of these bars in training."


def _no_better(result: Facts, stats: Facts, held: Facts) -> Iterator[str]:
    """Yield whether holding or chance would have done as well."""
    earned, ratio = _number(stats.get("total_return_pct")), _number(stats.get("sharpe"))
    holding, its_ratio = _number(held.get("total_return_pct")), _number(held.get("sharpe"))
    made = f"{_returned(earned)} after costs"
    if holding >= earned and its_ratio >= ratio:
        yield f"Not worth the trouble: {made}; holding made {_returned(holding)}, with a Sharpe ratio no lower."
    drawn = result.get("random_entry") or {}
    runs, beaten = drawn.get("runs") or 0, drawn.get("beaten") or 0
    if _varies(drawn) and beaten < BEATEN * runs:
        as_much = f"{runs - beaten} of {runs} runs with the same positions at random times made as much"
        yield f"It may be luck: {made}, and {as_much}."
    if holding >= earned:
        yield f"Less than holding, and calmer: {made} against {_returned(holding)}, with a higher Sharpe ratio."


def _varies(drawn: Facts) -> bool:
    """Return whether the runs with random entry differ: a position held throughout cannot be moved in time."""
    returns = drawn.get("total_return_pct") or {}
    return _number(returns.get("p95")) > _number(returns.get("p5"))


def _beside(held: Facts) -> str:
    holding = _number(held.get("total_return_pct"))
    return f" against {_returned(holding)} for holding" if not math.isnan(holding) else ""


def _returned(value: float) -> str:
    return merit("total_return_pct", value)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan

"""Preflight's checks of a symbol's market: whether it is open, whether it can keep a policy's orders, and room for entries."""

from decimal import Decimal
from typing import TYPE_CHECKING

from atb.checks import Check
from atb.decimals import amount, exact
from atb.domain.venue import Capabilities
from atb.live.execution.timing import DeskTiming

if TYPE_CHECKING:
    from atb.engine.policy import RiskPolicy
    from atb.live.plan import Plan

BARE_TODO = "Promote a policy that enters at the market or at a limit: entry='market' or entry='limit'"
_STATES = {"trading": "open", "cancel_only": "takes cancellations and no orders", "closed": "closed"}


def market_check(plan: "Plan", can: Capabilities) -> Check:
    """Check that a plan's market takes orders now, by its status."""
    found = f"{plan.symbol}: {_STATES[can.status]}"
    return Check.of(f"status of {plan.symbol}", can.status == "trading", found, "Start when the market is open")


def capability_check(plan: "Plan", can: Capabilities) -> Check:
    """Check that the symbol's market supports the resting orders of a policy, and can move them without a gap."""
    missing = [words for words, lacking in _lacks(plan.policy, can).items() if lacking]
    found = f"the venue lacks {', '.join(missing)}" if missing else "everything that the policy wants"
    todo = BARE_TODO if plan.policy.enters_bare else "Promote a policy that the venue can keep, or trade another symbol"
    return Check.of(f"policy of {plan.manifest.name}", not missing, f"{plan.symbol}: {found}", todo)


def fill_check(plan: "Plan") -> Check:
    """Check that resting limit orders were tested at their own price: the exchange fills them there, and at no better open."""
    at_open = plan.policy.rests_limit and plan.execution.limit_gap == "open"
    found = (
        "tested at the better open that passes them"
        if at_open
        else "tested at their own price, as the exchange fills them"
    )
    todo = "Backtest with limit_gap=own, and promote that"
    return Check.of(f"limit orders of {plan.manifest.name}", not at_open, found, todo)


def _lacks(policy: "RiskPolicy", can: Capabilities) -> dict[str, bool]:
    stops, targets = policy.rests_stop, policy.take_profit is not None or bool(policy.ladder)
    return {
        "stops that rest at the venue": stops and not can.stops,
        "stops that sell at any price": stops and can.stops and not can.stops_at_market,
        "pairs of stop and target (OCO)": stops and targets and "oco" not in can.lists,
        "selling short": policy.allow_short and not can.shorts,
        "a bound on late execution": can.late_bound_ms is None and can.id_unique != "ever",
        "entries at a stop that bring their own protective stop": policy.enters_bare,
        "entries that bring their own protective stop (OPO)": (
            stops and not policy.enters_bare and "opo" not in can.lists
        ),
        "moving a stop in one request (cancel-replace)": _moves_stops(policy) and not can.replaces,
    }


def _moves_stops(policy: "RiskPolicy") -> bool:
    """Return whether resting stops are moved or divided while a position is open."""
    moves = (policy.trailing_stop, policy.trailing_atr, policy.break_even, policy.scale_in)
    return policy.rests_stop and (bool(policy.ladder) or any(rule is not None for rule in moves))


def room_check(plan: "Plan", free: Decimal, cash: Decimal) -> Check:
    """Say whether the account can pay the largest entry at the worst price that its order list carries.

    Parameters
    ----------
    free, cash
        What the account has free, and what the books may spend, in quote.
    """
    policy, band = plan.policy, exact(DeskTiming().entry_band)
    share = min(part for part in (policy.fraction, policy.max_position, 1.0) if part is not None)
    value = cash * exact(share) if policy.stake is None else min(cash, exact(policy.stake))
    worst, quote = value * (1 + band), plan.symbol.quote
    name = f"room for entries of {plan.manifest.name}"
    if worst <= free or policy.entry != "market" or not policy.rests_stop:
        return Check.of(name, True, f"{amount(free)} {quote} free, an entry needs at most {amount(worst)}")
    less = f"an entry of {amount(value)} {quote}, filled up to {band:.0%} above the last price, needs {amount(worst)}"
    return Check.of(name, True, f"{less}; {amount(free)} are free: its worst price is lower, or its quantity smaller")

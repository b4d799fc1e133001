"""The fill model in words: how the orders of a run met its bars and what they cost, for exactly the rules that were on."""

from collections.abc import Iterator, Sequence

from atb.decimals import counted
from atb.domain.bars import FEW
from atb.engine.kernel_input import KernelInput
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.slot import Slot

BASIS = "Decisions at the close of each bar; market orders fill at the next bar's open."
LISTED = (
    "A symbol trades while its universe lists it; one that leaves is sold at the next open, a delisted one at the open of its "
    "last bar."
)
_PASSED = {
    "own": (
        "A limit order that rests when a bar opens beyond its price fills at its own price, before anything that is sent at that "
        "open: takers reach it first."
    ),
    "open": (
        "A limit order that rests when a bar opens beyond its price gets that better open (limit_gap=open): on an exchange, takers "
        "reach it first, at its own price."
    ),
}
ROUNDING = "Sizes are floored to lots and prices rounded to ticks against the trader."


def fill_model(inputs: KernelInput) -> list[str]:
    """Return how orders were filled, in paragraphs: first what holds for all slots, then each slot's costs and own rules."""
    policies = dict.fromkeys((slot.policy, slot.execution.limit_gap) for slot in inputs.slots)
    shared = list(_rules(*next(iter(policies)))) if len(policies) == 1 else []
    listed = [LISTED] if any(slot.listings is not None for slot in inputs.slots) else []
    if len(policies) == 1 and len(inputs.slots) > FEW:
        each = _together(inputs.slots)
    else:
        each = dict.fromkeys(
            " ".join(
                [_costs(slot), *([] if shared else _rules(slot.policy, slot.execution.limit_gap)), f"{slot.rules}."]
            )
            for slot in inputs.slots
        )
    return [" ".join([BASIS, *shared, ROUNDING, *listed, *_finer(inputs)]), *each]


def _together(slots: Sequence[Slot]) -> dict[str, None]:
    """Return the costs of many slots, each sentence once for all symbols that it holds for, and where their rules are from."""
    symbols: dict[str, dict[str, None]] = {}
    for slot in slots:
        symbols.setdefault(_costs(slot).partition(": ")[2], {})[str(slot.bars.symbol)] = None
    costs = (f"{', '.join([*names][:2])} and {len(names) - 2} more: {text}" if len(names) > FEW else f"{', '.join(names)}: {text}"
             for text, names in symbols.items())  # fmt: skip
    sources = {str(slot.bars.symbol): slot.rules.source for slot in slots}
    inferred = sum(source.startswith("from the data") for source in sources.values())
    share = f"{inferred} of {counted(len(sources), 'symbol')}"
    rules = f"Trading rules of {share} are read from their data; `atb data rules SYMBOL` shows them."
    return dict.fromkeys([*costs, rules])


def _rules(policy: RiskPolicy, limit_gap: str) -> Iterator[str]:
    """Yield what the policy's kinds of order do."""
    if policy.entry != "market":
        yield _resting(policy)
    if policy.has_stop or _moves_stops(policy):
        yield (
            "A stop rests from the entry's fill, the entry bar included, and fills at its price or at the open when the bar gaps "
            "through it."
        )
    if _moves_stops(policy):
        yield f"{_moving(policy)} at closes only and never away from the price, so each bar's stop is what rests at an exchange."
    if policy.ladder:
        rungs = ", ".join(f"{share:.0%} at {distance:+.2%}" for distance, share in policy.ladder)
        yield f"Partial exits are limit orders, one resting at a time, in shares of the original size: {rungs}."
    if policy.take_profit is not None or policy.ladder:
        yield "A target is a limit order and fills at its price."
    if policy.take_profit is not None or policy.ladder or policy.entry == "limit":
        yield _PASSED[limit_gap]
    if policy.scale_in is not None and policy.scale_limit:
        yield f"Positions are added to at most {counted(policy.scale_limit, 'time')}, at the next open."
    if policy.max_participation is not None:
        yield f"An entry takes at most {policy.max_participation:.2%} of the last bar's volume; exits are never cut."


def _resting(policy: RiskPolicy) -> str:
    if policy.entry == "limit":
        away = f"{policy.entry_offset:.2%} better than the close"
        how = (
            "at its price, at the maker fee; filled inside a bar, its stop may still fill in that bar, its target only in a later "
            "one; where its first bar opens beyond its price, it takes the open, slipped but never worse than its price, at the "
            "taker fee"
        )
    else:
        away = f"{policy.entry_offset:.2%} beyond the close"
        how = (
            "as a market order at its price, or at the open when the bar gaps through it; filled inside a bar, its stop and its "
            "target may still fill in that bar, and a stop that it slipped beyond meets the market where the entry did"
        )
    bars = counted(policy.entry_bars, "bar")
    return f"Entries are {policy.entry} orders at the signal's own price, else {away}, and rest for {bars}: one fills {how}."


def _moving(policy: RiskPolicy) -> str:
    trails = policy.trailing_stop is not None or policy.trailing_atr is not None
    names = ["trailing stops"] * trails + ["break-even stops"] * (policy.break_even is not None)
    return f"{' and '.join(names).capitalize()} move"


def _finer(inputs: KernelInput) -> Iterator[str]:
    """Yield the sentence on drill-down, if a finer timeframe was given."""
    known = int((inputs.market["first"] != 0).sum())
    if known:
        yield f"In {counted(known, 'bar')} the bars of a finer timeframe show whether stop or target was touched first."


def _costs(slot: Slot) -> str:
    execution = slot.execution
    maker = execution.fee if execution.maker_fee is None else execution.maker_fee
    paid = ", buys pay in the base currency and what is left below a lot stays as dust" if execution.fee_in_base else ""
    parts = [
        f"taker fee {execution.fee:.4%}, maker fee {maker:.4%}{paid}",
        f"slippage of market orders and stops {_slippage(execution)}",
        *_financing(slot),
    ]
    return f"{slot.bars.symbol}: {'; '.join(parts)}.{_first(slot)}"


def _slippage(execution: ExecutionModel) -> str:
    parts = [f"{execution.slippage:.4%}"]
    if execution.slippage_atr > 0:
        parts.append(f"{execution.slippage_atr:g} ATR")
    if execution.impact > 0:
        parts.append(f"{execution.impact:.2%} times the square root of the order's share of the last bar's volume")
    return " plus ".join(parts)


def _financing(slot: Slot) -> Iterator[str]:
    if slot.policy.allow_short and slot.execution.borrow_rate > 0:
        yield f"shorts pay {slot.execution.borrow_rate:.2%} a year on their value"
    if slot.funding is not None:
        yield "funding is paid at the close of the bar it falls in"


def _first(slot: Slot) -> str:
    policy = slot.policy
    stops, targets = policy.has_stop or _moves_stops(policy), policy.take_profit is not None or bool(policy.ladder)
    if not (stops and targets):
        return ""
    first = "target" if slot.execution.target_first else "stop"
    return f" When one bar touches stop and target, the {first} fills first and the fill is counted as ambiguous."


def _moves_stops(policy: RiskPolicy) -> bool:
    return any(value is not None for value in (policy.trailing_stop, policy.trailing_atr, policy.break_even))

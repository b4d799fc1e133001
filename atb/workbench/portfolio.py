"""Slots of several symbols on one account: named ones, or those of a universe as of each day.

`fraction`, the value of a new position as a fraction of equity, is that of the whole account. It is divided by the number of
positions that can be held at once: all symbols, or the account's `max_positions`. So every symbol can be held, and its share does
not depend on whether the others hold something.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from atb.config import load_settings
from atb.decimals import counted
from atb.domain import Strategy, Symbol, Timeframe
from atb.domain.declaration import legs_of
from atb.engine.policy import RiskPolicy
from atb.engine.slot import Slot, warmup_bars
from atb.errors import DataError, InputError
from atb.times import at_ms, in_ms, moment, short
from atb.workbench.rules import BacktestRules
from atb.workbench.slots import Period, load_predictor, prepare_slot, traded_part

if TYPE_CHECKING:
    import pandas as pd

    from atb.data.catalogue.series import Series
    from atb.domain.universe import Listing, Universe

_FEW = 6  # slots that are described one by one


def prepare_slots(
    strategy: Strategy,
    symbols: Sequence[str],
    timeframe: str,
    *,
    period: Period | None = None,
    venue: str | None = None,
    rules: BacktestRules | None = None,
    universe: str | None = None,
) -> "tuple[tuple[Slot, ...], pd.Timestamp]":
    """Return one slot per symbol on one account, and the open of the first bar to trade.

    Parameters
    ----------
    strategy, timeframe, period, venue
        As for `prepare_slot`; a strategy with `legs` says itself how it is laid over the named symbols. Without a start, trading
        begins when every named symbol has its warm-up; with one, each must have it by then.
    symbols
        Named symbols, each once; ignored with a universe.
    rules
        Sizing and protection, costs, and the limits of the account.
    universe
        Name of a stored one: every symbol that belongs to it in the period is traded while it does, after its own warm-up.

    Raises
    ------
    DataError
        If the catalogue does not cover the period, or lacks a symbol of the universe.
    InputError
        If no symbol is given, or one twice; if there is no such universe.
    """
    rules, period = rules or BacktestRules(), period or Period()
    if universe:
        return _of_universe(strategy, universe, timeframe, period=period, venue=venue, rules=rules)
    names = [str(Symbol.parse(symbol)) for symbol in symbols]
    if not names or len(set(names)) < len(names):
        raise InputError("A backtest trades one or more symbols, each once", found=", ".join(names) or "none")
    policy = shared(rules, len(names))
    found = [
        prepare_slot(leg, name, timeframe, period=period, venue=venue, policy=policy, execution=rules.execution)
        for leg, name in zip(legs_of(strategy, [Symbol.parse(name) for name in names]), names, strict=True)
    ]
    first = max(start for _, start in found)
    for slot, _ in found:
        if slot.bars.frame.index[-1] < first:
            raise InputError(
                f"{slot.bars.symbol} has no bar from {short(first)} on, when every symbol can be traded",
                found=f"its last bar opens {short(slot.bars.frame.index[-1])}",
                todo="Give --start and --end of a time in which all were traded",
            )
    return tuple(slot for slot, _ in found), first


def shared(rules: BacktestRules, symbols: int) -> RiskPolicy:
    """Return the policy of one of several symbols: its part of the account's `fraction`."""
    positions = min(symbols, rules.account.max_positions or symbols)
    return replace(rules.policy, fraction=rules.policy.fraction / positions) if positions > 1 else rules.policy


def traded_parts(slots: Sequence[Slot], first: "pd.Timestamp", period: Period) -> str:
    """Return the traded bars in a line per slot, or in one line for all where there are many."""
    if len(slots) == 1:
        return traded_part(slots[0], first, period)
    if len(slots) <= _FEW:
        return "\n".join(f"{slot.bars.symbol}: {traded_part(slot, first, period)}" for slot in slots)
    last = max(slot.bars.timeframe.next(slot.bars.frame.index[-1].to_pydatetime()) for slot in slots)
    traded = sum(int(len(slot.bars) - slot.bars.frame.index.searchsorted(first)) for slot in slots)
    count = f"{counted(len(slots), 'symbol')}, {counted(traded, 'bar')} of {slots[0].bars.timeframe}"
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, {count}"


def _of_universe(
    strategy: Strategy, name: str, timeframe: str, *, period: Period, venue: str | None, rules: BacktestRules
) -> "tuple[tuple[Slot, ...], pd.Timestamp]":
    from atb.data.catalogue.universes import load_universe

    universe = load_universe(name, root=load_settings().bars_root)
    known = _series(universe, Timeframe.parse(timeframe), venue)
    start, end = _bounds(known, period)
    belonging = universe.between(in_ms(start), in_ms(end))
    if missing := [str(symbol) for symbol in belonging if symbol not in known]:
        raise DataError(
            f"The catalogue has no {timeframe} bars of {counted(len(missing), 'symbol')} of {name}",
            found=", ".join(missing[:8]) + ", ..." * (len(missing) > len(missing[:8])),
            todo="Import them, the delisted ones above all: a universe of survivors flatters every strategy",
        )
    policy = shared(rules, universe.most_at_once(in_ms(start), in_ms(end)))
    slots = []
    for symbol in belonging:
        part = _part(known[symbol], (start, end), strategy=strategy, rules=replace(rules, policy=policy))
        if part is not None:
            slot, _ = prepare_slot(
                strategy,
                str(symbol),
                timeframe,
                period=part,
                venue=known[symbol].venue,
                policy=policy,
                execution=rules.execution,
            )
            slots.append(replace(slot, listings=_warm_again(universe.of(symbol), slot)))
    if not slots:
        raise InputError(f"No symbol of {name} can be traded in this period", found=f"{short(start)} to {short(end)}")
    return tuple(slots), start


def _warm_again(listings: "tuple[Listing, ...]", slot: Slot) -> "tuple[Listing, ...]":
    """Return the listings as they can be traded: one that begins after a hole in the bars begins when it is warm again."""
    opened, closed = slot.bars.opened_ms, slot.bars.closed_ms
    after_holes = {in_ms(end) for _, end in slot.bars.gaps}
    found = []
    for one in listings:
        row = int(opened.searchsorted(one.listed_ms)) + slot.warmup
        if one.listed_ms not in after_holes:
            found.append(one)
        elif row < len(closed) and (one.ended_ms is None or closed[row] < one.ended_ms):
            found.append(replace(one, listed_ms=int(closed[row])))
    return tuple(found)


def _series(universe: "Universe", timeframe: Timeframe, venue: str | None) -> "dict[Symbol, Series]":
    """Return the stored series of the universe's symbols."""
    from atb.data.catalogue.series import find_series, fitting_series

    settings, found = load_settings(), {}
    venue = venue or settings.data.venue
    for symbol in universe.symbols:
        if fitting_series(
            symbol, timeframe, root=settings.bars_root, venue=venue
        ):  # else it may not belong in the period
            found[symbol] = find_series(symbol, timeframe, root=settings.bars_root, venue=venue)
    if not found:
        raise DataError(f"The catalogue has no {timeframe} bars of {universe.name}", found=f"{len(universe.symbols)} symbols",
                        todo="Choose another timeframe, or import them")  # fmt: skip
    return found


def _bounds(known: "dict[Symbol, Series]", period: Period) -> "tuple[pd.Timestamp, pd.Timestamp]":
    """Return the traded period; without an end up to the newest bar of any symbol, without a start so many days before."""
    import pandas as pd

    from atb.data.catalogue.reading import coverage

    newest = max(_closed(series, coverage(series)[1]) for series in known.values())
    end = moment(period.end)
    end = newest if end is None else min(end, newest)
    start = moment(period.start)
    return (end - pd.Timedelta(days=period.days) if start is None else start), end


def _closed(series: "Series", opened: "pd.Timestamp") -> "pd.Timestamp":
    return at_ms(series.timeframe.next_ms(in_ms(opened)))


def _part(
    series: "Series", bounds: "tuple[pd.Timestamp, pd.Timestamp]", *, strategy: Strategy, rules: BacktestRules
) -> Period | None:
    """Return the part of a period in which a symbol can be traded after its own warm-up; None if there is none."""
    from atb.data.catalogue.reading import coverage, earliest_start

    predictor = load_predictor(series.symbol, series.timeframe) if strategy.predicts else None
    warmup = warmup_bars(strategy, rules.policy, rules.execution, predictor=predictor)
    end = min(bounds[1], _closed(series, coverage(series)[1]))
    try:
        start = earliest_start(series, bounds[0], lead=warmup)
    except (DataError, InputError):  # fewer bars than its warm-up
        return None
    return Period(start.isoformat(), end.isoformat()) if start < end else None

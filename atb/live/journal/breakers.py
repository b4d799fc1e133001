"""Breakers: limits on how much may be sent, outside any strategy; one that trips withholds the entry and halts the account.

Exits and protective orders are never withheld, with one exception: beyond the last-resort rate, which only a bug reaches,
everything is withheld except stops and targets.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from atb.decimals import counted
from atb.errors import InputError
from atb.live.journal.step import Working

Reason = Literal["halted", "order_rate", "bar_rate", "turnover", "notional", "share"]


@dataclass(frozen=True)
class Breakers:
    """The limits of an account; None switches one off.

    Parameters
    ----------
    orders_per_minute
        Orders of every kind within 60 s of exchange time; beyond it no entry goes.
    last_resort
        Orders within 60 s beyond which only stops and targets go.
    entries_per_bar
        Entries of one slot in one of its bars, whatever became of them.
    turnover_per_day
        Value, in quote, of the entries of one day (UTC).
    largest_order
        Value of one entry in quote.
    largest_share
        Value of one entry as a fraction of equity.

    Raises
    ------
    InputError
        If a limit is not positive, or the last resort comes first.
    """

    orders_per_minute: int = 120
    last_resort: int = 360
    entries_per_bar: int = 5
    turnover_per_day: Decimal | None = None
    largest_order: Decimal | None = None
    largest_share: Decimal | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are not positive."""
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise InputError(f"The breaker {name} must be positive", found=value, todo="None switches one off")
        if self.last_resort < self.orders_per_minute:
            raise InputError("The breaker last_resort must not come before orders_per_minute", found=self.last_resort)

    def to_json(self) -> dict[str, int | str | None]:
        """Return plain values by name, amounts as exact text: a session's row has them."""
        return {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Breakers":
        """Return the breakers of `to_json`.

        Raises
        ------
        InputError
            If they are not the ones that this version knows.
        """
        try:
            given: dict[str, Any] = {
                name: Decimal(value) if isinstance(value, str) else value for name, value in values.items()
            }
            return cls(**given)
        except (TypeError, ArithmeticError) as other:
            raise InputError("These breakers are of another version", found=", ".join(map(str, values))) from other


@dataclass(frozen=True)
class Used:
    """Usage so far: orders in the last minute, entries by (slot, bar), value of today's entries in quote."""

    orders: int = 0
    entries: Mapping[tuple[int, int], int] = field(default_factory=dict)
    turnover: Decimal = Decimal(0)


@dataclass(frozen=True)
class Proposed:
    """The orders that a step is about to send.

    Parameters
    ----------
    placed
        Every order of the step that is to be sent.
    values
        Value of the orders in quote by client id; None where no price is known yet.
    equity
        Of the account, in quote.
    """

    placed: Sequence[Working]
    values: Mapping[str, Decimal | None]
    equity: Decimal


@dataclass(frozen=True)
class BreakerVerdict:
    """The withheld orders by client id, and the reason for which a breaker halts the account; None if none tripped."""

    withheld: dict[str, Reason]
    trip: str | None = None


def judge(proposed: Proposed, used: Used, breakers: Breakers, *, halted: bool) -> BreakerVerdict:
    """Return which orders of a step must be withheld.

    Under a halt, and once a breaker trips, no entry is sent. The other orders of a list are withheld with its entry.
    """
    entries = [working for working in proposed.placed if working.order.role == "entry"]
    trips = {} if halted else dict(_trips(entries, proposed, used, breakers=breakers))
    withheld: dict[str, Reason] = {}
    if halted or trips:
        withheld = {
            working.order.client_id: trips.get(working.order.client_id, ("halted", ""))[0] for working in entries
        }
    orders = used.orders + len(proposed.placed)
    flood = orders > breakers.last_resort
    if flood:
        unprotective = (working.order for working in proposed.placed if working.order.role in {"entry", "exit"})
        withheld.update({order.client_id: "order_rate" for order in unprotective})
    sentence = (
        f"{counted(orders, 'order')} within a minute, the last resort is {breakers.last_resort}" if flood else None
    )
    return BreakerVerdict(
        _with_lists(withheld, proposed.placed),
        sentence or next((text for _, text in trips.values()), None),
    )


def _trips(
    entries: Sequence[Working], proposed: Proposed, used: Used, *, breakers: Breakers
) -> Iterable[tuple[str, tuple[Reason, str]]]:
    """Yield the entries that trip a breaker, each with the first breaker it trips."""
    orders, turnover, entries_of_bar = used.orders + len(proposed.placed), used.turnover, Counter(dict(used.entries))
    for working in entries:
        name, value = working.order.client_id, proposed.values.get(working.order.client_id)
        entries_of_bar[working.slot, working.bar_ms] += 1
        turnover += value or 0
        tripped: dict[Reason, str] = {}
        if orders > breakers.orders_per_minute:
            tripped["order_rate"] = f"{counted(orders, 'order')} within a minute, allowed: {breakers.orders_per_minute}"
        if entries_of_bar[working.slot, working.bar_ms] > breakers.entries_per_bar:
            tripped["bar_rate"] = f"more than {breakers.entries_per_bar} entries of slot {working.slot} in one bar"
        tripped |= _sizes(name, value, turnover=turnover, equity=proposed.equity, breakers=breakers)
        if tripped:
            yield name, next(iter(tripped.items()))


def _sizes(
    name: str, value: Decimal | None, *, turnover: Decimal, equity: Decimal, breakers: Breakers
) -> dict[Reason, str]:
    """Return the limits on value that an entry exceeds; an unknown value exceeds each."""
    limits: dict[Reason, tuple[Decimal | None, Decimal | None, str]] = {
        "notional": (value, breakers.largest_order, "a value of"),
        "share": (value, breakers.largest_share and breakers.largest_share * equity, "of equity, a value of"),
        "turnover": (None if value is None else turnover, breakers.turnover_per_day, "a day's turnover of"),
    }
    found: dict[Reason, str] = {}
    for reason, (amount, limit, words) in limits.items():
        if limit is not None and (amount is None or amount > limit):
            found[reason] = f"{name}: {words} {'unknown' if amount is None else f'{amount:f}'}, allowed is {limit:f}"
    return found


def _with_lists(withheld: dict[str, Reason], placed: Sequence[Working]) -> dict[str, Reason]:
    """Withhold with an entry the orders that would be sent in the same request."""
    lists = {
        working.list_id: withheld[working.order.client_id]
        for working in placed
        if working.list_id and working.order.client_id in withheld
    }
    mates = {working.order.client_id: lists[working.list_id] for working in placed if working.list_id in lists}
    return {**mates, **withheld}

"""How much of each limit is used: the account's of the promotion, the slots' own, and the breakers'.

From the kernel's state as the journal has it, so of the last close. What is off is not listed, nor the breakers' last resort.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atb.decimals import number
from atb.engine.policy import AccountPolicy
from atb.live.journal.breakers import Breakers

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Use:
    """One limit: what is used of it and what is allowed, both in its unit."""

    limit: str
    unit: str
    used: float
    allowed: float

    @property
    def share(self) -> float:
        """The used part of it; 0 to 1, above where more is used than is allowed now."""
        return self.used / self.allowed if self.allowed > 0 else float(self.used > 0)

    def to_json(self) -> Json:
        """Return plain values; `share` in percent."""
        return {
            "limit": self.limit, "unit": self.unit, "used": number(self.used), "allowed": number(self.allowed),
            "share": round(100 * self.share, 1),
        }  # fmt: skip


def account_use(state: Mapping[str, Any], policy: AccountPolicy, *, max_loss: float | None = None) -> list[Use]:
    """Return the use of the account's limits.

    Parameters
    ----------
    state
        The kernel's saved state: `account` and `slots`.
    max_loss
        The largest loss in quote that was acknowledged for real money; None on paper.
    """
    account, slots = state["account"], state["slots"]
    equity = account["equity"]
    values = [_value(slot) for slot in slots]
    found = [
        *_exposures(values, slots, policy, equity=equity),
        *_losses(account, policy, max_loss=max_loss, equity=equity),
        _count("positions", sum(value != 0 for value in values), policy.max_positions),
        _count("orders of the UTC day", account["day_orders"], policy.orders_per_day),
        _share("turnover of the UTC day", "% of the day's first equity", account["day_turnover"], policy.turnover_per_day,
               account["day_equity"]),
    ]  # fmt: skip
    return [use for use in found if use is not None]


def slot_use(state: Mapping[str, Any], largest: Sequence[tuple[str, float | None]]) -> list[Use]:
    """Return the use of each slot's largest position; `largest` has its name and limit (fraction of equity, None is off)."""
    equity = state["account"]["equity"]
    found = [
        _share(f"position of {name}", "% of equity", abs(_value(slot)), limit, equity)
        for slot, (name, limit) in zip(state["slots"], largest, strict=False)
    ]
    return [use for use in found if use is not None]


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of the breakers at a session's newest order, without what was withheld.

    Parameters
    ----------
    minute
        Orders within the minute that ends with it.
    of_bar
        Entries of the slot and bar that the newest entry of its UTC day is of; 0 without one.
    of_day
        Value (quote) of the entries of its UTC day.
    newest
        Value (quote) of the newest of them; None without one, or where no price was known.
    """

    minute: int = 0
    of_bar: int = 0
    of_day: float = 0.0
    newest: float | None = None


def breaker_use(counted: Counted, breakers: Breakers, *, equity: float) -> list[Use]:
    """Return the use of the breakers that are on; `equity` is that at the last close, in quote."""
    newest = counted.newest or 0.0
    found = [
        Use("orders in the newest order's minute", "orders", counted.minute, breakers.orders_per_minute),
        Use("entries of the newest one's slot and bar", "entries", counted.of_bar, breakers.entries_per_bar),
    ]
    if breakers.turnover_per_day is not None:
        allowed = float(breakers.turnover_per_day)
        found.append(Use("entries of the newest order's UTC day", "quote", counted.of_day, allowed))
    if breakers.largest_order is not None:
        found.append(Use("newest entry", "quote", newest, float(breakers.largest_order)))
    if breakers.largest_share is not None and equity > 0:
        allowed = 100 * float(breakers.largest_share)
        found.append(Use("newest entry's share", "% of equity", 100 * newest / equity, allowed))
    return found


def _value(slot: Mapping[str, Any]) -> float:
    """Return a position's signed value in quote at the last close."""
    return (slot.get("quantity") or 0.0) * (slot.get("mark") or 0.0)


def _exposures(
    values: Sequence[float], slots: Sequence[Json], policy: AccountPolicy, *, equity: float
) -> Iterator[Use | None]:
    gross, net = sum(map(abs, values)), abs(sum(values))
    yield _share("gross exposure", "% of equity", gross, policy.max_gross, equity)
    yield _share("net exposure", "% of equity", net, policy.max_net, equity)
    yield _share("largest cluster", "% of equity", _largest_cluster(values, slots), policy.max_cluster, equity)


def _largest_cluster(values: Sequence[float], slots: Sequence[Json]) -> float:
    clusters: dict[float, float] = {}
    for value, slot in zip(values, slots, strict=True):
        if number := slot.get("cluster") or 0.0:
            clusters[number] = clusters.get(number, 0.0) + value
    return max(map(abs, clusters.values()), default=0.0)


def _losses(account: Json, policy: AccountPolicy, *, max_loss: float | None, equity: float) -> Iterable[Use | None]:
    day, peak = account["day_equity"] or equity, account["peak"] or equity
    yield _share("loss of the UTC day", "% of the day's first equity", max(0.0, day - equity), policy.daily_loss, day)
    yield _share("drawdown", "% of the peak", max(0.0, peak - equity), policy.max_drawdown, peak)
    if max_loss:
        yield Use("loss since the start", "quote", max(0.0, policy.cash - equity), max_loss)


def _share(name: str, unit: str, value: float, limit: float | None, of: float) -> Use | None:  # noqa: PLR0917 - a limit's five facts
    """Return the use of a limit that is a fraction of an amount, in percent; None where it is off."""
    return None if limit is None or of <= 0 else Use(name, unit, 100 * value / of, 100 * limit)


def _count(name: str, used: float, limit: int) -> Use | None:
    return Use(name, "count", used, limit) if limit else None

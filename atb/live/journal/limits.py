"""How much of each limit is used: the account's of the promotion, the slots' own, and the breakers' of the settings.

From the kernel's state as the journal has it, so of the last close. What is off is not listed, nor the breakers' last resort.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from atb.decimals import number
from atb.engine.policy import AccountPolicy
from atb.live.journal.breakers import Breakers
from atb.live.journal.sql import turned_over
from atb.times import DAY_MS, MINUTE_MS

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


def breaker_use(orders: Sequence[Mapping[str, Any]], breakers: Breakers, *, equity: float) -> list[Use]:
    """Return the use of the breakers at the newest order, as they count it: without what was withheld.

    Parameters
    ----------
    orders
        The session's newest, the newest first, as `watch.newest_rows` gives them.
    equity
        At the last close, in quote.
    """
    sent = [order for order in orders if order["state"] != "withheld"]
    last = max((order["placed_ms"] for order in sent), default=0)
    minute = sum(order["placed_ms"] > last - MINUTE_MS for order in sent)
    found = [Use("orders in the newest order's minute", "orders", minute, breakers.orders_per_minute)]
    entries = [order for order in sent if order["role"] == "entry"]
    return [*found, *_entries(entries, breakers, last_ms=last, equity=equity)] if entries else found


def _entries(entries: Sequence[Mapping[str, Any]], breakers: Breakers, *, last_ms: int, equity: float) -> Iterator[Use]:
    """Yield the use of the breakers that count entries, of which there is one at least."""
    newest = entries[0]
    of_bar = sum((each["slot"], each["bar"]) == (newest["slot"], newest["bar"]) for each in entries)
    yield Use("entries of the newest one's slot and bar", "entries", of_bar, breakers.entries_per_bar)
    if breakers.turnover_per_day is not None:
        today = sum(_turnover(each) for each in entries if each["placed_ms"] // DAY_MS == last_ms // DAY_MS)
        yield Use("entries of the newest order's UTC day", "quote", today, float(breakers.turnover_per_day))
    value = None if newest["notional"] is None else float(newest["notional"])
    if value is not None and breakers.largest_order is not None:
        yield Use("newest entry", "quote", value, float(breakers.largest_order))
    if value is not None and breakers.largest_share is not None and equity > 0:
        yield Use("newest entry's share", "% of equity", 100 * value / equity, 100 * float(breakers.largest_share))


def _turnover(entry: Mapping[str, Any]) -> float:
    notional, filled, quantity = (entry[name] and Decimal(entry[name]) for name in ("notional", "filled", "quantity"))
    return float(turned_over(notional, entry["state"], filled=filled, quantity=quantity))


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

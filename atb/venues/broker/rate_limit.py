"""Client-side rate limits: request weight per minute, orders per interval, and waiting as long as the exchange demands."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from atb.times import DAY_MS, HOUR_MS, MINUTE_MS

_DEFAULT_BAN_MS = 120_000  # Binance's shortest ban, if the response does not say how long
_UNTIL = re.compile(r"\buntil (\d{13})\b")
_UNIT_MS = {"s": 1_000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
_COUNT = re.compile(r"x-mbx-order-count-(\d+)([smhd])")


@dataclass
class RateWindow:
    """A limit per fixed interval; a new interval starts at each multiple of its length, as exchanges count."""

    length_ms: int
    limit: int
    used: int = 0
    number: int = -1

    def room(self, now_ms: int, reserve: float) -> float:
        """Return the unused amount, less a fraction of the limit kept in reserve."""
        self._roll_over(now_ms)
        return self.limit * (1.0 - reserve) - self.used

    def use(self, now_ms: int, amount: int) -> None:
        """Count an amount as used."""
        self._roll_over(now_ms)
        self.used += amount

    def update(self, now_ms: int, used: int) -> None:
        """Take over the exchange's count if it is higher: other programs may share the limit."""
        self._roll_over(now_ms)
        self.used = max(self.used, used)

    def wait_ms(self, now_ms: int) -> int:
        """Return how long until the interval ends."""
        return self.length_ms - now_ms % self.length_ms

    def _roll_over(self, now_ms: int) -> None:
        if (number := now_ms // self.length_ms) != self.number:
            self.number, self.used = number, 0


@dataclass
class RateLimiter:
    """Counts requests and holds them back before the exchange refuses them.

    Requests that protect a position (a stop, an exit, a cancellation) may use the whole limit; others leave `reserve`, a
    fraction of each limit, unused. After a 429 or 418 nothing is sent until Retry-After is over: an address that goes on
    sending is banned, and then no position can be protected.

    Parameters
    ----------
    weight
        Request weight per minute.
    orders
        New orders, per interval.
    """

    weight: RateWindow = field(default_factory=lambda: RateWindow(MINUTE_MS, 6_000))
    orders: list[RateWindow] = field(default_factory=lambda: [RateWindow(10_000, 100), RateWindow(DAY_MS, 200_000)])
    reserve: float = 0.2
    blocked_until_ms: int = 0

    def wait_ms(self, now_ms: int, *, weight: int, orders: int = 0, protective: bool = False) -> int:
        """Count a request and return 0; if it must wait, count nothing and return how long (ms)."""
        if now_ms < self.blocked_until_ms:
            return self.blocked_until_ms - now_ms
        reserve = 0.0 if protective else self.reserve
        wanted = [(self.weight, weight), *((window, orders) for window in self.orders if orders)]
        full = [window for window, amount in wanted if amount > window.room(now_ms, reserve)]
        if full:
            return max(window.wait_ms(now_ms) for window in full)
        for window, amount in wanted:
            window.use(now_ms, amount)
        return 0

    def update(self, now_ms: int, status: int, *, headers: Mapping[str, str], text: str = "") -> None:
        """Update from a response: the exchange's counts, and how long it demands to wait."""
        if (used := headers.get("x-mbx-used-weight-1m", "")).isdecimal():
            self.weight.update(now_ms, int(used))
        for name, value in headers.items():
            if (match := _COUNT.fullmatch(name)) and value.isdecimal():
                self._update_orders(now_ms, int(match[1]) * _UNIT_MS[match[2]], int(value))
        if status in {418, 429}:
            self.blocked_until_ms = max(
                self.blocked_until_ms, now_ms + self._requested_wait_ms(now_ms, status, headers, text=text)
            )

    def set_limits(self, rate_limits: list[dict[str, object]]) -> None:
        """Take over the limits of Binance's `exchangeInfo`; used weight stays counted."""
        lengths = {"SECOND": 1_000, "MINUTE": MINUTE_MS, "HOUR": HOUR_MS, "DAY": DAY_MS}
        orders = []
        for row in rate_limits:
            length = lengths.get(str(row.get("interval")), 0) * int(str(row.get("intervalNum", 1)))
            limit = int(str(row.get("limit", 0)))
            if row.get("rateLimitType") == "REQUEST_WEIGHT" and length == MINUTE_MS:
                self.weight.limit = limit
            if row.get("rateLimitType") == "ORDERS" and length:
                orders.append(RateWindow(length, limit))
        self.orders = orders or self.orders

    def _update_orders(self, now_ms: int, length_ms: int, used: int) -> None:
        for window in self.orders:
            if window.length_ms == length_ms:
                window.update(now_ms, used)

    def _requested_wait_ms(self, now_ms: int, status: int, headers: Mapping[str, str], *, text: str) -> int:
        asked = headers.get("retry-after", "")
        if asked.isdecimal():
            return int(asked) * 1_000
        if until := _UNTIL.search(text):
            return max(0, int(until[1]) - now_ms)
        return _DEFAULT_BAN_MS if status == 418 else self.weight.wait_ms(now_ms)

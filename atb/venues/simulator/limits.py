"""Rate limits of the exchange: request weights, order counts, and the refusals 429 and 418."""

from math import ceil
from typing import TYPE_CHECKING

from atb.times import DAY_MS, MINUTE_MS
from atb.venues.simulator import refusals

if TYPE_CHECKING:
    from atb.venues.simulator.configuration import Limits

_TEN_SECONDS = 10_000


class Usage:
    """Counts the use of each limit, in windows of exchange time."""

    def __init__(self, limits: "Limits") -> None:
        self.limits = limits
        self._used: dict[int, tuple[int, int]] = {}  # by window length: window number, amount used
        self._wait_until_ms = 0
        self._banned_until_ms = 0
        self._ban_s = limits.ban_s

    def used(self, window_ms: int, now_ms: int) -> int:
        """Return the amount used in the window that contains `now_ms`."""
        number, count = self._used.get(window_ms, (0, 0))
        return count if number == now_ms // window_ms else 0

    def _add(self, window_ms: int, now_ms: int, count: int) -> int:
        total = self.used(window_ms, now_ms) + count
        self._used[window_ms] = (now_ms // window_ms, total)
        return total

    def count_request(self, weight: int, now_ms: int) -> None:
        """Count a request's weight.

        Raises
        ------
        Refusal
            429 above the limit; 418 if the client sends another request before Retry-After, and during a ban.
        """
        if now_ms < self._banned_until_ms:
            if self.limits.ban_grows:
                self.ban(now_ms, self._ban_s)
            raise refusals.banned(self._banned_until_ms, ceil((self._banned_until_ms - now_ms) / 1_000))
        if now_ms < self._wait_until_ms:
            self.ban(now_ms, self.limits.ban_s)
            raise refusals.banned(self._banned_until_ms, self.limits.ban_s)
        if self._add(MINUTE_MS, now_ms, weight) > self.limits.weight:
            self.hold_off(now_ms, self.limits.retry_after_s)
            raise refusals.too_many_requests(self.limits.retry_after_s)

    def hold_off(self, now_ms: int, seconds: int) -> None:
        """Ban a client that sends a request within the next seconds."""
        self._wait_until_ms = now_ms + seconds * 1_000

    def ban(self, now_ms: int, seconds: int) -> None:
        """Refuse every request for this many seconds."""
        self._ban_s = seconds
        self._banned_until_ms = max(self._banned_until_ms, now_ms + seconds * 1_000)

    def count_orders(self, count: int, now_ms: int) -> None:
        """Count new orders.

        Raises
        ------
        Refusal
            -1015 above a limit.
        """
        for window, most, name in self._order_limits():
            if self.used(window, now_ms) + count > most:
                raise refusals.too_many_orders(most, name)
        for window, _, _ in self._order_limits():
            self._add(window, now_ms, count)

    def _order_limits(self) -> tuple[tuple[int, int, str], ...]:
        return (
            (_TEN_SECONDS, self.limits.orders_10s, "10 SECOND"),
            (DAY_MS, self.limits.orders_day, "1 DAY"),
        )

    def headers(self, now_ms: int, *, orders: bool) -> dict[str, str]:
        """Return the headers with the used amounts."""
        used = str(self.used(MINUTE_MS, now_ms))
        found = {"x-mbx-used-weight": used, "x-mbx-used-weight-1m": used}
        if orders:
            found["x-mbx-order-count-10s"] = str(self.used(_TEN_SECONDS, now_ms))
            found["x-mbx-order-count-1d"] = str(self.used(DAY_MS, now_ms))
        return found

    def rate_limits(self, now_ms: int | None = None, *, orders_only: bool = False) -> list[dict[str, object]]:
        """Return the limits as Binance lists them, with the used amounts if a time is given."""
        rows: list[tuple[str, str, int, int, int]] = [
            ("REQUEST_WEIGHT", "MINUTE", 1, self.limits.weight, MINUTE_MS),
            ("ORDERS", "SECOND", 10, self.limits.orders_10s, _TEN_SECONDS),
            ("ORDERS", "DAY", 1, self.limits.orders_day, DAY_MS),
        ]
        found = []
        for kind, interval, number, limit, window in rows:
            if orders_only and kind != "ORDERS":
                continue
            row: dict[str, object] = {
                "rateLimitType": kind,
                "interval": interval,
                "intervalNum": number,
                "limit": limit,
            }
            found.append(row if now_ms is None else row | {"count": self.used(window, now_ms)})
        return found

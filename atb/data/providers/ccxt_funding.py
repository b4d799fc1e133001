"""Funding of a perpetual through ccxt: each payment at its own time, with the mark price where the exchange states it."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from atb.data.catalogue.events import FUNDING
from atb.data.providers.ccxt_client import DIRECT, CcxtClient, Pace, Route
from atb.domain import Symbol
from atb.errors import DataError, InputError
from atb.times import at_ms

_FIRST_MS = 1_451_606_400_000  # 2016: no perpetual is older
_PAGE = 1_000


class CcxtFunding:
    """An `EventSource` of one perpetual's funding.

    Parameters
    ----------
    exchange_id, route, sleep, pace
        As for `CcxtClient`.
    symbol
        The perpetual, such as `BTC/USDT:USDT`.

    Raises
    ------
    InputError
        If ccxt does not know the exchange, it has no history of funding, or the symbol is no perpetual.
    """

    kind = FUNDING

    def __init__(
        self,
        exchange_id: str,
        symbol: str | Symbol,
        *,
        route: Route = DIRECT,
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace | None = None,
    ) -> None:
        self.symbol = Symbol.parse(symbol)
        if not self.symbol.settle:
            raise InputError(
                "Only perpetuals pay funding", found=str(symbol), todo=f"Name one, like {self.symbol}:USDT"
            )
        self._client = CcxtClient(exchange_id, route=route, sleep=sleep, pace=pace)
        if not self._client.exchange.has.get("fetchFundingRateHistory"):
            raise InputError("This exchange publishes no history of funding", found=self._client.id)
        self.venue, self.subject = self._client.id, str(self.symbol)
        self.origin = f"{self.venue} through ccxt"

    def now_ms(self) -> int:
        """Return the exchange's time in epoch milliseconds."""
        return self._client.now_ms()

    def pages(self, since_ms: int | None) -> Iterator[pd.DataFrame]:
        """Yield the payments at `since_ms` (epoch ms) or later, page by page.

        Raises
        ------
        InputError
            If the exchange has no such symbol.
        DataError
            If the exchange cannot be reached, refuses, or gives no numbers.
        """
        self._client.market(str(self.symbol))
        at, now = _FIRST_MS if since_ms is None else since_ms, self.now_ms()
        while at <= now:
            payments = self._page(at)
            rows = [payment for payment in payments if int(payment["timestamp"]) >= at]
            if not rows:
                return
            frame = self._frame(rows)
            frame = frame if since_ms is None else frame[frame.index >= at_ms(since_ms)]
            if len(frame):
                yield frame
            at = int(rows[-1]["timestamp"]) + 1

    def _page(self, since_ms: int) -> list[dict[str, Any]]:
        fetch = self._client.exchange.fetch_funding_rate_history
        found = self._client.ask(lambda: fetch(str(self.symbol), since=since_ms, limit=_PAGE))
        unique = {int(payment["timestamp"]): payment for payment in found if payment["timestamp"] is not None}
        return [unique[moment] for moment in sorted(unique)]

    def _frame(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        # Exchanges stamp some payments a few milliseconds late.
        moments = np.array([int(row["timestamp"]) // 1_000 * 1_000 for row in rows], dtype=np.int64)
        try:
            rates = [float(row["fundingRate"]) for row in rows]
            marks = [float((row.get("info") or {}).get("markPrice") or np.nan) for row in rows]
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{self.venue} gave a funding rate that is no number", found=str(rows[0])[:160]) from error
        index = pd.DatetimeIndex(moments.astype("datetime64[ms]"), tz="UTC", name="timestamp")
        frame = pd.DataFrame({"funding_rate": rates, "mark_price": marks}, index=index)
        return frame[~frame.index.duplicated()]

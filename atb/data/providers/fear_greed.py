"""The Fear & Greed index of alternative.me: one value from 0 (fear) to 100 (greed) a day, whole history in one answer.

Its terms ask that the source is named where the data are shown: `origin` does.
"""

import json
import time
from collections.abc import Callable, Iterator

import pandas as pd

from atb.data.catalogue.events import SENTIMENT
from atb.data.providers.ccxt_client import DIRECT, Route
from atb.data.providers.http import Http
from atb.errors import DataError
from atb.times import DAY_MS

ADDRESS = "https://api.alternative.me"
NAME = "fear_greed"


class FearGreed:
    """An `EventSource` of the index.

    Parameters
    ----------
    route
        How it is reached.
    sleep
        Called to wait that many seconds.
    clock
        Returns the present, epoch milliseconds.
    """

    kind, subject, origin = SENTIMENT, NAME, "alternative.me, Crypto Fear & Greed Index"

    def __init__(
        self,
        *,
        route: Route = DIRECT,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], int] = lambda: int(time.time() * 1_000),
    ) -> None:
        self._http, self._clock = Http(ADDRESS, route=route, sleep=sleep), clock

    def now_ms(self) -> int:
        """Return the present, epoch milliseconds."""
        return self._clock()

    def pages(self, since_ms: int | None) -> Iterator[pd.DataFrame]:
        """Yield the values that state `since_ms` (epoch ms) or later, all by default, as one page.

        Raises
        ------
        DataError
            If the source cannot be reached, or answers something else.
        """
        days = 0 if since_ms is None else max(1, (self.now_ms() - since_ms) // DAY_MS + 2)
        content = self._http.get("fng/", limit=int(days), format="json")
        frame = _frame(content or b"")
        if since_ms is not None:
            frame = frame[frame.index >= pd.Timestamp(since_ms, unit="ms", tz="UTC")]
        if len(frame):
            yield frame


def _frame(content: bytes) -> pd.DataFrame:
    try:
        answer = json.loads(content)
        if problem := (answer.get("metadata") or {}).get("error"):
            raise DataError("alternative.me refused the request", found=problem)
        rows = {int(row["timestamp"]): float(row["value"]) for row in answer["data"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        found = content[:80].decode("utf-8", "replace")
        raise DataError("alternative.me answered something else than its index", found=found) from error
    moments = sorted(rows)
    index = pd.to_datetime(moments, unit="s", utc=True).as_unit("ms").rename("timestamp")
    return pd.DataFrame({"value": [rows[moment] for moment in moments]}, index=index)

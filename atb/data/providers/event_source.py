"""The port of providers of events: funding and sentiment, each value at a time of its own."""

from collections.abc import Iterator
from typing import Protocol

import pandas as pd

from atb.data.catalogue.events import EventKind


class EventSource(Protocol):
    """The port: a provider of the events of one subject."""

    @property
    def kind(self) -> EventKind:
        """Kind of its events, with their columns."""
        ...

    @property
    def subject(self) -> str:
        """Name of the perpetual or the index."""
        ...

    @property
    def origin(self) -> str:
        """Origin of the events, in words for the catalogue's files."""
        ...

    def now_ms(self) -> int:
        """Return the provider's time in epoch milliseconds."""
        ...

    def pages(self, since_ms: int | None) -> Iterator[pd.DataFrame]:
        """Yield the events at `since_ms` (epoch ms) or later, all by default, in the order of their times, each once."""
        ...

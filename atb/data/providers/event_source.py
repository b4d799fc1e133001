"""The port of providers of events: funding and sentiment, each value at a time of its own."""

from collections.abc import Iterator
from typing import Protocol

import pandas as pd

from atb.data.catalogue.events import EventKind


class EventSource(Protocol):
    """The port: a provider of the events of one subject."""

    @property
    def kind(self) -> EventKind:
        """Which columns its events have."""
        ...

    @property
    def subject(self) -> str:
        """What they are of: a perpetual, or an index by its name."""
        ...

    @property
    def origin(self) -> str:
        """Where they come from, in words for the catalogue's files."""
        ...

    def now_ms(self) -> int:
        """Return the provider's time in epoch milliseconds."""
        ...

    def pages(self, since_ms: int | None) -> Iterator[pd.DataFrame]:
        """Yield the events at `since_ms` (epoch ms) or later, all by default, in the order of their times, each once."""
        ...

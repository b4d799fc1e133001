"""A universe: which symbols could be traded when. A backtest over it trades each symbol from its listing on and to its end.

Only what was known counts: at a time T a symbol belongs if it was listed by then and had not ended; that it will
end later is not known yet. A symbol that leaves is sold at the first open afterwards. If its
trading ends altogether there is no such open: then it is sold at the
open of its last bar, since exchanges announce a delisting days ahead, and nothing is bought for its last bar.
"""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from atb.domain.symbol import Symbol
from atb.errors import InputError
from atb.times import at_ms, short

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Listing:
    """A time in which a symbol belongs to a universe.

    Parameters
    ----------
    symbol
        Canonical.
    listed_ms
        From when on, epoch milliseconds.
    ended_ms
        Until when, itself not included; None: it still belongs.
    delisted
        Whether trading ended altogether at `ended_ms`; False: the symbol left the universe and is traded on.
    """

    symbol: Symbol
    listed_ms: int
    ended_ms: int | None = None
    delisted: bool = False

    def __post_init__(self) -> None:
        """Refuse an end before the beginning, and a delisting without its time."""
        if self.ended_ms is not None and self.ended_ms <= self.listed_ms:
            found = f"listed {short(at_ms(self.listed_ms))}, ended {short(at_ms(self.ended_ms))}"
            raise InputError(f"{self.symbol} must be listed before it ends", found=found)
        if self.delisted and self.ended_ms is None:
            raise InputError(f"{self.symbol} was delisted at an unknown time", todo="Say when")

    def holds(self, time_ms: int) -> bool:
        """Return whether the symbol belongs at a time."""
        return self.listed_ms <= time_ms and (self.ended_ms is None or time_ms < self.ended_ms)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"listed_ms": self.listed_ms, "ended_ms": self.ended_ms, "delisted": self.delisted}


@dataclass(frozen=True)
class Universe:
    """Symbols with the times in which they belong; a symbol may leave and come back.

    Parameters
    ----------
    name
        As it is stored.
    listings
        In the order of symbol and time; those of one symbol do not overlap.
    """

    name: str
    listings: tuple[Listing, ...]

    def __post_init__(self) -> None:
        """Bring the listings into order, and refuse two of one symbol at one time."""
        ordered = tuple(sorted(self.listings, key=lambda listing: (str(listing.symbol), listing.listed_ms)))
        for before, after in itertools.pairwise(ordered):
            if before.symbol == after.symbol and (before.ended_ms is None or before.ended_ms > after.listed_ms):
                raise InputError(
                    f"{self.name} lists {after.symbol} twice at one time", found=short(at_ms(after.listed_ms))
                )
        object.__setattr__(self, "listings", ordered)

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """Every symbol that ever belonged, in alphabetical order."""
        return tuple(dict.fromkeys(listing.symbol for listing in self.listings))

    @cached_property
    def delisted(self) -> tuple[Symbol, ...]:
        """Every symbol whose trading ended, and that did not come back."""
        return tuple(symbol for symbol in self.symbols if self.of(symbol)[-1].delisted)

    def of(self, symbol: Symbol) -> tuple[Listing, ...]:
        """Return the listings of one symbol, the oldest first."""
        return tuple(listing for listing in self.listings if listing.symbol == symbol)

    def as_of(self, time_ms: int) -> tuple[Symbol, ...]:
        """Return the symbols that belong at a time."""
        return tuple(listing.symbol for listing in self.listings if listing.holds(time_ms))

    def between(self, start_ms: int, end_ms: int) -> tuple[Symbol, ...]:
        """Return the symbols that belong at any time in [start, end)."""
        found = (
            listing.symbol
            for listing in self.listings
            if listing.listed_ms < end_ms and (listing.ended_ms is None or listing.ended_ms > start_ms)
        )
        return tuple(dict.fromkeys(found))

    def most_at_once(self, start_ms: int, end_ms: int) -> int:
        """Return the largest number of symbols that belong at one time in [start, end)."""
        times = [start_ms, *(one.listed_ms for one in self.listings if start_ms < one.listed_ms < end_ms)]
        return max(len(self.as_of(time)) for time in times)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every listing."""
        lines = [f"{one.symbol} {one.listed_ms} {one.ended_ms} {one.delisted}" for one in self.listings]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def tradable(
    listings: Sequence[Listing], closed_ms: "NDArray[np.int64]", next_closed_ms: "NDArray[np.int64]"
) -> "NDArray[np.bool_]":
    """Return for each bar whether a position decided at its close may be held over the next one; causal, see the module.

    Parameters
    ----------
    closed_ms, next_closed_ms
        When each bar closes, and when the bar after it is due to close; epoch milliseconds.
    """
    import numpy as np

    found = np.zeros(len(closed_ms), bool)
    for listing in listings:
        inside = closed_ms >= listing.listed_ms
        if listing.ended_ms is not None:
            inside &= (next_closed_ms if listing.delisted else closed_ms) < listing.ended_ms
        found |= inside
    return found

"""How an exchange desk behaves: pauses, margins and patience."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DeskTiming:
    """Times in milliseconds of exchange time.

    Parameters
    ----------
    entry_grace_ms
        How long after a close an entry may still be sent.
    margin_ms
        Added to the venue's bound on late execution before "not found" is believed.
    unbounded_ms
        The bound taken for a venue that gives none.
    look_ms
        Pause between two looks for an order whose answer was lost.
    entry_band
        How far beyond the last close a market entry may be filled, as a fraction, where its order has to carry a price.
    attempts
        Requests of one role in the name of one bar before the desk says so, gives an entry up, and takes its time with all else.
    retry_ms
        Pause between two further attempts to protect or close a position: an exchange that takes no orders now will again.
    """

    entry_grace_ms: int = 60_000
    margin_ms: int = 1_000
    unbounded_ms: int = 60_000
    look_ms: int = 500
    entry_band: float = 0.02
    attempts: int = 12
    retry_ms: int = 2_000

"""Time-outs, pauses and retries of an exchange desk."""

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
        That bound for a venue that states none.
    look_ms
        Pause between two look-ups of an order whose answer was lost.
    entry_band
        How far beyond the last close a market entry may be filled, as a fraction, where its order has to carry a price.
    attempts
        Attempts per role and bar; then entries are dropped, and everything else is retried slowly.
    retry_ms
        Pause between two further attempts to protect or close a position.
    """

    entry_grace_ms: int = 60_000
    margin_ms: int = 1_000
    unbounded_ms: int = 60_000
    look_ms: int = 500
    entry_band: float = 0.02
    attempts: int = 12
    retry_ms: int = 2_000

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
        Added to the venue's bound on late execution before "not found" counts at all.
    silence_ms
        How much longer an entry must leave no trace before it is given up. Nothing documented bounds how far a venue's look-up lags
        behind its matching engine, nor when the engine executes what was accepted in time; users report 10 s and more. Six times
        that costs nothing, since the slot only waits.
    balance_ms
        How much longer an entry is waited for while nothing but a balance or an earlier report speaks for it; a sale, which may
        leave a position bare, waits as long as `silence_ms`. Then it is a drift, for the reconciler.
    watch_ms
        How long after a request was taken for one that was not executed the venue is asked, every `watch_pause_ms`, whether it was
        after all: a stop that a late cancellation takes away is back before a position may be bare any longer.
    lag_ms
        How long after something happened on the account its orders are asked for again, every `watch_pause_ms`: the reads that
        answer the first question may be older than what happened. Three times what users report.
    unbounded_ms
        That bound for a venue that states none.
    look_ms
        Shortest pause between two look-ups of an order whose answer was lost.
    longest_look_ms
        Longest one; beyond the window the pauses grow with the time that it is waited for.
    entry_band
        How far beyond the last price a market entry may be filled, as a fraction, where its order has to carry a price.
    attempts
        Attempts per role and bar; then entries are dropped, and everything else is retried slowly.
    retry_ms
        Pause between two further attempts to protect or close a position, and between two questions whether a market is open again.
    terms_ms, status_ms
        Age at which what a symbol allows is asked again; and at which its status is, before protection is moved.
    """

    entry_grace_ms: int = 60_000
    margin_ms: int = 1_000
    unbounded_ms: int = 60_000
    silence_ms: int = 60_000
    balance_ms: int = 600_000
    watch_ms: int = 600_000
    watch_pause_ms: int = 4_000
    lag_ms: int = 30_000
    look_ms: int = 500
    longest_look_ms: int = 10_000
    entry_band: float = 0.02
    attempts: int = 12
    retry_ms: int = 2_000
    terms_ms: int = 3_600_000
    status_ms: int = 1_000

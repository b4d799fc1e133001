"""Running sums over closes and trades, from which statistics are computed: SUMMARY.

Single runs and sweeps take their statistics from them, so a row of a sweep equals the run it names to the last bit. Part of the
kernel: hashed with it.
"""

import numpy as np

from atb.engine.cache import jit
from atb.engine.records import REFUSED_FOR, Record, Records


@jit
def begin(summary: Record, cash: float) -> None:
    """Set the sums of an account that starts with `cash`."""
    summary["last"], summary["trough"] = cash, cash
    summary["best"], summary["worst"] = -np.inf, np.inf


@jit
def note_close(summary: Record, equity: float, peak: float, exposed: int) -> None:
    """Add one close: its return, and its depth below the peak (the equity's own, this close included)."""
    gain = equity / summary["last"] - 1.0 if summary["last"] > 0.0 else 0.0  # from nothing there is no return
    summary["last"] = equity
    summary["bars"] += 1
    summary["returns"] += gain
    summary["squares"] += gain * gain
    loss = min(gain, 0.0)
    summary["downside"] += loss * loss
    summary["exposed"] += exposed
    if equity >= peak:
        summary["below"], summary["trough"] = 0, equity
        return
    summary["below"] += 1
    summary["longest"] = max(summary["longest"], summary["below"])
    if equity < summary["trough"]:  # the deepest point below one peak is its lowest
        summary["trough"] = equity
        summary["max_drawdown"] = max(summary["max_drawdown"], 1.0 - equity / peak)


@jit
def note_trade(summary: Record, trade: Record) -> None:
    """Add one closed trade."""
    pnl = trade["pnl"]
    relative = pnl / (trade["quantity"] * trade["entry_price"])
    summary["pnl"] += pnl
    summary["trade_returns"] += relative
    summary["best"] = max(summary["best"], relative)
    summary["worst"] = min(summary["worst"], relative)
    summary["bars_held"] += trade["bars_held"]
    if pnl > 0.0:
        summary["wins"] += 1
        summary["gain"] += pnl
    elif pnl < 0.0:
        summary["losses"] += 1
        summary["loss"] -= pnl


@jit
def is_shrunk(code: int) -> bool:
    """Tell whether a refusal code means a cut size rather than no order."""
    return REFUSED_FOR[code] != 0


@jit
def exposed(slots: Records) -> int:
    """Return 1 if any slot holds a position, else 0."""
    for s in range(len(slots)):
        if slots[s]["quantity"] != 0.0:
            return 1
    return 0

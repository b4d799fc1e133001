"""Checks that a backtest means what it says: parity of the kernel, no look-ahead, enough warm-up."""

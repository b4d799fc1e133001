"""Batches: planned, run by workers, resumed."""

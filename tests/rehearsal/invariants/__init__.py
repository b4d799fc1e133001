"""Tests of the judge's invariants, each on a few entries of a ledger and a few rows."""

"""The invariants I1 to I10: what must hold of every session, whatever failed."""

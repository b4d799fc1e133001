"""Promotion: evidence is judged by a gate, and what passed is pinned by a signed manifest that the runner verifies."""

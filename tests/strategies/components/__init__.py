"""Tests of what strategies share and of what compositions are made of."""

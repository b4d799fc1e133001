"""Tests of regimes: hysteresis, rolling statistics, and each method."""

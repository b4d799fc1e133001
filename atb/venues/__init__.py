"""Venues: simulated fills for paper trading, brokers through ccxt behind one port, and a simulated exchange for tests."""

"""Venues: brokers behind one port, on paper and through ccxt, and a simulated exchange to try them at."""

"""A simulated exchange: an HTTP server that speaks Binance Spot, for tests and rehearsals without a network."""

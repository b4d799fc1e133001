"""`atb rehearse`: the real runner against the simulated exchange, months in minutes, with faults on; its verdict is evidence."""

"""Call every entry point of the kernel once, so that all of it is compiled and on disk."""

import numpy as np

from atb.engine import kernel, records
from atb.engine.policy import AccountPolicy
from atb.engine.state import KernelState


def warm_up() -> None:
    """Compile (or load) `run` and the three functions that the runner calls, on two bars of nothing."""
    market, signals = np.ones(2, records.MARKET), np.ones(2, records.SIGNAL)
    parameters = np.ones(1, records.SLOT_PARAMETERS)
    state = KernelState.fresh(100.0, limits=AccountPolicy().record(), parameters=parameters)
    rows, none = np.array([0]), np.array([-1])
    list(state.orders(market, rows, records.RANGE))
    state.decide(market, signals, rows)
    list(state.orders(market, rows, records.OPEN))
    state.apply(np.zeros(1, records.ORDER))
    kernel.run(
        state.account,
        state.limits,
        state.slots,
        state.parameters,
        market,
        signals,
        np.array([0]),
        none[None, :],
        none[None, :],
        np.zeros(1, records.ORDER),
        np.zeros(1, records.TRADE),
        np.zeros(1, records.REFUSAL),
        np.zeros(1),
    )

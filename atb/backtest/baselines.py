"""What a strategy must beat: the same market, costs and account, without the strategy."""

from dataclasses import replace

import numpy as np

from atb.backtest.simulation import Outcome, simulate
from atb.engine.policy import slot_parameters
from atb.engine.prepare import Problem


def hold(problem: Problem) -> Outcome:
    """Buy every slot's symbol in equal parts at its first open and keep it; the account's reserve stays in cash.

    The kernel itself trades it, with the slots' own fees, slippage and instrument rules and without stops or targets.
    """
    signals = problem.signals.copy()
    signals["side"] = 1.0
    parameters = problem.parameters.copy()
    share = (1.0 - problem.account.reserve) / len(problem.slots)
    for s, slot in enumerate(problem.slots):
        free = replace(slot.policy, fraction=share, stop_loss=None, take_profit=None)
        parameters[s] = slot_parameters(free, slot.execution, slot.rules)
    limits = problem.limits.copy()
    limits["max_gross"] = np.inf
    return simulate(replace(problem, signals=signals, parameters=parameters, limits=limits))

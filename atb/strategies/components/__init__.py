"""Components that strategies share, and signals and filters to compose one of in a notebook.

Strategies never import each other; what two of them need is here. `signals` and `filters` are texts of rules: a composition of them
(`atb.engine.composition`) is the strategy `rule`, so it needs no code of its own to be tested, swept, promoted and traded.
"""

from atb.strategies.components import filters, signals
from atb.strategies.components.measures import market_regime, odds_signals, settled

__all__ = ["filters", "market_regime", "odds_signals", "settled", "signals"]

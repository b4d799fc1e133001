"""What a judge is told beside ledger and database: who traded under which rules, and when the runner could not act."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from atb.live.execution.orders import ClientIds
from atb.live.portfolio import Portfolio
from atb.rehearsal.ledger import Span


@dataclass(frozen=True)
class SlotTerms:
    """One slot: what its client ids begin with, what it trades, and whether it must be protected.

    Parameters
    ----------
    prefix
        Of its client ids.
    symbol
        As the books write it, such as BTC/USDT.
    bar_ms
        Length of its bars.
    lot, least, tick
        Smallest step (base) and smallest value (quote) of an order, and smallest step of a price.
    guarded
        Whether its policy has a stop.
    """

    prefix: str
    symbol: str
    bar_ms: int
    lot: Decimal
    least: Decimal
    guarded: bool
    tick: Decimal = Decimal("0.01")

    @property
    def joined(self) -> str:
        """The symbol as the exchange writes it."""
        return self.symbol.replace("/", "")

    @property
    def base(self) -> str:
        """The asset that it holds."""
        return self.symbol.partition("/")[0]


@dataclass(frozen=True)
class Terms:
    """The rules of a run; times are exchange time in epoch milliseconds.

    Parameters
    ----------
    balances
        What the account had at the beginning, by asset.
    deaths
        When no runner lived.
    halts
        When the kill switch was raised, and how far (1 pause, 2 cancel, 3 flatten), until it was lowered.
    naked_ms
        Longest time without a stop, or with one that rests at another price than the policy's.
    orders_per_minute
        Orders of every kind within 60 s, beyond which no entry may be sent.
    last_resort
        Orders within 60 s, beyond which nothing but stops and targets may be sent.
    until_ms
        When trading ended: every bar that closed until then must have been decided; None demands nothing of the end.
    """

    slots: tuple[SlotTerms, ...]
    balances: Mapping[str, Decimal]
    deaths: tuple[Span, ...] = ()
    halts: tuple[tuple[int, int, int], ...] = ()
    naked_ms: int = 5_000
    orders_per_minute: int = 120
    last_resort: int = 360
    until_ms: int | None = None

    def of(self, prefix: str) -> SlotTerms | None:
        """Return the slot whose client ids begin so."""
        return next((slot for slot in self.slots if slot.prefix == prefix), None)


def slot_terms(portfolio: Portfolio, session_id: str) -> tuple[SlotTerms, ...]:
    """Return the terms of a portfolio's slots in a session."""
    found = []
    for plan in portfolio.plans:
        name, rules, policy = plan.strategy.name, plan.instrument, plan.policy
        stops = (policy.stop_loss, policy.stop_atr, policy.trailing_stop, policy.trailing_atr)
        found.append(
            SlotTerms(
                ClientIds(name, (session_id, plan.manifest.content_sha256, name, str(plan.symbol))).prefix,
                str(plan.symbol),
                plan.timeframe.seconds * 1_000,
                rules.lot,
                rules.min_notional,
                policy.signal_stop or any(stop is not None for stop in stops),
                rules.tick,
            )
        )
    return tuple(found)

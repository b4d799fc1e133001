"""Context of the judge beside ledger and journal: the slots, the limits, and when the runner was down."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from atb.live.execution.orders import ClientIds
from atb.live.portfolio import Portfolio
from atb.rehearsal.ledger import Span


@dataclass(frozen=True)
class SlotContext:
    """One slot: its client id prefix, its market, and whether its positions need a stop.

    Parameters
    ----------
    prefix
        First part of its client ids.
    symbol
        Canonical, such as BTC/USDT.
    bar_ms
        Duration of its bars.
    lot, min_notional, tick
        Quantity step (base), smallest order value (quote), price step.
    needs_stop
        Whether its policy has a stop.
    enters_bare
        Whether its entries cannot bring their stop, since they are stops themselves.
    """

    prefix: str
    symbol: str
    bar_ms: int
    lot: Decimal
    min_notional: Decimal
    needs_stop: bool
    tick: Decimal = Decimal("0.01")
    enters_bare: bool = False

    @property
    def joined(self) -> str:
        """The symbol as the exchange writes it."""
        return self.symbol.replace("/", "")

    @property
    def base(self) -> str:
        """The base asset."""
        return self.symbol.partition("/")[0]


@dataclass(frozen=True)
class JudgeContext:
    """The context of one run; times are exchange time in epoch milliseconds.

    Parameters
    ----------
    balances
        Initial balances by asset.
    deaths
        When no runner process was alive.
    halts
        Kill switch: when it was set, when it was cleared, and its level (1 pause, 2 cancel, 3 flatten).
    max_uncovered_ms
        Longest time that a position may be without a stop, or with one at another price than the policy's: by the exchange's clock,
        and without a stop also by ours.
    orders_per_minute
        Orders of any kind within 60 s beyond which no entry may be sent.
    last_resort
        Orders within 60 s beyond which only stops and targets may be sent.
    until_ms
        End of trading: every bar that closed by then must have been decided; None does not check the end.
    """

    slots: tuple[SlotContext, ...]
    balances: Mapping[str, Decimal]
    deaths: tuple[Span, ...] = ()
    halts: tuple[tuple[int, int, int], ...] = ()
    max_uncovered_ms: int = 5_000
    orders_per_minute: int = 120
    last_resort: int = 360
    until_ms: int | None = None

    def slot(self, prefix: str) -> SlotContext | None:
        """Return the slot with this client id prefix, None if there is none."""
        return next((slot for slot in self.slots if slot.prefix == prefix), None)


def slot_contexts(portfolio: Portfolio, session_id: str) -> tuple[SlotContext, ...]:
    """Return the slots of a portfolio as the judge needs them, for one session."""
    found = []
    for plan in portfolio.plans:
        name, rules, policy = plan.strategy.name, plan.instrument, plan.policy
        stops = (policy.stop_loss, policy.stop_atr, policy.trailing_stop, policy.trailing_atr)
        found.append(
            SlotContext(
                ClientIds(name, (session_id, plan.manifest.content_sha256, name, str(plan.symbol))).prefix,
                str(plan.symbol),
                plan.timeframe.seconds * 1_000,
                rules.lot,
                rules.min_notional,
                policy.signal_stop or any(stop is not None for stop in stops),
                rules.tick,
                policy.enters_bare,
            )
        )
    return tuple(found)

"""Preflight: the checks of venue, key, books and policy before real orders, each with what was found."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING, Any, Self

from atb.checks import Check
from atb.db import Database
from atb.db.tables import LeaseRow
from atb.decimals import exact
from atb.domain import Clock, Instrument, Order, Symbol
from atb.domain.orders import CLIENT_ID_PREFIX
from atb.domain.ports import Broker
from atb.errors import AtbError, SetupError
from atb.live.fee_checks import fee_check
from atb.live.journal.handover import locate_session
from atb.live.journal.kill_switch import NO_HALT, Halt, effective_halt, halted, read_halt_file
from atb.live.market_checks import capability_check, fill_check, market_check, room_check
from atb.live.plan import Plan
from atb.monitoring.processes import Holder
from atb.times import DAY_MS

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.live.portfolio import Portfolio

_ROOM = Decimal("1.2")  # a test order is this much above the least that the venue takes
_CENT = Decimal("0.01")
_WHERE = "Find out where the difference went: executions by hand, a withdrawal, another runner"


@dataclass(frozen=True, slots=True)
class Preflight:
    """Every check, passed or not."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing stands against starting."""
        return all(check.ok for check in self.checks)

    def require(self) -> None:
        """Refuse to start unless everything passed.

        Raises
        ------
        SetupError
            Naming every check that did not.
        """
        wrong = [f"{check.name}: {check.found}. {check.todo}".rstrip(". ") for check in self.checks if not check.ok]
        if wrong:
            lines = "".join(f"\n  - {line}" for line in wrong)
            raise SetupError(f"{len(wrong)} of {len(self.checks)} checks keep the runner from starting:{lines}")

    def to_json(self) -> list[dict[str, Any]]:
        """Return the checks as plain JSON values."""
        return [{"name": check.name, "ok": check.ok, "found": check.found, "todo": check.todo} for check in self.checks]


@dataclass(frozen=True)
class AccountState:
    """An account in the journal before its runner starts.

    Parameters
    ----------
    holder
        Another process that holds the account's lease, None without one.
    halt
        The kill switch.
    held
        Quantity (base) that the books hold of each symbol.
    cash
        Cash of the books in quote; None before the first session, when the promoted account's counts.
    working
        Client ids of the open orders.
    cursors
        The newest execution in the books, by symbol.
    """

    holder: str | None = None
    halt: Halt = NO_HALT
    held: Mapping[Symbol, Decimal] = field(default_factory=dict)
    cash: Decimal | None = None
    working: frozenset[str] = frozenset()
    cursors: Mapping[Symbol, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        database: Database,
        settings: "Settings",
        portfolio: "Portfolio",
        *,
        account: str,
        now_ms: int,
        adopt: bool = False,
    ) -> Self:
        """Read it.

        Parameters
        ----------
        now_ms
            The present (epoch milliseconds), by which leases expire.
        adopt
            Whether the session is read that the portfolio takes over.

        Raises
        ------
        InputError
            As for `locate_session`.
        """
        with database.session(read_only=True) as session:
            lease = session.get(LeaseRow, account)
        halt = effective_halt(halted(database, account), read_halt_file(settings.data.root))
        found, _ = locate_session(database, account, portfolio, adopt=adopt, exclusive=True)
        held: dict[Symbol, Decimal] = {}
        if found is None or found.state is None:
            return cls(_other_holder(lease, now_ms), halt)
        for plan, slot in zip(portfolio.plans, found.state["slots"], strict=True):
            held[plan.symbol] = held.get(plan.symbol, Decimal(0)) + exact(slot.get("quantity") or 0.0)
        return cls(
            _other_holder(lease, now_ms),
            halt,
            held,
            exact(found.state["account"]["cash"]),
            frozenset(order.order.client_id for order in found.working),
            {Symbol.parse(symbol): trade_id for symbol, trade_id in found.cursors.items()},
        )


def _other_holder(lease: LeaseRow | None, now_ms: int) -> str | None:
    if lease is None or lease.until_ms <= now_ms or lease.holder == str(Holder.here()):
        return None
    return None if Holder.parse(lease.holder).is_dead() else lease.holder


async def preflight(
    broker: Broker, portfolio: "Portfolio", settings: "Settings", *, clock: Clock, situation: AccountState
) -> Preflight:
    """Check everything that must be right before real orders are sent; nothing is changed at the venue.

    Parameters
    ----------
    broker
        Open, for the portfolio's symbols.
    clock
        The runner's.
    situation
        The account in the journal.

    Returns
    -------
    Preflight
        Every check; one without an answer of the venue has failed.
    """
    look = _Checks(broker, portfolio, settings, clock=clock, situation=situation)
    checks: list[Check] = [
        look.venue(),
        *look.markets(),
        look.lease(),
        look.halt(),
        *look.capabilities(),
        look.clocks(),
    ]
    for name, question in look.questions().items():
        try:
            checks += await question()
        except AtbError as error:  # without an answer the check has failed
            checks.append(Check.of(name, False, f"not known: {error}", "Ask again when the exchange answers"))
    return Preflight(tuple(checks))


@dataclass(frozen=True)
class _Checks:
    broker: Broker
    portfolio: "Portfolio"
    settings: "Settings"
    clock: Clock = field(kw_only=True)
    situation: AccountState = field(kw_only=True)

    def questions(self) -> dict[str, Callable[[], Awaitable[list[Check]]]]:
        """Return the checks that need the venue's answer, by name."""
        return {
            "key": self.key,
            "instrument rules": self.rules,
            "open orders": self.orders,
            "balances": self.balances,
            "fees": self.fees,
            "test order": self.test_orders,
        }

    # --- known without asking -----------------------------------------------------------------------------------------

    def venue(self) -> Check:
        """Name the place that orders go to; a simulator must not be mistaken for the exchange."""
        exchange = self.settings.exchange
        if exchange.base_url is not None or exchange.clock is not None:
            where = exchange.base_url or exchange.proxy or ""
            return Check.of(
                "venue", True, f"*** SIMULATOR or other server at {where}: this is NOT {exchange.id} itself ***"
            )
        return Check.of("venue", True, f"{exchange.id}, real money" + (", through a proxy" if exchange.proxy else ""))

    def markets(self) -> list[Check]:
        """Compare the venue of the tested bars with the traded one."""
        traded = self.settings.exchange.id
        return [
            Check.of(
                f"market of {plan.manifest.name}",
                plan.manifest.venue == traded,
                f"tested on bars of {plan.manifest.venue or 'an unnamed venue'}, to be traded on {traded}",
                "Backtest on bars of the venue that is traded, and promote that",
            )
            for plan in self.portfolio.plans
        ]

    def lease(self) -> Check:
        """Check that no other runner has the account."""
        holder = self.situation.holder
        return Check.of(
            "lease", holder is None, f"held by {holder}" if holder else "free", "Stop the other runner first"
        )

    def halt(self) -> Check:
        """Check that the kill switch is not set."""
        halt = self.situation.halt
        found = f"{halt.name} by {halt.source}: {halt.reason}" if halt else "none"
        return Check.of("kill switch", not halt, found, "Look why, then: atb resume")

    def clocks(self) -> Check:
        """Compare the machine's clock with the venue's."""
        offset, limit = self.broker.now_ms() - self.clock.now_ms(), self.settings.exchange.recv_window_ms
        return Check.of(
            "clock", abs(offset) <= limit, f"{offset:+d} ms to the venue's", "Set this machine's clock (NTP)"
        )

    def capabilities(self) -> list[Check]:
        """Check that each symbol's market is open, supports the resting orders of its policy, and fills them as tested."""
        return [
            check
            for plan in self.portfolio.plans
            for can in (self.broker.capabilities_of(plan.symbol),)
            for check in (market_check(plan, can), capability_check(plan, can), fill_check(plan))
        ]

    # --- asked of the venue -------------------------------------------------------------------------------------------

    async def key(self) -> list[Check]:
        """Ask what the key may do."""
        may = await self.broker.permissions()
        restricted = "bound to addresses" if may.ip_restricted else "usable from any address"
        return [
            Check.of("key may trade", may.trade, "yes" if may.trade else "no", "Give the key the right to trade spot"),
            Check.of("key cannot withdraw", not may.withdraw, "it can" if may.withdraw else f"it cannot; {restricted}",
                  "Make a key without the right to withdraw, and delete this one"),
        ]  # fmt: skip

    async def rules(self) -> list[Check]:
        """Compare the venue's trading rules with those that were tested."""
        return [self._rule(plan, self.broker.instrument(plan.symbol)) for plan in self.portfolio.plans]

    def _rule(self, plan: Plan, found: Instrument) -> Check:
        names = ("tick", "lot", "min_quantity", "min_notional")
        differs = [
            f"{name} {getattr(found, name)} instead of {getattr(plan.instrument, name)}"
            for name in names
            if getattr(found, name) != getattr(plan.instrument, name)
        ]
        differences = f"{plan.symbol}: {', '.join(differs) or 'as tested'} ({plan.instrument.source})"
        todo = (
            f"`atb data rules {plan.symbol}` fetches the venue's rules of today: backtest with them, and promote that"
        )
        return Check.of(f"instrument of {plan.manifest.name}", not differs, differences, todo)

    async def fees(self) -> list[Check]:
        """Compare the account's fees with those that were tested."""
        has, plans = await self.broker.balances(), self.portfolio.plans
        return [fee_check(plan, await self.broker.commissions(plan.symbol), has) for plan in plans]

    async def orders(self) -> list[Check]:
        """Look for open orders that are not in the books: foreign ones, and ours that were forgotten."""
        unknown = []
        for symbol in self.portfolio.symbols:
            for report in await self.broker.open_orders(symbol):
                if report.client_id not in self.situation.working:
                    whose = "ours, forgotten" if report.client_id.startswith(CLIENT_ID_PREFIX) else "not ours"
                    unknown.append(f"{symbol} {report.side} {report.quantity} {report.client_id} ({whose})")
        found = "; ".join(unknown) or "none that the books do not know"
        return [
            Check.of("open orders", not unknown, found, "Cancel them at the exchange, or trade another symbol there")
        ]

    async def balances(self) -> list[Check]:
        """Check that the account has at least what the books hold and may spend."""
        has, missed = await self.broker.balances(), await self._missed()
        quote, cash = self.portfolio.symbols[0].quote, self.situation.cash
        wanted = {symbol.base: self.situation.held.get(symbol, Decimal(0)) for symbol in self.portfolio.symbols}
        wanted[quote] = exact(self.portfolio.account.cash) if cash is None else cash
        least = {symbol.base: self.broker.instrument(symbol).lot for symbol in self.portfolio.symbols}
        checks = []
        for asset, amount in wanted.items():
            needs = amount + missed.get(asset, Decimal(0))
            present = has[asset].total if asset in has else Decimal(0)
            slack = least.get(asset, _CENT) + abs(needs) * self.settings.live.drift_tolerance
            found = f"{present} {asset} there, {needs} in the books"
            todo = "Fund the account, or promote with the cash that it has" if asset == quote else _WHERE
            checks.append(Check.of(f"balance of {asset}", present + slack >= needs, found, todo))
        free = has[quote].free if quote in has else Decimal(0)
        return [*checks, *(room_check(plan, free, wanted[quote]) for plan in self.portfolio.plans)]

    async def _missed(self) -> dict[str, Decimal]:
        """Return by asset the change due to executions that are not in the books yet; recovery will book them."""
        changes: dict[str, Decimal] = {}
        for symbol, after in self.situation.cursors.items():
            fills = await self.broker.trades(symbol, after=after, since_ms=self.broker.now_ms() - DAY_MS)
            for fill in (fill for fill in fills if not fill.client_id or fill.client_id.startswith(CLIENT_ID_PREFIX)):
                sign = 1 if fill.side == "buy" else -1
                moved = {symbol.base: sign * fill.quantity, symbol.quote: -sign * fill.quantity * fill.price}
                for asset, change in (*moved.items(), (fill.fee_asset, -fill.fee)):
                    changes[asset] = changes.get(asset, Decimal(0)) + change
        return changes

    async def test_orders(self) -> list[Check]:
        """Validate a small order in each symbol at the venue, without placing it."""
        if not self.broker.capabilities.checks:
            return [Check.of("test order", True, "this venue judges no order without placing it")]
        return [await self._test_order(plan) for plan in {plan.symbol: plan for plan in self.portfolio.plans}.values()]

    async def _test_order(self, plan: Plan) -> Check:
        name, rules = f"test order in {plan.symbol}", self.broker.instrument(plan.symbol)
        since = self.broker.now_ms() - 3_000 * plan.timeframe.seconds
        bars = await self.broker.bars(plan.symbol, plan.timeframe, since_ms=since)
        if bars is None:
            return Check.of(name, False, "the venue has no bar of late", "Look whether the market is open")
        price = exact(bars.frame["close"].iloc[-1])
        least = max(rules.min_quantity, rules.min_notional * _ROOM / price)
        quantity = (least / rules.lot).to_integral_value(ROUND_UP) * rules.lot
        answer = await self.broker.check(
            Order(f"{CLIENT_ID_PREFIX}preflight", plan.symbol, "buy", "entry", "market", quantity)
        )
        said = "accepted" if answer.outcome == "done" else f"{answer.outcome}: {answer.code} {answer.text}".strip()
        return Check.of(name, answer.outcome == "done", f"buy {quantity}: {said}", "Look at the exchange's message")

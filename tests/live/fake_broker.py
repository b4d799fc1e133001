"""A book in a position made by hand, and a fake broker with scripted answers, for what no honest venue would do."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np

from atb.domain import Fill, Order, Symbol
from atb.domain.venue import Answer, Balance, Capabilities, OrderReport
from atb.engine import records
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.errors import VenueError
from atb.live.execution.blotter import Blotter, Outstanding
from atb.live.execution.book import Book
from atb.live.execution.desk_state import DeskState
from atb.live.execution.execution_reports import ExecutionReports
from atb.live.execution.orders import ClientIds, OrderMaker
from atb.live.feed.market import History
from atb.live.journal.step import Working
from atb.live.portfolio import Portfolio
from atb.strategies import make_strategy
from tests.bars import bars_of, frame_of
from tests.live.exchange_harness import plan_of

BTC, ETH = Symbol.parse("BTC/USDT"), Symbol.parse("ETH/USDT")
BAR = 1_704_067_200_000  # open of the bar that orders are made in
BOTH = Capabilities("newClientOrderId", True, "open", 3_000, frozenset(("oco", "opo", "opoco")), replaces=True)
PLAIN = replace(BOTH, lists=frozenset(), replaces=False)
CROSS = make_strategy("sma_cross", fast=2, slow=3)
GUARDED = RiskPolicy(fraction=0.5, stop_loss=0.05, take_profit=0.1)


def portfolio_of(policy: RiskPolicy = GUARDED, *, symbols: Sequence[str] = ("BTC/USDT",), **costs: Any) -> Portfolio:
    """Return a slot on each symbol, whose price is 100."""
    flat = frame_of(np.full(40, 100.0))
    execution = ExecutionModel(fee=0.001, **costs)
    return Portfolio(tuple(plan_of(CROSS, bars_of(flat, symbol), policy, execution=execution) for symbol in symbols))


def book_of(portfolio: Portfolio) -> Book:
    """Return a book that is flat and knows 40 bars at 100."""
    flat = frame_of(np.full(40, 100.0))
    histories = {n: History(bars_of(flat, str(plan.symbol))) for n, plan in enumerate(portfolio.plans)}
    book = Book(portfolio, histories, portfolio.fresh_state())
    for slot in range(len(portfolio.plans)):
        book.state.slots[slot]["mark"] = 100.0
    return book


def want(book: Book, quantity: float, *, slot: int = 0, kind: int = records.AT_MARKET, at: float = 100.0) -> None:
    """Have the kernel want an entry."""
    record = book.state.slots[slot]
    record["entry"], record["entry_kind"], record["entry_at"], record["entry_bars"] = quantity, kind, at, 3
    record["entry_reason"], record["exit_reason"] = records.SIGNAL_ENTRY, records.SIGNAL_EXIT


@dataclass
class Table:
    """Book, blotter, memory and makers of a desk, with what a venue might say."""

    portfolio: Portfolio = field(default_factory=portfolio_of)
    trades: int = 0

    def __post_init__(self) -> None:
        self.book = book_of(self.portfolio)
        self.desk_state = DeskState(BAR, bars=dict.fromkeys(range(len(self.portfolio.plans)), BAR))
        self.blotter = Blotter()
        self.makers = {
            slot: OrderMaker(ClientIds("sma_cross", ("main", str(slot))), plan.symbol)
            for slot, plan in enumerate(self.portfolio.plans)
        }
        self.reports = ExecutionReports(self.book, self.blotter, self.desk_state, makers=self.makers)

    def order(
        self, role: str = "entry", kind: str = "market", quantity: str = "1", *, slot: int = 0, **more: Any
    ) -> Order:
        """Return a named order."""
        side = "buy" if role == "entry" else "sell"
        symbol = self.portfolio.plans[slot].symbol
        made = Order("", symbol, side, role, kind, Decimal(quantity), **more)  # type: ignore[arg-type]
        return self.makers[slot].name(made, BAR)

    def out(
        self, order: Order, *, slot: int = 0, unknown: bool = False, sent_ms: int = BAR, **more: Any
    ) -> Outstanding:
        """Put an order out."""
        state = more.pop("state", "sent" if unknown else "live")
        return self.blotter.add(Working(order, BAR, slot, state, sent_ms=sent_ms, **more), unknown=unknown)

    def fill_of(self, order: Order, quantity: str = "", price: str = "100", **more: Any) -> Fill:
        """Return an execution of an order."""
        self.trades += 1
        amount = Decimal(quantity) if quantity else order.quantity
        fee = amount * Decimal(price) / 1_000
        values = {"trade_id": str(self.trades), "client_id": order.client_id, "symbol": order.symbol, "side": order.side,
                  "price": Decimal(price), "quantity": amount, "fee": fee, "fee_asset": order.symbol.quote,
                  "fee_value": fee, "time_ms": BAR}  # fmt: skip
        return Fill(**values | more)

    def hold(self, quantity: float, *, slot: int = 0, price: str = "100") -> None:
        """Hold a position, as after an entry that is long over."""
        want(self.book, quantity, slot=slot)
        order = self.order(quantity=repr(quantity), slot=slot)
        self.book.fold(self.fill_of(order, price=price, trade_id=f"held{slot}"), order, slot)


def report_of(order: Order, state: str = "new", filled: str = "0", **more: Any) -> OrderReport:
    """Return what a venue says about an order."""
    values = {"client_id": order.client_id, "exchange_id": f"x-{order.client_id[-8:]}", "symbol": order.symbol,
              "side": order.side, "type": order.type, "state": state, "quantity": order.quantity,
              "filled": Decimal(filled), "price": order.price, "stop_price": order.stop_price}  # fmt: skip
    return OrderReport(**values | more)


@dataclass
class ForgedBroker:
    """Answers from lists that a test fills; `silent` are the questions it does not answer."""

    now: int = BAR
    capabilities: Capabilities = BOTH
    known: dict[str, OrderReport] = field(default_factory=dict)  # by client id: what `find` finds
    by_id: list[OrderReport] = field(default_factory=list)  # what `find_by_id` finds
    lists: dict[str, dict[str, str]] = field(default_factory=dict)  # by list id: what `find_list` finds
    ever: list[OrderReport] = field(default_factory=list)  # what `all_orders` lists
    opened: list[OrderReport] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    last: Decimal = Decimal(100)
    wallet: dict[str, Balance] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def now_ms(self) -> int:
        return self.now

    def capabilities_of(self, symbol: Symbol) -> Capabilities:
        return self.capabilities

    def _ask(self, what: str, about: Any) -> None:
        self.asked.append((what, about))
        if what in self.silent:
            raise VenueError(f"the venue does not answer {what}")

    async def refresh(self, symbols: Sequence[Symbol]) -> None:
        self._ask("refresh", tuple(symbols))

    async def price(self, symbol: Symbol) -> Decimal:
        self._ask("price", symbol)
        return self.last

    async def find(self, order: Order) -> OrderReport | None:
        self._ask("find", order.client_id)
        return self.known.get(order.client_id)

    async def find_by_id(self, symbol: Symbol, exchange_id: str) -> OrderReport | None:
        self._ask("find_by_id", exchange_id)
        return next((one for one in self.by_id if (one.symbol, one.exchange_id) == (symbol, exchange_id)), None)

    async def find_list(self, symbol: Symbol, list_id: str) -> dict[str, str] | None:
        self._ask("find_list", list_id)
        return self.lists.get(list_id)

    async def all_orders(self, symbol: Symbol, *, since_ms: int) -> list[OrderReport]:
        self._ask("all_orders", since_ms)
        return [report for report in self.ever if report.symbol == symbol]

    async def open_orders(self, symbol: Symbol) -> list[OrderReport]:
        self._ask("open_orders", symbol)
        return [order for order in self.opened if order.symbol == symbol]

    async def trades(self, symbol: Symbol, *, after: str | None, since_ms: int) -> list[Fill]:
        self._ask("trades", after)
        return [
            fill for fill in self.fills if fill.symbol == symbol and (after is None or int(fill.trade_id) > int(after))
        ]

    async def balances(self) -> dict[str, Balance]:
        self._ask("balances", None)
        return self.wallet

    async def commissions(self, symbol: Symbol) -> None:
        self._ask("commissions", symbol)

    async def place(self, order: Any) -> Answer:
        self._ask("place", order)
        return self.answers.pop(0)

    async def cancel(self, order: Any) -> Answer:
        self._ask("cancel", order)
        return self.answers.pop(0)

    async def replace(self, old: Order, new: Order) -> Answer:
        self._ask("replace", (old, new))
        return self.answers.pop(0)

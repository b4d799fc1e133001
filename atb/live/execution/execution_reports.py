"""Execution reports: a venue's answers, order reports and fills become changes of the blotter, the book and a step.

Everything may come twice, late or in the wrong order. A fill counts once, by its trade id; an order's state goes forward only;
orders and fills that are not ours are journalled and never taken over.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal

import numpy as np

from atb.decimals import exact
from atb.domain import Fill, Order
from atb.domain.orders import CLIENT_ID_PREFIX
from atb.domain.venue import Answer, OrderReport
from atb.live.execution.blotter import Blotter, Outstanding
from atb.live.execution.book import Book
from atb.live.execution.desk_state import DeskState
from atb.live.execution.evidence import is_newer, trace
from atb.live.execution.orders import PROTECTIVE, OrderMaker
from atb.live.execution.refusals import PASSES, PAUSES, PRICES, Meaning, is_of_size, meaning_of
from atb.live.journal.step import SET_ASIDE, WRITTEN_OFF, Notice, OrderEvent, Step

_NEARLY = 2.0  # times the least value of an order (quote), below which such a refusal means that it is too small
_FEE_SLACK = 1.5  # the price may have fallen since an entry's fee was valued in quote
_REFUSALS = 3  # of one slot's protection in one bar, before the position is closed instead


class ExecutionReports:
    """Applies what a venue reports to book, blotter and desk state; its flags are written here alone.

    Parameters
    ----------
    book, blotter, desk_state
        What is changed.
    makers
        Order factory per slot; it counts attempts.

    Attributes
    ----------
    crossed
        Slots whose stop cannot rest because the price has passed it: the position is closed.
    reached
        Slots whose target cannot rest because the price has passed it: it is taken at once.
    unclear
        Slots whose pair the venue refused by its prices, without saying which of them the price has passed.
    alone
        Slots whose pair the venue refuses in this bar though the price lies between the two, or for no reason of prices: the stop
        rests alone.
    plain
        Slots whose symbol allows no entry in one list with its stop, by the venue's word in this bar.
    tight, funds
        Slots whose entry the account cannot pay in this bar, at the worst price that its list carries; and the free quote by
        slot, as the venue said then.
    doubt
        Whether the account may hold less than the books: it is to be compared at once.
    silent_until_ms
        Exchange time before which the venue wants no requests.
    paused
        By slot, exchange time before which nothing is sent for it, after a refusal that passes.
    free_attempts
        By slot, bar and role, the attempts that cost nothing.
    closed
        Slots whose market is closed, by the venue's last answer.
    unsellable
        Slots whose small position the venue refused to sell at the market: it is dust, though not by the last close.
    """

    def __init__(
        self, book: Book, blotter: Blotter, desk_state: DeskState, *, makers: Mapping[int, OrderMaker]
    ) -> None:
        self.book, self.blotter, self.desk_state = book, blotter, desk_state
        self._makers = makers
        self.crossed: set[int] = set()
        self.reached: set[int] = set()
        self.unclear: set[int] = set()
        self.alone: set[int] = set()
        self.plain: set[int] = set()
        self.tight: set[int] = set()
        self.funds: dict[int, Decimal] = {}
        self.doubt = False
        self.silent_until_ms = 0
        self.paused: dict[int, int] = {}
        self.free_attempts: Counter[tuple[int, int, str]] = Counter()
        self.closed: set[int] = set()
        self.unsellable: set[int] = set()
        self._refused: Counter[tuple[int, int, str]] = Counter()

    def take_answer(
        self, answer: Answer, step: Step, *, new: Iterable[Outstanding] = (), old: Iterable[Outstanding] = ()
    ) -> None:
        """Take in the answer to a request.

        Parameters
        ----------
        new, old
            The orders that it asked for, and those that it cancelled.
        """
        new, old = tuple(new), tuple(old)
        self._record_answer(answer, new or old, step)
        for report in answer.reports:
            self.take_report(report, step)
        for fill in answer.fills:
            self.take_fill(fill, step)
        for outstanding in (*new, *old) if answer.outcome == "unknown" else ():
            outstanding.mark_unknown(answer.sent_ms)
        for outstanding in new:
            if answer.outcome == "done" and outstanding.state == "sent":
                outstanding.end("live")
            elif answer.outcome == "rejected" and not outstanding.ended:
                self._rejected(outstanding, new, answer, step=step)
            if answer.outcome == "done" and outstanding.role == "target" and outstanding.list_id is None:
                self.reached.discard(outstanding.slot)  # taken: the next target is to rest beside a stop again
            self._note_expired(outstanding, step)
            step.changes[outstanding.client_id] = outstanding.change(
                answer.code if answer.outcome == "rejected" else None
            )
        for outstanding in old if answer.outcome == "done" else ():
            if not outstanding.ended and not outstanding.owed:
                outstanding.end("cancelled")
            step.changes[outstanding.client_id] = outstanding.change()

    def take_report(self, report: OrderReport, step: Step) -> None:
        """Take in the report of one order; one that is not ours is ignored.

        An order that the journal has is ours whenever it comes, also after it was given up.
        """
        outstanding = self.blotter.get(report.client_id) or self._restore(report, step)
        if outstanding is None:
            return
        self._trace_siblings(outstanding, step)
        if outstanding.update(report):
            step.changes[report.client_id] = outstanding.change()
            if self._ended_by_others(outstanding):
                detail = {"client_id": report.client_id, "state": outstanding.state, "role": outstanding.role}
                step.notices.append(Notice("protection_ended", detail, "warning"))
        if outstanding.is_failed_entry:
            self.drop_entry(outstanding.slot)  # one that we cancelled says nothing about the intent of now

    def take_fill(self, fill: Fill, step: Step) -> None:
        """Apply one fill, once."""
        if self.desk_state.has(fill.symbol, fill.trade_id):
            return
        outstanding = self.blotter.owner_of(fill) or self._restore(fill, step)
        if outstanding is None:
            self._note_foreign_fill(fill, step)
            return
        self._trace_siblings(outstanding, step)
        self.desk_state.seen.add((str(fill.symbol), fill.trade_id))
        if outstanding.role != "entry" and outstanding.slot in self.desk_state.present:
            self.desk_state.present[outstanding.slot] = max(
                Decimal(0), self.desk_state.present[outstanding.slot] - fill.quantity
            )
        if outstanding.role != "entry" and self.book.slot(outstanding.slot)["quantity"] == 0.0:
            self._sold_too_much(outstanding, fill, step)
            outstanding.execute(fill.quantity)  # the order is complete, though this execution is not booked
            step.changes[outstanding.client_id] = outstanding.change()
            return
        self._set_aside_dust(outstanding, fill, step)
        execution, trade = self.book.fold(fill, outstanding.order, outstanding.slot)
        outstanding.execute(fill.quantity)
        self.desk_state.fee(fill)
        step.fills.append(execution)
        step.changes[outstanding.client_id] = outstanding.change()
        if trade is not None:
            self.crossed.discard(outstanding.slot)
            self.reached.discard(outstanding.slot)
            self.desk_state.present.pop(outstanding.slot, None)
            step.trades.append((self.book.trades, trade))
        over = outstanding.role == "entry" and outstanding.order.type == "market" and outstanding.ended
        if outstanding.is_failed_entry or over:  # what a smaller order at the market left is not sent after it
            self.drop_entry(outstanding.slot)

    def _sold_too_much(self, outstanding: Outstanding, fill: Fill, step: Step) -> None:
        """Quarantine a symbol in which more was sold than a slot held."""
        detail = {"client_id": outstanding.client_id, "trade_id": fill.trade_id, "quantity": str(fill.quantity)}
        step.notices.append(Notice("sold_too_much", detail, "error"))
        self.desk_state.quarantine[str(fill.symbol)] = "sold_too_much"

    def _trace_siblings(self, outstanding: Outstanding, step: Step) -> None:
        siblings = self.blotter.same_list(outstanding)
        trace((sibling for sibling in siblings if sibling is not outstanding), step.time_ms)

    def _restore(self, news: OrderReport | Fill, step: Step) -> Outstanding | None:
        """Return an order of ours that is not open by the books and comes after all, None if the news of it is old.

        A read that lags shows earlier states: only an order that was given up can be open again. An execution is news of any.
        """
        name = news.client_id
        if not name.startswith(CLIENT_ID_PREFIX):
            return None
        kept = None
        if all(name != one.client_id or one.state != "absent" for one in self.blotter.given_up(news.symbol)):
            kept = self.desk_state.recorded(name)
            if kept is None or not (isinstance(news, Fill) or is_newer(news, kept)):
                return None
        if (outstanding := self.blotter.restore(name, kept)) is not None:
            shown = news.trade_id if isinstance(news, Fill) else f"{news.state}, {news.filled} filled"
            detail = {"client_id": name, "role": outstanding.role, "shown": shown}
            step.notices.append(Notice("came_after_all", detail, "warning"))
        return outstanding

    def begin_bar(self, slot: int) -> None:
        """Begin a bar: what price or account did not allow in the last one may be tried again."""
        for barred in (self.crossed, self.reached, self.unclear, self.alone, self.plain, self.tight, self.unsellable):
            barred.discard(slot)
        self.funds.pop(slot, None)

    def _set_aside_dust(self, outstanding: Outstanding, fill: Fill, step: Step) -> None:
        """Set aside what the last fill of an exit leaves unsellable; to sell more than an entry's fee beyond it is an error."""
        slot, leaves = outstanding.slot, outstanding.leaves_quantity - fill.quantity
        fees = float(self.book.slot(slot)["fees"]) / float(fill.price)
        if dust := self.book.set_aside_dust(slot, fill, role=outstanding.role, leaves=leaves):
            step.notices.append(Notice("dust", {"client_id": outstanding.client_id, "quantity": dust}))
        if dust < -_FEE_SLACK * fees - float(self.book.parameters(slot)["lot"]):
            self._sold_too_much(outstanding, fill, step)

    def write_off(self, slot: int, quantity: Decimal, step: Step) -> None:
        """Book as sold, at the last close and without a fee, the part of a position that is missing from the account.

        Parameters
        ----------
        quantity
            In base, dust included.
        """
        record, plan, maker = self.book.slot(slot), self.book.portfolio.plans[slot], self._makers[slot]
        lost = self.book.write_off(slot, quantity)
        self.desk_state.present.pop(slot, None)
        if lost == 0.0:
            return
        held = exact(lost)
        order = maker.name(maker.leave(record, lost), self.desk_state.bars.get(slot, 0))
        fill = Fill(
            f"{WRITTEN_OFF}{slot}-{step.time_ms}", order.client_id, plan.symbol, order.side, exact(record["mark"]),
            held, Decimal(0), plan.symbol.quote, Decimal(0), step.time_ms,
        )  # fmt: skip
        self._fold_untraded(fill, order, slot, step=step)
        detail = {"slot": slot, "symbol": str(plan.symbol), "quantity": str(held), "price": str(fill.price)}
        step.notices.append(Notice("written_off", detail, "warning"))

    def close_dust(self, slot: int, step: Step) -> bool:
        """Close a slot's position if it is dust: no order can sell it, by the last close or by the venue's word, and none is open.

        Returns
        -------
        bool
            Whether it was; it is booked as an execution of quantity 0, and stays on the account.
        """
        if not self.book.holds_dust(slot) and slot not in self.unsellable:
            return False
        if self.blotter.open(slot) or any(order.owed for order in self.blotter if order.slot == slot):
            return False
        record, plan, maker = self.book.slot(slot), self.book.portfolio.plans[slot], self._makers[slot]
        held = exact(record["quantity"])
        self.unsellable.discard(slot)
        if not held:
            return False
        make = maker.leave if record["exit"] != 0.0 or np.isnan(record["stop"]) else maker.past_stop
        order = maker.name(make(record, float(held)), self.desk_state.bars.get(slot, 0))
        none, price = Decimal(0), exact(record["mark"])
        trade_id = f"{SET_ASIDE}{slot}-{step.time_ms}"
        fill = Fill(
            trade_id, order.client_id, plan.symbol, order.side, price, none, none, plan.symbol.quote, none, step.time_ms
        )
        self._fold_untraded(fill, order, slot, step=step)
        step.notices.append(Notice("dust", {"slot": slot, "symbol": str(plan.symbol), "quantity": str(held)}))
        return True

    def _fold_untraded(self, fill: Fill, order: Order, slot: int, *, step: Step) -> None:
        """Book what no venue executed, and what it closes."""
        execution, trade = self.book.fold(fill, order, slot)
        step.fills.append(execution)
        if trade is not None:
            step.trades.append((self.book.trades, trade))

    def drop_entry(self, slot: int) -> None:
        """Withdraw a slot's intent to enter."""
        self.book.drop_entry(slot)

    def take_doubt(self) -> bool:
        """Return whether the account is to be compared at once, and clear it."""
        doubted, self.doubt = self.doubt, False
        return doubted

    def _record_answer(self, answer: Answer, group: Iterable[Outstanding], step: Step) -> None:
        """Keep the answer's text for the journal; a market that takes a request is open."""
        for outstanding in group:
            if answer.outcome == "done":
                self.closed.discard(outstanding.slot)
            detail = {"outcome": answer.outcome, "code": answer.code, "text": answer.text}
            step.order_events.append(OrderEvent(outstanding.client_id, "answer", detail, step.time_ms))

    def _rejected(
        self, outstanding: Outstanding, group: tuple[Outstanding, ...], answer: Answer, *, step: Step
    ) -> None:
        """Act on a definite rejection."""
        outstanding.end("rejected")
        order = outstanding.order
        if group[0].role == "entry" and order.role in PROTECTIVE:
            return  # part of its entry's list: it goes with the entry
        meaning = meaning_of(answer)
        detail = {"client_id": order.client_id, "role": order.role, "code": answer.code, "text": answer.text}
        self._note_refusal(outstanding, meaning, answer, step=step)
        severity: Literal["warning", "error"] = "warning" if order.role == "entry" else "error"
        step.notices.append(Notice("rejected", detail, severity))
        if order.role == "entry":
            self._entry_refused(outstanding, meaning, listed=len(group) > 1)
        elif order.role in PROTECTIVE and order.type != "market":
            self._unprotected(outstanding, meaning)

    def _entry_refused(self, outstanding: Outstanding, meaning: Meaning, *, listed: bool) -> None:
        """Decide what becomes of an entry: what only passes leaves it as it is, and nothing makes the next bar's entry another."""
        slot = outstanding.slot
        if outstanding.order.type == "stop" and meaning == "stop passed":
            self.book.enter_at_market(slot)
        elif listed and meaning == "unsupported":
            self.plain.add(slot)
        elif listed and meaning == "poor" and slot not in self.tight:
            self.tight.add(slot)
        elif meaning not in PASSES:
            self.drop_entry(slot)

    def _note_refusal(self, outstanding: Outstanding, meaning: Meaning, answer: Answer, *, step: Step) -> None:
        """Note what a rejection says beyond its own order: pauses, closed markets, missing balance."""
        slot = outstanding.slot
        self.silent_until_ms = max(self.silent_until_ms, step.time_ms + answer.retry_after_ms)
        (self.closed.add if meaning == "closed" else self.closed.discard)(slot)
        if meaning in PASSES or (meaning in PRICES and outstanding.order.type != "market"):
            self._pause(outstanding, PAUSES.get(meaning, 0), step)
        if outstanding.role != "entry" and meaning == "poor":
            self.doubt = True
        if outstanding.role != "entry" and outstanding.order.type == "market" and self._too_small(outstanding, answer):
            self.unsellable.add(slot)

    def _note_expired(self, outstanding: Outstanding, step: Step) -> None:
        """Pause after a sale that expired at once, beyond the symbol's price range: the same again would expire too."""
        if outstanding.state == "expired" and outstanding.role != "entry":
            self._pause(outstanding, PAUSES["closed"], step)

    def _pause(self, outstanding: Outstanding, pause_ms: int, step: Step) -> None:
        """Send nothing for a slot for some time after an order that was not executed; the attempt is not counted."""
        self.paused[outstanding.slot] = max(self.paused.get(outstanding.slot, 0), step.time_ms + pause_ms)
        self.free_attempts[outstanding.slot, outstanding.bar_ms, outstanding.role] += 1

    def _too_small(self, outstanding: Outstanding, answer: Answer) -> bool:
        """Return whether the venue takes no sale so small, although the last close spoke for it: the price has fallen since."""
        record, least = self.book.slot(outstanding.slot), self.book.parameters(outstanding.slot)["min_notional"]
        return float(record["quantity"]) * float(record["mark"]) < _NEARLY * float(least) and is_of_size(answer)

    def _unprotected(self, outstanding: Outstanding, meaning: Meaning) -> None:
        """Decide what replaces protection that cannot rest: take the target, or close the position."""
        if meaning in PASSES or meaning == "unsupported":
            return  # this says nothing about whether it can rest
        if meaning == "pair passed" or (meaning == "other" and outstanding.list_id is not None):
            # What speaks against a pair need not speak against its stop.
            (self.unclear if meaning == "pair passed" else self.alone).add(outstanding.slot)
            return
        key = outstanding.slot, outstanding.bar_ms, outstanding.role
        self._refused[key] += 1
        if meaning == "stop passed" or self._refused[key] > _REFUSALS:
            self.crossed.add(outstanding.slot)
        elif meaning == "limit passed":
            self.reached.add(outstanding.slot)

    def judge_pair(self, slot: int, price: Decimal) -> None:
        """Decide by the last price (quote) which order of a pair it has passed; between them the stop rests alone in this bar."""
        record = self.book.slot(slot)
        self.unclear.discard(slot)
        if float(record["stop"]) >= float(price):
            self.crossed.add(slot)
        elif float(record["target"]) <= float(price):
            self.reached.add(slot)
        else:
            self.alone.add(slot)

    def _ended_by_others(self, outstanding: Outstanding) -> bool:
        """Return whether a protective order ended though we did not cancel it and its sibling did not fill."""
        over = outstanding.role in PROTECTIVE and outstanding.ended and outstanding.state != "filled"
        siblings = [other for other in self.blotter.same_list(outstanding) if other is not outstanding]
        met = any(other.reported > 0 or other.state in {"filled", "partially_filled"} for other in siblings)
        return over and not outstanding.cancelling and not met and self.book.slot(outstanding.slot)["quantity"] != 0.0

    def _note_foreign_fill(self, fill: Fill, step: Step) -> None:
        """Journal a fill that is not ours."""
        name = f"{fill.symbol}:{fill.trade_id}"
        if name in self.desk_state.foreign:
            return
        self.desk_state.foreign.append(name)
        self.desk_state.quarantine.setdefault(str(fill.symbol), "stranger")
        self.doubt = self.doubt or fill.side == "sell"
        amount = {"side": fill.side, "quantity": str(fill.quantity), "price": str(fill.price)}
        detail = {"trade_id": fill.trade_id, "symbol": str(fill.symbol), **amount}
        step.notices.append(Notice("stranger_trade", detail, "warning"))


def owned(record: np.void) -> Decimal:
    """Return a slot's quantity of its base asset, dust included."""
    return exact(record["quantity"]) + exact(record["dust"])

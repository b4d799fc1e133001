"""What a venue says, taken down: answers, reports and executions become changes of the blotter, the book and a step.

Everything may come twice, late or in the wrong order. An execution counts once, by its trade id; an order's state goes forward
only; what is not ours is written down and never taken over.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal

import numpy as np

from atb.decimals import exact
from atb.domain import Fill
from atb.domain.venue import Answer, OrderReport
from atb.live.execution.blotter import Blotter, Outstanding
from atb.live.execution.book import Book
from atb.live.execution.desk_state import DeskMemory
from atb.live.execution.orders import PROTECTIVE, OrderMaker
from atb.live.journal.step import WRITTEN_OFF, Heard, Notice, Step

_TRIGGERS = "would trigger immediately"  # the price has passed a stop
_MATCHES = "would immediately match"  # the price has passed a limit that may only rest
_POOR = "insufficient balance"
_CLOSED = "market is closed"
_REFUSALS = 3  # of one slot's protection in one bar, before the position is closed instead


class Hearing:
    """Book, blotter and memory under what a venue says.

    Parameters
    ----------
    book, blotter, memory
        What changes.
    makers
        Who makes each slot's orders: how often they tried is theirs to know.

    Attributes
    ----------
    looks
        Client id to the exchange time of the next look for an order whose answer was lost.
    crossed
        Slots whose stop cannot rest, because the price has passed it: they are closed.
    reached
        Slots whose target cannot rest, because the price has passed it: it is taken.
    plain
        Slots whose entries the venue does not take together with their stops.
    tight
        Slots whose entry the account cannot pay at the worst price that it would carry, in this bar: it is sent without one.
    doubt
        Whether something suggests that the account holds less than the books: it is to be compared at once.
    silent_until_ms
        Until when the venue wants no requests, exchange time.
    closed
        Slots whose market takes no orders, by the venue's last word on them.
    """

    def __init__(self, book: Book, blotter: Blotter, memory: DeskMemory, *, makers: Mapping[int, OrderMaker]) -> None:
        self.book, self.blotter, self.memory = book, blotter, memory
        self._makers = makers
        self.looks: dict[str, int] = {}
        self.crossed: set[int] = set()
        self.reached: set[int] = set()
        self.plain: set[int] = set()
        self.tight: set[int] = set()
        self.doubt = False
        self.silent_until_ms = 0
        self.closed: set[int] = set()
        self._refused: Counter[tuple[int, int, str]] = Counter()

    def answer(
        self, answer: Answer, step: Step, *, new: Iterable[Outstanding] = (), old: Iterable[Outstanding] = ()
    ) -> None:
        """Take down how a request ended.

        Parameters
        ----------
        new, old
            The orders that it asked for, and those that it withdrew.
        """
        new, old = tuple(new), tuple(old)
        self._quote(answer, new or old, step)
        for report in answer.reports:
            self.report(report, step)
        for fill in answer.fills:
            self.fill(fill, step)
        if answer.outcome == "unknown":
            self._lost(answer, (*new, *old))
        for one in new:
            if answer.outcome == "done" and one.state == "sent":
                one.end("live")
            elif answer.outcome == "rejected" and not one.ended:
                self._rejected(one, new, answer, step=step)
            if answer.outcome == "done" and one.order.role == "target" and one.list_id is None:
                self.reached.discard(
                    one.slot
                )  # taken, or not there any more: the next one is to rest beside a stop again
            step.changes[one.order.client_id] = one.change(answer.code if answer.outcome == "rejected" else None)
        for one in old if answer.outcome == "done" else ():
            if not one.ended and not one.owed:
                one.end("cancelled")
            step.changes[one.order.client_id] = one.change()

    def report(self, report: OrderReport, step: Step) -> None:
        """Take the venue's word for one order; a stranger's is passed over."""
        one = self.blotter.get(report.client_id)
        if one is None:
            return
        if one.hear(report):
            step.changes[report.client_id] = one.change()
            if one.ended and one.state != "filled" and one.order.role in PROTECTIVE and self._by_strangers(one):
                detail = {"client_id": report.client_id, "state": one.state, "role": one.order.role}
                step.notices.append(Notice("protection_ended", detail, "warning"))
        if one.ended and one.order.role == "entry" and one.state != "filled" and not (one.owed or one.cancelling):
            self.drop_entry(one.slot)  # one that we withdrew says nothing about what is wanted now

    def fill(self, fill: Fill, step: Step) -> None:
        """Fold one execution, once."""
        if self.memory.has(fill.symbol, fill.trade_id):
            return
        one = self.blotter.of_fill(fill)
        if one is None:
            self._stranger(fill, step)
            return
        self.memory.seen.add((str(fill.symbol), fill.trade_id))
        if one.order.role != "entry" and one.slot in self.memory.present:
            self.memory.present[one.slot] = max(Decimal(0), self.memory.present[one.slot] - fill.quantity)
        if one.order.role != "entry" and self.book.slot(one.slot)["quantity"] == 0.0:
            detail = {"client_id": one.order.client_id, "trade_id": fill.trade_id, "quantity": str(fill.quantity)}
            step.notices.append(Notice("sold_too_much", detail, "error"))
            self.memory.quarantine[str(fill.symbol)] = "sold_too_much"
            return
        self._brush(one, fill, step)
        execution, trade = self.book.fold(fill, one.order, one.slot)
        one.execute(fill.quantity)
        self.memory.fee(fill)
        step.fills.append(execution)
        step.changes[one.order.client_id] = one.change()
        if trade is not None:
            self.crossed.discard(one.slot)
            self.reached.discard(one.slot)
            self.memory.present.pop(one.slot, None)
            step.trades.append((self.book.trades, trade))
        if one.order.role == "entry" and one.ended and one.state != "filled" and not (one.owed or one.cancelling):
            self.drop_entry(one.slot)

    def close(self, slot: int) -> None:
        """Begin a bar: what the price or the account did not allow in the last one may be asked for again."""
        for barred in (self.crossed, self.reached, self.tight):
            barred.discard(slot)

    def _brush(self, one: Outstanding, fill: Fill, step: Step) -> None:
        """Set aside what the last fill of an exit leaves unsellable."""
        if one.order.role == "entry" or one.left > fill.quantity:
            return
        if dust := self.book.set_aside_dust(one.slot, fill):
            step.notices.append(Notice("dust", {"client_id": one.order.client_id, "quantity": dust}))

    def write_off(self, slot: int, quantity: Decimal, step: Step) -> None:
        """Book as sold, at the last close and without a fee, what somebody else took of a position: nobody can sell it any more.

        Parameters
        ----------
        quantity
            In base, dust included.
        """
        record, plan, maker = self.book.slot(slot), self.book.portfolio.plans[slot], self._makers[slot]
        lost = self.book.write_off(slot, quantity)
        self.memory.present.pop(slot, None)
        if lost == 0.0:
            return
        held = exact(lost)
        order = maker.name(maker.leave(record, lost), self.memory.bars.get(slot, 0))
        fill = Fill(
            f"{WRITTEN_OFF}{slot}-{step.time_ms}", order.client_id, plan.symbol, order.side, exact(record["mark"]),
            held, Decimal(0), plan.symbol.quote, Decimal(0), step.time_ms,
        )  # fmt: skip
        execution, trade = self.book.fold(fill, order, slot)
        step.fills.append(execution)
        if trade is not None:
            step.trades.append((self.book.trades, trade))
        detail = {"slot": slot, "symbol": str(plan.symbol), "quantity": str(held), "price": str(fill.price)}
        step.notices.append(Notice("written_off", detail, "warning"))

    def drop_entry(self, slot: int) -> None:
        """Want no entry any more."""
        self.book.drop_entry(slot)

    def _quote(self, answer: Answer, group: Iterable[Outstanding], step: Step) -> None:
        """Keep the answer's words."""
        for one in group:
            detail = {"outcome": answer.outcome, "code": answer.code, "text": answer.text}
            step.heard.append(Heard(one.order.client_id, "answer", detail, step.time_ms))

    def _lost(self, answer: Answer, group: Iterable[Outstanding]) -> None:
        for one in group:
            one.unknown = True
            one.sent_ms = max(one.sent_ms, answer.sent_ms)
            self.looks[one.order.client_id] = 0

    def _rejected(self, one: Outstanding, group: tuple[Outstanding, ...], answer: Answer, *, step: Step) -> None:
        """Draw the conclusion of a definite refusal."""
        one.end("rejected")
        order = one.order
        if group[0].order.role == "entry" and order.role in PROTECTIVE:
            return  # it came with its entry, and goes with it
        detail = {"client_id": order.client_id, "role": order.role, "code": answer.code, "text": answer.text}
        self._mind(one, answer, step)
        severity: Literal["warning", "error"] = "warning" if order.role == "entry" else "error"
        step.notices.append(Notice("rejected", detail, severity))
        if order.role == "entry" and order.type == "stop" and _TRIGGERS in answer.text:
            self.book.enter_at_market(one.slot)
        elif order.role == "entry" and len(group) > 1:
            (self.tight if _POOR in answer.text.lower() else self.plain).add(one.slot)
        elif order.role == "entry":
            self.drop_entry(one.slot)
        elif answer.retry_after_ms:
            return  # it was not looked at: that says nothing about what can rest
        elif order.role in PROTECTIVE and order.type != "market":
            self._unprotected(one, answer.text)

    def _mind(self, one: Outstanding, answer: Answer, step: Step) -> None:
        """Remember what a refusal says about more than its order."""
        self.silent_until_ms = max(self.silent_until_ms, step.time_ms + answer.retry_after_ms)
        (self.closed.add if _CLOSED in answer.text.lower() else self.closed.discard)(one.slot)
        if one.order.role != "entry" and _POOR in answer.text.lower():
            self.doubt = True

    def _unprotected(self, one: Outstanding, text: str) -> None:
        """Choose what is done where protection cannot rest: take the target, or close the position."""
        self._refused[one.slot, one.bar_ms, one.order.role] += 1
        often = self._refused[one.slot, one.bar_ms, one.order.role] > _REFUSALS
        if _MATCHES in text and not often:
            self.reached.add(one.slot)
        elif _TRIGGERS in text or often:
            self.crossed.add(one.slot)

    def _by_strangers(self, one: Outstanding) -> bool:
        """Tell whether an order that protects ended though nobody here withdrew it and its pair was not met."""
        pair = [other for other in self.blotter.together(one) if other is not one]
        met = any(other.said > 0 or other.state in {"filled", "partially_filled"} for other in pair)
        return not one.cancelling and not met and self.book.slot(one.slot)["quantity"] != 0.0

    def _stranger(self, fill: Fill, step: Step) -> None:
        """Write down an execution that is not ours; while an answer is missing it may be ours, and is looked at again."""
        if any(one.order.symbol == fill.symbol and one.exchange_id is None for one in self.blotter.unknown()):
            return
        name = f"{fill.symbol}:{fill.trade_id}"
        if name in self.memory.strangers:
            return
        self.memory.strangers.append(name)
        self.memory.quarantine.setdefault(str(fill.symbol), "stranger")
        self.doubt = self.doubt or fill.side == "sell"
        amount = {"side": fill.side, "quantity": str(fill.quantity), "price": str(fill.price)}
        detail = {"trade_id": fill.trade_id, "symbol": str(fill.symbol), **amount}
        step.notices.append(Notice("stranger_trade", detail, "warning"))


def owned(record: np.void) -> Decimal:
    """Return what a slot owns of its base asset, dust included."""
    return exact(record["quantity"]) + exact(record["dust"])

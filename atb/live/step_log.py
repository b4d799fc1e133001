"""The log lines of a session: orders sent and withheld, fills and notices, each with its strategy and symbol."""

from collections.abc import Sequence

from atb.decimals import amount
from atb.live.journal.step import Execution, Notice, Step, Withheld, Working
from atb.live.plan import Plan
from atb.monitoring import bound, get_logger
from atb.times import at_ms, short

_log = get_logger("atb.live")


class StepLog:
    """Writes a committed step as log lines, with strategy, symbol, bar, client id and epoch bound to each.

    Parameters
    ----------
    plans
        One per slot.
    epoch
        Of the lease that the step was written under.
    """

    def __init__(self, plans: Sequence[Plan], epoch: int) -> None:
        self._plans, self._epoch = plans, epoch

    def write(self, step: Step, withheld: Sequence[Withheld]) -> None:
        """Log a step; an empty one writes nothing."""
        reasons = {withheld_order.client_id: withheld_order.reason for withheld_order in withheld}
        with bound(epoch=self._epoch):
            for working in step.placed:
                if working.state == "sent":
                    self._sent(working, reasons.get(working.order.client_id))
            for done in step.fills:
                self._filled(done)
            for notice in step.notices:
                _notice(notice)

    def _sent(self, working: Working, withheld: str | None) -> None:
        order = working.order
        terms = {"side": order.side, "type": order.type, "quantity": str(order.quantity)}
        prices = {"price": order.price, "stop": order.stop_price}
        terms |= {name: str(price) for name, price in prices.items() if price is not None}
        with bound(**self._of(working.slot), bar=short(at_ms(working.bar_ms)), client_id=order.client_id):
            if withheld is None:
                _log.info("sending", role=order.role, reason=order.reason, **terms)
            else:
                _log.warning("withheld", role=order.role, why=withheld, **terms)

    def _filled(self, done: Execution) -> None:
        fill = done.fill
        amounts = {
            "quantity": str(fill.quantity),
            "price": str(fill.price),
            "fee": f"{amount(fill.fee)} {fill.fee_asset}",
        }
        with bound(**self._of(done.slot), bar=short(at_ms(fill.time_ms)), client_id=done.order.client_id):
            _log.info("filled", role=done.order.role, reason=done.reason, side=fill.side, **amounts)

    def _of(self, slot: int) -> dict[str, str]:
        plan = self._plans[slot]
        return {"strategy": plan.strategy.name, "symbol": str(plan.symbol)}


def _notice(notice: Notice) -> None:
    {"info": _log.info, "warning": _log.warning, "error": _log.error}[notice.severity](notice.kind, **notice.detail)

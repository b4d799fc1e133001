"""The kernel stepped event by event over all slots, with nothing passed over: what the loops of `atb.engine.loop` must equal."""

import numpy as np

from atb.engine import loop, records
from atb.engine.kernel import decide
from atb.engine.kernel_input import KernelInput
from atb.engine.records import fresh_account, fresh_slots


def empty_buffers(problem: KernelInput, *, room: int, closes: bool = True) -> dict[str, np.ndarray]:
    """Return what a loop writes into, with room for so many records."""
    return {
        "orders": np.zeros(room, records.ORDER),
        "trades": np.zeros(room, records.TRADE),
        "refusals": np.zeros(room, records.REFUSAL),
        "equity": np.zeros(len(problem.closes) if closes else 0),
        "summary": np.zeros(1, records.SUMMARY),
    }


def stepped(problem: KernelInput, *, room: int) -> dict[str, np.ndarray]:
    """Call the kernel at each time with the rows that close, then with those that open; return all that was written."""
    account, slots = fresh_account(problem.account.cash), fresh_slots(len(problem.slots))
    made = empty_buffers(problem, room=room)
    total, scratch = made["summary"][0], (np.zeros(1, records.ORDER), np.zeros(1, records.TRADE))

    def fill(rows: np.ndarray, phase: int, time: int) -> None:
        kept = (made["orders"], made["trades"], total, rows)
        loop.fill_phase(account, slots, problem.parameters, problem.market, rows, phase, *scratch, *kept)
        loop.record_refusals(slots, time, made["refusals"], total)

    loop.begin(total, account[0]["cash"])
    for time, closing, opening in zip(problem.events, problem.closing, problem.opening, strict=True):
        if (closing >= 0).any():
            fill(closing, records.RANGE, time)
            decide(account, problem.limits, slots, problem.parameters, problem.market, problem.signals, closing)
            made["equity"][total["bars"]] = account[0]["equity"]
            held = int((slots["quantity"] != 0.0).any())
            loop.note_close(total, account[0]["equity"], account[0]["peak"], held)
            loop.record_refusals(slots, time, made["refusals"], total)
        fill(opening, records.OPEN, time)
    return {**made, "account": account, "slots": slots}

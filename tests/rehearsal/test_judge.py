"""The judge finds what is wrong: naive runners, and clean runs that were tampered with, one invariant at a time."""

import copy
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from unittest.mock import patch

import pytest

from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.live.execution.exchange_desk import ExchangeDesk
from atb.live.execution.order_status import OrderStatus
from atb.live.execution.orders import OrderMaker
from atb.live.execution.planning import Cancel, Place, Replace, SlotPlanner
from atb.live.journal.session_rows import SessionRows, decision_log
from atb.live.journal.step import Working
from atb.live.loop import Loop
from atb.rehearsal.context import JudgeContext
from atb.rehearsal.invariants.stop_prices import wanted_stops
from atb.rehearsal.judge import Judgement, examine
from atb.rehearsal.ledger import ClientIdParts, LedgerReading
from atb.venues.simulator.faults import Fault
from tests.database import lay_sqlite
from tests.rehearsal.former_rules import not_found_is_absent
from tests.rehearsal.harness import Play, play
from tests.rehearsal.schedules import HOUR, WARM, Schedule, draw, market, plan_of

SEEDS = (1, 4)


def biting(seed: int, kind: str, *, crashes: tuple[tuple[int | str, int], ...] = (), **detail: object) -> Schedule:
    """Return the market of a seed with one kind of fault at every fourth bar."""
    calm = draw(seed, hard=False)
    times = [calm.start_ms + hour * HOUR for hour in range(1, calm.count - 8, 4)]
    faults = tuple(Fault(kind, "changes", at_ms=at, detail=dict(detail)) for at in times)
    return replace(calm, faults=faults, crashes=crashes)


# --- naive runners ------------------------------------------------------------------------------------------------------


async def _place_then_record(self, request, step):
    """Send first and write down afterwards; a lost answer is a failure, and what failed is sent again."""
    if isinstance(request, Cancel):
        return await self._cancel(request, step)
    sent = [request.order] if isinstance(request, Replace) else list(request.orders)
    list_id = request.list_id if isinstance(request, Place) else None
    bar_ms, now = self.desk_state.bars[request.slot], self.broker.now_ms()
    working = [Working(order, bar_ms, request.slot, "sent", list_id, now) for order in sent]
    new = [self.blotter.add(entry) for entry in working]
    after, old = self._step(), (request.old,) if isinstance(request, Replace) else ()
    if old:
        answer = await self.broker.replace(request.old.order, request.order)
    else:
        answer = await self.broker.place(request.order)
    step.placed += working
    await self.write(step)
    if answer.outcome == "unknown":
        for entry in new:
            entry.end("absent")
            after.changes[entry.order.client_id] = entry.change()
        return after
    self.reports.take_answer(answer, after, new=new, old=old)
    return after


@contextmanager
def place_then_record():
    """Trade without an intent before the request."""
    with patch.object(ExchangeDesk, "_perform", _place_then_record):
        yield


@contextmanager
def believe_the_first_not_found():
    """Take the first "not found" for proof that a request will never be executed."""
    with patch.object(OrderStatus, "_over_ms", lambda *_: 0), not_found_is_absent():
        yield


def violated(tmp_path, schedules, naive: Callable | None = None) -> set[str]:
    """Play schedules and return the invariants that were violated."""
    found: set[str] = set()
    for number, schedule in enumerate(schedules):
        root = tmp_path / f"{naive.__name__ if naive else 'real'}-{number}"
        root.mkdir()
        run = Play(schedule, lay_sqlite(root / "atb.db"), root)
        if naive is None:
            found |= set(run.run().judgement.violated)
            continue
        with naive():
            try:
                found |= set(run.run().judgement.violated)
            except Exception as broken:  # a naive runner may break on its own doing before it can be judged
                found.add(type(broken).__name__)
    return found


@pytest.mark.slow
def test_finds_a_runner_that_places_first_and_records_afterwards(tmp_path):
    schedules = [biting(seed, "lost", crashes=(("after place", 2_000), ("after place", 0))) for seed in SEEDS]
    found = violated(tmp_path, schedules, place_then_record)
    assert {"I1", "I7"} <= found, found
    assert not violated(tmp_path, schedules)


@pytest.mark.slow
def test_finds_a_runner_that_believes_the_first_not_found(tmp_path):
    schedules = [biting(seed, "late", delay_ms=1_500) for seed in SEEDS]
    found = violated(tmp_path, schedules, believe_the_first_not_found)
    assert found & {"I1", "I2", "I5", "I8"}, found
    assert not violated(tmp_path, schedules)


def plain(**policy: object) -> Schedule:
    """Return a calm schedule of one slot with a policy of its own."""
    costs = ExecutionModel(fee=0.001, maker_fee=0.0005, slippage=0.0005)
    bars = market("BTC/USDT", WARM + 42, 3)
    slot = plan_of("p0", bars, RiskPolicy(fraction=0.9, **policy), execution=costs, fast=2, slow=5)
    return Schedule(3, (slot,), (bars,), 40, costs)


TRAILING = {"stop_loss": 0.03, "trailing_stop": 0.015}


@contextmanager
def stops_at_half_the_price():
    """Let every stop rest where it never helps: in the books as at the exchange."""
    make = OrderMaker._order

    def far(self, role, slot, signed, *, kind):
        order = make(self, role, slot, signed, kind=kind)
        return replace(order, stop_price=round(order.stop_price / 2, 2)) if order.stop_price else order

    with patch.object(OrderMaker, "_order", far):
        yield


@contextmanager
def stops_that_never_move():
    """Protect a position once, and leave it at that."""
    guard = SlotPlanner._guard

    def once(self):
        resting = [working for working in self.blotter.open(self.slot, "stop") if working.state == "live"]
        return None if resting else guard(self)

    with patch.object(SlotPlanner, "_guard", once):
        yield


@contextmanager
def ends_early():
    """Decide on 15 bars, and say that all is done."""
    due = Loop._due_ms
    with patch.object(Loop, "_due_ms", lambda self: None if self.bars >= 15 else due(self)):
        yield


@pytest.mark.parametrize(
    "wrong", [stops_at_half_the_price, pytest.param(stops_that_never_move, marks=pytest.mark.slow)]
)
def test_finds_stops_that_do_not_rest_where_the_policy_wants_them(tmp_path, wrong):
    assert violated(tmp_path, [plain(**TRAILING)], wrong) == {"I3"}
    assert not violated(tmp_path, [plain(**TRAILING)])


def test_finds_a_runner_that_ends_before_the_bars_do(tmp_path):
    assert violated(tmp_path, [plain(**TRAILING)], ends_early) == {"I8"}


# --- tampering ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A run without faults: its ledger, books and context."""
    root = tmp_path_factory.mktemp("clean")
    run = Play(draw(1, hard=False), lay_sqlite(root / "atb.db"), root)
    played = run.run()
    assert played.judgement.clean, played.judgement
    return played, run.context(played.books)


class Copy:
    """A run's ledger and books, to be tampered with."""

    def __init__(self, clean: tuple) -> None:
        played, self.context = clean
        self.ledger = copy.deepcopy(played.ledger)
        books = played.books
        rows = {
            name: [dict(row) for row in getattr(books, name)] for name in ("intents", "fills", "decisions", "equity")
        }
        self.books: SessionRows = replace(books, **rows)

    def first(self, kind: str, **wanted: object) -> dict:
        """Return the first entry of a kind with these values."""
        found = (entry for entry in self.ledger if entry["kind"] == kind)
        return next(entry for entry in found if all(entry.get(name) == value for name, value in wanted.items()))

    def violated(self, context: JudgeContext | None = None, **options: object) -> tuple[str, ...]:
        return examine(self.ledger, self.books, context or self.context, **options).violated


@pytest.fixture
def run(clean) -> Copy:
    return Copy(clean)


def test_i1_an_execution_is_missing_in_the_books(run):
    run.books.fills.pop()
    assert "I1" in run.violated()


def test_i1_a_fee_differs(run):
    run.books.fills[0]["fee"] += Decimal("1e-8")
    assert "I1" in run.violated()


def test_i1_a_balance_moves_without_a_reason(run):
    last = [entry for entry in run.ledger if entry["kind"] == "balance"][-1]
    asset, (free, locked) = next(iter(last["balances"].items()))
    last["balances"] = last["balances"] | {asset: [str(Decimal(free) + Decimal("1e-9")), locked]}
    assert run.violated() == ("I1",)


def test_i2_a_second_entry_of_the_same_bar(run):
    entry = run.first("trade", side="BUY")
    again = {**entry, "order_id": 10_000, "trade_id": 10_000}
    run.ledger.insert(run.ledger.index(entry) + 1, again)
    assert "I2" in run.violated()


def without_stops(run: Copy) -> int:
    """Take every stop out of a ledger; return when the first position came about."""
    run.ledger = [entry for entry in run.ledger if entry["kind"] != "order" or entry["type"] != "STOP_LOSS"]
    return run.first("trade", side="BUY")["ms"]


def test_i3_a_stop_is_missing_for_longer_than_it_may(run):
    without_stops(run)
    assert "I3" in run.violated()


def test_i3_a_death_in_the_moment_of_the_entry_excuses_and_an_entry_while_dead_does_not(run):
    bought = without_stops(run)

    def blamed(died_ms: int) -> bool:
        context = replace(run.context, deaths=((died_ms, 2**60),))
        return any(f"from {bought} " in words for words in examine(run.ledger, run.books, context).violations["I3"])

    assert not blamed(bought)
    assert blamed(bought - 1)


def test_i3_a_stop_that_rests_at_another_price_than_its_intent(run):
    stop = run.first("order", side="SELL", type="STOP_LOSS", status="NEW")
    row = next(row for row in run.books.intents if row["client_id"] == stop["client_id"])
    row["stop_price"] += Decimal("0.01")
    assert run.violated() == ("I3",)


def test_i3_a_stop_that_is_moved_too_late_unless_nobody_lived(run):
    bought = run.first("trade", side="BUY")["ms"]
    name = ClientIdParts.parse(run.first("order", side="SELL", type="STOP_LOSS", status="NEW")["client_id"])
    number = [slot.prefix for slot in run.context.slots].index(name.slot)
    wanted = [list[tuple[int, Decimal | None]]() for _ in run.context.slots]
    wanted[number] = [(bought, Decimal("1.23")), (bought + 5_001, None)]
    assert run.violated(wanted=wanted) == ("I3",)
    assert run.violated(replace(run.context, deaths=((bought - 1, bought + 2),)), wanted=wanted) == ()
    wanted[number][1] = (bought + 5_000, None)
    assert run.violated(wanted=wanted) == ()


def test_only_the_symbol_that_is_halted_takes_no_orders():
    ledger = [
        {"ms": 10, "kind": "fault", "fault": "halt", "detail": {"symbol": "BTCUSDT"}},
        {
            "ms": 20,
            "kind": "fault",
            "fault": "maintenance",
            "detail": {"symbol": "BTCUSDT"},
        },  # of all, whatever it says
        {"ms": 30, "kind": "fault", "fault": "maintenance", "ended": "BTCUSDT"},
        {"ms": 40, "kind": "fault", "fault": "halt", "ended": "BTCUSDT"},
        {"ms": 50, "kind": "answer", "retry_after_s": 2},
    ]
    assert LedgerReading(ledger).refusal_spans("ETHUSDT") == [(20, 30), (50, 2_050)]
    assert LedgerReading(ledger).refusal_spans("BTCUSDT") == [(10, 40), (20, 30), (50, 2_050)]


def test_i4_more_rests_than_is_held(run):
    stop = run.first("order", side="SELL", status="NEW")
    stop["quantity"] = str(Decimal(stop["quantity"]) * 2)
    assert "I4" in run.violated()


def test_i4_a_slot_sells_what_another_one_holds(run):
    run.first("trade", side="SELL")["quantity"] = "1000"
    assert "I4" in run.violated()


def test_i5_the_books_show_a_state_that_the_exchange_never_had(run):
    filled = next(row for row in run.books.intents if row["state"] == "filled")
    filled["state"] = "expired"
    assert "I5" in run.violated()


def test_i5_an_order_goes_back_between_two_readings(run):
    name = next(row["client_id"] for row in run.books.intents if row["state"] == "filled")
    state, filled = run.books.states[name]
    assert run.violated(readings=[{name: ("live", Decimal(0))}, {name: (state, filled)}]) == ()
    assert run.violated(readings=[{name: (state, filled)}, {name: ("live", Decimal(0))}]) == ("I5",)


def test_i6_equity_that_does_not_follow_from_the_executions(run):
    run.books.equity[-1]["equity"] += Decimal("0.01")
    assert run.violated() == ("I6",)


def test_i7_an_order_without_an_intent(run):
    run.books.intents.pop(0)
    assert "I7" in run.violated()


def test_i7_an_intent_that_was_written_after_its_order_arrived(run):
    run.books.intents[0]["placed_ms"] += 1
    assert run.violated() == ("I7",)


def test_i7_times_are_compared_until_the_exchanges_clock_first_jumps(run):
    run.books.intents[0]["placed_ms"] += 1
    jump = {"kind": "fault", "fault": "skew", "detail": {"ms": 5}}
    run.ledger.append(run.ledger[-1] | jump)
    assert run.violated() == ("I7",)
    run.ledger.insert(0, run.ledger[0] | jump)
    assert run.violated() == ()


def test_i8_an_order_that_nobody_resolved(run):
    run.books.intents[0]["state"] = "sent"
    assert run.violated() == ("I8",)


def test_i8_a_bar_that_was_passed_over(run):
    run.books.decisions.pop(3)
    assert "I8" in run.violated()


def test_i8_the_last_bars_are_missing(run):
    assert run.books.decisions.pop()["bar_ms"] + HOUR == run.context.until_ms
    run.books.equity.pop()
    assert run.violated() == ("I8",)
    assert run.violated(replace(run.context, until_ms=run.context.until_ms - 1)) == ()
    halted = replace(run.context, halts=((run.context.until_ms - 1, 2**60, 3),))
    assert not examine(run.ledger, run.books, halted).violations["I8"]


def test_i9_too_many_orders_in_a_minute(run):
    assert run.violated(replace(run.context, orders_per_minute=1)) == ("I9",)
    assert run.violated(replace(run.context, last_resort=0)) == ("I9",)


def test_i9_a_request_within_a_retry_after(run):
    run.first("answer")["retry_after_s"] = 3_600
    assert run.violated() == ("I9",)


def test_i9_an_entry_under_a_halt(run):
    entry = run.first("order", side="BUY")
    assert run.violated(replace(run.context, halts=((entry["ms"] - 1_001, entry["ms"] + 1, 1),))) == ("I9",)
    assert run.violated(replace(run.context, halts=((entry["ms"] - 999, entry["ms"] + 1, 1),))) == ()


def test_i1_what_was_written_off_is_no_execution_of_the_exchange(run):
    row = dict(run.books.fills[-1]) | {"trade_id": "written-off-0-1"}
    run.books.fills.append(row)
    assert "I1" not in run.violated()
    run.books.fills[-1] = row | {"trade_id": "77777"}
    assert "I1" in run.violated()


def test_what_was_written_off_ends_the_position_and_the_stop_that_is_wanted_for_it(tmp_path):
    played = Play(plain(**TRAILING), lay_sqlite(tmp_path / "atb.db"), tmp_path)
    books = played.run().books
    bought = next(row for row in books.fills if row["role"] == "entry")
    written = dict(bought) | {
        "trade_id": "written-off-0-1", "client_id": "of-no-intent", "side": "sell", "role": "exit", "reason": "risk_limit",
        "fee": Decimal(0), "fee_value": Decimal(0), "fill_no": bought["fill_no"] + 1,
    }  # fmt: skip
    before = [row for row in books.decisions if row["created_at"] < bought["created_at"]]
    last = []
    for fills in ([bought], [bought, written]):
        (wanted,) = wanted_stops(
            replace(books, fills=fills, decisions=before), played.portfolio, played.schedule.series
        )
        last.append(wanted[-1][1])
    assert last[0] is not None
    assert last[1] is None


def test_i9_an_intent_under_an_epoch_that_is_over(run):
    run.books.intents[0]["epoch"] += 1
    assert run.violated() == ("I9",)


def test_i10_another_run_decides_otherwise(run):
    again = decision_log(run.books)
    assert run.violated(again=again) == ()
    assert run.violated(again=[*again[:-1], {**again[-1], "side": 7.0}]) == ("I10",)
    assert run.violated(again=again[:-1]) == ("I10",)


def test_a_stage_that_is_included_keeps_its_name():
    judgement, other = Judgement(), Judgement()
    other.violations["I9"].append("a position was kept")
    other.checked["I9"] = 3
    judgement.include(other, "drill")
    assert (judgement.clean, judgement.violations["I9"], judgement.checked["I9"]) == (
        False,
        ["drill: a position was kept"],
        3,
    )


@pytest.mark.slow
def test_the_same_schedule_decides_the_same_twice(tmp_path):
    logs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        logs.append(decision_log(play(draw(3), lay_sqlite(tmp_path / name / "atb.db"), tmp_path / name).books))
    assert logs[0] == logs[1]
    assert len(logs[0]) > 20

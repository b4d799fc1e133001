"""I3: a sale in the stop's role above the stop needs evidence that the price had met it."""

from decimal import Decimal

import pytest

from atb.rehearsal.invariants.leaving import sold_above_stop
from tests.rehearsal.invariants.entries import ENTRY, EXIT, HOUR, STOP, context, journal, ledger, request, stop, trade

BOUGHT = trade(1, 1, ENTRY)
WANTED = [[(1, Decimal(95)), (50_000, None)]]
PAIR = "The relationship of the prices for the orders is not correct."


def sold(ms=60_000, client_id="atb-main-100-s3", price="99", kind="MARKET"):
    return trade(ms, 9, client_id, side="SELL", price=price, type=kind)


def refused(ms, words, number=7):
    """Return a request for a stop, and its refusal."""
    answer = {"kind": "answer", "ms": ms, "id": number, "status": 400, "code": -2010, "msg": words}
    return request(ms, STOP, number=number), answer


def found(*entries, close=99.0):
    closed = {"bar_ms": 10_000 - HOUR, "slot": 0, "bar": {"close": close}}
    return sold_above_stop(ledger(BOUGHT, *entries), journal(decisions=[closed]), context(), wanted=WANTED)


def test_a_position_that_is_sold_above_its_stop_as_if_that_had_been_met_is_found():
    (words,) = found(sold())
    assert words == "atb-main-100-s3 sold at 99 as if the stop at 95 had been met, at 60000"


@pytest.mark.parametrize("other", [sold(price="95.01"), sold(client_id=EXIT), sold(kind="STOP_LOSS")])
def test_a_sale_at_the_stop_by_a_signal_or_by_the_stop_itself_is_none(other):
    assert found(other) == []


@pytest.mark.parametrize(
    ("words", "times", "clean"),
    [("Stop price would trigger immediately.", 1, True), (PAIR, 9, False), ("Order would immediately match and take.", 9, False),
     ("Filter failure: MAX_NUM_ALGO_ORDERS", 4, True), ("Filter failure: MAX_NUM_ALGO_ORDERS", 3, False)],
)  # fmt: skip
def test_words_about_the_stop_or_many_refusals_for_other_reasons_are_evidence_and_words_about_a_pair_are_none(
    words, times, clean
):
    told = [entry for number in range(times) for entry in refused(20_000 + number, words, number)]
    assert (found(*told, sold()) == []) is clean


def test_a_stop_that_triggered_and_a_close_below_it_are_evidence():
    assert found(stop(30_000, status="EXPIRED"), sold()) == []
    assert found(sold(), close=94.9) == []
    assert len(found(stop(30_000, status="CANCELED"), sold())) == 1


def test_evidence_from_before_the_position_counts_for_nothing():
    before = [dict(entry, ms=0) for entry in refused(0, "Stop price would trigger immediately.")]
    entries = [*before, BOUGHT, sold()]
    assert len(sold_above_stop(ledger(*entries), journal(), context(), wanted=WANTED)) == 1

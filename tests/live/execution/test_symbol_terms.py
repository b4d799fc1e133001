"""Terms of symbols: asked again when they are old, when a refusal says so, and before protection is moved."""

import asyncio
from dataclasses import replace

from atb.domain.venue import Answer
from atb.live.execution.symbol_terms import SymbolTerms
from atb.live.execution.timing import DeskTiming
from tests.live.fake_broker import BTC, ForgedBroker


def asked(broker):
    return [about for what, about in broker.asked if what == "refresh"]


def is_open(terms, *, moving):
    return asyncio.run(terms.is_open(BTC, moving=moving))


def test_they_are_asked_for_again_once_they_are_old():
    broker = ForgedBroker()
    terms = SymbolTerms(broker, DeskTiming(terms_ms=60_000))
    asyncio.run(terms.keep([BTC]))
    assert asked(broker) == [], "the broker was just opened"
    for _ in range(2):
        broker.now += 60_000
        asyncio.run(terms.keep([BTC]))
        asyncio.run(terms.keep([BTC]))
    assert asked(broker) == [(BTC,), (BTC,)]


def test_before_protection_moves_the_venue_is_asked_unless_it_was_just_asked():
    broker = ForgedBroker()
    terms = SymbolTerms(broker, DeskTiming(status_ms=1_000))
    broker.now += 1_000
    assert is_open(terms, moving=False)
    assert asked(broker) == []
    assert is_open(terms, moving=True)
    assert is_open(terms, moving=True)
    assert asked(broker) == [(BTC,)]


def test_a_refusal_that_suggests_a_change_and_a_closed_market_are_asked_about():
    broker = ForgedBroker()
    terms = SymbolTerms(broker, DeskTiming(status_ms=1_000))
    terms.note(BTC, Answer("rejected", "-1013", "Filter failure: LOT_SIZE"))
    assert is_open(terms, moving=False)
    assert asked(broker) == []
    terms.note(BTC, Answer("rejected", "-1013", "Market is closed."))
    assert is_open(terms, moving=False)
    assert asked(broker) == [(BTC,)]
    broker.capabilities = replace(broker.capabilities, status="closed")
    broker.now += 1_000
    assert not is_open(terms, moving=False)
    assert asked(broker) == [(BTC,), (BTC,)]


def test_what_the_venue_does_not_answer_stays_as_it_was():
    broker = ForgedBroker(silent={"refresh"})
    broker.now += 10_000
    assert is_open(SymbolTerms(broker, DeskTiming()), moving=True)

"""Refusals: the words that a venue documents, and nothing else, mean something."""

import pytest

from atb.domain.venue import Answer
from atb.live.execution.refusals import meaning_of


@pytest.mark.parametrize(
    ("code", "text", "meaning"),
    [
        ("-2010", "Stop price would trigger immediately.", "stop passed"),
        ("-2010", "Order would immediately match and take.", "limit passed"),
        ("-2010", "The relationship of the prices for the orders is not correct.", "pair passed"),
        ("-1013", "OPO orders are not supported for this symbol.", "unsupported"),
        ("-1013", "Order cancel-replace is not supported for this symbol.", "unsupported"),
        ("local:unsupported", "kraken lacks a list of orders", "unsupported"),
        ("-2010", "Account has insufficient balance for requested action.", "poor"),
        ("EOrder:Insufficient funds", "", "poor"),
        ("-1013", "Market is closed.", "closed"),
        ("-1021", "Timestamp for this request is outside of the recvWindow.", "passing"),
        ("-1003", "Too much request weight used.", "passing"),
        ("-1015", "Too many new orders.", "passing"),
        ("local:rate_limit", "not sent", "passing"),
        ("-1013", "Filter failure: LOT_SIZE", "other"),
        ("-2010", "This symbol is not permitted for this account.", "other"),
    ],
)
def test_a_refusal_means_what_its_words_say(code, text, meaning):
    assert meaning_of(Answer("rejected", code, text)) == meaning


def test_whatever_comes_with_a_wait_passes():
    assert meaning_of(Answer("rejected", "-2010", "anything", retry_after_ms=1)) == "passing"

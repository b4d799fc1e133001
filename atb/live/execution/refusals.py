"""The meaning of a venue's refusal: the price, the market, the symbol, the account, or only about this moment.

Only words that a venue documents are read here; every other refusal is `other`. A refusal that passes by itself says nothing about
the order: it is sent again later, in the same form. One that the price caused says where the price is, and costs no attempt.
"""

from typing import Literal

from atb.domain.venue import Answer

Meaning = Literal[
    "stop passed",  # the price has passed a stop
    "limit passed",  # the price has passed a limit that may only rest
    "pair passed",  # the price does not lie between a pair's two, which one it passed is not said
    "unsupported",  # the symbol does not allow this type of order, order list or request
    "poor",  # the account cannot pay it, or does not have what it sells
    "closed",  # the market takes no orders
    "passing",  # too many requests, a timestamp outside of its window: nothing that has to do with the order
    "other",
]
PRICES: frozenset[Meaning] = frozenset(("stop passed", "limit passed", "pair passed"))
PASSES: frozenset[Meaning] = frozenset(("closed", "passing"))
PAUSES: dict[Meaning, int] = {"closed": 2_000, "passing": 500}
"""Time (ms) before the next request for a slot; a market may reopen without notice, so this one does not grow."""
CHANGED: frozenset[Meaning] = frozenset(("unsupported", "closed"))
"""Refusals that suggest that what is known of the symbol is old."""

_PASSING = frozenset(("-1021", "-1003", "-1015", "-1008", "local:rate_limit"))
_WORDS: tuple[tuple[str, Meaning], ...] = (
    ("would trigger immediately", "stop passed"),
    ("would immediately match", "limit passed"),
    ("relationship of the prices", "pair passed"),
    ("not supported for this symbol", "unsupported"),
    ("insufficient balance", "poor"),
    ("insufficient funds", "poor"),
    ("insufficient_fund", "poor"),
    ("market is closed", "closed"),
    ("market in cancel_only", "closed"),
    ("market in post_only", "closed"),
)
_OF_SIZE = ("NOTIONAL", "LOT_SIZE")  # filters


def meaning_of(answer: Answer) -> Meaning:
    """Return the meaning of a refusal, by the venue's code and words."""
    if answer.retry_after_ms or answer.code in _PASSING:
        return "passing"
    if answer.code == "local:unsupported":
        return "unsupported"
    text = f"{answer.code} {answer.text}".lower()
    return next((meaning for words, meaning in _WORDS if words in text), "other")


def is_of_size(answer: Answer) -> bool:
    """Return whether a refusal names a filter that refuses small orders, and large ones too."""
    return any(name in f"{answer.code} {answer.text}".upper() for name in _OF_SIZE)

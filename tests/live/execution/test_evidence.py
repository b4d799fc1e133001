"""Evidence about an order whose answer is unknown: one witness is enough to wait, and time only adds to what is absent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.live.execution.evidence import Evidence, moved, next_look_ms, sells_twice, verdict
from atb.live.execution.timing import DeskTiming
from tests.live.fake_broker import Table

TIMING = DeskTiming()
OVER, MINUTE, LONG = 4_000, TIMING.silence_ms, TIMING.balance_ms
ENTRY, SALE = True, False
WITNESSES = st.frozensets(st.sampled_from(("order", "list", "execution", "balance")))
evidence = st.builds(
    Evidence, entry=st.booleans(), asked_ms=st.integers(0, 2_000_000), over_ms=st.integers(0, 100_000),
    looks=st.integers(0, 50), witnesses=WITNESSES,
)  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "beyond_ms", "witnesses", "found"),
    [
        (ENTRY, 0, "", "waits"),
        (ENTRY, 1, "", "waits"),
        (ENTRY, 10_000, "", "waits"),  # as long as users of Binance report that its look-up lags
        (ENTRY, MINUTE, "", "waits"),
        (ENTRY, MINUTE + 1, "", "absent"),
        (ENTRY, MINUTE + 1, "balance", "waits"),
        (ENTRY, LONG + 1, "balance", "absent"),
        (ENTRY, LONG + 1, "order", "absent"),
        (ENTRY, 10 * LONG, "list", "waits"),
        (ENTRY, 10 * LONG, "execution", "waits"),
        (ENTRY, 10 * LONG, "execution balance", "waits"),
        (SALE, 0, "", "waits"),
        (SALE, 1, "", "absent"),
        (SALE, 1, "balance", "waits"),
        (SALE, MINUTE + 1, "balance", "absent"),
        (SALE, 10 * LONG, "list", "waits"),
        (SALE, 10 * LONG, "execution", "waits"),
    ],
)
def test_the_rule(entry, beyond_ms, witnesses, found):
    weighed = Evidence(entry, OVER + beyond_ms, OVER, 9, frozenset(witnesses.split()))
    assert verdict(weighed, TIMING) == found


def test_an_entry_is_asked_for_more_than_once():
    assert [verdict(Evidence(ENTRY, 10 * LONG, OVER, looks), TIMING) for looks in (0, 1, 2, 3)] == [
        "waits", "waits", "waits", "absent",
    ]  # fmt: skip


@given(evidence)
def test_nothing_is_absent_within_its_window(weighed):
    if weighed.asked_ms <= weighed.over_ms:
        assert verdict(weighed, TIMING) == "waits"


@given(evidence, WITNESSES)
def test_a_further_witness_never_makes_an_order_absent(weighed, more):
    fuller = Evidence(weighed.entry, weighed.asked_ms, weighed.over_ms, weighed.looks, weighed.witnesses | more)
    if verdict(weighed, TIMING) == "waits":
        assert verdict(fuller, TIMING) == "waits"


@given(evidence, st.integers(0, 1_000_000), st.integers(0, 5))
def test_an_order_that_is_absent_stays_so_with_time(weighed, later_ms, looks):
    later = Evidence(
        weighed.entry, weighed.asked_ms + later_ms, weighed.over_ms, weighed.looks + looks, weighed.witnesses
    )
    if verdict(weighed, TIMING) == "absent":
        assert verdict(later, TIMING) == "absent"


@given(evidence)
def test_a_list_or_an_execution_is_never_outwaited(weighed):
    if weighed.witnesses & {"list", "execution"}:
        assert verdict(weighed, TIMING) == "waits"


@given(st.integers(0, 2_000_000), st.integers(0, 100_000))
def test_a_look_is_followed_by_one_within_ten_seconds_and_by_one_right_after_the_window(asked_ms, over_ms):
    following = next_look_ms(asked_ms, over_ms, TIMING)
    assert asked_ms < following <= asked_ms + TIMING.longest_look_ms
    if asked_ms <= over_ms:
        assert following <= over_ms + 1


def test_the_pauses_between_looks_begin_anew_with_an_update():
    assert next_look_ms(28_000, 4_000, TIMING) == 34_000
    assert next_look_ms(28_000, 4_000, TIMING, updated_ms=28_000) == 28_000 + TIMING.look_ms
    assert next_look_ms(36_000, 4_000, TIMING, updated_ms=28_000) == 38_000


@pytest.mark.parametrize(
    ("role", "base", "quote", "locked", "speaks"),
    [
        ("entry", "1", "0", "0", True),
        ("entry", "0", "-100", "0", True),
        ("entry", "-1", "100", "1", False),
        ("exit", "-1", "0", "0", True),
        ("exit", "0", "0", "1", True),
        ("exit", "1", "-100", "0", False),
    ],
)
def test_balances_speak_for_an_order_that_would_have_moved_them_so(role, base, quote, locked, speaks):
    order = Table().order(role)
    assert moved(order, base=Decimal(base), quote=Decimal(quote), locked=Decimal(locked)) is speaks


@pytest.mark.parametrize(
    ("role", "kind", "held", "twice"),
    [
        ("exit", "market", "2", True),
        ("exit", "market", "1.99", False),
        ("stop", "stop", "9", False),
        ("target", "limit", "9", False),
    ],
)
def test_only_a_sale_at_once_from_an_account_with_enough_can_happen_twice(role, kind, held, twice):
    assert sells_twice(Table().order(role, kind), Decimal(held)) is twice

"""Whether a runner is at work: by its process, its lease, and by decisions that should have come."""

import pytest

from atb.live.journal.lease import TTL_MS
from atb.live.journal.liveness import LATE_MS, SILENT_MS, Decisions, overdue, stale

HOUR = 3_600_000
NOW = 1_704_067_200_000 + 10 * HOUR


def decided(bar_ms, *, lag_ms=1_000, timeframe="1h", more=()):
    return Decisions([("BTC/USDT", timeframe, bar_ms), *more], [(bar_ms, timeframe, bar_ms + HOUR + lag_ms)])


def judged(now_ms, *, held=True, renewed_ms=None, decisions=None):
    renewed_ms = now_ms if renewed_ms is None else renewed_ms
    decisions = decisions or decided(now_ms - HOUR - 10_000)
    return stale(
        held=held, renewed_until_ms=renewed_ms + TTL_MS, begun_ms=NOW - 9 * HOUR, decisions=decisions, now_ms=now_ms
    )


def test_a_runner_that_writes_and_decides_is_at_work():
    assert judged(NOW) is None
    assert judged(NOW, renewed_ms=NOW - SILENT_MS) is None


def test_a_process_that_is_gone_is_stale_since_its_last_sign():
    assert judged(NOW, held=False, renewed_ms=NOW - 900).since_ms == NOW - 900


def test_a_runner_that_was_never_seen_is_stale_since_it_began():
    found = stale(held=False, renewed_until_ms=None, begun_ms=NOW, decisions=Decisions([], []), now_ms=NOW + 1)
    assert found.since_ms == NOW


def test_a_runner_that_renews_nothing_is_stale_before_five_seconds_passed():
    found = judged(NOW, renewed_ms=NOW - SILENT_MS - 1)
    assert found.since_ms == NOW - SILENT_MS - 1
    assert SILENT_MS < 5_000


@pytest.mark.parametrize("late_ms", [LATE_MS + 1, HOUR, 100 * HOUR])
def test_a_process_that_lives_while_its_bars_are_overdue_is_stale(late_ms):
    last = NOW - 5 * HOUR
    due = last + 2 * HOUR
    found = judged(due + late_ms, decisions=decided(last))
    assert (found.since_ms, "BTC/USDT" in found.why) == (due, True)


def test_a_bar_is_not_overdue_before_it_had_time_to_arrive():
    last = NOW - 5 * HOUR
    assert judged(last + 2 * HOUR + LATE_MS, decisions=decided(last)) is None


def test_one_slot_without_bars_among_others_with_bars_is_found():
    now = NOW + 2_000
    quiet = [("ETH/USDT", "1h", NOW - 3 * HOUR)]
    found = judged(now, decisions=decided(NOW - HOUR, more=quiet))
    assert (found.since_ms, "ETH/USDT" in found.why) == (NOW - HOUR, True)


def test_slots_of_longer_bars_may_wait_longer():
    assert judged(NOW + 2_000, decisions=decided(NOW - HOUR, more=[("ETH/USDT", "1d", NOW - 30 * HOUR)])) is None


def test_a_month_has_its_own_length():
    february = 1_706_745_600_000  # 2024-02-01
    decisions = Decisions([("BTC/USDT", "1M", february)], [(february, "1M", 1_709_251_200_000 + 5_000)])
    april = 1_711_929_600_000
    assert overdue(decisions, begun_ms=0, now_ms=april) is None
    assert overdue(decisions, begun_ms=0, now_ms=april + LATE_MS + 1).since_ms == april


def past(count, *, pace_ms):
    """Decisions on bars of years ago, written now at a pace."""
    old = NOW - 1_000 * HOUR
    written = [(old + number * HOUR, "1h", NOW + number * pace_ms) for number in range(count)]
    return Decisions([("BTC/USDT", "1h", written[-1][0])], written[::-1])


def test_past_bars_are_judged_by_their_own_pace():
    decisions = past(10, pace_ms=60_000)
    last = NOW + 9 * 60_000
    assert overdue(decisions, begun_ms=NOW, now_ms=last + 3 * 60_000) is None
    assert overdue(decisions, begun_ms=NOW, now_ms=last + 3 * 60_000 + LATE_MS + 1).since_ms == last


def test_two_decisions_on_past_bars_have_no_pace_yet():
    assert overdue(past(2, pace_ms=1), begun_ms=NOW, now_ms=NOW + HOUR) is None


def test_a_runner_that_caught_up_after_a_pause_is_judged_by_the_clock_again():
    bars = [NOW - number * HOUR for number in range(1, 9)]
    written = [(bar, "1h", NOW + 5_000 - number) for number, bar in enumerate(bars)]  # all within a second
    decisions = Decisions([("BTC/USDT", "1h", bars[0])], written)
    assert overdue(decisions, begun_ms=NOW, now_ms=NOW + HOUR - 1) is None


def test_a_session_that_never_decides_is_overdue_once_a_bar_must_have_closed():
    decisions = Decisions([("BTC/USDT", "1h", None)], [])
    assert overdue(decisions, begun_ms=NOW, now_ms=NOW + HOUR) is None
    assert overdue(decisions, begun_ms=NOW, now_ms=NOW + HOUR + LATE_MS + 1).since_ms == NOW + HOUR

"""The budget says no before the exchange does, keeps a reserve for what protects, and is silent when asked to be."""

import pytest

from atb.venues.broker.rate_limit import RateLimiter, RateWindow

T = 1_735_689_600_000  # the start of a minute, and of a day


def test_a_window_starts_anew_at_each_multiple_of_its_length():
    window = RateWindow(60_000, 10)
    window.use(T + 59_999, 10)
    assert window.room(T + 59_999, 0.0) == 0
    assert window.room(T + 60_000, 0.0) == 10
    assert window.wait_ms(T + 59_000) == 1_000


def test_ordinary_requests_leave_the_reserve_untouched():
    rate_limiter = RateLimiter(weight=RateWindow(60_000, 100), reserve=0.2)
    assert rate_limiter.wait_ms(T, weight=80) == 0
    assert rate_limiter.wait_ms(T, weight=1) == 60_000
    assert rate_limiter.wait_ms(T, weight=20, protective=True) == 0
    assert rate_limiter.wait_ms(T + 30_000, weight=1, protective=True) == 30_000
    assert rate_limiter.wait_ms(T + 60_000, weight=80) == 0


def test_what_is_refused_is_not_counted():
    rate_limiter = RateLimiter(weight=RateWindow(60_000, 100), orders=[RateWindow(10_000, 1)], reserve=0.0)
    assert rate_limiter.wait_ms(T, weight=1, orders=2) == 10_000
    assert rate_limiter.wait_ms(T, weight=100) == 0


def test_orders_have_a_limit_of_their_own_with_a_reserve():
    rate_limiter = RateLimiter(orders=[RateWindow(10_000, 10)], reserve=0.2)
    assert [rate_limiter.wait_ms(T, weight=1, orders=1) for _ in range(9)] == [0] * 8 + [10_000]
    assert [rate_limiter.wait_ms(T, weight=1, orders=1, protective=True) for _ in range(3)] == [0, 0, 10_000]
    assert rate_limiter.wait_ms(T, weight=1) == 0


def test_the_exchanges_own_count_is_believed_where_it_is_higher():
    rate_limiter = RateLimiter(weight=RateWindow(60_000, 100), reserve=0.0)
    rate_limiter.wait_ms(T, weight=50)
    rate_limiter.update(T, 200, headers={"x-mbx-used-weight-1m": "20"})
    assert rate_limiter.weight.used == 50
    rate_limiter.update(T, 200, headers={"x-mbx-used-weight-1m": "95", "x-mbx-order-count-10s": "99"})
    assert rate_limiter.wait_ms(T, weight=6) == 60_000
    assert rate_limiter.wait_ms(T + 60_000, weight=1, orders=1) == 0
    rate_limiter.update(T + 60_000, 200, headers={"x-mbx-order-count-10s": "100", "x-mbx-order-count-1d": "many"})
    assert rate_limiter.wait_ms(T + 60_000, weight=1, orders=1) == 10_000


@pytest.mark.parametrize("status", [418, 429])
@pytest.mark.parametrize("protective", [False, True])
def test_nothing_at_all_is_sent_until_the_exchange_has_had_its_silence(status, protective):
    rate_limiter = RateLimiter()
    rate_limiter.update(T, status, headers={"retry-after": "7"})
    assert rate_limiter.wait_ms(T + 6_999, weight=1, protective=protective) == 1
    assert rate_limiter.wait_ms(T + 7_000, weight=1, protective=protective) == 0


def test_a_ban_that_names_its_end_lasts_until_then():
    rate_limiter = RateLimiter()
    rate_limiter.update(
        T, 418, headers={}, text=f'{{"code":-1003,"msg":"Way too much; IP banned until {T + 90_000}."}}'
    )
    assert rate_limiter.blocked_until_ms == T + 90_000


def test_without_a_word_a_ban_lasts_two_minutes_and_a_limit_this_minute():
    banned, limited = RateLimiter(), RateLimiter()
    banned.update(T, 418, headers={})
    limited.update(T + 20_000, 429, headers={})
    assert (banned.blocked_until_ms, limited.blocked_until_ms) == (T + 120_000, T + 60_000)


def test_a_shorter_silence_does_not_end_a_longer_one():
    rate_limiter = RateLimiter()
    rate_limiter.update(T, 418, headers={"retry-after": "60"})
    rate_limiter.update(T, 429, headers={"retry-after": "1"})
    assert rate_limiter.blocked_until_ms == T + 60_000


def test_takes_the_limits_that_the_exchange_gives():
    rate_limiter = RateLimiter()
    rate_limiter.set_limits(
        [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
        ]
    )
    assert rate_limiter.weight.limit == 1200
    assert [(limit.length_ms, limit.limit) for limit in rate_limiter.orders] == [(10_000, 50)]

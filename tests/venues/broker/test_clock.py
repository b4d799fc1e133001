"""Exchange time: a bound that is never ahead, measured again when it is old or when the exchange says that it is wrong."""

import asyncio

from atb.venues.broker.clock import VenueClock
from tests.venues.broker.fake_exchange import NOW, Forgery, StandingClock, an_order, binance, in_loop, order_row

ORDER = an_order()


def measured(clock, *answers, **settings):
    """Return a present whose questions take the (time out, time back) and tell what `answers` hold."""
    present, left = VenueClock(clock, **settings), list(answers)

    async def server_time():
        way_out, answer, way_back = left.pop(0)
        clock.time += way_out + way_back
        return answer

    asyncio.run(present.measure(server_time))
    return present, left


def test_a_clock_that_stands_still_while_we_ask_is_measured_once_and_exactly():
    clock = StandingClock(1_000)
    present, left = measured(clock, (0, 16_000, 0), (0, 0, 0))
    assert (present.offset_ms, len(left)) == (15_000, 1)


def test_is_never_ahead_of_the_exchange_and_takes_the_tightest_of_three_bounds():
    clock = StandingClock(0)
    # The exchange is 500 ms ahead; the answers take 40, 10 and 90 ms to come back.
    present, _ = measured(clock, (20, 520, 40), (20, 580, 10), (20, 610, 90))
    assert present.offset_ms == 490
    assert present.now_ms() == clock.time + 490


def test_a_measurement_grows_old():
    clock = StandingClock(0)
    present = VenueClock(clock, every_ms=1_000)
    assert present.old
    present, _ = measured(clock, (3, 5, 1), (3, 9, 1), (3, 13, 1), every_ms=1_000)
    assert not present.old
    clock.time += 1_000
    assert present.old


def test_a_measurement_by_the_venues_own_clock_lasts_a_day():
    clock = StandingClock(0)
    present, _ = measured(clock, (0, 5, 0))
    clock.time += 86_399_999
    assert not present.old
    clock.time += 1
    assert present.old


@in_loop
async def test_requests_carry_exchange_time_and_not_ours():
    clock = StandingClock(NOW - 3_600_000)
    async with binance(clock) as (broker, forged):
        forged.say("POST", "order", Forgery(order_row(ORDER)))
        answer = await broker.place(ORDER)
        assert broker.now_ms() == NOW
    sent = forged.asked("POST", "order")[0]
    assert (sent["timestamp"], sent["recvWindow"]) == (str(NOW), "3000")
    assert answer.sent_ms == NOW


@in_loop
async def test_after_a_skewed_order_the_clock_is_measured_so_that_the_next_attempt_is_right():
    async with binance() as (broker, forged):
        forged.say("POST", "order", Forgery({"code": -1021, "msg": "Timestamp for this request is outside."}, 400))
        forged.say("GET", "time", Forgery({"serverTime": NOW + 15_000}))
        answer = await broker.place(ORDER)
        assert (answer.outcome, answer.code) == ("rejected", "-1021")
        assert broker.now_ms() == NOW + 15_000
        assert len(forged.asked("POST", "order")) == 1


@in_loop
async def test_a_clock_that_cannot_be_measured_after_a_skew_is_measured_by_the_next_reading():
    async with binance() as (broker, forged):
        forged.say("POST", "order", Forgery({"code": -1021, "msg": "Timestamp for this request is outside."}, 400))
        forged.say("GET", "time", Forgery("", 503), Forgery({"serverTime": NOW + 15_000}))
        forged.say("GET", "openOrders", Forgery([]))
        assert (await broker.place(ORDER)).code == "-1021"
        assert broker.now_ms() == NOW
        await broker.open_orders(ORDER.symbol)
        assert broker.now_ms() == NOW + 15_000


@in_loop
async def test_a_skewed_reading_measures_the_clock_and_asks_again_once():
    skewed = Forgery({"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}, 400)
    async with binance() as (broker, forged):
        forged.say("GET", "openOrders", skewed, Forgery([]))
        forged.say("GET", "time", Forgery({"serverTime": NOW + 15_000}))
        assert await broker.open_orders(ORDER.symbol) == ()
        assert [query["timestamp"] for query in forged.asked("GET", "openOrders")] == [str(NOW), str(NOW + 15_000)]


@in_loop
async def test_an_old_offset_is_measured_by_a_reading_that_is_in_no_hurry_and_never_by_an_order():
    clock = StandingClock()
    async with binance(clock) as (broker, forged):
        forged.say("POST", "order", Forgery(order_row(ORDER)))
        forged.say("GET", "openOrders", Forgery([]))
        clock.time += 86_400_000
        await broker.place(ORDER)
        assert len(forged.asked("GET", "time")) == 1
        await broker.open_orders(ORDER.symbol)
        await broker.open_orders(ORDER.symbol)
        assert len(forged.asked("GET", "time")) == 2

"""Time passes in the exchange while a client works, if it is told to, and both clocks can be read from the ledger."""

import asyncio
import time

import pytest

from atb.errors import InputError
from atb.live.feed.timer import SteppedTimer
from atb.venues.simulator.clock import VirtualClock
from tests.timeouts import PATIENCE_S
from tests.venues.simulator.caller import calling
from tests.venues.simulator.client import HOUR, closes, config_of

PACE = 7_200.0  # two hours a second


def test_a_clock_stands_still_unless_somebody_works_at_its_pace():
    still, going = VirtualClock(1_000), VirtualClock(1_000, pace=1_000_000.0)
    for clock in (still, going):
        clock.work(True)
    time.sleep(0.002)
    assert still.now_ms() == 1_000
    assert going.now_ms() >= 1_000 + 2_000
    going.work(False)
    now = going.now_ms()
    time.sleep(0.002)
    assert going.now_ms() == now
    going.advance(5)
    going.reach(now)
    assert going.now_ms() == now + 5


def test_work_takes_exchange_time_and_waiting_takes_none_of_ours():
    with calling(pace=PACE) as call:
        stop = call.order("SELL", "STOP_LOSS", stopPrice=95)

        async def work():
            timer = SteppedTimer(call.running.clock_url)
            await timer.open()
            try:
                began, seen = time.monotonic(), []
                while call.exchange.now_ms() < call.start_ms + 5 * HOUR and time.monotonic() - began < PATIENCE_S:
                    await asyncio.sleep(0.01)  # no request: the exchange's bars go on all the same
                    seen.append((timer.now_ms(), call.exchange.clock.now_ms()))
                assert all(mine <= theirs for mine, theirs in seen), "never ahead of the exchange"
                assert seen[-1][0] > call.start_ms
                assert [first[0] for first in seen] == sorted(first[0] for first in seen)
                until, before = timer.now_ms() + 1_000 * HOUR, time.monotonic()
                while not await timer.wait_until(until, asyncio.Event()) and timer.now_ms() < until:
                    pass
                return time.monotonic() - before
            finally:
                await timer.close()

        waited_s = asyncio.run(work())
        while len(call.exchange.barrier):  # the exchange hears of the end a moment later
            time.sleep(0.001)
        assert call.look_up(stop["orderId"])["status"] == "FILLED"
        assert waited_s * PACE * 1_000 < 1_000 * HOUR
        now = call.exchange.now_ms()
        time.sleep(0.01)
        assert call("GET", "time")[1]["serverTime"] == now, "who is gone does not work"


def test_the_ledger_has_both_clocks():
    with calling() as call:
        call.order("BUY", "MARKET")
        time.sleep(0.02)
        call.order("SELL", "MARKET")
        first, second = call.running.ledger("trade")
        assert first["ms"] == second["ms"]
        assert second["real_ms"] - first["real_ms"] >= 20


def test_a_pace_is_not_negative():
    with pytest.raises(InputError, match="pace"):
        config_of(closes(1, 2), pace=-1.0)

"""Clocks that can be waited on: the machine's, one that jumps or walks through stored bars, and a simulated exchange's."""

import asyncio
from contextlib import ExitStack
from time import monotonic, time

import pytest

from atb.errors import VenueError
from atb.live.feed.timer import PacedTimer, ReplayTimer, SteppedTimer, SystemTimer, VenueTimer
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.faults import Fault
from atb.venues.simulator.server import running_exchange
from tests.bars import bars_of, random_walk
from tests.timeouts import PATIENCE_S

HOUR = 3_600_000


def waited(timer, until, ring_after=None):
    """Wait; return whether it was woken and for how many seconds it waited."""

    async def wait():
        wake = asyncio.Event()
        if ring_after is not None:
            asyncio.get_running_loop().call_later(ring_after, wake.set)
        began = monotonic()
        woken = await timer.wait_until(until, wake)
        await timer.close()
        return woken, monotonic() - began

    return asyncio.run(wait())


def test_a_replay_as_fast_as_possible_jumps():
    timer = ReplayTimer(0)
    woken, seconds = waited(timer, 10**6 * HOUR)
    assert (woken, timer.now_ms()) == (False, 10**6 * HOUR)
    assert seconds < PATIENCE_S


def test_a_replay_at_a_speed_takes_its_time():
    timer = ReplayTimer(0, speed=36_000)
    woken, seconds = waited(timer, HOUR)
    assert (woken, timer.now_ms()) == (False, HOUR)
    assert 0.09 < seconds < PATIENCE_S


def test_a_replay_never_goes_back():
    timer = ReplayTimer(5 * HOUR, speed=1)
    assert waited(timer, HOUR)[0] is False
    assert timer.now_ms() == 5 * HOUR


def test_a_replay_that_is_woken_stands_where_it_was_on_its_way():
    """A wait that is woken again and again still ends."""
    timer = ReplayTimer(0, speed=3.6)  # an hour in a thousand seconds
    woken, seconds = waited(timer, HOUR, ring_after=0.2)
    assert woken
    assert 0.19 * 3_600 <= timer.now_ms() <= seconds * 3_600


def test_a_jump_that_is_woken_before_it_does_not_happen():
    async def wait():
        timer, wake = ReplayTimer(7), asyncio.Event()
        wake.set()
        return await timer.wait_until(HOUR, wake), timer.now_ms()

    assert asyncio.run(wait()) == (True, 7)


def test_the_machines_clock_waits_until_its_moment_or_until_it_is_woken():
    timer = SystemTimer()
    assert abs(timer.now_ms() / 1_000 - time()) < 1
    woken, seconds = waited(timer, timer.now_ms() + 100)
    assert (woken, 0.08 < seconds < 1) == (False, True)
    woken, seconds = waited(timer, timer.now_ms() + HOUR, ring_after=0.05)
    assert (woken, seconds < 1) == (True, True)
    assert waited(timer, timer.now_ms() - HOUR)[0] is False


# --- a simulated exchange's clock ---------------------------------------------------------------------------------------


@pytest.fixture
def simulated():
    bars = bars_of(random_walk(40, 1))
    with running_exchange(ExchangeConfig((bars,), start_ms=int(bars.opened_ms[20]))) as running:
        yield running, running.clock_url, int(bars.opened_ms[20])


def stepped(url, act):
    async def run():
        timer = SteppedTimer(url)
        await timer.open()
        try:
            return await act(timer)
        finally:
            await timer.close()

    return asyncio.run(run())


def test_a_simulated_clock_moves_when_all_wait_and_stands_still_while_one_works(simulated):
    running, url, start = simulated

    async def act(timer):
        before = timer.now_ms()
        await asyncio.sleep(0.1)
        woken = await timer.wait_until(start + HOUR, asyncio.Event())
        return before, timer.now_ms(), woken

    assert stepped(url, act) == (start, start + HOUR, False)
    assert running.clock.now_ms() == start + HOUR


def test_two_participants_go_no_further_than_the_nearer_of_their_moments(simulated):
    _, url, start = simulated

    async def act(timer):
        other = SteppedTimer(url)
        await other.open()
        both = asyncio.gather(
            timer.wait_until(start + 60_000, asyncio.Event()), other.wait_until(start + HOUR, asyncio.Event())
        )
        await asyncio.sleep(0.2)
        now = timer.now_ms()
        await other.close()
        both.cancel()
        return now

    assert stepped(url, act) == start + 60_000


def test_what_happens_on_the_account_wakes_before_its_time(simulated):
    running, url, start = simulated
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    running.add_faults(Fault("manual", at_ms=start + 90_000, detail={"order": order}))

    async def act(timer):
        return await timer.wait_until(start + HOUR, asyncio.Event()), timer.now_ms()

    assert stepped(url, act) == (True, start + 90_000)


def test_a_hint_that_is_there_already_keeps_time_from_moving(simulated):
    _, url, start = simulated

    async def act(timer):
        wake = asyncio.Event()
        asyncio.get_running_loop().call_soon(wake.set)
        return await timer.wait_until(start + HOUR, wake), timer.now_ms()

    assert stepped(url, act) == (True, start)


def test_a_clock_that_is_not_there_or_not_open_is_an_error(simulated):
    running, url, _ = simulated
    with pytest.raises(VenueError, match="cannot be reached"):
        stepped("ws://127.0.0.1:1/control/clock", None)
    with pytest.raises(VenueError, match="is closed"):
        waited(SteppedTimer(url), HOUR)
    assert running.url.removeprefix("http://") in url


def test_an_exchange_that_ends_takes_its_clock_away():
    bars = bars_of(random_walk(40, 1))
    start = int(bars.opened_ms[20])

    async def act(timer):
        await asyncio.to_thread(ending.close)
        with pytest.raises(VenueError, match="went away"):
            await asyncio.wait_for(timer.wait_until(start + HOUR, asyncio.Event()), 10)

    with ExitStack() as ending:
        running = ending.enter_context(running_exchange(ExchangeConfig((bars,), start_ms=start)))
        stepped(running.clock_url, act)


@pytest.mark.parametrize("ahead_ms", [-5_000, 0, 5_000])
def test_the_venues_clock_is_waited_for_on_ours(ahead_ms):
    ours = SystemTimer()
    venue = VenueTimer(ours, lambda: ours.now_ms() + ahead_ms)
    assert abs(venue.now_ms() - ours.now_ms() - ahead_ms) < 100
    woken, seconds = waited(closing(venue), venue.now_ms() + 100)
    assert (woken, 0.05 < seconds < 2) == (False, True)


def closing(timer):
    async def close():
        return None

    timer.close = close
    return timer


def test_a_simulated_clock_that_goes_by_itself_is_counted_along_and_never_ahead():
    bars = bars_of(random_walk(100, 1))
    config = ExchangeConfig((bars,), start_ms=int(bars.opened_ms[50]), clock="real", speed=3_600)
    with running_exchange(config) as running:

        async def look():
            stepped = SteppedTimer(running.clock_url)
            await stepped.open()
            timer = stepped.paced()
            await stepped.close()
            start, wake = timer.now_ms(), asyncio.Event()
            asyncio.get_running_loop().call_later(0.2, wake.set)
            woken = await timer.wait_until(start + 10 * HOUR, wake)
            found = timer.now_ms()
            behind = running.clock.now_ms() - found
            again = await timer.wait_until(found + HOUR // 4, asyncio.Event())
            return woken, again, found - start, behind, timer.now_ms() - found

        woken, again, gone, behind, waited_ms = asyncio.run(look())
    assert (woken, again) == (True, False)
    assert 0.2 * HOUR <= gone < 0.5 * HOUR
    assert 0 <= behind < HOUR // 4
    assert HOUR // 4 <= waited_ms < HOUR


def test_a_virtual_clock_has_no_pace():
    bars = bars_of(random_walk(100, 1))
    with running_exchange(ExchangeConfig((bars,), start_ms=int(bars.opened_ms[50]))) as running:

        async def look():
            stepped = SteppedTimer(running.clock_url)
            await stepped.open()
            await stepped.close()
            return stepped.paced()

        assert asyncio.run(look()) is None
    wake = asyncio.Event()
    wake.set()
    assert asyncio.run(PacedTimer(0, 1.0).wait_until(HOUR, wake))

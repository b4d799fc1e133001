"""Clocks that can be waited on: the machine's, and one that jumps or walks through stored bars."""

import asyncio
from time import monotonic, time

import pytest

from atb.live.timer import ReplayTimer, SystemTimer

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
    assert seconds < 1


def test_a_replay_at_a_speed_takes_its_time():
    timer = ReplayTimer(0, speed=36_000)
    woken, seconds = waited(timer, HOUR)
    assert (woken, timer.now_ms()) == (False, HOUR)
    assert 0.09 < seconds < 1


def test_a_replay_never_goes_back():
    timer = ReplayTimer(5 * HOUR, speed=1)
    assert waited(timer, HOUR)[0] is False
    assert timer.now_ms() == 5 * HOUR


def test_a_replay_that_is_woken_stands_where_it_was_on_its_way():
    """So that one that is woken again and again gets there none the less."""
    timer = ReplayTimer(0, speed=3_600)
    woken, seconds = waited(timer, HOUR, ring_after=0.2)
    assert woken
    assert timer.now_ms() == pytest.approx(seconds * HOUR, rel=0.3)
    assert timer.now_ms() < HOUR


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

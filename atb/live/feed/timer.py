"""Clocks that can be waited on: the machine's, a simulated exchange's, and one that jumps through stored bars.

All waiting of a runner goes through one `Timer`, so that the same code trades in real time, rehearses months in minutes, and
replays a catalogue as fast as it can.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from atb.domain import Timer
from atb.errors import VenueError

if TYPE_CHECKING:
    import aiohttp

_LONGEST_S = 3_600.0  # a single wait; clocks of machines are corrected


class SystemTimer:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the present in epoch milliseconds, UTC."""
        return time_ns() // 1_000_000

    async def wait_until(self, time_ms: int, wake: asyncio.Event) -> bool:
        """Wait until `time_ms`, or until `wake` is set if that is earlier; tell whether it was woken."""
        while (left := (time_ms - self.now_ms()) / 1_000) > 0 and not wake.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), min(left, _LONGEST_S))
        return wake.is_set()

    async def close(self) -> None:
        """Have nothing to end."""


class VenueTimer:
    """A venue's clock: what closes and what is over by it, while the waiting is done on the clock that we have.

    Parameters
    ----------
    timer
        What is waited on.
    now_ms
        The venue's present.
    """

    def __init__(self, timer: Timer, now_ms: Callable[[], int]) -> None:
        self._timer, self.now_ms = timer, now_ms

    async def wait_until(self, time_ms: int, wake: asyncio.Event) -> bool:
        """Wait until the venue's time is `time_ms`, or until `wake` is set if that is earlier; tell whether it was woken."""
        return await self._timer.wait_until(time_ms - (self.now_ms() - self._timer.now_ms()), wake)


class ReplayTimer:
    """A clock that is where it is sent: at once, or at `speed` seconds of market time per second.

    Parameters
    ----------
    start_ms
        Where it begins, epoch milliseconds.
    speed
        Seconds of market time per second of the machine; None is as fast as possible.
    """

    def __init__(self, start_ms: int, speed: float | None = None) -> None:
        self._now_ms, self._speed = start_ms, speed

    def now_ms(self) -> int:
        """Return where the replay is."""
        return self._now_ms

    async def wait_until(self, time_ms: int, wake: asyncio.Event) -> bool:
        """Jump to `time_ms`, or go there at the speed; `wake` stops it on the way."""
        began, there_ms = monotonic(), time_ms
        if self._speed is None:
            await asyncio.sleep(0)  # signals and other tasks get their turn
        elif (left := (time_ms - self._now_ms) / 1_000 / self._speed) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), left)
        if wake.is_set():
            gone_ms = 0.0 if self._speed is None else (monotonic() - began) * 1_000 * self._speed
            there_ms = min(time_ms, self._now_ms + int(gone_ms))
        self._now_ms = max(self._now_ms, there_ms)
        return wake.is_set()

    async def close(self) -> None:
        """Have nothing to end."""


class SteppedTimer:
    """The virtual clock of a simulated exchange, which stands still while this process works.

    Parameters
    ----------
    url
        Of the exchange's clock, `ws://127.0.0.1:PORT/control/clock`. While the connection is open, the exchange's time moves only
        when this process waits; it asks for the moment up to which it has nothing to do.
    """

    def __init__(self, url: str) -> None:
        self._url, self._now_ms = url, 0
        self.speed: float | None = None  # how many times as fast as ours it goes by itself, None where it is virtual
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def open(self) -> None:
        """Take part in the exchange's time.

        Raises
        ------
        VenueError
            If there is no such clock.
        """
        import aiohttp

        self._session = aiohttp.ClientSession()
        try:
            self._socket = await self._session.ws_connect(self._url)
            said = await self._receive()
            self._take(said)
            self.speed = said.get("speed")
        except (aiohttp.ClientError, OSError) as refused:
            await self.close()
            raise VenueError("The simulated exchange's clock cannot be reached", found=self._url) from refused

    async def close(self) -> None:
        """Leave: time goes on without this process."""
        if self._socket is not None:
            await self._socket.close()
        if self._session is not None:
            await self._session.close()
        self._socket = self._session = None

    def now_ms(self) -> int:
        """Return the exchange's present."""
        return self._now_ms

    async def wait_until(self, time_ms: int, wake: asyncio.Event) -> bool:
        """Let the exchange's time pass until `time_ms`, or until something happens there; tell whether it did."""
        await asyncio.sleep(0)  # a hint that has arrived is heard before time moves
        if wake.is_set():
            return True
        if self._socket is None:
            raise VenueError("The simulated exchange's clock is closed")
        try:
            await self._socket.send_str(json.dumps({"until": time_ms}))
        except OSError as ended:
            raise VenueError("The simulated exchange's clock went away", found=self._url) from ended
        return self._take(await self._receive())

    def paced(self) -> "PacedTimer | None":
        """Return what goes on by itself from here on, where the exchange's clock does that."""
        return None if self.speed is None else PacedTimer(self._now_ms, self.speed)

    def _take(self, said: dict[str, Any]) -> bool:
        self._now_ms = int(said["now"])
        return bool(said.get("woken"))

    async def _receive(self) -> dict[str, Any]:
        if self._socket is None:
            raise VenueError("The simulated exchange's clock is closed")
        try:
            said: dict[str, Any] = await self._socket.receive_json()
        except (TypeError, ValueError) as ended:  # a closing frame is no JSON
            raise VenueError("The simulated exchange's clock went away", found=self._url) from ended
        return said


class PacedTimer:
    """A simulated exchange's clock that goes by itself, several times as fast as ours: it is counted along here.

    Parameters
    ----------
    now_ms
        What it has just told; it was a little later when that was heard, so it is never ahead.
    speed
        How many times as fast as ours it goes.
    """

    def __init__(self, now_ms: int, speed: float) -> None:
        self._start_ms, self.speed, self._began = now_ms, speed, monotonic()

    def now_ms(self) -> int:
        """Return the exchange's present."""
        return self._start_ms + int((monotonic() - self._began) * 1_000 * self.speed)

    async def wait_until(self, time_ms: int, wake: asyncio.Event) -> bool:
        """Wait until `time_ms`, or until `wake` is set if that is earlier; tell whether it was woken."""
        while (left := (time_ms - self.now_ms()) / 1_000 / self.speed) > 0 and not wake.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), min(left, _LONGEST_S))
        await asyncio.sleep(0)  # at such a speed there may always be something due: signals and streams get their turn
        return wake.is_set()

    async def close(self) -> None:
        """Have nothing to end."""

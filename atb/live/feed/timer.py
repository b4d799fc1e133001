"""Clocks to wait on: the machine's, a simulated exchange's, and one that jumps through stored bars.

A runner waits through one `Timer` only, so that the same code trades in real time, rehearses months in minutes, and replays a
catalogue as fast as possible.
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

_LONGEST_S = 3_600.0  # a single wait, since the machine's clock may be corrected meanwhile


class SystemTimer:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the present in epoch milliseconds, UTC."""
        return time_ns() // 1_000_000

    async def wait_until(self, time_ms: int, wake: asyncio.Event) -> bool:
        """Wait until `time_ms`, or until `wake` is set if that is earlier; return whether it was woken."""
        while (left := (time_ms - self.now_ms()) / 1_000) > 0 and not wake.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), min(left, _LONGEST_S))
        return wake.is_set()

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


class VenueTimer:
    """The venue's time, with the waiting done on another timer.

    Parameters
    ----------
    timer
        Does the waiting.
    now_ms
        Returns the venue's present, epoch milliseconds.
    """

    def __init__(self, timer: Timer, now_ms: Callable[[], int]) -> None:
        self._timer, self.now_ms = timer, now_ms

    async def wait_until(self, time_ms: int, wake: asyncio.Event) -> bool:
        """Wait until the venue's time is `time_ms`, or until `wake` is set if that is earlier; return whether it was woken."""
        return await self._timer.wait_until(time_ms - (self.now_ms() - self._timer.now_ms()), wake)


class ReplayTimer:
    """A clock of market time: it jumps to the requested time, or runs at `speed` seconds of market time per second.

    Parameters
    ----------
    start_ms
        Its first time, epoch milliseconds.
    speed
        Seconds of market time per second of the machine; None is as fast as possible.
    """

    def __init__(self, start_ms: int, speed: float | None = None) -> None:
        self._now_ms, self._speed = start_ms, speed

    def now_ms(self) -> int:
        """Return the time of the replay, epoch milliseconds."""
        return self._now_ms

    async def wait_until(self, time_ms: int, wake: asyncio.Event) -> bool:
        """Jump to `time_ms`, or run there at the speed; `wake` stops it on the way."""
        began, there_ms = monotonic(), time_ms
        if self._speed is None:
            await asyncio.sleep(0)  # lets signals and other tasks run
        elif (left := (time_ms - self._now_ms) / 1_000 / self._speed) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), left)
        if wake.is_set():
            gone_ms = 0.0 if self._speed is None else (monotonic() - began) * 1_000 * self._speed
            there_ms = min(time_ms, self._now_ms + int(gone_ms))
        self._now_ms = max(self._now_ms, there_ms)
        return wake.is_set()

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


class SteppedTimer:
    """The virtual clock of a simulated exchange, which stands still while this process works, or goes on at the exchange's pace.

    Parameters
    ----------
    url
        Of the exchange's clock, `ws://127.0.0.1:PORT/control/clock`. While the connection is open, the exchange's time moves only
        when this process waits, up to the time that it requests.
    """

    def __init__(self, url: str) -> None:
        self._url, self._now_ms = url, 0
        self.speed: float | None = (
            None  # of a clock that runs by itself, in multiples of real time; None for a virtual one
        )
        self._pace = 0.0  # milliseconds of a virtual clock that pass per millisecond of work
        self._read_at: float | None = None  # by the machine's clock; None while it waits
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def open(self) -> None:
        """Connect to the exchange's clock.

        Raises
        ------
        VenueError
            If it cannot be reached.
        """
        import aiohttp

        self._session = aiohttp.ClientSession()
        try:
            self._socket = await self._session.ws_connect(self._url)
            message = await self._receive()
            self._take(message)
            self.speed, self._pace = message.get("speed"), float(message.get("pace", 0.0))
        except (aiohttp.ClientError, OSError) as error:
            await self.close()
            raise VenueError("The simulated exchange's clock cannot be reached", found=self._url) from error

    async def close(self) -> None:
        """Disconnect: the exchange's time goes on without this process."""
        if self._socket is not None:
            await self._socket.close()
        if self._session is not None:
            await self._session.close()
        self._socket = self._session = None

    def now_ms(self) -> int:
        """Return the exchange's present; at a pace it is extrapolated, and never ahead of the exchange."""
        worked = 0.0 if self._read_at is None else (monotonic() - self._read_at) * 1_000
        return self._now_ms + int(worked * self._pace)

    async def wait_until(self, time_ms: int, wake: asyncio.Event) -> bool:
        """Let the exchange's time pass until `time_ms`, or until something happens there; return whether it did."""
        await asyncio.sleep(0)  # an update that has arrived is handled before time moves
        if wake.is_set():
            return True
        if self._socket is None:
            raise VenueError("The simulated exchange's clock is closed")
        self._now_ms, self._read_at = self.now_ms(), None
        try:
            await self._socket.send_str(json.dumps({"until": time_ms}))
        except OSError as error:
            raise VenueError("The simulated exchange's clock went away", found=self._url) from error
        return self._take(await self._receive())

    def paced(self) -> "PacedTimer | None":
        """Return a timer for a clock that runs by itself; None for a virtual one."""
        return None if self.speed is None else PacedTimer(self._now_ms, self.speed)

    def _take(self, message: dict[str, Any]) -> bool:
        self._now_ms, self._read_at = int(message["now"]), monotonic()
        return bool(message.get("woken"))

    async def _receive(self) -> dict[str, Any]:
        if self._socket is None:
            raise VenueError("The simulated exchange's clock is closed")
        try:
            message: dict[str, Any] = await self._socket.receive_json()
        except (TypeError, ValueError) as error:  # a closing frame is no JSON
            raise VenueError("The simulated exchange's clock went away", found=self._url) from error
        return message


class PacedTimer:
    """A simulated exchange's clock that runs by itself at several times real time; extrapolated here.

    Parameters
    ----------
    now_ms
        Its time when it was read; the answer took a moment, so this clock is never ahead of it.
    speed
        Its speed in multiples of real time.
    """

    def __init__(self, now_ms: int, speed: float) -> None:
        self._start_ms, self.speed, self._began = now_ms, speed, monotonic()

    def now_ms(self) -> int:
        """Return the exchange's present."""
        return self._start_ms + int((monotonic() - self._began) * 1_000 * self.speed)

    async def wait_until(self, time_ms: int, wake: asyncio.Event) -> bool:
        """Wait until `time_ms`, or until `wake` is set if that is earlier; return whether it was woken."""
        while (left := (time_ms - self.now_ms()) / 1_000 / self.speed) > 0 and not wake.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), min(left, _LONGEST_S))
        await asyncio.sleep(0)  # at such a speed something may always be due: lets signals and streams run
        return wake.is_set()

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""

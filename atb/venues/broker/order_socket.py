"""The connection to Binance's WebSocket API for orders: kept open in the background, and never waited for by an order.

A connection takes requests from the moment at which it has answered a `ping` until the first doubt about it: a request without an
answer in time, a status of 5xx, an unreadable frame, the announcement that the server shuts down, its end, or an age near the 24
hours after which Binance ends it. Then a new one is opened, after a pause that grows while connections do not last. Requests that
are on their way keep waiting for their answers on the old one. Every request is signed, so there is no session to log in to, and
every kind of key works.
"""

import asyncio
import contextlib
import itertools
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from atb.venues.broker.rate_limit import RateLimiter
from atb.venues.broker.transport import await_quietly, note_departure, note_response, read_json

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
_LASTING_S = 5.0  # after a connection that lasted this long, the next pause is the shortest again
_PING_S = 10.0  # a half-open connection is found after one and a half times as long
_CLOSE_S = 1.0
_LIFE_S = 23 * 3_600.0
_CONNECTION_WEIGHT = 3  # 2 for the connection, 1 for its ping
_UNITS = {"SECOND": "s", "MINUTE": "m", "HOUR": "h", "DAY": "d"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Frame:
    """A response of the WebSocket API, as its HTTP counterpart would be: status, body and headers.

    Parameters
    ----------
    body
        The result, or the error with its code; None if the frame has neither.
    headers
        What REST has in headers: used weight, number of orders, and how long to wait (seconds).
    """

    status: int
    body: Any
    headers: dict[str, str]
    text: str

    @classmethod
    def read(cls, values: Mapping[str, Any], text: str, *, now_ms: int) -> "Frame":
        """Read a frame; `now_ms` is exchange time."""
        status = values.get("status")
        status = status if isinstance(status, int) else 0
        body = values.get("result" if status == 200 else "error")
        return cls(status, body, _counts(values.get("rateLimits")) | _wait(body, now_ms), text)


class Connection:
    """One connection, which pairs each response with its request by the request's id."""

    def __init__(self, socket: Any, now_ms: Callable[[], int]) -> None:
        self._socket, self._now_ms = socket, now_ms
        self._ids = itertools.count(1)
        self._awaited: dict[str, asyncio.Future[Frame]] = {}
        self.doubt = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether it takes requests."""
        return not self.doubt.is_set() and not self._socket.closed

    async def ask(self, method: str, values: Mapping[str, Any], *, timeout_s: float) -> Frame:
        """Send a request and return its response.

        Raises
        ------
        TimeoutError, aiohttp.ClientConnectionError, ValueError
            If no response came in time, the connection was lost, or the response is unreadable: the request may have been executed.
        """
        number = str(next(self._ids))
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._awaited[number] = answer
        answer.add_done_callback(_noticed)
        try:
            async with asyncio.timeout(timeout_s):
                note_departure()
                await self._socket.send_json({"id": number, "method": method, "params": dict(values)})
                return await answer
        except BaseException:
            self.doubt.set()
            raise
        finally:
            del self._awaited[number]

    async def read(self) -> None:
        """Read frames until the connection ends; whoever still waits then has lost the response."""
        from aiohttp import ClientConnectionError, WSMsgType

        try:
            async for message in self._socket:
                if message.type == WSMsgType.TEXT:
                    self._take(message.data)
        finally:
            self._lose(ClientConnectionError("the connection was lost"))

    async def finish(self) -> None:
        """Let requests that are on their way get their responses, and close the connection."""
        if self._awaited:
            await asyncio.wait(self._awaited.values())
        await await_quietly(self._socket.close())

    def _take(self, text: str) -> None:
        """Give a response to whoever waits for it; a late or repeated one is dropped."""
        values = read_json(text)
        if not isinstance(values, dict):
            self._lose(ValueError("an unreadable frame"))
            return
        event = values.get("event")
        answer = self._awaited.get(str(values.get("id")))
        if isinstance(event, dict) and event.get("e") == "serverShutdown":
            self.doubt.set()
        elif answer is not None and not answer.done():
            self._answer(answer, values, text)

    def _answer(self, answer: "asyncio.Future[Frame]", values: dict[str, Any], text: str) -> None:
        try:
            frame = Frame.read(values, text, now_ms=self._now_ms())
        except (AttributeError, TypeError, ValueError) as error:
            self._lose(ValueError(type(error).__name__))
            return
        if frame.status >= 500:
            self.doubt.set()
        answer.set_result(frame)

    def _lose(self, error: Exception) -> None:
        self.doubt.set()
        for answer in self._awaited.values():
            if not answer.done():
                answer.set_exception(error)


@dataclass(eq=False)
class OrderSocket:
    """Keeps one connection open for orders.

    Parameters
    ----------
    exchange
        ccxt's exchange of Binance; its session, address and signature are used.
    limiter
        Counts connections, and forbids them while the exchange demands to wait.
    now_ms
        Exchange time.
    timeout_s
        How long to wait for a response, and for a connection, in real seconds.
    proxy
        An HTTP proxy, by CONNECT.
    """

    exchange: Any
    limiter: RateLimiter
    now_ms: Callable[[], int]
    timeout_s: float = 10.0
    proxy: str | None = None
    first_pause_s: float = _FIRST_PAUSE_S
    life_s: float = _LIFE_S
    _connection: Connection | None = None
    _keeper: asyncio.Task[None] | None = None
    _tried: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent now."""
        return self._connection is not None and self._connection.is_open

    async def start(self) -> None:
        """Begin to keep a connection open, and wait for the first attempt, successful or not."""
        if self._keeper is None:
            self._tried.clear()
            self._keeper = asyncio.get_running_loop().create_task(self._keep_open(), name="orders")
        await self._tried.wait()

    async def stop(self) -> None:
        """Close every connection."""
        if self._keeper is None:
            return
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        self._keeper = None
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=2.0 * _CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def send(self, operation: str, values: Mapping[str, str]) -> Any:
        """Send a signed request over the open connection and return the body of its response, for `transport.send_request`.

        Raises
        ------
        ConnectionError
            If no connection is open: nothing was sent.
        TimeoutError, aiohttp.ClientConnectionError, ValueError
            If the response was lost: the request may have been executed.
        """
        if self._connection is None or not self._connection.is_open:
            raise ConnectionError("no connection for orders")
        frame = await self._connection.ask(operation, self._signed(values), timeout_s=self.timeout_s)
        note_response(frame.status, frame.text, headers=frame.headers, body=frame.body)
        return frame.body

    def _signed(self, values: Mapping[str, str]) -> dict[str, Any]:
        """Return parameters with key, timestamp and ccxt's signature."""
        options = self.exchange.options
        usual = options["recvWindow"]
        # ccxt overwrites a request's own window with the one in its options.
        options["recvWindow"] = values.get("recvWindow", usual)
        try:
            return dict(self.exchange.sign_params(dict(values)))
        finally:
            options["recvWindow"] = usual

    async def _keep_open(self) -> None:
        pause, loop = self.first_pause_s, asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._hold_connection()
            except Exception as error:  # noqa: BLE001 - whatever a network does to a connection, orders have another way
                _log.info("no connection for orders (%s), next attempt in %.1f s", type(error).__name__, pause)
            self._tried.set()
            await asyncio.sleep(pause)
            lasted = loop.time() - began - pause > _LASTING_S
            pause = self.first_pause_s if lasted else min(2.0 * pause, _LONGEST_PAUSE_S)

    async def _hold_connection(self) -> None:
        """Open a connection and use it until the first doubt about it; the exchange's limits may forbid to try."""
        if self.limiter.wait_ms(self.now_ms(), weight=_CONNECTION_WEIGHT):
            return
        connection = await self._connect()
        self._connection = connection
        self._tried.set()
        _log.info("orders go over the WebSocket API")
        try:
            # `asyncio.wait_for` may swallow a cancellation that comes together with the doubt.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.life_s):
                    await connection.doubt.wait()
            _log.info("orders go by REST until the WebSocket API is reached again")
        finally:
            self._connection = None
            self._spawn(connection.finish())

    async def _connect(self) -> Connection:
        """Return a connection that has answered a ping.

        Raises
        ------
        aiohttp.ClientError, OSError, TimeoutError, ValueError
            If there is none.
        """
        from aiohttp import ClientWSTimeout, WSServerHandshakeError

        self.exchange.open()  # ccxt's session, which knows the certificates
        address = self.exchange.urls["api"]["ws"]["ws-api"]["spot"]
        try:
            async with asyncio.timeout(self.timeout_s):
                socket = await self.exchange.session.ws_connect(
                    address, proxy=self.proxy, heartbeat=_PING_S, timeout=ClientWSTimeout(ws_close=_CLOSE_S)
                )
        except WSServerHandshakeError as error:
            headers = {name.lower(): value for name, value in (error.headers or {}).items()}
            self.limiter.update(self.now_ms(), error.status, headers=headers)
            raise
        connection = Connection(socket, self.now_ms)
        self._spawn(connection.read())
        try:
            await self._ping(connection)
        except BaseException:
            self._spawn(connection.finish())
            raise
        return connection

    async def _ping(self, connection: Connection) -> None:
        frame = await connection.ask("ping", {}, timeout_s=self.timeout_s)
        self.limiter.update(self.now_ms(), frame.status, headers=frame.headers, text=frame.text)
        if frame.status != 200:
            raise ConnectionError(f"the ping was refused with {frame.status}")

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _noticed(answer: "asyncio.Future[Frame]") -> None:
    """Take note of a lost response that is not awaited any more."""
    if not answer.cancelled():
        answer.exception()


def _counts(limits: Any) -> dict[str, str]:
    """Return the used amounts of `rateLimits` as headers."""
    found = {}
    for row in limits if isinstance(limits, list) else ():
        length = f"{row.get('intervalNum')}{_UNITS.get(str(row.get('interval')), '')}"
        kind = {"REQUEST_WEIGHT": "used-weight", "ORDERS": "order-count"}.get(str(row.get("rateLimitType")))
        if kind is not None and "count" in row:
            found[f"x-mbx-{kind}-{length}"] = str(row["count"])
    return found


def _wait(body: Any, now_ms: int) -> dict[str, str]:
    """Return how long a refusal asks to wait as the header `retry-after`, in whole seconds."""
    data = body.get("data") if isinstance(body, dict) else None
    until = data.get("retryAfter") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(until, int):
        return {}
    return {"retry-after": str(max(0, math.ceil((until - int(data.get("serverTime", now_ms))) / 1_000)))}

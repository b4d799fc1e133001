"""The exchange's end of one WebSocket connection: a queue of outgoing frames, on which stream faults act."""

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType, web

from atb.venues.simulator.server import reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from atb.venues.simulator.exchange import Exchange
    from atb.venues.simulator.faults import Fault

WRITERS: web.AppKey[set["SocketWriter"]] = web.AppKey("writers")
_PING_EVERY_S = 20.0
_MAX_UNANSWERED_PINGS = 3  # after that many unanswered pings the connection is reset
_MAX_QUEUED_FRAMES = 50_000  # a client that lets more wait is not reading


class SocketWriter:
    """The outgoing side of one connection.

    `send_reply` answers a request; `send_event` sends an event, and stream faults strike there: `drop` resets the connection,
    `gap` loses the frame, `duplicate` sends it twice, `reorder` holds frames until the fault is over and then sends them newest
    first, `delay` sends the frame `delay_ms` of exchange time later, `half_open` sends nothing more without closing.
    """

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, exchange: "Exchange") -> None:
        self.socket = socket
        self._request = request
        self._exchange = exchange
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._held: list[str] = []
        self._silent = False
        self._unanswered = 0

    def send_reply(self, frame: Any, *, cut: bool = False) -> None:
        """Send the reply to a request, or if `cut` only its first half."""
        text = json.dumps(frame, separators=(",", ":"))
        if not self._silent:
            self._enqueue(text[: len(text) // 2] if cut else text)

    def reset(self) -> None:
        """Reset the connection at once."""
        self._silent = True
        reset(self._request)

    def send_event(self, frame: Any, *names: str) -> None:
        """Send an event of a stream known by these names, unless a fault strikes it."""
        text = json.dumps(frame, separators=(",", ":"))
        fault = None if self._silent else self._exchange.fault_injector.frame_fault(*names)
        self._note_frame(names, "lost" if self._silent else fault.kind if fault is not None else "sent")
        if fault is None:
            texts = [] if self._silent else [text]
        elif fault.kind == "reorder":
            self._held.append(text)
            texts = [] if fault.times else [self._held.pop() for _ in range(len(self._held))]
        else:
            texts = [text, text] if fault.kind == "duplicate" else []
            self._apply_fault(fault, text)
        for queued in texts:
            self._enqueue(queued)

    def _enqueue(self, text: str) -> None:
        """Queue a frame; reset the connection if too many are waiting."""
        if self._queue.qsize() >= _MAX_QUEUED_FRAMES:
            self.reset()
        else:
            self._queue.put_nowait(text)

    def note_subscriptions(self, *streams: str) -> None:
        """Write to the ledger that the client subscribed to these streams."""
        for stream in streams:
            self._exchange.note("subscription", {"stream": stream, "event": "begun"})

    def _note_frame(self, names: tuple[str, ...], fate: str) -> None:
        self._exchange.note("frame", {"stream": names[0], "event": names[-1], "fate": fate})

    def _apply_fault(self, fault: "Fault", text: str) -> None:
        if fault.kind == "drop":
            self.reset()
        elif fault.kind == "half_open":
            self._silent = True
        elif fault.kind == "delay":
            due = self._exchange.now_ms() + int(fault.detail.get("delay_ms", 1_000))
            self._exchange.plan(due, lambda: self._enqueue(text))

    async def serve(self, on_message: "Callable[[str], None]") -> None:
        """Call `on_message` with each message until the connection ends."""
        writer = asyncio.create_task(self._write_frames())
        try:
            async for message in self.socket:
                self._unanswered = 0
                if message.type == WSMsgType.TEXT:
                    on_message(message.data)
                elif message.type == WSMsgType.PING and not self._silent:
                    await self.socket.pong(message.data)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def end_connection(self) -> None:
        """Close the connection because the exchange shuts down."""
        with contextlib.suppress(ConnectionError):
            await self.socket.close(code=WSCloseCode.GOING_AWAY, drain=False)

    async def _write_frames(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client is gone
            while True:
                try:
                    text = await asyncio.wait_for(self._queue.get(), _PING_EVERY_S)
                except TimeoutError:
                    self._unanswered += 1
                    if self._unanswered > _MAX_UNANSWERED_PINGS and not self._silent:
                        self.reset()
                    if not self._silent:
                        await self.socket.ping(str(self._exchange.now_ms()).encode())
                    continue
                await self.socket.send_str(text)


@contextlib.asynccontextmanager
async def accept_socket(request: web.Request, exchange: "Exchange") -> "AsyncIterator[SocketWriter]":
    """Accept a WebSocket and yield its writer; the exchange's shutdown closes it."""
    socket = web.WebSocketResponse(autoping=False, max_msg_size=1 << 20)
    await socket.prepare(request)
    writer = SocketWriter(socket, request, exchange)
    request.app[WRITERS].add(writer)
    try:
        yield writer
    finally:
        request.app[WRITERS].discard(writer)


def track_writers(app: web.Application) -> None:
    """Make an application close its WebSockets when it shuts down; calling it again changes nothing."""
    if WRITERS not in app:
        app[WRITERS] = set()
        app.on_shutdown.append(_close_all)


async def _close_all(app: web.Application) -> None:
    writers = app[WRITERS]
    await asyncio.gather(*(writer.end_connection() for writer in tuple(writers)))

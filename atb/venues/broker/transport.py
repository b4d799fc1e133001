"""Sends one request and keeps the raw response for classification.

ccxt turns responses into exceptions, and the class of an exception does not show whether an order was executed. So the raw
response is recorded where it arrives, in the task that sent the request: concurrent requests cannot see each other's headers.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from atb.errors import InputError

_MAX_TEXT = 200
_current: ContextVar["Reply | None"] = ContextVar("reply", default=None)


@dataclass(eq=False)
class Reply:
    """The response to one request.

    Parameters
    ----------
    status
        HTTP status, 0 if no response arrived.
    body
        The body as JSON with exact numbers, None if it is no JSON.
    text
        The body as text.
    headers
        By lower-case name.
    sent_ms
        The request's timestamp, exchange time.
    left
        Whether the request was handed to the network.
    fault
        Failure if no whole response arrived: `timeout`, `disconnected` or `unreadable`.
    value
        ccxt's result, None if ccxt raised an error.
    """

    status: int = 0
    body: Any = None
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    sent_ms: int = 0
    left: bool = False
    fault: str = ""
    value: Any = None

    def described(self) -> str:
        """Describe the outcome in a few words, without an address, key or signature."""
        if self.status == 0:
            return self.fault or "no answer"
        if isinstance(self.body, dict) and (words := self.body.get("msg") or self.body.get("message")):
            return str(words)[:_MAX_TEXT]
        return f"HTTP {self.status}" + (f", {self.fault}" if self.fault else "")


async def send_request(call: Callable[[], Awaitable[Any]], *, now_ms: int) -> Reply:
    """Make one request and return its response, or how it failed.

    Parameters
    ----------
    call
        Sends the request: a method of an exchange of a class made by `recording_class` with its arguments, or a function that
        reports to `note_departure` and `note_response`.
    now_ms
        Exchange time, which is also the request's timestamp.

    Raises
    ------
    InputError
        If ccxt refuses to send the request: nothing has left this machine.
    """
    reply = Reply(sent_ms=now_ms)
    token = _current.set(reply)
    try:
        reply.value = await call()
    except Exception as error:
        # Once a request has left, a failure of any class says something about the request, not about this program.
        if not reply.left:
            raise InputError("ccxt does not send this request", found=type(error).__name__) from error
        if reply.status in {0, 200}:
            reply.fault = reply.fault or _fault(error)
    finally:
        _current.reset(token)
    return reply


def note_departure() -> None:
    """Note that the current request is handed to the network: from here on it may be executed."""
    if (reply := _current.get()) is not None:
        reply.left = True


def note_response(status: int, text: str, *, headers: Mapping[str, str], body: Any) -> None:
    """Record the response to the current request; `headers` by lower-case name, `body` None if it is unreadable."""
    if (reply := _current.get()) is not None:
        reply.status, reply.text, reply.headers, reply.body = status, text, dict(headers), body
        reply.fault = "unreadable" if body is None else ""


def _fault(error: BaseException) -> str:
    """Return a word for a failure; its text is never used, because it may hold the signed address."""
    chain = [error, *([error.__cause__] if error.__cause__ else [])]
    if any(isinstance(cause, TimeoutError) for cause in chain):
        return "timeout"
    names = {name for cause in chain for name in (kind.__name__ for kind in type(cause).__mro__)}
    if "ClientConnectionError" in names:
        return "disconnected"
    return "unreadable"


@cache
def recording_class(exchange_id: str) -> type:
    """Return ccxt's class of an exchange, with streams if ccxt has them, extended for `send_request` and streams.

    An instance has three attributes to set: `venue_now_ms`, a function that returns exchange time in epoch milliseconds;
    `on_frame`, called with the address of a stream at each frame; `on_drop`, called with it when the connection is lost.

    Raises
    ------
    InputError
        If ccxt does not know the exchange.
    """
    import ccxt.async_support
    import ccxt.pro

    from atb.errors import did_you_mean

    known = getattr(ccxt.pro, exchange_id, None) or getattr(ccxt.async_support, exchange_id, None)
    if exchange_id not in ccxt.async_support.exchanges or known is None:
        todo = did_you_mean(exchange_id, ccxt.async_support.exchanges)
        raise InputError("Unknown exchange", found=exchange_id, todo=todo)
    return type(f"Recording{exchange_id.capitalize()}", (_Recording, known), {})


class _Recording:
    """Mixin over ccxt's class; the names and arguments of its methods are ccxt's."""

    venue_now_ms: Callable[[], int] | None = None
    on_frame: Callable[[str], None] | None = None
    on_drop: Callable[[str], None] | None = None

    def milliseconds(self) -> int:
        """Return exchange time, which ccxt uses for timestamps and tokens."""
        if self.venue_now_ms is None:
            return int(super().milliseconds())  # type: ignore[misc] # ccxt's class, by mixin
        return self.venue_now_ms()

    def seconds(self) -> int:
        """Return exchange time in seconds."""
        return self.milliseconds() // 1_000

    async def fetch(self, *request: Any) -> Any:
        """Note that the request leaves, and send it."""
        note_departure()
        return await super().fetch(*request)  # type: ignore[misc] # ccxt's class, by mixin

    def on_rest_response(self, *answer: Any) -> str:
        """Record a raw response."""
        code, _reason, _url, _method, headers, text, *_request = answer
        named = {str(name).lower(): str(value) for name, value in headers.items()}
        note_response(int(code), text, headers=named, body=read_json(text))
        return str(super().on_rest_response(*answer))  # type: ignore[misc] # ccxt's class, by mixin

    def handle_message(self, client: Any, message: Any) -> None:
        """Report a frame to `on_frame`, and let ccxt read it."""
        if self.on_frame is not None:
            self.on_frame(client.url)
        super().handle_message(client, message)  # type: ignore[misc] # ccxt's class, by mixin

    def on_error(self, client: Any, error: Any) -> None:
        """Report a lost stream to `on_drop`."""
        if self.on_drop is not None:
            self.on_drop(client.url)
        super().on_error(client, error)  # type: ignore[misc] # ccxt's class, by mixin

    def on_close(self, client: Any, code: Any) -> None:
        """Report a lost stream to `on_drop`."""
        if self.on_drop is not None:
            self.on_drop(client.url)
        super().on_close(client, code)  # type: ignore[misc] # ccxt's class, by mixin


def read_json(text: str) -> Any:
    """Return JSON with exact numbers, None if the text is no JSON."""
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        return None


async def await_quietly(call: Awaitable[Any]) -> None:
    """Await the closing of a connection and ignore its failure, which needs no handling."""
    # A connection that cannot be closed is closed by the end of the process.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(asyncio.ensure_future(call), 5)

"""One request to an exchange and what came of it: ccxt underneath, the raw answer kept for whoever has to judge it.

ccxt turns answers into exceptions, and the class of an exception does not tell whether an order was executed. So the raw
answer is caught where it arrives, in the task that asked: two requests at once cannot see each other's headers.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from atb.errors import InputError

_LONGEST_TEXT = 200
_current: ContextVar["Reply | None"] = ContextVar("reply", default=None)


@dataclass(eq=False)
class Reply:
    """What came back from one request.

    Parameters
    ----------
    status
        HTTP status, 0 where no answer arrived.
    body
        The answer read as JSON with exact numbers, None where it is none.
    text
        The answer as text.
    headers
        By lower-case name.
    sent_ms
        The request's timestamp, exchange time.
    left
        Whether the request was handed to the network.
    fault
        What went wrong where no whole answer arrived: `timeout`, `disconnected`, `unreadable`.
    value
        What ccxt made of the answer, None where it refused it.
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
        """Return what happened in a few words, without an address, key or signature."""
        if self.status == 0:
            return self.fault or "no answer"
        if isinstance(self.body, dict) and (words := self.body.get("msg") or self.body.get("message")):
            return str(words)[:_LONGEST_TEXT]
        return f"HTTP {self.status}" + (f", {self.fault}" if self.fault else "")


async def send_request(call: Callable[[], Awaitable[Any]], *, now_ms: int) -> Reply:
    """Make one request and return what came of it, whatever that is.

    Parameters
    ----------
    call
        A method of an exchange made by `recording`, with its arguments.
    now_ms
        Exchange time: the request's timestamp, which is taken in the same moment.

    Raises
    ------
    InputError
        If ccxt refuses to send it at all: nothing has left this machine.
    """
    reply = Reply(sent_ms=now_ms)
    token = _current.set(reply)
    try:
        reply.value = await call()
    except Exception as error:
        # Once a request has left, any failure, of whatever class, is a fact about the request and not about this program.
        if not reply.left:
            raise InputError("ccxt does not send this request", found=type(error).__name__) from error
        if reply.status in {0, 200}:
            reply.fault = reply.fault or _fault(error)
    finally:
        _current.reset(token)
    return reply


def _fault(error: BaseException) -> str:
    """Return a word for a failure; its text may hold the signed address and is never used."""
    chain = [error, *([error.__cause__] if error.__cause__ else [])]
    if any(isinstance(one, TimeoutError) for one in chain):
        return "timeout"
    names = {name for one in chain for name in (kind.__name__ for kind in type(one).__mro__)}
    if "ClientConnectionError" in names:
        return "disconnected"
    return "unreadable"


@cache
def recording_class(exchange_id: str) -> type:
    """Return ccxt's class of an exchange, with streams where ccxt has them, extended by what `ask` and streams need.

    An instance has three attributes to set: `present`, a function that returns exchange time in epoch milliseconds;
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
    """What is laid over ccxt's class; its methods are ccxt's, so their names and arguments are not ours to choose."""

    venue_now_ms: Callable[[], int] | None = None
    on_frame: Callable[[str], None] | None = None
    on_drop: Callable[[str], None] | None = None

    def milliseconds(self) -> int:
        """Return exchange time: every timestamp and token is made from it."""
        if self.venue_now_ms is None:
            return int(super().milliseconds())  # type: ignore[misc] # ccxt's class, by mixin
        return self.venue_now_ms()

    def seconds(self) -> int:
        """Return exchange time in seconds: tokens are good for a short time around it."""
        return self.milliseconds() // 1_000

    async def fetch(self, *request: Any) -> Any:
        """Send a request."""
        if (reply := _current.get()) is not None:
            reply.left = True
        return await super().fetch(*request)  # type: ignore[misc] # ccxt's class, by mixin

    def on_rest_response(self, *answer: Any) -> str:
        """Keep an answer as it arrived."""
        code, _reason, _url, _method, headers, text, *_request = answer
        if (reply := _current.get()) is not None:
            reply.status, reply.text = int(code), text
            reply.headers = {str(name).lower(): str(value) for name, value in headers.items()}
            reply.body = _parsed(text)
            reply.fault = "unreadable" if reply.body is None else ""
        return str(super().on_rest_response(*answer))  # type: ignore[misc] # ccxt's class, by mixin

    def handle_message(self, client: Any, message: Any) -> None:
        """Note that a stream is alive, and let ccxt read the frame."""
        if self.on_frame is not None:
            self.on_frame(client.url)
        super().handle_message(client, message)  # type: ignore[misc] # ccxt's class, by mixin

    def on_error(self, client: Any, error: Any) -> None:
        """Note that a stream is lost."""
        if self.on_drop is not None:
            self.on_drop(client.url)
        super().on_error(client, error)  # type: ignore[misc] # ccxt's class, by mixin

    def on_close(self, client: Any, code: Any) -> None:
        """Note that a stream is lost."""
        if self.on_drop is not None:
            self.on_drop(client.url)
        super().on_close(client, code)  # type: ignore[misc] # ccxt's class, by mixin


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        return None


async def await_quietly(call: Awaitable[Any]) -> None:
    """Await something at the end of a connection, where nobody can do anything about its failure."""
    # A connection that cannot be closed is closed by the end of the process.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(asyncio.ensure_future(call), 5)

"""Calls that may hang, each in a daemon thread that can be abandoned.

A network file system, a waking disk or a database server can hang: there is no error, and the calling thread stays stuck.
So code that looks after positions calls from another thread and waits for a limited time. The threads are daemons: a process ends
without them, while it would wait for those of `asyncio.to_thread` for ever.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from contextvars import copy_context
from typing import Generic, TypeVar

T = TypeVar("T")


class Call(Generic[T]):
    """A function without arguments, called at once in a thread of its own.

    Parameters
    ----------
    function
        What may hang.
    name
        Of the thread, for whoever looks at a process that hangs.
    """

    def __init__(self, function: Callable[[], T], name: str) -> None:
        self._future: Future[T] = Future()
        context = copy_context()  # log lines say whose they are
        threading.Thread(target=lambda: context.run(self._run, function), name=name, daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether it came back, or raised."""
        return self._future.done()

    def wait(self, seconds: float) -> bool:
        """Block for at most this long; return True if done."""
        return self.done or bool(wait_for([self._future], seconds).done)

    async def finished(self, seconds: float) -> bool:
        """Wait for at most this long while other tasks go on; return True if done."""
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()

        def ring(_done: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile: the result is not awaited any more
                loop.call_soon_threadsafe(arrived.set)

        self._future.add_done_callback(ring)
        with suppress(TimeoutError):
            await asyncio.wait_for(arrived.wait(), seconds)
        return self.done

    def result(self) -> T:
        """Return the function's result or raise its error; it must be done."""
        return self._future.result(0)

    def _run(self, function: Callable[[], T]) -> None:
        try:
            answer = function()
        except BaseException as problem:  # noqa: BLE001 - raised again where the result is asked for
            self._future.set_exception(problem)
        else:
            self._future.set_result(answer)

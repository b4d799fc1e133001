"""The bell that wakes the runner's loop: streams and signals ring it, and streams say which symbols have updates."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from atb.domain import Symbol


@dataclass
class Bell:
    """Wakes the loop, from streams and signals; `stop` ends it between two steps.

    `updated` has the symbols whose orders have updates that the loop has not taken yet; None stands for all.
    """

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: bool = False
    updated: set[Symbol | None] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """End the loop after the step in hand."""
        self.stopping = True
        self.ring()

    def note_update(self, symbol: Symbol | None) -> None:
        """Wake the loop because something happened to a symbol's orders, or to those of any."""
        self.updated.add(symbol)
        self.ring()

    def take(self, woken: bool) -> set[Symbol | None] | None:
        """Take the symbols that had updates since the last time; None where the loop was not woken.

        A simulated exchange's clock wakes it for whatever happens there, and does not say of what.
        """
        updated, self.updated = self.updated, set()
        rung = self.wake.is_set()
        self.wake.clear()
        return updated | (set() if rung else {None}) if woken else None

    def ring(self, *_: object) -> None:
        """Wake the loop; safe in a signal handler and from another thread."""
        if self._loop is None:
            self.wake.set()
        else:  # setting the event from outside does not wake a sleeping event loop
            self._loop.call_soon_threadsafe(self.wake.set)

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Connect the bell to the running event loop for the length of a block."""
        self._loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            self._loop = None

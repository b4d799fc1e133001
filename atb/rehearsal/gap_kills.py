"""Directed kills: the runner's process dies in every kind of gap between two requests, once each."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from atb.rehearsal.ledger import ClientIdParts
from atb.venues.simulator.server import Running

if TYPE_CHECKING:
    import subprocess

_CHANGES = frozenset(("POST", "PUT", "DELETE"))
Kind = tuple[str, str, str]  # method, path, letters of the orders' roles


class GapKills:
    """Kills a runner after the exchange has executed a request that changes something, and before its answer is sent.

    A gap's kind is the request's method and path, and what its orders are for: an entry with its stop, a stop alone, and so on.

    Parameters
    ----------
    until_ms
        Exchange time after which no process is killed; None kills none.
    """

    def __init__(self, until_ms: int | None) -> None:
        self._until_ms = until_ms
        self._seen: set[Kind] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._struck = False

    def connect(self, running: Running) -> None:
        """Look at every request to an exchange from now on."""
        if self._until_ms is not None:
            running.call(lambda: setattr(running.exchange, "answered", partial(self._look, running)))

    def watch(self, process: "subprocess.Popen[bytes]") -> None:
        """Begin to watch the next process."""
        self._process = process

    def take_struck(self) -> bool:
        """Return whether the last process died by one of these kills, and forget it."""
        struck, self._struck = self._struck, False
        return struck

    def _look(self, running: Running, method: str, path: str, params: Mapping[str, str]) -> None:  # noqa: PLR0917 - called so
        """Kill the process if a request is the first of its kind; called in the exchange's thread."""
        kind = kind_of(method, path, params)
        over = self._until_ms is None or running.exchange.now_ms() >= self._until_ms
        if kind is None or kind in self._seen or over or self._process is None or self._process.poll() is not None:
            return
        self._seen.add(kind)
        self._struck = True
        self._process.kill()


def kind_of(method: str, path: str, params: Mapping[str, Any]) -> Kind | None:
    """Return the kind of the gap that follows a request; None if it changes nothing, or no orders of ours."""
    parts = [ClientIdParts.parse(str(value)) for _, value in sorted(params.items())]
    letters = "".join(part.letter for part in parts if part is not None)
    return (method, path, letters) if letters and method in _CHANGES and not path.endswith("/test") else None

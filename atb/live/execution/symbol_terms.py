"""Capabilities and status of symbols, kept fresh.

The venue is asked again on a schedule, after a refusal that suggests a change, and before protection is moved: a market that takes
only cancellations lets the old stop go and refuses the new one.
"""

from collections.abc import Iterable

from atb.domain import Symbol
from atb.domain.ports import Broker
from atb.domain.venue import Answer, Capabilities
from atb.errors import VenueError
from atb.live.execution.orders import PROTECTIVE
from atb.live.execution.planning import Place, Request
from atb.live.execution.refusals import CHANGED, meaning_of
from atb.live.execution.timing import DeskTiming
from atb.monitoring import get_logger

_log = get_logger(__name__)


class SymbolTerms:
    """Asks a venue about its symbols; what it does not answer stays as it was last known.

    Parameters
    ----------
    broker, timing
        The venue, and how old what is known may be.
    """

    def __init__(self, broker: Broker, timing: DeskTiming) -> None:
        self._broker, self._timing, self._began_ms = broker, timing, broker.now_ms()
        # Exchange time of the last answer; 0 after a refusal that suggests a change.
        self._asked_ms: dict[Symbol, int] = {}

    def note(self, symbol: Symbol, answer: Answer) -> None:
        """Note an answer: some refusals say that what is known is old."""
        if answer.outcome == "rejected" and meaning_of(answer) in CHANGED:
            self._asked_ms[symbol] = 0

    async def keep(self, symbols: Iterable[Symbol]) -> None:
        """Ask again for what was not asked for a while."""
        await self._refresh([symbol for symbol in symbols if self._older(symbol, self._timing.terms_ms)])

    async def is_open(self, symbol: Symbol, *, moving: bool) -> bool:
        """Return whether a symbol's market takes orders.

        Parameters
        ----------
        moving
            Whether protection is to be moved: then the venue is asked now, unless it was just asked.
        """
        closed = self._broker.capabilities_of(symbol).status != "trading"
        if (moving or closed or not self._asked_ms.get(symbol, 1)) and self._older(symbol, self._timing.status_ms):
            await self._refresh([symbol])
        return self._broker.capabilities_of(symbol).status == "trading"

    async def planned_by(self, request: Request, symbol: Symbol) -> bool:
        """Return whether a request was planned by what its symbol allows now: asked where it would leave a position bare."""
        known = self._broker.capabilities_of(symbol)
        if moves_protection(request) or _enters_bare(request, known):
            await self.is_open(symbol, moving=True)
        return self._broker.capabilities_of(symbol) == known

    def _older(self, symbol: Symbol, age_ms: int) -> bool:
        return self._broker.now_ms() - self._asked_ms.get(symbol, self._began_ms) >= age_ms

    async def _refresh(self, symbols: list[Symbol]) -> None:
        if not symbols:
            return
        try:
            await self._broker.refresh(symbols)
        except VenueError as error:
            _log.warning("the venue cannot be asked for its symbols", error=str(error))
            return
        self._asked_ms |= dict.fromkeys(symbols, self._broker.now_ms())


def moves_protection(request: Request) -> bool:
    """Return whether a request takes away stops or targets that rest."""
    group = () if isinstance(request, Place) else request.group
    return any(outstanding.role in PROTECTIVE and not outstanding.pending for outstanding in group)


def _enters_bare(request: Request, can: Capabilities) -> bool:
    """Return whether a request is an entry without its stop because its symbol takes no such list; one at a stop has none."""
    if not isinstance(request, Place) or request.list_id is not None:
        return False
    first = request.orders[0]
    return first.role == "entry" and first.type != "stop" and "opo" not in can.lists

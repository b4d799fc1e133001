"""One account's balances, free and locked, in exact decimals; nothing can be spent twice."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from decimal import Decimal

from atb.venues.simulator.orders import ZERO
from atb.venues.simulator.refusals import insufficient_balance


class Account:
    """The balances of one account.

    Parameters
    ----------
    balances
        Starting balances by asset, all free.
    """

    def __init__(self, balances: Mapping[str, Decimal]) -> None:
        self._free = dict(balances)
        self._locked: dict[str, Decimal] = {}
        self._changed: dict[str, None] = {}
        self.updated_ms = 0
        self._past: list[tuple[int, dict[str, Decimal], dict[str, Decimal]]] = []
        self.keep(0)

    def keep(self, now_ms: int) -> None:
        """Keep the balances as they are, for those who read them late."""
        self.updated_ms = now_ms
        self._past.append((now_ms, dict(self._free), dict(self._locked)))

    def at(self, time_ms: int) -> "Account":
        """Return the account as it was at a time, changes of that millisecond included; to be read only."""
        known = bisect_right(self._past, time_ms, key=lambda state: state[0])
        past = Account({})
        past.updated_ms, past._free, past._locked = self._past[max(known - 1, 0)]
        return past

    def free(self, asset: str) -> Decimal:
        """Return the free balance of an asset."""
        return self._free.get(asset, ZERO)

    def locked(self, asset: str) -> Decimal:
        """Return the locked balance of an asset."""
        return self._locked.get(asset, ZERO)

    def assets(self) -> list[str]:
        """Return every asset that the account has or had, sorted."""
        return sorted(self._free.keys() | self._locked.keys())

    def require(self, asset: str, amount: Decimal) -> None:
        """Check that an amount is free.

        Raises
        ------
        Refusal
            If less than `amount` is free.
        """
        if self.free(asset) < amount:
            raise insufficient_balance()

    def add(self, asset: str, amount: Decimal) -> None:
        """Add to the free balance; a negative amount subtracts."""
        self._free[asset] = self.free(asset) + amount
        assert self._free[asset] >= 0, f"{asset} below 0"
        self._changed[asset] = None

    def lock(self, asset: str, amount: Decimal) -> None:
        """Move an amount from free to locked."""
        self._free[asset] = self.free(asset) - amount
        self._locked[asset] = self.locked(asset) + amount
        assert self._free[asset] >= 0, f"{asset} below 0"
        assert self._locked[asset] >= 0, f"locked {asset} below 0"
        self._changed[asset] = None

    def unlock(self, asset: str, amount: Decimal) -> None:
        """Move an amount from locked to free."""
        self.lock(asset, -amount)

    def take_changed(self) -> Iterable[str]:
        """Return the assets that changed since the last call."""
        changed = tuple(self._changed)
        self._changed.clear()
        return changed

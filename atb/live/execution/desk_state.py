"""An exchange desk's own state, saved beside the kernel's: cursors, surpluses, quarantines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

from atb.domain import Fill, Symbol
from atb.live.journal.step import Working


@dataclass
class DeskState:
    """Values that survive a restart.

    Parameters
    ----------
    began_ms
        Exchange time of the session's first step; earlier executions are not ours.
    cursors
        By symbol, the last trade id that a sweep has applied; the journal keeps them beside the fills.
    bars
        By slot, the open of the last decided bar; orders are named after it.
    surplus
        By asset, the account's amount beyond the books when the session began, adjusted by fees that were paid in a third asset.
    quarantine
        By symbol, why no entries may be sent.
    present
        By slot, the quantity (base) that is left on the account of a position sold or moved by hand; no more is ever sold.
    foreign
        Orders and executions that are not ours and were journalled; saved as `strangers`.
    seen
        Executions (symbol, trade id) that this process applied.
    stuck
        By slot, why it cannot act, as it was reported.
    drift
        By asset, the account's amount beyond books and surplus at the last comparison of this process.
    known
        Looks up whether the journal has an execution, applied by an earlier process.
    recorded
        Looks up an order of ours in the journal by its client id, None if it is not there.
    """

    began_ms: int
    cursors: dict[str, str] = field(default_factory=dict)
    bars: dict[int, int] = field(default_factory=dict)
    surplus: dict[str, Decimal] = field(default_factory=dict)
    quarantine: dict[str, str] = field(default_factory=dict)
    present: dict[int, Decimal] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    stuck: dict[int, str] = field(default_factory=dict)
    drift: dict[str, Decimal] = field(default_factory=dict)
    known: Callable[[Symbol, str], bool] = field(default=lambda _symbol, _trade_id: False)
    recorded: Callable[[str], Working | None] = field(default=lambda _client_id: None)

    def has(self, symbol: Symbol, trade_id: str) -> bool:
        """Return whether an execution was ever applied."""
        return (str(symbol), trade_id) in self.seen or self.known(symbol, trade_id)

    def fee(self, fill: Fill) -> None:
        """Adjust the surplus for a fee in a third asset: the books pay its value in quote, the account pays the asset."""
        if fill.fee_asset in {fill.symbol.base, fill.symbol.quote} or not self.surplus:
            return
        quote = fill.symbol.quote
        self.surplus[quote] = self.surplus.get(quote, Decimal(0)) + fill.fee_value
        self.surplus[fill.fee_asset] = self.surplus.get(fill.fee_asset, Decimal(0)) - fill.fee

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "began_ms": self.began_ms,
            "bars": {str(slot): bar for slot, bar in self.bars.items()},
            "surplus": {asset: str(amount) for asset, amount in self.surplus.items()},
            "quarantine": self.quarantine,
            "present": {str(slot): str(amount) for slot, amount in self.present.items()},
            "strangers": self.foreign,
            "stuck": {str(slot): reason for slot, reason in self.stuck.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            int(values["began_ms"]),
            {},
            {int(slot): int(bar) for slot, bar in values["bars"].items()},
            {asset: Decimal(amount) for asset, amount in values["surplus"].items()},
            dict(values["quarantine"]),
            {int(slot): Decimal(amount) for slot, amount in values.get("present", {}).items()},
            list(values["strangers"]),
            stuck={int(slot): reason for slot, reason in values.get("stuck", {}).items()},
        )

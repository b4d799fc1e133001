"""Hand-over: a slot passes from one promoted manifest to another between two bars, on the record and within one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Connection

from atb.live.journal import sql
from atb.live.journal.rows import Rows
from atb.live.plan import Plan


@dataclass(frozen=True)
class HandOver:
    """A slot that passes to another plan before the bar that opens at `from_bar_ms`.

    Parameters
    ----------
    kind
        `adopted` and `rolled_back` change who trades; `shadowed` only notes that `plan` was watched.
    position
        What the slot holds then, signed, in base: it belongs to `plan` from now on.
    stop_client_id
        The stop that stays at the venue.
    """

    slot: int
    kind: Literal["shadowed", "adopted", "rolled_back"]
    plan: Plan
    from_bar_ms: int
    position: Decimal
    stop_client_id: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def manifest_sha256(self) -> str:
        """Content hash of the manifest it passes to."""
        return self.plan.manifest.content_sha256


def write_hand_over(connection: Connection, session_id: str, rows: Rows, *, passed: Sequence[HandOver]) -> None:
    """Write who owned each slot and who owns it now; `rows` are of the portfolio that goes on."""
    connection.execute(sql.HANDOVERS, [_row(connection, session_id, one) for one in passed])
    for one in passed:
        if one.kind != "shadowed":
            row = rows.traded_by(one.plan)
            after = {"manifest": row["manifest_sha256"], "by": row["strategy"]}
            connection.execute(sql.HAND_OVER, {"of": session_id, "in_slot": one.slot, **after})
    said = [{"slot": one.slot, "kind": one.kind, "to": one.manifest_sha256} for one in passed]
    connection.execute(sql.AUDIT, [rows.audit("handed_over", {"slots": said})])


def _row(connection: Connection, session_id: str, one: HandOver) -> dict[str, Any]:
    before = connection.scalar(sql.TRADED_BY, {"of": session_id, "in_slot": one.slot})
    names = ("slot", "kind", "from_bar_ms", "position", "stop_client_id", "detail")
    said = {name: getattr(one, name) for name in names}
    return {**said, "session_id": session_id, "from_manifest_sha256": before, "to_manifest_sha256": one.manifest_sha256}

"""A past session made again from its promotions: the portfolio that traded it, and the backtest of its bars."""

from pathlib import Path
from typing import Any

from sqlalchemy import exists, select

from atb.backtest import Result, run
from atb.config import Settings
from atb.data.catalogue import load_bars
from atb.data.catalogue.inputs import load_inputs
from atb.db import Database
from atb.db.tables import HandoverRow, PromotionRow
from atb.errors import AtbError, InputError, PromotionError
from atb.live.plan import make_plan
from atb.live.portfolio import Portfolio
from atb.promotion.manifest import Manifest, load_past_manifest, verify
from atb.times import at_ms


def portfolio_of_session(
    database: Database, standing: dict[str, Any], settings: Settings
) -> tuple[Portfolio | None, tuple[str, ...]]:
    """Return the portfolio that traded a session, None if it can no longer be made, and what has changed since its promotion.

    Parameters
    ----------
    standing
        The session's row of `atb.live.journal.overview.sessions`.

    Raises
    ------
    InputError
        If its slots were handed over, so that no single backtest is its own.
    """
    passed = select(exists().where(HandoverRow.session_id == standing["session"], HandoverRow.kind != "shadowed"))
    wanted = [slot["manifest_sha256"] for slot in standing["slots"] if slot["status"] != "shadow"]
    with database.session(read_only=True) as session:
        if session.scalar(passed):
            raise InputError(
                "The strategies of this session changed hands, so no one backtest is its own", found=standing["session"],
                todo="`atb trades` and `atb why` explain its trades one by one",
            )  # fmt: skip
        paths = {row.manifest_sha256: Path(row.path) for row in session.scalars(select(PromotionRow))}
    if missing := [sha for sha in wanted if sha not in paths]:
        return None, (f"its manifest {missing[0][:12]} was promoted into another database",)
    changed: list[str] = []
    try:
        manifests = [load_past_manifest(paths[sha]) for sha in wanted]
        changed = [
            text for sha, manifest in zip(wanted, manifests, strict=True) for text in _changed(manifest, sha, settings)
        ]
        return Portfolio(tuple(make_plan(manifest, settings.models_root) for manifest in manifests)), tuple(changed)
    except AtbError as gone:  # what traded then cannot be made from what is here
        return None, (*changed, gone.wrong)


def _changed(manifest: Manifest, sha256: str, settings: Settings) -> list[str]:
    """Return why a manifest of the past may not trade today, a sentence each; empty where it may."""
    if manifest.content_sha256 != sha256:
        raise PromotionError("Its manifest is another one than the session was promoted by")
    if not manifest.locks:
        return ["It was promoted by an older version of atb, which pinned less"]
    try:
        verify(
            manifest,
            models_root=settings.models_root,
            keys_root=settings.keys_root,
            trust_root=settings.trust_root,
        )
    except AtbError as error:
        return [error.wrong]
    return []


def session_backtest(portfolio: Portfolio, start_ms: int, end_ms: int, *, bars_root: Path) -> Result:
    """Return the backtest of a portfolio over stored bars, from the open of the first to the close of the last (epoch ms).

    Raises
    ------
    DataError
        If the catalogue lacks bars.
    """
    start, end = at_ms(start_ms), at_ms(end_ms)
    slots = []
    for plan in portfolio.plans:
        lead, venue = portfolio.lead_bars(plan), plan.manifest.venue
        bars = load_bars(plan.symbol, plan.timeframe, start, end, root=bars_root, venue=venue, lead=lead)
        first = max(0, int(bars.opened_ms.searchsorted(start_ms)) - plan.warmup)
        slots.append(plan.slot(bars, load_inputs(plan.inputs, bars, root=bars_root, from_row=first)))
    return run(slots, account=portfolio.account, start=start)

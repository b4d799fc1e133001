"""Manifests: what was promoted, with the gate's verdict, the evidence beside it, its run, and the sessions that trade it."""

from typing import Any

from dash import html
from dash.development.base_component import Component

from atb.dashboards.elements import facts, link, listed, notice, section
from atb.dashboards.page import Look, Page, Query, Source
from atb.errors import InputError

MOST = 100
_COLUMNS = {
    "name": "manifest",
    "mode": "for",
    "verdict": "gate",
    "live": "gate for live",
    "created": "promoted",
    "run": "run",
}
_CHECKS = {"name": "check", "required_for": "required for", "held": "held", "found": "found", "wanted": "wanted"}
_EVIDENCE = {"created": "when", "kind": "kind", "passed": "passed", "said": "found"}
_SESSIONS = {"session": "session", "slot": "slot", "strategy": "strategy", "symbol": "symbol", "status": "status"}
_HELD = {"ok": "yes", "error": "no", "warning": "no", "skipped": "not asked"}


def read(source: Source, query: Query) -> dict[str, Any]:
    """Return the newest manifests, or with `sha256` everything about one.

    Raises
    ------
    InputError
        If there is no such manifest.
    """
    wanted = dict(query).get("sha256")
    return {"listed": _newest(source)} if wanted is None else {"one": _one(source, wanted)}


def _newest(source: Source) -> list[dict[str, Any]]:
    from sqlalchemy import select

    from atb.db.tables import PromotionRow

    query = select(PromotionRow).order_by(PromotionRow.created_at.desc(), PromotionRow.name).limit(MOST)
    with source.database.session(read_only=True) as session:
        return [_row(row) for row in session.scalars(query)]


def _row(row: Any) -> dict[str, Any]:
    verdict = row.verdict or {}
    return {
        "sha256": row.manifest_sha256, "name": row.name, "mode": row.mode, "run_id": row.run_id, "path": row.path,
        "created": row.created_at.isoformat(), "verdict": verdict, "passed": verdict.get("passed"),
        "live": (verdict.get("live") or {}).get("passed"),
    }  # fmt: skip


def _one(source: Source, sha256: str) -> dict[str, Any]:
    from sqlalchemy import select

    from atb.db.tables import EvidenceRow, PromotionRow, RunRow, SessionRow, SlotRow

    with source.database.session(read_only=True) as session:
        row = session.get(PromotionRow, sha256)
        traded = session.execute(
            select(SlotRow, SessionRow.key)
            .join(SessionRow, SessionRow.session_id == SlotRow.session_id)
            .where(SlotRow.manifest_sha256 == sha256)
            .limit(MOST)
        ).all()
        if row is None and not traded:
            raise InputError("There is no such manifest", found=sha256, todo="Choose one on the page Manifests")
        keys = {sha256, *(key for _, key in traded)}
        query = (
            select(EvidenceRow).where(EvidenceRow.manifest_sha256.in_(keys)).order_by(EvidenceRow.id.desc()).limit(MOST)
        )
        run_id = None if row is None else row.run_id
        return {
            "sha256": sha256,
            "manifest": None if row is None else _row(row),
            "evidence": [
                {
                    "created": each.created_at.isoformat(),
                    "kind": each.kind,
                    "passed": each.passed,
                    "detail": each.detail,
                }
                for each in session.scalars(query)
            ],
            "run_known": run_id is not None and session.get(RunRow, run_id) is not None,
            "sessions": [
                {
                    "session": slot.session_id,
                    "slot": slot.slot,
                    "strategy": slot.strategy,
                    "symbol": slot.symbol,
                    "status": slot.status,
                }
                for slot, _ in traded
            ],
        }


def draw(content: dict[str, Any], look: Look) -> Component:  # noqa: ARG001 - the register's signature
    """Return the list of manifests, or one."""
    if "one" in content:
        return _drawn(content["one"])
    rows = [
        {
            **row,
            "name": link(row["name"], "/manifests", sha256=row["sha256"]),
            "verdict": _passed(row["passed"]),
            "live": _passed(row["live"]),
            "run": row["run_id"] and link(row["run_id"], "/run", id=row["run_id"]),
        }
        for row in content["listed"]
    ]
    empty = "Nothing was promoted yet: `atb promote RUN_ID --to paper` makes a manifest of a run."
    return html.Div([html.H1("Manifests"), listed(rows, _COLUMNS, empty=empty)])


def _passed(passed: bool | None) -> str | None:
    return None if passed is None else "passed" if passed else "refused"


def _drawn(one: dict[str, Any]) -> Component:
    row = one["manifest"]
    head = html.H1(f"Manifest {row['name'] if row else one['sha256'][:16]}")
    rest = [section("Evidence", _evidence(one["evidence"])), section("Sessions", _sessions(one["sessions"]))]
    if row is None:
        return html.Div([head, notice("It was promoted with another database; its verdict is in its file."), *rest])
    verdict, run_id = row["verdict"], row["run_id"]
    checks = [{**check, "held": _HELD.get(check["status"], check["status"])} for check in verdict.get("checks") or []]
    reasons = [notice(f"Refused: {reason}.", "warn") for reason in verdict.get("reasons") or []]
    return html.Div(
        [
            head,
            *reasons,
            facts(
                {
                    "for": row["mode"],
                    "gate": _passed(row["passed"]),
                    "gate for live": _passed(row["live"]),
                    "promoted": row["created"],
                    "run": link(run_id, "/run", id=run_id) if one["run_known"] else run_id,
                    "file": row["path"],
                    "content hash": one["sha256"],
                }
            ),
            section("The gate's checks", listed(checks, _CHECKS, empty="Its verdict has no checks.")),
            *rest,
        ]
    )


def _evidence(rows: list[dict[str, Any]]) -> Component:
    from atb.dashboards.pages.monitor.sections import said

    shown = [{**row, "said": said(_plain(row["detail"]))} for row in rows]
    return listed(shown, _EVIDENCE, empty="It was never rehearsed: `atb rehearse MANIFEST` does it.")


def _plain(detail: dict[str, Any]) -> dict[str, Any]:
    """Return a detail for one line: single values, and the number of things in a list."""
    return {name: f"{len(value)} of them" if isinstance(value, list) else value for name, value in detail.items()}


def _sessions(rows: list[dict[str, Any]]) -> Component:
    shown = [{**row, "session": link(row["session"], "/live", session=row["session"])} for row in rows]
    return listed(shown, _SESSIONS, empty="No session traded it yet.")


PAGE = Page("/manifests", "Manifests", read, draw, every_s=2.0)

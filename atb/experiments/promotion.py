"""Promoting a run: its published result and what is here now become evidence, and what passes the gate a signed manifest."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.db import Database
from atb.db.tables import Evidence as EvidenceRow
from atb.db.tables import Promotion, Run
from atb.engine.policy import RiskPolicy
from atb.errors import AtbError, InputError, PromotionError, did_you_mean
from atb.experiments.publication import published
from atb.experiments.recomputation import columns_equal
from atb.experiments.registry import get_run
from atb.promotion.drafting import draft_manifest
from atb.promotion.gate import Evidence, Verdict, gate
from atb.promotion.manifest import MODES, Manifest, decide_alike, load_manifest, write_manifest
from atb.promotion.trust import check_place
from atb.reading import read_json

if TYPE_CHECKING:
    from atb.config import Settings

REHEARSAL = "rehearsal"  # the kind of evidence that `atb rehearse` leaves
REHEARSED_DAYS = 30  # the least that says something before real money


@dataclass(frozen=True)
class Judged:
    """A run, its one result as published (empty: none), and what the gate says."""

    run: Run
    result: Mapping[str, Any]
    evidence: Evidence
    verdict: Verdict
    model_folder: Path | None = None


@dataclass(frozen=True)
class Promoted:
    """A manifest's file, its content hash, and the verdict that let it pass."""

    name: str
    path: Path
    manifest_sha256: str
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        verdict = self.verdict.to_json()
        return {"name": self.name, "path": str(self.path), "manifest_sha256": self.manifest_sha256, "verdict": verdict}


def judge(run_id: str, *, settings: "Settings", database: Database, mode: str = "paper") -> Judged:
    """Return what the gate says about a run, by its id or the unique beginning of it; nothing is written.

    Raises
    ------
    InputError
        If there is no such run or mode.
    """
    if mode not in MODES:
        raise InputError("There is no such mode", found=mode, todo=did_you_mean(mode, MODES))
    run = get_run(database, run_id)
    content = published(settings.runs_root / run.run_id)
    result = content.get("result") or {}
    folder = _model_folder(result, settings.models_root)
    evidence = _evidence(run, result, content.get("evidence") or {}, folder=folder, settings=settings)
    if evidence.data_matches and (
        mode == "live" or evidence.columns_equal is None
    ):  # for real money nobody's word counts
        equal = columns_equal(result, folder=folder, settings=settings)
        # What the bars up to each bar say of it, at every bar, knows nothing of later ones.
        evidence = replace(evidence, columns_equal=equal, lookahead_clean=equal or evidence.lookahead_clean)
    judged = Judged(run, result, evidence, gate(evidence, mode=mode), folder)
    if judged.verdict.passed or mode == "live":  # what is promoted at all may have been rehearsed
        evidence = replace(evidence, rehearsed=_rehearsed(judged, settings, database))
    return replace(judged, evidence=evidence, verdict=gate(evidence, mode=mode))


def promote(
    run_id: str, *, settings: "Settings", database: Database, name: str | None = None, mode: str = "paper"
) -> Promoted:
    """Write a signed manifest of a run that the runner accepts, and record it.

    Parameters
    ----------
    run_id
        The run's id, or the unique beginning of it.
    name
        The manifest's; by default symbol, timeframe and strategy. A name that is taken gets a suffix.
    mode
        `paper`, or `live`, which asks for proofs, results and a rehearsal.

    Raises
    ------
    InputError
        If there is no such run or mode, or the name cannot be a file's.
    PromotionError
        If the gate refuses, with every reason, or the manifest cannot be written.
    """
    judged = judge(run_id, settings=settings, database=database, mode=mode)
    run, verdict = judged.run, judged.verdict
    if not verdict.passed:
        todo = f"Promote it to paper: atb promote {run.run_id} --to paper" if mode == "live" else ""
        raise PromotionError(f"Run {run.run_id} cannot be promoted to {mode}: {'; '.join(verdict.reasons)}", todo=todo)
    draft = _draft(judged, name or _default_name(judged.result["slots"][0], mode), settings)
    check_place(settings.trust_root, settings.data.root)
    signing = settings.trust_root if mode == "live" else settings.keys_root
    path = write_manifest(draft, settings.promoted_root, signing)
    manifest = load_manifest(path)
    try:
        _record(database, Promoted(manifest.name, path, manifest.content_sha256, verdict), run.run_id)
    except BaseException:  # without its record the file must not stay either
        path.unlink()
        raise
    return Promoted(manifest.name, path, manifest.content_sha256, verdict)


def _draft(judged: Judged, name: str, settings: "Settings") -> Manifest:
    run = judged.run
    return draft_manifest(
        judged.result,
        name=name,
        run_id=run.run_id,
        model_folder=judged.model_folder,
        models_root=settings.models_root,
        verdict=judged.verdict.to_json(),
        evidence={"gate": judged.evidence.to_json(), "commit": run.commit, "dirty": run.dirty},
    )


def _rehearsed(judged: Judged, settings: "Settings", database: Database) -> bool | None:
    """Return how the last rehearsal of a manifest that decides as this run's would went; None where there was none."""
    from sqlalchemy import select

    query = (
        select(EvidenceRow.passed, EvidenceRow.detail, Promotion.path)
        .join(Promotion, Promotion.manifest_sha256 == EvidenceRow.manifest_sha256)
        .where(EvidenceRow.kind == REHEARSAL, Promotion.run_id == judged.run.run_id)
        .order_by(EvidenceRow.id.desc())
    )
    with database.session(read_only=True) as session:
        rows = [(bool(passed), detail, Path(path)) for passed, detail, path in session.execute(query)]
    found = [(passed, path) for passed, detail, path in rows if not passed or _thorough(detail)]
    if not found:
        return None
    try:
        draft = _draft(judged, "a-draft", settings)
    except PromotionError:  # what cannot be a manifest was not rehearsed as one
        return None
    return next((passed for passed, path in found if _decides_as(draft, path)), None)


def _thorough(detail: Mapping[str, Any]) -> bool:
    """Tell whether a rehearsal was long enough, had faults, and let the kill switch close something."""
    drill = detail.get("drill") or {}
    return detail.get("days", 0) >= REHEARSED_DAYS and detail.get("faults") != "none" and bool(drill.get("held"))


def _decides_as(draft: Manifest, path: Path) -> bool:
    try:
        return decide_alike(draft, load_manifest(path))
    except AtbError:  # whatever is wrong with the rehearsed one, it is not this one
        return False


def _record(database: Database, promoted: Promoted, run_id: str) -> None:
    row = Promotion(
        manifest_sha256=promoted.manifest_sha256,
        name=promoted.name,
        mode=promoted.verdict.mode,
        run_id=run_id,
        path=str(promoted.path),
        verdict=promoted.verdict.to_json(),
    )
    with database.session() as session:
        session.add(row)


def _default_name(slot: Mapping[str, Any], mode: str) -> str:
    ending = "" if mode == "paper" else f"_{mode}"
    text = f"{slot['symbol']}_{slot['timeframe']}_{slot['strategy']['name']}{ending}".lower()
    return re.sub(r"[^a-z0-9_]+", "-", text)


def _evidence(
    run: Run, result: Mapping[str, Any], proofs: Mapping[str, Any], *, folder: Path | None, settings: "Settings"
) -> Evidence:
    from atb.engine.cache import kernel_hash

    slots = result.get("slots", [])
    matches, warm = _check_data(slots[0], str(result["start"]), settings.bars_root) if slots else (False, False)
    stats, hold = result.get("stats", {}), result.get("baselines", {}).get("hold", {})
    return Evidence(
        run_status=run.status,
        strategies=len(slots),
        data_matches=matches,
        kernel_matches=result.get("kernel_hash") == run.kernel_hash == kernel_hash(),
        warm=warm,
        synthetic=any(slot["venue"] == "synthetic" for slot in slots),
        n_trades=_number(stats, "n_trades"),
        sharpe=_number(stats, "sharpe"),
        total_return_pct=_number(stats, "total_return_pct"),
        hold_return_pct=_number(hold, "total_return_pct"),
        max_drawdown_pct=_number(stats, "max_drawdown_pct"),
        parity=_proof(proofs, "parity"),
        lookahead_clean=_proof(proofs, "lookahead_clean"),
        columns_equal=_proof(proofs, "columns_equal"),
        predicts=folder is not None,
        beats_baselines=None if folder is None else _card(folder).get("beats_baselines"),
        out_of_sample=_proof(proofs, "out_of_sample"),
        dirty=run.dirty,
        refused=result.get("refused", {}),
        shorts=any(bool(slot["policy"].get("allow_short")) for slot in slots),
        enters_bare=any(RiskPolicy.from_json(slot["policy"]).enters_bare for slot in slots),
    )


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    return math.nan if value is None else float(value)


def _proof(proofs: Mapping[str, Any], name: str) -> bool | None:
    value = proofs.get(name)
    return value if isinstance(value, bool) else None


def _check_data(slot: Mapping[str, Any], start: str, bars_root: Path) -> tuple[bool, bool]:
    """Return whether the catalogue still gives the slot's very bars, and whether enough of them came before `start`."""
    from atb.data.catalogue import load_bars
    from atb.domain import Timeframe

    data = slot["data"]
    end = Timeframe.parse(data["timeframe"]).next(datetime.fromisoformat(data["last"]))
    try:
        bars = load_bars(
            data["symbol"], data["timeframe"], data["first"], end, root=bars_root, venue=data["venue"] or None
        )
    except AtbError:  # whatever keeps the bars from being read, they are not those of the run
        return False, False
    before = int((bars.frame.index < datetime.fromisoformat(start)).sum())
    return bars.fingerprint == data["fingerprint"], before >= slot["warmup"]


def _model_folder(result: Mapping[str, Any], models_root: Path) -> Path | None:
    """Return the bundle whose fingerprint the result's predictor had, None where no model took part.

    Raises
    ------
    PromotionError
        If there is no such bundle, or not any more.
    """
    from atb.prediction.bundle import list_bundles, load_bundle

    slots = result.get("slots", [])
    if len(slots) != 1 or slots[0].get("model") is None:
        return None
    wanted = slots[0]["model"]["fingerprint"]
    for folder in reversed(list_bundles(models_root)):
        card = _card(folder)
        if card.get("symbol") == slots[0]["symbol"] and card.get("timeframe") == slots[0]["timeframe"]:
            try:
                bundle = load_bundle(folder)
            except AtbError:  # a broken bundle is not the one looked for
                continue
            if bundle.fingerprint == wanted:
                return folder
    raise PromotionError(
        f"The model of the run is not, or no longer, in {models_root}",
        found=wanted[:12],
        todo="Restore it, or backtest again",
    )


def _card(folder: Path) -> dict[str, Any]:
    try:
        card = read_json(folder / "card.json")
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}

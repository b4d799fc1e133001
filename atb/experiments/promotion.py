"""Promotion of a run: its published result, checked against what is installed now, goes through the gate and into a manifest."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.db import Database
from atb.db.tables import EvidenceRow, PromotionRow, RunRow
from atb.domain.bars import SYNTHETIC
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.errors import AtbError, InputError, PromotionError, did_you_mean
from atb.experiments.publication import published
from atb.experiments.recomputation import columns_equal
from atb.experiments.registry import get_run
from atb.promotion.drafting import RunIdentity, draft_manifest
from atb.promotion.evidence import Evidence, Proofs, RehearsalEvidence
from atb.promotion.gate import Verdict, gate
from atb.promotion.manifest import MODES, Manifest, decide_alike, load_manifest, write_manifest
from atb.promotion.trust import check_place
from atb.reading import read_json

if TYPE_CHECKING:
    from atb.config import Settings

REHEARSAL = "rehearsal"  # kind of the evidence that `atb rehearse` stores
REHEARSED_DAYS = 30  # shortest rehearsal that counts before real money


@dataclass(frozen=True)
class Judged:
    """A run, its published result (empty if it published none), and the gate's verdict."""

    run: RunRow
    result: Mapping[str, Any]
    evidence: Evidence
    verdict: Verdict
    model_folder: Path | None = None


@dataclass(frozen=True)
class Promoted:
    """A manifest: its file, its content hash, and the verdict that allowed it."""

    name: str
    path: Path
    manifest_sha256: str
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        verdict = self.verdict.to_json()
        return {"name": self.name, "path": str(self.path), "manifest_sha256": self.manifest_sha256, "verdict": verdict}


def judge(run_id: str, *, settings: "Settings", database: Database, mode: str = "paper") -> Judged:
    """Return the gate's verdict on a run, given by its id or a unique prefix of it; nothing is written.

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
    evidence = _evidence(run, result, Proofs.from_json(content.get("evidence") or {}), folder=folder, settings=settings)
    if evidence.data_matches and (mode == "live" or evidence.columns_equal is None):
        # For real money the run's own proof does not count: its columns are computed again here.
        equal = columns_equal(result, folder=folder, settings=settings)
        # Equal columns, each computed from the bars up to its own, cannot depend on later bars.
        evidence = replace(evidence, columns_equal=equal, lookahead_clean=equal or evidence.lookahead_clean)
    judged = Judged(run, result, evidence, gate(evidence, mode=mode), folder)
    if judged.verdict.passed or mode == "live":  # only a promoted run can have been rehearsed
        evidence = replace(evidence, rehearsed=_rehearsed(judged, settings, database))
    return replace(judged, evidence=evidence, verdict=gate(evidence, mode=mode))


def promote(
    run_id: str, *, settings: "Settings", database: Database, name: str | None = None, mode: str = "paper"
) -> Promoted:
    """Write a signed manifest of a run that the runner accepts, and record it.

    Parameters
    ----------
    run_id
        The run's id, or a unique prefix of it.
    name
        Name of the manifest; by default symbol, timeframe and strategy. A name already in use gets a suffix.
    mode
        `paper`, or `live`, which requires proofs, results and a rehearsal.

    Raises
    ------
    InputError
        If there is no such run or mode, or the name is not a valid file name.
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
    except BaseException:  # a file without its record must not stay
        path.unlink()
        raise
    return Promoted(manifest.name, path, manifest.content_sha256, verdict)


def _draft(judged: Judged, name: str, settings: "Settings") -> Manifest:
    run = judged.run
    return draft_manifest(
        judged.result,
        name=name,
        run=RunIdentity(run.run_id, run.commit, run.dirty),
        model_folder=judged.model_folder,
        models_root=settings.models_root,
        verdict=judged.verdict,
        evidence=judged.evidence,
    )


def _rehearsed(judged: Judged, settings: "Settings", database: Database) -> bool | None:
    """Return whether the last rehearsal of a manifest that decides as this run would passed; None without one that counts."""
    from sqlalchemy import select

    query = (
        select(EvidenceRow.passed, EvidenceRow.detail, PromotionRow.path)
        .join(PromotionRow, PromotionRow.manifest_sha256 == EvidenceRow.manifest_sha256)
        .where(EvidenceRow.kind == REHEARSAL, PromotionRow.run_id == judged.run.run_id)
        .order_by(EvidenceRow.id.desc())
    )
    with database.session(read_only=True) as session:
        rows = session.execute(query).all()
    rehearsals = [(RehearsalEvidence.from_json(bool(passed), detail), Path(path)) for passed, detail, path in rows]
    found = [
        (rehearsal.passed, path)
        for rehearsal, path in rehearsals
        if not rehearsal.passed or rehearsal.thorough(REHEARSED_DAYS)
    ]
    if not found:
        return None
    try:
        draft = _draft(judged, "a-draft", settings)
    except PromotionError:  # a run that cannot become a manifest was not rehearsed as one
        return None
    return next((passed for passed, path in found if _decides_as(draft, path)), None)


def _decides_as(draft: Manifest, path: Path) -> bool:
    try:
        return decide_alike(draft, load_manifest(path))
    except AtbError:  # a rehearsed manifest that cannot be loaded is not this one
        return False


def _record(database: Database, promoted: Promoted, run_id: str) -> None:
    row = PromotionRow(
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
    run: RunRow, result: Mapping[str, Any], proofs: Proofs, *, folder: Path | None, settings: "Settings"
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
        synthetic=any(slot["venue"] == SYNTHETIC for slot in slots),
        n_trades=_number(stats, "n_trades"),
        sharpe=_number(stats, "sharpe"),
        total_return_pct=_number(stats, "total_return_pct"),
        hold_return_pct=_number(hold, "total_return_pct"),
        max_drawdown_pct=_number(stats, "max_drawdown_pct"),
        parity=proofs.parity,
        lookahead_clean=proofs.lookahead_clean,
        columns_equal=proofs.columns_equal,
        predicts=folder is not None,
        beats_baselines=None if folder is None else _card(folder).get("beats_baselines"),
        out_of_sample=proofs.out_of_sample,
        dirty=run.dirty,
        refused=result.get("refused", {}),
        shorts=any(bool(slot["policy"].get("allow_short")) for slot in slots),
        of_universe=any(slot.get("listings") is not None for slot in slots),
        enters_bare=any(RiskPolicy.from_json(slot["policy"]).enters_bare for slot in slots),
        limits_at_open=any(
            RiskPolicy.from_json(slot["policy"]).rests_limit
            and ExecutionModel.from_json(slot["execution"]).limit_gap == "open"
            for slot in slots
        ),
    )


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    return math.nan if value is None else float(value)


def _check_data(slot: Mapping[str, Any], start: str, bars_root: Path) -> tuple[bool, bool]:
    """Return whether the catalogue still holds exactly the slot's bars and inputs, and whether enough bars come before `start`."""
    from atb.data.catalogue import load_bars
    from atb.data.catalogue.inputs import load_inputs
    from atb.domain import Timeframe
    from atb.domain.inputs import identified_input

    data = slot["data"]
    end = Timeframe.parse(data["timeframe"]).next(datetime.fromisoformat(data["last"]))
    try:
        bars = load_bars(
            data["symbol"], data["timeframe"], data["first"], end, root=bars_root, venue=data["venue"] or None
        )
        wanted = {name: identified_input(one) for name, one in slot.get("inputs", {}).items()}
        inputs = load_inputs(wanted, bars, root=bars_root)
    except AtbError:  # bars that cannot be read are not those of the run
        return False, False
    before = int((bars.frame.index < datetime.fromisoformat(start)).sum())
    same = {name: one.fingerprint for name, one in inputs.items()} == {
        name: one["fingerprint"] for name, one in slot.get("inputs", {}).items()
    }
    return same and bars.fingerprint == data["fingerprint"], before >= slot["warmup"]


def _model_folder(result: Mapping[str, Any], models_root: Path) -> Path | None:
    """Return the folder of the model bundle with the fingerprint in the result; None without a model.

    Raises
    ------
    PromotionError
        If there is no such bundle (any more).
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
            except AtbError:  # a broken bundle is not the one wanted
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

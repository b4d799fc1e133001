"""Drafting: from a published backtest result to an unsigned manifest that pins everything that decided in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from atb.engine.cache import kernel_hash
from atb.errors import PromotionError
from atb.promotion import provenance
from atb.promotion.closure import module_name
from atb.promotion.evidence import Evidence
from atb.promotion.gate import Verdict
from atb.promotion.manifest import SCHEMA, Manifest


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Which run, of which commit, and whether the checkout had uncommitted changes; None is not known."""

    run_id: str
    commit: str | None
    dirty: bool | None


def draft_manifest(
    result: Mapping[str, Any],
    *,
    name: str,
    run: RunIdentity,
    model_folder: Path | None,
    models_root: Path,
    verdict: Verdict,
    evidence: Evidence,
) -> Manifest:
    """Return the unsigned manifest of a result with one slot.

    Parameters
    ----------
    result
        As `Result.to_json` gave it.
    model_folder
        Bundle of the result's predictor; None without one.
    verdict, evidence
        The gate's verdict, and the evidence it was given.

    Raises
    ------
    PromotionError
        If the strategy is in no file or its file changed since the run, a source or model file cannot be found, or the result used
        funding rates or finer bars, which no runner has.
    """
    (slot,) = result["slots"]
    if slot.get("funding"):
        raise PromotionError(
            "The backtest paid the funding of a perpetual, and the runner books none",
            todo="Promote it on a spot pair",
        )
    if result.get("drilled"):
        raise PromotionError(
            "The backtest let finer bars settle ambiguous fills, and the runner has no finer bars",
            found=result["drilled"],
            todo="Backtest without finer bars, and promote that",
        )
    module = _promotable_module(slot)
    figures = {key: result[key] for key in ("start", "end", "stats", "baselines", "refused", "headline", "fill_model")}
    return Manifest(
        schema=SCHEMA,
        name=name,
        mode=verdict.mode,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        run_id=run.run_id,
        strategy={
            "name": slot["strategy"]["name"],
            "module": module,
            "parameters": dict(slot["strategy"]["parameters"]),
        },
        symbol=slot["symbol"],
        timeframe=slot["timeframe"],
        venue=slot["venue"],
        policy=dict(slot["policy"]),
        execution=dict(slot["execution"]),
        account=dict(result["account"]),
        instrument=dict(slot["instrument"]),
        model=None if model_folder is None else _model(slot, model_folder, models_root),
        data=[
            dict(slot["data"]),
            *({"input": name, **identity} for name, identity in slot.get("inputs", {}).items()),
        ],
        kernel_hash=kernel_hash(),
        versions=provenance.installed_versions(),
        sources=provenance.source_hashes(module),
        locks=provenance.lock_hashes(),
        warmup=int(slot["warmup"]),
        evidence={"gate": evidence.to_json(), "commit": run.commit, "dirty": run.dirty, **figures},
        verdict=verdict.to_json(),
    )


def _promotable_module(slot: Mapping[str, Any]) -> str:
    """Return the strategy's module, whose file must be the one that ran."""
    from atb.strategies import strategy_module, strategy_names

    name, ran = slot["strategy"]["name"], slot.get("source") or {}
    if name not in strategy_names() or not str(ran.get("module", "atb.")).startswith("atb."):
        raise PromotionError(
            f"Only a strategy in a file can be promoted: {name} was defined in a notebook or a script",
            found=ran.get("module", name),
            todo=f"Begin its cell with `%%strategy {name}`, which writes the file; then backtest and promote that",
        )
    module = strategy_module(name)
    here = provenance.source_hashes(module)[module_name(provenance.PACKAGE, module)]
    if (module, here) != (ran.get("module"), ran.get("sha256")):
        raise PromotionError(
            f"The run did not trade {name} as it is now: its file changed since, or the run does not say which one it traded",
            found=f"{ran.get('module')}, source {str(ran.get('sha256'))[:12]}",
            todo="Backtest again, and promote that run",
        )
    return module


def _model(slot: Mapping[str, Any], folder: Path, models_root: Path) -> dict[str, str]:
    try:
        path = folder.resolve().relative_to(models_root.resolve())
    except ValueError:
        raise PromotionError(f"A promoted model must lie under {models_root}", found=str(folder)) from None
    return {
        "path": path.as_posix(),
        "model_sha256": provenance.file_sha256(folder / "model.onnx"),
        "card_sha256": provenance.file_sha256(folder / "card.json"),
        "fingerprint": str(slot["model"]["fingerprint"]),
    }

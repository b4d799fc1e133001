"""The result a notebook publishes: `publish` writes it as strict JSON, and the executor reads it."""

import hashlib
import inspect
import json
import math
import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from atb.decimals import counted
from atb.domain import Bars
from atb.errors import InputError
from atb.experiments.strictness import check_run_all
from atb.files import write_private
from atb.reading import MIB, read_json

if TYPE_CHECKING:
    from atb.experiments.evidence import ResultEvidence

MIME = "application/vnd.atb.result+json"
FILE = "result.json"
LARGEST = 256 * MIB  # bytes of a result that is read; it has one row per trade
RECORD = "run.json"
RUN_FOLDER = "ATB_RUN_DIR"
SCHEMA = 1


class Publishable(Protocol):
    """Interface of a result that can be published; `atb.backtest.Result` has it."""

    @property
    def bars(self) -> tuple[Bars, ...]:
        """The bars of each slot."""

    @property
    def headline(self) -> str:
        """The line to read first."""

    def to_json(self) -> dict[str, Any]:
        """Return everything to keep, as JSON types."""

    def export(self, folder: Path) -> object:
        """Write orders, trades and equity as files into `folder`."""


def publish(
    *,
    metrics: Mapping[str, object],
    data: Sequence[Bars] = (),
    result: Publishable | None = None,
    model: Path | None = None,
    evidence: "ResultEvidence | None" = None,
    findings: Sequence[str] | None = None,
    headline: str | None = None,
) -> None:
    """Show a notebook's result and write it where `atb run` finds it. Call it once, in the last cell.

    Parameters
    ----------
    metrics
        Key figures by name; NaN and infinities become null.
    data
        The bars used; by default those of the result.
    result
        A backtest result; its orders, trades and equity are written into the run's folder.
    model
        A model file or bundle folder that the notebook made or used.
    evidence
        What `atb.experiments.evidence.evidence` proved of the result; the gate judges it.
    findings
        What speaks against the result, a sentence each; terminal and report show it first. Empty if nothing was found, None if
        nothing was looked for.
    headline
        The line to read first, if there is no result with its own.

    Raises
    ------
    InputError
        If the result is not a backtest's (but a screen's), the evidence is not `evidence`'s, or a value has no JSON form; if the
        notebook does not show what Run All would show.
    """
    folder = os.environ.get(RUN_FOLDER)
    _check_result(result)
    _check_evidence(evidence)
    if not folder:  # `atb run` executes a notebook from its first cell on
        check_run_all()
    seen = getattr(result, "seen", None)
    bars = tuple(data) or (result.bars if result is not None else ())
    summary = {
        "schema": SCHEMA,
        "headline": result.headline if result is not None else headline,
        "findings": None if findings is None else [str(finding) for finding in findings],
        "metrics": strict(metrics),
        "data": [identity(series) for series in bars],
        "trials": None if seen is None else {**seen.to_json(), "sentence": str(seen)},
        "model": None if model is None else {"path": str(model), "sha256": content_hash(model)},
    }
    if folder:
        whole = {
            **summary,
            "result": None if result is None else result.to_json(),
            "evidence": None if evidence is None else evidence.to_json(),
        }
        write_text(Path(folder) / FILE, to_json(whole), synced=False)  # `atb run` flushes the whole folder
        if result is not None:
            result.export(Path(folder))
    _display(summary)


def _check_result(result: object) -> None:
    """Refuse what is not a backtest's result, without computing any of its properties."""
    wanted = ("bars", "headline", "to_json", "export")
    if result is not None and any(inspect.getattr_static(result, name, None) is None for name in wanted):
        raise InputError(
            "Only the result of a backtest can be published",
            found=type(result).__name__,
            todo="A screen only ranks: run its best columns with backtest.run",
        )


def _check_evidence(evidence: object) -> None:
    if evidence is None:
        return
    from atb.experiments.evidence import ResultEvidence

    if not isinstance(evidence, ResultEvidence):
        raise InputError(
            "Only evidence of a result can be published as evidence",
            found=type(evidence).__name__,
            todo="Publish what evidence(result) returns; other figures are metrics",
        )


def published(folder: Path) -> dict[str, Any]:
    """Return the JSON that the notebook of a run folder published; empty if it published nothing."""
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        found: dict[str, Any] = read_json(path, max_bytes=LARGEST)
    except (OSError, ValueError) as error:
        raise InputError(
            f"The published result is not JSON ({error})", found=str(path), todo="Run the notebook again"
        ) from None
    return found


def identity(bars: Bars) -> dict[str, object]:
    """Return the identity of bars: symbol, timeframe, venue, content hash, first and last open, number."""
    index = bars.frame.index
    return {
        "symbol": str(bars.symbol),
        "timeframe": str(bars.timeframe),
        "venue": bars.venue,
        "fingerprint": bars.fingerprint,
        "first": index[0].isoformat() if len(bars) else None,
        "last": index[-1].isoformat() if len(bars) else None,
        "bars": len(bars),
    }


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's files with their relative names."""
    if not path.exists():
        raise InputError("There is no such model", found=str(path))
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(found for found in path.rglob("*") if found.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{content_hash(file)}\n".encode())
    return digest.hexdigest()


def strict(value: object) -> Any:
    """Return `value` as JSON types; NaN and infinities become null, numpy numbers Python's, times ISO text."""
    item = getattr(value, "item", None)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 and callable(item):
        value = item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): strict(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [strict(inner) for inner in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise InputError("This cannot be published", found=value, todo="Publish numbers, text, lists and dicts of them")


def to_json(value: object) -> str:
    """Return indented JSON text that any strict parser reads."""
    return json.dumps(strict(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_text(path: Path, text: str, *, synced: bool = True) -> None:
    """Write a file atomically, readable by its owner only, and flushed to disk if `synced`."""
    write_private(path, text.encode(), synced=synced)


def _display(summary: Mapping[str, Any]) -> None:
    """Show the result under its own media type with text as fallback; do nothing outside a kernel."""
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    if get_ipython() is None:  # type: ignore[no-untyped-call,unused-ignore] # typed in newer IPython
        return
    text = f"{summary['headline'] or 'Published'} ({counted(len(summary['metrics']), 'metric')} kept)"
    display({MIME: summary, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call,unused-ignore] # typed in newer IPython

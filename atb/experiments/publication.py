"""What a notebook says about itself: `publish` writes figures and identities as strict JSON, the executor reads them."""

import hashlib
import inspect
import json
import math
import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from atb.domain import Bars
from atb.errors import InputError
from atb.files import write_private
from atb.reading import MIB, read_json

MIME = "application/vnd.atb.result+json"
FILE = "result.json"
LARGEST = 256 * MIB  # bytes of a result that is read: it has one row per trade
RECORD = "run.json"
RUN_FOLDER = "ATB_RUN_DIR"
SCHEMA = 1


class Publishable(Protocol):
    """What `publish` asks of a result; `atb.backtest.Result` has it."""

    @property
    def bars(self) -> tuple[Bars, ...]:
        """The bars of each slot."""

    @property
    def headline(self) -> str:
        """The line to be read first."""

    def to_json(self) -> dict[str, Any]:
        """Return everything that is to be kept, as JSON types."""

    def export(self, folder: Path) -> object:
        """Write orders, trades and equity as files into `folder`."""


def publish(
    *,
    metrics: Mapping[str, object],
    data: Sequence[Bars] = (),
    result: Publishable | None = None,
    model: Path | None = None,
    evidence: Mapping[str, object] | None = None,
    findings: Sequence[str] | None = None,
    headline: str | None = None,
) -> None:
    """Show a notebook's result, and keep it where `atb run` finds it. Call it once, in the last cell.

    Parameters
    ----------
    metrics
        Key figures by name; NaN and infinities are kept as null.
    data
        The bars used; a result brings its own.
    result
        A backtest result; its orders, trades and equity are written beside the notebook's other files.
    model
        A model file or bundle folder that this notebook made or used.
    evidence
        What a gate will judge.
    findings
        What speaks against the result, a sentence each: the first thing that terminal and report show. Empty where nothing was
        found, None where nothing was looked for.
    headline
        The line to be read first, where there is no result that has its own.

    Raises
    ------
    InputError
        If the result is not a backtest's, a screen for one, or something has no JSON form.
    """
    _check_result(result)
    bars = tuple(data) or (result.bars if result is not None else ())
    summary = {
        "schema": SCHEMA,
        "headline": result.headline if result is not None else headline,
        "findings": None if findings is None else [str(finding) for finding in findings],
        "metrics": strict(metrics),
        "data": [identity(series) for series in bars],
        "model": None if model is None else {"path": str(model), "sha256": content_hash(model)},
    }
    folder = os.environ.get(RUN_FOLDER)
    if folder:
        whole = {**summary, "result": None if result is None else result.to_json(), "evidence": evidence}
        write_text(Path(folder) / FILE, to_json(whole))
        if result is not None:
            result.export(Path(folder))
    _display(summary)


def _check_result(result: object) -> None:
    """Refuse what is no result of the kernel, without computing any of it."""
    wanted = ("bars", "headline", "to_json", "export")
    if result is not None and any(inspect.getattr_static(result, name, None) is None for name in wanted):
        raise InputError(
            "Only the result of a backtest can be published",
            found=type(result).__name__,
            todo="A screen ranks and is no evidence: run its best columns with backtest.run",
        )


def published(folder: Path) -> dict[str, Any]:
    """Return what the notebook of a run folder published; empty when it published nothing."""
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        found: dict[str, Any] = read_json(path, max_bytes=LARGEST)
    except (OSError, ValueError) as problem:
        raise InputError(
            f"The published result is no JSON ({problem})", found=str(path), todo="Run the notebook again"
        ) from None
    return found


def identity(bars: Bars) -> dict[str, object]:
    """Return which bars these are: symbol, timeframe, venue, content hash, first and last open, number."""
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


def write_text(path: Path, text: str) -> None:
    """Write a file in one step, closed to other users and on the disk: a reader sees all of it or nothing."""
    write_private(path, text.encode())


def _display(summary: Mapping[str, Any]) -> None:
    """Show the result under its own media type, as text where the front end does not know it; silent outside a kernel."""
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    if get_ipython() is None:  # type: ignore[no-untyped-call,unused-ignore] # typed in newer IPython
        return
    text = f"{summary['headline'] or 'Published'} ({len(summary['metrics'])} metrics kept)"
    display({MIME: summary, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call,unused-ignore] # typed in newer IPython

"""Cards of what a notebook shows beside results: bars, strategies, runs, manifests, models. Every name and value is escaped."""

import dataclasses
import inspect
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from atb.backtest.card import framed
from atb.decimals import number

if TYPE_CHECKING:
    from atb.db.tables import RunRow
    from atb.domain import Bars, Strategy
    from atb.promotion.manifest import Manifest

LONGEST = 300  # characters of a value on a card
SHOWN = ("total_return_pct", "cagr_pct", "sharpe", "max_drawdown_pct", "n_trades")
_CELL = "padding:1px 14px 1px 0;text-align:left;vertical-align:top;background:transparent;border:0;color:inherit"


def bars_html(bars: "Bars") -> str:
    """Return a series' card: label, period, number of bars and gaps, fingerprint, and its closes as a picture."""
    from atb.reports.summary import bars_html as card

    return card(bars)


def strategy_html(strategy: "Strategy") -> str:
    """Return a strategy's card: its question, its parameters, what it reads and when its first signal comes."""
    params = _fields(strategy)
    asked = getattr(strategy, "question", "") or (inspect.getdoc(type(strategy)) or "").partition("\n")[0]
    reads = ["a model"] * bool(strategy.predicts)
    facts = {
        "parameters": params or "none",
        "first signal after": f"{_warmup(strategy)} bars",
        "reads": reads or "its bars",
    }
    return framed(
        str(getattr(strategy, "name", type(strategy).__name__)), f"<div>{escape(str(asked))}</div>{_table(facts)}"
    )


def run_html(run: "RunRow") -> str:
    """Return a registered run's card: status, when, what went in, what came out, where it is."""
    facts: dict[str, Any] = {
        "status": run.status if not run.error else f"{run.status}: {run.error}",
        "started": f"{run.started_at:%Y-%m-%d %H:%M} UTC",
        "took": None if run.seconds is None else f"{run.seconds:.1f} s",
        "parameters": run.parameters or "the notebook's defaults",
        **{name: (run.metrics or {}).get(name) for name in SHOWN},
        "bars": "; ".join(f"{one['symbol']} {one['timeframe']} {one['venue']}" for one in run.data or []),
        "folder": run.path,
    }
    return framed(f"{run.notebook} · {run.run_id}", _table(facts))


def run_text(run: "RunRow") -> str:
    """Return a registered run in a line."""
    return f"<Run {run.run_id}: {run.status}, {run.notebook}>"


def manifest_html(manifest: "Manifest") -> str:
    """Return a manifest's card: what may trade, by which rules, from which run, and its hash."""
    strategy = manifest.strategy
    facts: dict[str, Any] = {
        "may trade": manifest.mode,
        "strategy": strategy.get("name"),
        "parameters": strategy.get("parameters"),
        "bars": f"{manifest.symbol} {manifest.timeframe} {manifest.venue}",
        "model": (manifest.model or {}).get("path"),
        "run": manifest.run_id,
        "created": manifest.created,
        "kernel": manifest.kernel_hash[:16],
        "hash": manifest.content_sha256,
    }
    return framed(f"Manifest {manifest.name}", _table(facts))


def manifest_text(manifest: "Manifest") -> str:
    """Return a manifest in a line."""
    return (
        f"<Manifest {manifest.name}: {manifest.strategy.get('name')} on {manifest.symbol} {manifest.timeframe}, "
        f"{manifest.mode}, {manifest.content_sha256[:12]}>"
    )


def promoted_html(promoted: Any) -> str:
    """Return the card of a manifest that was just written: its file and its hash."""
    return framed(f"Manifest {promoted.name}", _table({"file": promoted.path, "hash": promoted.manifest_sha256}))


def bundle_html(bundle: Any) -> str:
    """Return a model's card: of which bars, for what, whether it beats its baselines, and its figures."""
    card: Mapping[str, Any] = bundle.card
    names = ("symbol", "timeframe", "venue", "output", "feature_set", "horizon", "created", "metrics", "baselines")
    facts = {name.replace("_", " "): card.get(name) for name in names}
    made = " · SYNTHETIC data" * bool(card.get("synthetic"))
    verdict = f"<div>{escape(str(card.get('verdict', '')))}</div>"
    return framed(f"{card.get('name')} {card.get('version')}{made}", f"{verdict}{_table(facts)}")


def predictor_html(predictor: Any) -> str:
    """Return the card of a predictor's model."""
    return bundle_html(predictor.bundle)


# --- values -------------------------------------------------------------------------------------------------------------------


def _fields(strategy: Any) -> dict[str, Any]:
    if not dataclasses.is_dataclass(strategy):
        return {}
    return {field.name: getattr(strategy, field.name, None) for field in dataclasses.fields(strategy)}


def _warmup(strategy: Any) -> object:
    try:
        return strategy.warmup
    except Exception as error:  # noqa: BLE001 - a strategy that is being written may raise anything
        return f"({type(error).__name__}: {error})"


def _table(facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr style='background:transparent'><th scope='row' style='{_CELL};font-weight:400;opacity:0.72'>"
        f"{escape(name.replace('_', ' '))}</th><td style='{_CELL}'>{escape(_shown(value))}</td></tr>"
        for name, value in facts.items()
        if value is not None and value != ""
    )
    return f"<table style='border-collapse:collapse;border:0;margin:6px 0;font-size:13px'>{rows}</table>"


def _shown(value: Any) -> str:
    """Return a value as it is read: no braces, numbers as people write them, a long text cut."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{name} {_shown(inner)}" for name, inner in value.items())
    elif isinstance(value, list | tuple):
        text = ", ".join(_shown(inner) for inner in value)
    elif isinstance(value, float):
        text = number(value)
    else:
        text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."

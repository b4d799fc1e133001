"""The first screen of a report: what the result is worth, its picture, its figures beside holding and chance, the findings."""

import html
from collections.abc import Mapping
from typing import Any

from atb.backtest.card import FIGURES
from atb.decimals import MISSING, figure
from atb.domain.bars import SYNTHETIC
from atb.experiments.verdict import verdict

Facts = Mapping[str, Any]

NOTHING_FOUND = "Nothing was found against it, which is not the same as being right."
# Figures of the first table, in reading order; the others are folded.
FIRST = ("total_return_pct", "cagr_pct", "sharpe", "sortino", "calmar", "max_drawdown_pct", "max_drawdown_days", "volatility_pct",
         "n_trades", "win_rate_pct", "profit_factor", "exposure_time_pct", "fees_paid")  # fmt: skip
COLUMNS = ("strategy", "hold", "random entry")


def head(run: Facts, published: Facts, *, picture: str = "") -> str:
    """Return the first screen of a run's page as HTML; all names and values are escaped.

    Parameters
    ----------
    run
        The run as JSON types: `run_id`, `notebook`, `status`, `parameters`, ...
    published
        The published result; empty if there is none.
    picture
        HTML of the figure to show between verdict and key figures.
    """
    result = published.get("result")
    parts = [
        f"<header><h1>{_text(_title(result) if result else run['notebook'])}</h1>",
        f'<p class="about">{_text(_period(result) if result else run["status"])}</p>',
        f'<p class="failure">{_text(run["error"])}</p>' if run.get("error") else "",
        _verdict(published),
        picture,
        _figures(result) if result else "",
        _findings(published),
        "</header>",
    ]
    return "\n".join(part for part in parts if part)


def _title(result: Facts) -> str:
    """Return the strategies and their markets; synthetic data is named as such."""
    slots = result.get("slots") or []
    names = ", ".join(dict.fromkeys(slot["strategy"]["name"] for slot in slots))
    symbols = list(dict.fromkeys(slot["symbol"] for slot in slots))
    shown = ", ".join(symbols[:4]) + (f" and {len(symbols) - 4} more" if len(symbols) > 4 else "")
    frames = ", ".join(dict.fromkeys(slot["timeframe"] for slot in slots))
    venues = ", ".join(dict.fromkeys("SYNTHETIC data" if slot["venue"] == SYNTHETIC else slot["venue"] or "unnamed source"
                                     for slot in slots))  # fmt: skip
    return f"{names} · {shown} {frames} · {venues}"


def _period(result: Facts) -> str:
    bars = (result.get("stats") or {}).get("bars")
    counted = f", {bars:,.0f} bars" if bars else ""
    return f"{_moment(result.get('start'))} to {_moment(result.get('end'))} UTC{counted}"


def _moment(text: object) -> str:
    return str(text)[:16].replace("T", " ")


def _verdict(published: Facts) -> str:
    """Return the verdict in one line, and the headline."""
    worth, headline = verdict(published), published.get("headline")
    if not worth and not headline:
        return ""
    first = f'<p class="worth">{_text(worth)}</p>' if worth else ""
    second = f'<p class="headline">{_text(headline)}</p>' if headline else ""
    return f'<section class="verdict" aria-label="Verdict">{first}{second}</section>'


def _findings(published: Facts) -> str:
    """Return the findings against the result, the gravest first."""
    findings = published.get("findings")
    if findings is None:
        return ""
    items = [findings] if isinstance(findings, str) else findings
    listed = "".join(f"<li>{_text(finding)}</li>" for finding in items) or f"<li>{NOTHING_FOUND}</li>"
    sentence = str((published.get("trials") or {}).get("sentence") or "")
    said = any(str(finding).startswith(sentence.rstrip(".")) for finding in items)
    seen = f'<p class="about">{_text(sentence)}</p>' if sentence and not said else ""
    return f'<section class="findings"><h2>Found against it</h2><ul>{listed}</ul>{seen}</section>'


def _figures(result: Facts) -> str:
    """Return the key figures beside those of holding and of the same positions at random times; the others folded."""
    rows = {key: (name, _cells(result, key, form)) for name, key, form in FIGURES if key in (result.get("stats") or {})}
    first = [rows[key] for key in FIRST if key in rows]
    others = [row for key, row in rows.items() if key not in FIRST]
    if not first:
        return ""
    more = f"<details><summary>Every figure</summary>{_table(others)}</details>" if others else ""
    return f'<section class="figures">{_table(first)}{more}</section>'


def _cells(result: Facts, key: str, form: str) -> tuple[str, ...]:
    """Return a figure of the strategy, of holding, and the median of random entry with the range of nine runs in ten."""
    held = ((result.get("baselines") or {}).get("hold") or {}).get(key)
    drawn = (result.get("random_entry") or {}).get(key)
    chance = MISSING
    if isinstance(drawn, Mapping):
        median, low, high = (figure(drawn.get(name), form) for name in ("median", "p5", "p95"))
        chance = f"{median} ({low} to {high})"
    return figure(result["stats"][key], form), figure(held, form), chance


def _table(rows: list[tuple[str, tuple[str, ...]]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    body = "".join(
        f'<tr><th scope="row">{_text(name)}</th>{"".join(f"<td>{_text(cell)}</td>" for cell in cells)}</tr>'
        for name, cells in rows
    )
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    return html.escape(str(value))

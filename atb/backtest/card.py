"""A result's card as text and as HTML: figures beside the baselines, refused signals, and the fill model.

It takes the colours of its page, light or dark, loads nothing, and escapes every name that a user chose.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from atb.backtest.baselines import RandomEntry
from atb.backtest.ruin import RUINED, Ruin
from atb.backtest.span import Holes
from atb.decimals import MERITS, MISSING, counted, figure
from atb.domain.timeframe import Timeframe

# Names and keys of `Result.stats`, in reading order.
NAMES = (
    ("Total return (%)", "total_return_pct"),
    ("Return a year, CAGR (%)", "cagr_pct"),
    ("Largest drawdown (%)", "max_drawdown_pct"),
    ("Longest drawdown (days)", "max_drawdown_days"),
    ("Volatility a year (%)", "volatility_pct"),
    ("Sharpe", "sharpe"),
    ("Sortino", "sortino"),
    ("Calmar", "calmar"),
    ("Closed trades", "n_trades"),
    ("Fees paid (quote)", "fees_paid"),
    ("Borrow and funding paid (quote)", "financing_paid"),
    ("Turnover (times the starting cash)", "turnover"),
    ("Time in the market (%)", "exposure_time_pct"),
    ("Trades still open", "open_trades"),
    ("Winning trades (%)", "win_rate_pct"),
    ("Profit factor", "profit_factor"),
    ("Expectancy a trade (quote)", "expectancy"),
    ("Average trade (%)", "avg_trade_pct"),
    ("Best trade (%)", "best_trade_pct"),
    ("Worst trade (%)", "worst_trade_pct"),
    ("Bars held on average", "avg_bars_held"),
    ("Signals refused", "rejected_signals"),
    ("Signals shrunk", "shrunk_signals"),
    ("Fills that depend on the order inside a bar", "ambiguous_bars"),
    ("Bars", "bars"),
    ("Bars a year, for the ratios", "periods_per_year"),
)
FIGURES = tuple((name, key, MERITS[key]) for name, key in NAMES)  # and how each is rounded
ON_CARD = ("total_return_pct", "cagr_pct", "max_drawdown_pct", "max_drawdown_days", "volatility_pct", "sharpe", "sortino",
           "n_trades", "win_rate_pct", "fees_paid", "financing_paid", "exposure_time_pct")  # fmt: skip
COLUMNS = ("strategy", "hold", "cash", "random entry")
WIDTH = 110  # characters of a line of text
_POINTS = 300  # of each line of the small picture
BLUE, _ORANGE = "#2F8FCE", "#E69F00"  # distinct on white and on black, and in lightness

FONT = "Inter, 'Helvetica Neue', Arial, sans-serif"
_CELL = "padding:2px 14px;text-align:right;white-space:nowrap;background:transparent;color:inherit;border:0"
_FIRST = _CELL.replace("padding:2px 14px;text-align:right", "padding:2px 14px 2px 0;text-align:left")
_LINE = "1px solid rgba(128,128,128,0.35)"
_ROW = "background:transparent;border:0"
_SOFT = "opacity:0.72"


@dataclass(frozen=True)
class CardFigures:
    """The values that a card shows.

    `stats` and `baselines` are those of `Result`; equities are account values in quote at each bar's close; `start` and `end` are
    the first open and the last close (UTC); `halt` is empty if the account could trade to the end.
    """

    label: str
    headline: str
    kernel_hash: str
    timeframe: Timeframe
    start: datetime
    end: datetime
    equity: NDArray[np.float64]
    benchmark_equity: NDArray[np.float64]
    stats: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]]
    random_entry: RandomEntry
    refusal_counts: Mapping[str, int]
    ruin: Ruin | None
    halt: str
    holes: tuple[Holes, ...]
    ambiguity: str
    fill_model: tuple[str, ...]


# --- sentences ------------------------------------------------------------------------------------------------------------


def figures(result: CardFigures) -> dict[str, tuple[str, ...]]:
    """Return every figure of merit by its name, as text for each of `COLUMNS`; `result.stats` has the exact values."""
    rows, chance = {}, result.random_entry
    for name, key, form in FIGURES:
        values = (result.stats[key], *(result.baselines[column].get(key) for column in ("hold", "cash")))
        spread = MISSING
        if key in chance.figures:
            median, (low, high) = chance.median(key), chance.span(key)
            spread = f"{figure(median, form)} ({figure(low, form)} to {figure(high, form)})"
        rows[name] = (*(figure(value, form) for value in values), spread)
    return rows


def _chosen(result: CardFigures) -> dict[str, tuple[str, ...]]:
    """Return the figures of the card; financing only where there was any."""
    names = {key: name for name, key, _ in FIGURES}
    every, financed = figures(result), bool(result.stats["financing_paid"])
    return {names[key]: every[names[key]] for key in ON_CARD if key != "financing_paid" or financed}


def period(result: CardFigures) -> str:
    """Return the traded period, the number of bars, and the kernel's hash."""
    missing = round(result.stats["missing_bars"])
    return (
        f"{result.start:%Y-%m-%d %H:%M} to {result.end:%Y-%m-%d %H:%M} UTC, "
        f"{counted(len(result.equity), 'bar')} of {result.timeframe}"
        + f" ({missing:,} missing)" * (missing > 0)
        + f", kernel {result.kernel_hash[:8]}"
    )


def chance(result: CardFigures) -> str:
    """Return how the strategy compares with the same positions at random times."""
    random = result.random_entry
    if not random.varies:
        return "Random entry says nothing here: the same positions at other times end the same."
    return (
        f"Returned more than {random.beaten} of {random.runs} runs with random entry: the same number of positions for as long, at "
        f"random times, with the same policy and costs (median, and the range of nine runs in ten; seed {random.seed})."
    )


def blocked(result: CardFigures) -> str:
    """Return the sentences on refused signals, halts, ruin and the drawdown throttle."""
    counts = {reason: count for reason, count in result.refusal_counts.items() if reason != RUINED}
    parts = [f"{reason.replace('_', ' ')} {count:,}" for reason, count in counts.items()]
    sentences = [f"Signals refused or shrunk: {', '.join(parts)}." if parts else "No signal was refused or shrunk."]
    if result.ruin:
        sentences.insert(0, str(result.ruin))
    elif result.halt:
        sentences.append(f"The account ended {result.halt}.")
    if result.stats["throttled"]:
        sentences.append(f"The drawdown throttle stood at step {result.stats['throttled']:.0f} when the run ended.")
    return " ".join(sentences)


def _notes(result: CardFigures) -> tuple[str, ...]:
    """Return the sentences below the table."""
    holes = (f"{hole}." for hole in result.holes)
    return (chance(result), blocked(result), *holes, result.ambiguity, *result.fill_model)


# --- text -----------------------------------------------------------------------------------------------------------------


def text(result: CardFigures) -> str:
    """Return the card as text, lines of at most about `WIDTH` characters."""
    rows = {"": COLUMNS, **_chosen(result)}
    widths = [max(len(row[column]) for row in rows.values()) for column in range(len(COLUMNS))]
    first = max(len(name) for name in rows)
    table = [
        "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(row, widths, strict=True))])
        for name, row in rows.items()
    ]
    return "\n".join(
        [result.label, period(result), "", _wrapped(result.headline), "", *table, ""]
        + [_wrapped(note) for note in _notes(result)]
    )


def _wrapped(sentences: str) -> str:
    return textwrap.fill(sentences, WIDTH)


# --- HTML -----------------------------------------------------------------------------------------------------------------


def html(result: CardFigures) -> str:
    """Return the card as HTML: inline styles, no script, nothing from outside."""
    return framed(
        result.label,
        f"<div style='font-size:12px;{_SOFT}'>{escape(period(result))}</div>"
        f"<div style='margin:8px 0'>{escape(result.headline)}</div>"
        f"{_picture(result)}{_table(_chosen(result))}"
        + "".join(
            f"<div style='margin-top:6px;font-size:12px;{_SOFT}'>{escape(note)}</div>" for note in _notes(result)
        ),
    )


def framed(title: str, inner: str) -> str:
    """Return a card around HTML, in the colours of the page: the title is escaped, the inner part is not."""
    return (
        f'<div class="themed" style="font-family:{FONT};font-size:13px;line-height:1.45;color:inherit;border:{_LINE};'
        f'border-radius:6px;padding:12px 16px;max-width:900px;overflow-x:auto"><b>{escape(title)}</b>{inner}</div>'
    )


def _table(rows: dict[str, tuple[str, ...]]) -> str:
    head = "".join(
        f"<th scope='col' style='{_CELL};font-weight:600;border-bottom:{_LINE}'>{name}</th>" for name in COLUMNS
    )
    body = "".join(
        f"<tr style='{_ROW}'><th scope='row' style='{_FIRST};font-weight:400'>{escape(name)}</th>"
        + "".join(f"<td style='{_CELL}'>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, cells in rows.items()
    )
    return (
        "<table style='border-collapse:collapse;border:0;margin:6px 0;font-size:13px;font-variant-numeric:tabular-nums'>"
        f"<tr style='{_ROW}'><th style='{_CELL};border-bottom:{_LINE}'></th>{head}</tr>{body}</table>"
    )


def _picture(result: CardFigures) -> str:
    """Return equity and holding as two small lines on one scale, and which is which."""
    curves = {"strategy": (result.equity, BLUE), "hold": (result.benchmark_equity, _ORANGE)}
    return picture(curves, "account value", "equity beside holding")


def picture(curves: Mapping[str, tuple[NDArray[np.float64], str]], what: str, alt: str) -> str:
    """Return lines on one scale as a small picture, with their names and the scale below.

    Parameters
    ----------
    curves
        Values and colour by name, the most important first.
    what, alt
        What the scale is of, and the picture in words.
    """
    low = min(float(values.min()) for values, _ in curves.values())
    high = max(float(values.max()) for values, _ in curves.values())
    lines = "".join(
        f"<polyline points='{_points(values, low, high)}' fill='none' stroke='{colour}' stroke-width='1.5' "
        "stroke-linejoin='round' vector-effect='non-scaling-stroke'/>"
        for values, colour in reversed(list(curves.values()))
    )
    names = " ".join(f"<span style='color:{colour}'>&#9644;</span> {name}" for name, (_, colour) in curves.items())
    drawing = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 860 80' preserveAspectRatio='none'>{lines}</svg>"
    # As an image: reports take no markup that could hold a script.
    return (
        f"<img src='data:image/svg+xml,{quote(drawing)}' width='100%' height='80' alt='{escape(alt)}' "
        "style='max-width:860px;display:block;background:transparent'/>"
        f"<div style='font-size:11px;{_SOFT}'>{names} ({escape(what)}, {low:,.0f} to {high:,.0f})</div>"
    )


def _points(values: NDArray[np.floating[Any]], low: float, high: float) -> str:
    """Return a line's points: each stretch by its lowest and highest value, so that no peak is lost."""
    stretch = max(1, 2 * len(values) // _POINTS)
    whole = np.append(values, np.repeat(values[-1], -len(values) % stretch)).reshape(-1, stretch)
    ends = np.sort(np.column_stack([whole.argmin(axis=1), whole.argmax(axis=1)]), axis=1)
    rows = np.unique((ends + stretch * np.arange(len(whole))[:, None]).clip(max=len(values) - 1))
    y = 78 - 76 * (values[rows] - low) / (high - low if high > low else 1.0)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(860 * rows / max(1, len(values) - 1), y, strict=True))

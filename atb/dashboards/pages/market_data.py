"""Data: what is stored of each series, how old it is, and which gaps were accepted."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dash import html
from dash.development.base_component import Component

from atb.dashboards.elements import cards, link, listed, notice, section
from atb.dashboards.page import Look, Page, Query, Source
from atb.domain.bars import SYNTHETIC
from atb.errors import AtbError

if TYPE_CHECKING:
    from atb.data.catalogue.events import EventSeries
    from atb.data.catalogue.series import Series

LATE = 3  # bars behind, from which on a series needs a download
MOST = 500  # gaps shown
_BARS = {"series": "series", "venue": "venue", "first": "first bar", "last": "last bar", "bars": "bars", "coverage": "covered (%)",
         "gaps": "gaps", "missing": "missing bars", "behind": "bars behind", "size": "size (MB)", "problem": "problem"}  # fmt: skip
_EVENTS = {
    "series": "series",
    "venue": "venue",
    "kind": "kind",
    "newest": "newest",
    "age": "age (h)",
    "problem": "problem",
}
_GAPS = {"series": "series", "start": "first missing", "end": "first after it", "missing": "missing bars"}


def read(source: Source, query: Query) -> dict[str, Any]:
    """Return every stored series from its files' headers, the other events, and the gaps of one (`series`) or of all."""
    from atb.data.catalogue.events import all_events
    from atb.data.catalogue.series import all_series

    root, wanted = source.settings.bars_root, dict(query).get("series")
    found = [_bars(series, source.now_ms) for series in all_series(root)]
    gaps = [gap for row in found for gap in row.pop("edges") if wanted in {None, row["series"]}]
    return {
        "bars": found,
        "events": [_events(series, source.now_ms) for series in all_events(root)],
        "gaps": sorted(gaps, key=lambda gap: str(gap["start"]), reverse=True),
        "wanted": wanted,
    }


def _bars(series: "Series", now_ms: int) -> dict[str, Any]:
    from atb.data.catalogue.gaps import missing_bars
    from atb.data.catalogue.yearfile import read_header
    from atb.times import in_ms

    named = {"series": str(series), "venue": series.venue, "problem": "", "edges": []}
    try:
        size = sum(path.stat().st_size for path in series.years.values()) / 1e6
        headers = [read_header(path) for _, path in sorted(series.years.items())]
    except (AtbError, OSError) as unreadable:
        return {**named, "problem": str(unreadable)}
    gaps = [(gap, missing_bars(gap, series.timeframe)) for header in headers for gap in header.gaps]
    bars, missing = sum(header.rows for header in headers), sum(count for _, count in gaps)
    closed_ms = series.timeframe.next_ms(in_ms(headers[-1].last))
    edges = [
        {"series": str(series), "start": _iso(gap[0]), "end": _iso(gap[1]), "missing": count} for gap, count in gaps
    ]
    return {
        **named, "first": _iso(headers[0].first), "last": _iso(headers[-1].last), "bars": bars, "gaps": len(gaps),
        "missing": missing,
        "coverage": round(100 * bars / (bars + missing), 3), "size": size, "edges": edges,
        "behind": max(0, now_ms - closed_ms) // (series.timeframe.seconds * 1_000),
    }  # fmt: skip


def _iso(stamp: Any) -> str:
    return str(stamp.isoformat())


def _events(series: "EventSeries", now_ms: int) -> dict[str, Any]:
    from atb.data.catalogue.gap_report import newest

    named = {"series": series.name, "venue": series.venue, "kind": series.kind.name}
    try:
        at_ms = newest(series)
    except (AtbError, OSError) as unreadable:
        return {**named, "problem": str(unreadable)}
    moment = datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat()
    return {**named, "newest": moment, "age": round((now_ms - at_ms) / 3_600_000, 1), "problem": ""}


def draw(content: dict[str, Any], look: Look) -> Component:  # noqa: ARG001 - the register's signature
    """Return coverage, age and gaps."""
    bars, wanted = content["bars"], content["wanted"]
    late = [row["series"] for row in bars if (row.get("behind") or 0) > LATE and row["venue"] != SYNTHETIC]
    broken = [notice(f"{row['series']} cannot be read: {row['problem']}", "bad") for row in bars if row["problem"]]
    rows = [{**row, "gaps": row.get("gaps") and link(row["gaps"], "/data", series=row["series"])} for row in bars]
    shown = content["gaps"][:MOST]
    empty = "No bars are stored: `atb data download BTC/USDT --start 2022-01-01` fetches some."
    return html.Div(
        [
            html.H1("Data"),
            *broken,
            notice(f"{len(late)} series are over {LATE} bars behind: `atb data update` fetches them.", "warn") if late else None,
            cards({"series": len(bars), "bars": sum(row.get("bars") or 0 for row in bars),
                   "size (MB)": sum(row.get("size") or 0.0 for row in bars), "gaps": len(content["gaps"])}) if bars else None,
            section("Bars", listed(rows, _BARS, empty=empty)),
            section("Other series", listed(content["events"], _EVENTS, empty="No sentiment and no funding is stored.")),
            section(
                "Accepted gaps",
                notice(f"Only those of {wanted}.") if wanted else None,
                html.P(f"The newest {MOST:,} of {len(content['gaps']):,}.") if len(content["gaps"]) > MOST else None,
                listed(shown, _GAPS, empty="No gap was accepted."),
            ),
        ]
    )  # fmt: skip


PAGE = Page("/data", "Data", read, draw, every_s=10.0, from_files=True)

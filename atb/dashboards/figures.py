"""Figures of `atb.reports` as a dashboard shows them: title and caption as text, colours of a dark page, layout of a narrow one.

The same rules as on a report's page (`atb/experiments/report.js`), applied here since Dash draws the figure itself.
"""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

from atb.reports.theme import CAPTION, DARK, template

SMALLEST = 14  # pixels of a text
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_TAG = re.compile(r"</?(?:a|b|i|s|u|em|strong|span|sub|sup)\b[^>]*>", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure without its title and caption, which are plain texts here; height in pixels."""

    figure: dict[str, Any]
    title: str
    label: str
    caption: str
    height: int


def drawn(made: Any, *, dark: bool, narrow: bool) -> Drawn:
    """Return a plotly figure, or one as `data` and `layout`, as a page shows it; the figure itself is not changed."""
    figure = made if isinstance(made, dict) else made.to_plotly_json()
    layout = dict(figure["layout"])
    title, label = _title(layout.pop("title", None))
    notes = layout.get("annotations", ())
    caption = " ".join(_plain(note["text"]) for note in notes if note.get("name") == CAPTION)
    own = layout.get("meta", {}).get("atb", {}) if isinstance(layout.get("meta"), dict) else {}
    height = int(own.get("height") or layout.get("height") or 450)
    layout |= {
        "annotations": [note for note in notes if note.get("name") != CAPTION],
        "margin": {"l": 8, "r": 12, "t": 28, "b": 8},
    }
    layout.pop("width", None)
    layout.pop("template", None)
    data = list(figure["data"])
    if narrow and "narrow" in own:
        layout = _merged(layout, own["narrow"]["layout"])
        height = int(layout.get("height", height))
        data = [_merged(trace, own["narrow"]["trace"]) for trace in data]
    if narrow:
        layout["legend"] = _merged(layout.get("legend", {}), {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"})
    if dark:
        data, layout = _darkened(data), _darkened(layout)
    layout["template"] = template(dark=dark).to_plotly_json()
    layout = _legible(_merged({"font": {"size": SMALLEST}}, layout)) | {"height": height}
    return Drawn({"data": data, "layout": layout}, title, label, caption, height)


def _title(title: Any) -> tuple[str, str]:
    """Return the first line of a title and what is below it."""
    text = title.get("text") if isinstance(title, dict) else title
    first, _, rest = _BREAK.sub("\n", str(text or "")).partition("\n")
    return _plain(first), _plain(rest)


def _plain(text: str) -> str:
    return " ".join(unescape(_TAG.sub("", _BREAK.sub(" ", text))).split())


def _merged(under: Any, over: Any) -> Any:
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return {**under, **{name: _merged(under.get(name), value) for name, value in over.items()}}


def _darkened(value: Any, name: str = "") -> Any:
    """Return a part of a figure with each colour's counterpart on a dark page."""
    if isinstance(value, dict):
        return {inner: _darkened(item, inner) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_darkened(item, name) for item in value]
    if not isinstance(value, str):
        return value
    if "color" in name.lower():
        return DARK.get(value, DARK.get(value.upper(), value))
    return _COLOUR.sub(lambda found: DARK.get(found[0].upper(), found[0]), value) if name == "text" else value


def _legible(value: Any, name: str = "", owner: str = "") -> Any:
    """Return a layout whose texts are not smaller than `SMALLEST`."""
    if isinstance(value, dict):
        return {inner: _legible(item, inner, name) for inner, item in value.items()}
    if isinstance(value, list):
        return [_legible(item, name, owner) for item in value]
    is_size = name == "size" and owner.lower().endswith("font") and isinstance(value, int | float)
    return max(value, SMALLEST) if is_size else value

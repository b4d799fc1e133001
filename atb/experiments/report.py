"""The HTML report of an executed notebook: one file that works offline.

nbconvert alone leaves plotly figures blank and loads scripts from the network. Here its sanitised fragment goes into a page of our
own: scripts are removed from outputs, then the figures are inserted, with plotly.js once. The content security policy forbids
loading anything, and every script without the page's nonce.
"""

import base64
import copy
import functools
import html
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atb.experiments.details import assumptions_html, run_html
from atb.experiments.heading import head
from atb.experiments.page import POLICY, script, style
from atb.experiments.parameters import read_notebook
from atb.experiments.publication import published as published_result
from atb.experiments.publication import write_text
from atb.experiments.sanitising import clean_html

PLOTLY = "application/vnd.plotly.v1+json"
# Not shown: widgets need a kernel, scripts and frames are refused.
DROPPED = ("application/vnd.jupyter.widget-view+json", "application/javascript", "text/javascript")
TEMPLATE = """{% extends 'basic/index.html.j2' %}
{% block input %}<div class="code">{{ super() }}</div>{% endblock %}"""
# The usual tags of what a page leaves out: its head and foot say the same.
REMOVE_CELL, REMOVE_OUTPUT = "remove-cell", "remove-output"
LONG, SECOND = 100, "2024-01-31T09:45:00"  # times of a trace from which they are packed, and how each is written
CAPTION = "caption"  # the name that `atb.reports.theme` gives a figure's caption


def html_report(notebook: Any, run: Mapping[str, Any], published: Mapping[str, Any] | None = None) -> str:
    """Return the page of an executed notebook.

    Parameters
    ----------
    notebook
        The executed notebook as nbformat's node; it is not changed.
    run
        The run as JSON types (`run_id`, `notebook`, `status`, `parameters`, ...).
    published
        The published result; with it the head of the page shows headline, findings and every value used.
    """
    mark = f"figure-{secrets.token_hex(16)}-"
    marked, figures = _without_figures(notebook, mark)
    places = [_figure(number, figure["layout"]) for number, figure in enumerate(figures)]
    facts = published or {}
    first = next((number for number, figure in enumerate(figures) if facts.get("result") and _is_first(figure)), None)
    shown = {number: place for number, place in enumerate(places) if number != first}
    body = re.sub(rf"<pre>\s*{mark}(\d+)\.\s*</pre>", lambda found: shown.get(int(found[1]), ""), _fragment(marked))
    heading = head(run, facts, picture="" if first is None else places[first])
    foot = f"<footer>{assumptions_html(run, facts)}{run_html(run)}</footer>"
    return _page(heading, f"<main>{body}</main>{foot}", figures)


def _without_figures(notebook: Any, mark: str) -> tuple[Any, list[dict[str, Any]]]:
    """Return a copy with each figure replaced by an unguessable mark, and the figures."""
    marked = copy.deepcopy(notebook)
    figures: list[dict[str, Any]] = []
    marked.metadata.pop("widgets", None)
    marked.cells = [cell for cell in marked.cells if REMOVE_CELL not in cell.metadata.get("tags", [])]
    for cell in marked.cells:
        if REMOVE_OUTPUT in cell.metadata.get("tags", []):
            cell.outputs = []
    for output in [output for cell in marked.cells for output in cell.get("outputs", [])]:
        data = output.get("data", {})
        if PLOTLY in data:
            data_and_layout = data[PLOTLY]
            output["data"] = {"text/plain": f"{mark}{len(figures)}."}
            figures.append({"data": data_and_layout.get("data", []), "layout": data_and_layout.get("layout", {})})
        for dropped in DROPPED:
            data.pop(dropped, None)
        output.get("metadata", {}).pop("text/html", None)  # `isolated` would need a frame
    return marked, figures


def _is_first(figure: Mapping[str, Any]) -> bool:
    """Return whether a figure belongs on the first screen, as `atb.reports.theme.on_first_screen` says."""
    meta = figure["layout"].get("meta")
    own = meta.get("atb") if isinstance(meta, Mapping) else None
    return isinstance(own, Mapping) and own.get("first") is True


def _fragment(notebook: Any) -> str:
    """Return nbconvert's sanitised HTML of the cells, without page header and footer."""
    body, _ = _exporter().from_notebook_node(notebook)
    # On narrow pages only long row names may wrap; numbers never do.
    return re.sub(r"<th([^>]*)>([^<]{15,})</th>", r'<th class="long"\1>\2</th>', str(body))


@functools.cache
def _exporter() -> Any:
    """Return the exporter of this process: its templates take longer to compile than a small notebook to run."""
    from jinja2 import DictLoader
    from nbconvert.exporters import HTMLExporter

    exporter = HTMLExporter(  # type: ignore[no-untyped-call] # no types there
        template_name="basic",
        template_file="report.html.j2",
        extra_loaders=[DictLoader({"report.html.j2": TEMPLATE})],
        sanitize_html=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    # nbconvert's own filter shows heading tags as text.
    exporter.register_filter("clean_html", clean_html)  # type: ignore[no-untyped-call] # no types there
    return exporter


def _figure(number: int, layout: Mapping[str, Any]) -> str:
    """Return the placeholder of a figure, with its title above and its caption below as text that wraps."""
    title, *label = _lines(_title(layout))
    captions = [note.get("text") for note in layout.get("annotations") or [] if note.get("name") == CAPTION]
    parts = [
        f'<p class="figure-title">{html.escape(title)}</p>' if title else "",
        f'<p class="figure-label">{html.escape(" ".join(label))}</p>' if label else "",
        f'<div class="plot" id="figure-{number}"></div>',
        *(f"<figcaption>{html.escape(' '.join(_lines(caption)))}</figcaption>" for caption in captions),
    ]
    return f'<figure class="figure">{"".join(parts)}</figure>'


def _title(layout: Mapping[str, Any]) -> object:
    title = layout.get("title")
    return title.get("text") if isinstance(title, Mapping) else title


def _lines(text: object) -> list[str]:
    """Return plotly's rich text as plain lines, at least one."""
    lines = re.split(r"<br\s*/?>", text if isinstance(text, str) else "", flags=re.IGNORECASE)
    return [
        html.unescape(re.sub(r"</?(?:a|b|i|s|u|em|strong|span|sub|sup)\b[^>]*>", "", line)).strip() for line in lines
    ]


def _page(heading: str, body: str, figures: list[dict[str, Any]]) -> str:
    nonce = secrets.token_urlsafe(16)
    data = [_data("figure-looks", "", _looks())] if figures else []
    data += [_data("", f"figure-{number}", _compact(figure)) for number, figure in enumerate(figures)]
    code = [_plotly(), script()] if figures else []
    return "\n".join([
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY.format(nonce=nonce)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>atb run</title><style>{style()}</style></head><body>",
        '<div class="toggle"><input type="checkbox" id="show-code"><label for="show-code">show code</label></div>',
        heading,
        body,
        *data,
        *(f'<script nonce="{nonce}">{text}</script>' for text in code),
        "</body></html>",
        "",
    ])  # fmt: skip


def _compact(figure: dict[str, Any]) -> dict[str, Any]:
    """Return a figure of the house style with its long lists of times as binary numbers (ms), which take less than half."""
    layout = figure["layout"]
    meta = layout.get("meta")
    if not (isinstance(meta, Mapping) and "atb" in meta):
        return figure  # whether its axis is one of time is not known
    return {"data": [_compact_trace(trace, layout) for trace in figure["data"]], "layout": layout}


def _compact_trace(trace: dict[str, Any], layout: Mapping[str, Any]) -> dict[str, Any]:
    times = trace.get("x")
    axis = layout.get(str(trace.get("xaxis", "x")).replace("x", "xaxis", 1)) or {}
    if axis.get("type") != "date" or not isinstance(times, list) or len(times) < LONG:
        return trace
    if not all(isinstance(time, str) and len(time) == len(SECOND) for time in times):
        return trace  # dates alone, or times that are missing
    import numpy as np

    numbers = np.array(times, dtype="datetime64[ms]").astype(np.int64).astype("<f8")
    return {**trace, "x": {"dtype": "f8", "bdata": base64.b64encode(numbers.tobytes()).decode()}}


def _data(identity: str, place: str, value: Mapping[str, Any]) -> str:
    """Return a data block (of a figure, if `place` is given): inert JSON that cannot close the block."""
    text = json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
    names = f'class="figure-data" data-for="{place}"' if place else f'id="{identity}"'
    return f'<script type="application/json" {names}>{text}</script>'


def _looks() -> dict[str, Any]:
    """Return the figure templates for light and dark pages, and the dark counterpart of each colour."""
    from atb.reports import theme

    templates = {name: theme.template(dark=name == "dark").to_plotly_json() for name in ("light", "dark")}
    return {**templates, "colours": {light.upper(): dark for light, dark in theme.DARK.items()}}


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def recorded_report(folder: Path, run: Mapping[str, Any]) -> str:
    """Return the page of a run made anew from what its folder keeps.

    Parameters
    ----------
    folder
        The run's folder.
    run
        The run as JSON types.

    Raises
    ------
    InputError
        If the executed notebook is not there, or cannot be read.
    """
    return html_report(read_notebook(folder / str(run["notebook"])), run, published_result(folder))


def recorded_figures(folder: Path, notebook: str) -> list[dict[str, Any]]:
    """Return the plotly figures of a run's executed notebook, as `data` and `layout`, in its order.

    Raises
    ------
    InputError
        If the executed notebook is not there, or cannot be read.
    """
    return _without_figures(read_notebook(folder / notebook), "")[1]


def write_report(
    path: Path, notebook: Any, run: Mapping[str, Any], *, published: Mapping[str, Any] | None = None
) -> None:
    """Write the page of an executed notebook to `path`, not flushed to disk: the run's folder is, as a whole."""
    write_text(path, html_report(notebook, run, published), synced=False)

"""An executed notebook as one HTML file that shows everything offline.

nbconvert alone leaves plotly figures blank and wants scripts from the network. Here its sanitised fragment is put into a
page of our own: outputs lose their scripts first, then the figures are inserted, with plotly.js once. The page's content
security policy forbids every load from elsewhere, and every script without this page's nonce.
"""

import copy
import html
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atb.experiments.page import POLICY, SCRIPT, STYLE
from atb.experiments.publication import write_text
from atb.experiments.sanitising import clean_html

PLOTLY = "application/vnd.plotly.v1+json"
# What is drawn by nothing here: widgets need a kernel, scripts and frames are refused.
DROPPED = ("application/vnd.jupyter.widget-view+json", "application/javascript", "text/javascript")
TEMPLATE = """{% extends 'basic/index.html.j2' %}
{% block input %}<div class="code">{{ super() }}</div>{% endblock %}"""
CONFIG = {"responsive": True, "displaylogo": False}


def html_report(notebook: Any, run: Mapping[str, Any]) -> str:
    """Return the page of an executed notebook.

    Parameters
    ----------
    notebook
        The executed notebook as nbformat's node; it is left as it is.
    run
        The run as JSON types (`run_id`, `notebook`, `status`, `parameters`, ...): what the head of the page shows.
    """
    mark = f"figure-{secrets.token_hex(16)}-"
    marked, figures = _without_figures(notebook, mark)
    body = _fragment(marked)
    for number in range(len(figures)):
        place = rf"<pre>\s*{mark}{number}\.\s*</pre>"
        body = re.sub(place, f'<div class="figure" id="figure-{number}"></div>', body)
    return _page(_head(run), body, figures)


def _without_figures(notebook: Any, mark: str) -> tuple[Any, list[dict[str, Any]]]:
    """Return a copy whose figures are replaced by a mark that no output can know, and the figures."""
    marked = copy.deepcopy(notebook)
    figures: list[dict[str, Any]] = []
    marked.metadata.pop("widgets", None)
    for output in [output for cell in marked.cells for output in cell.get("outputs", [])]:
        data = output.get("data", {})
        if PLOTLY in data:
            data_and_layout = data[PLOTLY]
            output["data"] = {"text/plain": f"{mark}{len(figures)}."}
            figures.append({"data": data_and_layout.get("data", []), "layout": data_and_layout.get("layout", {})})
        for dropped in DROPPED:
            data.pop(dropped, None)
        output.get("metadata", {}).pop("text/html", None)  # `isolated` asks for a frame
    return marked, figures


def _fragment(notebook: Any) -> str:
    """Return nbconvert's sanitised HTML of the cells, without a page around it."""
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
    # nbconvert's own filter shows headings as tags.
    exporter.register_filter("clean_html", clean_html)  # type: ignore[no-untyped-call] # no types there
    body, _ = exporter.from_notebook_node(notebook)
    return str(body)


def _head(run: Mapping[str, Any]) -> str:
    """Return the head of the page: which notebook, how it went, with which parameters and figures."""
    names = ("status", "run_id", "started_at", "seconds", "seed", "commit", "dirty", "kernel_hash")
    facts = {name: run[name] for name in names if run.get(name) is not None}
    failure = f'<p class="failure">{_text(run["error"])}</p>' if run.get("error") else ""
    data = {series["symbol"] + " " + series["timeframe"]: _series(series) for series in run.get("data") or []}
    parts = [
        f"<header><h1>{_text(run['notebook'])}</h1>{failure}",
        _table("Run", facts),
        _table("Parameters", run.get("parameters") or {}),
        _table("Data", data),
        _folded("All metrics", _table("Metrics", run.get("metrics") or {})),
        "</header>",
    ]
    return "\n".join(parts)


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{_text(title)}</summary>{content}</details>" if content else ""


def _series(series: Mapping[str, Any]) -> str:
    return f"{series['bars']:,} bars, {series['first']} to {series['last']}, {series['venue']}, {series['fingerprint'][:12]}"


def _table(title: str, rows: Mapping[str, object]) -> str:
    if not rows:
        return ""
    lines = [f"<tr><th>{_text(name)}</th><td>{_text(_shown(value))}</td></tr>" for name, value in rows.items()]
    return f"<section><h2>{_text(title)}</h2><table>{''.join(lines)}</table></section>"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: object) -> str:
    return html.escape(str(value))


def _page(head: str, body: str, figures: list[dict[str, Any]]) -> str:
    nonce = secrets.token_urlsafe(16)
    data = [_figure_data(number, figure) for number, figure in enumerate(figures)]
    code = [_plotly(), SCRIPT] if figures else []
    return "\n".join([
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY.format(nonce=nonce)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>atb run</title><style>{STYLE}{_code_style()}</style></head><body>",
        '<input type="checkbox" id="show-code"><label for="show-code">show code</label>',
        head,
        f"<main>{body}</main>",
        *data,
        *(f'<script nonce="{nonce}">{text}</script>' for text in code),
        "</body></html>",
        "",
    ])  # fmt: skip


def _figure_data(number: int, figure: dict[str, Any]) -> str:
    """Return a figure as a data block: inert JSON, in which nothing can end the block."""
    text = json.dumps({**figure, "config": CONFIG}, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" class="figure-data" data-for="figure-{number}">{text}</script>'


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _code_style() -> str:
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped] # no types there

    return str(HtmlFormatter(style="default").get_style_defs(".highlight"))


def write_report(path: Path, notebook: Any, run: Mapping[str, Any]) -> None:
    """Write the page of an executed notebook to `path`."""
    write_text(path, html_report(notebook, run))

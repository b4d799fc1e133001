"""The fixed parts of a report page: content security policy, style sheet, and the script that draws figures.

Style and script are the files `report.css` and `report.js`, which are written into each page: a report is one file and loads
nothing.
"""

from functools import cache
from importlib.resources import files

# data: is needed for pictures and plotly's icons, blob: for "download as png". No network address is allowed.
POLICY = (
    "default-src 'none'; img-src data: blob:; font-src data:; style-src 'unsafe-inline'; "
    "script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'"
)
CODE_STYLES = {
    "light": "xcode",
    "dark": "github-dark",
}  # pygments style names; tokens contrast with the background at about 4.5:1


@cache
def style() -> str:
    """Return the page's style sheet, with light and dark code colours."""
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped] # no types there

    light, dark = (str(HtmlFormatter(style=name).get_style_defs(".highlight")) for name in CODE_STYLES.values())
    return f"{_file('report.css')}\n{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"


@cache
def script() -> str:
    """Return the script that draws the page's figures with plotly."""
    return _file("report.js")


def _file(name: str) -> str:
    return files("atb.experiments").joinpath(name).read_text(encoding="utf-8")

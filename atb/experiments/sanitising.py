"""Sanitising of a notebook's HTML: only tags and attributes of text, tables and embedded pictures enter a report."""

import functools
import re

# Left out with all they hold; what else is not named below loses its tags and keeps its text.
_EMPTIED = re.compile(
    r"<(script|style|iframe|object|template|noscript|svg|math)\b.*?(</\1\s*>|$)", re.IGNORECASE | re.DOTALL
)
_NAMES = (
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i img "
    "input ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var"
)
TAGS = frozenset(_NAMES.split())
SHORT = 20_000  # characters of a text that is remembered
EVERYWHERE = frozenset({"class", "title", "align", "style"})
SOME = {
    "a": frozenset({"href"}),
    "img": frozenset({"src", "alt", "width", "height"}),
    "input": frozenset({"type", "checked", "disabled"}),  # check lists in markdown
    "ol": frozenset({"start"}),
    "td": frozenset({"colspan", "rowspan"}),
    "th": frozenset({"colspan", "rowspan", "scope"}),
}
STYLES = (
    "color",
    "background-color",
    "font-weight",
    "font-style",
    "text-align",
    "text-decoration",
    "width",
    "white-space",
)


def clean_html(text: str) -> str:
    """Return HTML without scripts, event handlers, frames, and anything loaded from elsewhere."""
    return _remembered(str(text)) if len(text) <= SHORT else _cleaned(str(text))


@functools.lru_cache(maxsize=512)
def _remembered(text: str) -> str:
    """Return a short text cleaned: the runs of a batch show the same cells again and again."""
    return _cleaned(text)


def _cleaned(text: str) -> str:
    import bleach  # type: ignore[import-untyped,unused-ignore] # no types
    from bleach.css_sanitizer import CSSSanitizer  # type: ignore[import-untyped,unused-ignore] # no types

    return str(
        bleach.clean(
            _EMPTIED.sub("", text),
            tags=TAGS,
            attributes=_allowed,
            protocols={"http", "https", "mailto", "data"},
            strip=True,
            css_sanitizer=CSSSanitizer(allowed_css_properties=STYLES),
        )
    )


def _allowed(tag: str, name: str, value: str) -> bool:
    """True if an attribute may stay: pictures only as embedded data, links never to data."""
    if name == "src":
        return tag == "img" and value.startswith("data:image/")
    if name == "href":
        return tag == "a" and not value.lower().startswith("data:")
    if name == "type":
        return tag == "input" and value == "checkbox"
    return name in EVERYWHERE or name in SOME.get(tag, ())

"""The display of values in a notebook: bars, strategies, runs, manifests and models as cards; results bring their own.

A card is HTML without script and without anything from outside, every name escaped, in the colours of its page; pictures in it are
SVG images. So it shows wherever HTML does (JupyterLab, VS Code, a saved page), and each value has its text beside it.

Strategies have no class in common. What has no display of its own is therefore looked at once, and left alone if it is none.
"""

import sys
from collections.abc import Callable
from typing import Any

from atb.decimals import MERITS
from atb.experiments.strictness import watch
from atb.workbench.magics import load_magics

# Module, class, and the function of `atb.workbench.cards` that shows it; imported when one is shown.
CARDS = (
    ("atb.domain.bars", "Bars", "bars_html"),
    ("atb.db.tables", "RunRow", "run_html"),
    ("atb.promotion.manifest", "Manifest", "manifest_html"),
    ("atb.experiments.promotion", "Promoted", "promoted_html"),
    ("atb.prediction.bundle", "Bundle", "bundle_html"),
    ("atb.prediction.regime_bundle", "RegimeBundle", "bundle_html"),
    ("atb.prediction.predictor", "OnnxPredictor", "predictor_html"),
)
LONGEST_TEXT = 400  # characters of a table's cell
COUNT = ",.0f"  # how `atb.decimals.MERITS` rounds a count
TEXTS = (("atb.db.tables", "RunRow", "run_text"), ("atb.promotion.manifest", "Manifest", "manifest_text"))


def register_formats() -> None:
    """Register the cards and the magics with the running kernel; do nothing outside a kernel."""
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython

    shell = get_ipython()  # type: ignore[no-untyped-call,unused-ignore] # typed in newer IPython
    if shell is None or shell.display_formatter is None:
        return
    html, text = (shell.display_formatter.formatters[kind] for kind in ("text/html", "text/plain"))
    for module, name, function in CARDS:
        html.for_type_by_name(module, name, _card(function))
    for module, name, function in TEXTS:
        text.for_type_by_name(module, name, _text(function))
    html.for_type_by_name("pandas", "DataFrame", _frame)
    html.for_type(object, _strategy_or_own)
    load_magics(shell)
    watch(shell)


def _card(function: str) -> Callable[[Any], str]:
    def shown(value: Any) -> str:
        from atb.workbench import cards

        return str(getattr(cards, function)(value))

    return shown


def _text(function: str) -> Callable[[Any, Any, bool], None]:
    def printed(value: Any, printer: Any, _cycle: bool) -> None:
        printer.text(_card(function)(value))

    return printed


def _frame(value: Any) -> str | None:
    """Return a table's HTML with its texts in full, which pandas cuts after 50 characters, and counts without decimals."""
    from pandas import option_context

    counts = [name for name, column in value.items() if MERITS.get(name) == COUNT and _is_whole(column)]
    shown = value.astype(dict.fromkeys(counts, "int64")) if counts and value.columns.is_unique else value
    with option_context("display.max_colwidth", LONGEST_TEXT):
        return shown._repr_html_()  # type: ignore[no-any-return] # untyped in its stubs


def _is_whole(column: Any) -> bool:
    return column.dtype.kind == "f" and bool((column % 1 == 0).all())


def _strategy_or_own(value: Any) -> str | None:
    """Return a strategy's card, or else what IPython would have shown: the value's own HTML, if it has any."""
    from IPython.utils.dir2 import get_real_method

    own = get_real_method(value, "_repr_html_")  # type: ignore[no-untyped-call,unused-ignore] # typed in newer IPython
    if own is not None:
        return own()  # type: ignore[no-any-return] # a value's own
    if isinstance(value, type) or not all(hasattr(type(value), name) for name in ("predicts", "signals", "features")):
        return None
    from atb.workbench.cards import strategy_html

    return strategy_html(value)

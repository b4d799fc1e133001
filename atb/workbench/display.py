"""The display of bars in a notebook; results bring their own."""

import sys
from typing import TYPE_CHECKING

from atb.workbench.magics import load_magics

if TYPE_CHECKING:
    from atb.domain import Bars


def register_formats() -> None:
    """Register an HTML card for `Bars` and the magics with the running kernel; do nothing outside a kernel."""
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython

    shell = get_ipython()  # type: ignore[no-untyped-call,unused-ignore] # typed in newer IPython
    if shell is None or shell.display_formatter is None:
        return
    html = shell.display_formatter.formatters["text/html"]
    html.for_type_by_name("atb.domain.bars", "Bars", _bars_html)
    load_magics(shell)


def _bars_html(bars: "Bars") -> str:
    from atb.reports.summary import bars_html

    return bars_html(bars)

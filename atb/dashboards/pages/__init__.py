"""The pages of the dashboards, in the order of the navigation."""

from atb.dashboards.page import Page
from atb.dashboards.pages import (
    audit,
    backtests,
    batches,
    compare,
    manifests,
    market_data,
    monitor,
    predictions,
    run,
    trade,
)

PAGES: tuple[Page, ...] = (
    monitor.PAGE,
    backtests.PAGE,
    predictions.PAGE,
    batches.PAGE,
    market_data.PAGE,
    manifests.PAGE,
    audit.PAGE,
    trade.PAGE,
    run.PAGE,
    compare.PAGE,
)
"""Each is contract-tested."""


def page_at(path: str) -> Page | None:
    """Return the page of a path; `/` is the first one, None if there is no such page."""
    wanted = path.rstrip("/")
    return PAGES[0] if not wanted else next((page for page in PAGES if page.path == wanted), None)

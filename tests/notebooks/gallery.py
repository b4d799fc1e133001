"""The README's pictures: figures of the notebooks' reports on the synthetic market, taken by a headless Chromium.

.venv/bin/python -m tests.notebooks.gallery            every picture
.venv/bin/python -m tests.notebooks.gallery sweep      one of them
"""

import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atb.config import load_settings
from atb.data.providers.sample import write_sample
from atb.db import open_database
from atb.experiments import execute
from tests.conftest import REPOSITORY
from tests.notebooks.conftest import CHROMIUM, QUIET

IMAGES = REPOSITORY / "notebooks" / "images"
WIDTH, HEIGHT = 1_000, 900
FIGURES = ".js-plotly-plot"


@dataclass(frozen=True)
class Picture:
    """A figure of a notebook: its number from 0 in the report, and what is run before."""

    name: str
    notebook: str
    figure: int
    parameters: dict[str, Any] = field(default_factory=dict)
    before: tuple[str, ...] = ()


PICTURES = (
    Picture("equity", "03_backtest", 0, {"strategy": "ml_basic", "days": 205}, before=("02_train",)),
    Picture("regimes", "08_regimes", 0),
    Picture("sweep", "11_sweep", 0),
    Picture("predictions", "12_predictions", 0, before=("02_train",)),
)


def take(pictures: tuple[Picture, ...]) -> None:
    """Run the notebooks, each once, and save the pictures."""
    program = next(path for path in CHROMIUM if shutil.which(path))
    with tempfile.TemporaryDirectory(prefix="atb-gallery-") as folder:
        reports = [(picture, _report(picture, Path(folder))) for picture in pictures]
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
            for picture, report in reports:
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
                page.goto(report.as_uri())
                page.wait_for_selector(f"{FIGURES} .main-svg")
                page.add_style_tag(content=".modebar { display: none !important }")
                shown = page.locator(FIGURES).nth(picture.figure)
                shown.scroll_into_view_if_needed()
                page.wait_for_timeout(500)
                shown.screenshot(path=IMAGES / f"{picture.name}.png")
                page.close()
            browser.close()


def _report(picture: Picture, root: Path) -> Path:
    settings = load_settings(data={"root": root}, database={"url": f"sqlite:///{root}/atb.db"})
    if not settings.bars_root.exists():
        write_sample(root=settings.bars_root)
    database = open_database(settings.database.url)
    for name in (*picture.before, picture.notebook):
        parameters = picture.parameters if name == picture.notebook else {}
        if name in picture.before and any(settings.models_root.glob("*/*/*/card.json")):
            continue
        run = execute(REPOSITORY / "notebooks" / f"{name}.ipynb", parameters, settings=settings, database=database)
        assert run.status == "succeeded", run.error
    database.close()
    return Path(run.path) / "report.html"


if __name__ == "__main__":
    wanted = sys.argv[1:]
    take(tuple(picture for picture in PICTURES if not wanted or picture.name in wanted))

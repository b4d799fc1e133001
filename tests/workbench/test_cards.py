"""Every value that shows itself in a notebook: HTML without script, names escaped, nothing from outside, and a text beside it."""

import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from atb.backtest import run, screen, sweep
from atb.db.tables import RunRow
from atb.domain import Signals
from atb.engine.policy import RiskPolicy, grid
from atb.engine.slot import Slot
from atb.prediction.bundle import Bundle
from atb.promotion.manifest import Manifest
from atb.strategies import STRATEGIES
from atb.workbench import display
from tests.bars import bars_of, random_walk

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>'\"&"


@dataclass(frozen=True)
class Evil:
    """A strategy with a name that is a script."""

    name: ClassVar[str] = EVIL
    predicts: ClassVar[bool] = False
    label: str = EVIL
    warmup: ClassVar[int] = 0

    def features(self, bars):
        return bars[[]]

    def signals(self, frame):
        return Signals(np.ones(len(frame)))


def slot() -> Slot:
    return Slot(Evil(), bars_of(random_walk(80, 1), venue=EVIL), RiskPolicy(stop_loss=0.02))


def a_run() -> RunRow:
    return RunRow(
        run_id=f"run-{EVIL}", notebook=f"{EVIL}.ipynb", status="failed", error=EVIL, started_at=datetime(2024, 1, 1, tzinfo=UTC),
        seconds=3.0, parameters={EVIL: [EVIL, None]}, metrics={"sharpe": 1.5, "n_trades": 3}, path=f"/runs/{EVIL}",
        data=[{"symbol": EVIL, "timeframe": "1h", "venue": EVIL}],
    )  # fmt: skip


def a_manifest() -> Manifest:
    given = {
        "name": EVIL,
        "mode": "paper",
        "symbol": EVIL,
        "strategy": {"name": EVIL, "parameters": {"a": EVIL}},
        "model": {"path": EVIL},
    }
    return Manifest(**{field.name: given.get(field.name, EVIL) for field in fields(Manifest)})


def a_bundle() -> Bundle:
    card = {"name": EVIL, "version": "1", "symbol": EVIL, "verdict": EVIL, "metrics": {EVIL: 0.5}, "synthetic": True}
    return Bundle(SimpleNamespace(), card, b"")


VALUES = {
    "result": lambda: run(slot()),
    "sweep": lambda: sweep(slot(), policies=grid(stop_loss=[0.01, 0.02])),
    "screen": lambda: screen(Evil(), slot().bars),
    "bars": lambda: slot().bars,
    "strategy": Evil,
    "run": a_run,
    "manifest": a_manifest,
    "model": a_bundle,
}
PICTURED = {"result", "bars"}


@pytest.fixture(scope="module")
def shell():
    """A shell that displays as a kernel's does."""
    made = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    display.register_formats()
    yield made
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("name", VALUES)
def test_a_value_shows_itself_as_harmless_html_with_a_text_beside_it(shell, name):
    shown, _ = shell.display_formatter.format(VALUES[name]())
    html, text = shown["text/html"], shown["text/plain"]
    assert "<script" not in html.lower()
    assert "<img src=x" not in html
    assert re.findall(r"(?:src|href)=['\"](?!data:image/svg)", html) == []
    assert "url(" not in html
    assert text.strip()
    assert " object at 0x" not in text
    assert len(html) < 100_000
    assert ("data:image/svg+xml" in html) == (name in PICTURED)
    assert "background:white" not in html.replace(" ", "")


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_a_card_with_its_parameters(shell, name):
    shown, _ = shell.display_formatter.format(STRATEGIES[name]())
    for field in fields(STRATEGIES[name]):
        assert field.name in shown["text/html"]


@pytest.mark.parametrize("value", [3, "<b>", {"a": 1}, object(), STRATEGIES["hold"], slot, None])
def test_what_is_no_strategy_keeps_the_display_it_had(shell, value):
    assert "text/html" not in shell.display_formatter.format(value)[0]


def test_a_frame_keeps_its_own_table(shell):
    frame = random_walk(5, 1)
    assert shell.display_formatter.format(frame)[0]["text/html"] == frame._repr_html_()

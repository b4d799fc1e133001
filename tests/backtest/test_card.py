"""A result shows itself, as text and as HTML: figures beside the baselines, what blocked it, and nothing that runs."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from atb.backtest import card, run
from atb.engine.policy import AccountPolicy, RiskPolicy
from tests.bars import random_walk
from tests.scenarios import random_slots, scripted_slot

SIDES = tuple(np.where(np.arange(600) // 24 % 2 == 0, 1.0, 0.0))


@pytest.fixture(scope="module")
def result():
    policy = RiskPolicy(fraction=0.9, stop_loss=0.01, take_profit=0.01, cooldown=3)
    account = AccountPolicy(max_gross=0.5, max_drawdown=0.02, throttle=((0.01, 0.5),))
    return run(scripted_slot(random_walk(600, 3), SIDES, policy), account=account)


class Page(HTMLParser):
    """Collects text and tags, and insists that tags close in order."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags, self.open = "", set(), []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


def test_a_result_is_one_line_as_its_name_and_a_table_when_printed(result):
    assert "\n" not in repr(result)
    assert result.label in repr(result)
    lines = str(result).splitlines()
    assert lines[0] == result.label
    head = next(line for line in lines if "random entry" in line)
    assert re.split(r"\s{2,}", head.strip()) == list(card.COLUMNS)
    assert max(map(len, lines)) <= card.WIDTH


def test_text_and_html_say_the_same(result):
    page, text = Page(result._repr_html_()), " ".join(str(result).split())
    shown = " ".join(page.text.split())
    notes = (
        card.chance(result.card),
        card.blocked(result.card),
        result.ambiguity,
        result.headline,
        card.period(result.card),
    )
    for note in (*notes, *result.fill_model.split(". ")):
        assert note in text
        assert note in shown
    names = {name for name, key, _ in card.FIGURES if key in card.ON_CARD and key != "financing_paid"}
    for name, cells in card.figures(result.card).items():
        if name in names:
            assert " ".join([name, *cells]) in text
            assert " ".join([name, *cells]) in shown


def test_the_figures_are_those_of_the_result(result):
    table = card.figures(result.card)
    total, held, idle, chance = table["Total return (%)"]
    assert total == f"{result.stats['total_return_pct']:+,.2f}"
    assert held == f"{result.baselines['hold']['total_return_pct']:+,.2f}"
    assert idle == "+0.00"
    low, high = result.random_entry.span("total_return_pct")
    assert chance == f"{result.random_entry.median('total_return_pct'):+,.2f} ({low:+,.2f} to {high:+,.2f})"
    assert table["Sharpe"][2] == "–"


def test_what_blocked_it_is_told_in_plain_words(result):
    text = card.blocked(result.card)
    assert "drawdown halt" in text
    assert "shrunk by exposure limit" in text
    assert "The account ended halted for good by its drawdown." in text
    assert "The drawdown throttle stood at step 1" in text
    for reason, count in result.refusal_counts.items():
        assert f"{reason.replace('_', ' ')} {count:,}" in text


def test_nothing_blocked_is_told_too():
    assert card.blocked(run(scripted_slot(random_walk(50), (1.0,))).card) == "No signal was refused or shrunk."


def test_the_card_runs_nothing_loads_nothing_and_has_no_colours_of_its_own(result):
    html = result._repr_html_()
    page = Page(html)
    assert page.tags <= {"div", "b", "table", "tr", "th", "td", "img", "span"}
    assert not re.search(r"https?:|url\(|src=(?!'data:image/)|href=|\bon\w+=", html)
    assert "background:white" not in html
    assert len(html) < 40_000


def test_names_are_escaped():
    named = run(scripted_slot(random_walk(50), SIDES, venue="<script>alert(1)</script>"))
    assert "<script" not in named._repr_html_()
    assert "&lt;script&gt;" in named._repr_html_()


def test_the_small_picture_keeps_peaks_and_troughs():
    values = np.zeros(50_000)
    values[12_345], values[40_001] = 1.0, -1.0
    points = [tuple(map(float, point.split(","))) for point in card._points(values, -1.0, 1.0).split()]
    assert len(points) < 400
    assert {y for _, y in points} == {2.0, 40.0, 78.0}
    assert [x for x, _ in points] == sorted(x for x, _ in points)


@pytest.mark.parametrize("bars", [1, 2, 5])
def test_a_short_history_has_a_card(bars):
    result = run(scripted_slot(random_walk(5).iloc[:bars], (1.0,) * bars))
    assert "random entry" in str(result)
    Page(result._repr_html_())


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_every_mixture_of_rules_has_a_card(seed):
    slots, account = random_slots(seed)
    result = run(slots, account=account)
    assert result.headline.split()[0] in str(result)
    Page(result._repr_html_())

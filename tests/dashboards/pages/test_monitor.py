"""The live monitor's reading: limits as the runner itself wrote them, and what is not known."""

from dataclasses import replace

from atb.dashboards.page import Look
from atb.dashboards.pages import page_at
from tests.dashboards.pages.test_contract import source, text_of
from tests.dashboards.pages.worlds import one
from tests.rehearsal.ledger import close, open_journal

__all__ = ["source"]
LIVE = page_at("/live")


def read(source, **query):
    return LIVE.read(source, tuple(sorted(query.items())))["chosen"]


def allowed(found):
    return {use["limit"]: use["allowed"] for use in found["limits"]["use"]}


def test_breakers_are_those_the_runner_was_started_with_and_not_the_settings_of_the_page(source):
    one(source)
    live = source.settings.live.model_copy(update={"orders_per_minute": 5, "entries_per_bar": 1})
    elsewhere = replace(source, settings=source.settings.model_copy(update={"live": live}))
    found = allowed(read(elsewhere))
    assert found["orders in the newest order's minute"] == "77"
    assert found["entries of the newest one's slot and bar"] == "5"
    assert found["entries of the newest order's UTC day"] == "300"


def test_limits_that_nobody_wrote_are_said_to_be_unknown(source):
    journal = open_journal(source.database)
    journal.commit(close(0))
    found = read(source)
    assert found["limits"]["use"] == []
    drawn = text_of(LIVE.draw(LIVE.read(source, ()), Look()))
    assert "Not all limits are known. The runner did not write its breakers" in drawn
    assert "No limit is on." not in drawn


def test_limits_of_a_manifest_that_is_gone_are_said_to_be_unknown(source):
    one(source)
    (why,) = read(source)["limits"]["unknown"]
    assert "nowhere" in why or "manifest" in why.lower()

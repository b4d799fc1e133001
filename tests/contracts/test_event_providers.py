"""Contract of every provider of events: each at its own time, once, in order; the same again; resumed where it stopped."""

import numpy as np
import pandas as pd
import pytest

from atb.data.catalogue.events import read_events
from atb.data.catalogue.revisions import load_revisions
from atb.data.providers import EVENT_PROVIDERS, open_events
from atb.data.providers.updating import download_events
from atb.errors import InputError
from atb.times import in_ms
from tests.contracts.providers import EVENT_STAGES

of_each = pytest.mark.parametrize("name", sorted(EVENT_STAGES))


@pytest.fixture
def stage(name, tmp_path):
    with EVENT_STAGES[name](tmp_path) as stage:
        yield stage


def stored(stage, root):
    return read_events(stage.series(root))[0]


def test_every_provider_of_events_is_tried_here_and_a_mistyped_one_is_recognised():
    assert set(EVENT_STAGES) == set(EVENT_PROVIDERS)
    with pytest.raises(InputError, match="Did you mean 'fear_greed'"):
        open_events("fear_gread")


@of_each
def test_every_event_comes_once_in_order_at_its_own_time(stage):
    source = stage.make()
    found = pd.concat(list(source.pages(None)))
    assert found.index.is_monotonic_increasing
    assert not found.index.has_duplicates
    assert str(found.index.tz) == "UTC"
    assert found.index.as_unit("ms").equals(stage.events.index)
    for column in stage.events:
        assert np.array_equal(found[column].to_numpy(), stage.events[column].to_numpy())
    assert set(found.columns) <= set(source.kind.columns)


@of_each
def test_from_a_moment_on_what_is_older_does_not_come_and_after_the_last_nothing(stage):
    at = in_ms(stage.events.index[60])
    assert pd.concat(list(stage.make().pages(at))).index.as_unit("ms").equals(stage.events.index[60:])
    assert pd.concat(list(stage.make().pages(at + 1))).index.as_unit("ms").equals(stage.events.index[61:])
    assert list(stage.make().pages(in_ms(stage.events.index[-1]) + 1)) == []


@of_each
def test_what_is_stored_is_what_came_and_the_same_again_is_no_change(stage, tmp_path):
    series = stage.series(tmp_path / "bars")
    report = download_events(series, stage.make())
    assert (report.added, report.revised) == (len(stage.events), 0)
    assert stored(stage, tmp_path / "bars").index.equals(stage.events.index)
    assert read_events(series)[1] == stage.make().origin
    before = series.path.read_bytes()
    again = download_events(series, stage.make())
    assert (again.added, again.revised, again.unchanged) == (0, 0, 3)
    assert series.path.read_bytes() == before


@of_each
def test_a_part_goes_on_where_it_stopped_and_a_changed_value_goes_into_the_ledger(stage, tmp_path):
    from atb.data.catalogue.events import save_events

    series = stage.series(tmp_path / "bars")
    part = stage.events.iloc[:80].copy()
    part.iloc[-1, 0] += 1.0
    save_events(series, part, source="before", fetched=pd.Timestamp("2024-12-01", tz="UTC"))
    report = download_events(series, stage.make())
    assert (report.added, report.unchanged, report.revised) == (len(stage.events) - 80, 2, 1)
    assert stored(stage, tmp_path / "bars").iloc[79, 0] == part.iloc[-1, 0]
    (revision,) = load_revisions(series.folder)
    assert revision.at == part.index[-1]
    assert next(iter(revision.later.values())) == stage.events.iloc[79, 0]

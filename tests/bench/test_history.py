"""Kept results: ratios per version, merged by case, compared with the last version kept."""

import json

import pytest

from atb.bench import history
from atb.bench.cases import ATB, Row
from atb.bench.history import changes, keep, last_kept, ratios_of
from atb.errors import InputError


def row(case, engine, ratio, **sizes):
    return Row(case, engine, **{"bars": 100, "combos": 1, "workers": 1} | sizes, cpu_s=1.0, ratio_to_atb=ratio, peak_mb=5.0,
               agrees=True)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results"


def test_only_ratios_to_atb_are_kept_without_seconds_or_memory(folder):
    rows = [row("single", ATB, 1.0), row("single", "vectorbt rust", 11.23456), row("cores", ATB, 0.55, workers=2)]
    path = keep([*rows, row("cold", ATB, None)], folder, "0.1.0")
    found = json.loads(path.read_text())
    assert (path.name, found["version"], found["schema"]) == ("0.1.0.json", "0.1.0", 1)
    assert [sorted(ratio) for ratio in found["ratios"]] == [
        ["bars", "case", "combos", "engine", "ratio_to_atb", "workers"]
    ] * 2
    assert {ratio["case"]: ratio["ratio_to_atb"] for ratio in found["ratios"]} == {"cores": 0.55, "single": 11.23}


def test_cases_that_are_measured_again_replace_their_ratios_and_the_others_stay(folder):
    keep([row("single", "bare loop", 0.2), row("sweep", "bare loop", 0.3, combos=9)], folder, "0.1.0")
    keep([row("single", "bare loop", 0.4)], folder, "0.1.0")
    assert {ratio.case: ratio.ratio_to_atb for ratio in last_kept(folder).ratios} == {"single": 0.4, "sweep": 0.3}


def test_the_last_kept_version_goes_by_its_number_and_other_files_are_left_alone(folder):
    assert last_kept(folder) is None
    for version in ("0.9.0", "0.10.0", "0.2.0"):
        keep([row("single", "bare loop", 0.5)], folder, version)
    (folder / "notes.json").write_text("{}")
    assert last_kept(folder).version == "0.10.0"
    assert last_kept(folder, before="0.10.0").version == "0.9.0"
    assert last_kept(folder, before="0.2.0") is None


def test_a_change_is_said_for_equal_sizes_only(folder):
    keep([row("single", "vectorbt rust", 10.0), row("cores", ATB, 0.5, workers=2)], folder, "0.1.0")
    kept = last_kept(folder)
    now = [row("single", "vectorbt rust", 12.0), row("cores", ATB, 0.6, workers=2), row("sweep", "vectorbt rust", 3.0)]
    assert changes(now, kept) == [
        "single, vectorbt rust: 12x, 0.1.0 had 10x (+20 %)",
        "cores, atb, 2 workers: 0.6x, 0.1.0 had 0.5x (+20 %)",
    ]
    assert changes([row("single", "vectorbt rust", 12.0, bars=7)], kept) == []


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema": 2}', '{"schema": 1, "version": "0.1.0", "kept": "", "ratios": [{}]}']
)
def test_a_kept_file_of_another_form_is_one_clear_error_and_stays(folder, text):
    folder.mkdir()
    path = folder / "0.1.0.json"
    path.write_text(text)
    for act in (lambda: last_kept(folder), lambda: keep([row("single", "bare loop", 0.5)], folder, "0.1.0")):
        with pytest.raises(InputError, match="Kept benchmark results cannot be read"):
            act()
    assert path.read_text() == text


def test_without_a_checkout_nothing_is_kept(tmp_path):
    with pytest.raises(InputError, match="kept in a checkout"):
        keep([row("single", "bare loop", 0.5)], tmp_path / "nowhere" / "results", "0.1.0")


def test_what_is_kept_here_can_be_read():
    for path in history.RESULTS.glob("*.json"):
        kept = history.Kept.load(path)
        assert kept.version == path.stem
        assert ratios_of([row(ratio.case, ratio.engine, ratio.ratio_to_atb) for ratio in kept.ratios])

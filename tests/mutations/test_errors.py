"""The list of deliberate errors fits the kernel as it is, and its last result says that all were caught."""

import pytest

from tests.mutations.run import FAILED, FOLDER, REPOSITORY, Mutant, mutants, written


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.why)
def test_an_error_still_finds_its_line(mutant):
    source = (REPOSITORY / "atb" / "engine" / mutant.file).read_text(encoding="utf-8")
    compile(mutant.applied_to(source), mutant.file, "exec")


def test_a_line_that_is_gone_or_there_twice_is_refused():
    for text in ("", "a = 1\na = 1\n"):
        with pytest.raises(ValueError, match="times: a = 1"):
            Mutant(1, "kernel.py", "a = 1", "a = 2", "").applied_to(text)


def test_every_error_was_caught_when_they_were_last_tried():
    result = (FOLDER / "result.md").read_text(encoding="utf-8")
    listed = mutants()
    assert len(listed) >= 30
    assert f"{len(listed)} of {len(listed)} errors caught" in result
    assert all(f"| {mutant.file} | {mutant.why} |" in result for mutant in listed)


def test_the_first_failing_test_is_read_from_pytests_summary():
    said = "1 failed\nFAILED tests/engine/test_exits.py::test_a[99-bar[0]-x] - assert 1 == 2\n"
    assert FAILED.search(said)["test"] == "engine/test_exits.py::test_a"
    assert FAILED.search("FAILED tests/engine/test_exits.py::test_b")["test"] == "engine/test_exits.py::test_b"


def test_errors_that_are_not_tried_again_keep_their_test_under_another_number():
    before = (FOLDER / "result.md").read_text(encoding="utf-8")
    moved = before.replace("| 7 |", "| 8 |")
    assert moved != before
    assert written([], moved) == before

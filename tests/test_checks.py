"""A check: its status, and what counts as passed and failed."""

import pytest

from atb.checks import Check


@pytest.mark.parametrize(("passed", "status"), [(True, "ok"), (False, "error")])
def test_a_check_that_passed_is_ok_and_one_that_did_not_is_an_error(passed, status):
    check = Check.of("clock", passed, "+12 ms", "Set the clock")
    assert (check.status, check.ok, check.failed) == (status, passed, not passed)
    assert (check.name, check.found, check.todo) == ("clock", "+12 ms", "Set the clock")


@pytest.mark.parametrize("status", ["warning", "skipped", "info"])
def test_what_neither_passed_nor_failed_is_neither(status):
    check = Check("first difference", status, "bar 7")
    assert not check.ok
    assert not check.failed

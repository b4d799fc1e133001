"""Code that never ends, waits for ever or ends its process: a sentence says so, and the process that asked goes on."""

import os
import signal
import threading
import time

import pytest

from atb.checks import Check
from atb.errors import InputError
from atb.validation import limits
from atb.validation.apart import checks_apart
from atb.validation.isolated import _in_fork
from atb.validation.limits import Limits
from tests.validation import biased_strategies
from tests.validation.test_windows import BARS, checked


def for_ever():
    while True:
        pass


def as_a_check(work):
    """Return what is told of a fork with a sound check and then this one."""
    waiting = (
        ("is sound", lambda: Check("is sound", "ok", "seen")),
        ("ends", lambda: Check("ends", "ok", str(work()))),
    )
    return checks_apart(lambda: iter(waiting), least_s=1)


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (for_ever, "it computed without end: it was stopped after 1 s of processor time"),
        (lambda: os._exit(0), "it ended its process (exit code 0)"),
        (lambda: os._exit(3), "it ended its process (exit code 3)"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "its process was killed (SIGKILL)"),
    ],
)
def test_a_check_that_does_not_come_back_is_broken_by_name_and_those_before_it_stand(work, words):
    sound, broken = as_a_check(work)
    assert (sound.status, sound.found) == ("ok", "seen")
    assert (broken.name, broken.status) == ("ends", "error")
    assert broken.found.startswith(words)
    assert broken.todo


@pytest.mark.parametrize("wait", [lambda: time.sleep(600), lambda: threading.Event().wait(600)])
def test_waiting_ends_as_well(monkeypatch, wait):
    monkeypatch.setattr(limits, "WAIT_S", 1)
    assert as_a_check(wait)[1].found == "it waited without end: it was stopped after 1 s"


def test_a_refusal_in_the_fork_is_the_same_here_and_outcomes_come_in_order():
    def refuse():
        raise InputError("There is none", found="x", todo="Write one")
        yield

    with pytest.raises(InputError) as refused:
        checks_apart(refuse)
    assert (str(refused.value), refused.value.todo) == (
        str(InputError("There is none", found="x", todo="Write one")),
        "Write one",
    )
    assert [check.found for check in as_a_check(lambda: 7)] == ["seen", "7"]


def test_a_piece_may_take_fifty_times_what_the_longest_before_it_took(monkeypatch):
    used = iter([10.0, 13.0, 20.0, 21.0, 30.0, 30.0])
    monkeypatch.setattr(limits, "_used", lambda: next(used))
    seen = []
    monkeypatch.setattr(limits.resource, "setrlimit", lambda kind, most: seen.append((kind, most[0])))
    monkeypatch.setattr(signal, "alarm", lambda seconds: None)
    of_pieces = Limits()
    for _ in range(3):
        with of_pieces.piece():
            pass
    cpu = [most for kind, most in seen if kind == limits.resource.RLIMIT_CPU]
    assert cpu == [10 + 60, 20 + 150, 30 + 150]


def test_a_fork_of_the_isolated_process_says_how_it_ended():
    def loops():
        with Limits(1).piece():
            for_ever()

    assert "computed without end" in _in_fork(loops)
    assert _in_fork(lambda: None) == ""
    assert _in_fork(lambda: os._exit(0)) == "it ended its process (exit code 0)"


def test_a_strategy_that_ends_the_isolated_process_differs_and_says_so():
    report = checked(biased_strategies.Leaves(), BARS.last(24)).report
    assert report.equal is False
    assert "it ended its process (exit code 0)" in str(report.first_difference)

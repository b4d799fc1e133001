"""The contract's checks in a fork: a strategy that never ends, or ends its process, breaks one check and nothing else.

Nothing is imported before the fork but what this module needs: it is made while the process has one thread.
"""

import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import BinaryIO

from atb.checks import Check
from atb.errors import AtbError
from atb.validation.limits import ENDED, FAILED, LEAST_S, Limits, how_it_ended

_TODO = "End every loop, wait for nothing, and leave the process alone; the checks after this one were not run"


def checks_apart(
    checks: Callable[[], Iterator[tuple[str, Callable[[], Check]]]], *, least_s: int = LEAST_S
) -> list[Check]:
    """Return the outcomes of checks that are made and run in a fork, up to the one during which it ended.

    Parameters
    ----------
    checks
        Called in the fork: yields each check's title and the function that runs it. What is done between them, such as loading
        the strategy, is limited as they are.
    least_s
        Seconds of processor time that a check gets at least.

    Raises
    ------
    AtbError
        As raised in the fork.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    with warnings.catch_warnings():  # Python warns of threads, such as those of an array library that wait for work
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os.close(reading)
        _run(checks, os.fdopen(writing, "wb"), Limits(least_s))
    os.close(writing)
    found: list[Check] = []
    doing = "loads"
    with os.fdopen(reading, "rb") as answers:
        for one in _answers(answers):
            if isinstance(one, AtbError):
                os.waitpid(child, 0)
                raise one
            if isinstance(one, str):
                doing = one
            else:
                found, doing = [*found, one], "ends"
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == ENDED:
        return found
    return [*found, Check(doing, "error", how_it_ended(status), _TODO)]


def _run(checks: Callable[[], Iterator[tuple[str, Callable[[], Check]]]], answers: BinaryIO, limits: Limits) -> None:
    """Run the checks, send each title and outcome, and end the process."""
    code = FAILED
    try:
        waiting = checks()
        while (following := _next(waiting, limits)) is not None:
            title, check = following
            _send(answers, title)
            with limits.piece():
                outcome = check()
            _send(answers, outcome)
        code = ENDED
    except AtbError as error:
        _send(answers, error)
    except BaseException:  # noqa: BLE001 - as a process of its own would print it
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _next(waiting: Iterator[tuple[str, Callable[[], Check]]], limits: Limits) -> tuple[str, Callable[[], Check]] | None:
    with limits.piece():
        return next(waiting, None)


def _send(answers: BinaryIO, message: str | Check | AtbError) -> None:
    kept = (type(message), message.wrong, message.todo, str(message)) if isinstance(message, AtbError) else message
    pickle.dump(kept, answers)
    answers.flush()


def _answers(answers: BinaryIO) -> Iterator[str | Check | AtbError]:
    """Yield what the fork sent, until it ended."""
    while True:
        try:
            one = pickle.load(answers)  # noqa: S301 - from the fork of this process
        except (EOFError, pickle.UnpicklingError):  # cut short where it ended
            return
        if isinstance(one, tuple):
            kind, wrong, todo, text = one
            error: AtbError = kind(wrong, todo=todo)
            error.args = (text,)  # with what was found
            one = error
        yield one

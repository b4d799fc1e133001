"""The contract's checks in a fork: a strategy that never ends, or ends its process, breaks one check and nothing else.

Nothing is imported before the fork but what this module needs: it is made while the process has one thread.
"""

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import BinaryIO

from atb import errors
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
    return [*found, Check(doing, "error", how_it_ended(status, least_s=least_s), _TODO)]


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
    """Write a title, an outcome or a refusal as a line of JSON."""
    if isinstance(message, AtbError):
        kept: object = {
            "refused": type(message).__name__,
            "text": str(message),
            "wrong": message.wrong,
            "todo": message.todo,
        }
    else:
        kept = asdict(message) if isinstance(message, Check) else message
    answers.write(json.dumps(kept).encode() + b"\n")
    answers.flush()


def _answers(answers: BinaryIO) -> Iterator[str | Check | AtbError]:
    """Yield what the fork sent, until it ended."""
    for line in answers:
        if not line.endswith(b"\n"):  # cut short where it ended
            return
        one = json.loads(line)
        yield one if isinstance(one, str) else _refusal(one) if "refused" in one else Check(**one)


def _refusal(sent: Mapping[str, str]) -> AtbError:
    """Return the refusal that was raised in the fork, its text with what was found."""
    kind: type[AtbError] = getattr(errors, sent["refused"], AtbError)
    error = kind(sent["wrong"], todo=sent["todo"])
    error.args = (sent["text"],)
    return error

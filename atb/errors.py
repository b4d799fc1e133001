"""The error tree, named by what the operator must do; a message says what is wrong, what was found, what to do.

AtbError                 anything atb refuses on purpose; the command line prints it without a traceback
├── InputError           correct the argument, parameter or file you passed
├── ConfigError          correct the settings (environment, .env, atb.toml)
├── DataError            import, download or repair market data
├── ModelError           retrain the model or restore its bundle
├── RunError             look at the failed run; its notebook was kept
├── PromotionError       promote again: what was signed is not what is here
├── LeaseError           wait for the other runner, or stop it: it trades this account
├── ParityError          stop trading: the kernel and its proof disagree
├── VenueError           wait for the exchange, or look at its status page; nothing is known about what was asked
├── HaltError            look why trading was halted, then `atb resume`
└── SetupError           repair the environment (`atb doctor` says how)
    └── DatabaseLostError    bring the database back: it answered before
"""

import difflib
from collections.abc import Iterable

LONGEST = 2_500  # characters of a value in a message


class AtbError(Exception):
    """A refusal with a reason.

    Parameters
    ----------
    wrong
        What is wrong, as a sentence without its full stop.
    found
        The offending value, shown as it was found, up to `LONGEST` characters; None leaves it out.
    todo
        What to do next, as a sentence without its full stop.
    """

    exit_code = 2

    def __init__(self, wrong: str, *, found: object = None, todo: str = "") -> None:
        self.wrong, self.found, self.todo = wrong, found, todo
        parts = [wrong if found is None else f"{wrong}; found {_shown(found)}", todo]
        super().__init__(_sentences(part for part in parts if part))


def _shown(found: object) -> str:
    """Return a value as it was found, cut to a readable length."""
    try:
        text = repr(found)
    except (ValueError, RecursionError):  # a whole number or a nesting of thousands
        return f"a {type(found).__name__} too large to show"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text):,} characters)"


def _sentences(parts: Iterable[str]) -> str:
    """Join parts by a full stop, unless one ends in its own."""
    text = ""
    for part in parts:
        text += ("" if not text else " " if text.endswith((".", "?", "!", "...")) else ". ") + part
    return text


class InputError(AtbError, ValueError):
    """An argument, parameter or file is not what it must be."""


class ConfigError(AtbError):
    """A setting is unknown, mistyped or contradictory."""


class DataError(AtbError):
    """Market data is missing, malformed or changed."""


class ModelError(AtbError):
    """A model bundle is missing, malformed or changed."""


class RunError(AtbError):
    """A run failed, or took too long; the notebook was kept if one was executed."""

    exit_code = 1


class PromotionError(AtbError):
    """A manifest, or something it pins, is not what was promoted."""


class LeaseError(AtbError):
    """Another runner holds the account, or has taken it over."""

    exit_code = 3


class ParityError(AtbError):
    """Two executions that must be equal are not."""

    exit_code = 1


class VenueError(AtbError):
    """A venue cannot be asked, or its answer cannot be read; the outcome of the request is unknown.

    Parameters
    ----------
    retry_after_ms
        Milliseconds until the venue accepts requests again.
    unauthorised
        True if the venue refuses the key or its signature.
    """

    exit_code = 6

    def __init__(
        self,
        wrong: str,
        *,
        found: object = None,
        todo: str = "",
        retry_after_ms: int = 0,
        unauthorised: bool = False,
    ) -> None:
        super().__init__(wrong, found=found, todo=todo)
        self.retry_after_ms, self.unauthorised = retry_after_ms, unauthorised


class HaltError(AtbError):
    """The kill switch ended the runner: everything was closed, or its level forbids the request."""

    exit_code = 4


class SetupError(AtbError):
    """The environment lacks something that atb needs."""


class DatabaseLostError(SetupError):
    """The database cannot be reached or written any more; whether the last transaction was committed is not known."""

    exit_code = 5


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean 'x'?" for the nearest known name, or the list of known names."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(names)}" if names else "None is known"

"""Says in one sentence that a strategy's own code raised an error, with the line of its file."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from atb.errors import AtbError, InputError


@contextmanager
def named_errors(owner: object, name: str) -> Iterator[None]:
    """Refuse an error raised in the block, `sys.exit` included, in the name of a strategy; refusals pass as they are.

    Parameters
    ----------
    owner
        The strategy, or its class, whose file's line is named.
    """
    try:
        yield
    except AtbError:
        raise
    except (Exception, SystemExit) as error:
        todo = "Correct it, or refuse such parameters in __post_init__"
        raise InputError(f"The strategy {name} raised an error", found=described(error, owner), todo=todo) from error


def described(error: BaseException, owner: object) -> str:
    """Return an error with its kind, and the newest line of the owner's file, or else of any file, that it passed."""
    kind = owner if isinstance(owner, type) else type(owner)
    try:
        own = inspect.getfile(kind)
    except (OSError, TypeError):  # a class of a notebook or of no file
        own = ""
    places = list(_places(error.__traceback__))
    file, line = next((place for place in reversed(places) if place[0] == own), places[-1] if places else ("", 0))
    return f"{type(error).__name__}: {error}" + (f" ({file}, line {line})" if file else "")


def _places(trace: TracebackType | None) -> Iterator[tuple[str, int]]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next

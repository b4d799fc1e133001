"""Says in one sentence that a strategy's own code raised an error, with the line of its file."""

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
        The strategy, or its class, whose line in its file or notebook's cell is named.
    """
    try:
        yield
    except AtbError:
        raise
    except (Exception, SystemExit) as error:
        todo = "Correct it, or refuse such parameters in __post_init__"
        raise InputError(f"The strategy {name} raised an error", found=described(error, owner), todo=todo) from error


def described(error: BaseException, owner: object) -> str:
    """Return an error with its kind, and the newest line that it passed in a file of the owner's functions, or else in any file."""
    own = set(_files(owner if isinstance(owner, type) else type(owner)))
    places = list(_places(error.__traceback__))
    file, line = next((place for place in reversed(places) if place[0] in own), places[-1] if places else ("", 0))
    return f"{type(error).__name__}: {error}" + (f" ({file}, line {line})" if file else "")


def _files(kind: type) -> Iterator[str]:
    """Yield the files, or a notebook's cells, of the functions of a class and its bases."""
    for base in kind.__mro__:
        for value in vars(base).values():
            function = getattr(value, "fget", None) or getattr(value, "__func__", value)
            file = getattr(getattr(function, "__code__", None), "co_filename", "<")
            if not file.startswith("<"):  # such as "<string>", in which dataclass writes its functions
                yield file


def _places(trace: TracebackType | None) -> Iterator[tuple[str, int]]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next

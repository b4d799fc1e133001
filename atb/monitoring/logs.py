"""Logging set-up at the edge of the program: text or JSON lines, redacted, for every library alike.

Secrets are removed three times, since no single place sees everything: when a record is made (so that a library's own handlers get
a clean one), in the last processor (structures), and over the whole line before it is written (tracebacks).
Nothing here raises into the program that logs: a full disk or a closed stream costs lines, never an order.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import IO, Any

import structlog
from structlog.typing import EventDict, Processor

from atb.redaction import MASK, Redactor, install

# Libraries with too much to say; ccxt's debug lines also carry keys and signed addresses.
CHATTY = ("aiohttp.access", "alembic", "asyncio", "ccxt", "matplotlib", "traitlets")
_NOT_EVENTS = frozenset({"exc_info", "stack_info"})  # what structlog's formatter still reads as objects
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"_logger", "_name", "message", "asctime", "taskName"}


class RedactingFilter(logging.Filter):
    """Redacts the extra fields of a record in place; messages were redacted when the record was made."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self.redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace what `extra` brought; let every record pass."""
        for name in vars(record).keys() - _OWN:
            setattr(record, name, self.redactor.value({name: getattr(record, name)}).get(name, MASK))
        return True


class RedactingHandler(logging.StreamHandler[IO[str]]):
    """Writes a line only after redacting all of it, the traceback included; `lost` counts lines it could not write."""

    def __init__(self, stream: IO[str], redactor: Redactor) -> None:
        super().__init__(stream)
        self.redactor = redactor
        self.lost = 0
        self.addFilter(RedactingFilter(redactor))

    def format(self, record: logging.LogRecord) -> str:
        """Return the formatted record without secrets."""
        return self.redactor.text(super().format(record))

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record; failures are counted."""
        try:
            return bool(super().handle(record))
        except Exception:  # noqa: BLE001 - a value that cannot be rendered must not stop its log line
            self.handleError(record)
            return False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging calls it so
        """Count a lost line: telling about it would go to the same stream, with the record's own values in it."""
        self.lost += 1


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a structured logger: `log.info("order sent", client_id=...)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bound(**context: object) -> AbstractContextManager[None]:
    """Add fields to every line that is logged inside a block, by this task and those it starts: strategy, symbol, bar, ...

    Fields that are None are left out. Nested blocks add to each other; at a block's end its fields are what they were before.
    """
    return structlog.contextvars.bound_contextvars(
        **{name: value for name, value in context.items() if value is not None}
    )


def lost_lines() -> int:
    """Return how many log lines of this process could not be written."""
    own = [handler for handler in logging.getLogger().handlers if isinstance(handler, RedactingHandler)]
    return sum(handler.lost + getattr(handler.stream, "lost", 0) for handler in own)


def configure_logging(
    level: str = "INFO", *, json_lines: bool = False, secrets: Sequence[str] = (), stream: IO[str] | None = None
) -> Redactor:
    """Send every log record of this process to one redacted stream; call it once, at the edge.

    Parameters
    ----------
    level
        Least severe level that is written: DEBUG, INFO, WARNING or ERROR.
    json_lines
        One JSON object per line; otherwise aligned text, coloured in a terminal.
    secrets
        Values that must never appear.
    stream
        Where to write; standard error when None, so that standard output stays the command's own.
    """
    target = sys.stderr if stream is None else stream
    redactor = Redactor(tuple(secrets))
    install(redactor)
    logging.setLogRecordFactory(_record_factory(redactor))
    handler = RedactingHandler(target, redactor)
    handler.setFormatter(_formatter(redactor, _renderer(json_lines, target)))
    _put_first(handler, redactor)
    logging.getLogger().setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    _redact_crashes(redactor)
    return redactor


def _put_first(handler: RedactingHandler, redactor: Redactor) -> None:
    """Replace this process's handler and filter by new ones, before all others: what they clean, later ones see clean."""
    root = logging.getLogger()
    root.handlers[:] = [handler, *(old for old in root.handlers if not isinstance(old, RedactingHandler))]
    root.filters[:] = [old for old in root.filters if not isinstance(old, RedactingFilter)]
    root.addFilter(RedactingFilter(redactor))


def _record_factory(redactor: Redactor) -> Any:
    """Return a factory of log records whose message, traceback and stack are redacted before any handler sees them."""

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)
        record.msg, record.args = _clean_message(redactor, record), None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = redactor.text("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
        if record.stack_info:
            record.stack_info = redactor.text(record.stack_info)
        return record

    return make


def _clean_message(redactor: Redactor, record: logging.LogRecord) -> Any:
    if isinstance(record.msg, dict):  # an event of structlog, which its formatter renders later
        kept = {name: record.msg[name] for name in record.msg.keys() & _NOT_EVENTS}
        return {**redactor.value(record.msg), **kept}
    try:
        return redactor.text(record.getMessage())
    except Exception as broken:  # noqa: BLE001 - arguments that do not fit their text must not stop the program
        return f"a message that cannot be rendered ({type(broken).__name__}): {redactor.value(record.msg)}"


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _renderer(json_lines: bool, stream: IO[str]) -> Processor:
    if json_lines:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    plain = structlog.dev.plain_traceback  # the rich one prints local variables
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)


def _formatter(redactor: Redactor, renderer: Processor) -> logging.Formatter:
    def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
        cleaned: EventDict = redactor.value(event)
        return cleaned

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_common(), structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    )


def _redact_crashes(redactor: Redactor) -> None:
    """Print the traceback of an uncaught exception without secrets, in any thread or finalizer."""

    def crash(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(Exception):  # a hook that raises makes Python print the traceback as it is
            sys.stderr.write(redactor.text("".join(traceback.format_exception(kind, error, trace))))

    def thread_crash(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            crash(args.exc_type, args.exc_value, args.exc_traceback)

    def finalizer_crash(args: "sys.UnraisableHookArgs") -> None:
        crash(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = crash
    threading.excepthook = thread_crash
    sys.unraisablehook = finalizer_crash

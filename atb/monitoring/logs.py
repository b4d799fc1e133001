"""Logging as the edge of the program sets it up: text for people or JSON lines, redacted last, for every library alike."""

import logging
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any

import structlog
from structlog.typing import EventDict, Processor

from atb.monitoring.redaction import Redactor

# Libraries whose news nobody asked for; ccxt's debug lines also carry keys and signed addresses.
CHATTY = ("alembic", "asyncio", "ccxt", "matplotlib", "traitlets")


class RedactingFilter(logging.Filter):
    """Redacts a record's message in place; sits on the root logger and on its handler.

    The logger's filter sees what is logged on the root logger, the handler's also what other loggers pass upwards.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self.redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the record's message; let every record pass."""
        if isinstance(record.msg, str):  # structlog's own records carry a dictionary, redacted by the last processor
            record.msg, record.args = self.redactor.text(record.getMessage()), None
        return True


class RedactingHandler(logging.StreamHandler[IO[str]]):
    """Writes a line only after redacting all of it, the traceback included."""

    def __init__(self, stream: IO[str], redactor: Redactor) -> None:
        super().__init__(stream)
        self.redactor = redactor
        self.addFilter(RedactingFilter(redactor))

    def format(self, record: logging.LogRecord) -> str:
        """Return the formatted record without secrets."""
        return self.redactor.text(super().format(record))


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a structured logger: `log.info("order sent", client_id=...)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


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
    handler = RedactingHandler(target, redactor)
    handler.setFormatter(_formatter(redactor, _renderer(json_lines, target)))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, RedactingHandler)]:
        root.removeHandler(old)
    for earlier in [earlier for earlier in root.filters if isinstance(earlier, RedactingFilter)]:
        root.removeFilter(earlier)
    root.addFilter(RedactingFilter(redactor))
    root.addHandler(handler)
    root.setLevel(level)
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
        foreign_pre_chain=_common(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    )


def _redact_crashes(redactor: Redactor) -> None:
    """Print the traceback of an uncaught exception without secrets, in the main thread and in others."""
    import traceback

    def crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redactor.text("".join(traceback.format_exception(kind, error, trace))))

    def thread_crash(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            crash(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = crash
    threading.excepthook = thread_crash

"""Structured logs that never hold a secret, metrics, and a page that says how the runner is."""

from atb.monitoring.logs import bound, configure_logging, get_logger
from atb.redaction import Redactor, redact

__all__ = ["Redactor", "bound", "configure_logging", "get_logger", "redact"]


def __dir__() -> list[str]:
    """Return the public names, loaded or not: what a notebook completes to."""
    return sorted(__all__)

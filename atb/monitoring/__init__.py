"""Structured logs that never hold a secret."""

from atb.monitoring.logs import configure_logging, get_logger
from atb.monitoring.redaction import Redactor

__all__ = ["Redactor", "configure_logging", "get_logger"]

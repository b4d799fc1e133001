"""A desk whose market has been backtested and promoted once."""

from tests.live.conftest import sqlite_desk

__all__ = ["sqlite_desk"]

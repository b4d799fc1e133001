"""The parts of one server of the dashboards: settings, database, logins, snapshots, and how it may be reached."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from time import time_ns
from typing import TYPE_CHECKING

from atb.checks import Check
from atb.dashboards.access.ended import FOLDER
from atb.dashboards.access.logins import Logins
from atb.dashboards.link import DatabaseLink
from atb.dashboards.page import Source
from atb.dashboards.snapshots import Snapshots

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.db import Database


@dataclass(frozen=True, slots=True)
class Reach:
    """How browsers reach the server.

    Parameters
    ----------
    secure
        Over TLS, by the server's own certificate or a proxy's: cookies then never travel without it.
    proxied
        Through a proxy that states who asks and by which scheme; what comes without TLS to it is refused.
    """

    secure: bool = False
    proxied: bool = False


@dataclass(frozen=True)
class Site:
    """One server's parts.

    Parameters
    ----------
    settings
        The settings, with the folders.
    link
        The database.
    secret
        The key that signs form tokens.
    checks
        The checks of `atb doctor`, for the page of the system's health.
    read_only
        Nothing is written, and everybody has the rights of a viewer.
    """

    settings: "Settings"
    link: DatabaseLink
    secret: bytes = field(repr=False)
    checks: Callable[[], Iterable[Check]] = tuple
    read_only: bool = False
    reach: Reach = Reach()

    @cached_property
    def logins(self) -> Logins:
        """The logins of this server."""
        return Logins(self.link, read_only=self.read_only, ended=self.settings.keys_root / FOLDER)

    @cached_property
    def snapshots(self) -> Snapshots:
        """The snapshots that all viewers share."""
        return Snapshots(self.link, self.source)

    def source(self, database: "Database") -> Source:
        """Return where pages read, at the present moment."""
        return Source(database, self.settings, time_ns() // 1_000_000)

"""A page of the dashboards as a value: what it reads, how it is drawn, who may see it; and how a viewer looks at it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atb.db.access import ROLES

if TYPE_CHECKING:
    from dash.development.base_component import Component

    from atb.config import Settings
    from atb.db import Database

Query = tuple[tuple[str, str], ...]
"""Names and values of an address after its question mark, sorted."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a page reads: the open database, the settings with the folders, and the present in epoch milliseconds."""

    database: "Database"
    settings: "Settings"
    now_ms: int


@dataclass(frozen=True, slots=True)
class Look:
    """How a viewer looks at a page: in dark colours or light ones, and whether the window is narrow (under 600 pixels)."""

    dark: bool = False
    narrow: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Parameters
    ----------
    path
        Its address, such as `/runs`.
    title
        Its name in the navigation and in the window's title.
    read
        Returns plain values (numbers, texts, times, lists, dictionaries, data frames of modest size) from the database and the
        folders; called at most once in `every_s` seconds for all viewers together. An `AtbError` is shown as it is.
    draw
        Returns the page from what was read; pure.
    every_s
        Seconds that what was read may be old.
    role
        Who may see it: this role or a higher one.
    listed
        Whether the navigation names it; a page about one thing is reached from a list.
    from_files
        Whether files are read, which may take longer than a viewer waits: it is then read in a thread of its own, and the page says
        so meanwhile.
    """

    path: str
    title: str
    read: Callable[[Source, Query], Any]
    draw: Callable[[Any, Look], "Component"]
    every_s: float = 0.75
    role: str = "viewer"
    listed: bool = True
    from_files: bool = False


def has_rights(role: str, needed: str) -> bool:
    """Return whether a role has the rights of another one."""
    return ROLES.index(role) >= ROLES.index(needed)

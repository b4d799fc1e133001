"""Snapshots of the database: one query a second for each page that is looked at, whatever the number of viewers."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic
from typing import Any

from atb.dashboards.link import DatabaseLink
from atb.dashboards.page import Page, Query, Source
from atb.errors import AtbError, DatabaseLostError

KEPT = 64  # snapshots: one for each page and query that was looked at lately


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of a page at one moment.

    Parameters
    ----------
    content
        As the page's `read` returned it; None if it never succeeded.
    read_at
        When it was read, UTC.
    version
        Equal for equal contents: a viewer who has it already is sent nothing.
    problem
        Why it could not be read anew; empty if all is well. `content` is then the last that was.
    """

    content: Any
    read_at: datetime | None
    version: str
    problem: str = ""


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock
    snapshot: Snapshot | None = None
    tried: float = -1e9


class Snapshots:
    """The newest snapshot of each page and query, read again when it is older than the page allows.

    The first viewers of a page wait for its reading; later ones are shown the last one while it is read anew.
    """

    def __init__(self, link: DatabaseLink, make_source: Callable[[Any], Source]) -> None:
        self._link, self._make_source = link, make_source
        self._kept: OrderedDict[tuple[str, Query], _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self.readings = 0  # how often the database was read

    def of(self, page: Page, query: Query) -> Snapshot:
        """Return the snapshot of a page, at most `page.every_s` old unless the database does not answer."""
        kept = self._entry(page, query)
        if not kept.lock.acquire(blocking=kept.snapshot is None):
            assert kept.snapshot is not None  # another viewer has it read anew: this one is not kept waiting
            return kept.snapshot
        try:
            if kept.snapshot is None or monotonic() - kept.tried >= page.every_s:
                kept.snapshot = self._read(page, query, kept.snapshot)
                kept.tried = monotonic()
            return kept.snapshot
        finally:
            kept.lock.release()

    def _entry(self, page: Page, query: Query) -> _Kept:
        with self._lock:
            key = page.path, query
            kept = self._kept.setdefault(key, _Kept(threading.Lock()))
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return kept

    def _read(self, page: Page, query: Query, before: Snapshot | None) -> Snapshot:
        self.readings += 1
        try:
            content = self._link.ask(lambda database: page.read(self._make_source(database), query))
        except DatabaseLostError as lost:
            return _failed(str(lost), before)
        except AtbError as refused:  # such as a run that does not exist: the page says so, and shows nothing older
            return _failed(str(refused), None)
        return Snapshot(content, datetime.now(UTC), _version(content))


def _failed(problem: str, before: Snapshot | None) -> Snapshot:
    content, read_at = (None, None) if before is None else (before.content, before.read_at)
    return Snapshot(content, read_at, _version((problem, "" if before is None else before.version)), problem)


def _version(content: object) -> str:
    return sha256(json.dumps(content, default=_plain).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """Return an object as JSON types: a data frame whole, since its text leaves rows out."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    to_json = getattr(value, "to_json", None)
    if callable(to_json):
        return to_json()
    to_list = getattr(value, "tolist", None)
    return to_list() if callable(to_list) else repr(value)

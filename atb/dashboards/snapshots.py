"""Snapshots of the database: one query a second for each page that is looked at, whatever the number of viewers."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from atb.dashboards.link import DatabaseLink
from atb.dashboards.page import Look, Page, Query, Source
from atb.db.refusals import refusal
from atb.errors import AtbError, DatabaseLostError
from atb.threads import Call

KEPT = 64  # snapshots: one for each page and query that was looked at lately
WAITING = 8  # readings of files at most; they are made one after the other
PATIENCE_S = 0.5  # for a reading of files, before a page is shown without it


class Drawings:
    """The drawings of one content: each is made once, whatever the number of viewers."""

    def __init__(self) -> None:
        self._lock, self._made = threading.Lock(), dict[Look, Any]()

    def of(self, look: Look, draw: Callable[[], Any]) -> Any:
        """Return the drawing for a look, made now if there is none."""
        with self._lock:
            if look not in self._made:
                self._made[look] = draw()
            return self._made[look]


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
    drawings
        How the content looks; kept while it stays equal.
    """

    content: Any
    read_at: datetime | None
    version: str
    problem: str = ""
    drawings: Drawings = field(default_factory=Drawings, compare=False)


BEING_READ = Snapshot(None, None, "being read")
"""The snapshot of a page of files until it was read for the first time."""


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock
    snapshot: Snapshot | None = None
    tried: float = -1e9
    reading: Call[Snapshot] | None = None


class Snapshots:
    """The newest snapshot of each page and query, read again when it is older than the page allows.

    The first viewers of a page wait for its reading; later ones are shown the last one while it is read anew.
    """

    def __init__(self, link: DatabaseLink, make_source: Callable[[Any], Source]) -> None:
        self._link, self._make_source = link, make_source
        self._kept: OrderedDict[tuple[str, Query], _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._files, self._waiting = threading.Lock(), 0
        self.readings = 0  # how often the database was read

    def of(self, page: Page, query: Query) -> Snapshot:
        """Return the snapshot of a page, at most `page.every_s` old unless the database does not answer."""
        kept = self._entry(page, query)
        if not kept.lock.acquire(blocking=kept.snapshot is None):
            assert kept.snapshot is not None  # another viewer has it read anew: this one is not kept waiting
            return kept.snapshot
        try:
            if page.from_files:
                return self._from_files(page, query, kept)
            if kept.snapshot is None or monotonic() - kept.tried >= page.every_s:
                kept.snapshot = self._read(page, query, kept.snapshot)
                kept.tried = monotonic()
            return kept.snapshot
        finally:
            kept.lock.release()

    def _from_files(self, page: Page, query: Query, kept: _Kept) -> Snapshot:
        """Return the newest snapshot of a page of files, which another thread reads again where it is too old."""
        old, patience_s = kept.snapshot is None or monotonic() - kept.tried >= page.every_s, 0.0
        if kept.reading is None and old and self._may_begin():
            kept.reading = Call(lambda: self._read_files(page, query, kept.snapshot), "dashboards files")
            patience_s = PATIENCE_S if kept.snapshot is None else 0.0
        reading = kept.reading
        if reading is not None and reading.wait(patience_s):
            kept.reading, kept.tried = None, monotonic()
            kept.snapshot = reading.result()
        return BEING_READ if kept.snapshot is None else kept.snapshot

    def _may_begin(self) -> bool:
        with self._lock:
            if self._waiting >= WAITING:
                return False
            self._waiting += 1
            return True

    def _read_files(self, page: Page, query: Query, before: Snapshot | None) -> Snapshot:
        try:
            with self._files:
                return self._noted(lambda: page.read(self._make_source(self._link.database()), query), before)
        except OSError as gone:
            return _failed(f"The files cannot be read: {gone}", before)
        finally:
            with self._lock:
                self._waiting -= 1

    def _entry(self, page: Page, query: Query) -> _Kept:
        with self._lock:
            key = page.path, query
            kept = self._kept.setdefault(key, _Kept(threading.Lock()))
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return kept

    def _read(self, page: Page, query: Query, before: Snapshot | None) -> Snapshot:
        return self._noted(
            lambda: self._link.ask(lambda database: page.read(self._make_source(database), query)), before
        )

    def _noted(self, read: Callable[[], Any], before: Snapshot | None) -> Snapshot:
        """Read, and return the content as a snapshot; the last one, where the database did not answer."""
        self.readings += 1
        try:
            content = read()
        except DatabaseLostError as lost:
            return _failed(str(lost), before)
        except AtbError as refused:  # such as a run that does not exist: the page says so, and shows nothing older
            return _failed(str(refused), None)
        except SQLAlchemyError as lost:
            reason = refusal(lost)
            if reason is None:
                raise
            return _failed(str(reason), before)
        version = _version(content)
        drawings = before.drawings if before is not None and before.version == version else Drawings()
        return Snapshot(content, datetime.now(UTC), version, drawings=drawings)


def _failed(problem: str, before: Snapshot | None) -> Snapshot:
    content, read_at = (None, None) if before is None else (before.content, before.read_at)
    version = _version((problem, "" if before is None else before.version))
    return Snapshot(content, read_at, version, problem, Drawings() if before is None else before.drawings)


def _version(content: object) -> str:
    return sha256(json.dumps(content, default=_plain).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """Return an object as JSON types: a data frame whole, since its text leaves rows out."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    to_json = getattr(value, "to_json", None)
    if callable(to_json):
        return to_json()
    to_list = getattr(value, "tolist", None)
    return to_list() if callable(to_list) else repr(value)

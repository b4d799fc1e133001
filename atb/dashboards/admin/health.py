"""The system's health: the checks of `atb doctor` (versions, folders, disk, database, keys, kernel, clock, exchange), on demand."""

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask import redirect
from flask_admin import BaseView, expose

from atb.checks import Check
from atb.dashboards.site import Site

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

FRESH = timedelta(minutes=5)  # after which a look at the page starts the checks anew


class HealthView(BaseView):  # type: ignore[misc] # Flask-Admin has no types
    """The last outcome of the checks; they run in a thread of their own, since the exchange may take seconds to answer."""

    extra_css, extra_js = ("/admin.css",), ("/admin.js",)

    def __init__(self, site: Site, **options: Any) -> None:
        self._site, self._lock = site, threading.Lock()
        self._found: list[Check] = []
        self._ended: datetime | None = None
        self._thread: threading.Thread | None = None
        super().__init__(**options)

    @expose("/", methods=("GET",))  # type: ignore[untyped-decorator]
    def page(self) -> str:
        """Show what was found, and start the checks if that is old."""
        if self._ended is None or datetime.now(UTC) - self._ended > FRESH:
            self.start()
        return str(self.render("admin/health.html", checks=list(self._found), ended=self._ended, running=self.running))

    @expose("/", methods=("POST",))  # type: ignore[untyped-decorator]
    def again(self) -> "Response":
        """Start the checks now."""
        self.start()
        return redirect(self.get_url(".page"), code=303)

    @property
    def running(self) -> bool:
        """Whether the checks run now."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the checks unless they run."""
        with self._lock:
            if not self.running:
                self._thread = threading.Thread(target=self._check, name="health checks", daemon=True)
                self._thread.start()

    def _check(self) -> None:
        found: list[Check] = []
        try:
            found.extend(self._site.checks())
        except Exception as problem:  # noqa: BLE001 - a check that fails in a new way is a finding too
            found.append(
                Check("checks", "error", f"ended early: {type(problem).__name__}: {problem}", "Run `atb doctor`")
            )
        self._found, self._ended = found, datetime.now(UTC)

"""The files of a run for a browser: its tear sheet in a sandbox, its executed notebook as a download.

A run may have been imported, so its page is not to be trusted: the sandbox gives it an origin of its own, without cookies, and it
may load nothing.
"""

from typing import TYPE_CHECKING

from flask import Flask, Response, abort, send_file

from atb.dashboards.site import Site
from atb.errors import InputError

if TYPE_CHECKING:
    from atb.db.tables import RunRow

REPORT = "report.html"
SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def add_run_files(server: Flask, site: Site) -> None:
    """Add the route `/files/RUN/NAME`."""

    @server.get("/files/<run_id>/<name>")
    def run_file(run_id: str, name: str) -> Response:
        run = _run(site, run_id)
        root = site.settings.runs_root.resolve()
        path = (root / run.run_id / name).resolve()
        if name not in {run.notebook, REPORT} or not path.is_relative_to(root / run.run_id) or not path.is_file():
            abort(404)
        if name == REPORT:
            answer = send_file(path, mimetype="text/html")
            answer.headers["Content-Security-Policy"] = SANDBOX
            return answer
        named = f"{run.run_id}-{name}"
        return send_file(path, mimetype="application/x-ipynb+json", as_attachment=True, download_name=named)


def _run(site: Site, run_id: str) -> "RunRow":
    from atb.experiments.registry import read_run

    try:
        return site.link.ask(lambda database: read_run(database, run_id))
    except InputError:
        abort(404)

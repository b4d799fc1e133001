"""The server: one Flask application with the gate, the doors, Dash's pages, control and admin on it."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from dash import Dash
from flask import Flask, Response, render_template, request, send_from_directory
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from atb.dashboards.admin import add_admin
from atb.dashboards.control import add_control
from atb.dashboards.doors import add_doors
from atb.dashboards.gate import FormSessions, stand_before
from atb.dashboards.run_files import add_run_files
from atb.dashboards.shell import add_pages
from atb.dashboards.site import Site
from atb.errors import AtbError, DatabaseLostError
from atb.files import make_private_folder, write_private

HERE = Path(__file__).parent
BODY_BYTES = 1 << 20  # the largest form or callback
KEY_FILE = "dashboards.key"
_SECRET_BYTES = 32
_WHY = {
    400: "The form is too old or not from this page. Go back, load it again, and repeat.",
    401: "Sign in first.",
    403: "Your role does not allow this.",
    404: "There is no such page.",
    429: "Too many tries. Wait a minute.",
}


def make_server(site: Site) -> Flask:
    """Return the application of a site, ready to be served."""
    server = Flask("atb.dashboards", static_folder=None, root_path=str(HERE), template_folder="templates")
    server.config.update(
        SECRET_KEY=site.secret,
        MAX_CONTENT_LENGTH=BODY_BYTES,
        SESSION_COOKIE_NAME="__Host-atb_form" if site.reach.secure else "atb_form",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=site.reach.secure,
        PERMANENT_SESSION_LIFETIME=timedelta(days=30),
        WTF_CSRF_TIME_LIMIT=None,  # a page stays on a wall for days; the token ends with the login
    )
    server.session_interface = FormSessions()
    server.jinja_env.globals["site"] = site
    pages: list[Dash] = []
    # In this order: the gate first, then the check of form tokens, then what either of them protects.
    stand_before(server, site, lambda: _hashes(pages))
    CSRFProtect(server)
    add_doors(server, site)
    add_control(server, site)
    _add_files(server)
    server.register_error_handler(HTTPException, _refused)
    server.register_error_handler(AtbError, _named)
    add_run_files(server, site)
    add_admin(server, site)
    pages.append(add_pages(server, site))
    return server


def form_secret(folder: Path) -> bytes:
    """Return the key that signs form tokens, made at the first start; a new one each time where it cannot be kept."""
    path = folder / KEY_FILE
    try:
        if path.is_file() and len(found := path.read_bytes()) == _SECRET_BYTES:
            return found
        made = secrets.token_bytes(_SECRET_BYTES)
        make_private_folder(folder)
        write_private(path, made)
    except OSError:  # a disk that cannot be written: forms that are open now end with this process
        return secrets.token_bytes(_SECRET_BYTES)
    return made


def _hashes(pages: Sequence[Dash]) -> Sequence[str]:
    return [each for page in pages for each in page.csp_hashes()]


def _add_files(server: Flask) -> None:
    @server.get("/style.css")
    def style() -> Response:
        return send_from_directory(HERE, "style.css")

    @server.get("/admin.css")
    def admin_style() -> Response:
        return send_from_directory(HERE, "admin.css")

    @server.get("/admin.js")
    def admin_script() -> Response:
        return send_from_directory(HERE, "admin.js")

    @server.get("/page.js")
    def script() -> Response:
        return send_from_directory(HERE, "page.js")

    @server.get("/alive")
    def alive() -> Response:
        return Response("ok\n", mimetype="text/plain")


def _named(refused: AtbError) -> tuple[str, int]:
    """Return a refusal of ours as a page: 503 where the database does not answer, else 400."""
    code = 503 if isinstance(refused, DatabaseLostError) else 400
    name = "The database does not answer" if code == 503 else "This cannot be done"
    return render_template("refused.html", code=code, name=name, why=str(refused)), code


def _refused(error: HTTPException) -> AnyResponse | tuple[str, int] | HTTPException:
    """Return a refusal as a page to a person, as the error itself to a program."""
    code = error.code or 500
    if error.response is not None or code < 400 or not request.accept_mimetypes.accept_html:
        return error
    ours = code in {403, 421} and error.description != type(error).description
    why = error.description if ours else _WHY.get(code, error.description)
    return render_template("refused.html", code=code, name=error.name, why=why), code

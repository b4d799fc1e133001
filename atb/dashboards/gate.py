"""The gate before every route: which host is asked, who asks, which role the route needs; and the headers of every answer.

It stands on the server, so that Dash's own routes and Flask-Admin's are behind it as well, and a route that is added later needs a
viewer at least. It runs before the check of form tokens: whoever is not logged in learns nothing else.
"""

import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from flask import Flask, Response, abort, g, redirect, request
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import generate_csrf
from werkzeug.wrappers import Response as AnyResponse

from atb.dashboards.access.login_rows import Client
from atb.dashboards.page import has_rights
from atb.dashboards.site import Site
from atb.serving import is_expected_host

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OPEN = frozenset({"/login", "/style.css", "/alive"})  # without a login
NEEDED = (("/admin", "admin"), ("/control", "operator"))  # the rest of the server needs a viewer
POLL = ["tick.n_intervals"]  # the callback of a page that refreshes itself
UPLOADS, UPLOAD_BYTES = "/admin/market-data/", 16 << 20  # where a form may be larger: a file of bars
CALLBACK = "/_dash-update-component"  # every page asks here for what is new
FORM_COOKIE = "_csrf_token"  # with the port; read by Dash's script, which sends it back as a header
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def login_cookie(site: Site) -> str:
    """Return the name of the login's cookie: over TLS one that browsers take from this host alone."""
    return of_port("__Host-atb_login" if site.reach.secure else "atb_login")


def of_port(name: str) -> str:
    """Return the name of a cookie for the port that was asked: a browser sends a host's cookies to all of its ports alike."""
    try:
        port = urlsplit(f"//{request.host}").port
    except ValueError:  # a Host header of someone's making
        port = None
    return f"{name}_{port or (443 if request.scheme == 'https' else 80)}"


class FormSessions(SecureCookieSessionInterface):
    """Flask's signed cookie, which holds the form token and notices, under a name for each port."""

    def get_cookie_name(self, app: Flask) -> str:
        """Return the cookie's name."""
        return of_port(super().get_cookie_name(app))


def client() -> Client:
    """Return where the present request comes from."""
    return Client(request.remote_addr or "unknown", request.headers.get("User-Agent", ""))


def needed_role(rule: str, path: str) -> str | None:
    """Return the role that a route needs, by its rule and by the path that was asked; None for an open one."""
    if rule in OPEN:
        return None
    return next((role for start, role in NEEDED if any(_below(place, start) for place in (rule, path))), "viewer")


def _below(place: str, start: str) -> bool:
    return place == start or place.startswith(f"{start}/")


def stand_before(server: Flask, site: Site, script_hashes: "Callable[[], Sequence[str]]") -> None:
    """Put the gate before every route of a server, and the headers on every answer.

    Parameters
    ----------
    script_hashes
        The hashes of Dash's inline scripts, asked at the first answer: pages add some until then.
    """

    @server.before_request
    def gate() -> AnyResponse | None:
        g.csp_nonce = secrets.token_urlsafe(16)
        _check_way(site)
        rule = "" if request.url_rule is None else request.url_rule.rule
        needed = needed_role(rule, request.path)
        if rule.startswith(UPLOADS):
            request.max_content_length = UPLOAD_BYTES
        token = request.cookies.get(login_cookie(site), "")
        g.login = site.logins.find(token, by_person=not _is_poll()) if token else None
        if needed is None:
            return None
        if g.login is None:
            return _to_login()
        if not has_rights(g.login.role, needed):
            site.logins.note_refused(g.login, rule or request.path[:200], client())
            abort(403)
        return None

    @server.after_request
    def guard(response: Response) -> Response:
        response.headers.update(_HEADERS)
        response.headers.setdefault("Content-Security-Policy", _policy(script_hashes()))  # a run's file has its own
        if site.reach.secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if "/static/" not in request.path and "_dash-component-suites" not in request.path:
            response.headers["Cache-Control"] = "no-store"
        if g.get("login") is not None and response.mimetype == "text/html":
            response.set_cookie(of_port(FORM_COOKIE), generate_csrf(), secure=site.reach.secure, samesite="Strict")
        return response


def safe_next(wanted: str | None) -> str:
    """Return where to go after a login: a path of this server, the front page for anything else."""
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")) or not wanted.isprintable():
        return "/"
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc or "\\" in wanted else wanted


def _check_way(site: Site) -> None:
    """Refuse what came by a way that is not the stated one."""
    if site.reach.proxied:
        if request.scheme != "https":
            abort(403, "The proxy in front of this server must state that it was asked over TLS (X-Forwarded-Proto)")
    elif not site.reach.secure and not is_expected_host(request.headers.getlist("Host")):
        abort(421, "This server answers to the names of this machine alone (the Host header)")


def _is_poll() -> bool:
    if request.path != CALLBACK:
        return False
    try:
        asked = request.get_json(silent=True)
    except RecursionError:  # brackets nested by the thousand: no page sends that
        abort(400)
    return isinstance(asked, dict) and asked.get("changedPropIds") == POLL


def _to_login() -> AnyResponse:
    """Send a person to the login page and a program away."""
    is_page = request.method in {"GET", "HEAD"} and request.accept_mimetypes.accept_html
    if not is_page or request.path.startswith("/_"):
        abort(401)
    here = request.full_path.rstrip("?")
    return redirect("/login" if here == "/" else f"/login?next={quote(here, safe='')}")


def _policy(script_hashes: "Sequence[str]") -> str:
    scripts = " ".join(["'self'", f"'nonce-{g.get('csp_nonce', '')}'", *script_hashes])
    return "; ".join(
        [
            "default-src 'self'",
            f"script-src {scripts}",
            "style-src 'self' 'unsafe-inline'",  # plotly and Dash set styles of single elements
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "object-src 'none'",
        ]
    )

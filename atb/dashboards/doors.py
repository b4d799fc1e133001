"""The routes of login and logout: the number of tries is bounded, and where to go next is always on this server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_network
from typing import TYPE_CHECKING

from flask import Flask, abort, flash, g, redirect, render_template, request, session
from flask_limiter import Limiter

from atb.dashboards.access.passwords import LONGEST, SHORTEST
from atb.dashboards.gate import client, login_cookie, safe_next
from atb.dashboards.site import Site
from atb.errors import AtbError, InputError

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

PER_ADDRESS, ALTOGETHER = "10 per minute; 60 per hour", "60 per minute"
AT_ONCE = 2  # passwords that are hashed at the same time: each takes 64 MiB
WAIT_S = 2.0  # for a turn


def add_doors(server: Flask, site: Site) -> None:
    """Add the routes `/login` and `/logout`."""
    turns = threading.BoundedSemaphore(AT_ONCE)
    # One process serves, so its memory counts every try.
    limiter = Limiter(_network, app=server, storage_uri="memory://", headers_enabled=False)

    @server.get("/login")
    def login_page() -> "Response | str":
        wanted = safe_next(request.args.get("next"))
        return redirect(wanted) if g.login is not None else render_template("login.html", wanted=wanted, wrong="")

    @server.post("/login")
    @limiter.limit(PER_ADDRESS)
    @limiter.limit(ALTOGETHER, key_func=lambda: "everybody")
    def log_in() -> "Response | tuple[str, int]":
        wanted = safe_next(request.form.get("next"))
        with _turn(turns):
            token = site.logins.begin(request.form.get("name", ""), request.form.get("password", ""), client())
        if token is None:
            return render_template("login.html", wanted=wanted, wrong="Name or password is wrong."), 401
        session.clear()  # a form token from before the login is of no use after it
        answer = redirect(wanted, code=303)
        answer.set_cookie(login_cookie(site), token, httponly=True, secure=site.reach.secure, samesite="Lax", path="/")
        return answer

    @server.post("/logout")
    def log_out() -> "Response":
        site.logins.end(request.cookies.get(login_cookie(site), ""), client())
        session.clear()
        answer = redirect("/login", code=303)
        answer.delete_cookie(login_cookie(site), path="/", secure=site.reach.secure)
        return answer

    @server.get("/me")
    def me() -> str:
        return render_template("me.html", shortest=SHORTEST, longest=LONGEST, may_write=not site.read_only)

    @server.post("/me/password")
    @limiter.limit(PER_ADDRESS)
    def change_password() -> "Response":
        if site.read_only:
            abort(403, "Nothing is written here: this server is read-only")
        new, again = request.form.get("new", ""), request.form.get("again", "")
        with _turn(turns):
            try:
                if new != again:
                    raise InputError("The two new passwords differ")
                present = request.form.get("present", "")
                site.logins.change_password(g.login, present=present, new=new, client=client())
            except AtbError as refused:
                flash(str(refused), "bad")
                return redirect("/me", code=303)
        return redirect("/login", code=303)


@contextmanager
def _turn(turns: threading.BoundedSemaphore) -> Iterator[None]:
    """Wait for a turn to hash a password; too many at once are refused."""
    if not turns.acquire(timeout=WAIT_S):
        abort(429)
    try:
        yield
    finally:
        turns.release()


def _network() -> str:
    """Return the address that tries are counted by; in IPv6 the network of a household."""
    address = request.remote_addr or "unknown"
    try:
        IPv6Address(address)
    except ValueError:
        return address
    return str(ip_network(f"{address}/64", strict=False))

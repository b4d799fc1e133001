"""Control: pause, cancel, flatten and resume by the verbs of the command line, each confirmed by typing its word.

A plain form, so that it works by keyboard, on a telephone and when scripts do not load; and while the database is away: then the
file HALT halts every runner over the data folder, and the answer says so.
"""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flask import Flask, flash, g, redirect, render_template, request

from atb.dashboards.site import Site
from atb.errors import AtbError, DatabaseLostError, InputError
from atb.live.journal.kill_switch import FILE, Halt, Level, halted, is_flat, read_halt_file
from atb.live.journal.overview import accounts
from atb.live.journal.verbs import RESUME, Halted, Resumed, Switch, halt, resume

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from atb.db import Database

PATIENCE_S = 5.0  # for the database to answer before the file is written instead
LONGEST = 600  # characters of a sentence that a browser keeps until it is shown
WORDS = {
    "pause": "No new entries. Stops and targets stay at the exchange.",
    "cancel": "Resting entries are cancelled too. Stops and targets stay.",
    "flatten": "Everything that is held is closed at market.",
}


def add_control(server: Flask, site: Site) -> None:
    """Add the page `/control` and its two forms."""

    @server.get("/control")
    def control() -> str:
        return render_template("control.html", words=WORDS, resume_word=RESUME, **_standing(site))

    @server.post("/control/halt")
    def do_halt() -> "Response":
        with _said():
            word = request.form.get("level", "")
            Level.parse(word)
            _confirm(word)
            _say_halted(halt(_switch(site), word, **_asked()))
        return redirect("/control", code=303)

    @server.post("/control/resume")
    def do_resume() -> "Response":
        with _said():
            _confirm(RESUME)
            _say_resumed(resume(_switch(site), **_asked()))
        return redirect("/control", code=303)


@contextmanager
def _said() -> Iterator[None]:
    """Show a refusal on the page instead of raising it."""
    try:
        yield
    except AtbError as refused:
        flash(textwrap.shorten(str(refused), LONGEST, placeholder=" ..."), "bad")


def _confirm(word: str) -> None:
    typed = request.form.get("typed", "").strip().lower()
    if typed != word:
        raise InputError(
            "The word was not typed, and nothing was done", found=typed or "nothing", todo=f"Type it to confirm: {word}"
        )


def _switch(site: Site) -> Switch:
    @contextmanager
    def journal() -> "Iterator[Database]":
        yield site.link.database()

    return Switch(journal, site.settings.data.root, PATIENCE_S)


def _asked() -> dict[str, Any]:
    """Return the fields of both forms with their sender; no account means all of them, or the only halted one."""
    return {
        "account": request.form.get("account") or None,
        "reason": request.form.get("reason", ""),
        "source": f"{g.login.user} at the dashboards ({request.remote_addr})",
        "with_file": request.form.get("file") == "yes",
    }


def _say_halted(done: Halted) -> None:
    """Say what was done, and by which way; few words, since a browser keeps them in a cookie."""
    if done.accounts:
        names = textwrap.shorten(", ".join(done.accounts), LONGEST, placeholder=" and others")
        flash(f"{done.level.word}, written to the database: {names}.", "good")
    stronger = [f"{name}: {held.name}" for name, held in done.accounts.items() if held.level > done.level]
    if stronger:
        names = textwrap.shorten(", ".join(stronger), LONGEST, placeholder=" and others")
        flash(f"An earlier and stronger halt stays: {names}.", "warn")
    if done.lost:
        flash(textwrap.shorten(f"The database was not reached: {done.lost}", LONGEST, placeholder=" ..."), "bad")
    if done.file:
        flash(f"{done.level.word} for every runner over this data folder, by the file {done.file}.", "good")


def _say_resumed(done: Resumed) -> None:
    removed = f"The file {FILE} is deleted. " if done.file_removed else ""
    if done.was is None:
        flash(f"{removed}No account was halted.", "good")
    else:
        flash(f"{removed}{done.account} may trade again; it was: {done.was.name}.", "good")


def _standing(site: Site) -> dict[str, Any]:
    """Return how the accounts stand, as far as that can be known; the file is read in any case."""
    file = read_halt_file(site.settings.data.root)
    try:
        return {"file": file, "lost": "", "accounts": site.link.ask(_accounts)}
    except DatabaseLostError as lost:
        return {"file": file, "lost": str(lost), "accounts": []}


def _accounts(database: "Database") -> list[dict[str, Any]]:
    names = accounts(database)
    with database.session(read_only=True) as session:
        flat = {name: is_flat(session.connection(), name) for name in names}
    return [{"name": name, "flat": flat[name], **_halt(halted(database, name))} for name in names]


def _halt(found: Halt) -> dict[str, Any]:
    return {"halt": found.name, "reason": found.reason, "source": found.source, "since": found.since}

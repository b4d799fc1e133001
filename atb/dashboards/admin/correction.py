"""Corrections of rows about money: the row stays, and a row of the audit trail says what it should have been, and why."""

from typing import TYPE_CHECKING, Any

from flask import flash, g, redirect, request
from flask_admin import BaseView, expose

from atb.dashboards.access.users import audit
from atb.dashboards.admin.cells import as_text
from atb.dashboards.admin.tables import MONEY, models, row_of
from atb.dashboards.site import Site
from atb.errors import AtbError, InputError, did_you_mean

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from atb.db import Database

LONGEST = 1_000  # characters of a typed text


class CorrectionView(BaseView):  # type: ignore[misc] # Flask-Admin has no types
    """The form of a correction, reached from a row."""

    extra_css, extra_js = ("/admin.css",), ("/admin.js",)

    def __init__(self, site: Site, **options: Any) -> None:
        self._site = site
        super().__init__(**options)

    def is_visible(self) -> bool:
        """Leave it out of the menu: a correction belongs to a row."""
        return False

    @expose("/", methods=("GET",))  # type: ignore[untyped-decorator]
    def form(self) -> str:
        """Show the row with a form."""
        table, key = request.args.get("table", ""), request.args.get("key", "")
        row = self._site.link.ask(lambda database: _row(database, table, key))
        return str(self.render("admin/correction.html", table=table, key=key, row=row, longest=LONGEST))

    @expose("/", methods=("POST",))  # type: ignore[untyped-decorator]
    def add(self) -> "Response":
        """Add the correction."""
        given = {name: request.form.get(name, "").strip() for name in ("table", "key", "column", "value", "reason")}
        try:
            self._site.link.ask(lambda database: correct(database, given, by=f"{g.login.user} at the admin pages"))
        except AtbError as refused:
            flash(str(refused), "error")
            return redirect(self.get_url(".form", table=given["table"], key=given["key"]), code=303)
        flash("The correction is added to the audit trail; the row is unchanged.", "success")
        return redirect(f"/admin/{given['table']}/", code=303)


def correct(database: "Database", given: dict[str, str], *, by: str) -> None:
    """Write a correction of one column of one row into the audit trail.

    Raises
    ------
    InputError
        If there is no such row or column, no reason, or nothing to correct.
    """
    row = _row(database, given["table"], given["key"])
    column, value, reason = given["column"], given["value"], given["reason"]
    if column not in row:
        raise InputError("The row has no such column", found=column, todo=did_you_mean(column, row))
    if not reason:
        raise InputError("A correction needs its reason")
    if max(len(value), len(reason)) > LONGEST:
        raise InputError(f"A correction's texts have {LONGEST} characters at most")
    if value == row[column]:
        raise InputError("The row has this value already", found=value)
    detail = {"table": given["table"], "key": given["key"], "column": column, "was": row[column], "should_be": value}
    with database.session() as session:
        audit(session, "correction", severity="warning", **detail, reason=reason, by=by)


def _row(database: "Database", table: str, key: str) -> dict[str, str]:
    """Return a row of a table about money as texts.

    Raises
    ------
    InputError
        If there is none.
    """
    model = models().get(table)
    if table not in MONEY or model is None:
        raise InputError("No rows of this table are corrected", found=table, todo=did_you_mean(table, MONEY))
    with database.session(read_only=True) as session:
        found = row_of(session, model, key)
    if found is None:
        raise InputError("There is no such row", found=f"{table} {key}")
    names = [column.key for column in model.__table__.columns]
    return {name: as_text(getattr(found, name), is_ms=name.endswith("_ms")) for name in names}

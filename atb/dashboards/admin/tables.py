"""Every table of the schema as a view: browsed, searched, filtered, exported, never written.

A table that is added to the schema gets its view by itself. What may be changed by hand is changed elsewhere, by functions that
check it: users by `atb users`, market data on its own page, an account's halt on the control page. Rows about money stay as they
were written; a correction of one is a row of the audit trail, with its reason.
"""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

from flask_admin.contrib.sqla import ModelView, tools
from flask_admin.contrib.sqla.filters import BaseSQLAFilter, FilterEqual
from flask_admin.form import BaseForm
from flask_admin.model.template import LinkRowAction
from sqlalchemy import JSON, select
from sqlalchemy.exc import DataError

from atb.dashboards.admin.cells import as_text, harmless, shortened
from atb.dashboards.admin.reading import ReadSession
from atb.db.base import Table
from atb.db.types import UtcDateTime
from atb.errors import InputError, did_you_mean
from atb.times import in_ms, moment

NEWEST = {
    "run": "started_at",
    "promotion": "created_at",
    "session": "updated_at",
    "decision": "bar_ms",
    "equity": "bar_ms",
    "intent": "bar_ms",
    "order_event": "time_ms",
    "fill": "time_ms",
    "trade": "exit_ms",
    "dashboard_login": "seen_at",
}
"""By table the column that says what is newest, with an index where the table grows; the key's first column for the rest."""
MONEY = frozenset({"session", "slot", "decision", "intent", "order_event", "fill", "trade", "equity", "kernel_state", "cursor",
                   "handover", "halt", "acknowledgement", "account_lease", "event", "evidence", "promotion"})  # fmt: skip
SECRET = {"dashboard_user": {"password_hash"}, "dashboard_login": {"token_sha256"}}
LARGE = {"kernel_state": {"payload"}}  # shown on the row's own page
_CATEGORIES = {"Research": {"run", "promotion", "evidence"}, "Access": {"dashboard_user", "dashboard_login"}}
_PROSE = {"error", "text", "reason", "refusal", "browser", "path", "holder"}  # columns whose cells wrap
_TEXTS = {"Text", "String"}
_PORTION = 500  # rows of an export that are read at once
_FILTERED = {*_TEXTS, "Integer", "BigInteger", "Float", "Boolean"}


class MomentFilter(BaseSQLAFilter):  # type: ignore[misc] # Flask-Admin has no types
    """Rows from a moment on, or before it, in UTC; for a column of times or of epoch milliseconds."""

    def __init__(self, column: Any, name: str, *, after: bool) -> None:
        super().__init__(column, name)
        self._after = after

    def clean(self, value: str) -> Any:
        """Return the column's value for what a person typed; a ValueError, for which Flask-Admin asks, if it is no moment."""
        found = moment(value.strip())
        assert found is not None  # a text is a moment or is refused
        return found.to_pydatetime() if isinstance(self.column.type, UtcDateTime) else in_ms(found)

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:  # noqa: ARG002 - Flask-Admin's signature
        """Narrow the query."""
        return query.filter(self.column >= value if self._after else self.column < value)

    def operation(self) -> str:
        """Return the words of the filter."""
        return "from" if self._after else "before"


class TableView(ModelView):  # type: ignore[misc] # Flask-Admin has no types
    """A table that is read only: there is no form to write one, whatever is posted."""

    can_create = can_edit = can_delete = False
    can_view_details = can_export = can_set_page_size = True
    page_size, page_size_options = 50, (20, 50, 100)
    export_max_rows = 20_000
    column_display_pk = named_filter_urls = True
    simple_list_pager = True  # counting a million rows takes longer than showing a page
    action_disallowed_list = ("delete",)
    list_template = "admin/table.html"
    extra_css, extra_js = ("/admin.css",), ("/admin.js",)
    window = 50_000  # newest rows, among which is searched and filtered: a million are never read for one page

    def __init__(self, model: Any, session: ReadSession, *, category: str) -> None:
        table = model.__table__
        self.about = about(model)
        hidden = SECRET.get(table.name, set())
        names = [column.key for column in table.columns if column.key not in hidden]
        self._recent = table.columns[NEWEST.get(table.name, next(iter(table.primary_key.columns)).key)]
        self._leading = _leading(table)
        self._ms = {name for name in names if name.endswith("_ms")}
        if any(column.key in hidden for column in table.primary_key.columns):  # no link may name the row
            self.can_view_details = self.column_display_actions = False
        self.long = [name for name in names if name in _PROSE or isinstance(table.columns[name].type, JSON)]
        self.column_list = [name for name in names if name not in LARGE.get(table.name, set())]
        self.column_details_list = names
        self.column_export_list = self.column_list
        self.column_labels = {name: _label(name) for name in names}
        self.column_sortable_list = [self._recent.key] if self._recent.key in names else []
        self.column_default_sort = (self._recent.key, True)
        self.column_searchable_list = [name for name in names if type(table.columns[name].type).__name__ in _TEXTS]
        if table.name == "event":
            self.column_searchable_list.append("detail")
        self.column_filters = list(_filters(table, names))
        super().__init__(
            model, session, name=table.name, category=category, endpoint=table.name, url=f"/admin/{table.name}"
        )

    def get_export_columns(self) -> list[tuple[str, str]]:
        """Return the exported columns, headed by the names that the schema gives them."""
        return [(name, harmless(name)) for name in self.column_export_list]

    def scaffold_form(self) -> Any:
        """Return a form without fields: nothing can be written."""
        return BaseForm

    def get_list(self, page: int | None, *args: Any, **options: Any) -> Any:
        """Return one page of the newest `window` rows that the filters by time leave."""
        filters = args[3] if len(args) > 3 else options.get("filters")
        with taken():
            self._floor_of_request(filters or ())
            return super().get_list(max(page or 0, 0), *args, **options)

    def get_one(self, id: str) -> Any:  # noqa: A002 - Flask-Admin's signature
        """Return the row of a key as an address has it; None if there is none."""
        return row_of(self.session, self.model, id)

    def _export_data(self) -> tuple[None, Iterator[Any]]:
        """Return the rows of an export as they come from the database, as plain rows: an object for each takes as long again."""
        asked = self._get_list_extra_args()
        sorted_by = self._get_column_by_idx(asked.sort)
        name = sorted_by[0] if sorted_by else None
        _, query = self.get_list(
            0, name, asked.sort_desc, asked.search, asked.filters, execute=False, page_size=self.export_max_rows
        )
        columns = [getattr(self.model, name) for name in self.column_export_list]
        rows = _until_closed(query.with_entities(*columns).yield_per(_PORTION), self.session.taken_over())
        with taken():  # the first row is asked for here, where a refusal is still a page
            return None, chain(tuple(islice(rows, 1)), rows)

    def get_query(self) -> Any:
        """Return the rows of the window."""
        from flask import g

        query = super().get_query()
        floor = g.get("admin_floor")
        return query if floor is None else query.filter(self._recent >= floor)

    def get_export_value(self, model: Any, name: Any) -> str:
        """Return an exported cell that no spreadsheet runs."""
        return harmless(as_text(getattr(model, name), is_ms=name in self._ms))

    def _get_list_value(self, context: Any, model: Any, name: str, *_formatters: Any) -> str:
        """Return a cell as text, which the page escapes; short in a list, whole on the row's own page."""
        shown = as_text(getattr(model, name), is_ms=name in self._ms)
        is_list = context is not None and "data" in context
        return shortened(shown) if is_list else shown

    def _get_list_filter_args(self) -> Any:
        """Return the filters of the address; an unknown one is refused, since all rows would be shown for it in silence."""
        from flask import request

        for name in request.args:
            asked = name.partition("_")[2]
            if name.startswith("flt") and asked not in (self._filter_args or {}):
                raise InputError(
                    "There is no such filter", found=name, todo=did_you_mean(asked, self._filter_args or {})
                )
        return super()._get_list_filter_args()

    def _floor_of_request(self, filters: Any) -> None:
        """Find the oldest row of the window by the index, for this request."""
        from flask import g

        g.admin_floor = None
        if any(
            isinstance(self._filters[number], FilterEqual) and self._filters[number].column.key in self._leading
            for number, _, _ in filters
        ):  # an index finds these few rows, however old
            return
        query = select(self._recent).order_by(self._recent.desc()).offset(self.window - 1).limit(1)
        for number, _, value in filters:
            chosen = self._filters[number]
            if chosen.column is self._recent:
                query = chosen.apply(query, chosen.clean(value), None)
        g.admin_floor = self.session.scalar(query)


class MoneyView(TableView):
    """A table whose rows are about money: a correction is a new row, with a reason."""

    def __init__(self, model: Any, session: ReadSession, *, category: str) -> None:
        table = model.__table__.name
        link = LinkRowAction("fa fa-pencil", lambda _action, key, _row: _correction(table, key), "Add a correction")
        self.column_extra_row_actions = [link]
        super().__init__(model, session, category=category)


def table_views(session: ReadSession) -> Iterator[TableView]:
    """Yield a view for each table of the schema."""
    for name, model in models().items():
        kind = MoneyView if name in MONEY else TableView
        category = next((title for title, names in _CATEGORIES.items() if name in names), "Trading")
        yield kind(model, session, category=category)


def _until_closed(rows: Iterable[Any], session: Any) -> Iterator[Any]:
    """Yield rows of a session and close it then: the request, and what ends with it, is over before an export is sent."""
    try:
        yield from rows
    finally:
        session.close()


@contextmanager
def taken() -> Iterator[None]:
    """Turn what a database does not take, such as a number beyond its column, into one clear refusal.

    Raises
    ------
    InputError
        If it does not take a value.
    """
    try:
        yield
    except (OverflowError, DataError) as refused:
        todo = "Filter by a smaller number or another text"
        raise InputError("The database does not take a value of this address", todo=todo) from refused


def row_of(session: Any, model: Any, key: str) -> Any:
    """Return the row of a key as addresses have it, its parts divided by commas; None if there is none, or none can be."""
    columns = list(model.__table__.primary_key.columns)
    try:
        values = [column.type.python_type(part) for column, part in zip(columns, tools.iterdecode(key), strict=True)]
        with taken():
            return session.get(model, tuple(values))
    except (ValueError, InputError):
        return None


def _label(name: str) -> str:
    """Return a column's name in words: of them the address of a filter is made, such as `client_id_equals`."""
    return name.replace("_", " ")


def models() -> dict[str, Any]:
    """Return the class of each table of the schema by the table's name, in order."""
    classes: list[Any] = [mapper.class_ for mapper in Table.registry.mappers]
    return {model.__table__.name: model for model in sorted(classes, key=lambda each: each.__table__.name)}


def _leading(table: Any) -> set[str]:
    """Return the columns whose equals are few and found by an index: a whole key, or the first column of an index; no session."""
    key = list(table.primary_key.columns)
    firsts = {next(iter(index.columns)).key for index in table.indexes} | ({key[0].key} if len(key) == 1 else set())
    return firsts - {"session_id", "account"}


def _filters(table: Any, names: list[str]) -> Iterator[Any]:
    """Yield the filters of a table: texts, numbers and truth values by Flask-Admin's, times by ours; not amounts.

    SQLite keeps amounts as text, which is compared like words.
    """
    for name in names:
        column = table.columns[name]
        if name.endswith("_ms") or isinstance(column.type, UtcDateTime):
            yield MomentFilter(column, _label(name), after=True)
            yield MomentFilter(column, _label(name), after=False)
        elif type(column.type).__name__ in _FILTERED:
            yield name


def about(model: type) -> str:
    """Return the first line of a table's description."""
    return (inspect.getdoc(model) or "").partition("\n")[0]


def _correction(table: str, key: str) -> str:
    from urllib.parse import urlencode

    return f"/admin/correction/?{urlencode({'table': table, 'key': key})}"

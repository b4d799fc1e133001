"""The admin's tables: every one browsed, searched, filtered, exported; none written; a million rows bounded by an index."""

import csv
import html
import io
import re
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import event, insert, select, text

from atb.dashboards.admin import tables
from atb.dashboards.admin.cells import as_text, harmless
from atb.db.base import Table
from atb.db.tables import EventRow, FillRow
from tests.dashboards.test_doors import trail

NAMES = sorted(Table.metadata.tables)


def add_events(database, count, kind="noted", **detail):
    rows = [{"session_id": None, "severity": "info", "kind": kind, "detail": {"no": n, **detail}} for n in range(count)]
    with database.session() as session:
        session.execute(insert(EventRow), rows)


def add_fill(database, **changes):
    row = {
        "trade_id": "t1", "client_id": "c1", "slot": 0, "symbol": "BTC/USDT", "side": "buy", "role": "entry",
        "price": Decimal("100.10"), "quantity": Decimal("0.5"), "fee": Decimal("-0.05"), "fee_asset": "USDT",
        "fee_value": Decimal("0.05"), "fill_no": 0, "time_ms": 1_700_000_000_001, "trade_no": None, "reason": None,
    }  # fmt: skip
    with database.session() as session:
        session_id = session.execute(text("SELECT session_id FROM session")).scalar_one()
        session.execute(insert(FillRow), [row | {"session_id": session_id} | changes])


def exported(admin, table, query=""):
    answer = admin.get(f"/admin/{table}/export/csv/{query}")
    assert answer.mimetype == "text/csv"
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_every_table_is_browsed_and_exported(admin, database):
    add_fill(database)
    for name in NAMES:
        listed = admin.get(f"/admin/{name}/?search=a&page_size=20")
        assert (name, listed.status_code) == (name, 200)
        assert "Read only." in listed.text
        for page in (-3, 99_999):
            assert admin.get(f"/admin/{name}/?page={page}").status_code == 200
        exported(admin, name)


def test_no_table_is_written_with_a_right_token_either(admin, database):
    add_fill(database)
    before = contents(database)
    fields = {"id": "1", "action": "delete", "rowid": "1", "list_form_pk": "1", "role": "x"}
    data = fields | {"csrf_token": admin.token("/me")}
    for name in NAMES:
        for way in ("new/", "edit/?id=1", "delete/", "action/", "ajax/update/"):
            answer = admin.client.post(f"/admin/{name}/{way}", data=data)
            assert (name, way, answer.status_code) in {(name, way, 302), (name, way, 404)}
    assert contents(database) == before


def contents(database):
    with database.session(read_only=True) as session:
        return {name: session.execute(text(f'SELECT count(*) FROM "{name}"')).scalar() for name in NAMES}


def test_hashes_of_passwords_and_tokens_are_on_no_page(admin, database):
    with database.session(read_only=True) as session:
        secrets = [*session.scalars(text("SELECT password_hash FROM dashboard_user"))]
        secrets += session.scalars(text("SELECT token_sha256 FROM dashboard_login"))
    pages = [admin.get(f"/admin/{name}/").text for name in ("dashboard_user", "dashboard_login")]
    pages += [admin.get("/admin/dashboard_user/details/?id=admin").text]
    pages += [str(exported(admin, name)) for name in ("dashboard_user", "dashboard_login")]
    assert secrets
    assert not any(secret in page for secret in secrets for page in pages)


def test_filters_have_names_and_an_unknown_one_is_refused(admin, database):
    add_events(database, 3, kind="alpha")
    add_events(database, 2, kind="beta")
    assert len(exported(admin, "event", "?flt0_kind_equals=beta")) == 2
    assert len(exported(admin, "event", "?flt0_kind_contains=alph&flt1_severity_equals=info")) == 3
    for name in ("flt0_kind_equal", "flt1_7", "flt_x"):
        refused = admin.get(f"/admin/event/?{name}=beta")
        assert refused.status_code == 400
        assert "There is no such filter" in refused.text
    assert "Did you mean" in admin.get("/admin/event/?flt0_kind_equal=beta").text


def test_times_are_filtered_in_utc_whatever_the_column_holds(admin, database):
    for number, time_ms in enumerate((1_700_000_000_000, 1_700_000_060_000, 1_700_003_600_000)):
        add_fill(database, trade_id=f"t{number}", time_ms=time_ms, fill_no=number)
    found = exported(admin, "fill", "?flt0_time_ms_from=2023-11-14 22:14&flt1_time_ms_before=2023-11-14T23:00:00Z")
    assert [(row["trade_id"], row["time_ms"]) for row in found] == [("t1", "2023-11-14 22:14:20")]
    assert len(exported(admin, "fill", "?flt0_created_at_from=2000-01-01")) == 3
    assert "Invalid" in admin.get("/admin/fill/?flt0_time_ms_from=yesterday").text


def test_a_search_finds_words_in_texts_and_in_the_detail_of_the_audit_trail(admin, database):
    add_events(database, 1, note="the odd one")
    add_events(database, 4, note="usual")
    assert len(exported(admin, "event", "?search=odd one")) == 1
    assert len(exported(admin, "event", "?search=noted")) == 5


@pytest.mark.parametrize("huge", ["9" * 30, "-" + "9" * 30])
def test_a_number_that_no_column_holds_is_one_clear_refusal(admin, huge):
    for path in (f"?flt0_id_equals={huge}", f"export/csv/?flt0_id_equals={huge}", "?page=" + "9" * 30):
        refused = admin.get(f"/admin/event/{path}")
        assert refused.status_code == 400
        assert "does not take a value" in refused.text


@pytest.mark.parametrize("key", ["9" * 30, "x", "", "1,2", "1.5"])
def test_a_row_that_cannot_be_is_not_there(admin, key):
    gone = admin.get(f"/admin/event/details/?id={key}")
    assert gone.status_code == 302
    assert gone.location.startswith("/admin/event/")


def test_an_overflow_in_our_own_work_is_a_fault_and_no_refusal(admin, server, monkeypatch):
    def overflow(*_, **__):
        raise OverflowError

    monkeypatch.setattr(tables, "as_text", overflow)
    monkeypatch.setitem(server.config, "PROPAGATE_EXCEPTIONS", False)
    assert admin.get("/admin/dashboard_user/").status_code == 500


# --- exports ----------------------------------------------------------------------------------------------------------


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", " =1", "\t=1", "\r=1", "\n=1", "＝1+1", "−1+1", "=", "-cmd|x"]


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_cell_that_a_spreadsheet_would_run_is_made_text(cell):
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "a=1", "-1", "+0.5", "-1.5e-7", "BTC/USDT", "2024-01-01 00:00:00", "'=1"])
def test_other_cells_stay(cell):
    assert harmless(cell) == cell


def test_an_export_holds_no_formula_and_all_digits(admin, database):
    add_fill(database, client_id="=cmd|'/c calc'!A1", role="+x", side="-y", reason="@z", price=Decimal("0.000000010"))
    (row,) = exported(admin, "fill")
    assert [row[name] for name in ("client_id", "role", "side", "reason")] == [
        "'=cmd|'/c calc'!A1",
        "'+x",
        "'-y",
        "'@z",
    ]
    assert (row["price"], row["fee"]) == ("0.000000010", "-0.05")


def test_an_export_begins_before_its_rows_are_read_and_ends_with_all_of_them(admin, database, monkeypatch):
    monkeypatch.setattr(tables, "_PORTION", 10)
    add_events(database, 30)
    read = []
    plain = tables.as_text
    monkeypatch.setattr(tables, "as_text", lambda *of, **how: read.append(1) or plain(*of, **how))
    answer = admin.client.get("/admin/event/export/csv/?flt0_kind_equals=noted")
    chunks = answer.iter_encoded()
    assert b"severity" in next(chunks)
    assert read == []
    rest = b"".join(chunks).decode()
    assert len(rest.splitlines()) == 30


def test_a_page_escapes_what_a_row_holds(admin, database):
    add_fill(database, client_id="<script>alert(1)</script>")
    for path in ("/admin/fill/", "/admin/fill/?search=<script>"):
        assert "<script>alert(1)" not in admin.get(path).text
    assert "&lt;script&gt;alert(1)" in admin.get("/admin/fill/").text


def test_values_are_shown_with_all_that_they_hold():
    assert as_text(None) == ""
    assert as_text(1_700_000_000_001, is_ms=True) == "2023-11-14 22:13:20.001"
    assert as_text(10**30, is_ms=True) == str(10**30)
    assert as_text({"a": [1]}) == '{"a": [1]}'
    assert as_text(Decimal("1E-8")) == "0.00000001"
    assert as_text(value=True) == "yes"


# --- large tables -----------------------------------------------------------------------------------------------------


def test_only_the_newest_rows_are_searched_and_a_filter_by_time_goes_further_back(admin, database, monkeypatch):
    monkeypatch.setattr(tables.TableView, "window", 10)
    add_events(database, 30)
    numbers = sorted(int(row["id"]) for row in exported(admin, "event"))
    assert len(numbers) == 10
    assert len(exported(admin, "event", f"?flt0_id_smaller_than={numbers[0]}")) == 10
    assert len(exported(admin, "event", "?flt0_id_equals=1")) == 1, "an index finds it, however old it is"
    assert exported(admin, "event", "?flt0_kind_equals=absent") == []


@pytest.mark.parametrize("name", sorted(tables.NEWEST))
def test_the_newest_rows_of_a_table_that_grows_are_found_by_an_index(name):
    small = {"promotion", "session", "dashboard_login"}
    column = tables.NEWEST[name]
    firsts = {next(iter(index.columns)).name for index in Table.metadata.tables[name].indexes}
    assert name in small or column in firsts


def test_a_page_counts_nothing_and_reads_as_many_rows_as_it_shows(admin, site, database):
    add_events(database, 200)
    statements = []
    engine = site.link.database().engine
    event.listen(engine, "before_cursor_execute", lambda *a: statements.append((a[2], a[3])))
    assert admin.get("/admin/event/?search=odd").status_code == 200
    of_table = [sql for sql, _ in statements if "FROM event" in sql]
    assert len(of_table) == 2
    assert not any("count(" in sql.lower() for sql in of_table)
    assert all("LIMIT" in sql for sql in of_table)


def test_sqlite_reads_a_page_by_the_index(database):
    with database.session(read_only=True) as session:
        for name, column in tables.NEWEST.items():
            if name in {"promotion", "session", "dashboard_login"}:
                continue
            query = f'EXPLAIN QUERY PLAN SELECT * FROM "{name}" WHERE "{column}" >= 1 ORDER BY "{column}" DESC LIMIT 50'
            plan = " ".join(row[3] for row in session.execute(text(query)))
            assert f"USING INDEX ix_{name}_{column}" in plan
            assert "TEMP B-TREE" not in plan


# --- corrections ------------------------------------------------------------------------------------------------------


def row_of(admin):
    """Return the link to the correction of the only fill."""
    return html.unescape(re.search(r'href="(/admin/correction/[^"]+)"', admin.get("/admin/fill/").text)[1])


def test_a_correction_is_a_new_row_with_its_reason_and_the_row_stays(admin, database, settings):
    add_fill(database)
    link = row_of(admin)
    assert "100.10" in admin.get(link).text
    asked = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    done = admin.post(
        "/admin/correction/", page=link, **asked, column="price", value="100.20", reason="the venue's bust"
    )
    assert done.status_code == 303
    ((_, severity, detail),) = trail(settings, "correction")
    assert severity == "warning"
    wanted = {"table": "fill", "column": "price", "was": "100.10", "should_be": "100.20", "reason": "the venue's bust"}
    assert wanted.items() <= detail.items()
    assert "admin at the admin pages" in detail["by"]
    with database.session(read_only=True) as session:
        assert session.scalars(select(FillRow.price)).all() == [Decimal("100.10")]


def test_a_correction_that_says_nothing_is_refused(admin, database, settings):
    add_fill(database)
    link = row_of(admin)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    fields = asked | {"column": "price", "value": "100.20", "reason": "y"}
    for changes in (
        {"reason": " "}, {"reason": "x" * 1_001}, {"column": "prise"}, {"value": "100.10"}, {"key": "x"}, {"key": ""},
        {"table": "dashboard_user"}, {"table": "nothing"},
    ):  # fmt: skip
        admin.post("/admin/correction/", page=link, **(fields | changes))
        assert trail(settings, "correction") == []

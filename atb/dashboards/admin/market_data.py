"""Market data by hand: trading rules, universes of symbols, bars with accepted gaps, sentiment values.

Each form calls the function behind its command (`atb data rules`, `universe import`, `import --accept-gaps`, `sentiment --file`)
and is checked by it. Every change is in the audit trail.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from flask import flash, g, redirect, request
from flask_admin import BaseView, expose
from werkzeug.utils import secure_filename

from atb.dashboards.access.users import audit
from atb.dashboards.site import Site
from atb.errors import AtbError, DatabaseLostError, InputError
from atb.files import write_private

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from atb.db import Database

SHOWN = 200  # gaps and series
LONGEST = 1_000  # characters of a sentence that a browser keeps until it is shown


class MarketDataView(BaseView):  # type: ignore[misc] # Flask-Admin has no types
    """The stored series, their gaps, and the forms."""

    extra_css, extra_js = ("/admin.css",), ("/admin.js",)

    def __init__(self, site: Site, **options: Any) -> None:
        self._site = site
        super().__init__(**options)

    @expose("/", methods=("GET",))  # type: ignore[untyped-decorator]
    def page(self) -> str:
        """Show series, gaps and forms."""
        return str(self.render("admin/market_data.html", shown=SHOWN, **stored(self._site.settings.bars_root)))

    @expose("/<form>", methods=("POST",))  # type: ignore[untyped-decorator]
    def change(self, form: str) -> "Response":
        """Do what a form says, and say what was done."""
        try:
            if form not in FORMS:
                raise InputError("There is no such form", found=form)
            done = FORMS[form](request.form, self._site.settings.bars_root)
        except AtbError as refused:
            flash(str(refused)[:LONGEST], "error")
            return redirect(self.get_url(".page"), code=303)
        flash(done[:LONGEST], "success")
        by = f"{g.login.user} at the admin pages"
        try:
            self._site.link.ask(lambda database: _note(database, form, done=done, by=by))
        except DatabaseLostError as lost:
            flash(f"It is done, but not in the audit trail: {lost}"[:LONGEST], "error")
        return redirect(self.get_url(".page"), code=303)


def stored(root: Path) -> dict[str, Any]:
    """Return the stored series, their gaps and the universes, as plain values."""
    from atb.data import list_series
    from atb.data.catalogue.gap_report import gap_report
    from atb.data.catalogue.universes import all_universes

    gaps = gap_report(root)
    return {
        "series": [info.to_json() for info in list_series(root)][:SHOWN],
        "gaps": gaps[:SHOWN],
        "gap_count": len(gaps),
        "universes": list(all_universes(root)),
    }


def save_rules(given: Mapping[str, str], root: Path) -> str:
    """Store the trading rules of one symbol at one venue, as `atb data rules` does with an exchange's."""
    from atb.data import save_instruments
    from atb.domain import Instrument, Symbol

    names = ("tick", "lot", "min_quantity", "min_notional")
    values = {name: _given(given, name) for name in names} | {"symbol": str(Symbol.parse(_given(given, "symbol")))}
    rules = Instrument.from_json(values | {"source": f"typed in by {g.login.user}: {_given(given, 'reason')}"})
    save_instruments([rules], root=root, venue=_given(given, "venue"))
    return f"{rules}. Backtests of the venue's bars use them from now on."


def save_symbols(given: Mapping[str, str], root: Path) -> str:
    """Store a universe from the rows of a CSV text, as `atb data universe import` does."""
    from atb.data.catalogue.universes import described, read_universe, save_universe, universe_path

    name = _given(given, "name")
    universe_path(root, name)
    with _file("universe.csv", _given(given, "rows").encode()) as path:
        made = read_universe(path, name)
    save_universe(made, root=root, replace=given.get("replace") == "yes")
    return f"{described(made)}."


def import_bars(given: Mapping[str, str], root: Path) -> str:
    """Import a file of bars, its gaps accepted if that was said, as `atb data import` does."""
    from atb.data import ImportRules, import_file
    from atb.decimals import counted

    upload = request.files.get("file")
    if upload is None or not upload.filename:
        raise InputError("No file was chosen")
    gaps: Literal["refuse", "keep"] = "keep" if given.get("accept_gaps") == "yes" else "refuse"
    identity = {name: given.get(name, "").strip() or None for name in ("symbol", "timeframe", "venue")}
    rules = ImportRules(assume_utc=given.get("utc") == "yes", zone=None, replace=given.get("replace") == "yes")
    with _file(secure_filename(upload.filename) or "bars.csv", upload.read()) as path:
        report = import_file(path, root=root, **identity, gaps=gaps, rules=rules)
    saved = report.saved
    found = f"{saved.added:,} added, {saved.unchanged:,} unchanged, {saved.replaced:,} replaced"
    return f"{report.bars.label}: {found}; {counted(len(report.bars.gaps), 'gap')} recorded, never filled."


def save_sentiment(given: Mapping[str, str], root: Path) -> str:
    """Add one dated value to a sentiment index, as `atb data sentiment NAME --file` does."""
    from atb.data.catalogue.events import SENTIMENT, sentiment_at
    from atb.data.providers import open_events
    from atb.data.providers.updating import download_events

    name = _given(given, "name")
    row = {"timestamp": _given(given, "time"), "value": _given(given, "value")}
    if published := given.get("published", "").strip():
        row["published"] = published
    text = io.StringIO()
    table = csv.DictWriter(text, row)
    table.writeheader()
    table.writerow(row)
    with _file("sentiment.csv", text.getvalue().encode()) as path:
        source = open_events("files", [path], SENTIMENT, name, columns={}, zone="UTC")
        report = download_events(
            sentiment_at(root, name), source, start="1970-01-01", replace=given.get("replace") == "yes"
        )
    return f"{report.series}: {report.added:,} added, {report.unchanged:,} unchanged, {report.revised:,} differ."


FORMS: Mapping[str, Callable[[Mapping[str, str], Path], str]] = {
    "rules": save_rules,
    "symbols": save_symbols,
    "bars": import_bars,
    "sentiment": save_sentiment,
}


def _given(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "").strip()
    if not value:
        raise InputError(f"The field {name!r} is empty")
    return value


@contextmanager
def _file(name: str, content: bytes) -> Iterator[Path]:
    """Write what was sent to a file of its own for the length of a block: the commands read files."""
    with TemporaryDirectory(prefix="atb-") as folder:
        path = Path(folder) / name
        write_private(path, content)
        yield path


def _note(database: "Database", form: str, *, done: str, by: str) -> None:
    with database.session() as session:
        audit(session, "data_changed", form=form, done=done, by=by)

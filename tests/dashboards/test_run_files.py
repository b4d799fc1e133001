"""Files of a run: the tear sheet in a sandbox, the notebook as a download, and nothing else of the disk."""

import pytest

from atb.dashboards.page import Source
from atb.dashboards.run_files import SANDBOX
from tests.dashboards.pages.worlds import RUN, add_run
from tests.rehearsal.ledger import START


@pytest.fixture
def viewer(site, signed_in):
    """A viewer of a site with a run."""
    add_run(Source(site.link.database(), site.settings, START), RUN, batch="b" * 64, fast=10)
    return signed_in("viewer")


def test_a_tear_sheet_is_shown_in_a_sandbox_without_the_servers_own_policy(viewer):
    answer = viewer.get(f"/files/{RUN}/report.html")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert answer.headers["Content-Security-Policy"] == SANDBOX
    assert "sandbox allow-scripts;" in SANDBOX
    assert "allow-same-origin" not in SANDBOX
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_notebook_is_a_download(viewer):
    answer = viewer.get(f"/files/{RUN}/03_backtest.ipynb")
    assert answer.headers["Content-Disposition"] == f"attachment; filename={RUN}-03_backtest.ipynb"
    assert "sandbox" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        f"/files/{RUN}/result.json", f"/files/{RUN}/run.json", f"/files/{RUN}/..%2f..%2fatb.db", f"/files/{RUN}/%2fetc%2fpasswd",
        "/files/nothing/report.html", "/files/%2e%2e/atb.db", f"/files/{RUN}/.", "/files/../keys/dashboards.key",
    ],
)  # fmt: skip
def test_nothing_else_of_the_disk_is_served(viewer, path):
    answer = viewer.get(path)
    is_frame = "react-entry-point" in answer.text  # the page that says that there is no such page
    assert is_frame or answer.status_code == 404
    assert not answer.data.startswith((b"SQLite", b"root:"))


def test_a_link_out_of_the_runs_folder_is_not_followed(viewer, site):
    report = site.settings.runs_root / RUN / "report.html"
    report.unlink()
    report.symlink_to(site.settings.data.root / "atb.db")
    assert viewer.get(f"/files/{RUN}/report.html").status_code == 404


def test_a_stranger_gets_no_file(viewer, stranger):
    assert stranger.get(f"/files/{RUN}/report.html").status_code == 302

"""The health page: the checks of `atb doctor`, run beside the page."""

from atb.checks import Check
from atb.dashboards.admin.health import HealthView
from atb.dashboards.site import Site
from tests.timeouts import wait_until


def test_the_page_answers_at_once_and_shows_what_the_checks_found(signed_in):
    admin = signed_in("admin")
    assert admin.get("/admin/health/").status_code == 200
    wait_until(lambda: "As of" in admin.get("/admin/health/").text)
    page = admin.get("/admin/health/").text
    assert '<span class="status-error">error</span>' in page
    assert "full" in page
    assert admin.post("/admin/health/", page="/admin/health/").status_code == 303


def test_a_check_that_fails_in_a_new_way_is_a_finding(site):
    def checks():
        yield Check("python", "ok", "3")
        raise ZeroDivisionError("odd")

    odd = Site(site.settings, site.link, b"", checks=checks)
    view = HealthView(odd, name="Health", endpoint="other", url="/admin/other")
    view.start()
    wait_until(lambda: not view.running)
    assert [(found.name, found.status) for found in view._found] == [("python", "ok"), ("checks", "error")]

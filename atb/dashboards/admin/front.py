"""The front page of the admin pages: the tables with what each holds."""

from typing import Any

from flask_admin import AdminIndexView, expose

from atb.dashboards.admin.tables import about, models


class FrontView(AdminIndexView):  # type: ignore[misc] # Flask-Admin has no types
    """A list of every table with the first line of its description."""

    extra_css, extra_js = ("/admin.css",), ("/admin.js",)

    def __init__(self, **options: Any) -> None:
        super().__init__(name="Tables", **options)

    @expose()  # type: ignore[untyped-decorator]
    def index(self) -> str:
        """Show the list."""
        rows = [(name, about(model)) for name, model in models().items()]
        return str(self.render("admin/front.html", rows=rows))

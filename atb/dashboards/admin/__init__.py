"""The admin pages under `/admin`: every table, the system's health, market data by hand, corrections; for admins alone."""

from flask import Flask, g
from flask_admin import Admin
from flask_admin.menu import MenuLink
from flask_admin.theme import Bootstrap4Theme

from atb.dashboards.admin.correction import CorrectionView
from atb.dashboards.admin.front import FrontView
from atb.dashboards.admin.health import HealthView
from atb.dashboards.admin.market_data import MarketDataView
from atb.dashboards.admin.reading import ReadSession
from atb.dashboards.admin.tables import table_views
from atb.dashboards.site import Site


def add_admin(server: Flask, site: Site) -> Admin:
    """Put the admin pages on a server and return them; the gate before them asks for the role."""
    session = ReadSession(server, site.link)
    admin = Admin(
        server,
        name="atb admin",
        index_view=FrontView(),
        theme=Bootstrap4Theme(fluid=True),
        csp_nonce_generator=lambda: g.csp_nonce,
    )
    for view in table_views(session):
        admin.add_view(view)
    admin.add_view(HealthView(site, name="Health", endpoint="health", url="/admin/health"))
    admin.add_view(MarketDataView(site, name="Market data", endpoint="market_data", url="/admin/market-data"))
    admin.add_view(CorrectionView(site, name="Correction", endpoint="correction", url="/admin/correction"))
    for name, url in (("Dashboards", "/"), ("Control", "/control"), ("Sign out", "/me")):
        admin.add_link(MenuLink(name=name, url=url))
    return admin

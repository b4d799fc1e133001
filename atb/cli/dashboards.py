"""`atb dashboards`: dashboards and admin pages for a browser, on this machine unless TLS or a proxy is named."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli.commands import Command
from atb.cli.output import print_note, start

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.dashboards.link import DatabaseLink
    from atb.dashboards.site import Reach, Site
    from atb.db import Database

NICER = 5  # steps of priority below a runner's
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="Another address needs TLS or a proxy.")
@click.option("--port", default=8050, show_default=True, type=click.IntRange(0, 65_535), help="0 takes a free one.")
@click.option("--read-only", is_flag=True, help="Write nothing: everybody has the rights of a viewer.")
@click.option("--certificate", type=_FILE, help="Certificate chain (PEM): the server then speaks TLS.")
@click.option("--key", type=_FILE, help="Private key (PEM) of the certificate.")
@click.option("--behind-proxy", "proxy", metavar="ADDRESS", help="Address of the proxy that ends TLS in front of it.")
def dashboards(*, host: str, port: int, read_only: bool, **tls: Any) -> None:
    """Serve dashboards, control and admin pages until Ctrl-C.

    At the first start the user `admin` is made, and its password is shown once; `atb users` adds others. It works beside a running,
    a stopped and a dead runner. With --read-only the database may be one that this user can only read.

    \b
    Examples:
      atb dashboards
      atb dashboards --port 8060 --read-only
      atb dashboards --host 0.0.0.0 --certificate fullchain.pem --key privkey.pem
      atb dashboards --host 0.0.0.0 --behind-proxy 10.0.0.5
    """
    from atb.dashboards.listening import Place, serve
    from atb.dashboards.server import make_server

    place = Place(host, port, **tls)
    settings = start()
    site = _site(settings, place.reach, read_only=read_only)
    _come_after_runners()
    try:
        serve(make_server(site), place, lambda link: click.echo(f"Dashboards: {link}"))
    finally:
        site.link.close()


def _come_after_runners() -> None:
    """Let the system prefer a runner on the same machine, where the processor does not suffice for both."""
    import os
    from contextlib import suppress

    with suppress(OSError, AttributeError):  # a system without priorities, or one that forbids it
        os.nice(NICER)


def _site(settings: "Settings", reach: "Reach", *, read_only: bool) -> "Site":
    """Return the site over the settings' database, with a first user."""
    from atb.cli.doctor import check_all
    from atb.dashboards.link import DatabaseLink
    from atb.dashboards.server import form_secret
    from atb.dashboards.site import Site

    link = DatabaseLink(lambda: _opened(settings, read_only=read_only))
    if link.unwritable:
        print_note(f"{link.unwritable}; everybody has the rights of a viewer")
        read_only = True
    _require_user(link, read_only=read_only)
    secret = form_secret(settings.keys_root)
    return Site(settings, link, secret, checks=check_all, read_only=read_only, reach=reach)


def _opened(settings: "Settings", *, read_only: bool) -> "Database":
    from atb.db import open_database, open_to_read

    return (open_to_read if read_only else open_database)(settings.database.url)


def _require_user(link: "DatabaseLink", *, read_only: bool) -> None:
    """Make the first user where there is none, and show its password; refuse where that cannot be written."""
    from atb.dashboards.access.users import FIRST, all_users, first_admin
    from atb.errors import InputError

    if read_only:
        if not link.ask(all_users):
            raise InputError(
                "No one could sign in: there is no user, and nothing may be written",
                todo="Add one where it may: atb users add NAME",
            )
        return
    password = link.ask(first_admin)
    if password is not None:
        click.echo(f"The first user is {FIRST!r}, its password {password}\nIt is not shown again.")

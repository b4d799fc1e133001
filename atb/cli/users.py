"""`atb users`: the users of the dashboards, their roles and passwords, and the logins that are in force."""

import sys
from typing import Any

import click

from atb.cli.accounts import journal
from atb.cli.commands import Command, Family
from atb.cli.control import source
from atb.cli.output import json_option, moments, print_json, print_table
from atb.decimals import counted

_ROLE = click.option(
    "--role",
    default="viewer",
    show_default=True,
    help="viewer looks, operator halts and resumes too, admin sees and manages every table too.",
)
_ASK = click.option("--ask", is_flag=True, help="Type the password instead of having one made.")


@click.group(cls=Family)
def users() -> None:
    """Add, list and remove the users of `atb dashboards`; end their logins.

    A password is made and shown once, or typed with --ask; only its hash is kept. Every change is in the audit trail, and a change
    of role or password ends the user's logins within a second.

    \b
    Examples:
      atb users add kim --role operator
      atb users list
      atb users password kim --ask
      atb users logins
      atb users revoke kim
    """


@users.command(cls=Command)
@click.argument("name")
@_ROLE
@_ASK
@json_option
def add(name: str, *, role: str, ask: bool, as_json: bool) -> None:
    """Add a user; the password is shown once.

    \b
    Examples:
      atb users add kim
      atb users add night-shift --role operator --json
    """
    from atb.dashboards.access.users import add_user

    typed = _typed() if ask else None
    with journal() as database:
        password = add_user(database, name, role, password=typed, by=source())
    _print_password(name, password, typed, as_json=as_json, role=role)


@users.command("list", cls=Command)
@json_option
def list_command(*, as_json: bool) -> None:
    """List the users with their roles.

    \b
    Examples:
      atb users list --json
    """
    from atb.dashboards.access.users import all_users

    with journal(reading=True) as database:
        rows = [
            {"name": one.name, "role": one.role, "changed": one.changed_at.isoformat()} for one in all_users(database)
        ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            [moments(row, "changed") for row in rows],
            empty="No user yet. `atb dashboards` makes the first, `atb users add NAME` others.",
        )


@users.command("role", cls=Command)
@click.argument("name")
@click.argument("role")
@json_option
def role_command(name: str, role: str, *, as_json: bool) -> None:
    """Give a user another role: viewer, operator or admin.

    \b
    Examples:
      atb users role kim operator
    """
    from atb.dashboards.access.users import set_role

    with journal() as database:
        set_role(database, name, role, by=source())
    _print({"name": name, "role": role}, f"{name} is {role}", as_json=as_json)


@users.command("password", cls=Command)
@click.argument("name")
@_ASK
@json_option
def password_command(name: str, *, ask: bool, as_json: bool) -> None:
    """Give a user another password; it is shown once.

    \b
    Examples:
      atb users password kim
      atb users password kim --ask
    """
    from atb.dashboards.access.users import set_password

    typed = _typed() if ask else None
    with journal() as database:
        password = set_password(database, name, password=typed, by=source())
    _print_password(name, password, typed, as_json=as_json)


@users.command(cls=Command)
@click.argument("name")
@json_option
def remove(name: str, *, as_json: bool) -> None:
    """Remove a user and end all logins.

    \b
    Examples:
      atb users remove kim
    """
    from atb.dashboards.access.users import remove_user

    with journal() as database:
        remove_user(database, name, by=source())
    _print({"removed": name}, f"{name} is removed", as_json=as_json)


@users.command(cls=Command)
@click.argument("name", required=False)
@json_option
def logins(name: str | None, *, as_json: bool) -> None:
    """List the logins in force, of one user or of all.

    \b
    Examples:
      atb users logins
      atb users logins kim --json
    """
    from atb.dashboards.access.login_rows import listed
    from atb.dashboards.access.users import known_user

    with journal(reading=True) as database:
        rows = listed(database, None if name is None else known_user(database, name))
    if as_json:
        print_json(rows)
        return
    shown = [moments(row, "begun", "seen", "ends") for row in rows]
    print_table(shown, ("login", "user", "address", "begun", "seen", "ends"), empty="Nobody is signed in.")


@users.command(cls=Command)
@click.argument("login", metavar="LOGIN|USER")
@json_option
def revoke(login: str, *, as_json: bool) -> None:
    """End one login, or all of a user; the browser is refused within a second.

    \b
    Examples:
      atb users revoke 1f9a3c04d2e5
      atb users revoke kim --json
    """
    from atb.dashboards.access.login_rows import revoke as end

    with journal() as database:
        ended = end(database, login, by=source())
    _print({"revoked": ended}, f"{counted(len(ended), 'login')} ended: {', '.join(ended)}", as_json=as_json)


def _typed() -> str:
    """Ask for a password twice, unseen."""
    from atb.errors import InputError

    if not sys.stdin.isatty():
        raise InputError("A password is typed at a terminal", todo="Leave out --ask: one is made and shown")
    typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return typed


def _print_password(name: str, password: str, typed: str | None, *, as_json: bool, **more: str) -> None:
    if as_json:  # not `print_json`, which masks what looks like a secret: this one is made to be read once
        import json

        click.echo(json.dumps({"name": name, **more, **({} if typed else {"password": password})}, indent=2))
        return
    shown = "as typed" if typed else f"{password}\nIt is not shown again."
    click.echo(f"{name}: password {shown}")


def _print(content: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(content)
    else:
        click.echo(text)

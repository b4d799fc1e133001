"""`atb keys`: the keys that may sign manifests; one is trusted with real money by typing its fingerprint."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli.commands import Command, Family
from atb.cli.output import json_option, print_json, print_table, start

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from atb.config import Settings

_COLUMNS = ("fingerprint", "paper", "live", "since", "file")


@click.group(cls=Family, invoke_without_command=True)
@json_option
@click.pass_context
def keys(ctx: click.Context, *, as_json: bool) -> None:
    """List the keys that may sign what trades: on paper this installation's own, for real money those that were trusted.

    \b
    Examples:
      atb keys
      atb keys trust
      atb keys distrust 1f9a3c04
    """
    if ctx.invoked_subcommand is not None:
        return
    rows = _rows(start())
    if as_json:
        print_json(rows)
        return
    shown = [row | {"fingerprint": row["fingerprint"][:16], "since": row["since"] or "-"} for row in rows]
    print_table(
        shown, _COLUMNS, empty="No key yet: the first promotion makes one, and atb keys trust one for real money."
    )


@keys.command(cls=Command)
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--fingerprint", "typed", help="The key's fingerprint, for a script that cannot type it.")
@json_option
def trust(file: Path | None, typed: str | None, *, as_json: bool) -> None:
    """Trust a key with real money: this installation's own for live manifests, or the public key in FILE.

    It is asked for the key's fingerprint: take it from whoever holds the key, not from the file.

    \b
    Examples:
      atb keys trust
      atb keys trust /media/desk/promotion.pub
      atb keys trust /media/desk/promotion.pub --fingerprint 1f9a3c04d2e5b687 --json
    """
    from atb.errors import InputError
    from atb.live.acknowledgement import refuse_notebook
    from atb.promotion.signing import fingerprint
    from atb.promotion.trust import DIGITS, check_place
    from atb.promotion.trust import trust as put_on_list

    settings = start()
    refuse_notebook()
    check_place(settings.trust_root, settings.data.root)
    key = _chosen(file, settings)
    if typed is None:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise InputError("Trust is given by a person", todo="Type the fingerprint of the key: --fingerprint DIGITS")
        click.echo(f"What this key signs may trade REAL MONEY: {fingerprint(key)}", err=True)
        typed = click.prompt(f"To trust it, type the first {DIGITS} digits of its fingerprint", err=True)
    done = put_on_list(settings.trust_root, key, typed)
    if as_json:
        print_json(asdict(done))
    else:
        click.echo(f"Trusted with real money: {done.fingerprint}")


@keys.command(cls=Command)
@click.argument("beginning", metavar="FINGERPRINT")
@json_option
def distrust(beginning: str, *, as_json: bool) -> None:
    """Trust a key no longer; a runner that trades by it pauses its entries at its next check, within the hour.

    \b
    Examples:
      atb keys distrust 1f9a3c04
      atb keys distrust 1f9a3c04 --json
    """
    from atb.promotion.trust import distrust as take_off_list

    done = take_off_list(start().trust_root, beginning)
    if as_json:
        print_json(asdict(done))
    else:
        click.echo(f"Trusted no longer: {done.fingerprint}")


def _chosen(file: Path | None, settings: "Settings") -> "Ed25519PublicKey":
    from atb.promotion.signing import read_public_key, signing_key

    return signing_key(settings.trust_root).public_key() if file is None else read_public_key(file)


def _rows(settings: "Settings") -> list[dict[str, Any]]:
    """Return each key that this installation has or trusts, with the modes it may sign for."""
    from atb.promotion.signing import PUBLIC, fingerprint, own_key
    from atb.promotion.trust import FILE, trusted

    since = {key.fingerprint: key.since for key in trusted(settings.trust_root)}
    found = dict.fromkeys(since, settings.trust_root / FILE)
    paper = None
    for root in (settings.keys_root, settings.trust_root):
        key = own_key(root)
        if key is not None:
            found[fingerprint(key)] = root / PUBLIC
            paper = fingerprint(key) if root == settings.keys_root else paper
    return [
        {
            "fingerprint": name,
            "paper": "yes" if name in since or name == paper else "no",
            "live": "trusted" if name in since else "no",
            "since": since.get(name),
            "file": str(file),
        }
        for name, file in found.items()
    ]

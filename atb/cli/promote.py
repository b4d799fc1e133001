"""`atb promote`: turn a run into a signed manifest that the runner accepts."""

from typing import TYPE_CHECKING

import click

from atb.cli import completing
from atb.cli.accounts import journal
from atb.cli.commands import Command
from atb.cli.output import json_option, print_json, start

if TYPE_CHECKING:
    from pathlib import Path

    from atb.config import Settings
    from atb.promotion.gate import Verdict


@click.command(cls=Command)
@click.argument("run_id", shell_complete=completing.run)
@click.option(
    "--to", "mode", default="paper", show_default=True, help="What it may trade: paper, or live (real money)."
)
@click.option("--name", help="Name of the manifest; by default symbol, timeframe and strategy.")
@json_option
def promote(run_id: str, *, mode: str, name: str | None, as_json: bool) -> None:
    """Turn a run into a signed manifest that the runner accepts.

    RUN_ID is a run's id or a unique prefix of it; `atb runs` lists them. Paper accepts every run whose evidence is intact, and the
    reasons against live are shown. Live requires proofs, results and a rehearsal of the paper manifest.

    \b
    Examples:
      atb promote 20240131-094500-03-backtest-1f9a3c --to paper
      atb promote 20240131-094500 --to live --json
    """
    from atb.experiments.promotion import promote as promote_run

    settings = start()
    with journal(settings) as database:
        promoted = promote_run(run_id, settings=settings, database=database, name=name, mode=mode)
    real = " --live" if mode == "live" else ""
    command = f"python runners/live.py {_shown(str(promoted.path))}{real}{_root()}"
    if as_json:
        print_json({**promoted.to_json(), "next": command})
        return
    click.echo(f"Promoted to {promoted.verdict.mode}: {promoted.path}")
    print_verdict(promoted.verdict)
    if mode == "live" and not _is_trusted(promoted.path, settings):
        click.echo("First trust the key that signed it: atb keys trust")
    click.echo(f"Next: {command}")


def _is_trusted(path: "Path", settings: "Settings") -> bool:
    from atb.promotion.manifest import load_manifest
    from atb.promotion.trust import trusted

    return load_manifest(path).public_key in {key.fingerprint for key in trusted(settings.trust_root)}


def print_verdict(verdict: "Verdict") -> None:
    """Print both verdicts, each refusal with its reasons."""
    if verdict.mode == "paper":
        click.echo("paper: allowed" if verdict.passed else "paper: refused")
        for reason in verdict.reasons:
            click.echo(f"  - {reason}")
    click.echo("live:  refused" if verdict.live_reasons else "live:  allowed by the gate")
    for reason in verdict.live_reasons:
        click.echo(f"  - {reason}")


def _root() -> str:
    """Return the runner's --root option, if this call was given one."""
    root = click.get_current_context().find_root().params.get("root")
    return f" --root {_shown(str(root))}" if root else ""


def _shown(path: str) -> str:
    """Return a path relative to the working directory if possible."""
    import os
    import shlex

    relative = os.path.relpath(path)
    return shlex.quote(path if relative.startswith("..") else relative)

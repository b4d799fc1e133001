"""`atb report`: the tear sheet of a recorded run as one HTML file that shows offline, written anew and opened."""

import sys
from pathlib import Path

import click

from atb.cli import completing
from atb.cli.accounts import journal
from atb.cli.commands import Command
from atb.cli.output import json_option, print_json
from atb.cli.targets import TargetFile, writable


@click.command(cls=Command)
@click.argument("run_id", shell_complete=completing.run)
@click.option("-o", "--output", type=TargetFile(), help="Write it here, and not beside the run.")
@click.option("--open/--no-open", "shown", default=None, help="Open it in a browser; by default in a terminal only.")
@json_option
def report(run_id: str, output: Path | None, *, shown: bool | None, as_json: bool) -> None:
    """Write the report of a run as one HTML file, and open it.

    It is made anew from the executed notebook and the results in the run's folder. The file loads nothing from anywhere: it can
    be mailed, kept and read offline. A unique prefix of the id is enough.

    \b
    Examples:
      atb report 20240131-0945
      atb report 20240131-0945 -o tearsheet.html --no-open
    """
    from atb.experiments.execution import REPORT
    from atb.experiments.publication import write_text
    from atb.experiments.registry import get_run, run_json
    from atb.experiments.report import recorded_report

    with journal(reading=True) as database:
        run = get_run(database, run_id)
    page = recorded_report(Path(run.path), run_json(run))
    path = (output or Path(run.path) / REPORT).resolve()
    with writable(path):
        write_text(path, page)
    if as_json:
        print_json({"run_id": run.run_id, "report": str(path), "bytes": len(page.encode())})
    else:
        click.echo(str(path))
    if shown or (shown is None and not as_json and sys.stdout.isatty()):
        _open(path)


def _open(path: Path) -> None:
    import webbrowser

    if not webbrowser.open(path.as_uri()):
        click.echo("No browser could be opened: open the file by hand.", err=True)

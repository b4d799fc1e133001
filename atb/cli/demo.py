"""`atb demo`: the whole path on the synthetic market, one line per step, ending in a picture and a verdict."""

from time import perf_counter
from typing import TYPE_CHECKING

import click

from atb.cli.commands import Command
from atb.cli.output import json_option, print_json, start

if TYPE_CHECKING:
    from atb.workbench.demo import Done, Journey


@click.command(cls=Command)
@json_option
def demo(as_json: bool) -> None:
    """Go the whole path on a synthetic market, offline: from candles to a paper trade.

    Market, model, backtest, proof, verdict, promotion, a runner process and its comparison with the backtest.

    \b
    Example:
      atb demo
    """
    from atb.db import open_database
    from atb.workbench.demo import Journey

    settings = start()
    began = perf_counter()
    database = open_database(settings.database.url)
    try:
        journey = Journey(settings, database)
        steps = list(_shown(journey, as_json=as_json))
        if as_json:
            print_json(_facts(journey, steps))
        else:
            _last_screen(journey, perf_counter() - began)
    finally:
        database.close()


def _shown(journey: "Journey", *, as_json: bool) -> list["Done"]:
    """Do the steps; print one line for each, with its title while it runs."""
    done = []
    number = 0

    def announce(title: str) -> None:
        nonlocal number
        number += 1
        if not as_json:
            click.echo(f"{number}. {title:<33}", nl=False)

    for step in journey.walk(announce):
        done.append(step)
        if not as_json:
            click.echo(f"{step.seconds:6.1f} s  {step.outcome}")
    return done


def _facts(journey: "Journey", steps: list["Done"]) -> dict[str, object]:
    year, verdict = journey.year, journey.verdict
    return {
        "steps": [{"title": step.title, "outcome": step.outcome, "seconds": round(step.seconds, 2)} for step in steps],
        "picture": str(journey.picture),
        "report": str(journey.report),
        "manifest": str(journey.manifest),
        "stats": year.stats if year else None,
        "baselines": year.baselines if year else None,
        "verdict": verdict.to_json() if verdict else None,
    }


def _last_screen(journey: "Journey", seconds: float) -> None:
    from atb.reports.picture import sparkline
    from atb.workbench.demo import key_figures

    if journey.year is None or journey.verdict is None:
        return
    click.echo()
    click.echo(click.style(journey.year.label, bold=True))
    click.echo(sparkline(journey.year, width=72))
    click.echo(key_figures(journey.year).to_string(float_format=lambda value: f"{value:,.2f}", na_rep="-"))
    click.echo()
    click.echo(f"Picture  {journey.picture}")
    click.echo(f"Report   {journey.report}")
    click.echo(f"Manifest {journey.manifest}")
    click.echo()
    click.echo(click.style("Verdict: promoted to paper. Live would be refused:", bold=True))
    for reason in journey.verdict.live_reasons:
        click.echo(f"  - {reason}")
    click.echo("A toy model on made-up bars: the path is what was shown here, not a way to make money.")
    click.echo()
    click.echo(f"Done in {seconds:.0f} s. Next: atb status, or open the notebooks: make lab")

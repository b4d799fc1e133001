"""`atb demo`: from sample data to a paper session on the synthetic market, one line per step."""

from time import perf_counter
from typing import TYPE_CHECKING

import click

from atb.cli.accounts import journal
from atb.cli.commands import Command
from atb.cli.output import json_option, print_json, start

if TYPE_CHECKING:
    from atb.workbench.demo import Demo, FinishedStep


@click.command(cls=Command)
@json_option
def demo(as_json: bool) -> None:
    """Run all steps from candles to a paper session, offline, on a synthetic market.

    Sample market, model, backtest, proofs, gate, promotion, a runner process, and its comparison with the backtest.

    \b
    Example:
      atb demo
    """
    from atb.workbench.demo import Demo

    settings = start()
    began = perf_counter()
    with journal(settings) as database:
        demo_run = Demo(settings, database)
        steps = list(_shown(demo_run, as_json=as_json))
        if as_json:
            print_json(_facts(demo_run, steps))
        else:
            _last_screen(demo_run, perf_counter() - began)


def _shown(demo_run: "Demo", *, as_json: bool) -> list["FinishedStep"]:
    """Run the steps and print one line for each, its title first."""
    done = []
    number = 0

    def announce(title: str) -> None:
        nonlocal number
        number += 1
        if not as_json:
            click.echo(f"{number}. {title:<33}", nl=False)

    for step in demo_run.run(announce):
        done.append(step)
        if not as_json:
            click.echo(f"{step.seconds:6.1f} s  {step.outcome}")
    return done


def _facts(demo_run: "Demo", steps: list["FinishedStep"]) -> dict[str, object]:
    year, verdict = demo_run.year, demo_run.verdict
    return {
        "steps": [{"title": step.title, "outcome": step.outcome, "seconds": round(step.seconds, 2)} for step in steps],
        "picture": str(demo_run.picture),
        "report": str(demo_run.report),
        "manifest": str(demo_run.manifest),
        "stats": year.stats if year else None,
        "baselines": year.baselines if year else None,
        "verdict": verdict.to_json() if verdict else None,
    }


def _last_screen(demo_run: "Demo", seconds: float) -> None:
    from atb.reports.picture import sparkline
    from atb.workbench.demo import key_figures

    if demo_run.year is None or demo_run.verdict is None:
        return
    click.echo()
    click.echo(click.style(demo_run.year.label, bold=True))
    click.echo(sparkline(demo_run.year, width=72))
    click.echo(key_figures(demo_run.year).to_string(float_format=lambda value: f"{value:,.2f}", na_rep="-"))
    click.echo()
    click.echo(f"Picture  {demo_run.picture}")
    click.echo(f"Report   {demo_run.report}")
    click.echo(f"Manifest {demo_run.manifest}")
    click.echo()
    click.echo(click.style("Verdict: promoted to paper. Live would be refused:", bold=True))
    for reason in demo_run.verdict.live_reasons:
        click.echo(f"  - {reason}")
    click.echo("A toy model on made-up bars: this shows the workflow, not a way to make money.")
    click.echo()
    click.echo(f"Done in {seconds:.0f} s. Next: atb status, or open the notebooks: make lab")

"""`atb warmup`: compile the decision kernel now, so that the first backtest and the runner start at once."""

import click

from atb.cli.commands import Command
from atb.cli.output import json_option, print_json


@click.command(cls=Command)
@json_option
def warmup(*, as_json: bool) -> None:
    """Compile the decision kernel ahead of its first use; quick when it is compiled already.

    \b
    Examples:
      atb warmup
      atb warmup --json
    """
    from time import perf_counter

    from atb.engine.cache import cache_folder, is_compiled, kernel_hash
    from atb.engine.warm import warm_up

    was_compiled, began = is_compiled(), perf_counter()
    if not was_compiled and not as_json:
        click.echo("Compiling the decision kernel, once...")
    warm_up()
    facts = {"kernel_hash": kernel_hash(), "seconds": round(perf_counter() - began, 2), "was_compiled": was_compiled}
    if as_json:
        print_json(facts | {"folder": str(cache_folder())})
    else:
        done = "was compiled already" if was_compiled else "compiled"
        click.echo(f"Kernel {kernel_hash()[:12]} {done} ({facts['seconds']} s).")

"""`atb config`: the settings, and where each value came from."""

from typing import TYPE_CHECKING

import click

from atb.cli.commands import Family
from atb.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from atb.config import LoadedSettings


@click.group(cls=Family)
def config() -> None:
    """Show the settings and where each value came from.

    A value is taken from the first source that has it: argument, environment variable ATB__SECTION__KEY, the file .env,
    the file atb.toml, default. Both files stand in the project folder.

    \b
    Examples:
      atb config show
      ATB__LOG__LEVEL=debug atb config show --json
      atb config schema > atb.schema.json
    """


@config.command()
@json_option
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Print every setting, its value and its source; secrets and passwords are masked.

    \b
    Examples:
      atb config show
      atb --root scratch config show --json
    """
    loaded = _load(ctx)
    rows = loaded.rows()
    if as_json:
        print_json(rows)
        return
    print_table(rows, ["key", "value", "source"])
    click.echo(f"\nProject folder: {loaded.settings.project}")


@config.command()
@json_option
@click.pass_context
def path(ctx: click.Context, as_json: bool) -> None:
    """Print where settings are read from and where things are written.

    \b
    Examples:
      atb config path
      atb config path --json
    """
    settings = _load(ctx).settings
    files = {name: settings.project / name for name in (".env", "atb.toml")}
    folders = {
        "project": settings.project,
        "data": settings.data.root,
        "bars": settings.bars_root,
        "runs": settings.runs_root,
        "cache": settings.cache_root,
        "strategies": settings.strategies_root,
        "models": settings.models_root,
        "promoted": settings.promoted_root,
    }
    rows = [{"what": what, "path": str(where), "exists": where.exists()} for what, where in (files | folders).items()]
    if as_json:
        print_json(rows)
    else:
        print_table(rows)


@config.command()
def schema() -> None:
    """Print the JSON schema of atb.toml, for editors that complete and check it.

    \b
    Examples:
      atb config schema > atb.schema.json
    """
    from atb.config import settings_schema

    print_json(settings_schema())


def _load(ctx: click.Context) -> "LoadedSettings":
    """Load the settings; `--root` reaches commands as a variable, and is an argument to the reader."""
    from atb.config import load_with_sources

    root = ctx.find_root().params.get("root")
    return load_with_sources(data={"root": root}) if root is not None else load_with_sources()

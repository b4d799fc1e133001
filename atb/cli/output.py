"""Printing shared by all commands: tables, fields, strict JSON and errors."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from atb.config import Settings

C = TypeVar("C", bound=Callable[..., Any])


class Family(click.Group):
    """A group of commands that says which one was probably meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest."""
        if args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            from atb.errors import did_you_mean

            raise click.UsageError(f"No such command {args[0]!r}. {did_you_mean(args[0], self.commands)}", ctx)
        return super().resolve_command(ctx, args)


Row = Mapping[str, object]
_LONGEST_HARMLESS = 24  # a signed address or a header with its key is longer


def json_option(command: C) -> C:
    """Add the flag `--json`, passed to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON value on standard output.")(command)


def start() -> "Settings":
    """Read the settings and switch on redacted logging: the first line of a command that logs."""
    from atb.config import load_settings
    from atb.monitoring import configure_logging

    settings = load_settings()
    configure_logging(settings.log.level, json_lines=settings.log.json_lines, secrets=settings.secrets())
    return settings


def plain(value: object) -> Any:
    """Return `value` as JSON types: NaN and infinities become null, times ISO 8601, everything unknown its text."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    item = getattr(value, "item", None)  # a numpy scalar
    return plain(item()) if callable(item) and getattr(value, "ndim", None) == 0 else str(value)


def print_json(value: object) -> None:
    """Print one indented JSON value that any strict parser reads, without secrets in its texts."""
    click.echo(json.dumps(_clean(plain(value)), indent=2, allow_nan=False, ensure_ascii=False))


def _clean(value: Any) -> Any:
    """Return JSON types whose texts hold no secret; a value under a telling name stays, since a schema describes such names."""
    if isinstance(value, str):
        from atb.monitoring.redaction import installed

        return installed().text(value) if len(value) > _LONGEST_HARMLESS else installed().known(value)
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def print_error(message: str, file: IO[Any] | None = None) -> None:
    """Print `Error: ...` on standard error, red in a terminal, without secrets: libraries put signed addresses into errors."""
    from atb.monitoring.redaction import redact

    text = f"Error: {redact(message)}"
    click.echo(text if "NO_COLOR" in os.environ else click.style(text, fg="red"), file=file, err=file is None)


def cell(value: object) -> str:
    """Return a table cell: nothing for None and NaN, at most six significant digits for a float."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.6g}" if isinstance(value, float) else str(_clean(str(value)))


def table_lines(rows: Sequence[Row], columns: Sequence[str] | None = None) -> list[str]:
    """Lay out rows in aligned columns, numbers to the right, a heading first."""
    names = list(columns) if columns is not None else list(rows[0]) if rows else []
    cells = [[cell(row.get(name)) for name in names] for row in rows]
    widths = [max([len(name), *(len(line[i]) for line in cells)]) for i, name in enumerate(names)]
    right = [bool(rows) and all(_is_number(row.get(name)) for row in rows) for name in names]

    def line(texts: Sequence[str]) -> str:
        parts = zip(texts, widths, right, strict=True)
        return "  ".join(text.rjust(width) if end else text.ljust(width) for text, width, end in parts).rstrip()

    return [line(names), *(line(texts) for texts in cells)]


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def print_table(rows: Sequence[Row], columns: Sequence[str] | None = None, *, empty: str = "Nothing to show.") -> None:
    """Print rows as a table, or the sentence `empty` where there are none."""
    if not rows:
        click.echo(empty)
        return
    heading, *lines = table_lines(rows, columns)
    click.echo(click.style(heading, bold=True))
    for line in lines:
        click.echo(line)


def print_fields(fields: Row) -> None:
    """Print one `name  value` line per field."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name.ljust(width)}  {cell(value)}".rstrip())

"""Printing shared by all commands: tables, fields, strict JSON and errors."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from atb.cli import layout
from atb.cli.layout import Row
from atb.decimals import number

if TYPE_CHECKING:
    from atb.checks import Check
    from atb.config import Settings

C = TypeVar("C", bound=Callable[..., Any])


_COLOURS = {"ok": "green", "warning": "yellow", "error": "red", "skipped": "yellow", "info": "white"}
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
        from atb.redaction import installed

        return installed().text(value) if len(value) > _LONGEST_HARMLESS else installed().known(value)
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def print_error(message: str, file: IO[Any] | None = None) -> None:
    """Print `Error: ...` on standard error, red in a terminal, without secrets: libraries put signed addresses into errors."""
    from atb.redaction import redact

    text = f"Error: {redact(message)}"
    click.echo(text if "NO_COLOR" in os.environ else click.style(text, fg="red"), file=file, err=file is None)


def print_note(message: str) -> None:
    """Print a sentence on standard error that is no failure, without secrets."""
    from atb.redaction import redact

    click.echo(f"Note: {redact(message)}", err=True)


def amounts(row: Row, *names: str) -> dict[str, object]:
    """Return a row whose exact amounts (text) under these names are numbers, as people read them."""
    return {name: float(value) if name in names and isinstance(value, str) else value for name, value in row.items()}


def moments(row: Row, *names: str) -> dict[str, object]:
    """Return a row whose ISO times under these names read `2024-01-31 09:45`, UTC."""
    return {
        name: value[:16].replace("T", " ") if name in names and isinstance(value, str) else value
        for name, value in row.items()
    }


def cell(value: object) -> str:
    """Return a table cell: nothing for None and NaN, decimals without exponent for a float."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(_clean(str(value)))


def table_lines(rows: Sequence[Row], columns: Sequence[str] | None = None, *, spare: Sequence[str] = ()) -> list[str]:
    """Lay out rows in aligned columns, numbers to the right, a heading first, in the width of the terminal."""
    names = list(columns) if columns is not None else list(rows[0]) if rows else []
    cells = [[cell(row.get(name)) for name in names] for row in rows]
    right = [bool(rows) and all(_is_number(row.get(name)) for row in rows) for name in names]
    return layout.table_lines(layout.TextTable(names, cells, right), layout.terminal_width(), spare=spare)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def print_table(
    rows: Sequence[Row],
    columns: Sequence[str] | None = None,
    *,
    spare: Sequence[str] = (),
    empty: str = "Nothing to show.",
) -> None:
    """Print rows as a table, or the sentence `empty`; columns of `spare` are left out where room is scarce."""
    if not rows:
        print_text(empty)
        return
    heading, *lines = table_lines(rows, columns, spare=spare)
    click.echo(click.style(heading, bold=True))
    for line in lines:
        click.echo(line)


def print_check(check: "Check") -> None:
    """Print the outcome of a check, and what to do about it."""
    click.echo(f"{click.style(check.status.ljust(7), fg=_COLOURS[check.status])}  {check.name}: {_clean(check.found)}")
    if check.todo:
        click.echo(f"         {check.todo}")


def print_fields(fields: Row) -> None:
    """Print one `name  value` line per field."""
    for line in layout.field_lines({name: cell(value) for name, value in fields.items()}, layout.terminal_width()):
        click.echo(line)


def print_text(text: str) -> None:
    """Print a paragraph in lines that fit the terminal, without secrets."""
    click.echo(layout.paragraph(str(_clean(text)), layout.terminal_width()))


def command_line(command: str) -> str:
    """Return a command to type next: with the `--root` of this call, if one was given."""
    import shlex

    root = click.get_current_context().find_root().params.get("root")
    return f"atb --root {shlex.quote(str(root))} {command}" if root else f"atb {command}"


def print_points(texts: Sequence[str], mark: str = "-") -> None:
    """Print sentences as a list, one point each."""
    for line in texts:
        first, *rest = layout.field_lines({f" {mark}": str(_clean(line))}, layout.terminal_width())
        click.echo("\n".join([f" {mark} {first[4:]}", *(part[1:] for part in rest)]))

"""Base classes of every command: an option of one value may be given once, and a mistyped sub-command is recognised.

Otherwise the last of two values would win in silence: `--symbol A --symbol B` would trade B alone.
"""

import copy
from typing import Any

import click


class Command(click.Command):
    """A command that refuses an option of one value when it is given twice."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is given twice, then parse."""
        refuse_twice(self, ctx, args)
        return super().parse_args(ctx, args)


class Family(click.Group):
    """A group of commands that says which one was probably meant."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is given twice, then parse."""
        refuse_twice(self, ctx, args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest."""
        if args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            from atb.errors import did_you_mean

            raise click.UsageError(f"No such command {args[0]!r}. {did_you_mean(args[0], self.commands)}", ctx)
        return super().resolve_command(ctx, args)


def refuse_twice(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    """Refuse an option that takes one value and was given two, naming both; a flag may be repeated, not contradicted."""
    if ctx.resilient_parsing:
        return
    options = {option.name: option for option in command.params if isinstance(option, click.Option)}
    for name, values in _every_value(command, ctx, args).items():
        option = options.get(name)
        if option is None or option.multiple or option.count:
            continue
        if len(values) > 1 and not (option.is_flag and len(set(values)) == 1):
            from atb.redaction import MASK, is_secret_name

            flags = "/".join([*option.opts, *option.secondary_opts])
            shown = " and ".join(MASK if is_secret_name(name) else repr(value) for value in values)
            raise click.UsageError(f"{flags} is given more than once: {shown}. Give it once.", ctx)


def _every_value(command: click.Command, ctx: click.Context, args: list[str]) -> dict[str, list[Any]]:
    """Return every value that each option was given, in order; nothing where the arguments cannot be parsed at all."""
    twin = copy.copy(command)
    twin.params = [_repeatable(parameter) for parameter in command.params]
    try:
        found, _, _ = twin.make_parser(ctx).parse_args(list(args))
    except click.UsageError:
        return {}  # the command's own parser says what is wrong
    return {name: list(values) for name, values in found.items() if isinstance(values, list)}


def _repeatable(parameter: click.Parameter) -> click.Parameter:
    twin = copy.copy(parameter)
    if isinstance(twin, click.Option) and not twin.count:
        twin.multiple = True
    return twin

"""`%atb` in a notebook: the command line without a terminal, such as `%atb backtest sma_cross -s BTC/USDT -t 4h`; Tab completes it.

`%load_ext atb` adds it. A command runs inside the kernel, prints into the cell, and a refusal ends the cell without a traceback, so
that Run All and a recorded run stop there too. What takes over its process or runs until it is ended is left to a terminal.
"""

import shlex
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.completer import SimpleMatcherResult

TERMINAL = ("lab", "live", "exchange")  # they replace their process, or run until they are interrupted


def load_magic(shell: Any) -> None:
    """Add `%atb` and its completion to a running kernel; to add it again changes nothing."""
    from IPython.core.completer import context_matcher

    def atb(line: str) -> None:
        """Call the command line: `%atb backtest sma_cross -s BTC/USDT -t 4h`, `%atb runs`, `%atb --help`."""
        run_line(line)

    shell.register_magic_function(atb, magic_kind="line", magic_name="atb")
    matchers = shell.Completer.custom_matchers
    if not any(getattr(matcher, "matcher_identifier", None) == "%atb" for matcher in matchers):
        matchers.append(context_matcher(identifier="%atb")(_matcher))


def run_line(line: str) -> None:
    """Run the command that a line holds.

    Raises
    ------
    UsageError
        If the command refuses or fails, with what it says; IPython shows no traceback for it.
    """
    import click
    from IPython.core.error import UsageError

    from atb.cli import main

    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{error}: %atb {line}") from None
    if words and words[0] in TERMINAL:
        raise UsageError(f"`atb {words[0]}` needs a terminal of its own: call it there")
    sys.stdout.flush()
    try:
        code = main.main(args=words, prog_name="atb", standalone_mode=False)
    except click.UsageError as error:
        context = f"{error.ctx.get_usage()}\n" if error.ctx else ""
        raise UsageError(context + error.format_message()) from None
    except click.ClickException as error:
        raise UsageError(error.format_message()) from None
    except click.Abort:
        raise UsageError("Nobody can answer a question here: give the answer as an option") from None
    except SystemExit as ended:
        code = ended.code
    if isinstance(code, int | str) and code:
        raise UsageError(f"`atb {line.strip()}` ended with exit code {code}")


def completions(words: list[str], incomplete: str) -> list[str]:
    """Return the completions of an incomplete word after these words of a command line."""
    from click.shell_completion import ShellComplete

    from atb.cli import main

    found = ShellComplete(main, {}, "atb", "").get_completions(words, incomplete)
    return [item.value for item in found if item.type == "plain"]


def _matcher(context: Any) -> "SimpleMatcherResult":
    """Return IPython's completions of the word at the cursor in a line of `%atb`: these alone, without Python's own words."""
    from IPython.core.completer import SimpleCompletion

    before = context.text_until_cursor.lstrip()
    if not before.startswith(("%atb ", "atb ")):
        return {"completions": []}
    words = before.removesuffix(context.token).split()[1:]
    found = completions(words, context.token)
    alone = bool(found) and before[0] == "%"
    return {"completions": [SimpleCompletion(text) for text in found], "suppress": alone, "ordered": True}

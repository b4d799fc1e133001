"""The magics of a notebook: `%%strategy NAME` writes its cell to the file of a strategy, which the notebook then uses.

They are there after `import atb.workbench` or `%load_ext atb`.
"""

from typing import TYPE_CHECKING, Any

from atb.errors import InputError

if TYPE_CHECKING:
    from atb.workbench.scaffold import Written


def load_magics(shell: Any) -> None:
    """Add the magics to a running kernel; to add them again changes nothing."""

    def strategy(line: str, cell: str) -> None:
        """Write the cell to the file of a strategy, with a test and a notebook: `%%strategy NAME [--replace]`."""
        written = write_strategy(line, cell, shell.user_ns)
        shell.user_ns[written.kind.__name__] = written.kind
        print(_summary(written))  # noqa: T201 - the cell's output

    shell.register_magic_function(strategy, magic_kind="cell", magic_name="strategy")


def write_strategy(line: str, cell: str, known: dict[str, Any]) -> "Written":
    """Write a cell as the line behind `%%strategy` says.

    Parameters
    ----------
    line
        The strategy's name, and `--replace` if a file that was edited may be replaced.
    known
        The notebook's variables.

    Raises
    ------
    InputError
        If the line has no name or something else, or as `atb.workbench.scaffold.write_cell`.
    """
    from atb.config import load_settings
    from atb.workbench.scaffold import write_cell

    words = line.split()
    names = [word for word in words if word != "--replace"]
    if len(names) != 1:
        raise InputError(
            "Say the strategy's name", found=line.strip(), todo="%%strategy NAME, or %%strategy NAME --replace"
        )
    return write_cell(names[0], cell, load_settings(), known=known, replace="--replace" in words)


def _summary(written: "Written") -> str:
    name = written.name
    return (
        f"{written.kind.__name__} is the strategy {name}: {written.source}\n"
        f"Try it: atb test-strategy {name}; atb backtest {name}; or make_strategy({name!r}) here"
    )

"""A notebook's parameters: read from its cell tagged `parameters`, and checked before anything runs.

The comment behind a parameter is its help. It may end in the range of a number or of a list's numbers, both ends included, or in
the choices of a text:

    fast: int = 10  # window of the fast average, bars (1..500)
    fee: float = 0.001  # fee of each order, as a fraction of its value (0..)
    model: str = "logistic"  # kind of the model (one of logistic, gradient_boosting)
"""

import ast
import io
import json
import re
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from atb.errors import InputError, did_you_mean
from atb.experiments.conversion import Kind, Plain, convert

TAG = "parameters"
ANNOTATION = re.compile(r"int|float|bool|str|list(\[(?P<item>int|float|bool|str)\])?|dict(\[str,\w+\])?")
KINDS = ("int", "float", "bool", "str", "list", "dict")
_NUMBER = r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"\((?P<low>{_NUMBER})?\.\.(?P<high>{_NUMBER})?\)\s*$")
_CHOICES = re.compile(r"\(one of ([^()]+)\)\s*$")
SECRET_WORDS = {"key", "apikey", "secret", "token", "password", "passwd", "passphrase", "credential", "credentials"}
_TYPES = f"Use one of {', '.join(KINDS)}, list[...] of a simple type, and `| None`"


@dataclass(frozen=True)
class Bounds:
    """The least and the largest number that a parameter may have, or the texts; nothing bounds a side that is None."""

    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, help_text: str) -> Self:
        """Read what a help text ends in."""
        if found := _CHOICES.search(help_text):
            return cls(choices=tuple(choice.strip() for choice in found[1].split(",")))
        if found := _RANGE.search(help_text):
            low, high = (None if end is None else float(end) for end in (found["low"], found["high"]))
            return cls(low, high)
        return cls()

    def check(self, name: str, value: Plain) -> None:
        """Refuse a value beyond the bounds.

        Raises
        ------
        InputError
            Naming the parameter, the value and the bounds.
        """
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str) and self.choices and each not in self.choices:
                raise InputError(
                    f"Parameter {name!r} has other values", found=each, todo=did_you_mean(each, self.choices)
                )
            if isinstance(each, int | float) and not isinstance(each, bool) and not self._holds(each):
                low, high = ("" if end is None else f"{end:.12g}" for end in (self.low, self.high))
                bounds = f"from {low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
                raise InputError(f"Parameter {name!r} must be {bounds}", found=each)

    def _holds(self, number: float) -> bool:
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell: `fast: int = 10  # fast window, bars (1..500)`."""

    name: str
    kind: Kind
    default: Plain
    help: str = ""

    @property
    def bounds(self) -> Bounds:
        """The values it may have, as its help says."""
        return Bounds.of(self.help)


def read_parameters(notebook: Path) -> tuple[Parameter, ...]:
    """Return the typed parameters of a notebook file, in their order.

    Raises
    ------
    InputError
        If the file is not a notebook, has no or several parameters cells, or the cell holds more than literal defaults.
    """
    cells = _plain_cells(notebook)
    if cells is not None:
        return _declared(cells, notebook.name)
    return parameters_of(read_notebook(notebook), notebook.name)


def _plain_cells(path: Path) -> list[Any] | None:
    """Return the cells of a notebook in the current format, None for any other; avoids importing nbformat, which is slow."""
    try:
        node = json.loads(path.read_text(encoding="utf-8"))
        cells = [(cell["cell_type"], cell["metadata"].get("tags", []), cell["source"]) for cell in node["cells"]]
        plain = node["nbformat"] == 4 and all(isinstance(text, str | list) for _, _, text in cells)
        found = [
            SimpleNamespace(cell_type=kind, metadata={"tags": tags}, source="".join(text)) for kind, tags, text in cells
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return found if plain and path.suffix == ".ipynb" else None


def read_notebook(path: Path) -> Any:
    """Return a notebook as nbformat's node, upgraded to the current format with an id for each cell."""
    import warnings

    import nbformat

    if path.suffix != ".ipynb" or not path.is_file():
        near = did_you_mean(path.name, [found.name for found in path.parent.glob("*.ipynb")])
        raise InputError("There is no such notebook", found=str(path), todo=near)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nbformat warns of each cell id it adds to an old notebook
            node = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call] # no types there
            return nbformat.validator.normalize(node)[1]
    except (ValueError, KeyError, AttributeError, RecursionError, nbformat.ValidationError, OSError) as error:
        wrong = f"The file is not a notebook ({type(error).__name__})"
        raise InputError(wrong, found=str(path), todo="Open it in JupyterLab, and save it again") from None


def parameters_of(node: Any, label: str) -> tuple[Parameter, ...]:
    """Return the typed parameters of a notebook in memory; `label` names it in messages."""
    return _declared(node.cells, label)


def _declared(all_cells: Sequence[Any], label: str) -> tuple[Parameter, ...]:
    cells = [cell for cell in all_cells if cell.cell_type == "code" and TAG in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        count = "no cell" if not cells else f"{len(cells)} cells"
        raise InputError(
            f"{label} has {count} tagged {TAG!r}", todo="Tag exactly one code cell (property inspector, Tags)"
        )
    return parse_parameters(cells[0].source, label)


def parse_parameters(source: str, label: str) -> tuple[Parameter, ...]:
    """Return the typed parameters declared in a cell's source."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise InputError(
            f"The parameters cell of {label} is not Python (line {error.lineno})", found=error.text
        ) from None
    comments = _comments(source)
    found: dict[str, Parameter] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        parameter = _parameter(statement, comments.get(statement.end_lineno or 0, ""), label)
        if parameter.name in found:
            raise InputError(f"{label} declares parameter {parameter.name!r} twice")
        found[parameter.name] = parameter
    return tuple(found.values())


def validate_parameters(spec: Sequence[Parameter], given: Mapping[str, object]) -> dict[str, Plain]:
    """Return the given values, each converted to a plain value of its declared type.

    Parameters
    ----------
    spec
        The notebook's parameters, from `read_parameters`.
    given
        Text from the command line, or Python values. Only names of the spec are accepted: papermill writes names into the
        notebook unchanged, so code in a name would run.

    Raises
    ------
    InputError
        If a name is unknown or that of a secret, or a value does not fit its type or its range.
    """
    known = {parameter.name: parameter for parameter in spec}
    for name in given:
        refuse_secret(str(name))
        if name not in known:
            raise InputError("There is no such parameter", found=name, todo=did_you_mean(str(name), known))
    values = {name: convert(name, known[name].kind, value) for name, value in given.items()}
    for name, value in values.items():
        known[name].bounds.check(name, value)
    return values


def with_defaults(spec: Sequence[Parameter], values: Mapping[str, Plain]) -> dict[str, Plain]:
    """Return the value of every parameter: the given one, or its default."""
    return {parameter.name: values.get(parameter.name, parameter.default) for parameter in spec}


def _parameter(statement: ast.stmt, help_text: str, label: str) -> Parameter:
    target, annotation, value = _parts(statement)
    if not isinstance(target, ast.Name):
        line = f"line {statement.lineno}: {ast.unparse(statement)}"
        raise InputError(f"The parameters cell of {label} may hold only `name: type = value`", found=line)
    refuse_secret(target.id)
    if value is None:
        raise InputError(
            f"Parameter {target.id!r} of {label} has no default", todo="A notebook must run alone with its defaults"
        )
    default = _literal(target.id, value, label)
    kind = _kind_of_default(target.id, default) if annotation is None else _kind(target.id, annotation)
    found = Parameter(target.id, kind, _fit(target.id, kind, default), help_text)
    found.bounds.check(target.id, found.default)
    return found


def _parts(statement: ast.stmt) -> tuple[ast.expr | None, ast.expr | None, ast.expr | None]:
    if isinstance(statement, ast.AnnAssign):
        return statement.target, statement.annotation, statement.value
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return statement.targets[0], None, statement.value
    return None, None, None


def _literal(name: str, value: ast.expr, label: str) -> object:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        wrong = f"The default of parameter {name!r} in {label} must be a literal"
        raise InputError(wrong, found=ast.unparse(value), todo="Compute it in a later cell") from None


def _fit(name: str, kind: Kind, default: object) -> Plain:
    """Check a default as strictly as a given value; text is not a default of an int parameter."""
    if isinstance(default, str) and kind.base != "str":
        raise InputError(f"The default of parameter {name!r} is declared {kind}", found=default)
    return default if isinstance(default, str) else convert(name, kind, default)


def _kind_of_default(name: str, default: object) -> Kind:
    if type(default).__name__ not in KINDS:
        raise InputError(f"Parameter {name!r} needs a type that notebooks can be given", found=default, todo=_TYPES)
    return Kind(type(default).__name__)


def _kind(name: str, annotation: ast.expr) -> Kind:
    text = ast.unparse(annotation).strip("'\"").replace(" ", "")
    text = re.sub(r"^(?:typing\.)?Optional\[(.*)\]$", r"\1|None", text)
    parts = [part for part in text.split("|") if part != "None"]
    found = ANNOTATION.fullmatch(parts[0]) if len(parts) == 1 else None
    if not found:
        raise InputError(f"Parameter {name!r} has a type that notebooks cannot be given", found=text, todo=_TYPES)
    return Kind(parts[0].partition("[")[0], found["item"], optional="None" in text.split("|"))


def refuse_secret(name: str) -> None:
    """Refuse a parameter that is named like a secret."""
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().split("_")
    if SECRET_WORDS.intersection(words):
        raise InputError(
            "A secret cannot be a parameter: it would stay in the executed notebook",
            found=name,
            todo="Set it as an environment variable or in .env",
        )


def _comments(source: str) -> dict[int, str]:
    """Return the comment that ends each line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ").strip() for token in tokens if token.type == tokenize.COMMENT}

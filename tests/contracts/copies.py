"""Finds code that was copied from one module to another, whatever its names and docstrings were changed to."""

import ast
import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping

RUN = 3  # statements in a row
LEAST = 40  # nodes of a copy: shorter ones are alike by chance


def copies(sources: Mapping[str, str], *, least: int = LEAST) -> list[tuple[str, ...]]:
    """Return the places (module:line) of each piece of code that two modules share, as text by module name."""
    places: dict[str, dict[str, str]] = defaultdict(dict)
    for module, text in sources.items():
        for statements in _pieces(ast.parse(text)):
            shape, nodes = _shape(statements)
            if nodes >= least:
                places[shape].setdefault(module, f"{module}:{statements[0].lineno}")
    return sorted({tuple(sorted(found.values())) for found in places.values() if len(found) > 1})


def _pieces(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Give each function's body, and each run of statements in one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = [each for each in node.body if not _is_docstring(each)]
            if body:
                yield body
            yield from (body[at : at + RUN] for at in range(len(body) - RUN + 1))


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _shape(statements: list[ast.stmt]) -> tuple[str, int]:
    """Return the code with local names, parameters' names and texts left out, and how many nodes it has."""
    named: dict[str, str] = {}
    parts, count = [], 0
    for statement in statements:
        for node in ast.walk(_Fields().visit(copy.deepcopy(statement))):
            count += 1
            parts.append(type(node).__name__)
            if isinstance(node, ast.Name):
                parts.append(named.setdefault(node.id, f"v{len(named)}"))
            elif isinstance(node, ast.Attribute):
                parts.append(node.attr)
            elif isinstance(node, ast.Constant) and not isinstance(node.value, str):
                parts.append(repr(node.value))
    return " ".join(parts), count


class _Fields(ast.NodeTransformer):
    """Takes `self.x` for a name, as it would be outside the class."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return ast.Name(f"self.{node.attr}", node.ctx)
        return self.generic_visit(node)

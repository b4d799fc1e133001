"""The grid of a batch of notebook runs: axes whose every combination is run, or a file that lists the runs one by one.

An axis is `NAME=VALUES` as for a strategy (`atb.cli.grid`), or a list in a YAML file. Values that hold commas are parted by
semicolons: `symbols=BTC/USDT,ETH/USDT; SOL/USDT` are two lists. A YAML file that is a list holds one run's parameters in each
item:

    - {symbol: BTC/USDT, timeframe: 1h}
    - {symbol: ETH/USDT, timeframe: 4h, days: 90}
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from atb.cli.grid import read_axis, read_grid_file
from atb.errors import InputError
from atb.experiments.batch.plan import MOST

if TYPE_CHECKING:
    from atb.experiments.parameters import Parameter

MANY = ("list", "dict")  # kinds whose values hold commas
EXAMPLE = "Such as --grid fast=10,20,30, --grid symbol=BTC/USDT,ETH/USDT or --grid grid.yaml"


def read_cells(given: Sequence[str], spec: Sequence["Parameter"]) -> list[dict[str, object]]:
    """Return the parameters of each run: every combination of the axes, with each listed run.

    Raises
    ------
    InputError
        A text is no axis, an axis is given twice or has a value twice, a file cannot be read or holds something else, or there are
        too many combinations.
    """
    axes: dict[str, list[object]] = {}
    listed: list[dict[str, object]] = [{}]
    for text in given:
        found = _axes_or_runs(text, {parameter.name: parameter.kind.base for parameter in spec})
        if isinstance(found, list):
            listed = _merged(listed, found)
            continue
        for name, values in found.items():
            if name in axes:
                raise InputError("An axis is given twice", found=name, todo="Give all its values once")
            if len(values) > len({repr(value) for value in values}):
                raise InputError("A value of the grid is given twice", found=f"{name}: {values}"[:200])
            axes[name] = values
    if not axes and listed == [{}]:
        raise InputError("A batch needs a grid", todo=EXAMPLE)
    count = len(listed) * math.prod(len(values) for values in axes.values())
    if count > MOST:
        raise InputError(f"A batch has at most {MOST:,} runs", found=f"{count:,}", todo="Run it in parts")
    return list(_combined(listed, axes))


def _combined(listed: list[dict[str, object]], axes: Mapping[str, list[object]]) -> Iterator[dict[str, object]]:
    for run in listed:
        if twice := sorted({*run} & {*axes}):
            raise InputError(
                "A parameter is given twice", found=", ".join(twice), todo="In the listed runs, or as an axis"
            )
        for values in itertools.product(*axes.values()):
            yield {**run, **dict(zip(axes, values, strict=True))}


def _merged(listed: list[dict[str, object]], found: list[dict[str, object]]) -> list[dict[str, object]]:
    if listed != [{}]:
        raise InputError("One file may list the runs", todo="Put all runs into one, or give axes")
    return found


def _axes_or_runs(text: str, kinds: Mapping[str, str]) -> dict[str, list[object]] | list[dict[str, object]]:
    name, equals, values = text.partition("=")
    if equals:
        return {name.strip(): read_axis(name, values, _between(kinds.get(name.strip()), values))}
    found = read_grid_file(Path(text))
    if isinstance(found, list):
        return [_run(text, item) for item in found]
    return {str(axis): _axis(str(axis), each, kinds.get(str(axis))) for axis, each in found.items()}


def _run(path: str, item: object) -> dict[str, object]:
    if not isinstance(item, Mapping) or not item:
        raise InputError(
            "Each item of a list of runs holds parameters by name", found=item, todo=f"In {path}: - {{fast: 10}}"
        )
    return {str(name): value for name, value in item.items()}


def _axis(name: str, values: object, kind: str | None) -> list[object]:
    if isinstance(values, str):
        return read_axis(name, values, _between(kind, values))
    if not isinstance(values, list) or not values:
        raise InputError("An axis is a list of values", found=f"{name}: {values}"[:200], todo=EXAMPLE)
    return values


def _between(kind: str | None, values: str) -> str:
    """Return the sign between the values of an axis."""
    return ";" if kind in MANY or (kind == "str" and ";" in values) else ","

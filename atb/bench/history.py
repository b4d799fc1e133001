"""Results kept per release: the ratios of a benchmark, one file per version, and how they changed since the last one kept.

Only ratios are kept: seconds belong to one machine, ratios of CPU seconds measured side by side carry over to others.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from atb.bench.cases import ATB, Row
from atb.errors import InputError
from atb.files import make_public_folder, write_public
from atb.reading import read_json

SCHEMA = 1
RESULTS = Path(__file__).resolve().parents[2] / "tests" / "bench" / "results"  # in a checkout
Key = tuple[str, str, int, int, int]  # case, engine, bars, combinations, workers


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long as atb an engine took for one case; above 1 atb is faster."""

    case: str
    engine: str
    bars: int
    combos: int
    workers: int
    ratio_to_atb: float

    @property
    def key(self) -> Key:
        """Key of a ratio: two ratios are compared if theirs are equal."""
        return self.case, self.engine, self.bars, self.combos, self.workers


@dataclass(frozen=True)
class Kept:
    """The ratios kept for one version, with the date of the last measurement."""

    version: str
    kept: str
    ratios: tuple[Ratio, ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a kept file.

        Raises
        ------
        InputError
            If it cannot be read or has another form.
        """
        try:
            values = read_json(path)
            _check_schema(values["schema"])
            return cls(str(values["version"]), str(values["kept"]), tuple(Ratio(**row) for row in values["ratios"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"Kept benchmark results cannot be read ({type(error).__name__}: {error})", found=str(path),
                todo="Restore the file, or delete it and run atb bench --keep again",
            ) from None  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the form of the file."""
        rows = [asdict(ratio) for ratio in sorted(self.ratios, key=lambda ratio: ratio.key)]
        return {"schema": SCHEMA, "version": self.version, "kept": self.kept, "ratios": rows}


def _check_schema(schema: object) -> None:
    if schema != SCHEMA:
        raise ValueError(f"schema {schema}, not {SCHEMA}")


def ratios_of(rows: Sequence[Row]) -> tuple[Ratio, ...]:
    """Return the ratios worth keeping: of other engines, and of atb on several workers; rounded to four significant digits."""
    return tuple(
        Ratio(row.case, row.engine, row.bars, row.combos, row.workers, float(f"{row.ratio_to_atb:.4g}"))
        for row in rows
        if row.ratio_to_atb and (row.engine, row.workers) != (ATB, 1)
    )


def keep(rows: Sequence[Row], folder: Path, version: str) -> Path:
    """Write the ratios to the version's file and return its path; those of cases not measured this time stay.

    Raises
    ------
    InputError
        If this is no checkout, or the present file cannot be read.
    """
    if not folder.parent.is_dir():
        raise InputError(
            "Benchmark results are kept in a checkout of atb, and this is an installed package", found=str(folder),
            todo="Run atb bench --keep in a checkout",
        )  # fmt: skip
    path = folder / f"{version}.json"
    ratios = {ratio.key: ratio for ratio in Kept.load(path).ratios} if path.exists() else {}
    ratios |= {ratio.key: ratio for ratio in ratios_of(rows)}
    kept = Kept(version, datetime.now(UTC).date().isoformat(), tuple(ratios.values()))
    make_public_folder(folder)
    write_public(path, (json.dumps(kept.to_json(), indent=2) + "\n").encode())
    return path


def last_kept(folder: Path, *, before: str | None = None) -> Kept | None:
    """Return the results of the newest version that was kept, with `before` of the newest older one; None without any.

    Raises
    ------
    InputError
        If its file cannot be read.
    """
    from packaging.version import InvalidVersion, Version

    found: dict[Version, Path] = {}
    for path in folder.glob("*.json"):
        try:
            found[Version(path.stem)] = path
        except InvalidVersion:
            continue  # not a version's file
    older = [version for version in found if before is None or version < Version(before)]
    return Kept.load(found[max(older)]) if older else None


def changes(rows: Sequence[Row], kept: Kept) -> list[str]:
    """Return one line per ratio that is measured now and was kept: its values and the change in percent."""
    before = {ratio.key: ratio.ratio_to_atb for ratio in kept.ratios}
    lines = []
    for ratio in ratios_of(rows):
        was = before.get(ratio.key)
        if was:
            change = (ratio.ratio_to_atb / was - 1) * 100
            name = f"{ratio.case}, {ratio.engine}" + (f", {ratio.workers} workers" if ratio.workers > 1 else "")
            lines.append(f"{name}: {ratio.ratio_to_atb:.4g}x, {kept.version} had {was:.4g}x ({change:+.0f} %)")
    return lines

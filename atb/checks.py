"""One check of anything: its name, whether it passed, what was found, what was wanted, and what to do next."""

from dataclasses import dataclass
from typing import Literal, Self

Status = Literal["ok", "warning", "error", "skipped", "info"]


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check.

    Parameters
    ----------
    name
        What was checked.
    status
        `ok`; `warning`, which stops nothing; `error`, which does; `skipped` where nothing could be checked; `info` for a figure
        that belongs to the checks beside it and can neither pass nor fail.
    found
        What was seen, with its numbers.
    todo
        What to do about it; empty where there is nothing to do.
    wanted
        What it takes to pass; empty where the name says it.
    """

    name: str
    status: Status
    found: str
    todo: str = ""
    wanted: str = ""

    @classmethod
    def of(  # noqa: PLR0917 - the fields in order
        cls, name: str, passed: bool, found: str, todo: str = "", *, wanted: str = ""
    ) -> Self:
        """Return a check that either passed (`ok`) or failed (`error`)."""
        return cls(name, "ok" if passed else "error", found, todo, wanted)

    @property
    def ok(self) -> bool:
        """True if the check passed without a warning."""
        return self.status == "ok"

    @property
    def failed(self) -> bool:
        """True if the check is an error."""
        return self.status == "error"

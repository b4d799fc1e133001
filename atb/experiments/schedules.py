"""Schedules: a command and a time as a line for cron and as units for systemd, each quoted as its reader wants it.

Times are UTC. systemd reads them so. Most crons know the machine's time zone alone: the line is written for it as it is now, and
where clocks change it moves by an hour, which the note says.
"""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from atb.environment import PREFIX, is_secret, variables
from atb.errors import InputError
from atb.experiments.surroundings import WITHHELD

if TYPE_CHECKING:
    from atb.config import Settings

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_MINUTE = re.compile(r"[0-5]?\d")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class When:
    """A time in UTC that returns: every hour, every day, or every week on `day` (0 is Monday)."""

    minute: int
    hour: int | None = None
    day: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, str | None]) -> Self:
        """Read exactly one of `hourly`, `daily` and `weekly`.

        Raises
        ------
        InputError
            If none or several are given, or one is no such time.
        """
        given = {name: text for name, text in options.items() if text is not None}
        if len(given) != 1:
            raise InputError(
                "A schedule has one time", found=", ".join(given) or "none", todo="Give --hourly, --daily or --weekly"
            )
        ((kind, text),) = given.items()
        day, _, clock = text.lower().rpartition("@")
        found = (_MINUTE if kind == "hourly" else _TIME).fullmatch(clock)
        if found is None or (kind == "weekly") != (day[:3] in DAYS) or (kind != "weekly" and day):
            wanted = {"hourly": "a minute such as 5", "daily": "such as 02:30", "weekly": "such as mon@06:30"}[kind]
            raise InputError(f"--{kind} is {wanted}", found=text)
        if kind == "hourly":
            return cls(int(clock))
        return cls(int(found[2]), int(found[1]), DAYS.index(day[:3]) if day else None)

    def calendar(self) -> str:
        """Return systemd's OnCalendar."""
        if self.hour is None:
            return f"*-*-* *:{self.minute:02d}:00 UTC"
        day = "" if self.day is None else f"{DAYS[self.day].capitalize()} "
        return f"{day}*-*-* {self.hour:02d}:{self.minute:02d}:00 UTC"

    def cron(self, ahead: timedelta) -> str:
        """Return cron's five fields where clocks are `ahead` of UTC."""
        local = _MONDAY + timedelta(days=self.day or 0, hours=self.hour or 0, minutes=self.minute) + ahead
        if self.hour is None:
            return f"{local.minute} * * * *"
        return f"{local.minute} {local.hour} * * {'*' if self.day is None else local.isoweekday() % 7}"


@dataclass(frozen=True)
class Job:
    """A command of atb that is run by the clock.

    Parameters
    ----------
    name
        Of units and log.
    words
        The program with its arguments; paths absolute.
    folder
        The project, whose settings apply.
    environment
        Settings of this call that are no secrets.
    log
        Where cron's output goes; systemd keeps its own.
    """

    name: str
    words: tuple[str, ...]
    when: When
    folder: Path
    environment: Mapping[str, str]
    log: Path
    missing: tuple[str, ...] = ()

    @classmethod
    def of(cls, command: Sequence[str], when: When, *, settings: "Settings", name: str | None = None) -> Self:
        """Return the job that runs a command as this call would.

        Raises
        ------
        InputError
            If the name is no file name, or a word has a line end.
        """
        name = (
            name
            or re.sub(r"[^A-Za-z0-9]+", "-", "-".join(["atb", *(Path(word).stem for word in command[:2])])).strip("-")[
                :60
            ]
        )
        if not _NAME.fullmatch(name):
            raise InputError("A schedule's name is letters, digits, - and _", found=name)
        given = {key: value for key, value in variables().items() if key.upper().startswith(PREFIX) and value}
        hidden = sorted(key for key, value in given.items() if key in WITHHELD or is_secret(key, value))
        kept = {key: value for key, value in sorted(given.items()) if key not in hidden}
        kept["ATB__DATA__ROOT"] = str(settings.data.root.resolve())
        words = (sys.executable, "-m", "atb", *(_absolute(word) for word in command))
        if any(character in text for text in (*words, *kept.values(), str(settings.project)) for character in "\n\r\0"):
            raise InputError("A schedule's command is one line", found=list(words))
        return cls(
            name,
            words,
            when,
            settings.project.resolve(),
            kept,
            settings.data.root.resolve() / f"{name}.log",
            tuple(hidden),
        )

    @property
    def zone_note(self) -> str:
        """In which zone cron's line is written."""
        here = datetime.now().astimezone()
        ahead = here.utcoffset() or timedelta()
        if not ahead:
            return "times are UTC, the zone of this machine"
        return f"cron reads this machine's zone, now {here.tzname()} ({here:%z}); the line moves when clocks change"

    def cron(self) -> str:
        """Return the line of a crontab; `%` would end a command there."""
        here = datetime.now().astimezone().utcoffset() or timedelta()
        setting = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.environment.items())
        command = f"cd {shlex.quote(str(self.folder))} && {setting} {shlex.join(self.words)} >> {shlex.quote(str(self.log))} 2>&1"
        return f"{self.when.cron(here)} {command}".replace("%", r"\%")

    def units(self) -> dict[str, str]:
        """Return the text of the service and of its timer, by path."""
        folder = "~/.config/systemd/user"
        secrets = (
            f"# Secrets of this shell are not here: put {', '.join(self.missing)} into {self.folder}/.env\n"
            if self.missing
            else ""
        )
        service = (
            f"{secrets}[Unit]\nDescription={_specifiers(shlex.join(('atb', *self.words[3:])))}\n\n[Service]\nType=oneshot\n"
            f"WorkingDirectory={_specifiers(str(self.folder))}\n"
            + "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in self.environment.items())
            + f"ExecStart={' '.join(_quoted(word, command=True) for word in self.words)}\n"
        )
        timer = (
            f"[Unit]\nDescription=Timer of {self.name}\n\n[Timer]\nOnCalendar={self.when.calendar()}\nPersistent=true\n\n"
            "[Install]\nWantedBy=timers.target\n"
        )
        return {f"{folder}/{self.name}.service": service, f"{folder}/{self.name}.timer": timer}

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON types."""
        return {"name": self.name, "command": list(self.words), "folder": str(self.folder), "environment": dict(self.environment),
                "cron": self.cron(), "zone": self.zone_note, "units": self.units(), "secrets": list(self.missing)}  # fmt: skip


def _absolute(word: str) -> str:
    """Return a word that names an existing file with its whole path; another folder is then as good."""
    looks_like_path = "/" in word or word.endswith((".ipynb", ".yaml", ".json", ".csv"))
    return str(Path(word).resolve()) if looks_like_path and Path(word).exists() else word


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str, *, command: bool = False) -> str:
    """Return a word as systemd reads it: C escapes inside quotes, `%` doubled, and `$` in commands, too."""
    text = _specifiers(word).replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{text.replace("$", "$$") if command else text}"'

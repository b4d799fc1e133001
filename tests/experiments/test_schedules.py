"""Lines for cron and systemd: each read back by its reader's own rules is the command that was asked for."""

import re
import shlex
import sys
from datetime import timedelta

import pytest

from atb.errors import InputError
from atb.experiments.schedules import Job, When
from tests.experiments.notebooks import settings_in

AWKWARD = ("run", "my notebook.ipynb", "-p", "entry=close > 5 % $HOME 'q' \"d\" \\ `x` ; #", "-p", "x=ü")


def read_systemd(line: str) -> list[str]:
    """Split a command line as systemd.service(5) says: quoted words, C escapes, doubled signs."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
    plain = [re.sub(r"\\(.)", lambda found: "\t" if found[1] == "t" else found[1], word) for word in words]
    return [word.replace("%%", "%").replace("$$", "$") for word in plain]


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setenv("ATB__DATABASE__URL", "postgresql://u:canary@h/d")
    monkeypatch.setenv("ATB__DATA__OFFLINE", "true")
    (tmp_path / "my notebook.ipynb").touch()
    return Job.of(AWKWARD, When.of({"daily": "02:30"}), settings=settings_in(tmp_path))


def test_cron_s_shell_gets_the_command_as_it_was_given(job, tmp_path):
    line = job.cron()
    fields, command = line.split(" ", 5)[:5], line.split(" ", 5)[5]
    assert fields[2:] == ["*", "*", "*"]
    assert re.search(r"(?<!\\)%", command) is None
    words = shlex.split(command.replace(r"\%", "%"))
    at = words.index(sys.executable)
    assert words[: words.index("&&")] == ["cd", str(job.folder)]
    assert words[at + 1 : words.index(">>")] == ["-m", "atb", "run", str(tmp_path / "my notebook.ipynb"), *AWKWARD[2:]]
    assert "ATB__DATA__OFFLINE=true" in words


def test_systemd_gets_the_command_as_it_was_given_and_the_time_as_utc(job, tmp_path):
    service, timer = job.units().values()
    command = next(line.removeprefix("ExecStart=") for line in service.splitlines() if line.startswith("ExecStart="))
    assert read_systemd(command) == [
        sys.executable,
        "-m",
        "atb",
        "run",
        str(tmp_path / "my notebook.ipynb"),
        *AWKWARD[2:],
    ]
    assert "OnCalendar=*-*-* 02:30:00 UTC" in timer
    assert f"WorkingDirectory={job.folder}" in service


def test_secrets_are_named_and_not_written(job):
    text = job.cron() + "".join(job.units().values()) + repr(job.to_json())
    assert "canary" not in text
    assert "ATB__DATABASE__URL" in next(iter(job.units().values()))
    assert job.missing == ("ATB__DATABASE__URL",)


@pytest.mark.parametrize(
    ("options", "calendar", "cron", "ahead"),
    [
        ({"hourly": "5"}, "*-*-* *:05:00 UTC", "5 * * * *", 0),
        ({"hourly": "5"}, "*-*-* *:05:00 UTC", "35 * * * *", 5.5),
        ({"daily": "02:30"}, "*-*-* 02:30:00 UTC", "30 2 * * *", 0),
        ({"daily": "23:30"}, "*-*-* 23:30:00 UTC", "30 1 * * *", 2),
        ({"weekly": "mon@00:15"}, "Mon *-*-* 00:15:00 UTC", "15 0 * * 1", 0),
        ({"weekly": "Sunday@23:30"}, "Sun *-*-* 23:30:00 UTC", "30 1 * * 1", 2),
        ({"weekly": "mon@00:15"}, "Mon *-*-* 00:15:00 UTC", "15 17 * * 0", -7),
    ],
)  # fmt: skip
def test_times_are_utc_and_cron_s_line_is_for_the_machine_s_zone(options, calendar, cron, ahead):
    when = When.of(options)
    assert (when.calendar(), when.cron(timedelta(hours=ahead))) == (calendar, cron)


@pytest.mark.parametrize(
    "options",
    [{}, {"daily": "25:00"}, {"daily": "2"}, {"hourly": "60"}, {"weekly": "02:30"}, {"weekly": "xyz@02:30"}, {"daily": "mon@02:30"},
     {"daily": "02:30", "hourly": "5"}],
)  # fmt: skip
def test_a_time_that_is_none_is_one_sentence(options):
    with pytest.raises(InputError):
        When.of(options)


def test_a_line_end_in_a_command_is_refused(tmp_path):
    with pytest.raises(InputError, match="one line"):
        Job.of(("run", "a\nb"), When.of({"hourly": "5"}), settings=settings_in(tmp_path))

"""Removes secrets from this process's environment at start, so that neither child processes nor `/proc` show them.

`/proc/PID/environ` (`ps eww`) shows the memory block that a process was started with: removing a variable later leaves its value
there. The values are therefore overwritten in place. Restarting the process with a clean environment would do the same, but costs a
second start and leaves the same moment before it. Where there is no `/proc`, secrets are hidden from child processes only.

Secrets of atb's own settings also leave `os.environ`; `load_settings` gets them from `variables`. A child that needs them (the
runner that `atb live` starts) reads them from a pipe. Secrets of other programs stay variables, because libraries look for them
there. A secret in a file (`.env`, or `ATB__EXCHANGE__API_SECRET_FILE`) never enters an environment, which is safer.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PREFIX = "ATB__"
PIPE = "ATB_SECRETS_PIPE"  # the number of a file descriptor, no secret itself
_taken: dict[str, str] = {}  # secrets removed from `os.environ`
_PASSWORD_IN_URL = re.compile(r":[^@]*@")  # `user:password@`, or what may be one
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:API_?|ACCESS_?|PRIVATE_?)?(?:KEY|SECRET|TOKEN|PASS|PASSWD|PASSWORD|PASSPHRASE|CREDENTIALS?|JWT|COOKIE|SIGNATURE)$",
    re.IGNORECASE,
)
_ENV_START, _ENV_END = 47, 48  # fields of /proc/self/stat after the name in brackets, counted from 0


def variables() -> dict[str, str]:
    """Return the environment variables of this process, including the secrets that were removed."""
    return {**_taken, **os.environ}


@contextmanager
def hide_secrets() -> Iterator[None]:
    """Hide secrets for a block, the whole run of a program; afterwards the variables are as before."""
    previous = dict(_taken)
    _taken.update(_from_pipe())
    secret = {name: value for name, value in os.environ.items() if is_secret(name, value)}
    ours = {name: os.environ.pop(name) for name in secret if name.upper().startswith(PREFIX)}
    _taken.update(ours)
    for name in secret.keys() - ours.keys():
        os.environ[name] = secret[name]  # sets a copy in libc: the original block is about to be overwritten
    _overwrite_block()
    try:
        yield
    finally:
        os.environ.update(ours)
        _taken.clear()
        _taken.update(previous)


@contextmanager
def secrets_for_child() -> Iterator[dict[str, Any]]:
    """Yield options for `subprocess.Popen` that pass the removed secrets to a child process through a pipe."""
    import json

    if not _taken:
        yield {"env": dict(os.environ)}
        return
    read, write = os.pipe()
    try:
        with os.fdopen(write, "wb") as pipe:
            pipe.write(json.dumps(_taken).encode())  # far less than a pipe holds
        yield {"env": {**os.environ, PIPE: str(read)}, "pass_fds": (read,)}
    finally:
        os.close(read)


def is_secret(name: str, value: str) -> bool:
    """Return True if a variable is named like a secret, or its value is a URL with a password."""
    return bool(value) and (_SECRET_NAME.search(name) is not None or _PASSWORD_IN_URL.search(value) is not None)


def _from_pipe() -> dict[str, str]:
    """Return the secrets that the parent process passed through the pipe."""
    import json

    number = os.environ.pop(PIPE, "")
    if not number.isdigit():
        return {}
    try:
        with os.fdopen(int(number), "rb") as pipe:
            found = json.loads(pipe.read())
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _overwrite_block() -> None:
    """Overwrite the values of secrets in the memory block that `/proc` shows, where there is one."""
    import ctypes

    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[_ENV_START]), int(fields[_ENV_END])
        block = Path("/proc/self/environ").read_bytes()
    except (OSError, ValueError, IndexError):
        return
    if not start or len(block) != end - start:
        return  # the system hides its address, or the block was moved
    at = start
    for entry in block.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals and is_secret(os.fsdecode(name), os.fsdecode(value)):
            ctypes.memset(at + len(name) + 1, 0, len(value))
        at += len(entry) + 1

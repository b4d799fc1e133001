"""Takes secrets out of this process's environment once it has begun, so that neither its children nor `/proc` tell them.

`/proc/PID/environ` (`ps eww`) shows the block of text that a process was started with, whatever it did to its variables since:
taking a variable away leaves its value there. The values in that block are therefore overwritten where they stand. Starting the
process anew with a clean environment would do as well, costs a second start, and leaves the same moment before it. Where the
system shows no such block (`/proc` is missing), only children are kept from the secrets.

The settings' own secrets leave `os.environ`, too, for a place in this process that `load_settings` knows (`variables`); a child
that needs them (the runner that `atb live` starts) reads them from a pipe. Other programs' secrets stay variables: libraries look
for them there. A secret in a file (`.env`, or `ATB__EXCHANGE__API_SECRET_FILE`) never was in an environment, and is the better way.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PREFIX = "ATB__"
PIPE = "ATB_SECRETS_PIPE"  # the number of a descriptor: no secret itself
_taken: dict[str, str] = {}
_ADDRESS = re.compile(r":[^@]*@")  # with a password, or what may be one
_TELLING = re.compile(
    r"(?:^|_)(?:API_?|ACCESS_?|PRIVATE_?)?(?:KEY|SECRET|TOKEN|PASS|PASSWD|PASSWORD|PASSPHRASE|CREDENTIALS?|JWT|COOKIE|SIGNATURE)$",
    re.IGNORECASE,
)
_ENV_START, _ENV_END = 47, 48  # fields of /proc/self/stat after the name in brackets, counted from 0


def variables() -> dict[str, str]:
    """Return the variables of this process, those with it that were taken out of its environment."""
    return {**_taken, **os.environ}


@contextmanager
def hidden_secrets() -> Iterator[None]:
    """Hide secrets for the length of a block, at the edge of a program; afterwards variables are what they were."""
    before = dict(_taken)
    _taken.update(_from_pipe())
    secret = {name: value for name, value in os.environ.items() if is_secret(name, value)}
    ours = {name: os.environ.pop(name) for name in secret if name.upper().startswith(PREFIX)}
    _taken.update(ours)
    for name in secret.keys() - ours.keys():
        os.environ[name] = secret[name]  # libc's own copy: the one in the block is about to go
    _overwrite_block()
    try:
        yield
    finally:
        os.environ.update(ours)
        _taken.clear()
        _taken.update(before)


@contextmanager
def handed_over() -> Iterator[dict[str, Any]]:
    """Yield options of `subprocess.Popen` by which a child of ours gets the secrets that this process took: through a pipe."""
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
    """Tell whether a variable is a secret: it is called like one, or is an address with a password."""
    return bool(value) and (_TELLING.search(name) is not None or _ADDRESS.search(value) is not None)


def _from_pipe() -> dict[str, str]:
    """Return what a parent of ours handed over."""
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
    """Blank the values of secrets in the block that this process was started with, where there is one to be seen."""
    import ctypes

    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[_ENV_START]), int(fields[_ENV_END])
        block = Path("/proc/self/environ").read_bytes()
    except (OSError, ValueError, IndexError):
        return
    if not start or len(block) != end - start:
        return  # a limit of the system hides where it is, or it was moved
    at = start
    for entry in block.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals and is_secret(os.fsdecode(name), os.fsdecode(value)):
            ctypes.memset(at + len(name) + 1, 0, len(value))
        at += len(entry) + 1

"""Files over HTTP: retries with back-off, waits that the server asks for, one clear error when it fails."""

import time
from collections.abc import Callable
from typing import Any

from atb.data.providers.ccxt_client import DIRECT, LONGEST_WAIT_S, RETRY_WAITS_S, Route
from atb.errors import DataError

LARGEST = 512 * 1024**2
"""Most bytes of one answer."""
_BUSY = frozenset({408, 418, 429, 500, 502, 503, 504})


class Http:
    """A server of files.

    Parameters
    ----------
    address
        Its URL; `route.base_url` replaces it.
    route
        How it is reached.
    sleep
        Called to wait that many seconds.
    """

    def __init__(self, address: str, *, route: Route = DIRECT, sleep: Callable[[float], None] = time.sleep) -> None:
        import requests

        self.address, self._sleep, self._requests = (route.base_url or address).rstrip("/"), sleep, requests
        self._session: Any = requests.Session()
        self._session.trust_env = route.proxy is None
        if route.proxy is not None:
            self._session.proxies = {"http": route.proxy, "https": route.proxy}
        if route.ca_file is not None:
            self._session.verify = str(route.ca_file)

    def get(self, path: str, **query: str | int) -> bytes | None:
        """Return a file's bytes, None if there is none.

        Raises
        ------
        DataError
            If the server cannot be reached, refuses, or sends too much.
        """
        for wait in (*RETRY_WAITS_S, None):
            try:
                answer = self._session.get(f"{self.address}/{path}", params=query, timeout=(10, 60), stream=True)
                if answer.status_code not in _BUSY:
                    return self._content(answer, path)
                problem = f"{answer.status_code} {answer.reason}"
                asked = _seconds(answer.headers.get("Retry-After", ""))
            except self._requests.RequestException as error:
                problem, asked = f"{type(error).__name__}: {str(error)[:160]}", 0.0
            if wait is None or asked > LONGEST_WAIT_S:
                break
            self._sleep(max(wait, asked))
        todo = f"Wait {asked:.0f} s, as it asks" if asked > LONGEST_WAIT_S else "Check the connection"
        todo += ", then run the same command again: it goes on where it stopped"
        raise DataError(f"{self.address} cannot be reached", found=problem, todo=todo)

    def _content(self, answer: Any, path: str) -> bytes | None:
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise DataError(
                f"{self.address} refused the request", found=f"{answer.status_code} {answer.reason} for {path}"
            )
        parts, size = [], 0
        for part in answer.iter_content(1024 * 1024):
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                raise DataError(f"{self.address} sends more than {LARGEST // 1024**2} MB", found=path)
        return b"".join(parts)


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0

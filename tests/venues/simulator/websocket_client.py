"""A plain WebSocket client for tests of the wire: what is said and heard, frame by frame, without anybody's library logic."""

import asyncio
import contextlib
import hashlib
import hmac
import json
from decimal import Decimal

import aiohttp

from atb.venues.simulator.configuration import ExchangeConfig
from tests.bars import bars_of, random_walk
from tests.timeouts import PATIENCE_S

HOUR = 3_600_000
BARS = bars_of(random_walk(60, 2))
START = int(BARS.opened_ms[20]) + HOUR // 2


def exchange(**changes):
    """Return an exchange that stands half an hour into its 21st bar."""
    values = {"balances": {"USDT": Decimal(10_000), "BTC": Decimal(5)}} | changes
    return ExchangeConfig((BARS,), START, **values)


class Socket:
    """One connection; `hear` gives the next frame, or None once there is none for a while."""

    def __init__(self, ws):
        self.ws = ws
        self._number = 0

    async def say(self, **frame):
        await self.ws.send_json(frame)

    async def hear(self, *, within=PATIENCE_S):
        return json.loads(await self.ws.receive_str(timeout=within))

    async def hear_all(self, n):
        return [await self.hear() for _ in range(n)]

    async def silent(self, within=0.15):
        """Return whether nothing at all comes; fail with what came otherwise."""
        try:
            message = await asyncio.wait_for(self.ws.receive(), within)
        except TimeoutError:
            return True
        raise AssertionError(f"heard {message}")

    async def ended(self, within=PATIENCE_S):
        """Tell whether the connection ends now."""
        message = await asyncio.wait_for(self.ws.receive(), within)
        return message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)

    async def ask(self, method, *, now=START, key="key", secret="secret", signed=True, **params):
        """Send a request of the WebSocket API and return its answer; events that come before it are dropped."""
        self._number += 1
        if signed:
            params = {"apiKey": key, "timestamp": now, **params}
            payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
            params["signature"] = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        await self.say(id=self._number, method=method, params=params)
        while True:
            frame = await self.hear()
            if frame.get("id") == self._number:
                return frame


@contextlib.asynccontextmanager
async def connected(url, path):
    """Connect to a path of an exchange."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url + path, autoping=False) as ws:
        yield Socket(ws)


def talk(running, path, conversation):
    """Run a conversation(socket) over one connection."""

    async def run():
        async with connected(running.url, path) as socket:
            return await conversation(socket)

    return asyncio.run(run())

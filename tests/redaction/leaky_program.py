"""A program that says all it knows: given a key, a secret and a server's address, it leaks wherever leaking is possible."""
# ruff: noqa: LOG004, LOG014, LOG015, PLE1206 - logging as libraries do it, mistakes included

import asyncio
import gc
import json
import logging
import sys
import threading
import warnings

import ccxt
import ccxt.async_support

from atb.cli.output import print_error, print_json
from atb.db import open_database
from atb.db.tables import EventRow
from atb.errors import VenueError
from atb.monitoring import bound, configure_logging, get_logger, redact

key, secret, address, folder, form = sys.argv[1:]
configure_logging("DEBUG", json_lines=form == "json", secrets=[key, secret])
for name in ("ccxt", "ccxt.base.exchange", "asyncio", "urllib3", "aiohttp.client"):
    logging.getLogger(name).setLevel(logging.DEBUG)
beside = logging.FileHandler(f"{folder}/beside.log")  # another library's, with a formatter of its own
beside.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
logging.getLogger().addHandler(beside)
log = get_logger("atb.talkative")


def exchange(kind):
    made = kind.binance({"apiKey": key, "secret": secret, "timeout": 2000, "options": {"fetchCurrencies": False}})
    for api in ("public", "private", "v1"):
        made.urls["api"][api] = f"{address}/api/v3"
    return made


def tell(error: BaseException, where: str) -> None:
    """Say what an exception says, in every way there is."""
    log.error("it failed", error=str(error), cause=error, where=where, nested={"deep": [{"text": (str(error), key)}]})
    log.exception(
        "it failed with its traceback",
        headers={"X-MBX-APIKEY": key},
        raw=[("X-MBX-APIKEY", key), (b"secret", secret.encode())],
    )
    with bound(strategy="s", symbol="BTC/USDT", client_id=f"atb-{key}", epoch=3, bar=None):
        log.warning("bound", signed=f"https://x/api/v3/order?symbol=A&signature={secret}")
    logging.error("root said %s and %r", error, {"signature": secret}, exc_info=True)
    logging.getLogger("some.library").debug(
        "extra", extra={"api_key": key, "request": {"headers": {"X-MBX-APIKEY": key}}, "note": str(error)}
    )
    logging.getLogger("some.library").info("too few %s %s", secret)
    warnings.warn(f"{where}: {error}", stacklevel=1)
    logging.getLogger("some.library").warning(
        "over\nlines %s", json.dumps({"url": f"postgresql://me:{secret}@h/d", "jwt": key}, indent=1)
    )


def calls(venue):
    market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    return (
        lambda: venue.private_post_order(market),
        lambda: venue.private_get_account({"fault": "500"}),
        lambda: venue.private_get_openorders({"fault": "truncated"}),
        lambda: venue.private_delete_order({**market, "fault": "reset"}),
    )


for call in calls(exchange(ccxt)):
    try:
        call()
    except ccxt.BaseError as failed:
        try:
            raise VenueError(f"The venue cannot be asked: {failed}") from failed
        except VenueError as chained:
            tell(chained, "sync")
            print_error(str(chained))
            print_json({"error": str(chained), "key": key})


async def whole() -> None:
    venue = exchange(ccxt.async_support)
    for call in calls(venue):
        try:
            await call()
        except ccxt.BaseError as failed:
            tell(failed, "async")
            try:
                raise ExceptionGroup("several", [failed, ValueError(secret)])
            except ExceptionGroup as group:
                tell(group, "group")
    await venue.close()
    asyncio.get_running_loop().create_task(fail())
    await asyncio.sleep(0.01)
    gc.collect()


async def fail() -> None:
    raise RuntimeError(f"nobody awaits {secret}")


class Finalized:
    def __del__(self) -> None:
        raise RuntimeError(f"finalizer {secret}")


def in_thread() -> None:
    raise RuntimeError(f"thread {secret}")


asyncio.run(whole(), debug=True)
thread = threading.Thread(target=in_thread)
thread.start()
thread.join()
del thread
Finalized()
database = open_database(f"sqlite:///{folder}/atb.db")
with database.session() as session:
    session.add(
        EventRow(
            severity="error",
            kind="venue",
            detail=redact({"url": f"https://x?signature={secret}", "key": {"apiKey": [key]}, key: 1}),
        )
    )
database.close()
sys.stderr.flush()
raise VenueError(f"GET https://x/?signature={secret}") from ValueError(key)

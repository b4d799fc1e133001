"""`atb exchange`: a simulated exchange on this machine that speaks Binance Spot, for bots that are to be tested."""

import asyncio
import json
import secrets
import signal
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli.commands import Command
from atb.decimals import counted, number
from atb.errors import InputError, did_you_mean
from atb.reading import read_json
from atb.times import DAY_MS

if TYPE_CHECKING:
    from atb.venues.simulator.configuration import ExchangeConfig, Key
    from atb.venues.simulator.exchange import Exchange
    from atb.venues.simulator.faults import Fault


PORT = click.IntRange(0, 65_535)
LEAST_TOKEN = 16  # characters
COINBASE_KEY = "organizations/simulated/apiKeys/key"


@click.command(cls=Command)
@click.option("--bars", "symbols", multiple=True, metavar="SYMBOL", help="Replay stored bars; repeat it for more.")
@click.option(
    "--walk", "walks", multiple=True, metavar="SYMBOL", help="Draw a market from the seed; repeat it for more."
)
@click.option("--timeframe", default="1h", show_default=True, help="Duration of a bar: 1m ... 1h 4h 1d.")
@click.option("--start", "since", help="Where the exchange's clock starts (UTC); by default 30 days before the end.")
@click.option("--venue", help="Where the bars come from, when several have the symbol.")
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Address to listen on; another machine's needs --public.")  # fmt: skip
@click.option(
    "--public", is_flag=True, help="Let other machines connect: everybody on the network may then trade here."
)
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME",
    help="A name by which other machines ask, beside --host and addresses; repeat it for more.",
)  # fmt: skip
@click.option(
    "--control-token-file", type=click.Path(dir_okay=False, path_type=Path),
    help="Where the control plane's token is, or is written; by default one is made and printed.",
)  # fmt: skip
@click.option(
    "--port",
    type=PORT,
    default=8080,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--clock", type=click.Choice(["virtual", "real"]), default="real", show_default=True,
              help="Virtual: time moves when it is told to, or when all participants wait.")  # fmt: skip
@click.option("--speed", default=1.0, show_default=True, help="How many times as fast as ours a real clock goes.")
@click.option(
    "--pace",
    default=0.0,
    show_default=True,
    help="Seconds of a virtual clock that pass per second of a client's work; 0 stands still, and hides gaps.",
)
@click.option("--balance", "balances", multiple=True, metavar="ASSET=AMOUNT", help="What the account starts with.")
@click.option("--fee", default=0.001, show_default=True, help="Commission as a fraction of value.")
@click.option("--slippage", default=0.0005, show_default=True, help="Slippage of market orders as a fraction.")
@click.option("--fee-in", type=click.Choice(["base", "quote", "bnb"]), default="base", show_default=True,
              help="What fees are paid in; base is Binance's way.")  # fmt: skip
@click.option(
    "--faults", help="A JSON file with a list of faults, or a mix drawn from the seed: standard, doubt, everything ..."
)
@click.option(
    "--fault-count", type=click.IntRange(min=0), default=20, show_default=True, help="Number of faults of a mix."
)
@click.option("--seed", default=7, show_default=True, help="Of walks and mixes.")
@click.option(
    "--ledger", type=click.Path(dir_okay=False, path_type=Path), help="Write the ledger there too (JSON lines)."
)
@click.option(
    "--proxy-port",
    type=PORT,
    help="Start a CONNECT proxy for clients that keep their production URLs.",
)
@click.option(
    "--ca-file", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the proxy's certificate."
)
@click.option(
    "--coinbase-key", type=click.Path(dir_okay=False, path_type=Path),
    help="Write a new key's secret (PEM) there: who signs with it is answered as Coinbase Advanced does.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print addresses and markets as one line of JSON.")
def exchange(**options: Any) -> None:
    """Run a simulated exchange that speaks Binance Spot (REST, streams, WebSocket API) until Ctrl-C.

    The key is `key`, its secret `secret`. Orders meet bars by the rules of the backtest. Everything that happens is in the ledger
    (`GET /control/ledger`). Nothing here is real: no key, no money, no market.

    What moves time, faults and money is under /control, behind a token that is made for this call: printed once, as the password in
    the address of the clock. Other machines can connect only where --host and --public both say so. It answers to loopback's names,
    --host and --allow-host, with --public to addresses in digits and this machine's own name too, and to no page of a browser.

    A runner needs to know the exchange's address and its clock; both are printed at the start as the settings that name them. A
    virtual clock waits for its runner (`live.py --rehearse`, which compares account and books once per bar there unless
    live.sync_interval says otherwise). A real one that is faster than ours does not: it is for candles (`live.py --candles`).

    \b
    Examples:
      atb exchange --bars BTC/USDT --timeframe 1h --start 2024-06-01 --speed 3600
      atb exchange --walk BTC/USDT --walk ETH/USDT --clock virtual --port 18080 --ledger ledger.jsonl
      atb exchange --bars BTCUSDT --faults standard --fault-count 50 --seed 3 --json
      atb exchange --walk BTC/USD --balance USD=10000 --coinbase-key coinbase.pem
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started it in the background
    if (options["proxy_port"] is None) != (options["ca_file"] is None):
        raise InputError("A proxy needs a port and a file for its certificate", todo="Pass --proxy-port and --ca-file")
    _refuse_other_machines(options["host"], public=options["public"])
    config = make_config(options)
    with_proxy = {"ca_file": options["ca_file"], "proxy_port": options["proxy_port"] or 0}
    try:
        asyncio.run(_serve(config, with_proxy, as_json=options["as_json"]))
    except OSError as error:
        raise InputError(
            "The exchange cannot listen there", found=f"{config.host}:{config.port}: {error.strerror}",
            todo="Pass another --port",
        ) from error  # fmt: skip


def make_config(options: dict[str, Any]) -> "ExchangeConfig":
    """Return the exchange that the options describe.

    Raises
    ------
    AtbError
        If there is no market, bars are missing, or a balance or fault is malformed.
    """
    from atb.engine.policy import ExecutionModel
    from atb.venues.simulator.configuration import ExchangeConfig

    series, start_ms = _series(options)
    return ExchangeConfig(
        series,
        start_ms,
        balances=_balances(options["balances"]),
        execution=ExecutionModel(fee=options["fee"], slippage=options["slippage"]),
        keys=_keys(options["coinbase_key"]),
        fee_in=options["fee_in"],
        clock=options["clock"],
        speed=options["speed"],
        pace=options["pace"],
        seed=options["seed"],
        faults=_faults(options, series, start_ms),
        ledger=options["ledger"],
        host=options["host"],
        port=options["port"],
        names=_names(options),
        control_token=_control_token(options.get("control_token_file")) or secrets.token_urlsafe(24),
    )


def _names(options: dict[str, Any]) -> tuple[str, ...]:
    """Return the names that are given to this machine, which a page in a browser cannot have."""
    from socket import gethostname

    return (*options.get("names", ()), *([gethostname()] if options.get("public") else []))


def _refuse_other_machines(host: str, *, public: bool) -> None:
    """Refuse to listen beyond this machine unless that was said twice: by the address, and by `--public`."""
    from atb.serving import is_loopback

    if not public and not is_loopback(host):
        raise InputError(
            "Other machines could reach an exchange there", found=host,
            todo="Leave out --host, or add --public if they shall: whoever connects may trade",
        )  # fmt: skip


def _control_token(path: Path | None) -> str | None:
    """Return the control plane's token as it stands in a file, which is made, for its owner alone, where there is none."""
    from atb.files import exposure, write_private

    if path is None:
        return None
    try:
        if not path.exists() and not path.is_symlink():
            write_private(path, f"{secrets.token_urlsafe(24)}\n".encode())
        if fault := exposure(path):
            raise InputError(f"The token's file {fault[0]}", found=str(path), todo=fault[1])
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("The token's file cannot be used", found=f"{path}: {error}") from None
    if len(token) < LEAST_TOKEN or not token.replace("-", "").replace("_", "").isalnum():
        raise InputError(
            f"A token is at least {LEAST_TOKEN} letters, digits, - and _", found=f"{len(token)} characters in {path}",
            todo="Delete the file: a new one is written",
        )  # fmt: skip
    return token


def _series(options: dict[str, Any]) -> tuple[Any, int]:
    """Return the markets and the moment at which the clock starts."""
    import pandas as pd

    from atb.config import load_settings
    from atb.data.catalogue import load_bars
    from atb.times import in_ms, moment
    from atb.venues.simulator.scripts import walk

    root, timeframe = load_settings().bars_root, options["timeframe"]
    found = [load_bars(symbol, timeframe, root=root, venue=options["venue"]) for symbol in options["symbols"]]
    since = moment(options["since"] or "2024-01-01") if not found or options["since"] else None
    for k, symbol in enumerate(options["walks"]):
        first = since if since is not None else found[0].frame.index[0]
        start_ms = in_ms(first.floor("D"))
        found.append(walk(symbol, timeframe, start_ms=start_ms, count=20_000, seed=options["seed"] + k, price=100.0))
    if not found:
        raise InputError("An exchange needs a market", todo="Pass --bars BTC/USDT, or --walk BTC/USDT for a drawn one")
    if since is None:
        since = max(found[0].frame.index[-1] - pd.Timedelta(days=30), found[0].frame.index[0])
    return tuple(found), in_ms(since)


def _keys(coinbase: Path | None) -> "tuple[Key, ...]":
    """Return the account's keys; one for Coinbase's protocol is made anew, and its secret is written to a file."""
    from atb.venues.simulator.configuration import Key

    if coinbase is None:
        return (Key(),)
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from atb.files import write_private

    made = ec.generate_private_key(ec.SECP256R1())
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    try:
        write_private(coinbase, pem.encode(), new=True)  # another may be there
    except OSError as error:
        raise InputError("The key's file cannot be written", found=f"{coinbase}: {error.strerror}") from error
    return (Key(), Key(COINBASE_KEY, pem))


def _balances(given: tuple[str, ...]) -> dict[str, Decimal]:
    """Read `ASSET=AMOUNT` options."""
    found = {}
    for text in given or ("USDT=10000",):
        asset, _, amount = text.partition("=")
        try:
            found[asset.upper()] = Decimal(amount)
        except InvalidOperation as error:
            raise InputError("A balance is ASSET=AMOUNT", found=text, todo="Write it like USDT=10000") from error
    return found


def _faults(options: dict[str, Any], series: Any, start_ms: int) -> "list[Fault]":
    """Read faults from a file, or draw a mix over the first 90 days."""
    from atb.venues.simulator.faults import Fault
    from atb.venues.simulator.schedules import MIXES, schedule

    wanted = options["faults"]
    if wanted is None:
        return []
    if wanted in MIXES:
        opened = series[0].opened_ms
        moments = opened[(opened >= start_ms) & (opened < start_ms + 90 * DAY_MS)].tolist()
        names = [bars.symbol.joined for bars in series]
        return schedule(moments, seed=options["seed"], symbols=names, count=options["fault_count"], mix=wanted)
    path = Path(wanted)
    if not path.exists():
        raise InputError("No such file or mix of faults", found=wanted, todo=did_you_mean(wanted, MIXES))
    try:
        return [Fault.from_json(values) for values in read_json(path)]
    except (OSError, ValueError, TypeError) as error:
        raise InputError("The file of faults is a JSON list of objects", found=f"{wanted}: {error}") from error


async def _serve(config: "ExchangeConfig", with_proxy: dict[str, Any], *, as_json: bool) -> None:
    """Serve until the process is ended."""
    from atb.venues.simulator.exchange import Exchange
    from atb.venues.simulator.server import address_of, listening_socket, start

    with listening_socket(config.host, config.port) as listener:
        venue = Exchange(config)
        runner, proxy = await start(venue, listener, **with_proxy)
        url = address_of(listener)
        facts = _facts(venue, url) | (
            {} if proxy is None else {"proxy": proxy.url, "ca_file": str(with_proxy["ca_file"])}
        )
        # Not `print_json`: the address of the clock holds its password, made for this call and printed here alone.
        click.echo(json.dumps(facts) if as_json else "\n".join(_announcement(facts)))
        try:
            await asyncio.Event().wait()
        finally:
            if proxy is not None:
                await proxy.stop()
            await runner.cleanup()
            venue.ledger.close()


def _facts(venue: "Exchange", url: str) -> dict[str, Any]:
    """Return the exchange's addresses, keys and markets as JSON types."""
    from atb.venues.simulator.server import control_address

    config = venue.config
    canonical = {bars.symbol.joined: str(bars.symbol) for bars in config.series}
    return {
        "url": url,
        "clock": f"{control_address(url, config.control_token).replace('http', 'ws', 1)}/clock",
        "keys": [key.name for key in config.keys],
        "markets": [
            {
                "symbol": canonical.get(tape.symbol, tape.symbol),
                "timeframe": str(tape.interval),
                "bars": len(tape.market),
                "price": tape.price,
            }
            for tape in venue.tapes.values()
        ],
    }


def _announcement(facts: dict[str, Any]) -> list[str]:
    lines = [f"A simulated exchange listens on {facts['url']}; key 'key', secret 'secret'."]
    for market in facts["markets"]:
        price = number(market["price"])
        lines.append(f"  {market['symbol']} {market['timeframe']}, {counted(market['bars'], 'bar')}, now {price}")
    lines.append(f"  ATB__EXCHANGE__BASE_URL={facts['url']} ATB__EXCHANGE__CLOCK={facts['clock']}")
    if COINBASE_KEY in facts["keys"]:
        lines.append(f"  As Coinbase, too: key '{COINBASE_KEY}'")
    if "proxy" in facts:
        lines.append(f"  CONNECT proxy {facts['proxy']}, certificate {facts['ca_file']}")
    return lines

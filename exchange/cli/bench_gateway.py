"""`cpx bench gateway`: what the doors cost beside the same web server with nothing behind it, in the same run."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import typer

if TYPE_CHECKING:
    from exchange.testing.load import Measured
    from exchange.testing.server import Server

LIMITS = ("order_rate=1000000", "order_burst=1000000", "frame_rate=1000000", "frame_burst=1000000")
DEPOSIT = "1000000000"
BATCH = 512  # orders of a frame
BATCH_WINDOW = 4  # frames of a batch unanswered at a time
PACED_S = 3  # half load lasts so long
ACCEPTED = b'"ACCEPTED"'


class Trader(NamedTuple):
    """Who sends one kind of load: the venue remembers no more than 100,000 ids of each."""

    key: str
    login: str


@contextmanager
def _echo_server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-m", "exchange.testing.echo"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def gateway(
    count: int = typer.Option(20_000, min=1000, max=30_000, help="Orders of a turn over the socket; over REST a quarter."),
    window: int = typer.Option(64, min=1, help="Unanswered frames, and REST connections, at a time."),
    rounds: int = typer.Option(3, min=1, max=3, help="Peers and doors take turns so often; the median counts."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of the table."),
) -> None:
    """Durable orders acknowledged ÷ frames echoed by the same web server, one by one and in batches; their wait at half
    load; REST place ÷ a handler that validates the body.

    Example: cpx bench gateway --count 8000 --json
    """
    from exchange.cli.bench import machine
    from exchange.testing.server import running_server

    limits = [word for limit in LIMITS for word in ("--limit", limit)]
    with (
        tempfile.TemporaryDirectory() as name,
        _echo_server() as echo_url,
        running_server(Path(name) / "data", "--clock", "system", *limits) as server,
    ):
        result = asyncio.run(_Turns(server, echo_url, count, window).measure(rounds))
    result = {"bench": "gateway", **machine(), "count": count, "window": window, "rounds": rounds, **result}
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        _show(result)


class _Turns:
    """The measurements of one run."""

    def __init__(self, server: Server, echo_url: str, count: int, window: int) -> None:
        self._server, self._echo_url, self._count, self._window = server, echo_url, count, window
        self._found: dict[str, list[Measured]] = {}
        self._instrument = ""

    async def measure(self, rounds: int) -> dict[str, Any]:
        """Turns of peer and door; medians and their ratios."""
        key, self._instrument = await market(self._server)
        singles = _trader(key)
        batches, rest = self._another("batches"), self._another("rest")
        for turn in range(rounds):
            await self._singles(turn, singles)
            await self._batches(turn, batches)
            await self._rest(turn, rest)
            typer.echo(f"round {turn + 1} of {rounds}", err=True)
        await self._half_load(self._another("paced"))
        middle = {name: sorted(runs, key=lambda run: run.per_s)[len(runs) // 2] for name, runs in self._found.items()}
        figures = {
            f"{name}_{what}": getattr(run, what) for name, run in middle.items() for what in ("per_s", "p50_us", "p99_us")
        }
        figures["batch_orders_per_s"] = round(middle["batch"].per_s * BATCH, 1)
        return {
            **figures,
            "orders_by_echo": round(middle["orders"].per_s / middle["echo"].per_s, 3),
            "batch_by_echo": round(middle["batch"].per_s / middle["batch_echo"].per_s, 4),
            "place_by_validate": round(middle["place"].per_s / middle["validate"].per_s, 3),
            **await _syncs(self._server),
        }

    def _keep(self, name: str, measured: Measured) -> None:
        self._found.setdefault(name, []).append(measured)

    def _another(self, name: str) -> Trader:
        return _trader(buyer_key(self._server, name))

    @property
    def _door(self) -> str:
        return f"{self._server.url}/v1/stream"

    async def _singles(self, turn: int, trader: Trader) -> None:
        from exchange.testing.load import Line, over_socket

        frames = [_frame(f"s{turn}-{number}", self._instrument, number) for number in range(self._count)]
        pings = [json.dumps({"op": "ping", "id": number}) for number in range(self._count)]
        self._keep("echo", await over_socket(Line(f"{self._echo_url}/", None, b"place_order"), frames, self._window))
        self._keep("orders", await over_socket(Line(self._door, trader.login, ACCEPTED), frames, self._window))
        self._keep("ping", await over_socket(Line(self._door, trader.login, b"server_ts_ns"), pings, self._window))

    async def _batches(self, turn: int, trader: Trader) -> None:
        from exchange.testing.load import Line, over_socket

        frames = [_batch_frame(f"b{turn}-{n}", self._instrument, n) for n in range(max(2, self._count // BATCH))]
        echo, door = Line(f"{self._echo_url}/", None, b"place_orders"), Line(self._door, trader.login, ACCEPTED, BATCH)
        self._keep("batch_echo", await over_socket(echo, frames, BATCH_WINDOW))
        self._keep("batch", await over_socket(door, frames, BATCH_WINDOW))

    async def _rest(self, turn: int, trader: Trader) -> None:
        from exchange.testing.load import over_http

        bodies = [json.dumps(_order(f"r{turn}-{n}", self._instrument, n)).encode() for n in range(self._count // 4)]
        echo = await over_http(self._echo_url, "/validate", trader.key, bodies, self._window, b"client_order_id")
        self._keep("validate", echo)
        self._keep("place", await over_http(self._server.url, "/v1/orders", trader.key, bodies, self._window, ACCEPTED))

    async def _half_load(self, trader: Trader) -> None:
        """Both at half of what the door took one by one."""
        from exchange.testing.load import Line, at_pace

        runs = sorted(run.per_s for run in self._found["orders"])
        per_s = runs[len(runs) // 2] / 2
        frames = [_frame(f"p-{number}", self._instrument, number) for number in range(min(80_000, int(per_s * PACED_S)))]
        self._keep("half_echo", await at_pace(Line(f"{self._echo_url}/", None, b"place_order"), frames, per_s))
        self._keep("half", await at_pace(Line(self._door, trader.login, ACCEPTED), frames, per_s))


def _trader(key: str) -> Trader:
    return Trader(key, json.dumps({"op": "login", "id": 0, "args": {"key": key}}))


def _order(client_order_id: str, instrument: str, number: int) -> dict[str, str]:
    price = f"{1 + number % 50}.{number % 100:02d}"
    return {"client_order_id": client_order_id, "instrument": instrument, "price": price, "cards": "1"}


def _frame(client_order_id: str, instrument: str, number: int) -> str:
    return json.dumps({"op": "place_order", "id": number, "args": _order(client_order_id, instrument, number)})


def _batch_frame(name: str, instrument: str, number: int) -> str:
    items = [_order(f"{name}-{place}", instrument, place) for place in range(BATCH)]
    return json.dumps({"op": "place_orders", "id": number, "args": {"items": items}})


async def market(server: Server) -> tuple[str, str]:
    """One buyer with money and one instrument, made by the operator over REST; (the buyer's key, the instrument)."""
    from clients import Client
    from exchange.adapters.catalogue_files import load_catalogue, load_tariff
    from exchange.domain.commands import ListFamily, SetVenue
    from exchange.protocol.measures import Measures
    from exchange.protocol.to_command import from_command

    settings = SetVenue(name="bench")
    family = ListFamily("H800", "guizhou-guian", "L10", "grid")
    with Client(server.url, server.operator_key) as operator:
        for command in (settings, load_catalogue(), load_tariff(), family):
            name, args = from_command(command, Measures(settings))
            operator.call(name, **msgspec.to_builtins(args))
        listed = next(iter(operator.instruments()))
    return buyer_key(server, "buyer"), f"{listed.family}/{listed.last_period}"


def buyer_key(server: Server, participant: str) -> str:
    """The key of a new participant with money."""
    from clients import Client

    with Client(server.url, server.operator_key) as operator:
        operator.call("add_participant", participant=participant, firm=participant)
        operator.call("deposit", participant=participant, amount=DEPOSIT, idempotency_key=f"bench-{participant}")
        return str(operator.call("create_key", participant=participant, scopes=("read", "trade")).secret)


async def _syncs(server: Server) -> dict[str, float]:
    """What writing and syncing a frame of the journal took, read off the server's own histogram."""
    from httpx2 import AsyncClient

    async with AsyncClient() as http:
        page = await http.get(f"{server.url}/metrics", headers={"authorization": f"Bearer {server.operator_key}"})
    return {f"fsync_p{share}_us": _quantile(page.text, "cpx_fsync_seconds", share) for share in (50, 99)}


def _quantile(page: str, name: str, percent: int) -> float:
    """The bound that so many percent did not exceed, microseconds."""
    bounds = []
    for line in page.splitlines():
        if line.startswith(f'{name}_bucket{{le="') and "+Inf" not in line:
            bound, _, count = line.partition('le="')[2].partition('"}')
            bounds.append((float(bound) * 1e6, float(count)))
    total = bounds[-1][1] if bounds else 0.0
    return next((round(bound, 1) for bound, count in bounds if count >= total * percent / 100), 0.0)


def _show(result: dict[str, Any]) -> None:
    from exchange.cli.bench import show_lines

    lines = (
        ("orders_per_s", "orders acknowledged over one socket", "1/s"), ("echo_per_s", "frames echoed", "1/s"),
        ("orders_by_echo", "ratio", ""), ("ping_per_s", "pings answered by the same door", "1/s"),
        ("orders_p50_us", "order to ack, p50", "us"), ("orders_p99_us", "order to ack, p99", "us"),
        ("echo_p50_us", "echo, p50", "us"), ("echo_p99_us", "echo, p99", "us"),
        ("batch_orders_per_s", f"orders acknowledged in batches of {BATCH}", "1/s"),
        ("batch_echo_per_s", "frames of the same bytes echoed", "1/s"), ("batch_by_echo", "ratio", ""),
        ("half_per_s", "orders at half load", "1/s"), ("half_p50_us", "order to ack at half load, p50", "us"),
        ("half_p99_us", "order to ack at half load, p99", "us"), ("half_echo_p50_us", "echo at the same pace, p50", "us"),
        ("half_echo_p99_us", "echo at the same pace, p99", "us"),
        ("place_per_s", "orders placed over REST", "1/s"), ("validate_per_s", "bodies validated by FastAPI", "1/s"),
        ("place_by_validate", "ratio", ""), ("fsync_p50_us", "fsync of the journal, p50", "us"),
        ("fsync_p99_us", "fsync of the journal, p99", "us"),
    )  # fmt: skip
    show_lines(result, lines)

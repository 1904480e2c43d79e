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
from typing import TYPE_CHECKING, Any

import msgspec
import typer

if TYPE_CHECKING:
    from exchange.testing.load import Measured
    from exchange.testing.server import Server

LIMITS = ("order_rate=1000000", "order_burst=1000000", "frame_rate=1000000", "frame_burst=1000000")
REST_CONNECTIONS = 16
DEPOSIT = "1000000000"


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
    count: int = typer.Option(20_000, min=1000, help="Orders over the socket; over REST a quarter of it."),
    window: int = typer.Option(64, min=1, help="Unanswered frames at a time."),
    rounds: int = typer.Option(3, min=1, help="Echo and orders take turns so often; the median counts."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of the table."),
) -> None:
    """Durable orders acknowledged ÷ frames echoed by the same web server; REST place ÷ a handler that validates the body."""
    from exchange.cli.bench import machine
    from exchange.testing.server import running_server

    limits = [word for limit in LIMITS for word in ("--limit", limit)]
    with (
        tempfile.TemporaryDirectory() as name,
        _echo_server() as echo_url,
        running_server(Path(name) / "data", "--clock", "system", *limits) as server,
    ):
        result = asyncio.run(_measure(server, echo_url, count, window, rounds))
    result = {"bench": "gateway", **machine(), "count": count, "window": window, "rounds": rounds, **result}
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        _show(result)


async def _measure(server: Server, echo_url: str, count: int, window: int, rounds: int) -> dict[str, Any]:
    """Turns of echo, orders, validate, place; medians and their ratios."""
    from exchange.testing.load import over_http, over_socket

    key, instrument = await _market(server)
    login = json.dumps({"op": "login", "id": 0, "args": {"key": key}})
    found: dict[str, list[Measured]] = {"echo": [], "orders": [], "validate": [], "place": []}
    for turn in range(rounds):
        frames = [_frame(f"s{turn}-{number}", instrument, number) for number in range(count)]
        bodies = [json.dumps(_order(f"r{turn}-{n}", instrument, n)).encode() for n in range(count // 4)]
        found["echo"].append(await over_socket(f"{echo_url}/", None, frames, window, "place_order"))
        found["orders"].append(await over_socket(f"{server.url}/v1/stream", login, frames, window, '"ACCEPTED"'))
        found["validate"].append(await over_http(echo_url, "/validate", key, bodies, REST_CONNECTIONS, b"client_order_id"))
        found["place"].append(await over_http(server.url, "/v1/orders", key, bodies, REST_CONNECTIONS, b'"ACCEPTED"'))
        typer.echo(f"round {turn + 1} of {rounds}", err=True)
    middle = {name: sorted(runs, key=lambda run: run.per_s)[rounds // 2] for name, runs in found.items()}
    figures = {
        f"{name}_{what}": getattr(run, what) for name, run in middle.items() for what in ("per_s", "p50_us", "p99_us")
    }
    return {
        **figures,
        "orders_by_echo": round(middle["orders"].per_s / middle["echo"].per_s, 3),
        "place_by_validate": round(middle["place"].per_s / middle["validate"].per_s, 3),
        **await _syncs(server),
    }


def _order(client_order_id: str, instrument: str, number: int) -> dict[str, str]:
    price = f"{1 + number % 50}.{number % 100:02d}"
    return {"client_order_id": client_order_id, "instrument": instrument, "price": price, "cards": "1"}


def _frame(client_order_id: str, instrument: str, number: int) -> str:
    return json.dumps({"op": "place_order", "id": number, "args": _order(client_order_id, instrument, number)})


async def _market(server: Server) -> tuple[str, str]:
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
        operator.call("add_participant", participant="buyer", firm="buyer")
        operator.call("deposit", participant="buyer", amount=DEPOSIT, idempotency_key="bench")
        key = operator.call("create_key", participant="buyer", scopes=("read", "trade")).secret
        listed = next(iter(operator.instruments()))
        return key, f"{listed.family}/{listed.last_period}"


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
        ("orders_by_echo", "ratio", ""), ("orders_p50_us", "order to ack, p50", "us"),
        ("orders_p99_us", "order to ack, p99", "us"), ("echo_p50_us", "echo, p50", "us"),
        ("echo_p99_us", "echo, p99", "us"), ("place_per_s", "orders placed over REST", "1/s"),
        ("validate_per_s", "bodies validated by FastAPI", "1/s"), ("place_by_validate", "ratio", ""),
        ("fsync_p50_us", "fsync of the journal, p50", "us"), ("fsync_p99_us", "fsync of the journal, p99", "us"),
    )  # fmt: skip
    show_lines(result, lines)

"""`cpx serve`: the live exchange on an address: REST, sockets, journal, database; with --demo a market that trades."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from exchange.cli.bootstrap import MEND_ENGINE
from exchange.cli.running import CANNOT_CREATE, NO_ROOM, USAGE, Engine, choose_engine, fail, note

if TYPE_CHECKING:
    import socket

    from exchange.cli.crowd_watch import CrowdWatch
    from exchange.gateways.limits import DoorLimits
    from exchange.server import Exchange, ServeSettings

command = typer.Typer(add_completion=False)

DEFAULT_FOLDER, DEMO_FOLDER = "cpx-data", "cpx-serve-demo"
DEFAULT_PORT = 8787
DEMO_PROGRAMS = ("python3",)  # what work of tasks may run on a demo of this machine alone
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ClockKind(StrEnum):
    """What moves the venue's time."""

    system = "system"
    compressed = "compressed"
    manual = "manual"


@command.command()
def serve(
    folder: Path | None = typer.Option(
        None, "--folder", metavar="DIR", help="Journal, database and keys; by default cpx-data, with --demo cpx-serve-demo."
    ),
    host: str = typer.Option("127.0.0.1", help="Address to listen on; anything but this machine needs TLS in front."),
    port: int | None = typer.Option(None, min=0, max=65535, help="Port; 0 takes a free one. By default 8787, or a free one."),
    database: str = typer.Option("", metavar="URL", help="sqlite:///… or postgresql+psycopg://…; by default in the folder."),
    clock: ClockKind | None = typer.Option(None, help="What moves the time; by default system, with --demo compressed."),
    speed: int = typer.Option(60, min=1, max=3600, help="How many times faster a compressed clock runs."),
    demo: bool = typer.Option(False, "--demo", help="A market day in compressed time, with participants that trade."),
    seed: int = typer.Option(1, min=0, help="Which demo day."),
    limit: list[str] = typer.Option([], "--limit", metavar="NAME=VALUE", help="Another limit of the doors; see /v1/limits."),
    feed_workers: int = typer.Option(0, min=0, max=64, help="Processes beside the venue's that serve market data to sockets."),
    engine: Engine | None = typer.Option(None, help="Matching engine; by default the compiled one."),
    allow_reference: bool = typer.Option(False, "--allow-reference", help="Serve also where only the slow engine is there."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON line on stdout when it takes requests."),
) -> None:
    """Run the exchange on an address until it is stopped (Ctrl-C or SIGTERM); start it again and it goes on.

    Exit codes: 0 stopped, 2 usage, 69 something is missing, 70 a fault of CPX halted the venue, 73 folder or port in use,
    75 the disk failed, 78 journal, database or keys damaged or of another exchange.
    """
    place = folder or Path(DEMO_FOLDER if demo else DEFAULT_FOLDER)
    choose_engine(engine)
    _check_engine(allow_reference or demo)
    settings = _settings(place, database, clock, speed, demo, limit)
    listener = listen(host, port)
    feed_listeners = _feed_listeners(host, listener, feed_workers)
    if host not in LOOPBACK:
        note(f"warning: {host} can be reached from outside and speaks plain HTTP: put TLS in front, docs/guides/serve.md")
    plan = Plan(settings, host, demo, seed, as_json, feed_listeners)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        code = runner.run(_serve(plan, listener))
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve and what to say about it."""

    settings: ServeSettings
    host: str
    demo: bool
    seed: int
    as_json: bool
    feed_listeners: tuple[socket.socket, ...] = ()


def new_loop() -> asyncio.AbstractEventLoop:
    """The event loop of a server."""
    import uvloop

    return uvloop.new_event_loop()


def _check_engine(allow_reference: bool) -> None:
    import matching_core

    if matching_core.IMPLEMENTATION == "reference" and not allow_reference:
        fail(f"the plain Python engine is too slow to serve; mend: {MEND_ENGINE}, or say --allow-reference", 69)


def _settings(
    folder: Path, database: str, clock: ClockKind | None, speed: int, demo: bool, limits: list[str]
) -> ServeSettings:
    from exchange.replay.scenario import DEMO_START_NS
    from exchange.server import ServeSettings, limits_from

    try:
        door_limits = limits_from(limits)
    except ValueError as error:
        fail(f"--limit: {error}", USAGE)
    kind = clock or (ClockKind.compressed if demo else ClockKind.system)
    start_ns = DEMO_START_NS if demo else 0
    return ServeSettings(folder, database, kind.value, speed, start_ns, door_limits)


def listen(host: str, port: int | None) -> socket.socket:
    """A listening socket; the default port gives way to a free one, a port that was asked for does not."""
    problem = ""
    for candidate in (DEFAULT_PORT, 0) if port is None else (port,):
        try:
            return _bind(host, candidate)
        except (OSError, OverflowError) as error:
            problem = getattr(error, "strerror", None) or str(error)
    asked = DEFAULT_PORT if port is None else port
    return fail(f"cannot listen on {host} port {asked}: {problem}; choose another --port (0 takes a free one)", CANNOT_CREATE)


def _bind(host: str, port: int) -> socket.socket:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError):
        listener.close()
        raise
    return listener


def _feed_listeners(host: str, listener: socket.socket, count: int) -> tuple[socket.socket, ...]:
    """A socket for each worker: the ports behind the main one where they are free, any free ones where not."""
    found = []
    for number in range(1, count + 1):
        try:
            found.append(_bind(host, listener.getsockname()[1] + number))
        except (OSError, OverflowError):
            found.append(listen(host, 0))
    return tuple(found)


async def _serve(plan: Plan, listener: socket.socket) -> int:
    """Until a signal or a fault of ours; the exit code."""
    from exchange.adapters.database import StoreError, StoreUnavailable
    from exchange.engine.collecting import calm
    from exchange.engine.journal import JournalError
    from exchange.engine.sequencer import VenueHalted
    from exchange.server import Exchange

    try:
        exchange = await Exchange.open(plan.settings)
    except (JournalError, VenueHalted, StoreError, StoreUnavailable) as error:
        fail(str(error), error.exit_code)
    except OSError as error:
        what = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
        fail(f"{plan.settings.folder} cannot be used ({what}): choose another --folder", NO_ROOM)
    crowd: CrowdWatch | None = None
    try:
        web = web_server(exchange.app, exchange.say_goodbye, plan.settings.limits)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, web.stop)
        exchange.on_halt(web.stop)
        calm()
        serving = loop.create_task(web.serve(sockets=[listener]))
        await web.wait_started(serving)
        url = server_url(plan.host, listener)
        if plan.feed_listeners:
            addresses = [server_url(plan.host, each).replace("http", "ws", 1) for each in plan.feed_listeners]
            await exchange.start_feed_workers(plan.feed_listeners, url, addresses, note)
        if plan.demo:
            crowd = _start_crowd(exchange, plan, url, lambda: not web.should_exit)
        _tell(exchange, plan, url)
        await serving
    finally:
        try:
            if crowd is not None:
                await crowd.stop()
        finally:
            await exchange.close()
    if exchange.halted_by_fault:
        note(f"cpx: {exchange.halted_by_fault}")
        return VenueHalted.exit_code
    return 0


def web_server(app: Any, say_goodbye: Callable[[], None], limits: DoorLimits) -> Any:
    """uvicorn without its own signal handling: the exchange is closed after the doors, in order."""
    import contextlib

    import uvicorn

    from exchange.gateways.rest.transport import protocol_for
    from exchange.gateways.stream.transport import StreamProtocol

    class WebServer(uvicorn.Server):
        """Stops when told."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        def stop(self, *_: object) -> None:
            say_goodbye()
            self.should_exit = True

        async def wait_started(self, serving: asyncio.Task[None]) -> None:
            while not self.started and not serving.done():
                await asyncio.sleep(0.005)
            if serving.done():
                serving.result()

    return WebServer(
        uvicorn.Config(
            app, loop="none", http=protocol_for(limits), ws=StreamProtocol, ws_per_message_deflate=False,
            ws_max_size=limits.frame_bytes, ws_max_queue=16, ws_ping_interval=20, ws_ping_timeout=20, lifespan="off",
            log_config=None, access_log=False, server_header=False, proxy_headers=False, timeout_keep_alive=5,
            timeout_graceful_shutdown=5, h11_max_incomplete_event_size=16 * 1024, backlog=2048,
        )
    )  # fmt: skip


def server_url(host: str, listener: socket.socket) -> str:
    """Where a listening socket is."""
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _start_crowd(exchange: Exchange, plan: Plan, url: str, is_wanted: Callable[[], bool]) -> CrowdWatch:
    """The demo's participants, in a process of their own: they know the address and the operator's key, no more."""
    from exchange.cli.crowd_watch import CrowdWatch

    environment = {**os.environ, "CPX_URL": url, "CPX_KEY": exchange.operator_key()}
    arguments = ["--seed", str(plan.seed), "--folder", str(plan.settings.folder)]
    arguments += [word for name in _programs(plan) for word in ("--program", name)]
    watch = CrowdWatch([sys.executable, "-m", "exchange.replay.crowd", *arguments], environment, is_wanted)
    watch.start()
    return watch


def _programs(plan: Plan) -> tuple[str, ...]:
    """What the demo's providers run of the work that comes with tasks: nothing where others than this machine reach it."""
    return DEMO_PROGRAMS if plan.demo and plan.host in LOOPBACK else ()


def _tell(exchange: Exchange, plan: Plan, url: str) -> None:
    """Where it is, and three things to try."""
    key_file = exchange.operator_key_file
    if plan.as_json:
        handle = exchange.handle
        ready = {"schema": 1, "url": url, "operator_key_file": str(key_file), "epoch": handle.epoch, "seq": handle.seq}
        if plan.feed_listeners:
            ready["feed_workers"] = [server_url(plan.host, each).replace("http", "ws", 1) for each in plan.feed_listeners]
        typer.echo(json.dumps(ready))
        sys.stdout.flush()
        return
    typer.echo(f"CPX takes requests at {url}")
    typer.echo(f"operator's key in {key_file}; journal and database in {plan.settings.folder}")
    for worker in plan.feed_listeners:
        typer.echo(f"market data is served at {server_url(plan.host, worker).replace('http', 'ws', 1)}/v1/stream as well")
    for line in exchange.notes:
        note(line)
    if programs := _programs(plan):
        typer.echo(f"work of tasks is run here, as you: {', '.join(programs)} (./cpx buy … --work \"python3 -c 'print(6*7)'\")")
    typer.echo("\nTry, in another terminal:")
    typer.echo(f"  export CPX_URL={url} CPX_KEY=$(cat {shlex.quote(str(key_file.absolute()))})")
    typer.echo("  ./cpx instruments")
    typer.echo("  ./cpx curve --region gansu-qingyang")
    typer.echo(f"  open {url}/docs in a browser")
    typer.echo("\nStop with Ctrl-C; start it again and it goes on.")

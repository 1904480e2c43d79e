"""One feed worker: the socket's door on an address of its own, with the venue's feeds behind it instead of the venue.

Started by `keeper` with two inherited sockets, the link to the venue and the one that listens. It ends with the venue: told
of a planned end, or by the end of the link, its clients are sent away first, to come back later.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from time import monotonic_ns
from typing import Any, NoReturn, cast

import uvicorn
import uvloop

from exchange.gateways.access import Access
from exchange.gateways.dispatch import Dispatcher
from exchange.gateways.limits import DoorBudgets, DoorLimits
from exchange.gateways.rest.transport import protocol_for
from exchange.gateways.stream.endpoint import StreamDoor
from exchange.gateways.stream.transport import StreamProtocol
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.strict_json import encode
from exchange.workers import frames as f
from exchange.workers.mirror import MirrorMarket, feed_only
from exchange.workers.remote_keys import RemoteKeys

STREAM_PATH = "/v1/stream"
SILENT_NS = 3_000_000_000  # a venue that has said nothing for so long is not spoken for
LINGER_S = 5


class FeedOnly:
    """In place of the dispatcher: nothing but market data is served here."""

    def __init__(self, main_url: str) -> None:
        self._main_url = main_url

    def command_nowait(self, *_args: Any, **_named: Any) -> NoReturn:
        """DoorError FEED_ONLY."""
        raise feed_only(self._main_url)

    async def run(self, *_args: Any, **_named: Any) -> NoReturn:
        """DoorError FEED_ONLY."""
        raise feed_only(self._main_url)


class VenueLink(asyncio.Protocol):
    """The worker's end of the link, and what is behind it once the venue has said hello."""

    def __init__(self) -> None:
        self.hello: asyncio.Future[f.Hello] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()
        self.is_planned = False  # the venue has said goodbye
        self.market: MirrorMarket | None = None
        self.keys = RemoteKeys(self.write)
        self.heard_ns = monotonic_ns()
        self.lag_us = 0  # the longest since the last COUNTS
        self._frames = f.Frames()
        self._transport: asyncio.Transport | None = None

    def write(self, data: bytes) -> None:
        """Without waiting: a worker says little."""
        if self._transport is not None:
            self._transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of the loop."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Of the loop."""
        for kind, body in self._frames.feed(data):
            if kind == f.HELLO:
                hello = f.said(body, f.Hello)
                self.market = MirrorMarket(hello, self.write)
                self.hello.set_result(hello)
            elif kind == f.GOODBYE:
                self.is_planned = True
                self.lost.set()
            else:
                assert self.market is not None
                self._on_frame(self.market, kind, body)

    def connection_lost(self, error: Exception | None) -> None:
        """Of the loop."""
        if not self.hello.done():
            self.hello.cancel()
        self.lost.set()

    def _on_frame(self, market: MirrorMarket, kind: int, body: bytes) -> None:
        if kind == f.STEP:
            market.on_step(*f.step_of(body))
        elif kind == f.PLACE:
            place = f.place_of(body)
            self.heard_ns = monotonic_ns()
            self.lag_us = max(self.lag_us, (self.heard_ns - place.sent_ns) // 1000)
            market.on_place(place)
        elif kind == f.OPENED:
            market.on_opened(f.said(body, f.Opened))
        elif kind == f.REFUSED:
            market.on_refused(f.said(body, f.Refused))
        elif kind == f.NAMES:
            market.on_names(f.said(body, f.Names))
        elif kind == f.NEWS:
            market.on_news(f.said(body, f.News))
        elif kind == f.ENDED:
            market.on_ended(f.said(body, int))
        elif kind == f.KEY:
            self.keys.on_key(f.said(body, f.Key))
        elif kind == f.KEY_ENDED:
            self.keys.on_ended(f.said(body, str))
        elif kind == f.BROKEN:
            market.on_broken()


class WorkerDoor(StreamDoor):
    """The socket's door; what is no socket is sent to the main address."""

    def __init__(self, link: VenueLink, market: MirrorMarket, hello: f.Hello) -> None:
        limits = DoorLimits(**hello.limits)
        self._link, self._main_url = link, hello.main_url
        dispatcher = cast(Dispatcher, FeedOnly(hello.main_url))
        super().__init__(dispatcher, Access(link.keys), DoorBudgets(limits), limits, market)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One socket, or one request that is at the wrong address."""
        if scope["type"] == "websocket" and scope["path"] == STREAM_PATH:
            await super().__call__(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": DoorReason.NOT_FOUND.name})
            return
        await _answer(feed_only(self._main_url), send)

    def _beat(self) -> None:
        """A heartbeat says that the venue lives: where it is silent, so is the worker."""
        if monotonic_ns() - self._link.heard_ns < SILENT_NS:
            super()._beat()
        else:
            self._beating = None
            self._keep_beating()


async def _answer(no: DoorError, send: Any) -> None:
    problem = no.problem()
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": encode(problem)})


class _WebServer(uvicorn.Server):
    """Ends when the link says so."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's own."""
        yield


async def work(link_socket: socket.socket, listener: socket.socket) -> None:
    """Until the venue has gone, or SIGTERM."""
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(VenueLink, sock=link_socket)
    try:
        hello = await link.hello
    except asyncio.CancelledError:
        return  # the venue has gone before it said anything
    assert link.market is not None
    door = WorkerDoor(link, link.market, hello)
    loop.add_signal_handler(signal.SIGTERM, link.lost.set)
    web = _WebServer(_config(door))
    serving = loop.create_task(web.serve(sockets=[listener]))
    while not web.started and not serving.done():
        await asyncio.sleep(0.005)
    counting = loop.create_task(_count(link, link.market, door))
    link.write(f.frame(f.READY))
    lost = loop.create_task(link.lost.wait())
    await asyncio.wait({lost, serving}, return_when=asyncio.FIRST_COMPLETED)
    counting.cancel()
    door.shut_down()
    web.should_exit = True
    await serving


def _config(door: WorkerDoor) -> uvicorn.Config:
    limits = door.limits
    return uvicorn.Config(
        door, loop="none", http=protocol_for(limits), ws=StreamProtocol, ws_per_message_deflate=False,
        ws_max_size=limits.frame_bytes, ws_max_queue=16, ws_ping_interval=20, ws_ping_timeout=20, lifespan="off",
        log_config=None, access_log=False, server_header=False, proxy_headers=False, timeout_keep_alive=5,
        timeout_graceful_shutdown=LINGER_S, h11_max_incomplete_event_size=16 * 1024, backlog=2048,
    )  # fmt: skip


async def _count(link: VenueLink, market: MirrorMarket, door: WorkerDoor) -> None:
    """Tells the venue once a second what is to stand at its /metrics."""
    stats = door.stats
    while True:
        lag_us, link.lag_us = link.lag_us, 0
        counts = f.Counts(stats.connections, stats.opened, stats.messages, stats.lagged, len(market), lag_us)
        link.write(f.frame(f.COUNTS, counts))
        await asyncio.sleep(1)


def main() -> None:
    """For `python -m`: the numbers of the two inherited sockets."""
    logging.basicConfig(level=logging.WARNING, format="cpx feed worker: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link, listener = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(link, listener))


if __name__ == "__main__":
    main()

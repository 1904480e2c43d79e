"""The peer of `cpx bench feed`: the socket library's own server and its own `broadcast`, with nothing behind it.

The messages are a JSON list in the file named; each is sent to all sockets, then the next one, as fast as they are taken,
from when the first line of stdin has come.
"""

import asyncio
import json
import sys
from pathlib import Path

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

LOOK_EVERY = 8  # messages: then whoever is behind is waited for
MOST_BEHIND = 64 * 1024  # bytes, as at the exchange's door
PAUSE_S = 0.001

_connections: set[ServerConnection] = set()


async def _handle(connection: ServerConnection) -> None:
    _connections.add(connection)
    try:
        await connection.wait_closed()
    finally:
        _connections.discard(connection)


def _is_anybody_behind() -> bool:
    return any(each.transport.get_write_buffer_size() > MOST_BEHIND for each in _connections)


async def _run(messages: list[str]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    while True:
        for number, message in enumerate(messages):
            broadcast(_connections, message)
            await asyncio.sleep(0)
            while number % LOOK_EVERY == 0 and _is_anybody_behind():
                await asyncio.sleep(PAUSE_S)
        if not _connections:
            await asyncio.sleep(PAUSE_S)


async def _serve(messages: list[str]) -> None:
    async with serve(_handle, "127.0.0.1", 0, compression=None, backlog=2048) as server:
        sys.stdout.write(json.dumps({"port": next(iter(server.sockets)).getsockname()[1]}) + "\n")
        sys.stdout.flush()
        try:
            await _run(messages)
        except ConnectionClosed:
            return


def main() -> None:
    """Serves on a free port of this machine; one JSON line says where."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()

"""The server library's WebSocket protocol with some promises more, to be given to uvicorn as its `ws` class.

A client that does not read must cost little and must go: the write buffer and the kernel's are small, so that `send`
waits soon; pings are not answered into a full buffer; a connection that was told to close and does not take the close
frame is cut off. Who sends what cannot be read gets his close frame, and on a shutdown each client is told why.
"""

import socket
from asyncio import BaseTransport
from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from exchange.protocol.stream import CLOSE_GOING_AWAY

WRITE_BUFFER_BYTES = 64 * 1024
KERNEL_BUFFER_BYTES = 128 * 1024
CUT_OFF_S = 5.0
DISCARD_S = 2.0
CUT_OFF = "cpx.cut_off"  # in the scope's extensions: a function that ends the connection without a word


class StreamProtocol(WebSocketsSansIOProtocol):
    """One socket."""

    is_discarding = False

    def connection_made(self, transport: BaseTransport) -> None:
        """The handshake begins."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)

    def handle_connect(self, event: Any) -> None:
        """The handshake was read; the application starts in the loop's next round and finds `cut_off` in its scope."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions = cast(dict[str, Any], self.scope["extensions"])
            extensions[CUT_OFF] = self.transport.abort

    async def send(self, message: Any) -> None:
        """As the library's; a client to whom this protocol itself has said goodbye in the meantime has gone."""
        await self.writable.wait()
        if self.handshake_complete and self.close_sent:
            raise ClientDisconnected
        await super().send(message)

    def handle_ping(self) -> None:
        """Answers, unless the client leaves what it got unread: pongs for nobody would pile up without a bound."""
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(pong)

    def handle_parser_exception(self) -> None:
        """A frame that is too large or none at all. What follows it is thrown away for a moment, and only then is the
        connection closed: closing on top of unread bytes resets it, and the client never sees the close frame."""
        assert self.conn.close_sent is not None
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.stop_keepalive()
        self.close_sent = self.is_discarding = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(DISCARD_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if not self.is_discarding:
            super().data_received(data)

    def keepalive_timeout(self) -> None:
        """A ping was not answered."""
        super().keepalive_timeout()
        self.loop.call_later(CUT_OFF_S, self.transport.abort)

    def shutdown(self) -> None:
        """The server ends."""
        if self.handshake_complete and not self.close_sent:
            self.stop_keepalive()
            self.queue.put_nowait({"type": "websocket.disconnect", "code": CLOSE_GOING_AWAY})
            self.conn.send_close(CLOSE_GOING_AWAY, "SHUTTING_DOWN")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        super().shutdown()
        self.loop.call_later(CUT_OFF_S, self.transport.abort)

"""The server library's WebSocket protocol with some promises more, to be given to uvicorn as its `ws` class.

The handshake goes through the application like any other. From then on whole frames are taken out of the bytes here and
handed straight to the connection, and what it writes goes straight out: no queue and no task stands between them. All that
is not a plain data frame (control frames, fragments, mistakes) is the library's to judge.

A client that does not read must cost little and must go: the write buffer and the kernel's are small, so that writing is
paused soon; pings are not answered into a full buffer; a connection that was told to close and does not take the close
frame is cut off. Who sends what cannot be read gets his close frame, and on a shutdown each client is told why.
"""

import socket
from asyncio import BaseTransport
from typing import Any, Protocol, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from exchange.gateways.stream.frames import FORMAT_OF, MASKED, TEXT, unmasked
from exchange.protocol.formats import JSON, MSGPACK
from exchange.protocol.stream import CLOSE_GOING_AWAY

WRITE_BUFFER_BYTES = 64 * 1024
KERNEL_BUFFER_BYTES = 128 * 1024
EARLY_BYTES = 64 * 1024  # that may come before the handshake is answered
CUT_OFF_S = 5.0
DISCARD_S = 2.0
FRAMES_AT_ONCE = 64  # of one client, before others have their turn
WIRE = "cpx.wire"  # in the scope's extensions: the StreamProtocol itself


class Taker(Protocol):
    """The connection behind the protocol."""

    def on_frame(self, fmt: int, payload: bytes) -> bool:
        """A whole message; False: hand over no more until `go_on` is called."""
        ...

    def on_writable(self) -> None:
        """What was written has been taken."""
        ...

    def on_lost(self) -> None:
        """The connection is gone."""
        ...


class StreamProtocol(WebSocketsSansIOProtocol):
    """One socket."""

    is_discarding = False
    is_paused = False  # the client does not take what was written
    is_held = False  # no frame is handed over
    is_waiting = False  # `go_on` is on its way
    taker: Taker | None = None
    _rest: bytearray | None = None  # of a frame that is not all here, or of frames that are held
    _needed = 0  # bytes of it that make a frame

    # --- the handshake ---

    def connection_made(self, transport: BaseTransport) -> None:
        """The handshake begins."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)

    def handle_connect(self, event: Any) -> None:
        """The handshake was read; the application starts in the loop's next round and finds this protocol in its scope."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions = cast(dict[str, Any], self.scope["extensions"])
            extensions[WIRE] = self

    async def run_asgi(self) -> None:
        """The application answers the handshake; where it has attached a taker, the connection lives on without it."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:  # noqa: BLE001 - logged, and the client is told
            self.logger.exception("the handshake failed")
            self.send_500_response()
        else:
            if not self.handshake_complete:
                self.send_500_response()
        if self.taker is None and self.close_timer is None:
            self.transport.close()

    def attach(self, taker: Taker, most_bytes: int) -> None:
        """From here on frames go to the taker; what only the handshake needed is let go."""
        self.taker = taker
        self.allow(most_bytes)
        self.queue = _NOBODY
        self.request = self.response = self.scope = None  # type: ignore[assignment]
        if self._rest is not None:
            self.is_waiting = True
            self.loop.call_soon(self._go_on)

    def allow(self, most_bytes: int) -> None:
        """The largest message that is read from now on."""
        self.conn.max_message_size = most_bytes

    async def send(self, message: Any) -> None:
        """As the library's; a client to whom this protocol itself has said goodbye in the meantime has gone."""
        await self.writable.wait()
        if self.handshake_complete and self.close_sent:
            raise ClientDisconnected
        await super().send(message)

    # --- in ---

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self.is_discarding:
            return
        if self._rest is not None:
            self._rest += data
            if len(self._rest) < self._needed or self.is_held or self.is_waiting:
                return
            if self.taker is not None:
                data, self._rest = bytes(self._rest), None
                self._take(data)
        elif self.taker is not None:
            self._take(data)
        elif self.handshake_initiated:
            self._rest = bytearray(data)
        else:
            super().data_received(data)
        if self.taker is None and self._rest is not None and len(self._rest) > EARLY_BYTES:
            self.transport.abort()

    def _take(self, data: bytes) -> None:
        """Hands over every whole frame, and keeps the rest."""
        assert self.taker is not None
        at, size, left = 0, len(data), FRAMES_AT_ONCE
        self._needed = 0
        while size - at >= 2:
            first, second = data[at], data[at + 1]
            mask = at + 2
            length = second & 0x7F
            if length >= 126:
                wide = 2 if length == 126 else 8
                if size < mask + wide:
                    break
                length = int.from_bytes(data[mask : mask + wide])
                mask += wide
            body = mask + 4
            end = body + length
            is_plain = first in FORMAT_OF and second & MASKED and self.conn.current_size is None
            if length > self.conn.max_message_size or not second & MASKED:  # type: ignore[operator]
                self._judge(data[at:])
                return
            if size < end:
                self._needed = end - at
                break
            at, begun = end, at
            if is_plain:
                goes_on = self._hand_over(first, unmasked(data[body:end], data[mask:body]))
            else:
                goes_on = self._judge(data[begun:end])
            left -= 1
            if not goes_on or not left:
                self._hold(data[at:], is_held=not goes_on)
                return
        if at < size:
            self._rest = bytearray(data[at:] if at else data)

    def _hand_over(self, first: int, payload: bytes) -> bool:
        assert self.taker is not None
        if first == TEXT and not payload.isascii():
            try:
                payload.decode()
            except UnicodeDecodeError:
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return True
        return self.taker.on_frame(FORMAT_OF[first], payload)

    def _judge(self, data: bytes) -> bool:
        """What is no plain frame, to the library; whether more frames may be handed over."""
        self.conn.receive_data(data)
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()
            return True
        self.handle_events()
        return not self.is_held

    def send_receive_event_to_app(self) -> None:
        """A message in fragments is whole."""
        data = b"".join(self.frames)
        self.frames = []
        if self.taker is None:
            return
        first = TEXT if self.curr_msg_data_type == "text" else 0
        try:
            if first == TEXT:
                data.decode()
        except UnicodeDecodeError:
            self.conn.send_close(1007)
            self.handle_parser_exception()
            return
        if not self.taker.on_frame(JSON if first == TEXT else MSGPACK, data):
            self.is_held = True

    def _hold(self, rest: bytes, *, is_held: bool) -> None:
        """No more frames for now: until `go_on`, or until others have had their turn."""
        if self.is_discarding or self.transport.is_closing():
            return
        self._rest = bytearray(rest)
        self._needed = 0
        self.is_held = is_held
        self.transport.pause_reading()
        if not is_held:
            self.is_waiting = True
            self.loop.call_soon(self._go_on)

    def go_on(self) -> None:
        """Frames may be handed over again."""
        if self.is_held:
            self.is_held, self.is_waiting = False, True
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self.is_waiting = False
        if self.is_discarding or self.is_held or self.disconnected:
            return
        if self._rest is not None:
            data, self._rest = bytes(self._rest), None
            self._take(data)
        if not self.is_held and not self.is_waiting and not self.transport.is_closing():
            self.transport.resume_reading()

    # --- out ---

    @property
    def is_open(self) -> bool:
        """Whether anything can still be sent."""
        return not (self.close_sent or self.disconnected or self.transport.is_closing())

    def close(self, code: int, reason: str) -> None:
        """Says goodbye; ends when the client has answered, or after a while."""
        if not self.is_open:
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
        self.go_on()  # or his answer would never be read

    def pause_writing(self) -> None:
        """The write buffer is full."""
        self.is_paused = True
        super().pause_writing()

    def resume_writing(self) -> None:
        """There is room again."""
        self.is_paused = False
        super().resume_writing()
        if self.taker is not None:
            self.taker.on_writable()

    # --- the end ---

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        super().connection_lost(exc)
        self._rest = None
        if self.taker is not None:
            self.taker.on_lost()

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
        self._rest = None
        if self.is_held or self.is_waiting:
            self.is_held = self.is_waiting = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(DISCARD_S, self.transport.abort)

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


class _Nobody:
    """In place of the library's queue once nobody reads it."""

    def put_nowait(self, event: Any) -> None:
        """Forgotten: the taker is told by calls."""


_NOBODY = cast(Any, _Nobody())

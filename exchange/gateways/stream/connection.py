"""One client's socket: frames in, texts out. It joins the session (what may be done) and the outbox (what is to be sent).

Two tasks a connection: one reads, one sends; a command costs no task of its own. Answers to commands go out in the order
of the commands; answers to questions come when they are ready, and no order is promised between answers and channels.
"""

import asyncio
import logging
import secrets
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from exchange.engine.market_data import MarketData
from exchange.gateways.dispatch import Dispatcher
from exchange.gateways.limits import DoorLimits
from exchange.gateways.stream import session as act
from exchange.gateways.stream.outbox import Outbox
from exchange.gateways.stream.session import Session, Topic, failure_text, result_text
from exchange.ports_access import Principal
from exchange.protocol import stream as s
from exchange.protocol.errors import DoorError, DoorReason

CUT_OFF_S = 5.0  # so long a client has to take what is left and the close frame
MAX_QUESTIONS = 8  # of one client at the same time
HEARTBEAT = Topic("heartbeat", "")

_LOG = logging.getLogger("cpx.stream")


class Door(Protocol):
    """What a connection needs of the whole."""

    market: MarketData
    limits: DoorLimits
    dispatcher: Dispatcher
    stats: "StreamStats"

    def now_ns(self) -> int:
        """Never goes back."""
        ...

    def server_ts_ns(self) -> int:
        """The wall clock."""
        ...


@dataclass(slots=True)
class StreamStats:
    """Since the start, but `connections`, which are those of now."""

    connections: int = 0
    opened: int = 0
    refused: int = 0  # handshakes
    messages: int = 0  # sent
    lagged: int = 0  # connections ended because their clients did not read


class _Pending:
    """A command whose answer is to come."""

    __slots__ = ("id", "text")

    def __init__(self, request_id: int | str) -> None:
        self.id = request_id
        self.text = ""


class Connection:
    """From the accepted handshake to the end."""

    def __init__(self, door: Door, session: Session, number: int, receive: Any, send: Any, cut_off: Any) -> None:
        """receive and send: ASGI's; cut_off: ends the connection at once."""
        self.session = session
        self.number = number
        self._door, self._market = door, door.market
        self._receive, self._send, self._cut_off = receive, send, cut_off
        self._wake, self._may_read = asyncio.Event(), asyncio.Event()
        self._commands: deque[_Pending] = deque()
        self._questions: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._cutting: asyncio.TimerHandle | None = None
        self._is_held = False  # no frame is read until the client has taken some of his answers
        self._is_gone = False  # nothing is sent any more
        self.outbox = Outbox(
            door.limits, self._wake.set, self._market.snapshot_text, self._heartbeat, session.topics.discard, self._ending
        )  # fmt: skip

    async def run(self) -> None:
        """Until the client has gone."""
        waiting = self._loop.call_later(self._door.limits.login_s, self._out_of_time)
        sender = self._loop.create_task(self._send_all(), name=f"stream {self.number}")
        try:
            await self._receive_all()
        except Exception:  # noqa: BLE001 - logged, and the client is told
            _LOG.exception("stream %d failed", self.number)
            self.close(s.CLOSE_FAULT, "INTERNAL")
            await sender
        finally:
            waiting.cancel()
            if self._cutting is not None:
                self._cutting.cancel()
            self._door.stats.lagged += self.outbox.has_lagged
            self.outbox.close(s.CLOSE_NORMAL, "")
            for task in (sender, *self._questions):
                task.cancel()
            await asyncio.gather(sender, *self._questions, return_exceptions=True)

    def close(self, code: int, reason: str, text: str = "") -> None:
        """Ends the connection from our side, once what waits is sent; cut off where it is not taken in time."""
        if self.outbox.end is None and text:
            self.outbox.put(text)
        self.outbox.close(code, reason)

    def _ending(self) -> None:
        """The outbox takes nothing more: what is left must be taken in time."""
        self._may_read.set()
        self._cutting = self._loop.call_later(CUT_OFF_S, self._cut)

    def _cut(self) -> None:
        """Ends it now, whoever waits for whatever."""
        self._is_gone = True
        self._cut_off()
        self._wake.set()
        self._may_read.set()

    def beat(self) -> None:
        """Once a second."""
        self.outbox.check_reader()
        end = self.session.check_key()
        if end is not None:
            self.close(end.code, end.reason, end.text)
        self.outbox.beat()

    # --- in ---

    async def _receive_all(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            if self.outbox.end is not None or self._is_gone:
                continue  # what comes after our last word is not read
            frame = message.get("text")
            self._do(self.session.receive(message["bytes"] if frame is None else frame, self._door.now_ns()))
            while not self._is_free() and self.outbox.end is None and not self._is_gone:
                self._is_held = True
                self._may_read.clear()
                await self._may_read.wait()
                self._is_held = False

    def _is_free(self) -> bool:
        return self.outbox.may_read and len(self._questions) < MAX_QUESTIONS

    def _do(self, action: act.Action) -> None:
        kind = type(action)
        if kind is act.Call:
            self._call(action)  # type: ignore[arg-type]
        elif kind is act.Reply:
            self.outbox.put(action.text)  # type: ignore[union-attr]
        elif isinstance(action, act.End):
            self.close(action.code, action.reason, action.text)
        elif isinstance(action, act.Watch):
            self._watch(action)
        elif isinstance(action, act.Unwatch):
            self._unwatch(action)
        elif isinstance(action, act.Ping):
            pong = s.Pong(ts_ns=str(self._market.now_ns), server_ts_ns=str(self._door.server_ts_ns()))
            self.outbox.put(result_text(action.id, pong))
        elif isinstance(action, act.LogIn):
            welcome = self.session.greeting(self.number, self._market.epoch, self._market.now_ns)
            self.outbox.put(result_text(action.id, welcome))

    def _out_of_time(self) -> None:
        end = self.session.out_of_time()
        if end is not None:
            self.close(end.code, end.reason, end.text)

    # --- operations ---

    def _call(self, call: act.Call) -> None:
        assert self.session.principal is not None
        if not call.operation.is_command:
            self.outbox.on_their_way += 1
            question = self._loop.create_task(self._ask(call, self.session.principal))
            self._questions.add(question)
            question.add_done_callback(self._asked)
            return
        pending = _Pending(call.id)
        self._commands.append(pending)
        self.outbox.on_their_way += 1
        on_done = partial(self._done, pending)
        try:
            self._door.dispatcher.command_nowait(
                self.session.principal, call.operation, call.args, on_done,
                idempotency_key=call.idempotency_key, valid_until=call.valid_until,
            )  # fmt: skip
        except DoorError as no:
            on_done(no)
        except Exception:  # noqa: BLE001 - logged, and the client is told
            pending.text = self._fault_text(call.operation.name, pending.id)
            self._send_answered()

    def _done(self, pending: _Pending, result: Any) -> None:
        """An answer to a command."""
        try:
            failed = isinstance(result, DoorError)
            pending.text = failure_text(pending.id, result) if failed else result_text(pending.id, result)
        except Exception:  # noqa: BLE001 - logged, and the client is told
            pending.text = self._fault_text("an answer", pending.id)
        self._send_answered()

    def _send_answered(self) -> None:
        """What is answered goes out behind the answers to earlier commands."""
        commands = self._commands
        while commands and commands[0].text:
            self.outbox.on_their_way -= 1
            self.outbox.put(commands.popleft().text)

    async def _ask(self, call: act.Call, principal: Principal) -> None:
        try:
            answer = await self._door.dispatcher.run(
                principal, call.operation, call.args, idempotency_key=call.idempotency_key, valid_until=call.valid_until
            )
            text = result_text(call.id, answer)
        except DoorError as no:
            text = failure_text(call.id, no)
        except Exception:  # noqa: BLE001 - logged, and the client is told
            text = self._fault_text(call.operation.name, call.id)
        self.outbox.put(text)

    @staticmethod
    def _fault_text(what: str, request_id: int | str) -> str:
        """INTERNAL, by the name under which the exception at hand is in the log."""
        trace_id = secrets.token_hex(8)
        _LOG.exception("%s failed, trace_id %s", what, trace_id)
        return failure_text(request_id, DoorError(DoorReason.INTERNAL), trace_id)

    def _asked(self, question: asyncio.Task[None]) -> None:
        self._questions.discard(question)
        self.outbox.on_their_way -= 1
        self._may_read.set()
        self._wake.set()  # the sender may wait for nothing but this one to close

    # --- subscriptions ---

    def _watch(self, watch: act.Watch) -> None:
        topic, from_seq = watch.topic, None
        if topic == HEARTBEAT:
            self.session.topics.add(topic)
            self.outbox.has_heartbeat = True
            self._say_subscribed(watch.id, topic, self._market.seq, False)
            self.outbox.beat()
            return
        try:
            feed = self._market.feed(*topic)
        except DoorError as no:
            self.outbox.put(failure_text(watch.id, no))
            return
        if watch.resume is not None and watch.resume[0] == self._market.epoch and feed.reaches_back_to(watch.resume[1]):
            from_seq = watch.resume[1]
        self._say_subscribed(watch.id, topic, feed.seq, from_seq is not None)
        self.outbox.watch(topic, feed, from_seq)
        self.session.topics.add(topic)

    def _unwatch(self, unwatch: act.Unwatch) -> None:
        topic = unwatch.topic
        if topic == HEARTBEAT:
            self.outbox.has_heartbeat = False
            self.session.topics.discard(topic)
            seq = self._market.seq
        else:
            seq = self.outbox.subscriptions[topic].sent_seq
            self.outbox.drop(topic)
        self._say_subscribed(unwatch.id, topic, seq, False)

    def _say_subscribed(self, request_id: int | str, topic: Topic, seq: int, is_resumed: bool) -> None:
        told = s.Subscribed(
            channel=topic.channel, instrument=topic.name, epoch=self._market.epoch, seq=seq, is_resumed=is_resumed
        )
        self.outbox.put(result_text(request_id, told))

    def _heartbeat(self, seqs: dict[str, int], queued: int) -> s.Heartbeat:
        return s.Heartbeat(
            epoch=self._market.epoch, seq=self._market.seq, ts_ns=str(self._market.now_ns),
            server_ts_ns=str(self._door.server_ts_ns()), seqs=seqs, queued=queued,
        )  # fmt: skip

    # --- out ---

    async def _send_all(self) -> None:
        """Sends what the outbox has; `send` waits while the client does not read."""
        outbox, wake, stats = self.outbox, self._wake, self._door.stats
        try:
            while not self._is_gone:
                text = outbox.take()
                if text is not None:
                    await self._send({"type": "websocket.send", "text": text})
                    stats.messages += 1
                    if self._is_held and self._is_free():
                        self._may_read.set()
                elif outbox.end is not None and not outbox.on_their_way:
                    break
                else:
                    wake.clear()
                    await wake.wait()
            if outbox.end is not None and not self._is_gone:
                code, reason = outbox.end
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            return  # the client has gone; the reading side is told as well
        except Exception:  # noqa: BLE001 - logged; the connection is of no use any more
            _LOG.exception("stream %d failed while sending", self.number)
            self._cut_off()
        finally:
            self._is_gone = True
            self._may_read.set()  # a reader that waits for room in the outbox would wait for ever

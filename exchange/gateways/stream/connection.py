"""One client's socket: frames in, frames out. It joins the session (what may be done) and the outbox (what is to be sent).

No task and no queue of its own: a frame is dealt with where its bytes arrive, and what waits for a client is written at
the end of the loop's turn, all in one. Answers to commands go out in the order of the commands; answers to questions come
when they are ready, and no order is promised between answers and channels.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from exchange.engine.feed_source import FeedSource, NotYet
from exchange.gateways.batches import BATCHES
from exchange.gateways.dispatch import Dispatcher
from exchange.gateways.limits import DoorLimits
from exchange.gateways.stream import session as act
from exchange.gateways.stream.entry import OrderEntry, fault_payload
from exchange.gateways.stream.outbox import Outbox
from exchange.gateways.stream.patterns import Patterns
from exchange.gateways.stream.session import HEARTBEAT, Session, Topic, failure_payload, result_payload
from exchange.gateways.stream.stats import StreamStats
from exchange.ports_access import Principal
from exchange.protocol import stream as s
from exchange.protocol.errors import DoorError, DoorReason

CUT_OFF_S = 5.0  # so long a client has to take what is left and the close frame
MAX_QUESTIONS = 8  # of one client at the same time
WRITE_AT_ONCE = 64 * 1024  # bytes to one client before others have their turn

_LOG = logging.getLogger("cpx.stream")


class Door(Protocol):
    """What a connection needs of the whole."""

    market: FeedSource
    limits: DoorLimits
    dispatcher: Dispatcher
    stats: StreamStats

    def now_ns(self) -> int:
        """Never goes back."""
        ...

    def server_ts_ns(self) -> int:
        """The wall clock."""
        ...

    def has_something(self, connection: "Connection") -> None:
        """Its `flush` is to be called at the end of the loop's turn."""
        ...

    def forget(self, connection: "Connection") -> None:
        """It has ended."""
        ...


class Wire(Protocol):
    """What a connection needs of the protocol below it."""

    is_paused: bool
    is_open: bool
    transport: Any

    def close(self, code: int, reason: str) -> None:
        """Says goodbye."""
        ...

    def go_on(self) -> None:
        """Frames may be handed over again."""
        ...

    def allow(self, most_bytes: int) -> None:
        """The largest message that is read from now on."""
        ...


class Connection:
    """From the accepted handshake to the end."""

    __slots__ = (
        "_cut_off", "_cutting", "_door", "_is_asking", "_is_flushing", "_is_gone", "_is_held", "_loop", "_market",
        "_patterns", "_questions", "_wire",
        "address", "entry", "number", "outbox", "session",
    )  # fmt: skip

    def __init__(self, door: Door, session: Session, number: int, wire: Wire) -> None:
        self.session, self.number, self.address = session, number, session.address
        self._door, self._market, self._wire = door, door.market, wire
        self._cut_off: Callable[[], None] = wire.transport.abort
        self._questions: set[asyncio.Task[None]] | None = None
        self._loop = asyncio.get_running_loop()
        self._is_held = False  # no frame is read until the client has taken some of his answers
        self._is_asking = False  # a frame waits for what another process knows, and those behind it wait as well
        self._is_gone = False  # nothing is sent any more
        self._is_flushing = False  # `flush` is on its way
        self.outbox = Outbox(
            door.limits, self._wake, self._market.snapshot_payload, self._heartbeat, session.topics.discard, self._ending,
            door.stats,
        )  # fmt: skip
        self._patterns: Patterns | None = None
        self.entry = OrderEntry(session, self.outbox, door.dispatcher)
        self._cutting: asyncio.TimerHandle | None = self._loop.call_later(door.limits.login_s, self._out_of_time)

    @property
    def is_waiting(self) -> bool:
        """Whether the client has something yet to take."""
        return self._wire.is_paused or not self.outbox.is_empty

    def close(self, code: int, reason: str, payload: bytes = b"") -> None:
        """Ends the connection from our side, once what waits is sent; cut off where it is not taken in time."""
        if self.outbox.end is None and payload:
            self.outbox.put(payload)
        self.outbox.close(code, reason)

    def _ending(self) -> None:
        """The outbox takes nothing more: what is left must be taken in time."""
        self._stop_timer()
        self._cutting = self._loop.call_later(CUT_OFF_S, self._cut)
        self._release()

    def _cut(self) -> None:
        """Ends it now, whoever waits for whatever."""
        self._cut_off()

    def _stop_timer(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None

    def beat(self) -> None:
        """Once a second."""
        self.outbox.check_reader()
        end = self.session.check_key()
        if end is not None:
            self.close(end.code, end.reason, end.payload)
        self.outbox.beat()

    def _out_of_time(self) -> None:
        self._cutting = None
        end = self.session.out_of_time()
        if end is not None:
            self.close(end.code, end.reason, end.payload)

    # --- told by the protocol ---

    def on_frame(self, fmt: int, payload: bytes) -> bool:
        """A frame has come; False where no more may come for now."""
        if self.outbox.end is not None or self._is_gone:
            return True  # what comes after our last word is not read
        try:
            action = self.session.take(fmt, payload, self._door.now_ns())
            self.outbox.fmt = self.session.fmt
            self._do(action)
        except NotYet as wait:
            wait.ready.add_done_callback(lambda _: self._again(fmt, payload))
            self._is_held = self._is_asking = True
            return False
        except Exception:  # noqa: BLE001 - logged, and the client is told
            _LOG.exception("stream %d failed", self.number)
            self.close(s.CLOSE_FAULT, "INTERNAL")
        if self._is_free() or self.outbox.end is not None:
            return True
        self._is_held = True
        return False

    def _again(self, fmt: int, payload: bytes) -> None:
        """What a frame waited for is here."""
        self._is_held = self._is_asking = False
        if not self._is_gone and self.on_frame(fmt, payload):
            self._wire.go_on()

    def on_writable(self) -> None:
        """The client has taken what was written."""
        self._wake()

    def on_lost(self) -> None:
        """The connection is gone, whoever ended it."""
        if self._is_gone:
            return
        self._is_gone = True
        self._stop_timer()
        self._door.stats.lagged += self.outbox.has_lagged
        self.outbox.close(s.CLOSE_NORMAL, "")
        self._stop_timer()
        for task in self._questions or ():
            task.cancel()
        if self.session.ledger is not None:
            self.session.ledger.release(self._taken)
        if self._patterns is not None:
            self._patterns.end()
        self._door.forget(self)
        self.entry.on_lost()

    def _is_free(self) -> bool:
        return self.outbox.may_read and (self._questions is None or len(self._questions) < MAX_QUESTIONS)

    def _release(self) -> None:
        """Frames are read again, where that was all that stood in the way."""
        if self._is_held and not self._is_asking and (self._is_free() or self.outbox.end is not None):
            self._is_held = False
            self._wire.go_on()

    def _do(self, action: act.Action) -> None:
        kind = type(action)
        if kind is act.Call:
            call: act.Call = action  # type: ignore[assignment]
            if call.operation.is_command or call.operation.name in BATCHES:
                self.entry.call(call)
            else:
                self._ask_later(call)
        elif kind is act.Reply:
            self.outbox.put(action.payload)  # type: ignore[union-attr]
        elif isinstance(action, act.End):
            self.close(action.code, action.reason, action.payload)
        elif isinstance(action, act.Watch):
            self._watch(action)
        elif isinstance(action, act.Unwatch):
            self._unwatch(action)
        elif isinstance(action, act.WatchAll):
            self._watch_all(action)
        elif isinstance(action, act.Ping):
            self._answer(action.id, s.Pong(ts_ns=str(self._market.now_ns), server_ts_ns=str(self._door.server_ts_ns())))
        elif isinstance(action, act.Tell):
            self._answer(action.id, action.result)
        elif isinstance(action, act.LogIn):
            self._stop_timer()
            self._take_over()
            self._wire.allow(max(self._door.limits.frame_bytes, self._door.limits.batch_bytes))
            self._answer(action.id, self.session.greeting(self.number, self._market.epoch, self._market.now_ns))

    def _take_over(self) -> None:
        """The session of this name is this connection's now; one that still has it is ended."""
        if self.session.ledger is not None:
            self.session.ledger.hold(self._taken)

    def _taken(self) -> None:
        no = DoorError(DoorReason.SESSION_TAKEN)
        self.close(s.CLOSE_SESSION_TAKEN, no.reason.name, failure_payload(self.session.fmt, None, no))

    def _answer(self, request_id: act.Id, result: Any) -> None:
        self.outbox.put(result_payload(self.session.fmt, request_id, result))

    # --- questions ---

    def _ask_later(self, call: act.Call) -> None:
        assert self.session.principal is not None
        self.outbox.on_their_way += 1
        question = self._loop.create_task(self._ask(call, self.session.principal))
        if self._questions is None:
            self._questions = set()
        self._questions.add(question)
        question.add_done_callback(self._asked)

    async def _ask(self, call: act.Call, principal: Principal) -> None:
        fmt = self.session.fmt
        try:
            answer = await self._door.dispatcher.run(
                principal, call.operation, call.args, idempotency_key=call.idempotency_key, valid_until=call.valid_until
            )
            payload = result_payload(fmt, call.id, answer)
        except DoorError as no:
            payload = failure_payload(fmt, call.id, no)
        except Exception:  # noqa: BLE001 - logged, and the client is told
            payload = fault_payload(fmt, call.operation.name, call.id)
        self.outbox.put(payload)

    def _asked(self, question: asyncio.Task[None]) -> None:
        assert self._questions is not None
        self._questions.discard(question)
        self.outbox.on_their_way -= 1
        self._release()
        self._wake()  # the end may wait for nothing but this one

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
            self.outbox.put(failure_payload(self.session.fmt, watch.id, no))
            return
        if watch.resume is not None and watch.resume[0] == self._market.epoch and feed.reaches_back_to(watch.resume[1]):
            from_seq = watch.resume[1]
        self._door.stats.resumed += from_seq is not None
        self._door.stats.resumes_too_old += watch.resume is not None and from_seq is None
        self._say_subscribed(watch.id, topic, feed.seq, from_seq is not None)
        self.outbox.watch(topic, feed, from_seq)
        self.session.topics.add(topic)

    def _watch_all(self, watch: act.WatchAll) -> None:
        if self._patterns is None:
            self._patterns = Patterns(self._market, self.session, self.outbox, self._door.limits, self._say_no_room)
        try:
            count = self._patterns.watch(watch.topic)
        except DoorError as no:
            self.outbox.put(failure_payload(self.session.fmt, watch.id, no))
            return
        self._say_subscribed_all(watch.id, watch.topic, count)

    def _say_no_room(self, no: DoorError) -> None:
        self.outbox.put(failure_payload(self.session.fmt, None, no))

    def _say_subscribed_all(self, request_id: int | str, topic: Topic, count: int) -> None:
        told = s.SubscribedAll(channel=topic.channel, instrument=topic.name, epoch=self._market.epoch, count=count)
        self._answer(request_id, told)

    def _unwatch(self, unwatch: act.Unwatch) -> None:
        topic = unwatch.topic
        if topic not in self.session.topics:  # a pattern
            if self._patterns is None or topic not in self._patterns:
                no = DoorError(DoorReason.NOT_FOUND, "there is no such subscription")
                self.outbox.put(failure_payload(self.session.fmt, unwatch.id, no))
            else:
                self._say_subscribed_all(unwatch.id, topic, self._patterns.unwatch(topic))
            return
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
        self._answer(request_id, told)

    def _heartbeat(self, seqs: dict[str, int], queued: int) -> s.Heartbeat:
        return s.Heartbeat(
            epoch=self._market.epoch, seq=self._market.seq, ts_ns=str(self._market.now_ns),
            server_ts_ns=str(self._door.server_ts_ns()), seqs=seqs, queued=queued,
        )  # fmt: skip

    # --- out ---

    def _wake(self) -> None:
        if not self._is_flushing and not self._wire.is_paused:
            self._is_flushing = True
            self._door.has_something(self)

    def flush(self) -> None:
        """Writes what waits, as far as the client takes it; then the goodbye, where it is time."""
        self._is_flushing = False
        if self._is_gone or self._wire.is_paused:
            return
        try:
            self._write()
        except Exception:  # noqa: BLE001 - logged; the connection is of no use any more
            _LOG.exception("stream %d failed while sending", self.number)
            self._cut_off()

    def _write(self) -> None:
        wire, outbox = self._wire, self.outbox
        if not wire.is_open:
            return
        frames: list[bytes] = []
        size = 0
        while size < WRITE_AT_ONCE and (framed := outbox.take()) is not None:
            frames.append(framed)
            size += len(framed)
        if frames:
            wire.transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
            self._door.stats.messages += len(frames)
            if self._is_held:
                self._release()
        if size >= WRITE_AT_ONCE:
            self._wake()
        elif outbox.end is not None and not outbox.on_their_way:
            wire.close(*outbox.end)

"""One connection as a state machine without I/O: a frame goes in, what is to be done comes out.

The rules, in the order in which a frame meets them:

1. Frames of at most `frame_bytes`; a larger one ends the connection (1009). Text is JSON, binary is MessagePack: the first
   frame decides for the whole connection, and frames of the other kind count as unreadable.
2. At most `frame_rate` frames a second; one too many is answered TOO_MANY_REQUESTS unread, with id null.
3. A frame that is no request is answered MALFORMED_JSON or INVALID_FIELD, with id null; after `bad_frames` of them the
   connection ends (4400).
4. `login` first, within `login_s`; until then only `ping` is answered, and everything else ends the connection (4401). A
   wrong key ends it as well, and there is one login per connection.
5. A subscription is a read of the participant's budget, but `heartbeat`.
6. The key is looked at again at every frame, and each second: one that was revoked or has expired ends it (4401).
7. Every other fault is answered with the id of its frame, and changes nothing.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple

from exchange.gateways.access import Access
from exchange.gateways.batches import BATCHES, refuse_envelope
from exchange.gateways.batches import read as read_batch
from exchange.gateways.limits import DoorBudgets, DoorLimits
from exchange.gateways.stream.ledger import Ledger, Ledgers
from exchange.ports_access import Principal
from exchange.protocol import stream as s
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.formats import JSON, MSGPACK, decode_as, decode_part_as, encode_as
from exchange.protocol.operations import OPERATIONS, SESSION_OPERATIONS, Operation
from exchange.protocol.quick import read_quick

VERSION = 1
HEARTBEAT_S = 1
OPERATIONS_KNOWN = frozenset((*OPERATIONS, *SESSION_OPERATIONS))  # all that is answered here, for `verify_complete`
Id = int | str
_COMMANDING = frozenset(each.scope for each in OPERATIONS.values() if each.is_command)
_NAMES = {JSON: "JSON, in text frames", MSGPACK: "MessagePack, in binary frames"}


class Topic(NamedTuple):
    """What can be subscribed to; name = instrument, pattern or participant, "" where the channel has only one."""

    channel: str
    name: str


HEARTBEAT = Topic("heartbeat", "")


class Reply(NamedTuple):
    """Send this."""

    payload: bytes


class LogIn(NamedTuple):
    """The connection has a principal now: greet it."""

    id: Id
    principal: Principal


class Call(NamedTuple):
    """Run an operation and send what comes of it with this id."""

    id: Id
    operation: Operation
    args: Any
    idempotency_key: str | None
    valid_until: str | None
    n: int | None = None  # in the client's own count


class Watch(NamedTuple):
    """Open a subscription; (epoch, from_seq) to go on from, or None for a snapshot."""

    id: Id
    topic: Topic
    resume: tuple[int, int] | None


class Unwatch(NamedTuple):
    """End a subscription."""

    id: Id
    topic: Topic


class WatchAll(NamedTuple):
    """Open a subscription for each instrument of a pattern."""

    id: Id
    topic: Topic


class Ping(NamedTuple):
    """Tell the time."""

    id: Id


class Tell(NamedTuple):
    """Send this answer."""

    id: Id
    result: Any


class End(NamedTuple):
    """Send the payload, if there is one, then close."""

    payload: bytes
    code: int
    reason: str


Action = Reply | LogIn | Call | Watch | WatchAll | Unwatch | Ping | Tell | End


def failure_payload(fmt: int, request_id: Id | None, error: DoorError, trace_id: str = "") -> bytes:
    """A refusal as it is sent."""
    return encode_as(fmt, s.Failure(id=request_id, error=error.problem(trace_id)))


def result_payload(fmt: int, request_id: Id, result: Any) -> bytes:
    """An answer as it is sent."""
    return encode_as(fmt, s.Result(id=request_id, result=result))


class Session:
    """What one client may do next."""

    def __init__(
        self, access: Access, budgets: DoorBudgets, limits: DoorLimits, address: str,
        admit: Callable[[Principal], DoorError | None], ledgers: Ledgers | None = None,
    ) -> None:  # fmt: skip
        """admit: asked at login whether this key may have another connection; address: the client's, for wrong keys.

        ledgers: of sessions that have a name; a key of the operator may name one as well.
        """
        self.principal: Principal | None = None
        self.topics: set[Topic] = set()
        self.ledger: Ledger | None = None  # of a session with a name
        self.cancels_on_disconnect = False
        self._ledgers = ledgers or Ledgers(limits.sessions)
        self._access, self._budgets, self._limits, self._admit = access, budgets, limits, admit
        self.address = address
        self._bad_frames = 0
        self._format: int | None = None
        self._frames_full_ns = 0  # when as many frames as the burst says may come again

    @property
    def fmt(self) -> int:
        """The format of the connection: that of its first frame."""
        return self._format or JSON

    def receive(self, frame: str | bytes, now_ns: int) -> Action:
        """What to do about a frame, text or binary; now_ns counts nanoseconds and never goes back."""
        if isinstance(frame, str):
            return self.take(JSON, frame.encode("utf-8", "surrogatepass"), now_ns)
        return self.take(MSGPACK, frame, now_ns)

    def take(self, fmt: int, frame: bytes, now_ns: int) -> Action:
        """What to do about a frame of a format."""
        if self._format is None:
            self._format = fmt
        if len(frame) > self._limits.frame_bytes and not self._may_be_batch(fmt, frame):
            return self._end(None, DoorError(DoorReason.BODY_TOO_LARGE, limit="frame_bytes"), s.CLOSE_TOO_LARGE)
        if self.principal is None or self.principal.participant:
            wait_ns = self._take_frame(now_ns)
            if wait_ns:
                no = DoorError(DoorReason.TOO_MANY_REQUESTS, limit="frame_rate", retry_after_s=-(-wait_ns // 10**9))
                return self._reply(None, no)
        try:
            if fmt != self._format:
                raise DoorError(DoorReason.MALFORMED_JSON, f"this connection speaks {_NAMES[self._format]}")
            quick = read_quick(frame) if fmt == JSON else None
            request, args = quick or (decode_as(fmt, frame, s.Request), None)
        except DoorError as no:
            self._bad_frames += 1
            if self._bad_frames >= self._limits.bad_frames:
                return self._end(None, no, s.CLOSE_BAD_FRAME)
            return self._reply(None, no)
        try:
            return self._act(request, args)
        except DoorError as no:
            return self._refuse(request.id, no)

    def _may_be_batch(self, fmt: int, frame: bytes) -> bool:
        """Whether a long frame may be read: only a batch may be that long."""
        if self.principal is None or len(frame) > self._limits.batch_bytes:
            return False
        return any((name if fmt == MSGPACK else f'"{name}"').encode() in frame for name in BATCHES)

    def _take_frame(self, now_ns: int) -> int:
        """One frame of the connection's budget; 0, or the nanoseconds to wait."""
        token_ns = max(1, 10**9 // self._limits.frame_rate)
        full_ns = max(self._frames_full_ns, now_ns) + token_ns
        wait_ns = full_ns - now_ns - self._limits.frame_burst * token_ns
        if wait_ns > 0:
            return wait_ns
        self._frames_full_ns = full_ns
        return 0

    def check_key(self) -> End | None:
        """To be asked each second: the end, if the key is no longer good."""
        if self.principal is None:
            return None
        try:
            self._access.check_alive(self.principal)
        except DoorError as no:
            return self._end(None, no, s.CLOSE_NOT_LOGGED_IN)
        return None

    def out_of_time(self) -> End | None:
        """To be asked when login_s have passed: the end, if nobody has logged in."""
        return self._end(None, DoorError(DoorReason.NOT_LOGGED_IN), s.CLOSE_NOT_LOGGED_IN) if self.principal is None else None

    def greeting(self, number: int, epoch: int, ts_ns: int) -> s.Welcome:
        """What a client is told at login."""
        assert self.principal is not None
        return s.Welcome(
            v=VERSION, session=number, participant=self.principal.participant,
            scopes=tuple(sorted(self.principal.scopes)), epoch=epoch, ts_ns=str(ts_ns), heartbeat_s=HEARTBEAT_S,
            limits={each.name: getattr(self._limits, each.name) for each in fields(self._limits)},
            last_n=None if self.ledger is None else self.ledger.last_n,
        )  # fmt: skip

    # --- one frame ---

    def _act(self, request: s.Request, args: Any) -> Action:
        """args: of the operation, where they were read already."""
        principal = self.principal
        if principal is None:
            return self._before_login(request)
        operation = OPERATIONS.get(request.op)
        if request.n is not None:
            return self._numbered(request, principal, operation, args)
        if operation is not None:
            return self._call(request, principal, operation, args)
        if request.op not in SESSION_OPERATIONS:
            raise DoorError(DoorReason.UNKNOWN_OPERATION, f"operation {request.op[:40]!r} is unknown", field="op")
        self._access.check_alive(principal)
        self._access.check_scope(principal, SESSION_OPERATIONS[request.op])
        if request.op == "subscribe":
            return self._subscribe(request, principal)
        if request.op == "unsubscribe":
            asked = self._args(request, s.Unsubscribe)
            topic = self._topic(asked, principal)
            if topic not in self.topics and not _is_pattern(topic):
                raise DoorError(DoorReason.NOT_FOUND, "there is no such subscription")
            return Unwatch(request.id, topic)
        if request.op == "ping":
            return Ping(request.id)
        if request.op == "fate":
            from_n = self._args(request, s.FateOf).from_n
            return Tell(request.id, self._named().since(from_n))
        raise DoorError(DoorReason.INVALID_FIELD, "this connection is logged in already", field="op")

    def _call(self, request: s.Request, principal: Principal, operation: Operation, args: Any) -> Call:
        self._access.check(principal, operation)
        if operation.name in BATCHES:
            refuse_envelope(request.idempotency_key, request.valid_until)
            args = read_batch(operation, self.fmt, request.args, is_checked=True)
        elif args is None:
            args = self._args(request, operation.args)
        return Call(request.id, operation, args, request.idempotency_key, request.valid_until, request.n)

    def _numbered(self, request: s.Request, principal: Principal, operation: Operation | None, args: Any) -> Call:
        """A command with a number: the number is used up, whatever becomes of the command."""
        assert request.n is not None
        self._access.check_alive(principal)
        if operation is None or not (operation.is_command or operation.name in BATCHES):
            raise DoorError(DoorReason.INVALID_FIELD, "only commands have numbers", field="n")
        ledger = self._named()
        ledger.begin(request.n, request.op)
        try:
            return self._call(request, principal, operation, args)
        except DoorError as no:
            ledger.settle(request.n, no)
            raise

    def _named(self) -> Ledger:
        if self.ledger is None:
            raise DoorError(DoorReason.INVALID_FIELD, "this session has no name", field="n", hint="give one at login")
        return self.ledger

    def _before_login(self, request: s.Request) -> Action:
        if request.op == "ping":
            return Ping(request.id)
        if request.op != "login":
            return self._end(request.id, DoorError(DoorReason.NOT_LOGGED_IN), s.CLOSE_NOT_LOGGED_IN)
        asked = self._args(request, s.Login)
        try:
            principal = self._access.authenticate(asked.key)
        except DoorError as no:
            return self._end(request.id, self._budgets.wrong_key(self.address) or no, s.CLOSE_NOT_LOGGED_IN)
        if (asked.session is not None or asked.cancel_on_disconnect) and not principal.scopes & _COMMANDING:
            told = f"a named session and cancel_on_disconnect need one of the scopes {', '.join(sorted(_COMMANDING))}"
            return self._end(request.id, DoorError(DoorReason.WRONG_SCOPE, told), s.CLOSE_NOT_LOGGED_IN)
        too_many = self._admit(principal)
        if too_many is not None:
            return self._end(request.id, too_many, s.CLOSE_TOO_MANY)
        self.principal = principal
        if asked.session is not None:
            try:
                self.ledger = self._ledgers.open(principal.participant, asked.session)
            except DoorError as no:
                return self._end(request.id, no, s.CLOSE_TOO_MANY)
        self.cancels_on_disconnect = asked.cancel_on_disconnect
        return LogIn(request.id, principal)

    def _subscribe(self, request: s.Request, principal: Principal) -> Watch | WatchAll:
        asked = self._args(request, s.Subscribe)
        topic = self._topic(asked, principal)
        if _is_pattern(topic):
            if asked.epoch is not None or asked.from_seq is not None:
                raise DoorError(DoorReason.INVALID_FIELD, "each instrument has a seq of its own", field="from_seq")
            if (refusal := self._budgets.take_read(principal)) is not None:
                raise refusal
            return WatchAll(request.id, topic)
        # The heartbeat costs next to nothing, and without it nobody can tell a dead connection from a quiet one.
        counted = sum(each.channel != "heartbeat" for each in self.topics)
        if topic not in self.topics and topic.channel != "heartbeat" and counted >= self._limits.subscriptions:
            raise DoorError(DoorReason.TOO_MANY_SUBSCRIPTIONS, limit="subscriptions")
        if (asked.epoch is None) != (asked.from_seq is None):
            raise DoorError(DoorReason.INVALID_FIELD, "epoch and from_seq go together", field="from_seq")
        if topic.channel != "heartbeat" and (refusal := self._budgets.take_read(principal)) is not None:
            raise refusal
        if asked.epoch is None or asked.from_seq is None:
            return Watch(request.id, topic, None)
        return Watch(request.id, topic, (asked.epoch, asked.from_seq))

    def _topic(self, asked: s.Subscribe | s.Unsubscribe, principal: Principal) -> Topic:
        """The topic that is meant, where the key may see it."""
        channel = asked.channel
        if channel not in s.CHANNELS:
            raise DoorError(DoorReason.UNKNOWN_CHANNEL, f"channel {channel[:40]!r} is unknown", field="channel")
        if asked.instrument is not None and channel not in s.NAMED:
            raise DoorError(DoorReason.INVALID_FIELD, f"channel {channel} has no instrument", field="instrument")
        if asked.participant is not None and channel != "user":
            raise DoorError(DoorReason.INVALID_FIELD, f"channel {channel} has no participant", field="participant")
        if channel == "user":
            return Topic(channel, self._participant(asked.participant, principal))
        if channel in s.NAMED:
            if asked.instrument is None:
                raise DoorError(DoorReason.INVALID_FIELD, f"channel {channel} needs an instrument", field="instrument")
            return Topic(channel, asked.instrument)
        return Topic(channel, "")

    @staticmethod
    def _participant(named: str | None, principal: Principal) -> str:
        if not principal.participant:
            if named is None:
                raise DoorError(DoorReason.INVALID_FIELD, "name the participant", field="participant")
            return named
        if named not in (None, principal.participant):
            raise DoorError(DoorReason.NOT_FOUND, f"participant {str(named)[:36]!r} is unknown", field="participant")
        return principal.participant

    # --- answers ---

    def _args(self, request: s.Request, type_: type[Any]) -> Any:
        return decode_part_as(self.fmt, request.args, type_)

    def _reply(self, request_id: Id | None, no: DoorError) -> Reply:
        return Reply(failure_payload(self.fmt, request_id, no))

    def _refuse(self, request_id: Id | None, no: DoorError) -> Action:
        """An answer, or the end where the key itself is no longer good."""
        if no.reason in (DoorReason.WRONG_KEY, DoorReason.NO_KEY):
            return self._end(request_id, no, s.CLOSE_NOT_LOGGED_IN)
        return self._reply(request_id, no)

    def _end(self, request_id: Id | None, no: DoorError, code: int) -> End:
        return End(failure_payload(self.fmt, request_id, no), code, no.reason.name)


def _is_pattern(topic: Topic) -> bool:
    """Whether it stands for one subscription for each instrument of a family."""
    return topic.channel in s.WILD and "/*" in topic.name

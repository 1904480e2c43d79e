"""One connection as a state machine without I/O: a frame goes in, what is to be done comes out.

The rules, in the order in which a frame meets them:

1. Text frames of at most `frame_bytes`; a larger one ends the connection (1009).
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
from exchange.gateways.limits import Bucket, DoorBudgets, DoorLimits
from exchange.ports_access import Principal
from exchange.protocol import stream as s
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.operations import OPERATIONS, SESSION_OPERATIONS, Operation
from exchange.protocol.strict_json import decode, decode_again, encode

VERSION = 1
HEARTBEAT_S = 1
OPERATIONS_KNOWN = frozenset((*OPERATIONS, *SESSION_OPERATIONS))  # all that is answered here, for `verify_complete`
Id = int | str


class Topic(NamedTuple):
    """What can be subscribed to; name = instrument, pattern or participant, "" where the channel has only one."""

    channel: str
    name: str


class Reply(NamedTuple):
    """Send this."""

    text: str


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


class Watch(NamedTuple):
    """Open a subscription; (epoch, from_seq) to go on from, or None for a snapshot."""

    id: Id
    topic: Topic
    resume: tuple[int, int] | None


class Unwatch(NamedTuple):
    """End a subscription."""

    id: Id
    topic: Topic


class Ping(NamedTuple):
    """Tell the time."""

    id: Id


class End(NamedTuple):
    """Send the text, if there is one, then close."""

    text: str
    code: int
    reason: str


Action = Reply | LogIn | Call | Watch | Unwatch | Ping | End


def failure_text(request_id: Id | None, error: DoorError, trace_id: str = "") -> str:
    """A refusal as it is sent."""
    return encode(s.Failure(id=request_id, error=error.problem(trace_id))).decode()


def result_text(request_id: Id, result: Any) -> str:
    """An answer as it is sent."""
    return encode(s.Result(id=request_id, result=result)).decode()


class Session:
    """What one client may do next."""

    def __init__(
        self, access: Access, budgets: DoorBudgets, limits: DoorLimits, address: str,
        admit: Callable[[Principal], DoorError | None],
    ) -> None:  # fmt: skip
        """admit: asked at login whether this key may have another connection; address: the client's, for wrong keys."""
        self.principal: Principal | None = None
        self.topics: set[Topic] = set()
        self._access, self._budgets, self._limits, self._admit = access, budgets, limits, admit
        self._address = address
        self._bad_frames = 0
        self._frames = Bucket("frames", limits.frame_rate, limits.frame_burst)

    def receive(self, frame: str | bytes, now_ns: int) -> Action:
        """What to do about a frame; now_ns counts nanoseconds and never goes back."""
        if len(frame) > self._limits.frame_bytes:
            return _end(None, DoorError(DoorReason.BODY_TOO_LARGE, limit="frame_bytes"), s.CLOSE_TOO_LARGE)
        if self.principal is None or self.principal.participant:
            wait_ns = self._frames.take("", now_ns)
            if wait_ns:
                no = DoorError(DoorReason.TOO_MANY_REQUESTS, limit="frame_rate", retry_after_s=-(-wait_ns // 10**9))
                return Reply(failure_text(None, no))
        try:
            request = self._read(frame)
        except DoorError as no:
            self._bad_frames += 1
            if self._bad_frames >= self._limits.bad_frames:
                return _end(None, no, s.CLOSE_BAD_FRAME)
            return Reply(failure_text(None, no))
        try:
            return self._act(request)
        except DoorError as no:
            return _refuse(request.id, no)

    def check_key(self) -> End | None:
        """To be asked each second: the end, if the key is no longer good."""
        if self.principal is None:
            return None
        try:
            self._access.check_alive(self.principal)
        except DoorError as no:
            return _end(None, no, s.CLOSE_NOT_LOGGED_IN)
        return None

    def out_of_time(self) -> End | None:
        """To be asked when login_s have passed: the end, if nobody has logged in."""
        return _end(None, DoorError(DoorReason.NOT_LOGGED_IN), s.CLOSE_NOT_LOGGED_IN) if self.principal is None else None

    def greeting(self, number: int, epoch: int, ts_ns: int) -> s.Welcome:
        """What a client is told at login."""
        assert self.principal is not None
        return s.Welcome(
            v=VERSION, session=number, participant=self.principal.participant,
            scopes=tuple(sorted(self.principal.scopes)), epoch=epoch, ts_ns=str(ts_ns), heartbeat_s=HEARTBEAT_S,
            limits={each.name: getattr(self._limits, each.name) for each in fields(self._limits)},
        )  # fmt: skip

    # --- one frame ---

    def _read(self, frame: str | bytes) -> s.Request:
        if isinstance(frame, bytes):
            raise DoorError(DoorReason.MALFORMED_JSON, "send text frames")
        data = frame.encode("utf-8", "surrogatepass")
        if len(data) > self._limits.frame_bytes:
            raise DoorError(DoorReason.BODY_TOO_LARGE, limit="frame_bytes")
        return decode(data, s.Request)

    def _act(self, request: s.Request) -> Action:
        principal = self.principal
        if principal is None:
            return self._before_login(request)
        operation = OPERATIONS.get(request.op)
        if operation is not None:
            self._access.check(principal, operation)
            args = decode_again(request.args, operation.args)
            return Call(request.id, operation, args, request.idempotency_key, request.valid_until)
        if request.op not in SESSION_OPERATIONS:
            raise DoorError(DoorReason.UNKNOWN_OPERATION, f"operation {request.op[:40]!r} is unknown", field="op")
        self._access.check_alive(principal)
        self._access.check_scope(principal, SESSION_OPERATIONS[request.op])
        if request.op == "subscribe":
            return self._subscribe(request, principal)
        if request.op == "unsubscribe":
            asked = decode_again(request.args, s.Unsubscribe)
            topic = self._topic(asked, principal)
            if topic not in self.topics:
                raise DoorError(DoorReason.NOT_FOUND, "there is no such subscription")
            return Unwatch(request.id, topic)
        if request.op == "ping":
            return Ping(request.id)
        raise DoorError(DoorReason.INVALID_FIELD, "this connection is logged in already", field="op")

    def _before_login(self, request: s.Request) -> Action:
        if request.op == "ping":
            return Ping(request.id)
        if request.op != "login":
            return _end(request.id, DoorError(DoorReason.NOT_LOGGED_IN), s.CLOSE_NOT_LOGGED_IN)
        secret = decode_again(request.args, s.Login).key
        try:
            principal = self._access.authenticate(secret)
        except DoorError as no:
            return _end(request.id, self._budgets.wrong_key(self._address) or no, s.CLOSE_NOT_LOGGED_IN)
        too_many = self._admit(principal)
        if too_many is not None:
            return _end(request.id, too_many, s.CLOSE_TOO_MANY)
        self.principal = principal
        return LogIn(request.id, principal)

    def _subscribe(self, request: s.Request, principal: Principal) -> Watch:
        asked = decode_again(request.args, s.Subscribe)
        topic = self._topic(asked, principal)
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


def _refuse(request_id: Id | None, no: DoorError) -> Action:
    """An answer, or the end where the key itself is no longer good."""
    if no.reason in (DoorReason.WRONG_KEY, DoorReason.NO_KEY):
        return _end(request_id, no, s.CLOSE_NOT_LOGGED_IN)
    return Reply(failure_text(request_id, no))


def _end(request_id: Id | None, no: DoorError, code: int) -> End:
    return End(failure_text(request_id, no), code, no.reason.name)

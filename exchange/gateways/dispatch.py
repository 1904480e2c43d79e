"""Carries out operations for both doors: whose it is, what it says, to the venue or to the tables, and the answer.

A door authenticates and checks the scope first (`exchange.gateways.access`); here it is decided whose things a
principal may see and touch. Commands are answered when they are durable and applied; questions about the past wait until
the tables have come to where the market was when they were asked.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from exchange.engine import queries
from exchange.engine.handle import Answer, Busy, Envelope, Handle, VenueHalted
from exchange.gateways import batches, feed_questions, statement_questions
from exchange.gateways.error_catalogue import errors_answer
from exchange.gateways.questions import QUESTIONS, MakeFile, Surroundings, not_configured
from exchange.gateways.signatures import check_reading
from exchange.gateways.stream.stats import StreamStats
from exchange.ports_access import Budgets, Depths, FeedHistory, Keys, Principal, Reports, Stored
from exchange.ports_history import History, HistoryUnavailable
from exchange.ports_statements import Chains
from exchange.protocol import present
from exchange.protocol.answers import Ack
from exchange.protocol.answers_operator import Limits
from exchange.protocol.codec import NO_KEY, CodecError, idem_key
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.fields import MAX_ID
from exchange.protocol.measures import Measures, invalid, time_ns
from exchange.protocol.operations import Operation
from exchange.protocol.requests import OwnPage
from exchange.protocol.requests_operator import VenueTerms
from exchange.protocol.to_command import settings_of, to_command

__all__ = ["Dispatcher", "OnDone", "Principal"]

OnDone = Callable[[Ack | DoorError], None]

READ_WAIT_S = 2.0
VALID_UNTIL_S = 7 * 86_400
STATEMENT_LINES = 10_000
PERIODS_MIN = (15, 30, 60)  # as the venue has them
LOTS_PER_CARD = (1, 10, 100)
CLOSED = "closed"
NS_PER_SECOND = 1_000_000_000
_NEEDS_MEASURES = frozenset((
    "submit_task", "amend_task", "place_order", "amend_order", "place_offer", "amend_offer", "submit_reading",
    "dispute_reading", "attest_capacity",
))  # fmt: skip
_NEUTRAL = Measures(settings_of(VenueTerms(name="-")))  # for what no setting counts in: money, prices, times
_LOOKED_AT = frozenset(("submit_reading", "amend_offer", "cancel_order"))
# What changes something beside the journal, where no idempotency key is remembered.
_WITHOUT_KEY = frozenset(("create_key", "start_report"))
# Where a command has a name of its own, that is its idempotency key; elsewhere a header may give one.
_CLIENT_ID = {"submit_task": "client_order_id", "place_order": "client_order_id", "place_offer": "offer_id"}
_LOG = logging.getLogger("cpx.dispatch")
assert QUESTIONS.keys() >= statement_questions.NAMES | feed_questions.NAMES  # their import puts them there


class Dispatcher:
    """Every operation of the table. On the writer's loop only."""

    def __init__(
        self, handle: Handle, history: History, stored: Stored, keys: Keys, reports: Reports, budgets: Budgets | None,
        clock_kind: str, *, speed: str = "1", depths: Depths | None = None, limits: Limits = Limits(items=()),
        engine: str = "", version: str = "", valid_until_s: int = VALID_UNTIL_S, read_wait_s: float = READ_WAIT_S,
        chains: Chains | None = None, make_file: MakeFile | None = None, feed_addresses: Sequence[str] = (),
        stream_stats: StreamStats | None = None, feed_history: FeedHistory | None = None,
    ) -> None:  # fmt: skip
        """clock_kind: system, compressed or manual; depths: live books with the socket's seq; engine, version: for health.

        chains, make_file: hashes and files of statements; stream_stats: counted by the socket's door.

        budgets None: the doors count themselves.
        """
        self._handle, self._history, self._stored, self._budgets = handle, history, stored, budgets
        self._clock_kind, self._valid_until_s = clock_kind, valid_until_s
        self._measures: Measures | None = None
        self._settings_coming: Any = None  # of a set_venue that is on its way
        self._tasks: set[asyncio.Task[None]] = set()
        self._parties = partial(_parties_of, handle)
        self._around = Surroundings(
            handle=handle, history=history, stored=stored, keys=keys, reports=reports, depths=depths,
            clock_kind=clock_kind, speed=speed, limits=limits, errors=errors_answer(), engine=engine, version=version,
            read_wait_s=read_wait_s, chains=chains, make_file=make_file, feed_addresses=feed_addresses,
            stream_stats=stream_stats or StreamStats(), feed_history=feed_history,
            statement_lines=next((each.value for each in limits.items if each.name == "statement_lines"), STATEMENT_LINES),
        )  # fmt: skip

    # --- the two ways in ---

    async def run(
        self, principal: Principal, operation: Operation, args: Any, *, idempotency_key: str | None = None,
        valid_until: str | None = None, is_counted: bool = False,
    ) -> Any:  # fmt: skip
        """The answer of an operation; DoorError. is_counted: the door has taken it from the budget already."""
        if operation.is_command:
            done: asyncio.Future[Ack | DoorError] = asyncio.get_running_loop().create_future()

            def settle(result: Ack | DoorError) -> None:
                if not done.done():
                    done.set_result(result)

            self.command_nowait(
                principal, operation, args, settle, idempotency_key=idempotency_key, valid_until=valid_until,
                is_counted=is_counted,
            )  # fmt: skip
            answer = await done
            if isinstance(answer, DoorError):
                raise answer
            return answer
        if operation.name in batches.BATCHES:
            return await self._batch(principal, operation, args, idempotency_key, valid_until)
        self._count(principal, operation, is_counted)
        participant = owner(principal, operation, args)
        _check_plain(operation, idempotency_key, valid_until)
        try:
            return await QUESTIONS[operation.name](self._around, args, participant, self._measures_or_none)
        except HistoryUnavailable as error:
            raise DoorError(DoorReason.BEHIND, str(error)) from error

    async def _batch(
        self, principal: Principal, operation: Operation, args: Any, idempotency_key: str | None, valid_until: str | None
    ) -> Any:
        participant = owner(principal, operation, args)
        batches.refuse_envelope(idempotency_key, valid_until)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def settle(answer: Any) -> None:
            if not done.done():
                done.set_result(answer)

        batches.send(self, principal, operation, args, participant, settle)
        return await done

    def is_open(self, participant: str, client_order_id: str) -> bool:
        """Whether a plain order of this name rests in a book, or waits as one that takes better."""
        return queries.is_order_open(self._handle.venue, participant, client_order_id)

    def command_nowait(
        self, principal: Principal, operation: Operation, args: Any, on_done: OnDone, *,
        idempotency_key: str | None = None, valid_until: str | None = None, is_counted: bool = False,
    ) -> None:  # fmt: skip
        """Sends a command; on_done is called on the loop with its answer, or at once where a door turns it away."""
        name = operation.name
        try:
            if not is_counted:
                self._count(principal, operation, is_counted)
            participant = owner(principal, operation, args)
            command = self._command(operation, args, participant)
            if name in _LOOKED_AT:
                self._look_at(principal, operation, args, command, participant)
            key = self._idem_key(principal, operation, args, command, participant, idempotency_key)
            until_ns = 0 if valid_until is None else self._valid_until_ns(valid_until)
        except DoorError as no:
            on_done(no)
            return
        viewer = principal.participant

        def answered(result: Answer | VenueHalted) -> None:
            if name == "set_venue":
                self._settings_coming = None
            if not isinstance(result, VenueHalted) and present.replayed_at(result.events):
                self._start(self._replay(operation, result, command, viewer, key, on_done))
                return
            told: Ack | DoorError
            try:
                told = self._told(operation, result, command, viewer)
            except Exception as error:  # noqa: BLE001 - in the log with its stack; whoever waits is told, whatever happened
                told = _fault(operation, error)
            on_done(told)

        if name == "set_venue":
            self._settings_coming = command
        try:
            self._handle.submit_nowait(command, Envelope(key, until_ns), answered)
        except (Busy, VenueHalted, CodecError) as error:
            if name == "set_venue":
                self._settings_coming = None
            on_done(self._not_taken(error))

    def commands_nowait(
        self, principal: Principal, operation: Operation, args: Sequence[Any], on_done: Callable[[list[Ack | DoorError]], None]
    ) -> None:
        """As `command_nowait` for several of one operation, each on its own; on_done is called once, with all answers."""
        told: list[Any] = [None] * len(args)
        left = len(args)
        if not left:
            on_done(told)

        def settle(place: int, result: Ack | DoorError) -> None:
            nonlocal left
            told[place] = result
            left -= 1
            if not left:
                on_done(told)

        for place, each in enumerate(args):
            try:
                self.command_nowait(principal, operation, each, partial(settle, place))
            except Exception as error:  # noqa: BLE001 - in the log with its stack; the others go on
                if told[place] is not None:
                    raise
                settle(place, _fault(operation, error))

    def charge(self, principal: Principal, operation: Operation, count: int) -> None:
        """Takes tokens for entries of a batch that could not be read; DoorError where there are none."""
        refusal = None if self._budgets is None else self._budgets.take_unreadable(principal, operation, count)
        if refusal is not None:
            raise refusal

    # --- before ---

    def _count(self, principal: Principal, operation: Operation, is_counted: bool) -> None:
        refusal = None if is_counted or self._budgets is None else self._budgets.take(principal, operation)
        if refusal is not None:
            raise refusal

    def _look_at(self, principal: Principal, operation: Operation, args: Any, command: Any, participant: str) -> None:
        """What few operations must pass beside the budget; DoorError."""
        if operation.name == "submit_reading":
            check_reading(self._handle, command)
        if operation.name == "cancel_order":
            self._count_idle_cancel(principal, participant, args.client_order_id)
        self._count_hours(principal, operation, args, participant)

    def _count_idle_cancel(self, principal: Principal, participant: str, client_order_id: str) -> None:
        """What is open may always be canceled; a record of the journal for what is not has a price."""
        if self._budgets is None or self.is_open(participant, client_order_id):
            return
        refusal = self._budgets.take_idle_cancel(principal)
        if refusal is not None:
            raise refusal

    def _count_hours(self, principal: Principal, operation: Operation, args: Any, participant: str) -> None:
        """RT8: an amended offer costs one token for each hour that it touches."""
        if operation.name != "amend_offer" or self._budgets is None:
            return
        hours = queries.open_hours(self._handle.venue, participant, args.offer_id)
        refusal = self._budgets.take_hours(principal, hours)
        if refusal is not None:
            raise refusal

    @property
    def _measures_or_none(self) -> Measures | None:
        """The venue's measures; None until it has settings."""
        if self._measures is None and (settings := self._handle.venue.state.settings) is not None:
            self._measures = Measures(settings)
        return self._measures

    def _command(self, operation: Operation, args: Any, participant: str) -> Any:
        if operation.name == "set_venue":
            return self._first_settings(args)
        if operation.name == "advance_time" and self._clock_kind != "manual":
            raise DoorError(DoorReason.CLOCK_NOT_MANUAL)
        measures = self._measures or self._measures_or_none
        if measures is None and self._settings_coming is not None:
            measures = Measures(self._settings_coming)  # it stands before this command in the journal
        if measures is None and operation.name in _NEEDS_MEASURES:
            raise not_configured()
        return to_command(operation.name, args, participant, measures or _NEUTRAL)

    def _first_settings(self, args: Any) -> Any:
        """One at a time: what is sent behind it is read by its measures."""
        if self._settings_coming is not None:
            raise DoorError(DoorReason.BUSY, "another set_venue is on its way")
        try:
            ZoneInfo(args.time_zone)
        except (KeyError, ValueError, OSError):
            raise invalid("time_zone", f"{args.time_zone!r} is no time zone", "write it as Asia/Shanghai") from None
        settings = settings_of(args)
        # By these the texts behind it are read before the venue has looked at them, so they must be measures at all.
        if settings.period_min not in PERIODS_MIN:
            raise invalid("period_min", f"{settings.period_min} is none of {_listed(PERIODS_MIN)}")
        if settings.lots_per_card not in LOTS_PER_CARD:
            raise invalid("lots_per_card", f"{settings.lots_per_card} is none of {_listed(LOTS_PER_CARD)}")
        if settings.tick_micro <= 0:
            raise invalid("tick", f"{args.tick} is not above 0")
        return settings

    def _idem_key(
        self, principal: Principal, operation: Operation, args: Any, command: Any, participant: str, given: str | None
    ) -> bytes:
        """16 bytes, zeros for none: made from the client's own name where there is one, else from the header."""
        if given is None and operation.name in _CLIENT_ID:
            return idem_key(command)
        if given is not None and not (0 < len(given) <= MAX_ID and given.isascii() and given.isprintable()):
            raise invalid("idempotency_key", f"it must be 1 to {MAX_ID} printable ASCII characters")
        field = _CLIENT_ID.get(operation.name)
        if field is not None:
            if given is not None and given != getattr(args, field):
                raise invalid("idempotency_key", f"it differs from {field}, which is the key here", "leave it out")
            return idem_key(command)
        if given is None:
            if operation.needs_key_header:
                raise DoorError(DoorReason.IDEMPOTENCY_KEY_MISSING)
            return NO_KEY
        # All keys of the operator are one: an intent that is sent again with another key of his is still the same one.
        return blake2b(f"\x02{principal.participant}\0{operation.name}\0{given}".encode(), digest_size=16).digest()

    def _valid_until_ns(self, text: str) -> int:
        until_ns, ahead_ns = time_ns(text, "valid_until"), self._valid_until_s * NS_PER_SECOND
        settings = self._handle.venue.state.settings or self._settings_coming
        if settings is not None:  # a command that may still run when its key is forgotten could run twice
            ahead_ns = min(ahead_ns, settings.idempotency_retention_ns)
        if until_ns > self._handle.now_ns + ahead_ns:
            raise DoorError(DoorReason.VALID_UNTIL_TOO_FAR, field="valid_until", limit="valid_until_s")
        return max(1, until_ns)

    # --- after ---

    def _told(self, operation: Operation, result: Answer | VenueHalted, command: Any, viewer: str) -> Ack | DoorError:
        if isinstance(result, VenueHalted):
            return self._halted(result)
        if present.refused_as(result.events) == "KEY_REUSED":
            return DoorError(DoorReason.KEY_REUSED, field=_CLIENT_ID.get(operation.name, "idempotency_key"))
        return self._ack(result, command, viewer)

    def _ack(self, answer: Answer, command: Any, viewer: str) -> Ack:
        return self._as_ack(answer.seq, answer.ts_ns, command, answer.events, viewer, replayed=False)

    def _as_ack(self, seq: int, ts_ns: int, command: Any, events: Any, viewer: str, *, replayed: bool) -> Ack:
        measures = self._measures or self._measures_or_none or _NEUTRAL
        return present.ack(
            seq, self._handle.epoch, ts_ns, command, events, measures, viewer, replayed=replayed, parties=self._parties
        )  # fmt: skip

    async def _replay(
        self, operation: Operation, answer: Answer, command: Any, viewer: str, key: bytes, on_done: OnDone
    ) -> None:
        """The first answer again; on_done is called, whatever happens."""
        told: Ack | DoorError
        try:
            told = await self._told_before(answer, command, viewer, key)
        except Exception as error:  # noqa: BLE001 - in the log with its stack; whoever waits is told
            told = _fault(operation, error)
        on_done(told)

    async def _told_before(self, answer: Answer, command: Any, viewer: str, key: bytes) -> Ack | DoorError:
        """The first answer, from the tables."""
        seq = present.replayed_at(answer.events)
        known = self._handle.venue.keys.used.get(key.hex())
        ts_ns = known.time_ns if known is not None else self._handle.now_ns
        try:
            await self._around.wait_for(seq)
            events = await asyncio.to_thread(self._history.answer, seq)
        except (HistoryUnavailable, DoorError) as error:
            # It was executed, so nothing definite may be said; the answer is there once the tables have caught up.
            return DoorError(DoorReason.OUTCOME_UNKNOWN, f"executed at seq {seq}; its answer cannot be read yet: {error}")
        if events is None and known is not None and known.code == 0:
            events = []  # the tables keep no answer that tells no more than "applied"
        if events is None:
            return DoorError(DoorReason.INTERNAL, f"the answer at seq {seq} is not in the tables")
        return self._as_ack(seq, ts_ns, command, events, viewer, replayed=True)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    def _halted(self, error: VenueHalted) -> DoorError:
        if not error.is_definite:
            return DoorError(DoorReason.OUTCOME_UNKNOWN)
        return DoorError(DoorReason.SHUTTING_DOWN if self._handle.halted == CLOSED else DoorReason.HALTED)

    def _not_taken(self, error: Exception) -> DoorError:
        if isinstance(error, Busy):
            return DoorError(DoorReason.BUSY, str(error), retry_after_s=1)
        if isinstance(error, VenueHalted):
            return self._halted(error)
        return DoorError(DoorReason.INVALID_FIELD, str(error))


def _parties_of(handle: Handle, number: int) -> tuple[str, str] | None:
    return queries.obligation_parties(handle.venue, number)


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def _fault(operation: Operation, error: Exception) -> DoorError:
    """INTERNAL, by the name under which the fault stands in the log."""
    told = DoorError(DoorReason.INTERNAL)
    told.trace_id = secrets.token_hex(8)
    _LOG.error("%s failed, trace_id %s", operation.name, told.trace_id, exc_info=error)
    return told


def _check_plain(operation: Operation, idempotency_key: str | None, valid_until: str | None) -> None:
    """DoorError where a promise is asked for that nobody would keep: the key of what is in no journal."""
    if operation.name in _WITHOUT_KEY and (idempotency_key is not None or valid_until is not None):
        field = "valid_until" if idempotency_key is None else "idempotency_key"
        raise invalid(field, f"{operation.name} cannot be repeated safely: each time makes another one", "leave it out")


def owner(principal: Principal, operation: Operation, args: Any) -> str:
    """Whose things the operation is about: "" = nobody's or, in a list for a key of the operator, everybody's.

    DoorError NOT_FOUND for what is somebody else's, INVALID_FIELD where a key of the operator must say whose.
    """
    if operation.owner != "own":
        return ""
    named = args.participant
    if principal.participant:
        if named is not None and named != principal.participant:
            raise DoorError(DoorReason.NOT_FOUND, field="participant")
        return principal.participant
    if named is None and not isinstance(args, OwnPage):
        raise invalid("participant", "a key of the operator must say for whom", "name a participant")
    return named or ""

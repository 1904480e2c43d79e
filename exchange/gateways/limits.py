"""How much one may ask of the doors: the table of limits, and the token buckets that both doors take from.

A participant has one budget for orders and one for reads, whichever door and however many keys he uses. What takes back
(cancel, withdraw) is never limited, nor is a key of the operator. Requests without a valid key are counted by address.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from time import monotonic_ns
from typing import Any, NamedTuple

from exchange.ports_access import Principal
from exchange.protocol.answers_operator import Limit, Limits
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.fields import MAX_PAGE
from exchange.protocol.operations import OPERATIONS, Operation

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
KIB = 1024
MAX_BUCKETS = 65_536  # per kind of budget; whoever comes when all are in use shares one
MAX_BLOCK_NS = 3600 * SECOND_NS
NEVER_LIMITED = frozenset(("cancel_task", "cancel_order", "withdraw_offer"))
BATCHES = frozenset(("place_orders", "cancel_orders"))  # counted entry by entry


def _limit(value: int, unit: str, meaning: str) -> Any:
    return field(default=value, metadata={"unit": unit, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """Every limit of the doors; the order is that of /v1/limits and docs/protocol/limits.md."""

    body_bytes: int = _limit(64 * KIB, "bytes", "body of a REST request")
    offer_body_bytes: int = _limit(256 * KIB, "bytes", "body of `place_offer`, which may have a price for every period")
    catalogue_body_bytes: int = _limit(4096 * KIB, "bytes", "body of `load_catalogue`, scope operate")
    body_s: int = _limit(10, "s", "time for a body to arrive")
    target_bytes: int = _limit(8 * KIB, "bytes", "path and query of a REST request")
    page_rows: int = _limit(MAX_PAGE, "rows", "`limit` of a list")
    order_rate: int = _limit(50, "per second", "commands of a participant, over both doors; cancels of what is open are free")
    order_burst: int = _limit(200, "commands", "commands at once after a pause")
    cancel_rate: int = _limit(200, "per second", "cancels of a participant of orders that are not open (unknown, ended)")
    cancel_burst: int = _limit(4000, "cancels", "such cancels at once after a pause")
    firm_budgets: int = _limit(4, "budgets", "of orders that a firm has in all, for all its participants together")
    offer_hour_rate: int = _limit(10_000, "per second", "hours of offers that a participant prices anew (RT8)")
    offer_hour_burst: int = _limit(40_000, "hours", "such hours at once after a pause")
    read_rate: int = _limit(50, "per second", "reads of a participant, over both doors")
    read_burst: int = _limit(200, "reads", "reads at once after a pause")
    keyless_rate: int = _limit(10, "per second", "requests and handshakes without a key, by address")
    keyless_burst: int = _limit(40, "requests", "requests without a key at once after a pause")
    wrong_keys: int = _limit(5, "per minute", "wrong keys of an address; after that the wait doubles up to an hour")
    connections: int = _limit(2000, "connections", "sockets of all")
    connections_per_key: int = _limit(20, "connections", "sockets of one key")
    logins_at_once: int = _limit(32, "connections", "sockets of one address that have not logged in yet")
    tcp_connections: int = _limit(3000, "connections", "TCP connections of all, sockets among them")
    head_s: int = _limit(10, "s", "time from connecting, or from the first byte of a request, to the end of its headers")
    frame_bytes: int = _limit(64 * KIB, "bytes", "one frame from a client")
    batch_bytes: int = _limit(512 * KIB, "bytes", "one frame or body with a batch of commands")
    frame_rate: int = _limit(1000, "per second", "frames of one socket; a key of the operator: no limit")
    frame_burst: int = _limit(2000, "frames", "frames of one socket at once after a pause")
    bad_frames: int = _limit(20, "frames", "unreadable frames before a socket is closed")
    subscriptions: int = _limit(200, "subscriptions", "subscriptions of one socket")
    lanes: int = _limit(128, "views", "lane views that all sockets together follow")
    sessions: int = _limit(64, "sessions", "names of numbered sessions that are kept of one participant")
    login_s: int = _limit(5, "s", "time from connecting to `login`")
    outbound_messages: int = _limit(512, "messages", "messages that wait for a slow reader")
    outbound_bytes: int = _limit(1024 * KIB, "bytes", "bytes that wait for a slow reader")
    valid_until_s: int = _limit(7 * 86_400, "s", "how far `valid_until` may lie ahead")
    reports_at_once: int = _limit(2, "reports", "report runs at the same time")
    history_at_once: int = _limit(2, "files", "history files that are made at the same time")
    statement_lines: int = _limit(10_000, "lines", "one statement")

    def __post_init__(self) -> None:
        """ValueError where a limit is not a positive number."""
        for each in fields(self):
            value = getattr(self, each.name)
            if not isinstance(value, int) or value <= 0:
                raise ValueError(f"limit {each.name} is {value!r}, it must be a whole number above 0")


def limits_answer(limits: DoorLimits) -> Limits:
    """The table as /v1/limits tells it."""
    return Limits(
        items=tuple(
            Limit(name=each.name, value=getattr(limits, each.name), **each.metadata)
            for each in fields(limits)
        )
    )


class Room(NamedTuple):
    """What is left of a budget: its name, how many at once, how many of those now, seconds until it is whole again."""

    name: str
    burst: int
    rate: int
    left: int
    whole_s: int


class Bucket:
    """Token buckets of one kind, by name. A bucket is one number: when it will be full again; a full one is not kept."""

    def __init__(self, name: str, rate: int, burst: int, per_ns: int = SECOND_NS, max_buckets: int = MAX_BUCKETS) -> None:
        self.name, self.rate, self.burst = name, rate, burst
        self._token_ns = max(1, per_ns // rate)
        self._max_buckets = max_buckets
        self._full_at: dict[str, int] = {}
        self._swept_ns = 0

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, who: str, now_ns: int, count: int = 1) -> int:
        """Takes so many, a whole burst at most; 0, or the nanoseconds to wait, and then nothing was taken."""
        who = self._place(who, now_ns)
        full_at = max(self._full_at.get(who, 0), now_ns) + min(count, self.burst) * self._token_ns
        wait_ns = full_at - now_ns - self.burst * self._token_ns
        if wait_ns > 0:
            return wait_ns
        self._full_at[who] = full_at
        return 0

    def give_back(self, who: str, now_ns: int) -> None:
        """One that was taken was taken for nothing."""
        full_at = self._full_at.get(who)
        if full_at is not None and full_at > now_ns:
            self._full_at[who] = full_at - self._token_ns

    def room(self, who: str, now_ns: int) -> Room:
        """What is left for somebody."""
        lack_ns = max(0, self._full_at.get(self._place(who, now_ns), 0) - now_ns)
        return Room(self.name, self.burst, self.rate, self.burst - -(-lack_ns // self._token_ns), -(-lack_ns // SECOND_NS))

    def _place(self, who: str, now_ns: int) -> str:
        if who in self._full_at or len(self._full_at) < self._max_buckets:
            return who
        if now_ns - self._swept_ns >= SECOND_NS:  # a sweep looks at every bucket: not for each newcomer
            self._swept_ns = now_ns
            self._full_at = {name: full_at for name, full_at in self._full_at.items() if full_at > now_ns}
            if len(self._full_at) < self._max_buckets:
                return who
        return ""


class _Strikes(NamedTuple):
    number: int
    until_ns: int  # no answer but 429 before
    forgotten_ns: int


class WrongKeys:
    """Wrong keys by address: some a minute are answered, then each further one doubles the time of silence."""

    def __init__(self, per_minute: int, max_addresses: int = MAX_BUCKETS) -> None:
        self._per_minute, self._max = per_minute, max_addresses
        self._strikes: dict[str, _Strikes] = {}

    def __len__(self) -> int:
        return len(self._strikes)

    def strike(self, address: str, now_ns: int) -> int:
        """Counts one more; 0 while it may be answered, else the nanoseconds for which none is."""
        if address not in self._strikes and len(self._strikes) >= self._max:
            self._strikes = {name: each for name, each in self._strikes.items() if each.forgotten_ns > now_ns}
            if len(self._strikes) >= self._max:
                address = ""
        known = self._strikes.get(address)
        if known is None or known.forgotten_ns <= now_ns:
            known = _Strikes(0, 0, 0)
        if known.until_ns > now_ns:
            return known.until_ns - now_ns
        number = known.number + 1
        doublings = number - self._per_minute
        block_ns = 0 if doublings <= 0 else min(MAX_BLOCK_NS, MINUTE_NS << min(doublings - 1, 10))
        forgotten_ns = now_ns + block_ns + MINUTE_NS if block_ns else max(known.forgotten_ns, now_ns + MINUTE_NS)
        self._strikes[address] = _Strikes(number, now_ns + block_ns, forgotten_ns)
        return block_ns


class DoorBudgets:
    """Who may still ask for what; one object for both doors. The clock counts nanoseconds and never goes back."""

    def __init__(
        self, limits: DoorLimits, clock: Callable[[], int] = monotonic_ns, firm_of: Callable[[str], str] = str
    ) -> None:
        """firm_of: the firm of a participant, or the participant where there is none of that name."""
        self._clock, self._firm_of = clock, firm_of
        much = limits.firm_budgets
        self._firms = Bucket("firms", limits.order_rate * much, limits.order_burst * much)
        self._orders = Bucket("orders", limits.order_rate, limits.order_burst)
        self._hours = Bucket("hours", limits.offer_hour_rate, limits.offer_hour_burst)
        self._cancels = Bucket("cancels", limits.cancel_rate, limits.cancel_burst)
        self._reads = Bucket("reads", limits.read_rate, limits.read_burst)
        self._keyless = Bucket("keyless", limits.keyless_rate, limits.keyless_burst)
        self._wrong_keys = WrongKeys(limits.wrong_keys)

    def take(self, principal: Principal, operation: Operation) -> DoorError | None:
        """None, or why the operation is not executed now."""
        bucket = self._bucket(principal, operation)
        if bucket is None:
            return None
        now_ns = self._clock()
        wait_ns = bucket.take(principal.participant, now_ns)
        if wait_ns or bucket is not self._orders:
            return _refusal(bucket, wait_ns)
        wait_ns = self._firms.take(self._firm_of(principal.participant), now_ns)
        if wait_ns:
            bucket.give_back(principal.participant, now_ns)
        return _refusal(self._firms, wait_ns)

    def take_unreadable(self, principal: Principal, operation: Operation, count: int) -> DoorError | None:
        """So many entries of a batch that could not be read: one each, a whole burst at most."""
        if not principal.participant:
            return None
        bucket = self._bucket(principal, operation)
        if bucket is None:
            bucket = self._cancels
        return _refusal(bucket, bucket.take(principal.participant, self._clock(), count))

    def take_idle_cancel(self, principal: Principal) -> DoorError | None:
        """A cancel of an order that is not open; one of an order that is takes nothing, so that it is never too late."""
        if not principal.participant:
            return None
        return _refusal(self._cancels, self._cancels.take(principal.participant, self._clock()))

    def take_hours(self, principal: Principal, hours: int) -> DoorError | None:
        """RT8: one token for each hour of an offer that a command prices anew, beside the one for the command."""
        if not principal.participant or not hours:
            return None
        return _refusal(self._hours, self._hours.take(principal.participant, self._clock(), hours))

    def room(self, principal: Principal, operation: Operation) -> Room | None:
        """What is left of the budget that the operation takes from; None where it is free."""
        bucket = self._bucket(principal, operation)
        return None if bucket is None else bucket.room(principal.participant, self._clock())

    def take_keyless(self, address: str) -> DoorError | None:
        """One request of an address without a key."""
        return _refusal(self._keyless, self._keyless.take(address, self._clock()))

    def keyless_no_more(self, address: str) -> None:
        """What `take_keyless` has counted was somebody with a key: a socket that has logged in."""
        self._keyless.give_back(address, self._clock())

    def take_read(self, principal: Principal) -> DoorError | None:
        """As `take`, for a read that is no operation of the table: a subscription."""
        if not principal.participant:
            return None
        return _refusal(self._reads, self._reads.take(principal.participant, self._clock()))

    def wrong_key(self, address: str) -> DoorError | None:
        """One request of an address with a wrong key: None where WRONG_KEY may be answered. Right keys are never stopped:
        a secret has 256 bits, so this keeps out noise and not somebody who guesses."""
        wait_ns = self._wrong_keys.strike(address, self._clock())
        if wait_ns == 0:
            return None
        wait_s = -(-wait_ns // SECOND_NS)
        return DoorError(
            DoorReason.TOO_MANY_REQUESTS, "too many wrong keys from this address", limit="wrong_keys", retry_after_s=wait_s
        )

    def _bucket(self, principal: Principal, operation: Operation) -> Bucket | None:
        if not principal.participant or operation.name in NEVER_LIMITED | BATCHES:
            return None
        return self._orders if operation.is_command else self._reads


def _refusal(bucket: Bucket, wait_ns: int) -> DoorError | None:
    if wait_ns == 0:
        return None
    wait_s = max(1, -(-wait_ns // SECOND_NS))
    detail = f"{bucket.rate} a second, {bucket.burst} at once"
    names = {
        "orders": "order_rate", "firms": "firm_budgets", "cancels": "cancel_rate", "hours": "offer_hour_rate",
        "reads": "read_rate", "keyless": "keyless_rate",
    }  # fmt: skip
    return DoorError(DoorReason.TOO_MANY_REQUESTS, detail, limit=names[bucket.name], retry_after_s=wait_s)


assert OPERATIONS.keys() >= NEVER_LIMITED

"""What both engines hand out when asked: orders, books, tasks, routes, block offers, and the events of one batch."""

from collections.abc import Iterator
from operator import index as as_int
from typing import NamedTuple

from .records import EVENT, RECORD_SIZE, Event


class Order(NamedTuple):
    """One live order as it stands now; hold_micro is what its account has in HELD for it."""

    order_id: int
    book: int
    side: int
    account: int
    price: int
    qty: int  # the total: what is filled plus what is open
    leaves: int
    client_ref: int
    tif: int
    expiry_ns: int  # 0 unless GTD
    hold_micro: int  # micro-yuan; 0 for sells and where funds are not checked
    order_type: int = 0
    flags: int = 0  # OrderFlag
    stp: int = 0  # StpMode that it has as a taker; 0 = the book's
    aux: int = 0  # ICEBERG: peak, MIN_QTY: minimum, AUCTION_ONLY: CallKind it is for
    shown: int = 0  # ICEBERG: lots that are displayed now


class BookState(NamedTuple):
    """How one book trades and where its session stands."""

    flags: int  # BookRule
    tie_policy: int
    stp: int  # StpMode of orders that name none
    phase: int
    call: int  # CallKind of the call at hand
    is_gated: int  # 1: the emergency book after the gate
    grade: int  # FixGrade
    extensions: int  # of the call at hand
    cap_ppm: int
    static_ppm: int
    dynamic_ppm: int
    corridor_ppm: int
    collar_ticks: int
    reference: int  # ticks; 0 = none
    last: int  # price of the last trade since the book was set up, in ticks; 0 = none
    call_end_ns: int
    end_ns: int
    fix: int  # ticks; 0 = none
    fix_hash: int
    interval_ns: int
    told_price: int  # the last indicative figures of the call at hand
    told_volume: int
    told_surplus: int
    told_ns: int


class RoutePart(NamedTuple):
    """One source of a route, or one leg of a bulk plan."""

    account: int  # the site
    block_id: int  # the block offer, 0 = plain asks
    family: int
    lots: int
    ask_id: int = 0  # bulk: the ask of this leg


class Route(NamedTuple):
    """RT2: one way to fill a task; a bulk plan has one part per leg, and `periods` go with the parts."""

    first_period: int
    compute_micro: int
    moving_micro: int
    lot_periods: int
    chip_place: int
    rtt_us: int
    parts: tuple[RoutePart, ...]
    periods: tuple[int, ...]


class TaskView(NamedTuple):
    """One waiting task as it stands now."""

    order_id: int
    account: int
    lane: int
    shape: int
    limit_micro: int
    budget_micro: int
    target: int  # lot-periods
    filled: int  # lot-periods bought (bulk)
    spent_micro: int  # compute and moving
    notional_micro: int  # compute
    held_micro: int
    dies_ns: int
    woken: int  # 1: by dirt, 2: by a step
    fee_ppm: int


class BlockView(NamedTuple):
    """One block offer as it stands now."""

    order_id: int
    account: int
    family: int
    first_period: int
    end_period: int
    next_period: int
    min_lots: int
    min_periods: int
    notice_ns: int
    flags: int
    residues: tuple[tuple[int, int, int], ...]  # (period, price, lots), ascending


class ReferenceEvents(bytes):
    """The event records of one batch: a buffer of 64-byte records that also reads as a sequence of `Event`."""

    __slots__ = ()

    def __len__(self) -> int:
        return super().__len__() // RECORD_SIZE

    def __iter__(self) -> Iterator[Event]:  # type: ignore[override]  # a sequence of events, not of bytes
        return map(Event._make, EVENT.iter_unpack(self))

    def __getitem__(self, index):
        if isinstance(index, slice):
            return list(self)[index]
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"event {index} of {count}")
        return Event._make(EVENT.unpack_from(self, index % count * RECORD_SIZE))

    def __bytes__(self) -> bytes:
        return memoryview(self).tobytes()

    def __repr__(self) -> str:
        return f"<Events {len(self)}>"


def check_max_orders(max_orders: int) -> int:
    """max_orders as given, or ValueError: level totals must fit 64 bits (max_orders x MAX_QTY_LOTS)."""
    if not 1 <= as_int(max_orders) <= MAX_ORDERS:
        raise ValueError(f"max_orders must be 1 to {MAX_ORDERS}, not {max_orders}")
    return max_orders


def check_sequence(first_seq: int, seq_step: int, count: int) -> None:
    """ValueError unless every sequence number of the batch fits a signed 64-bit integer."""
    last_seq = as_int(first_seq) + as_int(seq_step) * max(count - 1, 0)
    if first_seq < 0 or seq_step < 0 or last_seq > MAX_SEQ:
        raise ValueError(f"sequence numbers {first_seq} + i x {seq_step} must stay within 0 to {MAX_SEQ}")


def check_walk(n_books: int, max_books: int) -> None:
    """ValueError unless a site walk asks for 0 to max_books books."""
    if not 0 <= n_books <= max_books:
        raise ValueError(f"a walk takes 0 to {max_books} books, not {n_books}")


MAX_ORDERS = 16_000_000
MAX_SEQ = 2**63 - 1

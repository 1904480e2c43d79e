"""The matching engine as a rulebook: one command in, its events out. Plain Python, no clock, no float, no chance.

Rules kept here: checks go in the numeric order of RejectReason, then of DenyReason, and only then does anything
change (C8, AM6); a trade prints at the maker's price (C6); an order that trades is the best one by price, then by
place in the queue (C5); money and capacity move with the trade that causes it (HM2, RT1).
Orders are here; task legs are in `tasks`, what the venue sets up is in `venue`.
"""

from copy import copy

from ..enums import (
    Bucket,
    CancelReason,
    DenyReason,
    EventFlag,
    Kind,
    Op,
    OrderType,
    RejectReason,
    Side,
    TimeInForce,
)
from ..intake import fit
from ..limits import (
    FEE_TABLES,
    MAX_MONEY_MICRO,
    MAX_ORDER_ID,
    MAX_PRICE_TICKS,
    MAX_SELLS_PER_BOOK,
    MAX_WALK_PERIODS,
)
from ..records import Command, Event, unpack_commands
from ..views import Order, ReferenceEvents, check_max_orders, check_sequence, check_walk
from . import audit, snapshot, tasks, venue
from .accounts import Ledger
from .book import Book
from .state import LiveOrder
from .tasks import why_qty_invalid

_RESTING = (TimeInForce.GTC, TimeInForce.GTD)
_OFFERED = (
    TimeInForce.GTC,
    TimeInForce.IOC,
    TimeInForce.FOK,
    TimeInForce.GTD,
)  # DAY comes with the session phases


class Engine:
    """All books and accounts of one venue. Not for several threads at once."""

    def __init__(self, max_orders: int = 1_000_000, *, check_funds: bool = False, listed_only: bool = False):
        self.max_orders = check_max_orders(max_orders)
        self.check_funds = bool(check_funds)
        self.listed_only = bool(listed_only)
        self.now_ns = 0
        self.fees_ppm = [0] * FEE_TABLES
        self.open_books: dict[int, Book] = {}  # listed ones, and unlisted ones while an order rests in them
        self.live: dict[int, LiveOrder] = {}
        self.ledger = Ledger()
        self.next_seq = 1
        self._stamp = 0
        self._seq = 0
        self._events: list[Event] = []
        self._handlers = {
            Op.NEW: self._new,
            Op.CANCEL: self._cancel,
            Op.REPLACE: self._replace,
            Op.REDUCE: self._reduce,
            Op.AMEND: self._amend,
            Op.TAKE: lambda c: tasks.take(self, c),
            **venue.handlers(self),
        }

    # --- commands in, events out ---

    def process(self, commands, first_seq: int = 1, seq_step: int = 1) -> ReferenceEvents:
        """Apply a C-contiguous buffer of 64-byte commands; command i carries seq first_seq + i * seq_step."""
        batch = unpack_commands(_whole_records(commands))
        check_sequence(first_seq, seq_step, len(batch))
        self._events = []
        for i, command in enumerate(batch):
            self._apply(command, first_seq + i * seq_step)
        return ReferenceEvents(b"".join(event.pack() for event in self._events))

    def submit(
        self, op, *, side=0, order_type=0, tif=0, stp=0, flags=0, book=0, account=0, order_id=0, price=0, qty=0,
        aux=0, expiry_ns=0, client_ref=0, seq=None,
    ) -> list[Event]:  # fmt: skip
        """Apply one command given as ints of any size; seq defaults to the one after the last."""
        seq = self.next_seq if seq is None else seq
        check_sequence(seq, 0, 1)
        command, misfit = fit(
            op,
            side,
            order_type,
            tif,
            stp,
            flags,
            book,
            account,
            order_id,
            price,
            qty,
            aux,
            expiry_ns,
            client_ref,
        )
        self._events = []
        self._apply(command, seq, misfit)
        return self._events

    def _apply(self, command: Command, seq: int, misfit: int = 0) -> None:
        self._seq = seq
        self.next_seq = seq + 1
        handler = self._handlers.get(command.op)
        if handler is None:
            self.reject(command, RejectReason.UNKNOWN_OP)
        elif misfit:
            self.reject(command, misfit)
        else:
            handler(command)

    def emit(self, kind, *, side=0, reason=0, flags=0, book=0, order_id=0, contra_id=0, price=0, qty=0, leaves=0,
             contra_leaves=0) -> None:  # fmt: skip
        """Append one event of the command at hand."""
        fields = (kind, side, reason, flags, book, order_id, contra_id, price, qty, leaves, contra_leaves)
        self._events.append(Event(self._seq, *map(int, fields)))

    def reject(self, c: Command, reason: int, kind: int = Kind.REJECTED) -> None:
        """The only event of a command that changes nothing (C8)."""
        self.emit(kind, side=c.side, reason=reason, book=c.book, order_id=c.order_id, contra_id=c.client_ref,
                  price=c.price, qty=c.qty)  # fmt: skip

    def deny(self, c: Command, reason: int) -> None:
        """As reject, but risk says no."""
        self.reject(c, reason, Kind.DENIED)

    # --- NEW ---

    def _new(self, c: Command) -> None:
        book = self.book_of(c.book)
        if book is None:
            self.reject(c, RejectReason.UNKNOWN_BOOK)
            return
        if reason := self._why_new_rejected(c, book):
            self.reject(c, reason)
            return
        expiry_ns = c.expiry_ns if c.tif == TimeInForce.GTD else 0
        fee_ppm = self.fees_ppm[0] if self.check_funds and c.side == Side.BUY else 0
        order = LiveOrder(c.order_id, c.book, c.side, c.account, c.price, c.qty, c.qty, c.client_ref, c.tif,
                          expiry_ns, fee_ppm)  # fmt: skip
        if reason := self._why_denied(order, book, hold_before=0, lots_before=0):
            self.deny(c, reason)
            return
        self._reserve(order, book, hold_before=0, lots_before=0)
        self._tell(
            Kind.ACCEPTED, order, qty=order.qty, leaves=order.leaves, contra_leaves=self.hold(order, book)
        )
        self._work(order, book)

    def _why_new_rejected(self, c: Command, book: Book) -> int:
        if reason := self.why_order_op_rejected(c):
            return reason
        if c.side > Side.SELL or c.order_type != OrderType.LIMIT or c.tif not in _OFFERED:
            return RejectReason.INVALID_FIELD
        if not 1 <= c.price <= MAX_PRICE_TICKS:
            return RejectReason.INVALID_PRICE
        if not 1 <= c.qty <= book.max_lots:
            return RejectReason.INVALID_QTY
        if c.price * c.qty * book.value_micro > MAX_MONEY_MICRO:
            return RejectReason.INVALID_NOTIONAL
        if c.tif == TimeInForce.GTD and c.expiry_ns <= self.now_ns:
            return RejectReason.INVALID_EXPIRY
        if c.order_id in self.live:
            return RejectReason.DUPLICATE_ID
        if len(self.live) >= self.max_orders:
            return RejectReason.BOOK_FULL
        return 0

    def why_order_op_rejected(self, c: Command) -> int:
        """What every operation on an order must satisfy."""
        if self.check_funds and not self.ledger.may_trade(c.account):
            return RejectReason.UNKNOWN_ACCOUNT
        if c.reserved or c.flags or c.stp or not 1 <= c.order_id <= MAX_ORDER_ID:
            return RejectReason.INVALID_FIELD
        return 0

    def book_of(self, book: int) -> Book | None:
        """The book of a command: an unlisted one opens by itself unless the engine is listed_only."""
        found = self.open_books.get(book)
        if found is None and not self.listed_only:
            return Book(book)
        return found

    # --- CANCEL, REDUCE, REPLACE, AMEND: the id finds the order; its account must match, its side cannot change ---

    def _cancel(self, c: Command) -> None:
        if reason := self.why_order_op_rejected(c) or self._why_not_mine(c):
            self.reject(c, reason)
            return
        self.withdraw(self.live[c.order_id], Kind.CANCELED, CancelReason.ASKED)

    def _reduce(self, c: Command) -> None:
        if reason := self.why_order_op_rejected(c) or why_qty_invalid(c) or self._why_not_mine(c):
            self.reject(c, reason)
            return
        order = self.live[c.order_id]
        if c.qty >= order.leaves:
            self.reject(c, RejectReason.INVALID_QTY)
            return
        self._shrink(order, leaves=c.qty)

    def _replace(self, c: Command) -> None:
        if reason := self._why_change_rejected(c):
            self.reject(c, reason)
            return
        self._requeue(c, self.live[c.order_id], leaves=c.qty)

    def _amend(self, c: Command) -> None:
        if reason := self._why_change_rejected(c):
            self.reject(c, reason)
            return
        order = self.live[c.order_id]
        leaves = c.qty - (order.qty - order.leaves)
        if leaves <= 0:
            self.withdraw(order, Kind.CANCELED, CancelReason.AMENDED)  # AM4
            return
        if c.price == order.price and leaves <= order.leaves:
            self._shrink(order, leaves)  # AM2, AM3
            return
        self._requeue(c, order, leaves)  # AM1

    def _why_change_rejected(self, c: Command) -> int:
        """REPLACE and AMEND: what holds for any price and quantity, then what needs the order and its book."""
        if reason := self.why_order_op_rejected(c):
            return reason
        if not 1 <= c.price <= MAX_PRICE_TICKS:
            return RejectReason.INVALID_PRICE
        if reason := why_qty_invalid(c) or self._why_not_mine(c):
            return reason
        order = self.live[c.order_id]
        book = self.open_books[order.book]
        filled = order.qty - order.leaves
        leaves = c.qty if c.op == Op.REPLACE else c.qty - filled
        if filled + leaves > book.max_lots:
            return RejectReason.INVALID_QTY
        if order.done_micro + c.price * max(leaves, 0) * book.value_micro > MAX_MONEY_MICRO:
            return RejectReason.INVALID_NOTIONAL
        return 0

    def _why_not_mine(self, c: Command) -> int:
        order = self.live.get(c.order_id)
        return 0 if order and order.account == c.account else RejectReason.UNKNOWN_ORDER

    def _shrink(self, order: LiveOrder, leaves: int) -> None:
        """Fewer open lots, or as many, in the same place of the queue."""
        book = self.open_books[order.book]
        hold_before, lots_before = self.hold(order, book), order.leaves
        order.qty -= order.leaves - leaves
        order.leaves = leaves
        self._reserve(order, book, hold_before, lots_before)
        self._tell(Kind.REPLACED, order, flags=EventFlag.KEPT_PRIORITY, qty=order.qty, leaves=leaves,
                   contra_leaves=self.hold(order, book))  # fmt: skip

    def _requeue(self, c: Command, order: LiveOrder, leaves: int) -> None:
        """The order leaves its place and meets the book as a taker with its new price and open quantity."""
        book = self.open_books[order.book]
        hold_before, lots_before = self.hold(order, book), order.leaves
        wanted = copy(order)
        wanted.price, wanted.leaves, wanted.qty = c.price, leaves, order.qty - order.leaves + leaves
        if reason := self._why_denied(wanted, book, hold_before, lots_before):
            self.deny(c, reason)
            return
        self.unrest(order, book)
        self._reserve(wanted, book, hold_before, lots_before)
        self._tell(
            Kind.REPLACED, wanted, qty=wanted.qty, leaves=leaves, contra_leaves=self.hold(wanted, book)
        )
        self._work(wanted, book)

    # --- the taker meets the book ---

    def _work(self, order: LiveOrder, book: Book) -> None:
        """Trade what crosses; then rest, or cancel what may not rest. The order is not in the book yet."""
        if order.tif == TimeInForce.FOK and not book.can_fill(order):
            self._discard(order, book, CancelReason.FOK)
            return
        while order.leaves and (maker := book.next_maker(order)):
            self._trade(order, maker, book, min(order.leaves, maker.leaves))
        if order.leaves and order.tif in _RESTING:
            self.rest(order, book)
        elif order.leaves:
            self._discard(order, book, CancelReason.IOC)
        else:
            self.close_if_idle(book)

    def _trade(self, taker: LiveOrder, maker: LiveOrder, book: Book, lots: int) -> None:
        """One fill at the maker's price, and the money and capacity that move with it."""
        buy, sell = (taker, maker) if taker.side == Side.BUY else (maker, taker)
        hold_before = self.hold(buy, book)
        taker.leaves -= lots
        maker.leaves -= lots
        self.emit(Kind.TRADE, side=taker.side, book=book.book, order_id=taker.order_id, contra_id=maker.order_id,
                  price=maker.price, qty=lots, leaves=taker.leaves, contra_leaves=maker.leaves)  # fmt: skip
        if self.check_funds:
            cost = maker.price * lots * book.value_micro
            fee = self.ledger.post(buy, cost)
            freed = hold_before - cost - fee - self.hold(buy, book)
            self.ledger.accounts[buy.account].order_holds -= cost + fee
            self.ledger.resize_hold(buy.account, -freed)
            self.emit(Kind.POSTED, side=Side.BUY, book=book.book, order_id=buy.order_id, contra_id=buy.account,
                      price=fee, qty=cost, leaves=freed, contra_leaves=sell.account)  # fmt: skip
            self.ledger.count_trade(buy.account, sell.account, book.book, book.group, lots)
        if maker.leaves == 0:
            self.unrest(maker, book)

    def rest(self, order: LiveOrder, book: Book) -> None:
        self._stamp += 1
        order.stamp = self._stamp
        self.open_books[book.book] = book
        self.live[order.order_id] = order
        book.add(order)
        if self.check_funds and order.side == Side.SELL:
            self.ledger.position(order.account, book.book).asks.append(order)

    def unrest(self, order: LiveOrder, book: Book) -> None:
        del self.live[order.order_id]
        book.remove(order)
        if self.check_funds and order.side == Side.SELL:
            asks = self.ledger.position(order.account, book.book).asks
            asks[:] = [ask for ask in asks if ask is not order]

    def _discard(self, order: LiveOrder, book: Book, reason: int) -> None:
        """Cancel what is left of an order that does not rest."""
        self._release(order, book, Kind.CANCELED, reason)
        self.close_if_idle(book)

    def withdraw(self, order: LiveOrder, kind: int, reason: int) -> None:
        """Take a resting order out and free what it held; one event."""
        book = self.open_books[order.book]
        self.unrest(order, book)
        self._release(order, book, kind, reason)
        self.close_if_idle(book)

    def _release(self, order: LiveOrder, book: Book, kind: int, reason: int) -> None:
        freed, lots = self.hold(order, book), order.leaves
        order.leaves = 0
        self._reserve(order, book, freed, lots)
        self._tell(kind, order, reason=reason, qty=lots, leaves=0, contra_leaves=freed)

    def close_if_idle(self, book: Book) -> None:
        """An unlisted book without orders is no part of the state."""
        if not book.listed and book.is_empty:
            self.open_books.pop(book.book, None)

    def _tell(self, kind: int, order: LiveOrder, **fields: int) -> None:
        self.emit(kind, side=order.side, book=order.book, order_id=order.order_id, contra_id=order.client_ref,
                  price=order.price, **fields)  # fmt: skip

    # --- what an order holds ---

    def hold(self, order: LiveOrder, book: Book) -> int:
        """HM2: micro-yuan in HELD for this order; 0 for sells and where funds are not checked."""
        return order.hold_micro(book.value_micro) if self.check_funds else 0

    def _why_denied(self, wanted: LiveOrder, book: Book, hold_before: int, lots_before: int) -> int:
        """Whether money (buys) or capacity (sells) covers what the order wants above what it has."""
        if not self.check_funds:
            return 0
        if wanted.side == Side.BUY:
            cash = self.ledger.accounts[wanted.account].purses[Bucket.CASH]
            return DenyReason.INSUFFICIENT_FUNDS if self.hold(wanted, book) - hold_before > cash else 0
        if book.group and not self.ledger.has_room(wanted.account, book.group, wanted.leaves - lots_before):
            return DenyReason.CAPACITY
        is_one_more = lots_before == 0 and wanted.tif in _RESTING
        if is_one_more and len(self.ledger.asks(wanted.account, book.book)) >= MAX_SELLS_PER_BOOK:
            return DenyReason.TOO_MANY_SELLS
        return 0

    def _reserve(self, order: LiveOrder, book: Book, hold_before: int, lots_before: int) -> None:
        """Bring hold or open capacity to what the order needs now."""
        if not self.check_funds:
            return
        if order.side == Side.BUY:
            self.ledger.resize_hold(order.account, self.hold(order, book) - hold_before)
        else:
            self.ledger.resize_open(order.account, book.group, order.leaves - lots_before)

    # --- questions; they change nothing ---

    @property
    def n_orders(self) -> int:
        """Live orders."""
        return len(self.live)

    def top(self, book: int) -> tuple[int, int, int, int]:
        """(bid price, bid lots, ask price, ask lots), 0 where a side is empty."""
        bids, asks = self.depth(book, 1)
        return (*(bids[0][:2] if bids else (0, 0)), *(asks[0][:2] if asks else (0, 0)))

    def depth(self, book: int, levels: int = 10) -> tuple[list, list]:
        """(bids, asks), each a list of (price, lots, orders), best first."""
        found = self.open_books.get(book)
        return (found.depth(Side.BUY, levels), found.depth(Side.SELL, levels)) if found else ([], [])

    def order(self, order_id: int) -> Order | None:
        """One live order, or None."""
        order = self.live.get(order_id)
        return self._view(order) if order else None

    def orders(self, book: int) -> list[Order]:
        """Every live order of a book: bids then asks, best to worst, first come first."""
        found = self.open_books.get(book)
        return [self._view(order) for order in found.walk()] if found else []

    def _view(self, order: LiveOrder) -> Order:
        return Order(order.order_id, order.book, order.side, order.account, order.price, order.qty, order.leaves,
                     order.client_ref, order.tif, order.expiry_ns,
                     self.hold(order, self.open_books[order.book]))  # fmt: skip

    def books(self) -> list[int]:
        """The ids of the open books, ascending: listed ones, and unlisted ones with orders."""
        return sorted(self.open_books)

    def balance(self, account: int) -> tuple[int, ...] | None:
        """The five purses in micro-yuan, in Bucket order; None for an unknown account."""
        entry = self.ledger.accounts.get(account)
        return tuple(entry.purses) if entry else None

    def firm(self, account: int) -> int | None:
        """The firm of an account; None for an unknown account."""
        entry = self.ledger.accounts.get(account)
        return entry.firm if entry else None

    def capacity(self, account: int, group: int) -> tuple[int, int, int]:
        """(attested, open, sold) lots."""
        record = self.ledger.capacity(account, group)
        return record.attested, record.open, record.sold

    def position(self, account: int, book: int) -> tuple[int, int]:
        """(bought, sold) lots of one account in one open book."""
        record = self.ledger.positions.get((account, book))
        return (record.bought, record.sold) if record else (0, 0)

    def site_asks(self, account: int, book: int) -> list[tuple[int, int, int]]:
        """(price, leaves, order_id) of one account's live sells in a book, best first; funded engines only."""
        return [(ask.price, ask.leaves, ask.order_id) for ask in self.ledger.asks(account, book)]

    def site_walk(self, account: int, first_book: int, n_books: int, qty: int) -> list[int]:
        """Per book: micro-yuan to buy qty from the account's asks there, -1 where it does not offer so much."""
        check_walk(n_books, MAX_WALK_PERIODS)
        return [tasks.walk_cost(self, account, book, qty) for book in range(first_book, first_book + n_books)]

    def check(self) -> None:
        """Raise AssertionError naming the first broken invariant; O(state)."""
        audit.check(self)

    def snapshot(self) -> bytes:
        """The whole state as one blob; both engines write the same bytes."""
        return snapshot.write(self)

    @classmethod
    def restore(cls, blob) -> "Engine":
        """The engine of a snapshot, or ValueError naming what is wrong with it."""
        return snapshot.read(cls, blob)

    def state_hash(self) -> int:
        """Unsigned 64-bit BLAKE2b over the logical state, without sequence counter and max_orders."""
        return snapshot.state_hash(self)


def _whole_records(commands) -> memoryview:
    """The buffer as bytes; ValueError unless it is a whole number of records."""
    view = memoryview(commands)
    if not view.c_contiguous:
        raise BufferError("commands must be a C-contiguous buffer")
    if view.nbytes % 64:
        raise ValueError(f"commands are {view.nbytes} bytes, not a multiple of 64")
    return view.cast("B") if view.nbytes else memoryview(b"")

"""The matching engine as a rulebook: one command in, its events out. Plain Python, no clock, no float, no chance.

Rules kept here: checks go in the numeric order of RejectReason, then of DenyReason, and only then does anything
change (C8, AM6); a trade prints at the maker's price (C6); an order that trades is the best one by price, then by
place in the queue (C5); money and capacity move with the trade that causes it (HM2, RT1).
The way in, the way out and the questions are here. Commands: `orders`, `phases`, `sweeps`, `setup`, `venue`; for tasks
`tables`, `blocks`, `tasks`, `drains` and the older `take`. What they do: `matching`, `auction`, `stp`, `bands`; `routing`,
`fills`, `waiting`. What they keep: `book`, `queue`, `accounts`, `cover`, `state`; `market`, `asks`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from operator import index as as_int

from ..enums import Kind, Op, RejectReason, Side
from ..intake import fit
from ..limits import FEE_TABLES, MAX_WALK_PERIODS
from ..records import Command, Event, unpack_commands
from ..task_records import HEADS, tail_of
from ..views import (
    BlockView,
    BookState,
    Order,
    ReferenceEvents,
    Route,
    TaskView,
    check_max_orders,
    check_sequence,
    check_walk,
)
from . import (
    auction,
    audit,
    blocks,
    drains,
    orders,
    phases,
    setup,
    snapshot,
    sweeps,
    tables,
    take,
    tasks,
    venue,
    waiting,
)
from .accounts import Ledger
from .book import Book
from .cover import hold
from .market import Market
from .state import LiveOrder


class Engine:
    """All books and accounts of one venue. Not for several threads at once."""

    RULES_VERSION = 3  # 3: tasks; 2: orders, calls and sessions as docs/rules/matching.md has them; 1: neither

    def __init__(self, max_orders: int = 1_000_000, *, check_funds: bool = False, listed_only: bool = False):
        self.max_orders = check_max_orders(max_orders)
        self.check_funds = bool(check_funds)
        self.listed_only = bool(listed_only)
        self.now_ns = 0
        self.fees_ppm = [0] * FEE_TABLES
        self.open_books: dict[int, Book] = {}  # listed ones, and unlisted ones while an order rests in them
        self.live: dict[int, LiveOrder] = {}
        self.calls: set[int] = set()  # the books in a call
        self.ledger = Ledger()
        self.market = Market()
        self.tail: Sequence[Command] | None = None  # the continuation records of the command at hand
        self.next_seq = 1
        self._stamp = 0
        self._seq = 0
        self._events: list[Event] = []
        self._handlers = {
            Op.TAKE: lambda c: take.take(self, c),
            **orders.handlers(self),
            **venue.handlers(self),
            **phases.handlers(self),
            **setup.handlers(self),
            **sweeps.handlers(self),
            **tables.handlers(self),
            **blocks.handlers(self),
            **tasks.handlers(self),
            **drains.handlers(self),
        }

    def prefault(self, orders: int) -> None:
        """Take the memory of so many live orders now; the compiled engine does, here there is none to take."""

    # --- commands in, events out ---

    def process(self, commands, first_seq: int = 1, seq_step: int = 1) -> ReferenceEvents:
        """Apply a C-contiguous buffer of 64-byte commands; command i carries seq first_seq + i * seq_step."""
        batch = unpack_commands(_whole_records(commands))
        check_sequence(first_seq, seq_step, len(batch))
        self._events = []
        resume = 0  # the records of a task go with its head
        for i, command in enumerate(batch):
            if i < resume:
                continue
            resume = i + 1
            if command.op in HEADS:
                self.tail = tail_of(batch, i)
                resume += len(self.tail or ())
            self._apply(command, first_seq + i * seq_step)
            self.next_seq = first_seq + (resume - 1) * seq_step + 1
        return ReferenceEvents(b"".join(event.pack() for event in self._events))

    def submit(
        self, op, *, side=0, order_type=0, tif=0, stp=0, flags=0, book=0, account=0, order_id=0, price=0, qty=0,
        aux=0, expiry_ns=0, client_ref=0, seq=None,
    ) -> list[Event]:  # fmt: skip
        """Apply one command given as ints of any size; seq defaults to the one after the last. Not for tasks."""
        seq = self.next_seq if seq is None else seq
        check_sequence(seq, 0, 1)
        command, misfit = fit(op, side, order_type, tif, stp, flags, book, account, order_id, price, qty, aux, expiry_ns,
                              client_ref)  # fmt: skip
        self._events = []
        self.tail = None
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
            if self.calls:
                auction.indicate(self)

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

    def tell(self, kind: int, order: LiveOrder, **fields: int) -> None:
        """Append an event about one order, with its side, book, client_ref and price."""
        self.emit(kind, side=order.side, book=order.book, order_id=order.order_id, contra_id=order.client_ref,
                  price=order.price, **fields)  # fmt: skip

    # --- what the parts of the engine share ---

    def next_stamp(self) -> int:
        """The place in time of an order that joins a queue."""
        self._stamp += 1
        return self._stamp

    def book_of(self, book: int) -> Book | None:
        """The book of a command: an unlisted one opens by itself unless the engine is listed_only."""
        found = self.open_books.get(book)
        if found is None and not self.listed_only:
            return Book(book)
        return found

    def set_up(self, book: Book) -> None:
        """From now on its rules and its phase are part of the state, and so is the book."""
        book.is_set_up = True
        self.open_books[book.book] = book

    def is_id_taken(self, order_id: int) -> bool:
        """Whether a live order, a waiting task or a block offer has this id."""
        return order_id in self.live or self.market.is_used(order_id)

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
        levels = as_int(levels)
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
                     order.client_ref, order.tif, order.expiry_ns, hold(self, order, self.open_books[order.book]),
                     order.order_type, order.flags, order.stp, order.aux, order.shown)  # fmt: skip

    def books(self) -> list[int]:
        """The ids of the open books, ascending: listed ones, and unlisted ones with orders."""
        return sorted(self.open_books)

    def book_state(self, book: int) -> BookState | None:
        """How an open book trades and where its session stands; None for a book that is not open."""
        found = self.open_books.get(book)
        return BookState(**asdict(found.rules)) if found else None

    def is_blocked(self, account: int) -> bool:
        """X3: whether the account or its firm has been killed and not lifted."""
        return self.ledger.is_blocked(account)

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
        return [take.walk_cost(self, account, book, qty) for book in range(first_book, first_book + n_books)]

    # --- questions about tasks ---

    @property
    def n_tasks(self) -> int:
        """Waiting tasks."""
        return len(self.market.tasks)

    def find_task(self, records, limit_micro: int | None = None) -> Route | None:
        """What a TASK of these records would take now within a limit (None = its own), whoever pays and waits."""
        return tasks.find(self, records, limit_micro)

    def task(self, task_id: int) -> TaskView | None:
        """One waiting task, or None."""
        task = self.market.tasks.get(task_id)
        return waiting.view(self, task) if task else None

    def tasks(self) -> list[int]:
        """The ids of the waiting tasks, ascending."""
        return sorted(self.market.tasks)

    def tasks_due(self, now_ns: int) -> list[int]:
        """The tasks that ADVANCE_TIME to that moment would expire, in that order."""
        return [task.terms.order_id for task in waiting.due(self, as_int(now_ns))]

    def block_offer(self, offer_id: int) -> BlockView | None:
        """One block offer, or None."""
        offer = self.market.blocks.get(offer_id)
        return blocks.view(offer) if offer else None

    def dirty(self) -> list[int]:
        """RT4: the books that the next pass of a drain looks at, ascending."""
        return sorted(self.market.dirty)

    def link_load(self, from_region: int, to_region: int, period: int) -> int:
        """RT7: the megabytes that a link has promised in one period."""
        return self.market.link_loads.get((from_region, to_region, period), 0)

    # --- the whole ---

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

"""The compiled matching engine: the same events, hashes and snapshots as `reference`, for a batch at a time.

The loop and the operations are in `batch.pxd` and what it cimports, the structures in `types.pxd`; here are the way in
and the way out.
Rules kept here: Python objects cross the border once per batch; a MemoryError comes between two commands, never inside
one; no question is answered in the middle of a batch; K2 (what a task leg would cost).
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.long cimport PyLong_Check
from cpython.number cimport PyNumber_Index
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from .accounts cimport account_find, asks_sorted, capacity_find, is_blocked, order_hold, position_find
from .audit cimport audit
from .audit_cover cimport Audit
from .batch cimport SPARE_EVENTS, apply, run
from .book cimport book_of, events_reserve, ext_at, order_at, reject, rules_of
from .c_face cimport CPX_MAX_SEQ, Depth, c_api_capsule, open_book, show_level
from .core cimport core_free, core_init, core_prefault, events_begin
from .directory cimport order_find
from .events cimport Events, Pool, event_record
from .ladder cimport ladder_below
from .phases cimport is_takeable
from .restore cimport load_state
from .snapshot cimport state_sections, walk_book
from .tasks cimport AskFill, asks_meet
from .types cimport *
from .venue cimport is_open

from . import image, loading
from .intake import fit
from .limits import MAX_WALK_PERIODS
from .views import BookState, Order, check_max_orders, check_sequence, check_walk

C_API = c_api_capsule()

cdef enum:
    FEW_EVENTS = 64  # so many are copied: the buffer goes on to serve the next batch


cdef inline object whole(object number):
    """The number itself, or what its __index__ says: no float, no text."""
    return number if PyLong_Check(number) else PyNumber_Index(number)


cdef class Engine:
    """All books and accounts of one venue. One thread at a time; `process` lets other threads run meanwhile."""

    RULES_VERSION = 2  # every rule of docs/rules/matching.md

    cdef Core core
    cdef Pool pool
    cdef bint is_busy

    def __cinit__(self, max_orders=1_000_000, *, check_funds=False, listed_only=False):
        self.pool = Pool.__new__(Pool)
        if core_init(&self.core, check_max_orders(max_orders), bool(check_funds), bool(listed_only)):
            raise MemoryError("no memory for an engine")

    def __dealloc__(self):
        core_free(&self.core)

    cdef Core *idle(self) except NULL:
        """The state, unless another thread is in the middle of a batch."""
        if self.is_busy:
            raise RuntimeError("the engine is in the middle of a batch or an answer: one thread at a time, no finalizer")
        return &self.core

    def prefault(self, orders):
        """Take the memory of so many live orders now, so that no command waits for the system to find it."""
        if core_prefault(self.idle(), min(max(orders, 0), self.core.max_orders)):
            raise MemoryError("no memory to take beforehand")

    # --- commands in, events out ---

    def process(self, commands, first_seq=1, seq_step=1):
        """Apply a C-contiguous buffer of 64-byte commands; command i carries seq first_seq + i * seq_step."""
        cdef Core *core = self.idle()
        cdef Py_buffer view
        cdef uint64_t n, done, first, step
        PyObject_GetBuffer(commands, &view, PyBUF_SIMPLE)
        try:
            if view.len % sizeof(Command):
                raise ValueError(f"commands are {view.len} bytes, not a multiple of {sizeof(Command)}")
            n = view.len // sizeof(Command)
            check_sequence(first_seq, seq_step, n)
            first, step = first_seq, (seq_step if n > 1 else 0)
            self.idle()  # once more: Python code ran in between
            self.begin(core)
            self.is_busy = True
            with nogil:
                done = run(core, <const Command *>view.buf, n, first, step)
            self.is_busy = False
        finally:
            PyBuffer_Release(&view)
        if done < n:
            raise MemoryError(f"no memory for command {done} of {n}: the ones before it are applied")
        return self.hand_out(core)

    def submit(
        self, op, *, side=0, order_type=0, tif=0, stp=0, flags=0, book=0, account=0, order_id=0, price=0, qty=0, aux=0,
        expiry_ns=0, client_ref=0, seq=None,
    ):
        """Apply one command given as ints of any size; seq defaults to the one after the last."""
        cdef Core *core = self.idle()
        cdef Command c
        cdef uint8_t misfit = 0
        cdef uint64_t i
        cdef uint64_t number = self.sequence(seq)
        try:
            c.op, c.side, c.order_type = whole(op), whole(side), whole(order_type)
            c.tif, c.stp, c.flags = whole(tif), whole(stp), whole(flags)
            c.reserved, c.book, c.account = 0, whole(book), whole(account)
            c.order_id, c.price, c.qty = whole(order_id), whole(price), whole(qty)
            c.aux, c.expiry_ns, c.client_ref = whole(aux), whole(expiry_ns), whole(client_ref)
        except OverflowError:
            fitted, misfit = fit(op, side, order_type, tif, stp, flags, book, account, order_id, price, qty, aux,
                                 expiry_ns, client_ref)
            (c.op, c.side, c.order_type, c.tif, c.stp, c.flags, c.reserved, c.book, c.account, c.order_id, c.price,
             c.qty, c.aux, c.expiry_ns, c.client_ref) = fitted
        self.idle()  # once more: Python code ran in between
        self.begin(core)
        core.seq = number
        if events_reserve(core, SPARE_EVENTS) or (reject(core, &c, misfit) if misfit else apply(core, &c)):
            raise MemoryError("no memory for the command; nothing has changed")
        core.next_seq = core.seq + 1
        self.is_busy = True  # a finalizer that runs now must not take the buffer away
        try:
            return [event_record(core.events + i) for i in range(core.n_events)]
        finally:
            self.is_busy = False

    cdef uint64_t sequence(self, object seq) except? 0:
        """The sequence number of one command: the one given, else the one after the last."""
        if seq is None:
            if self.core.next_seq <= <uint64_t>CPX_MAX_SEQ:
                return self.core.next_seq
            seq = self.core.next_seq
        check_sequence(seq, 0, 1)
        return seq

    cdef void begin(self, Core *core) noexcept:
        """Start a batch with an empty buffer: our own, or one that an Events gave back."""
        events_begin(core)
        if core.events == NULL:
            self.pool.take(&core.events, &core.events_capacity)

    cdef Events hand_out(self, Core *core):
        """The events of the batch: the buffer itself, or a copy of a few."""
        cdef Events events = Events.__new__(Events)
        events.n = core.n_events
        if core.n_events > FEW_EVENTS:
            events.events = core.events
            events.capacity = core.events_capacity
            events.pool = self.pool
            core.events = NULL
            core.events_capacity = 0
        elif core.n_events:
            events.events = <Event *>malloc(core.n_events * sizeof(Event))
            if events.events == NULL:
                events.n = 0
                raise MemoryError("no memory to hand out the events: the batch is applied")
            memcpy(events.events, core.events, core.n_events * sizeof(Event))
        return events

    # --- questions; they change nothing ---

    @property
    def now_ns(self):
        """The venue's time: the aux of the last ADVANCE_TIME."""
        return self.core.now_ns

    @property
    def n_orders(self):
        """Live orders."""
        return self.core.n_orders

    @property
    def max_orders(self):
        """How many orders may be live at once."""
        return self.core.max_orders

    @property
    def check_funds(self):
        """Whether accounts, holds and capacity are checked."""
        return bool(self.core.check_funds)

    @property
    def listed_only(self):
        """Whether a book must be listed before it takes orders."""
        return bool(self.core.listed_only)

    cdef BookLine *book(self, object book) except? NULL:
        """The line of an open book, or NULL; for ids of any size."""
        cdef Core *core = self.idle()
        return open_book(core, book) if 0 <= book <= 0xFFFFFFFF else NULL

    def top(self, book):
        """(bid price, bid lots, ask price, ask lots), 0 where a side is empty."""
        bids, asks = self.depth(book, 1)
        return (*(bids[0][:2] if bids else (0, 0)), *(asks[0][:2] if asks else (0, 0)))

    def depth(self, book, levels=10):
        """(bids, asks), each a list of (price, lots, orders), best first."""
        levels = min(max(PyNumber_Index(levels), 0), 1 << 32)
        cdef BookLine *line = self.book(book)
        if line == NULL:
            return [], []
        self.is_busy = True
        try:
            return self.side_depth(line, CPX_SIDE_BUY, levels), self.side_depth(line, CPX_SIDE_SELL, levels)
        finally:
            self.is_busy = False

    cdef list side_depth(self, BookLine *book, uint32_t side, object levels):
        """IC1: levels where nothing is displayed are left out."""
        cdef int64_t key = book.best[side]
        cdef Py_ssize_t missing = levels
        cdef Depth level
        cdef list found = []
        while key >= 0 and missing > 0:
            if show_level(&self.core, book, side, key, &level):
                found.append((level.price, level.qty, level.orders))
                missing -= 1
            key = ladder_below(&self.core, book, side, key)
        return found

    cdef object view(self, uint32_t slot):
        cdef Core *core = &self.core
        cdef const OrderSlot *o = order_at(core, slot)
        cdef const BookLine *book = book_of(core, o)
        cdef const Ext *ext
        if o.ext == NONE:
            return tuple.__new__(Order, (o.id, book.id, o.book_side & 1, o.account, o.price, o.qty, o.leaves,
                                         o.client_ref, 0, 0, 0, 0, 0, 0, 0, 0))
        ext = ext_at(core, o.ext)
        return tuple.__new__(Order, (o.id, book.id, o.book_side & 1, o.account, o.price, o.qty, o.leaves, o.client_ref,
                                     ext.tif, ext.expiry_ns, order_hold(core, o, book), ext.order_type, ext.flags,
                                     ext.stp, ext.aux, ext.shown))

    def order(self, order_id):
        """One live order, or None."""
        cdef Core *core = self.idle()
        cdef uint32_t slot = order_find(core, order_id) if 1 <= order_id < 1 << 64 else NONE
        return None if slot == NONE else self.view(slot)

    def orders(self, book):
        """Every live order of a book: bids then asks, best to worst, first come first."""
        cdef BookLine *line = self.book(book)
        cdef uint32_t *slots
        cdef uint32_t i
        if line == NULL:
            return []
        slots = <uint32_t *>malloc((<size_t>line.n_orders[0] + line.n_orders[1] + 1) * sizeof(uint32_t))
        if slots == NULL:
            raise MemoryError("no memory for the orders of a book")
        self.is_busy = True
        try:
            return [self.view(slots[i]) for i in range(walk_book(&self.core, line, slots))]
        finally:
            self.is_busy = False
            free(slots)

    def books(self):
        """The ids of the open books, ascending: listed ones, and unlisted ones with orders or set up."""
        cdef Core *core = self.idle()
        cdef uint32_t i
        return sorted([core.books[i].id for i in range(core.books_used) if is_open(core.books + i)])

    def book_state(self, book):
        """How an open book trades and where its session stands; None for a book that is not open."""
        cdef BookLine *line = self.book(book)
        cdef const BookRules *r
        if line == NULL:
            return None
        r = rules_of(&self.core, line)
        if r == NULL:
            return BookState(0, 0, 0, <int>CPX_PHASE_OPEN, *[0] * (len(BookState._fields) - 4))
        return BookState(
            r.flags, r.tie_policy, r.stp, r.phase, r.call, r.is_gated, r.grade, r.extensions, r.cap_ppm, r.static_ppm,
            r.dynamic_ppm, r.corridor_ppm, r.collar_ticks, r.reference, r.last, r.call_end_ns, r.end_ns, r.fix,
            r.fix_hash, r.interval_ns, r.told_price, r.told_volume, r.told_surplus, r.told_ns)

    cdef AccountLine *account(self, object account) except? NULL:
        """An open account, or NULL; for ids of any size."""
        cdef Core *core = self.idle()
        return account_find(core, account) if 0 <= account <= 0xFFFFFFFF else NULL

    def is_blocked(self, account):
        """X3: whether the account or its firm has been killed and not lifted."""
        cdef Core *core = self.idle()
        return 0 <= account <= 0xFFFFFFFF and bool(is_blocked(core, account))

    def balance(self, account):
        """The five purses in micro-yuan, in Bucket order; None for an unknown account."""
        cdef AccountLine *a = self.account(account)
        return None if a == NULL else (a.purses[0], a.purses[1], a.purses[2], a.purses[3], a.purses[4])

    def firm(self, account):
        """The firm of an account; None for an unknown account."""
        cdef AccountLine *line = self.account(account)
        return None if line == NULL else line.firm

    def capacity(self, account, group):
        """(attested, open, sold) lots."""
        cdef CapacityLine *line = NULL
        if self.account(account) != NULL and 0 <= group <= 0xFFFFFFFF:
            line = capacity_find(&self.core, account, group)
        if line == NULL:
            return 0, 0, 0
        return line.attested, line.open, line.sold

    def position(self, account, book):
        """(bought, sold) lots of one account in one open book."""
        cdef PositionLine *line = NULL
        if self.account(account) != NULL and 0 <= book <= 0xFFFFFFFF:
            line = position_find(&self.core, account, book)
        if line == NULL:
            return 0, 0
        return line.bought, line.sold

    def site_asks(self, account, book):
        """(price, leaves, order_id) of one account's live sells in a book, best first; funded engines only."""
        cdef uint32_t slots[4]
        cdef uint32_t i
        cdef uint32_t n = 0
        cdef const OrderSlot *ask
        found = []
        if self.account(account) != NULL and self.book(book) != NULL:
            n = asks_sorted(&self.core, account, book, slots)
        for i in range(n):
            ask = order_at(&self.core, slots[i])
            found.append((ask.price, ask.leaves, ask.id))
        return found

    def site_walk(self, account, first_book, n_books, qty):
        """Per book: micro-yuan to buy qty from the account's asks there, -1 where it does not offer so much."""
        check_walk(n_books, MAX_WALK_PERIODS)
        is_plain = self.account(account) != NULL and 1 <= qty <= CPX_MAX_SELLS_PER_BOOK * CPX_MAX_QTY_LOTS
        return [self.walk_cost(account, book, qty) if is_plain else -1
                for book in range(first_book, first_book + n_books)]

    cdef object walk_cost(self, uint32_t account, object book_id, int64_t qty):
        cdef BookLine *book = self.book(book_id)
        cdef AskFill fills[4]
        cdef uint32_t n, i
        cdef uint64_t cost = 0  # at most four asks of at most 4e18 each
        if book == NULL or not is_takeable(&self.core, book):
            return -1
        n = asks_meet(&self.core, account, book.id, CPX_MAX_PRICE_TICKS, qty, fills)
        for i in range(n):
            cost += <uint64_t>(order_at(&self.core, fills[i].slot).price * fills[i].lots * book.value_micro)
        return cost if n else -1

    # --- snapshot, restore, hash ---

    def snapshot(self):
        """The whole state as one blob; both engines write the same bytes."""
        return image.encode(state_sections(self.idle()))

    def state_hash(self):
        """Unsigned 64-bit BLAKE2b over the logical state, without sequence counter and max_orders."""
        return image.digest(state_sections(self.idle()))

    @classmethod
    def restore(cls, blob):
        """The engine of a snapshot, or ValueError naming what is wrong with it."""
        rows = loading.read(blob, cls.RULES_VERSION)
        cdef Engine engine = cls(rows.max_orders, check_funds=rows.check_funds, listed_only=rows.listed_only)
        load_state(&engine.core, rows)
        try:
            engine.check()
        except AssertionError as broken:
            raise ValueError(f"snapshot breaks an invariant: {broken}") from None
        return engine

    def check(self):
        """Raise AssertionError naming the first broken invariant; O(state)."""
        cdef Core *core = self.idle()
        cdef Audit found
        if audit(core, &found):
            raise MemoryError("no memory to check the engine")
        if found.broken != NULL:
            raise AssertionError(found.broken.decode().format(found.who))

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
from .batch cimport SPARE_EVENTS, apply, is_head, run
from .blocks cimport block_at, block_find, residue_at
from .book cimport book_of, events_reserve, is_open, ext_at, order_at, reject, rules_of
from .c_face cimport CPX_MAX_SEQ, Depth, c_api_capsule, open_book, show_level
from .core cimport core_free, core_init, core_prefault, events_begin
from .directory cimport order_find
from .events cimport Events, Pool, event_record
from .ladder cimport ladder_below
from .links cimport link_load
from .phases cimport is_takeable
from .restore cimport load_state
from .routing cimport route_find
from .snapshot cimport state_sections, walk_book
from .task_terms cimport are_parts, has_start, is_window, read_terms
from .task_types cimport TaskDraft
from .tasks cimport AskFill, asks_meet
from .types cimport *
from .waiting cimport task_at, task_find, task_hold, task_target

from . import image, loading, loading_tasks
from .enums import RejectReason
from .intake import fit
from .limits import MAX_WALK_PERIODS
from .views import (
    BlockView, BookState, Order, Route, RoutePart, TaskView, check_max_orders, check_sequence, check_walk,
)

C_API = c_api_capsule()

cdef enum:
    FEW_EVENTS = 64  # so many are copied: the buffer goes on to serve the next batch


cdef inline object whole(object number):
    """The number itself, or what its __index__ says: no float, no text."""
    return number if PyLong_Check(number) else PyNumber_Index(number)


cdef uint8_t one_task(Core *core, const Command *records, Py_ssize_t size, Command *turn) noexcept:
    """Copy the records of one task, head first; 0, or why they are none."""
    cdef uint32_t n = <uint32_t>(size // sizeof(Command)) if size <= 25 * sizeof(Command) else 0
    cdef uint32_t i
    core.n_parts = 0
    for i in range(n):
        turn[i] = records[i]
    if n == 0 or n * sizeof(Command) != <size_t>size or not is_head(turn[0].op) or turn[0].reserved != n - 1:
        return CPX_REJECT_INCOMPLETE
    if not are_parts(turn + 1, n - 1):
        return CPX_REJECT_INCOMPLETE
    core.n_parts = n - 1
    return 0


cdef class Engine:
    """All books and accounts of one venue. One thread at a time; `process` lets other threads run meanwhile."""

    RULES_VERSION = 3  # every rule of docs/rules/matching.md, and tasks

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
        """Apply one command given as ints of any size; seq defaults to the one after the last. Not for tasks."""
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
        core.n_parts = 0  # one record is no task
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
    def next_seq(self):
        """The sequence number after the last one."""
        return self.core.next_seq

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

    # --- questions about tasks ---

    @property
    def n_tasks(self):
        """Waiting tasks."""
        return self.core.n_tasks

    def find_task(self, records, limit_micro=None):
        """What a TASK of these records would take now within a limit (None = its own), whoever pays and waits."""
        cdef Core *core = self.idle()
        cdef Command turn[25]
        cdef TaskDraft draft
        cdef Found found
        cdef Py_buffer view
        cdef int64_t limit = -1
        cdef uint8_t reason
        cdef int answer
        if limit_micro is not None:
            limit = min(max(PyNumber_Index(limit_micro), -1), CPX_MAX_MONEY_MICRO)
        PyObject_GetBuffer(records, &view, PyBUF_SIMPLE)
        try:
            self.idle()  # once more: Python code ran in between
            reason = one_task(core, <const Command *>view.buf, view.len, turn)
        finally:
            PyBuffer_Release(&view)
        if reason == 0:
            reason = read_terms(core, &draft, turn, False)
        if reason == 0 and (not is_window(turn) or not has_start(core, &draft.task)):
            reason = CPX_REJECT_INVALID_WINDOW
        if reason:
            raise ValueError(RejectReason(reason).name)
        if limit_micro is None:
            limit = draft.task.limit_micro
        answer = route_find(core, &draft.task, limit, NULL, &found)
        if answer < 0:
            raise MemoryError("no memory to look for a task")
        return self.route(&found) if answer else None

    cdef object route(self, const Found *found):
        cdef Core *core = &self.core
        cdef const FoundPart *part
        cdef const Leg *leg
        cdef uint32_t i
        parts, periods = [], []
        for i in range(found.n_parts):
            part = found.parts + i
            parts.append(RoutePart(part.account, part.block_id, part.family, part.lots))
        for i in range(found.n_periods):
            periods.append(core.market.periods[i])
        for i in range(found.n_legs):
            leg = core.market.legs + i
            parts.append(RoutePart(leg.account, 0, leg.family, leg.lots, order_at(core, leg.slot).id))
            periods.append(leg.period)
        return Route(found.first_period, found.compute_micro, found.moving_micro, found.lot_periods, found.chip_place,
                     found.rtt_us, tuple(parts), tuple(periods))

    def task(self, task_id):
        """One waiting task, or None."""
        cdef Core *core = self.idle()
        cdef uint32_t slot = task_find(core, task_id) if 1 <= task_id < 1 << 64 else NONE
        cdef const TaskSlot *t
        if slot == NONE:
            return None
        t = task_at(core, slot)
        return TaskView(t.id, t.account, t.lane, t.shape, t.limit_micro, t.budget_micro, task_target(t), t.filled,
                        t.spent_micro, t.notional_micro, task_hold(t), t.dies_ns, t.woken, t.fee_ppm)

    def tasks(self):
        """The ids of the waiting tasks, ascending."""
        return sorted([task_id for _, task_id in self.deadlines()])

    cdef list deadlines(self):
        """(dies_ns, id) of every waiting task, in the order of the stamps."""
        cdef Core *core = self.idle()
        cdef uint32_t slot = core.tasks_first
        cdef list found = []
        while slot != NONE:
            found.append((task_at(core, slot).dies_ns, task_at(core, slot).id))
            slot = task_at(core, slot).next
        return found

    def tasks_due(self, now_ns):
        """The tasks that ADVANCE_TIME to that moment would expire, in that order."""
        now_ns = PyNumber_Index(now_ns)
        return [task_id for dies_ns, task_id in sorted(self.deadlines()) if dies_ns <= now_ns]

    def block_offer(self, offer_id):
        """One block offer, or None."""
        cdef Core *core = self.idle()
        cdef uint32_t at = block_find(core, offer_id) if 1 <= offer_id < 1 << 64 else NONE
        cdef BlockLine *b
        cdef uint32_t period
        residues = []
        if at == NONE:
            return None
        b = block_at(core, at)
        for period in range(b.first_period, b.end_period):
            if residue_at(b, period).lots:
                residues.append((period, residue_at(b, period).price, residue_at(b, period).lots))
        return BlockView(b.id, b.account, b.family, b.first_period, b.end_period, b.next_period, b.min_lots, b.min_periods,
                         b.notice_ns, b.flags, tuple(residues))

    def dirty(self):
        """RT4: the books that the next pass of a drain looks at, ascending."""
        cdef Core *core = self.idle()
        cdef uint32_t i
        return sorted([core.books[core.dirty[i]].id for i in range(core.n_dirty)])

    def link_load(self, from_region, to_region, period):
        """RT7: the megabytes that a link has promised in one period."""
        cdef Core *core = self.idle()
        are_numbers = 1 <= from_region <= CPX_MAX_REGION and 1 <= to_region <= CPX_MAX_REGION
        return link_load(core, from_region, to_region, period) if are_numbers and 0 <= period <= PERIOD_MASK else 0

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
        load_state(&engine.core, rows, loading_tasks.tasks_of(rows.tables))
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

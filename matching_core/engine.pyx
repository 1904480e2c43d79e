"""The compiled matching engine: the same events, hashes and snapshots as `reference`, for a batch at a time.

The operations are in `matching.pxd`, `tasks.pxd` and `venue.pxd`, the structures in `types.pxd`; here are the way in and the way out.
Rules kept here: Python objects cross the border once per batch; command i is finished before i + 1; a MemoryError
comes between two commands, never inside one.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.number cimport PyNumber_Index
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from .accounts cimport (
    account_find, asks_sorted, capacity_find, capacity_make, capacity_reserve, order_hold, position_find, position_make,
    position_reserve,
)
from .book cimport book_at, book_of, book_open, book_reserve, events_reserve, ext_at, level_at, order_at
from .events cimport Events, Pool, event_record
from .hashmap cimport map_get
from .ladder cimport ladder_key, ladder_nth
from .matching cimport op_cancel, op_change, op_new, op_reduce, reject
from .snapshot cimport SnapOrder, fill_row, load_order, rows_ascend
from .tasks cimport op_take
from .types cimport *
from .venue cimport (
    account_open, is_open, list_book, op_adjust_sold, op_advance_time, op_list_book, op_open_account, op_set_capacity,
    op_set_fee, op_transfer,
)

from . import image, loading
from .intake import fit
from .invariants import Money, check_capacity, check_money, check_orders, need
from .limits import MAX_WALK_PERIODS
from .views import Order, check_max_orders, check_sequence, check_walk


# --- one batch, without Python ---


cdef inline int apply(Core *core, const Command *c) noexcept nogil:
    """One command; 0, or -1 when there is no memory and nothing has changed."""
    if events_reserve(core, 4):
        return -1
    if c.op == CPX_OP_NEW:
        return op_new(core, c)
    if c.op == CPX_OP_CANCEL:
        return op_cancel(core, c)
    if c.op == CPX_OP_REPLACE or c.op == CPX_OP_AMEND:
        return op_change(core, c)
    if c.op == CPX_OP_REDUCE:
        return op_reduce(core, c)
    if c.op == CPX_OP_TAKE:
        return op_take(core, c)
    if c.op == CPX_OP_ADVANCE_TIME:
        return op_advance_time(core, c)
    if c.op == CPX_OP_OPEN_ACCOUNT:
        return op_open_account(core, c)
    if c.op == CPX_OP_TRANSFER:
        return op_transfer(core, c)
    if c.op == CPX_OP_SET_FEE:
        return op_set_fee(core, c)
    if c.op == CPX_OP_LIST_BOOK:
        return op_list_book(core, c)
    if c.op == CPX_OP_SET_CAPACITY:
        return op_set_capacity(core, c)
    if c.op == CPX_OP_ADJUST_SOLD:
        return op_adjust_sold(core, c)
    return reject(core, c, CPX_REJECT_UNKNOWN_OP)


cdef enum:
    LOOK = 5  # commands between two stages of the look-ahead


cdef inline void look_far(Core *core, const Command *c) noexcept nogil:
    """Fetch where the id and the book of a coming command stand in their maps. Looking ahead changes nothing."""
    if core.order_map.n:
        cpx_prefetch(&core.order_map.entries[cpx_home(c.order_id, core.order_map.shift)])
    if core.book_map.n:
        cpx_prefetch(&core.book_map.entries[cpx_home(c.book, core.book_map.shift)])


cdef inline void look_near(Core *core, const Command *c) noexcept nogil:
    """Fetch the order and the book themselves."""
    cdef uint32_t at = map_get(&core.book_map, c.book)
    if at != NONE:
        cpx_prefetch(core.books + at)
    if c.op != CPX_OP_NEW:
        at = map_get(&core.order_map, c.order_id)
        if at != NONE:
            cpx_prefetch(core.orders + at)


cdef inline void look_next(Core *core, const Command *c) noexcept nogil:
    """Fetch what the order or the book points to: level and neighbours, or the best levels."""
    cdef uint32_t at
    cdef Ladder *ladder
    if c.op == CPX_OP_NEW:
        at = map_get(&core.book_map, c.book)
        if at != NONE and c.side <= CPX_SIDE_SELL:
            ladder = &core.books[at].sides[c.side]
            cpx_prefetch(ladder.rungs + (ladder.n_levels >> 1))
            ladder = &core.books[at].sides[1 - c.side]
            cpx_prefetch(ladder.rungs + ladder.n_levels)
        return
    at = map_get(&core.order_map, c.order_id)
    if at != NONE:
        cpx_prefetch(core.levels + core.orders[at].level)
        if core.orders[at].next != NONE:
            cpx_prefetch(core.orders + core.orders[at].next)
        if core.orders[at].prev != NONE:
            cpx_prefetch(core.orders + core.orders[at].prev)


cdef uint64_t run(Core *core, const Command *commands, uint64_t n, uint64_t first_seq, uint64_t step) noexcept nogil:
    """Apply a batch; returns how many commands were applied: all of them unless memory ran out."""
    cdef uint64_t i
    for i in range(n):
        if i + 3 * LOOK < n:
            look_far(core, &commands[i + 3 * LOOK])
        if i + 2 * LOOK < n:
            look_near(core, &commands[i + 2 * LOOK])
        if i + LOOK < n:
            look_next(core, &commands[i + LOOK])
        core.seq = first_seq + i * step
        if apply(core, &commands[i]):
            return i
        core.next_seq = core.seq + 1
    return n


# --- the engine ---


cdef class Engine:
    """All books and accounts of one venue. One thread at a time; `process` lets other threads run meanwhile."""

    cdef Core core
    cdef Pool pool
    cdef bint is_busy

    def __cinit__(self, max_orders=1_000_000, *, check_funds=False, listed_only=False):
        cdef Core *core = &self.core
        memset(core, 0, sizeof(Core))
        core.max_orders = check_max_orders(max_orders)
        core.check_funds = bool(check_funds)
        core.listed_only = bool(listed_only)
        core.next_seq = 1
        core.next_gate_ns = CPX_MAX_TIME_NS
        core.orders_free = core.exts_free = core.levels_free = core.books_free = NONE
        core.capacities_free = core.positions_free = core.groups_free = NONE
        core.blank.value_micro = 1
        core.blank.positions = NONE
        core.blank.state = BOOK_UNLISTED
        self.pool = Pool.__new__(Pool)
        if account_open(core, <uint32_t>CPX_OUTSIDE_ACCOUNT, 0):
            raise MemoryError("no memory for an engine")

    def __dealloc__(self):
        cdef Core *core = &self.core
        cdef uint64_t i
        for i in range(core.books_used):
            free(core.books[i].sides[0].rungs)
            free(core.books[i].sides[1].rungs)
        free(core.events)
        free(core.orders)
        free(core.exts)
        free(core.levels)
        free(core.books)
        free(core.accounts)
        free(core.capacities)
        free(core.positions)
        free(core.groups)
        free(core.heap)
        free(core.due)
        free(core.order_map.entries)
        free(core.book_map.entries)
        free(core.account_map.entries)
        free(core.capacity_map.entries)
        free(core.position_map.entries)
        free(core.group_map.entries)

    cdef Core *idle(self) except NULL:
        """The state, unless another thread is in the middle of a batch."""
        if self.is_busy:
            raise RuntimeError("the engine is processing a batch in another thread")
        return &self.core

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
            self.take_spare(core)
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
        seq = core.next_seq if seq is None else seq
        check_sequence(seq, 0, 1)
        try:
            c.op, c.side, c.order_type = PyNumber_Index(op), PyNumber_Index(side), PyNumber_Index(order_type)
            c.tif, c.stp, c.flags = PyNumber_Index(tif), PyNumber_Index(stp), PyNumber_Index(flags)
            c.reserved, c.book, c.account = 0, PyNumber_Index(book), PyNumber_Index(account)
            c.order_id, c.price, c.qty = PyNumber_Index(order_id), PyNumber_Index(price), PyNumber_Index(qty)
            c.aux, c.expiry_ns, c.client_ref = PyNumber_Index(aux), PyNumber_Index(expiry_ns), PyNumber_Index(client_ref)
        except OverflowError:
            fitted, misfit = fit(op, side, order_type, tif, stp, flags, book, account, order_id, price, qty, aux,
                                 expiry_ns, client_ref)
            (c.op, c.side, c.order_type, c.tif, c.stp, c.flags, c.reserved, c.book, c.account, c.order_id, c.price,
             c.qty, c.aux, c.expiry_ns, c.client_ref) = fitted
        self.take_spare(core)
        core.seq = seq
        if events_reserve(core, 4) or (reject(core, &c, misfit) if misfit else apply(core, &c)):
            raise MemoryError("no memory for the command; nothing has changed")
        core.next_seq = core.seq + 1
        events = []
        for i in range(core.n_events):
            events.append(event_record(&core.events[i]))
        return events

    cdef void take_spare(self, Core *core) noexcept:
        """Start a batch with an empty buffer: our own, or the one that an Events gave back."""
        core.n_events = 0
        if core.events == NULL:
            core.events = self.pool.spare
            core.events_capacity = self.pool.capacity if core.events != NULL else 0
            self.pool.spare = NULL

    cdef Events hand_out(self, Core *core):
        """The events of the batch: the buffer itself if they fill a good part of it, else a copy of the right size."""
        cdef Events events = Events.__new__(Events)
        cdef size_t size = core.n_events * sizeof(Event)
        if core.n_events * 4 < core.events_capacity:
            if size:
                events.events = <Event *>malloc(size)
                if events.events == NULL:
                    raise MemoryError("no memory to hand out the events: the batch is applied")
                memcpy(events.events, core.events, size)
        else:
            events.events = core.events
            events.capacity = core.events_capacity
            events.pool = self.pool
            core.events = NULL
            core.events_capacity = 0
        events.n = core.n_events
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

    cdef BookLine *open_book(self, object book) except? NULL:
        """The line of an open book, or NULL; for ids of any size."""
        cdef Core *core = self.idle()
        cdef uint32_t at = map_get(&core.book_map, book) if 0 <= book <= 0xFFFFFFFF else NONE
        if at == NONE or not is_open(book_at(core, at)):
            return NULL
        return book_at(core, at)

    def top(self, book):
        """(bid price, bid lots, ask price, ask lots), 0 where a side is empty."""
        bids, asks = self.depth(book, 1)
        return (*(bids[0][:2] if bids else (0, 0)), *(asks[0][:2] if asks else (0, 0)))

    def depth(self, book, levels=10):
        """(bids, asks), each a list of (price, lots, orders), best first."""
        cdef BookLine *line = self.open_book(book)
        if line == NULL:
            return [], []
        return self.side_depth(line, 0, levels), self.side_depth(line, 1, levels)

    cdef list side_depth(self, BookLine *line, uint32_t side, object levels):
        cdef uint32_t n
        cdef Level *level
        found = []
        for n in range(<uint32_t>min(max(levels, 0), line.sides[side].n_levels)):
            level = level_at(&self.core, ladder_nth(&line.sides[side], n))
            found.append((ladder_key(side, level.key), level.total, level.n_orders))
        return found

    cdef object view(self, uint32_t slot):
        cdef Core *core = &self.core
        cdef OrderSlot *order = order_at(core, slot)
        cdef BookLine *book = book_of(core, order)
        cdef bint is_gtd = order.ext != NONE and ext_at(core, order.ext).expiry_ns != 0
        return Order(order.id, book.id, order.book_side & 1, order.account, order.price, order.qty, order.leaves,
                     order.client_ref, <int>CPX_TIF_GTD if is_gtd else <int>CPX_TIF_GTC,
                     ext_at(core, order.ext).expiry_ns if is_gtd else 0, order_hold(core, order, book))

    def order(self, order_id):
        """One live order, or None."""
        cdef Core *core = self.idle()
        cdef uint32_t slot = map_get(&core.order_map, order_id) if 0 <= order_id < 1 << 64 else NONE
        return None if slot == NONE else self.view(slot)

    def orders(self, book):
        """Every live order of a book: bids then asks, best to worst, first come first."""
        cdef BookLine *line = self.open_book(book)
        if line == NULL:
            return []
        return [self.view(slot) for slot in self.walk(line)]

    cdef list walk(self, BookLine *line):
        """The slots of a book in T3 order."""
        cdef Core *core = &self.core
        cdef uint32_t side, n, slot
        slots = []
        for side in range(2):
            for n in range(line.sides[side].n_levels):
                slot = level_at(core, ladder_nth(&line.sides[side], n)).head
                while slot != NONE:
                    slots.append(slot)
                    slot = order_at(core, slot).next
        return slots

    def books(self):
        """The ids of the open books, ascending: listed ones, and unlisted ones with orders."""
        cdef Core *core = self.idle()
        cdef uint32_t i
        found = []
        for i in range(core.books_used):
            if is_open(&core.books[i]):
                found.append(core.books[i].id)
        return sorted(found)

    cdef AccountLine *known_account(self, object account) except? NULL:
        cdef Core *core = self.idle()
        return account_find(core, account) if 0 <= account <= 0xFFFFFFFF else NULL

    def balance(self, account):
        """The five purses in micro-yuan, in Bucket order; None for an unknown account."""
        cdef AccountLine *line = self.known_account(account)
        return None if line == NULL else purses(line)

    def firm(self, account):
        """The firm of an account; None for an unknown account."""
        cdef AccountLine *line = self.known_account(account)
        return None if line == NULL else line.firm

    def capacity(self, account, group):
        """(attested, open, sold) lots."""
        cdef CapacityLine *line = NULL
        if self.known_account(account) != NULL and 0 <= group <= 0xFFFFFFFF:
            line = capacity_find(&self.core, account, group)
        if line == NULL:
            return 0, 0, 0
        return line.attested, line.open, line.sold

    def position(self, account, book):
        """(bought, sold) lots of one account in one open book."""
        cdef PositionLine *line = NULL
        if self.known_account(account) != NULL and 0 <= book <= 0xFFFFFFFF:
            line = position_find(&self.core, account, book)
        if line == NULL:
            return 0, 0
        return line.bought, line.sold

    def site_asks(self, account, book):
        """(price, leaves, order_id) of one account's live sells in a book, best first; funded engines only."""
        cdef uint32_t slots[4]
        cdef uint32_t i
        cdef uint32_t n = 0
        cdef OrderSlot *ask
        if self.known_account(account) != NULL and self.open_book(book) != NULL:
            n = asks_sorted(&self.core, account, book, slots)
        found = []
        for i in range(n):
            ask = order_at(&self.core, slots[i])
            found.append((ask.price, ask.leaves, ask.id))
        return found

    def site_walk(self, account, first_book, n_books, qty):
        """Per book: micro-yuan to buy qty from the account's asks there, -1 where it does not offer so much."""
        check_walk(n_books, MAX_WALK_PERIODS)
        is_plain = self.known_account(account) != NULL and 1 <= qty <= 4 * CPX_MAX_QTY_LOTS
        return [self.walk_cost(account, book, qty) if is_plain and self.open_book(book) != NULL else -1
                for book in range(first_book, first_book + n_books)]

    cdef object walk_cost(self, uint32_t account, uint32_t book, int64_t qty):
        cdef uint32_t slots[4]
        cdef uint32_t n = asks_sorted(&self.core, account, book, slots)
        cdef uint32_t i = 0
        cdef uint64_t cost = 0  # at most four asks of at most 4e18 each
        cdef int64_t value_micro = book_at(&self.core, map_get(&self.core.book_map, book)).value_micro
        cdef int64_t lots
        cdef OrderSlot *ask
        while i < n and qty > 0:
            ask = order_at(&self.core, slots[i])
            lots = qty if qty < ask.leaves else ask.leaves
            qty -= lots
            cost += <uint64_t>(ask.price * lots * value_micro)
            i += 1
        return -1 if qty > 0 else cost

    # --- snapshot, restore, hash ---

    def snapshot(self):
        """The whole state as one blob; both engines write the same bytes."""
        return image.encode(self.sections())

    def state_hash(self):
        """Unsigned 64-bit BLAKE2b over the logical state, without sequence counter and max_orders."""
        return image.digest(self.sections())

    cdef dict sections(self):
        cdef Core *core = self.idle()
        cdef BookLine *b
        cdef AccountLine *a
        cdef CapacityLine *c
        cdef PositionLine *p
        cdef uint32_t i
        books, accounts, capacities, positions = [], [], [], []
        for i in range(core.books_used):
            b = &core.books[i]
            if b.state == BOOK_LISTED:
                books.append((b.id, b.group, b.value_micro, b.max_order, b.gate_ns))
        for i in range(core.accounts_used):
            a = &core.accounts[i]
            accounts.append((a.id, a.firm, *purses(a)))
        for i in self.used_capacities():
            c = &core.capacities[i]
            if c.attested or c.sold:
                capacities.append((c.account, c.group, c.attested, c.sold))
        for i in self.used_positions():
            p = &core.positions[i]
            if p.bought or p.sold:
                positions.append((p.account, p.book, p.bought, p.sold))
        sections = image.pack({
            "META": [(core.next_seq, core.max_orders)],
            "CORE": [(core.now_ns, core.check_funds, core.listed_only, *[core.fees_ppm[i] for i in range(4)])],
            "BOOK": sorted(books), "ACCT": sorted(accounts), "CAPA": sorted(capacities), "POSN": sorted(positions),
        })
        sections["ORDR"] = self.order_rows()
        return sections

    cdef set free_lines(self, uint32_t head, bint is_capacity):
        found = set()
        while head != NONE:
            found.add(head)
            head = self.core.capacities[head].next if is_capacity else self.core.positions[head].next
        return found

    cdef list used_capacities(self):
        unused = self.free_lines(self.core.capacities_free, True)
        return [i for i in range(self.core.capacities_used) if i not in unused]

    cdef list used_positions(self):
        unused = self.free_lines(self.core.positions_free, False)
        return [i for i in range(self.core.positions_used) if i not in unused]

    cdef bytes order_rows(self):
        """Every live order in walk order; O(orders + books log books)."""
        cdef Core *core = &self.core
        cdef bytes rows = PyBytes_FromStringAndSize(NULL, core.n_orders * <Py_ssize_t>sizeof(SnapOrder))
        cdef SnapOrder *row = <SnapOrder *>PyBytes_AS_STRING(rows)
        cdef BookLine *line
        cdef uint32_t side, n, slot
        for book in self.books():
            line = book_at(core, map_get(&core.book_map, book))
            for side in range(2):
                for n in range(line.sides[side].n_levels):
                    slot = level_at(core, ladder_nth(&line.sides[side], n)).head
                    while slot != NONE:
                        fill_row(core, order_at(core, slot), line.id, row)
                        row += 1
                        slot = order_at(core, slot).next
        return rows

    @classmethod
    def restore(cls, blob):
        """The engine of a snapshot, or ValueError naming what is wrong with it."""
        rows = loading.read(blob)
        cdef Engine engine = cls(rows.max_orders, check_funds=rows.check_funds, listed_only=rows.listed_only)
        engine.load(rows)
        try:
            engine.check()
        except AssertionError as broken:
            raise ValueError(f"snapshot breaks an invariant: {broken}") from None
        return engine

    cdef int load(self, rows) except -1:
        """Fill an empty engine; the rows of everything but the orders have been checked."""
        cdef Core *core = &self.core
        cdef uint32_t i
        core.next_seq = rows.next_seq
        core.now_ns = rows.now_ns
        for i in range(4):
            core.fees_ppm[i] = rows.fees_ppm[i]
        for book, group, value_micro, max_order, gate_ns in rows.books:
            if list_book(core, book, value_micro, max_order, group, gate_ns):
                raise MemoryError("no memory for the books of the snapshot")
        for account, firm, *balances in rows.accounts:
            if account and account_open(core, account, firm):
                raise MemoryError("no memory for the accounts of the snapshot")
            for i in range(5):
                account_find(core, account).purses[i] = balances[i]
        for account, group, attested, sold in rows.capacities:
            if capacity_reserve(core):
                raise MemoryError("no memory for the capacities of the snapshot")
            capacity_make(core, account, group).attested = attested
            capacity_find(core, account, group).sold = sold
        for account, book, bought, sold in rows.positions:
            if position_reserve(core) or book_reserve(core):
                raise MemoryError("no memory for the positions of the snapshot")
            if map_get(&core.book_map, book) == NONE:
                book_open(core, book)
            position_make(core, account, book_at(core, map_get(&core.book_map, book))).bought = bought
            position_find(core, account, book).sold = sold
        return self.load_orders(rows.orders)

    cdef int load_orders(self, bytes rows) except -1:
        """Orders rest one by one in the order of the walk, which gives back their places in the queues."""
        cdef const SnapOrder *row = <const SnapOrder *>PyBytes_AS_STRING(rows)
        cdef uint64_t i
        cdef int result
        for i in range(len(rows) // sizeof(SnapOrder)):
            if i and not rows_ascend(&row[i - 1], &row[i]):
                raise ValueError("snapshot has orders out of order")
            result = load_order(&self.core, &row[i])
            if result < 0:
                raise MemoryError("no memory for the orders of the snapshot")
            if result:
                raise ValueError(f"snapshot has order {row[i].order_id} with a field out of range or without cover")
        return 0

    # --- invariants ---

    def check(self):
        """Raise AssertionError naming the first broken invariant; O(state)."""
        cdef Core *core = self.idle()
        cdef uint32_t i, slot
        cdef uint64_t n_linked = 0
        cdef uint64_t n_levels = 0
        need(core.next_gate_ns > core.now_ns or core.now_ns == CPX_MAX_TIME_NS, "T5: a book is open after its gate")
        for i in range(core.books_used):
            if core.books[i].state != BOOK_FREE:
                need(map_get(&core.book_map, core.books[i].id) == i, f"counters: book {core.books[i].id} is lost")
                for side in range(2):
                    n_linked += self.check_side(&core.books[i], side)
                    n_levels += core.books[i].sides[side].n_levels
        need(n_linked == core.n_orders == core.order_map.n, "C4: live ids and linked orders differ")
        need(core.n_orders <= core.max_orders, "counters: more live orders than max_orders")
        self.check_slabs(n_levels)
        orders = []
        for book in self.books():
            for slot in self.walk(self.open_book(book)):
                orders.append(self.view(slot))
        check_orders(orders, core.now_ns)
        check_money(orders, {core.accounts[i].id: Money(purses(&core.accounts[i]), core.accounts[i].order_holds)
                             for i in range(core.accounts_used)})
        if core.check_funds:
            self.check_cover(orders)

    cdef uint64_t check_side(self, BookLine *book, uint32_t side) except? 0xFFFFFFFFFFFFFFFF:
        """C3, C4, C10 of one side; returns how many orders are linked there."""
        cdef Core *core = &self.core
        cdef Ladder *ladder = &book.sides[side]
        cdef uint64_t n_linked = 0
        cdef uint64_t n_here, total, stamp
        cdef uint32_t n, slot, prev
        cdef Level *level
        cdef OrderSlot *order
        for n in range(ladder.n_levels):
            need(n == 0 or ladder.rungs[n - 1].key < ladder.rungs[n].key, f"C3: levels of book {book.id} do not ascend")
            level = level_at(core, ladder.rungs[n].level)
            need(level.key == ladder.rungs[n].key, f"C3: a level of book {book.id} stands at the wrong price")
            n_here, total, stamp, prev, slot = 0, 0, 0, NONE, level.head
            while slot != NONE:
                need(slot < core.orders_used, f"C4: book {book.id} links a slot that is not there")
                order = order_at(core, slot)
                is_here = order.level == ladder.rungs[n].level and order.prev == prev
                is_here = is_here and ladder_key(side, order.price) == level.key and book_of(core, order) == book
                need(is_here and order.book_side & 1 == side, f"C3: order {order.id} stands in the wrong place")
                need(map_get(&core.order_map, order.id) == slot, f"C4: order {order.id} is not found by its id")
                if order.ext != NONE:
                    need(ext_at(core, order.ext).stamp > stamp, f"C10: stamps at {order.price} do not increase")
                    stamp = ext_at(core, order.ext).stamp
                need(n_here < level.n_orders, f"C3: the level of order {order.id} has lost count")
                n_here += 1
                total += <uint64_t>order.leaves
                prev, slot = slot, order.next
            need(n_here > 0 and n_here == level.n_orders and prev == level.tail, "C3: a level has the wrong orders")
            need(total == level.total, f"C3: the total of a level of book {book.id} is not the sum of its orders")
            n_linked += n_here
        need(n_linked == ladder.n_orders, f"C3: book {book.id} has lost count of its orders")
        return n_linked

    cdef int check_slabs(self, uint64_t n_levels) except -1:
        """Every slot is used once or free once; the heap is a heap of exactly the GTD orders."""
        cdef Core *core = &self.core
        cdef uint64_t n_free = 0
        cdef uint32_t at = core.orders_free
        cdef uint32_t i
        while at != NONE and n_free <= core.orders_used:
            at, n_free = core.orders[at].next, n_free + 1
        need(n_free + core.n_orders == core.orders_used, "counters: order slots are lost")
        n_free, at = 0, core.levels_free
        while at != NONE and n_free <= core.levels_used:
            at, n_free = core.levels[at].head, n_free + 1
        need(n_free + n_levels == core.levels_used, "counters: levels are lost")
        for i in range(core.heap_used):
            at = order_at(core, core.heap[i]).ext
            need(at != NONE and ext_at(core, at).heap_at == i, "T1: the expiry heap has lost an order")
            need(i == 0 or ext_at(core, order_at(core, core.heap[(i - 1) // 2]).ext).expiry_ns
                 <= ext_at(core, at).expiry_ns, "T1: the expiry heap is out of order")
        n_gtd = 0
        for book in self.books():
            for order in self.orders(book):
                n_gtd += order.expiry_ns != 0
        need(n_gtd == core.heap_used, "T1: the expiry heap does not hold exactly the GTD orders")
        need(core.account_map.n == core.accounts_used, "counters: an account is lost")
        need(core.capacity_map.n == len(self.used_capacities()), "counters: a capacity record is lost")
        need(core.position_map.n == len(self.used_positions()), "counters: a position is lost")
        return 0

    cdef int check_cover(self, list orders) except -1:
        """RT1, by the shared invariants."""
        cdef Core *core = &self.core
        cdef uint32_t i, k
        groups = {core.books[i].id: core.books[i].group for i in range(core.books_used)
                  if core.books[i].state != BOOK_FREE}
        capacities = {(core.capacities[i].account, core.capacities[i].group): (
            core.capacities[i].attested, core.capacities[i].open, core.capacities[i].sold)
            for i in self.used_capacities()}
        asks = {}
        for i in self.used_positions():
            ids = []
            for k in range(core.positions[i].n_asks):
                ids.append(order_at(core, core.positions[i].asks[k]).id)
            asks[core.positions[i].account, core.positions[i].book] = ids
        check_capacity(orders, groups, capacities, asks)
        return 0


cdef tuple purses(const AccountLine *a):
    return (a.purses[0], a.purses[1], a.purses[2], a.purses[3], a.purses[4])

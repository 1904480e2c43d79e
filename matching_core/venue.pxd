"""What the venue sets up: time, accounts, money, fees, listings and attested capacity. Participants cannot send these.

Rules kept here: T1 and T3 (orders whose time is over go first, in walk order), then T5 (books whose gate has come).
Every operation returns 0, or -1 when there is no memory and nothing has changed. `reference/venue.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort

from .accounts cimport (
    account_find, capacity_find, capacity_make, capacity_reserve, group_find, held_free, may_trade, pair,
)
from .book cimport book_at, book_of, book_open, book_reserve, emit, events_reserve, ext_at, heap_remove, level_at, order_at
from .hashmap cimport map_get, map_put, map_remove, map_reserve
from .ladder cimport ladder_best, ladder_key
from .matching cimport deny, price_valid, reject, withdraw
from .types cimport *

# --- time ---


cdef inline int due_order(const void *a, const void *b) noexcept nogil:
    """T3: by book id, bids then asks, best to worst, first come first."""
    cdef const DueOrder *x = <const DueOrder *>a
    cdef const DueOrder *y = <const DueOrder *>b
    if x.book != y.book:
        return -1 if x.book < y.book else 1
    if x.side != y.side:
        return -1 if x.side < y.side else 1
    if x.minus_key != y.minus_key:
        return -1 if x.minus_key < y.minus_key else 1
    return -1 if x.stamp < y.stamp else 1


cdef inline int op_advance_time(Core *core, const Command *c) noexcept nogil:
    cdef uint64_t n_events = 0
    cdef uint64_t n_closing = 0
    cdef uint32_t i
    if c.reserved:
        return reject(core, c, CPX_REJECT_INVALID_FIELD)
    if c.aux < core.now_ns:
        return reject(core, c, CPX_REJECT_TIME_BACKWARDS)
    cdef bint is_expiring = core.heap_used > 0 and ext_at(core, order_at(core, core.heap[0]).ext).expiry_ns <= c.aux
    if is_expiring:
        n_events += core.heap_used
    if core.next_gate_ns <= c.aux:
        for i in range(core.books_used):
            if is_closing(&core.books[i], c.aux):
                n_closing += 1
                n_events += 1 + core.books[i].sides[0].n_orders + core.books[i].sides[1].n_orders
    if events_reserve(core, n_events):
        return -1
    if cpx_grow(<void **>&core.due, &core.due_capacity, core.heap_used if is_expiring else 0, sizeof(DueOrder)):
        return -1
    if cpx_grow(<void **>&core.due, &core.due_capacity, n_closing, sizeof(DueOrder)):
        return -1
    core.now_ns = c.aux
    if is_expiring:
        expire_due(core)
    if n_closing:
        close_due(core)
    return 0


cdef inline bint is_closing(const BookLine *book, int64_t now_ns) noexcept nogil:
    return book.state == BOOK_LISTED and 0 < book.gate_ns <= now_ns


cdef inline void expire_due(Core *core) noexcept nogil:
    """T1: take what is due from the heap, bring it into T3 order, withdraw it."""
    cdef uint32_t n = 0
    cdef uint32_t i, slot
    cdef OrderSlot *order
    cdef Ext *ext
    cdef DueOrder *due
    while core.heap_used > 0:
        slot = core.heap[0]
        order = order_at(core, slot)
        ext = ext_at(core, order.ext)
        if ext.expiry_ns > core.now_ns:
            break
        heap_remove(core, 0)
        ext.heap_at = NONE
        due = core.due + n
        due.book = book_of(core, order).id
        due.side = order.book_side & 1
        due.minus_key = -ladder_key(due.side, order.price)
        due.stamp = ext.stamp
        due.slot = slot
        n += 1
    qsort(core.due, n, sizeof(DueOrder), due_order)
    for i in range(n):
        withdraw(core, core.due[i].slot, CPX_KIND_EXPIRED, CPX_EXPIRE_GTD)


cdef inline void close_due(Core *core) noexcept nogil:
    """T5: close the books whose gate has come, by id."""
    cdef uint32_t n = 0
    cdef uint32_t i
    for i in range(core.books_used):
        if is_closing(&core.books[i], core.now_ns):
            core.due[n].book = core.books[i].id
            core.due[n].side = 0
            core.due[n].minus_key = 0
            core.due[n].stamp = 0
            core.due[n].slot = i
            n += 1
    qsort(core.due, n, sizeof(DueOrder), due_order)
    for i in range(n):
        close_book(core, core.due[i].slot)
    find_next_gate(core)


cdef inline void find_next_gate(Core *core) noexcept nogil:
    cdef uint32_t i
    core.next_gate_ns = CPX_MAX_TIME_NS
    for i in range(core.books_used):
        if core.books[i].state == BOOK_LISTED and 0 < core.books[i].gate_ns < core.next_gate_ns:
            core.next_gate_ns = core.books[i].gate_ns


cdef inline void close_book(Core *core, uint32_t at) noexcept nogil:
    """Withdraw everything in T3 order, then forget the book, its positions, and its group if it was the last one."""
    cdef BookLine *book = book_at(core, at)
    cdef uint32_t side, line, following
    for side in range(2):
        while book.sides[side].n_levels > 0:
            withdraw(core, level_at(core, ladder_best(&book.sides[side])).head, CPX_KIND_EXPIRED, CPX_EXPIRE_GATE)
    line = book.positions
    while line != NONE:
        following = core.positions[line].next
        map_remove(&core.position_map, pair(core.positions[line].account, book.id))
        core.positions[line].next = core.positions_free
        core.positions_free = line
        line = following
    if book.group:
        group_leave(core, book.group)
    emit(core, CPX_KIND_BOOK_CLOSED, 0, 0, 0, book.id, 0, 0, 0, 0, 0, 0)
    map_remove(&core.book_map, book.id)
    book.state = BOOK_FREE
    book.positions = core.books_free
    core.books_free = at


cdef inline void group_leave(Core *core, uint32_t group) noexcept nogil:
    """One listed book less; the capacity records go with the last one."""
    cdef uint32_t at = map_get(&core.group_map, group)
    cdef GroupLine *owner = core.groups + at
    cdef uint32_t line, following
    owner.n_books -= 1
    if owner.n_books > 0:
        return
    line = owner.capacities
    while line != NONE:
        following = core.capacities[line].next
        map_remove(&core.capacity_map, pair(core.capacities[line].account, group))
        core.capacities[line].next = core.capacities_free
        core.capacities_free = line
        line = following
    map_remove(&core.group_map, group)
    owner.capacities = core.groups_free
    core.groups_free = at


# --- accounts and money ---


cdef inline int account_open(Core *core, uint32_t account, uint32_t firm) noexcept nogil:
    """Open an account that is not there."""
    cdef AccountLine *line
    cdef int purse
    if cpx_grow(<void **>&core.accounts, &core.accounts_capacity, <unsigned long long>core.accounts_used + 1, sizeof(AccountLine)):
        return -1
    if map_reserve(&core.account_map, 1):
        return -1
    line = core.accounts + core.accounts_used
    for purse in range(5):
        line.purses[purse] = 0
    line.order_holds = 0
    line.id = account
    line.firm = firm
    map_put(&core.account_map, account, core.accounts_used)
    core.accounts_used += 1
    return 0


cdef inline int op_open_account(Core *core, const Command *c) noexcept nogil:
    if c.reserved:
        return reject(core, c, CPX_REJECT_INVALID_FIELD)
    if account_find(core, c.account) != NULL:
        return reject(core, c, CPX_REJECT_ALREADY_EXISTS)
    if account_open(core, c.account, c.book):
        return -1
    emit(core, CPX_KIND_ACCOUNT_OPENED, 0, 0, 0, 0, c.account, c.book, 0, 0, 0, 0)
    return 0


cdef inline int64_t wealth(const AccountLine *account) noexcept nogil:
    """What the account owns; at most CPX_MAX_MONEY_MICRO, so it does not overflow (not for the world outside)."""
    cdef int64_t total = 0
    cdef int purse
    for purse in range(5):
        total += account.purses[purse]
    return total


cdef inline int op_transfer(Core *core, const Command *c) noexcept nogil:
    cdef AccountLine *source = account_find(core, c.account)
    cdef AccountLine *target = account_find(core, c.book)
    cdef uint8_t reason
    if source == NULL or target == NULL:
        return reject(core, c, CPX_REJECT_UNKNOWN_ACCOUNT)
    if c.reserved or c.side >= CPX_BUCKETS or c.order_type >= CPX_BUCKETS or (
            source == target and c.side == c.order_type):
        return reject(core, c, CPX_REJECT_INVALID_FIELD)
    if c.qty < 1 or c.qty > CPX_MAX_MONEY_MICRO:
        return reject(core, c, CPX_REJECT_INVALID_QTY)
    reason = transfer_denial(c, source, target)
    if reason:
        return deny(core, c, reason)
    source.purses[c.side] -= c.qty
    target.purses[c.order_type] += c.qty
    emit(core, CPX_KIND_TRANSFERRED, c.side, 0, c.order_type, 0, c.account, c.book, <int64_t>c.client_ref, c.qty,
         source.purses[c.side], target.purses[c.order_type])
    return 0


cdef inline uint8_t transfer_denial(
    const Command *c, const AccountLine *source, const AccountLine *target
) noexcept nogil:
    """0 if the amount may move. Only the outside's CASH may go below zero; holds of open orders do not move."""
    cdef bint is_outside_cash = source.id == CPX_OUTSIDE_ACCOUNT and c.side == CPX_BUCKET_CASH
    cdef int64_t available = source.purses[c.side]
    if c.side == CPX_BUCKET_HELD:
        available = held_free(source)
    if available < c.qty and not is_outside_cash:
        return CPX_DENY_INSUFFICIENT_FUNDS
    if available - c.qty < -CPX_MAX_MONEY_MICRO:
        return CPX_DENY_BALANCE_OVERFLOW
    if target.id == CPX_OUTSIDE_ACCOUNT:
        if target.purses[c.order_type] + c.qty > CPX_MAX_MONEY_MICRO:
            return CPX_DENY_BALANCE_OVERFLOW
    elif source != target and wealth(target) + c.qty > CPX_MAX_MONEY_MICRO:
        return CPX_DENY_BALANCE_OVERFLOW
    return 0


cdef inline int op_set_fee(Core *core, const Command *c) noexcept nogil:
    if c.reserved or c.side >= CPX_FEE_TABLES:
        return reject(core, c, CPX_REJECT_INVALID_FIELD)
    if c.price < 0 or c.price > CPX_MAX_FEE_PPM:
        return reject(core, c, CPX_REJECT_INVALID_PRICE)
    core.fees_ppm[c.side] = <uint32_t>c.price
    emit(core, CPX_KIND_FEE_SET, c.side, 0, 0, 0, 0, 0, c.price, 0, 0, 0)
    return 0


# --- books and capacity ---


cdef inline int op_list_book(Core *core, const Command *c) noexcept nogil:
    cdef uint32_t at = map_get(&core.book_map, c.book)
    cdef BookLine *book
    if c.reserved or c.aux < 0 or c.aux > <int64_t>NONE:
        return reject(core, c, CPX_REJECT_INVALID_FIELD)
    if not price_valid(c.price):
        return reject(core, c, CPX_REJECT_INVALID_PRICE)
    if c.qty < 0 or c.qty > CPX_MAX_QTY_LOTS:
        return reject(core, c, CPX_REJECT_INVALID_QTY)
    if c.expiry_ns != 0 and c.expiry_ns <= core.now_ns:
        return reject(core, c, CPX_REJECT_INVALID_EXPIRY)
    if at != NONE and is_open(book_at(core, at)):
        return reject(core, c, CPX_REJECT_ALREADY_EXISTS)
    if list_book(core, c.book, c.price, c.qty, <uint32_t>c.aux, c.expiry_ns):
        return -1
    emit(core, CPX_KIND_BOOK_LISTED, 0, 0, 0, c.book, 0, <uint64_t>c.aux, c.price, c.qty, c.expiry_ns, 0)
    return 0


cdef inline bint is_open(const BookLine *book) noexcept nogil:
    """Whether a book is part of the state: listed, or unlisted with an order in it."""
    return book.state == BOOK_LISTED or (
        book.state == BOOK_UNLISTED and (book.sides[0].n_orders > 0 or book.sides[1].n_orders > 0))


cdef inline int list_book(
    Core *core, uint32_t book_id, int64_t value_micro, int64_t max_order, uint32_t group, int64_t gate_ns
) noexcept nogil:
    """List a book that is not open. An idle unlisted line of that id is taken over with its positions."""
    cdef uint32_t at
    cdef BookLine *book
    if book_reserve(core) or (group and group_reserve(core)):
        return -1
    at = map_get(&core.book_map, book_id)
    if at == NONE:
        at = book_open(core, book_id)
    book = book_at(core, at)
    book.value_micro = value_micro
    book.max_order = max_order
    book.gate_ns = gate_ns
    book.group = group
    book.state = BOOK_LISTED
    if gate_ns and gate_ns < core.next_gate_ns:
        core.next_gate_ns = gate_ns
    if group:
        group_join(core, group)
    return 0


cdef inline int group_reserve(Core *core) noexcept nogil:
    if core.groups_free == NONE and core.groups_used == core.groups_capacity:
        if cpx_grow(<void **>&core.groups, &core.groups_capacity, core.groups_capacity + 1, sizeof(GroupLine)):
            return -1
    return map_reserve(&core.group_map, 1)


cdef inline void group_join(Core *core, uint32_t group) noexcept nogil:
    cdef uint32_t at = map_get(&core.group_map, group)
    if at == NONE:
        at = core.groups_free
        if at != NONE:
            core.groups_free = core.groups[at].capacities
        else:
            at = core.groups_used
            core.groups_used += 1
        core.groups[at].id = group
        core.groups[at].n_books = 0
        core.groups[at].capacities = NONE
        map_put(&core.group_map, group, at)
    core.groups[at].n_books += 1


cdef inline uint8_t capacity_reason(Core *core, const Command *c) noexcept nogil:
    if not may_trade(core, c.account):
        return CPX_REJECT_UNKNOWN_ACCOUNT
    if c.reserved or c.aux < 1 or c.aux > <int64_t>NONE or group_find(core, <uint32_t>c.aux) == NULL:
        return CPX_REJECT_INVALID_FIELD
    return 0


cdef inline int op_set_capacity(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = capacity_reason(core, c)
    cdef CapacityLine *line
    if reason:
        return reject(core, c, reason)
    if c.qty < 0 or c.qty > CPX_MAX_QTY_LOTS:
        return reject(core, c, CPX_REJECT_INVALID_QTY)
    line = capacity_find(core, c.account, <uint32_t>c.aux)
    if line != NULL and c.qty < line.open + line.sold:
        return deny(core, c, CPX_DENY_CAPACITY)
    if capacity_reserve(core):
        return -1
    line = capacity_make(core, c.account, <uint32_t>c.aux)
    line.attested = c.qty
    emit(core, CPX_KIND_CAPACITY_SET, 0, 0, 0, 0, c.account, <uint64_t>c.aux, c.qty, c.qty, line.open, line.sold)
    return 0


cdef inline int op_adjust_sold(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = capacity_reason(core, c)
    cdef CapacityLine *line
    if reason:
        return reject(core, c, reason)
    if c.qty == 0 or c.qty < -CPX_MAX_QTY_LOTS or c.qty > CPX_MAX_QTY_LOTS:
        return reject(core, c, CPX_REJECT_INVALID_QTY)
    line = capacity_find(core, c.account, <uint32_t>c.aux)
    if line == NULL or line.sold + c.qty < 0 or line.open + line.sold + c.qty > line.attested:
        return deny(core, c, CPX_DENY_CAPACITY)
    line.sold += c.qty
    emit(core, CPX_KIND_SOLD_ADJUSTED, 0, 0, 0, 0, c.account, <uint64_t>c.aux, line.attested, c.qty, line.open,
         line.sold)
    return 0

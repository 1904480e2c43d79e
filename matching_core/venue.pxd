"""What the venue sets up: time, accounts, money, fees, listings and attested capacity. Participants cannot send these.

Rules kept here: T1 and T3 (tasks, then orders whose time is over go first), then T5 (books whose gate has come), EM1
(standby asks outlive the gate), RT9. All kinds wait in binary heaps, so that a step in time costs what it ends.
Every operation returns 0, or -1 when there is no memory and nothing has changed. `reference/venue.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .accounts cimport (
    account_find, capacity_find, capacity_make, capacity_reserve, group_find, held_free, may_trade, pair,
)
from .blocks cimport blocks_ending, blocks_expire
from .book cimport (
    book_at, book_open, book_reserve, deny, emit, events_reserve, ext_at, is_open, order_at, order_flags,
    reject, rules_of,
)
from .directory cimport book_find, book_forget
from .dirt cimport dirty_remove
from .due cimport due_reserve, due_set, due_set_book, due_sort
from .hashmap cimport map_get, map_put, map_remove, map_reserve
from .ladder cimport ladder_below, ladder_level, level_at
from .links cimport links_advance
from .orders cimport price_valid
from .phases cimport gate_book
from .queue cimport withdraw
from .setup cimport rules_free
from .sources cimport book_rules_changed
from .task_time cimport come_into_sight, due_ids_reserve, tasks_expire, tasks_passing, tasks_step
from .types cimport *

# --- time ---


cdef inline int op_advance_time(Core *core, const Command *c) noexcept nogil:
    cdef int64_t n_orders, n_books
    cdef uint64_t n_events = 0
    cdef int64_t i, before_ns
    if c.reserved:
        return reject(core, c, CPX_REJECT_INVALID_FIELD)
    if c.aux < core.now_ns:
        return reject(core, c, CPX_REJECT_TIME_BACKWARDS)
    n_orders = expired_find(core, c.aux)
    if n_orders < 0:
        return -1
    n_books = closing_find(core, c.aux, <uint64_t>n_orders, &n_events)
    if n_books < 0 or events_reserve(core, n_events + <uint64_t>n_orders + tasks_passing(core, c.aux)):
        return -1
    if due_ids_reserve(core):
        return -1
    before_ns = core.now_ns
    core.now_ns = c.aux
    tasks_expire(core)
    due_sort(core.due, <uint64_t>n_orders)
    for i in range(n_orders):
        withdraw(core, core.due[i].slot, CPX_KIND_EXPIRED, CPX_EXPIRE_GTD)
    if n_books > 0:
        close_due(core, core.due + n_orders, n_books)
    links_advance(core, before_ns)
    tasks_step(core)
    come_into_sight(core, before_ns)
    return 0


cdef inline int64_t expired_find(Core *core, int64_t now_ns) noexcept nogil:
    """T1: note the orders whose time is over, in no order; how many, or -1 without memory. O(what it finds).

    core.due is also the list of heap places still to look below.
    """
    cdef uint64_t n = 0
    cdef uint64_t i = 0
    cdef uint32_t place, child
    cdef OrderSlot *order
    if core.heap_used > 0 and expiry_at(core, 0) <= now_ns:
        if due_reserve(core, 1):
            return -1
        core.due[0].slot = 0
        n = 1
    while i < n:
        if due_reserve(core, n + 2):
            return -1
        place = core.due[i].slot
        for child in range(2 * place + 1, 2 * place + 3):
            if child < core.heap_used and expiry_at(core, child) <= now_ns:
                core.due[n].slot = child
                n += 1
        order = order_at(core, core.heap[place])
        due_set(core, i, core.heap[place], ext_at(core, order.ext).stamp)
        i += 1
    return <int64_t>n


cdef inline int64_t expiry_at(Core *core, uint32_t place) noexcept nogil:
    return ext_at(core, order_at(core, core.heap[place]).ext).expiry_ns


# --- gates: a binary heap of book lines, the earliest gate first ---


cdef inline int64_t gate_at(Core *core, uint64_t place) noexcept nogil:
    return book_at(core, core.gates[place]).gate_ns


cdef inline int gates_reserve(Core *core) noexcept nogil:
    return cpx_grow(<void **>&core.gates, &core.gates_capacity, <uint64_t>core.n_gates + 1, sizeof(uint32_t))


cdef inline void gates_add(Core *core, uint32_t line) noexcept nogil:
    """A book has a gate now; room was reserved before."""
    cdef uint64_t at = core.n_gates
    cdef uint64_t parent
    cdef int64_t gate_ns = book_at(core, line).gate_ns
    core.n_gates += 1
    while at > 0:
        parent = (at - 1) >> 1
        if gate_at(core, parent) <= gate_ns:
            break
        core.gates[at] = core.gates[parent]
        at = parent
    core.gates[at] = line
    core.next_gate_ns = gate_at(core, 0)


cdef inline void gates_drop_first(Core *core) noexcept nogil:
    """The earliest gate has come."""
    cdef uint64_t at = 0
    cdef uint64_t child
    cdef uint32_t last
    core.n_gates -= 1
    last = core.gates[core.n_gates]
    while True:
        child = 2 * at + 1
        if child >= core.n_gates:
            break
        if child + 1 < core.n_gates and gate_at(core, child + 1) < gate_at(core, child):
            child += 1
        if gate_at(core, child) >= book_at(core, last).gate_ns:
            break
        core.gates[at] = core.gates[child]
        at = child
    core.gates[at] = last
    core.next_gate_ns = gate_at(core, 0) if core.n_gates else CPX_MAX_TIME_NS


cdef inline int64_t closing_find(Core *core, int64_t now_ns, uint64_t first, uint64_t *n_events) noexcept nogil:
    """T5: note the books whose gate has come in core.due from `first` on, as expired_find does; and their events."""
    cdef uint64_t n = first
    cdef uint64_t i = first
    cdef uint32_t place, child
    cdef const BookLine *book
    if core.n_gates > 0 and core.next_gate_ns <= now_ns:
        if due_reserve(core, n + 1):
            return -1
        core.due[n].slot = 0
        n += 1
    while i < n:
        if due_reserve(core, n + 2):
            return -1
        place = core.due[i].slot
        for child in range(2 * place + 1, 2 * place + 3):
            if child < core.n_gates and gate_at(core, child) <= now_ns:
                core.due[n].slot = child
                n += 1
        book = book_at(core, core.gates[place])
        n_events[0] += <uint64_t>1 + book.n_orders[0] + book.n_orders[1] + blocks_ending(core, book.id)
        due_set_book(core, i, core.gates[place])
        i += 1
    return <int64_t>(n - first)


cdef inline void close_due(Core *core, DueOrder *due, int64_t n) noexcept nogil:
    """T5: close the books whose gate has come, by id."""
    cdef int64_t i
    due_sort(due, <uint64_t>n)
    for i in range(n):
        gates_drop_first(core)
    for i in range(n):
        close_book(core, due[i].slot)


cdef inline void close_book(Core *core, uint32_t at) noexcept nogil:
    """T5: everything expires; EM1: but where the book lives on after its gate, standby asks stay as they are."""
    cdef BookLine *book = book_at(core, at)
    cdef const BookRules *rules = rules_of(core, book)
    cdef bint lives_on = rules != NULL and not rules.is_gated and rules.end_ns > core.now_ns
    cdef uint32_t n_staying
    blocks_expire(core, book.id)
    expire_side(core, book, CPX_SIDE_BUY, lives_on)
    expire_side(core, book, CPX_SIDE_SELL, lives_on)
    n_staying = book.n_orders[0] + book.n_orders[1]
    if n_staying > 0:
        gate_book(core, at)
        gates_add(core, at)
        emit(core, CPX_KIND_BOOK_GATED, 0, 0, 0, book.id, 0, 0, 0, n_staying, book.gate_ns, 0)
        return
    emit(core, CPX_KIND_BOOK_CLOSED, 0, 0, 0, book.id, 0, 0, 0, 0, 0, 0)
    forget_book(core, at)


cdef inline void expire_side(Core *core, BookLine *book, uint32_t side, bint keeps_standby) noexcept nogil:
    cdef int64_t key = book.best[side]
    cdef uint32_t slot, following
    while key >= 0:
        slot = level_at(core, ladder_level(core, book, side, key)).head
        while slot != NONE:
            following = order_at(core, slot).next
            if not (keeps_standby and order_flags(core, order_at(core, slot)) & CPX_FLAG_STANDBY):
                withdraw(core, slot, CPX_KIND_EXPIRED, CPX_EXPIRE_GATE)
            slot = following
        key = ladder_below(core, book, side, key)


cdef inline void forget_book(Core *core, uint32_t at) noexcept nogil:
    """A listed book without orders goes, with its rules, its positions, and its group if it was the last one."""
    cdef BookLine *book = book_at(core, at)
    cdef uint32_t line = book.positions
    cdef uint32_t following
    dirty_remove(core, book)
    book_rules_changed(core, book)
    while line != NONE:
        following = core.positions[line].next
        map_remove(&core.position_map, pair(core.positions[line].account, book.id))
        core.positions[line].next = core.positions_free
        core.positions_free = line
        line = following
    if book.group:
        group_leave(core, book.group)
    rules_free(core, at)
    book_forget(core, book.id)
    book.state = BOOK_FREE
    book.max_lots = 0  # no order fits a line of nobody: plain.pxd may still be looking at it
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
    if cpx_grow(<void **>&core.accounts, &core.accounts_capacity, <uint64_t>core.accounts_used + 1,
                sizeof(AccountLine)):
        return -1
    if map_reserve(&core.account_map, 1):
        return -1
    line = core.accounts + core.accounts_used
    for purse in range(5):
        line.purses[purse] = 0
    line.order_holds = 0
    line.n_tasks = 0
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
    cdef uint32_t at = book_find(core, c.book)
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


cdef inline int list_book(
    Core *core, uint32_t book_id, int64_t value_micro, int64_t max_order, uint32_t group, int64_t gate_ns
) noexcept nogil:
    """List a book that is not open. An idle unlisted line of that id is taken over with its positions."""
    cdef uint32_t at
    cdef BookLine *book
    if book_reserve(core) or (group and group_reserve(core)) or (gate_ns and gates_reserve(core)):
        return -1
    at = book_find(core, book_id)
    if at == NONE:
        at = book_open(core, book_id)
    book = book_at(core, at)
    book.value_micro = value_micro
    book.max_product = CPX_MAX_MONEY_MICRO // value_micro
    book.is_capped = max_order != 0
    book.max_lots = max_order if max_order else CPX_MAX_QTY_LOTS
    book.gate_ns = gate_ns
    book.group = group
    book.state = BOOK_LISTED
    if gate_ns:
        gates_add(core, at)
    if group:
        group_join(core, group)
    book_rules_changed(core, book)
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

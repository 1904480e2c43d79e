"""What stands behind the live orders, and all balances, worked out again: the money side of `audit.pxd`.

Rules kept here: HM2 (holds are those of the open buys), RT1 (open capacity and the lists of live sells are those of the
live sells), no purse below zero but the outside's CASH, the sum of all purses is 0.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .accounts cimport capacity_find, order_hold, position_find
from .hashmap cimport map_get
from .snapshot cimport is_capacity, is_position
from .types cimport *

cdef struct Audit:
    const char *broken  # NULL while all is well; {} in it stands for
    uint64_t who  # this order, book or account
    uint64_t n_linked, n_mapped, n_leaves, n_nodes, n_exts, n_gtd, n_sells, n_books
    uint64_t n_levels  # occupied bits of the side at hand
    int64_t top_key  # the highest of them
    int64_t best_bid  # C1: the best of the book at hand that is displayed
    uint64_t last_stamp
    bint is_open, is_call  # the phase of the book at hand
    uint8_t *exts  # whether each was met
    uint8_t *pages  # live ids of each
    uint8_t *rules  # whether each was met
    int64_t *holds  # by account
    uint64_t *opened  # by capacity record


cdef inline bint fail(Audit *a, const char *broken, uint64_t who) noexcept nogil:
    a.broken = broken
    a.who = who
    return False


# --- order by order ---


cdef inline bint audit_cover(
    Core *core, Audit *a, const OrderSlot *order, const BookLine *book, uint32_t slot
) noexcept nogil:
    """Add up what HM2 and RT1 compare, and find each live sell in its list."""
    cdef uint32_t at = map_get(&core.account_map, order.account)
    cdef const PositionLine *position
    cdef const CapacityLine *capacity
    cdef uint32_t n_here = 0
    cdef uint32_t i
    cdef int64_t hold
    if at == NONE:
        return fail(a, b"HM2: order {} is of nobody", order.id)
    if order.book_side & 1 == CPX_SIDE_BUY:
        hold = order_hold(core, order, book)
        if hold > core.accounts[at].order_holds - a.holds[at]:
            return fail(a, b"HM2: holds of account {} differ from its open buys", order.account)
        a.holds[at] += hold
        return True
    a.n_sells += 1
    position = position_find(core, order.account, book.id)
    if position != NULL and position.n_asks <= CPX_MAX_SELLS_PER_BOOK:
        for i in range(position.n_asks):
            n_here += position.asks[i] == slot
    if n_here != 1:
        return fail(a, b"RT1: order {} is not in the list of live sells", order.id)
    if book.group:
        capacity = capacity_find(core, order.account, book.group)
        if capacity == NULL:
            return fail(a, b"RT1: live sell {} without capacity", order.id)
        a.opened[(<size_t>capacity - <size_t>core.capacities) // sizeof(CapacityLine)] += <uint64_t>order.leaves
    return True


# --- then all accounts and records ---


cdef inline bint audit_accounts(Core *core, Audit *a) noexcept nogil:
    """HM2 and balances; the sum of all purses in halves of 32 bits, which cannot overflow."""
    cdef const AccountLine *account
    cdef uint32_t at
    cdef int purse
    cdef bint is_outside
    cdef uint64_t owned
    cdef uint64_t low = 0
    cdef int64_t high = 0
    for at in range(core.accounts_used):
        account = core.accounts + at
        is_outside = account.id == CPX_OUTSIDE_ACCOUNT
        owned = 0
        if map_get(&core.account_map, account.id) != at:
            return fail(a, b"counters: account {} is lost", account.id)
        if account.order_holds != a.holds[at]:
            return fail(a, b"HM2: holds of account {} differ from its open buys", account.id)
        if account.order_holds > account.purses[<int>CPX_BUCKET_HELD]:
            return fail(a, b"HM2: account {} holds less than its open buys need", account.id)
        for purse in range(5):
            if account.purses[purse] < 0 and not (is_outside and purse == CPX_BUCKET_CASH):
                return fail(a, b"balance: a purse of account {} is below zero", account.id)
            if not is_outside:
                owned += <uint64_t>account.purses[purse]
            if owned > <uint64_t>CPX_MAX_MONEY_MICRO:
                return fail(a, b"balance: account {} owns too much", account.id)
            low += <uint32_t>account.purses[purse]
            high += account.purses[purse] >> 32
    if core.account_map.n != core.accounts_used:
        return fail(a, b"counters: an account is lost", 0)
    if <uint32_t>low != 0 or high + <int64_t>(low >> 32) != 0:
        return fail(a, b"balance: the sum of all balances is not 0", 0)
    return True


cdef inline bint audit_capacities(Core *core, Audit *a) noexcept nogil:
    """RT1, and each record in the list of its group."""
    cdef const CapacityLine *line
    cdef uint64_t n = 0
    cdef uint64_t n_grouped = 0
    cdef uint64_t n_free = 0
    cdef uint32_t i, at
    for i in range(core.capacities_used):
        line = core.capacities + i
        if not is_capacity(core, i):
            continue
        n += 1
        if line.open < 0 or <uint64_t>line.open != a.opened[i]:
            return fail(a, b"RT1: open capacity of account {} differs from its live sells", line.account)
        if line.sold < 0 or line.sold > line.attested or line.open > line.attested - line.sold:
            return fail(a, b"RT1: account {} has sold more than attested", line.account)
    for i in range(core.groups_used):
        if map_get(&core.group_map, core.groups[i].id) != i or core.groups[i].n_books == 0:
            continue
        at = core.groups[i].capacities
        while at != NONE and n_grouped < n and core.capacities[at].group == core.groups[i].id:
            at, n_grouped = core.capacities[at].next, n_grouped + 1
        if at != NONE:
            return fail(a, b"counters: the capacity records of group {} are lost", core.groups[i].id)
    at = core.capacities_free
    while at != NONE and n_free < core.capacities_used:
        at, n_free = core.capacities[at].next, n_free + 1
    if n_grouped != n or core.capacity_map.n != n or at != NONE or n + n_free != core.capacities_used:
        return fail(a, b"counters: a capacity record is lost", 0)
    return True


cdef inline bint audit_positions(Core *core, Audit *a) noexcept nogil:
    """RT1: the lists hold no more than the live sells; and each position is in the list of its book."""
    cdef uint64_t n = 0
    cdef uint64_t n_asks = 0
    cdef uint64_t n_linked = 0
    cdef uint64_t n_free = 0
    cdef uint32_t i, at
    for i in range(core.positions_used):
        if is_position(core, i):
            n += 1
            n_asks += core.positions[i].n_asks
    if n_asks != a.n_sells:
        return fail(a, b"RT1: a list of live sells has an order that is none", 0)
    for i in range(core.books_used):
        at = core.books[i].positions if core.books[i].state != BOOK_FREE else NONE
        while at != NONE and n_linked < n and core.positions[at].book == core.books[i].id:
            at, n_linked = core.positions[at].next, n_linked + 1
        if at != NONE:
            return fail(a, b"counters: the positions of book {} are lost", core.books[i].id)
    at = core.positions_free
    while at != NONE and n_free < core.positions_used:
        at, n_free = core.positions[at].next, n_free + 1
    if n_linked != n or core.position_map.n != n or at != NONE or n + n_free != core.positions_used:
        return fail(a, b"counters: a position is lost", 0)
    return True

"""Balances, holds, capacity and positions.

Rules kept here: HM2 (a buy's hold covers price and fee, a trade moves them from HELD to ESCROW, the rest is freed),
RT1 (open + sold never above attested). Money only moves; it is never made. The five purses of an account together
never exceed CPX_MAX_MONEY_MICRO, so no move inside an account can overflow.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from .book cimport ext_at, order_at
from .hashmap cimport map_get, map_put, map_reserve
from .types cimport (
    CPX_BUCKET_CASH, CPX_BUCKET_ESCROW, CPX_BUCKET_HELD, CPX_CHECK, CPX_FILTER_ACCOUNT, CPX_FILTER_FIRM,
    CPX_MAX_SELLS_PER_BOOK, CPX_OUTSIDE_ACCOUNT, NONE, AccountLine, BookLine, CapacityLine, Core, GroupLine, OrderSlot,
    PositionLine, cpx_add_capped, cpx_fee, cpx_grow,
)

# --- accounts and money ---


cdef inline AccountLine *account_find(Core *core, uint32_t account) noexcept nogil:
    """The account, or NULL."""
    cdef uint32_t at = map_get(&core.account_map, account)
    return NULL if at == NONE else core.accounts + at


cdef inline bint may_trade(Core *core, int64_t account) noexcept nogil:
    """Whether this account is open and may place orders; the world outside may not."""
    return account > CPX_OUTSIDE_ACCOUNT and account < NONE + <int64_t>1 and map_get(
        &core.account_map, <uint64_t>account) != NONE


cdef inline uint32_t firm_of(Core *core, uint32_t account) noexcept nogil:
    """The firm of an account; 0, which is nobody's, where the account is not open."""
    cdef AccountLine *line = account_find(core, account)
    return 0 if line == NULL else line.firm


cdef inline bint are_one_firm(Core *core, uint32_t one, uint32_t other) noexcept nogil:
    """ST0: whether both accounts are open and of the same firm."""
    cdef uint32_t firm = firm_of(core, one)
    return firm != 0 and firm == firm_of(core, other)


cdef inline uint32_t killed_place(Core *core, uint32_t kind, uint32_t who) noexcept nogil:
    """Where (kind, who) stands among the killed, or where it would; O(killed)."""
    cdef uint32_t at = 0
    while at < core.n_killed and (core.killed[at].kind < kind or (
            core.killed[at].kind == kind and core.killed[at].who < who)):
        at += 1
    return at


cdef inline bint is_killed(Core *core, uint32_t kind, uint32_t who) noexcept nogil:
    cdef uint32_t at = killed_place(core, kind, who)
    return at < core.n_killed and core.killed[at].kind == kind and core.killed[at].who == who


cdef inline bint is_blocked(Core *core, uint32_t account) noexcept nogil:
    """X3: whether the account or its firm has been killed and not lifted. A firm is that of an open account, 0 too."""
    cdef AccountLine *line
    if core.n_killed == 0:
        return False
    line = account_find(core, account)
    if line != NULL and is_killed(core, CPX_FILTER_FIRM, line.firm):
        return True
    return is_killed(core, CPX_FILTER_ACCOUNT, account)


cdef inline int64_t hold_of(
    int64_t price, int64_t leaves, int64_t value_micro, uint32_t fee_ppm, int64_t done_micro
) noexcept nogil:
    """HM2: what a funded buy must have in HELD: the rest at its limit, and the fee that this rest can still cost."""
    cdef int64_t rest = price * leaves * value_micro
    return rest + cpx_fee(fee_ppm, done_micro + rest) - cpx_fee(fee_ppm, done_micro)


cdef inline int64_t order_hold(Core *core, const OrderSlot *order, const BookLine *book) noexcept nogil:
    """The hold of a resting order; 0 for sells and where funds are not checked."""
    if not core.check_funds or order.book_side & 1:
        return 0
    return hold_of(order.price, order.leaves, book.value_micro, ext_at(core, order.ext).fee_ppm,
                   ext_at(core, order.ext).done_micro)


cdef inline void hold_resize(AccountLine *account, int64_t change_micro) noexcept nogil:
    """Move change_micro from CASH to HELD for open orders and tasks; a negative change frees."""
    account.purses[<int>CPX_BUCKET_CASH] -= change_micro
    account.purses[<int>CPX_BUCKET_HELD] += change_micro
    account.order_holds += change_micro
    CPX_CHECK(account.purses[<int>CPX_BUCKET_CASH] >= 0)
    CPX_CHECK(account.order_holds >= 0 and account.order_holds <= account.purses[<int>CPX_BUCKET_HELD])


cdef inline int64_t held_free(const AccountLine *account) noexcept nogil:
    """What HELD has above the holds of open orders and waiting tasks."""
    return account.purses[<int>CPX_BUCKET_HELD] - account.order_holds


cdef inline int64_t post(
    AccountLine *account, int64_t cost_micro, uint32_t fee_ppm, int64_t *done_micro
) noexcept nogil:
    """Pay cost and fee of one fill from HELD into ESCROW; returns the fee. The split into fills does not matter."""
    cdef int64_t paid_before = cpx_fee(fee_ppm, done_micro[0])
    done_micro[0] += cost_micro
    cdef int64_t fee = cpx_fee(fee_ppm, done_micro[0]) - paid_before
    account.purses[<int>CPX_BUCKET_HELD] -= cost_micro + fee
    account.purses[<int>CPX_BUCKET_ESCROW] += cost_micro + fee
    CPX_CHECK(account.purses[<int>CPX_BUCKET_HELD] >= 0)
    return fee


# --- capacity ---


cdef inline uint64_t pair(uint32_t account, uint32_t other) noexcept nogil:
    return (<uint64_t>account << 32) | other


cdef inline GroupLine *group_find(Core *core, uint32_t group) noexcept nogil:
    """A group with at least one listed book, or NULL."""
    cdef uint32_t at = map_get(&core.group_map, group)
    return NULL if at == NONE else core.groups + at


cdef inline CapacityLine *capacity_find(Core *core, uint32_t account, uint32_t group) noexcept nogil:
    """The capacity record, or NULL where nothing was ever attested."""
    cdef uint32_t at = map_get(&core.capacity_map, pair(account, group))
    return NULL if at == NONE else core.capacities + at


cdef inline int capacity_reserve(Core *core) noexcept nogil:
    if core.capacities_free == NONE and core.capacities_used == core.capacities_capacity:
        if cpx_grow(<void **>&core.capacities, &core.capacities_capacity, core.capacities_capacity + 1,
                    sizeof(CapacityLine)):
            return -1
    return map_reserve(&core.capacity_map, 1)


cdef inline CapacityLine *capacity_make(Core *core, uint32_t account, uint32_t group) noexcept nogil:
    """The capacity record, new if need be; room was reserved before, and the group has a listed book."""
    cdef CapacityLine *line = capacity_find(core, account, group)
    cdef GroupLine *owner = group_find(core, group)
    cdef uint32_t at = core.capacities_free
    if line != NULL:
        return line
    if at != NONE:
        core.capacities_free = core.capacities[at].next
    else:
        at = core.capacities_used
        core.capacities_used += 1
    line = core.capacities + at
    line.attested = 0
    line.open = 0
    line.sold = 0
    line.account = account
    line.group = group
    line.next = owner.capacities
    owner.capacities = at
    map_put(&core.capacity_map, pair(account, group), at)
    return line


cdef inline bint has_room(Core *core, uint32_t account, uint32_t group, int64_t more_lots) noexcept nogil:
    """RT1: whether more_lots can be offered on top of what is open and sold."""
    cdef CapacityLine *line = capacity_find(core, account, group)
    if line == NULL:
        return more_lots <= 0
    return line.open + line.sold + more_lots <= line.attested


cdef inline void open_resize(Core *core, uint32_t account, uint32_t group, int64_t change_lots) noexcept nogil:
    """Count live sells up or down; books without a group are not counted."""
    if group:
        capacity_find(core, account, group).open += change_lots


# --- positions, each with the live sells of its account in its book ---


cdef inline PositionLine *position_find(Core *core, uint32_t account, uint32_t book) noexcept nogil:
    """The position record, or NULL."""
    cdef uint32_t at = map_get(&core.position_map, pair(account, book))
    return NULL if at == NONE else core.positions + at


cdef inline int position_reserve(Core *core) noexcept nogil:
    if core.positions_free == NONE and core.positions_used == core.positions_capacity:
        if cpx_grow(<void **>&core.positions, &core.positions_capacity, core.positions_capacity + 1,
                    sizeof(PositionLine)):
            return -1
    return map_reserve(&core.position_map, 1)


cdef inline int positions_reserve(Core *core, uint64_t n) noexcept nogil:
    """Room for so many more position records."""
    if cpx_grow(<void **>&core.positions, &core.positions_capacity, core.positions_used + n, sizeof(PositionLine)):
        return -1
    return map_reserve(&core.position_map, n)


cdef inline PositionLine *position_make(Core *core, uint32_t account, BookLine *book) noexcept nogil:
    """The position record, new if need be; room was reserved before."""
    cdef PositionLine *line = position_find(core, account, book.id)
    cdef uint32_t at = core.positions_free
    if line != NULL:
        return line
    if at != NONE:
        core.positions_free = core.positions[at].next
    else:
        at = core.positions_used
        core.positions_used += 1
    line = core.positions + at
    line.bought = 0
    line.sold = 0
    line.n_asks = 0
    line.account = account
    line.book = book.id
    line.next = book.positions
    book.positions = at
    map_put(&core.position_map, pair(account, book.id), at)
    return line


cdef inline void asks_add(PositionLine *line, uint32_t slot) noexcept nogil:
    CPX_CHECK(line.n_asks < CPX_MAX_SELLS_PER_BOOK)
    line.asks[line.n_asks] = slot
    line.n_asks += 1


cdef inline void asks_remove(PositionLine *line, uint32_t slot) noexcept nogil:
    cdef uint32_t at = 0
    while line.asks[at] != slot:
        at += 1
        CPX_CHECK(at < line.n_asks)
    line.n_asks -= 1
    while at < line.n_asks:
        line.asks[at] = line.asks[at + 1]
        at += 1


cdef inline bint ask_before(Core *core, uint32_t a, uint32_t b) noexcept nogil:
    """Best price first, then first come."""
    cdef OrderSlot *first = order_at(core, a)
    cdef OrderSlot *second = order_at(core, b)
    if first.price != second.price:
        return first.price < second.price
    return ext_at(core, first.ext).stamp < ext_at(core, second.ext).stamp


cdef inline uint32_t asks_sorted(Core *core, uint32_t account, uint32_t book, uint32_t *slots) noexcept nogil:
    """Fill slots[4] with one account's live sells in a book, best first; returns how many. At most four: insertion."""
    cdef PositionLine *line = position_find(core, account, book)
    cdef uint32_t n = 0
    cdef uint32_t i, at
    if line == NULL:
        return 0
    for i in range(line.n_asks):
        at = n
        while at > 0 and ask_before(core, line.asks[i], slots[at - 1]):
            slots[at] = slots[at - 1]
            at -= 1
        slots[at] = line.asks[i]
        n += 1
    return n


cdef inline void count_trade(
    Core *core, uint32_t buyer, uint32_t seller, const BookLine *book, int64_t lots
) noexcept nogil:
    """Both positions grow; the seller's open lots become sold ones. Both records exist since the orders came."""
    cdef PositionLine *bought = position_find(core, buyer, book.id)
    bought.bought = cpx_add_capped(bought.bought, lots)
    cdef PositionLine *sold = position_find(core, seller, book.id)
    sold.sold = cpx_add_capped(sold.sold, lots)
    cdef CapacityLine *capacity
    if book.group:
        capacity = capacity_find(core, seller, book.group)
        CPX_CHECK(capacity.open >= lots)
        capacity.open -= lots
        capacity.sold += lots

"""A task buys: what a search has found is booked whole, data first, then leg by leg.

Rules kept here: K2 (all legs in one command), RT7 (gigabytes are taken from the links), HM1, HM3 (a purchase moves cost
and fee from HELD to ESCROW, what is over is freed with the last one), RT1, EM2, MB2, MB3. The search counts and changes
nothing, a fill changes and searches nothing; in between, room is made for everything that a fill can need.
`reference/fills.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from .accounts cimport account_find, count_trade, hold_resize, position_make, positions_reserve, post
from .blocks cimport block_at, block_close_if_over, block_mark, residue_at
from .book cimport book_at, emit, events_reserve, order_at
from .directory cimport book_find
from .dirt cimport dirty_if_idle, mark
from .groups cimport group_forget_families
from .links cimport link_promise
from .market cimport family_find
from .queue cimport after_fill
from .routing cimport route_find
from .runs cimport leg_asks
from .sources cimport block_changed
from .types cimport *
from .waiting cimport task_hold, task_target

cdef enum:
    EVENTS_OF_ASK = 3  # TRADE, POSTED, and REPLENISHED where an iceberg shows its next slice
    ASKS_OF_SITE = 4  # CPX_MAX_SELLS_PER_BOOK
    MORE_EVENTS = 8  # what else one try of a task tells


cdef inline int fill_reserve(Core *core, const Found *found) noexcept nogil:
    """Room for everything that booking a route can need, and for what its command tells besides; 0, or -1."""
    cdef uint64_t legs = <uint64_t>found.n_parts * found.n_periods + found.n_legs
    cdef uint64_t events = legs * EVENTS_OF_ASK * (1 if found.n_legs else ASKS_OF_SITE)
    if events_reserve(core, events + found.n_moves + found.n_parts + MORE_EVENTS):
        return -1
    return positions_reserve(core, 2 * legs)  # of the buyer, and of whoever sells from a block offer


# --- money ---


cdef inline void tell_task(
    Core *core, uint8_t kind, uint8_t reason, uint8_t flags, const TaskSlot *task, uint32_t book, int64_t price,
    int64_t qty, int64_t leaves, int64_t contra_leaves,
) noexcept nogil:
    """An event about one task, with its lane, id and client_ref."""
    emit(core, kind, task.lane, reason, flags, book, task.id, task.client_ref, price, qty, leaves, contra_leaves)


cdef inline void task_settle_leg(
    Core *core, TaskSlot *task, BookLine *book, uint32_t seller, uint64_t source, int64_t price, int64_t lots,
    int64_t cost, int64_t left, uint8_t flags,
) noexcept nogil:
    """The money and capacity of one fill, and its two events."""
    cdef AccountLine *buyer = account_find(core, task.account)
    cdef int64_t fee = post(buyer, cost, task.fee_ppm, &task.notional_micro)
    buyer.order_holds -= cost + fee
    task.spent_micro += cost
    if task.shape == CPX_SHAPE_BULK and family_find(core, book.id >> PERIOD_BITS).power == CPX_POWER_GRID:
        task.grid_filled += lots
    flags |= CPX_EVENT_TAKE
    emit(core, CPX_KIND_TRADE, CPX_SIDE_BUY, 0, flags, book.id, task.id, source, price, lots, 0, left)
    emit(core, CPX_KIND_POSTED, CPX_SIDE_BUY, 0, flags, book.id, task.id, task.account, fee, cost, 0, seller)
    position_make(core, task.account, book)
    position_make(core, seller, book)
    count_trade(core, task.account, seller, book, lots)


# --- the data ---


cdef inline void remember_region(Core *core, TaskSlot *task, const Found *found) noexcept nogil:
    """Bulk: its data is in the region of a plan from now on, or from the first period that the way allows."""
    cdef uint32_t region = family_find(core, core.market.legs[0].family).region
    cdef uint32_t at = task.n_moved
    cdef uint32_t i
    for i in range(task.n_moved):
        if task.moved[i] == region:
            return
    CPX_CHECK(task.n_moved < MAX_MOVED)
    while at > 0 and task.moved[at - 1] > region:
        task.moved[at] = task.moved[at - 1]
        task.moved_from[at] = task.moved_from[at - 1]
        at -= 1
    task.moved[at] = <uint16_t>region
    task.moved_from[at] = <uint32_t>found.moves[0].first if found.n_moves and found.moves[0].first > 0 else 0
    task.n_moved += 1
    if task.id and task.stamp:
        group_forget_families(core, task)


cdef inline void move_data(Core *core, TaskSlot *task, const Found *found) noexcept nogil:
    """RT7: the gigabytes are promised and paid for, once for each region that does not have them."""
    cdef AccountLine *buyer = account_find(core, task.account)
    cdef const Moving *move
    cdef uint32_t i
    for i in range(found.n_moves):
        move = &found.moves[i]
        link_promise(core, move)
        buyer.purses[<int>CPX_BUCKET_HELD] -= move.micro
        buyer.purses[<int>CPX_BUCKET_ESCROW] += move.micro
        buyer.order_holds -= move.micro
        task.spent_micro += move.micro
        emit(core, CPX_KIND_DATA_MOVED, 0, 0, 0, move.region, task.id, task.account, move.mb, move.micro,
             move.delay_ns, 0)
    if task.data_mb and task.shape == CPX_SHAPE_BULK:
        remember_region(core, task, found)


# --- legs ---


cdef inline void buy_ask(
    Core *core, TaskSlot *task, BookLine *book, uint32_t slot, int64_t lots, int64_t cost
) noexcept nogil:
    cdef OrderSlot *ask = order_at(core, slot)
    ask.leaves -= lots
    task_settle_leg(core, task, book, ask.account, ask.id, ask.price, lots, cost, ask.leaves, 0)
    after_fill(core, slot, lots)
    dirty_if_idle(core, book)


cdef inline void buy_residue(
    Core *core, TaskSlot *task, BookLine *book, uint32_t at, uint32_t period, int64_t lots
) noexcept nogil:
    """MB2: one leg from a block offer, at the price of that period."""
    cdef BlockLine *block = block_at(core, at)
    cdef Residue *residue = residue_at(block, period)
    cdef int64_t cost = residue.price * lots * book.value_micro
    CPX_CHECK(residue.lots >= lots)
    residue.lots -= lots
    block.n_residues -= residue.lots == 0
    block_changed(core, block, period)
    task_settle_leg(core, task, book, block.account, block.id, residue.price, lots, cost, residue.lots,
                    CPX_EVENT_BLOCK)
    if core.n_spreads:
        mark(core, book)


cdef inline void buy_part(Core *core, TaskSlot *task, const FoundPart *part, uint32_t period) noexcept nogil:
    """One leg of a task that is not bulk."""
    cdef BookLine *book = book_at(core, book_find(core, part.family << PERIOD_BITS | period))
    cdef LegAsk asks[4]
    cdef uint32_t n, i
    if part.block != NONE:
        buy_residue(core, task, book, part.block, period, part.lots)
        return
    n = leg_asks(core, task, part.account, book, part.lots, asks)
    CPX_CHECK(n > 0)
    for i in range(n):
        buy_ask(core, task, book, asks[i].slot, asks[i].lots, asks[i].cost_micro)


cdef inline void buy_legs(Core *core, TaskSlot *task, const Found *found) noexcept nogil:
    """Source by source, each by period; a bulk plan as it stands."""
    cdef const Leg *leg
    cdef uint32_t i, k
    for i in range(found.n_parts):
        for k in range(found.n_periods):
            buy_part(core, task, &found.parts[i], core.market.periods[k])
    for i in range(found.n_legs):
        leg = core.market.legs + i
        buy_ask(core, task, book_at(core, book_find(core, leg.family << PERIOD_BITS | leg.period)), leg.slot, leg.lots,
                leg.unit_micro * leg.lots)
    for i in range(found.n_parts):
        if found.parts[i].block != NONE and not (i and found.parts[0].block == found.parts[i].block):
            if not block_close_if_over(core, found.parts[i].block):
                block_mark(core, block_at(core, found.parts[i].block))


cdef inline void fill_task(Core *core, TaskSlot *task, const Found *found) noexcept nogil:
    """K2: the whole route, one event after the other. A task that has all it wants holds nothing any more."""
    cdef int64_t before_micro = task.notional_micro
    cdef int64_t freed = 0
    cdef uint32_t family, period
    if found.n_legs:
        family, period = core.market.legs[0].family, core.market.legs[0].period
    else:
        family, period = found.parts[0].family, core.market.periods[0]
    move_data(core, task, found)
    buy_legs(core, task, found)
    task.filled = task.filled + found.lot_periods if task.shape == CPX_SHAPE_BULK else task_target(task)
    CPX_CHECK(task.notional_micro - before_micro == found.compute_micro)
    CPX_CHECK(task.spent_micro <= task.limit_micro)
    if task.filled == task_target(task):
        freed = task_hold(task)
        hold_resize(account_find(core, task.account), -freed)
    tell_task(core, CPX_KIND_TASK_FILLED, 0, 0, task, family << PERIOD_BITS | period,
              task.notional_micro - before_micro, found.lot_periods, task_target(task) - task.filled, freed)


cdef inline bint is_done(const TaskSlot *task) noexcept nogil:
    """Whether a task has all that it wants."""
    return task.filled == task_target(task)


cdef inline int fill_on(Core *core, TaskSlot *task, const uint64_t *families) noexcept nogil:
    """A bulk task that has bought goes on while there is a plan; 0, or -1 where there was no memory for the next one."""
    cdef Found found
    cdef int answer
    while task.shape == CPX_SHAPE_BULK and not is_done(task):
        answer = route_find(core, task, task.limit_micro, families, &found)
        if answer == 0:
            return 0
        if answer < 0 or fill_reserve(core, &found):
            return -1
        fill_task(core, task, &found)
    return 0

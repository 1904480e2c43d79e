"""Bulk: card-hours in any amounts, cheapest first over all sites, while what is bought stays within its share of the limit.

The asks of one source in one period are a shelf; a heap of shelves gives the next ask without sorting all of them.
Rules kept here: RT2 (one region per try where data moves), K3; a first fill below the least one is none, on grid power it
buys no more than the task allows, and asks with a minimum are passed over. `reference/bulk.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memmove, memset

from .book cimport book_at, order_at, order_flags
from .cells cimport asks_usable
from .directory cimport book_find
from .market_types cimport *
from .runs cimport may_buy_from
from .types cimport CPX_FLAG_INDIVISIBLE, CPX_FLAG_MIN_QTY, NONE, Core, OrderSlot, cpx_grow

cdef struct Plan:  # what one region, or all of them, would give
    uint64_t first_leg  # in market.legs
    uint64_t n_legs
    int64_t lot_periods
    int64_t compute_micro
    int64_t moving_micro
    uint32_t region
    uint32_t move


# --- shelves ---


cdef inline void shelf_resolve(Core *core, Shelf *shelf) noexcept nogil:
    """Find the ask that comes next: of one price the least id first."""
    cdef const Source *source = core.market.sources + shelf.source
    cdef uint32_t at = book_find(core, <uint32_t>(<int64_t>source.family << PERIOD_BITS | shelf.period))
    cdef uint32_t slots[4]
    cdef uint32_t n = asks_usable(core, source.account, book_at(core, at), CELL_GATED, 0, slots)
    cdef uint32_t i, k
    for i in range(1, n):
        k = i
        while k > 0 and order_at(core, slots[k - 1]).price == order_at(core, slots[k]).price and (
                order_at(core, slots[k - 1]).id > order_at(core, slots[k]).id):
            slots[k - 1], slots[k] = slots[k], slots[k - 1]
            k -= 1
    shelf.slot = slots[shelf.n_taken]
    shelf.id = order_at(core, shelf.slot).id


cdef inline bint shelf_before(Core *core, Shelf *a, Shelf *b) noexcept nogil:
    """Micro-yuan a lot, chip, round trip, period, region, site, ask."""
    if a.unit_micro != b.unit_micro:
        return a.unit_micro < b.unit_micro
    if a.place != b.place:
        return a.place < b.place
    if a.rtt_us != b.rtt_us:
        return a.rtt_us < b.rtt_us
    if a.period != b.period:
        return a.period < b.period
    if a.region != b.region:
        return a.region < b.region
    if a.account != b.account:
        return a.account < b.account
    if a.id == 0:
        shelf_resolve(core, a)
    if b.id == 0:
        shelf_resolve(core, b)
    return a.id < b.id


cdef inline void shelf_sink(Core *core, Shelf *shelves, uint64_t n, uint64_t at) noexcept nogil:
    """Let a shelf down to its place in the heap."""
    cdef Shelf shelf = shelves[at]
    cdef uint64_t child
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and shelf_before(core, shelves + child + 1, shelves + child):
            child += 1
        if not shelf_before(core, shelves + child, &shelf):
            break
        shelves[at] = shelves[child]
        at = child
    shelves[at] = shelf


cdef inline int shelves_of(
    Core *core, const Try *t, const Waypoint *way, uint32_t at, uint64_t *n
) noexcept nogil:
    """Note the shelves of a source in the task's window, in no order; 0, or -1 without memory."""
    cdef Market *market = &core.market
    cdef const Source *source = market.sources + at
    cdef const Family *family = market.families + way.family
    cdef int64_t end = way.end if way.end < family.base + source.size else family.base + source.size
    cdef int64_t period
    cdef const Cell *cell
    cdef Shelf *shelf
    for period in range(way.first, end):
        cell = source.cells + (period & (source.size - 1))
        if cell.lots[0] == 0 or cell.lots[0] >> CELL_SHIFT & CELL_GATED:
            continue
        if cpx_grow(&market.scratch, &market.scratch_capacity, (n[0] + 1) * sizeof(Shelf), 1):
            return -1
        shelf = <Shelf *>market.scratch + n[0]
        memset(shelf, 0, sizeof(Shelf))
        shelf.unit_micro = cell.units[0]
        shelf.place = way.place
        shelf.rtt_us = way.rtt_us
        shelf.period = <uint32_t>period
        shelf.region = family.region
        shelf.source = at
        shelf.account = source.account
        n[0] += 1
    return 0


cdef inline int shelves_find(Core *core, const Try *t, uint32_t region, uint64_t *n) noexcept nogil:
    """A heap of all shelves that the task may buy from, in one region or in all (0)."""
    cdef Market *market = &core.market
    cdef const Waypoint *way
    cdef uint32_t i, at
    cdef uint64_t place
    n[0] = 0
    for i in range(market.n_heap):
        way = market.heap + i
        if region and market.families[way.family].region != region:
            continue
        at = market.families[way.family].sources
        while at != NONE:
            if may_buy_from(t.task, market.sources[at].account, market.sources[at].firm):
                if shelves_of(core, t, way, at, n):
                    return -1
            at = market.sources[at].next
    place = n[0] // 2
    while place > 0:
        place -= 1
        shelf_sink(core, <Shelf *>market.scratch, n[0], place)
    return 0


cdef inline uint64_t shelf_next(Core *core, Shelf *shelves, uint64_t n) noexcept nogil:
    """The first ask of the heap has had its turn; returns how many shelves are left."""
    cdef const Source *source = core.market.sources + shelves[0].source
    cdef const Cell *cell = source.cells + (shelves[0].period & (source.size - 1))
    shelves[0].n_taken += 1
    shelves[0].id = 0
    if shelves[0].n_taken < 4 and cell.lots[shelves[0].n_taken]:
        shelves[0].unit_micro = cell.units[shelves[0].n_taken]
    else:
        n -= 1
        shelves[0] = shelves[n]
    if n:
        shelf_sink(core, shelves, n, 0)
    return n


# --- a plan ---


cdef inline int leg_add(Core *core, uint64_t at, const Shelf *shelf, int64_t lots) noexcept nogil:
    cdef Market *market = &core.market
    cdef Leg *leg
    if cpx_grow(<void **>&market.legs, &market.legs_capacity, at + 1, sizeof(Leg)):
        return -1
    leg = market.legs + at
    leg.slot = shelf.slot
    leg.account = shelf.account
    leg.family = market.sources[shelf.source].family
    leg.period = shelf.period
    leg.unit_micro = shelf.unit_micro
    leg.lots = lots
    return 0


cdef inline int64_t lots_taken(
    Core *core, const Try *t, Shelf *shelf, int64_t filled, int64_t grid_filled, int64_t spent_micro
) noexcept nogil:
    """How many lots of an ask are bought next; 0: it is passed over, as one with a minimum is; -1: nothing more is."""
    cdef const TaskSlot *task = t.task
    cdef int64_t target = task.lots * task.periods
    cdef const OrderSlot *ask
    cdef int64_t lots
    if shelf.id == 0:
        shelf_resolve(core, shelf)
    ask = order_at(core, shelf.slot)
    if t.wanted and not order_flags(core, ask) & CPX_FLAG_INDIVISIBLE:
        return 0
    lots = cpx_affordable(t.best.cost_micro, target, filled, spent_micro, shelf.unit_micro, ask.leaves)
    if lots > target - filled:
        lots = target - filled
    if lots <= 0:
        return -1
    if task.max_grid >= 0 and not core.market.families[core.market.sources[shelf.source].family].power:
        if lots > task.max_grid - grid_filled:
            lots = task.max_grid - grid_filled
    return lots if lots > 0 and not order_flags(core, ask) & CPX_FLAG_MIN_QTY else 0


cdef inline bint is_hopeless(Core *core, const Try *t, const Plan *plan, int64_t spent_micro) noexcept nogil:
    """Whether not even the cheapest ask can be bought first."""
    cdef const Market *market = &core.market
    cdef int64_t least = CPX_NO_COST
    cdef uint32_t i
    for i in range(market.n_heap):
        if plan.region == 0 or market.families[market.heap[i].family].region == plan.region:
            if market.heap[i].bound_micro < least:
                least = market.heap[i].bound_micro
    return cpx_affordable(
        t.best.cost_micro, t.task.lots * t.task.periods, t.task.filled, spent_micro, least, 1) == 0


cdef inline int plan_region(Core *core, const Try *t, Plan *plan) noexcept nogil:
    """Take asks in order; what counts is the longest part from the start that stays within its share of the limit.

    1: a plan, its legs from plan.first_leg on; 0: none; -1: no memory.
    """
    cdef const TaskSlot *task = t.task
    cdef int64_t target = task.lots * task.periods
    cdef int64_t filled = task.filled
    cdef int64_t grid_filled = task.grid_filled
    cdef int64_t spent_micro = cpx_cost_sum(task.spent_micro, plan.moving_micro)
    cdef int64_t compute_micro = 0
    cdef uint64_t n_taken = 0
    cdef uint64_t n
    cdef int64_t lots
    cdef Shelf *shelf
    plan.n_legs = 0
    if is_hopeless(core, t, plan, spent_micro):
        return 0
    if shelves_find(core, t, plan.region, &n):
        return -1
    while n > 0:
        shelf = <Shelf *>core.market.scratch
        lots = lots_taken(core, t, shelf, filled, grid_filled, spent_micro)
        if lots < 0:
            break
        if lots > 0:
            if leg_add(core, plan.first_leg + n_taken, shelf, lots):
                return -1
            n_taken += 1
            filled += lots
            spent_micro += lots * shelf.unit_micro
            compute_micro += lots * shelf.unit_micro
            if not core.market.families[core.market.sources[shelf.source].family].power:
                grid_filled += lots
            if cpx_is_within_share(t.best.cost_micro, filled, target, spent_micro):
                plan.n_legs = n_taken
                plan.lot_periods = filled - task.filled
                plan.compute_micro = compute_micro
        n = shelf_next(core, shelf, n)
    if plan.n_legs == 0:
        return 0
    if task.filled == 0 and plan.lot_periods < (task.min_fill if task.min_fill < target else target):
        return 0
    return 1


cdef inline bint is_better_plan(const Plan *plan, const Plan *best) noexcept nogil:
    """Most lot-periods, then least cost; regions come in ascending order."""
    if best.n_legs == 0 or plan.lot_periods != best.lot_periods:
        return best.n_legs == 0 or plan.lot_periods > best.lot_periods
    return plan.compute_micro + plan.moving_micro < best.compute_micro + best.moving_micro


cdef inline uint32_t next_region(Core *core, uint32_t region, Plan *plan) noexcept nogil:
    """The next region of the families on the way, 0 = no more; sets what moving there takes."""
    cdef const Market *market = &core.market
    cdef uint32_t found = 0
    cdef uint32_t i, here
    for i in range(market.n_heap):
        here = market.families[market.heap[i].family].region
        if here > region and (found == 0 or here < found):
            found = here
            plan.moving_micro = market.heap[i].moving_micro
            plan.move = market.heap[i].move
    return found


cdef inline void plan_tell(Core *core, const Plan *plan, Found *found) noexcept nogil:
    """Hand out the best plan; start, chip and round trip are those of its first leg."""
    cdef Market *market = &core.market
    cdef const Leg *leg = market.legs
    cdef uint32_t i
    memset(found, 0, sizeof(Found))
    found.compute_micro = plan.compute_micro
    found.moving_micro = plan.moving_micro
    found.lot_periods = plan.lot_periods
    found.n_legs = <uint32_t>plan.n_legs
    found.first_period = leg.period
    for i in range(market.n_heap):
        if market.heap[i].family == leg.family:
            found.chip_place = market.heap[i].place
            found.rtt_us = market.heap[i].rtt_us
    if plan.move != NONE and market.moves[plan.move].moving.link != NONE:
        found.moves[0] = market.moves[plan.move].moving
        found.n_moves = 1


cdef inline int bulk_find(Core *core, const Try *t, Found *found) noexcept nogil:
    """The next plan of a bulk task within the limit: 1 found, its legs in market.legs; 0 none, -1 no memory."""
    cdef Market *market = &core.market
    cdef Plan best, plan
    cdef int result
    memset(&best, 0, sizeof(Plan))
    memset(&plan, 0, sizeof(Plan))
    plan.move = NONE
    while True:
        plan.first_leg = best.n_legs
        if t.task.data_mb:
            plan.region = next_region(core, plan.region, &plan)
            if plan.region == 0:
                break
        result = plan_region(core, t, &plan)
        if result < 0:
            return -1
        if result and is_better_plan(&plan, &best):
            memmove(market.legs, market.legs + plan.first_leg, plan.n_legs * sizeof(Leg))
            best = plan
        if not t.task.data_mb:
            break
    if best.n_legs == 0:
        return 0
    plan_tell(core, &best, found)
    return 1

"""What a period costs at one source, runs of periods there, and which of two candidates is better.

A shop is one source in a search: the asks of one account in one family, or one block offer (MB2).
Rules kept here: RT2 (the order of candidates), RT6 (own firm), BB1, MQ2, MB2, MB3, EM2. `reference/runs.py` and
`sources.py` are the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from .accounts cimport firm_of
from .book cimport book_at, is_open, order_at, order_minimum, rules_of
from .cells cimport LOTS_BITS, asks_usable, sells_to_tasks
from .directory cimport book_find
from .market cimport first_after, first_open, sight_begin, sight_end
from .market_types cimport *
from .types cimport (
    CPX_FLAG_INDIVISIBLE, CPX_LANE_EMERGENCY, CPX_MAX_MONEY_MICRO, CPX_TASK_FLAG_INDIVISIBLE, NONE, BookLine,
    BookRules, Core, OrderSlot, cpx_highest_bit,
)

cdef enum:
    TWELFTHS = 12


# --- what a task buys, and from whom ---


cdef inline uint64_t unwanted_marks(const TaskSlot *task) noexcept nogil:
    """EM1: only the emergency lane buys from gated books."""
    return 0 if task.lane == CPX_LANE_EMERGENCY else CELL_GATED


cdef inline uint64_t wanted_marks(const TaskSlot *task) noexcept nogil:
    """BB1."""
    return CELL_INDIVISIBLE if task.flags & CPX_TASK_FLAG_INDIVISIBLE else 0


cdef inline bint may_buy_from(const TaskSlot *task, uint32_t account, uint32_t firm) noexcept nogil:
    """RT6: nobody buys from himself or from his own firm."""
    return account != task.account and (firm == 0 or firm != task.firm)


cdef inline int64_t charge_twelfths(Core *core, const TaskSlot *task, int64_t period) noexcept nogil:
    """EM2: the twelfths of a period that a fill pays for; 12 outside the emergency lane."""
    if task.lane != CPX_LANE_EMERGENCY:
        return TWELFTHS
    return cpx_twelfths(core.market.origin_ns, core.market.period_ns, period, core.now_ns)


cdef inline uint32_t leg_asks(
    Core *core, const TaskSlot *task, uint32_t account, const BookLine *book, int64_t lots, LegAsk *asks
) noexcept nogil:
    """Fill asks[4] with what a purchase of so many lots meets, best first; how many, or 0 if that is not offered."""
    cdef int64_t twelfths = charge_twelfths(core, task, book.id & PERIOD_MASK)
    cdef uint32_t slots[4]
    cdef uint32_t n_asks = 0
    cdef uint32_t n, i
    cdef int64_t there
    cdef const OrderSlot *ask
    if twelfths == 0:
        return 0
    n = asks_usable(core, account, book, unwanted_marks(task), wanted_marks(task), slots)
    for i in range(n):
        ask = order_at(core, slots[i])
        there = lots if lots < ask.leaves else ask.leaves
        if there > 0 and there >= order_minimum(core, ask):
            asks[n_asks].slot = slots[i]
            asks[n_asks].lots = there
            asks[n_asks].cost_micro = cpx_charge(ask.price * there * book.value_micro, twelfths)
            n_asks += 1
            lots -= there
    return n_asks if lots == 0 else 0


# --- what a period costs ---


cdef inline int64_t walked_cost(
    Core *core, const TaskSlot *task, uint32_t account, uint32_t family, int64_t period, int64_t lots
) noexcept nogil:
    """By the orders themselves: where an ask has a minimum, and in the emergency lane."""
    cdef uint32_t at = book_find(core, <uint32_t>(<int64_t>family << PERIOD_BITS | period))
    cdef LegAsk asks[4]
    cdef int64_t cost = 0
    cdef uint32_t n, i
    if at == NONE:
        return CPX_NO_COST
    n = leg_asks(core, task, account, book_at(core, at), lots, asks)
    for i in range(n):
        cost = cpx_cost_sum(cost, asks[i].cost_micro)
    return cost if n else CPX_NO_COST


cdef inline int64_t cell_cost(const Cell *cell, int64_t lots, uint64_t unwanted, uint64_t wanted) noexcept nogil:
    """What so many lots cost in a cell; CPX_NO_COST where they are not offered, -1 where an ask has a minimum."""
    cdef uint64_t word, marks
    cdef int64_t there
    cdef int64_t cost = 0
    cdef uint32_t i
    for i in range(4):
        word = cell.lots[i]
        if word == 0:
            return CPX_NO_COST
        marks = word >> CELL_SHIFT
        if marks:
            if marks & unwanted or (marks & wanted) != wanted:
                continue
            if marks & CELL_MINIMUM:
                return -1
        elif wanted:
            continue
        there = <int64_t>(word & LOTS_BITS)
        if there >= lots:
            return cpx_cost_sum(cost, cell.units[i] * lots)
        cost = cpx_cost_sum(cost, cell.units[i] * there)
        lots -= there
    return CPX_NO_COST


cdef inline int64_t residue_cost(Core *core, const BlockLine *block, int64_t period, int64_t lots) noexcept nogil:
    """What so many lots of a block offer cost in a period; CPX_NO_COST where so many are not left or cannot be bought."""
    cdef const Residue *residue = block.residues + (period - block.first_period)
    cdef const BookRules *rules
    cdef uint32_t at
    if not block.first_period <= period < block.end_period or residue.lots < lots:
        return CPX_NO_COST
    at = book_find(core, <uint32_t>(<int64_t>block.family << PERIOD_BITS | period))
    if at == NONE or not is_open(book_at(core, at)):
        return CPX_NO_COST
    rules = rules_of(core, book_at(core, at))
    if not sells_to_tasks(rules) or (rules != NULL and rules.is_gated):
        return CPX_NO_COST
    return cpx_cost(cpx_cost(residue.price, lots), book_at(core, at).value_micro)


cdef inline int64_t period_cost(Core *core, const Try *t, const Shop *shop, int64_t period) noexcept nogil:
    """What the lots of a shop cost in a period; CPX_NO_COST where they are not offered."""
    cdef int64_t cost
    if shop.source == NULL:
        return residue_cost(core, shop.block, period, shop.lots)
    if period >= shop.family.base + shop.source.size:
        return CPX_NO_COST
    if not t.is_emergency:
        cost = cell_cost(
            shop.source.cells + (period & (shop.source.size - 1)), shop.lots, t.unwanted, t.wanted)
        if cost >= 0:
            return cost
    return walked_cost(core, t.task, shop.source.account, shop.source.family, period, shop.lots)


# --- block offers ---


cdef inline bint is_left(const BlockLine *block, int64_t period) noexcept nogil:
    """MB3: whether a period has residue, or may still get its first one."""
    if not block.first_period <= period < block.end_period:
        return False
    return period >= block.next_period or block.residues[period - block.first_period].lots > 0


cdef inline bint is_run_allowed(
    Core *core, const BlockLine *block, int64_t first, int64_t end, int64_t lots
) noexcept nogil:
    """MB3 and the notice: whether so many lots may be bought from first to end (exclusive); the residues are there."""
    cdef int64_t smallest = block.min_lots
    cdef int64_t period
    if first < first_after(core, block.notice_ns):
        return False
    if lots < smallest:
        for period in range(first, end):
            if block.residues[period - block.first_period].lots < smallest:
                smallest = block.residues[period - block.first_period].lots
        if lots < smallest:
            return False
    return end - first >= block.min_periods or not (is_left(block, first - 1) or is_left(block, end))


# --- shops of a family ---


cdef inline bint shop_of_source(Core *core, const Try *t, uint32_t at, Shop *shop) noexcept nogil:
    """The asks of a source; False if the task may not buy from it."""
    cdef const Source *source = core.market.sources + at
    shop.family = core.market.families + source.family
    shop.source = source
    shop.block = NULL
    shop.block_at = NONE
    return source.n_asks > 0 and may_buy_from(t.task, source.account, source.firm)


cdef inline bint shop_of_block(Core *core, const Try *t, uint32_t at, Shop *shop) noexcept nogil:
    """A block offer; False if the task may not buy from it."""
    cdef const BlockLine *block = core.market.blocks + at
    shop.family = core.market.families + block.family
    shop.source = NULL
    shop.block = block
    shop.block_at = at
    if block.n_residues == 0 or (t.wanted and not block.flags & CPX_FLAG_INDIVISIBLE):
        return False
    return may_buy_from(t.task, block.account, firm_of(core, block.account))


# --- a search ---


cdef inline void try_begin(Core *core, Try *t, const TaskSlot *task, int64_t limit_micro) noexcept nogil:
    """A search that has found nothing yet; there is a grid."""
    t.task = task
    t.is_emergency = task.lane == CPX_LANE_EMERGENCY
    t.unwanted = unwanted_marks(task)
    t.wanted = wanted_marks(task)
    t.open_from = sight_begin(core) if t.is_emergency else first_open(core)
    if t.open_from < sight_begin(core):
        t.open_from = sight_begin(core)
    t.sight_end = sight_end(core)
    t.best.n_spots = 0
    t.best.first = 0
    t.n_better = 0
    scale_set(t, NULL, 1, 1, 1)
    t.best.cost_micro = limit_micro if limit_micro < CPX_MAX_MONEY_MICRO else CPX_MAX_MONEY_MICRO
    core.market.search += 1


cdef inline uint64_t spot_id(Core *core, const Try *t, Spot *spot, int64_t period) noexcept nogil:
    """RT2, last: the block offer's id, or that of the site's best ask in the first period."""
    cdef uint32_t slots[4]
    cdef uint32_t at
    if spot.id == 0 and spot.block != NONE:
        spot.id = core.market.blocks[spot.block].id
    elif spot.id == 0:
        at = book_find(core, <uint32_t>(<int64_t>spot.family << PERIOD_BITS | period))
        if at != NONE and asks_usable(core, spot.account, book_at(core, at), t.unwanted, t.wanted, slots):
            spot.id = order_at(core, slots[0]).id
    return spot.id


cdef inline int spot_order(Core *core, const Try *t, Spot *a, Spot *b, int64_t period) noexcept nogil:
    """-1, 0 or 1: by region, site, id."""
    if a.region != b.region:
        return -1 if a.region < b.region else 1
    if a.account != b.account:
        return -1 if a.account < b.account else 1
    if spot_id(core, t, a, period) == spot_id(core, t, b, period):
        return 0
    return -1 if a.id < b.id else 1


cdef inline bint is_better(Core *core, Try *t, Candidate *one) noexcept nogil:
    """RT2: whether a candidate comes before the best one so far; never above the limit."""
    cdef Candidate *best = &t.best
    cdef int order
    if one.cost_micro != best.cost_micro:
        return one.cost_micro < best.cost_micro
    if best.n_spots == 0:
        return True
    if one.place != best.place:
        return one.place < best.place
    if one.rtt_us != best.rtt_us:
        return one.rtt_us < best.rtt_us
    if one.first != best.first:
        return one.first < best.first
    order = spot_order(core, t, one.spots, best.spots, one.first)
    if order:
        return order < 0
    if one.n_spots != best.n_spots or one.n_spots == 1:
        return one.n_spots < best.n_spots
    order = spot_order(core, t, one.spots + 1, best.spots + 1, one.first)
    return order < 0 if order else one.spots[0].lots < best.spots[0].lots


cdef inline void spot_set(Spot *spot, const Waypoint *way, const Shop *shop, int64_t lots) noexcept nogil:
    spot.id = 0
    spot.lots = lots
    spot.moving_micro = way.moving_micro
    spot.region = shop.family.region
    spot.family = shop.family.number
    spot.account = shop.block.account if shop.source == NULL else shop.source.account
    spot.block = shop.block_at
    spot.move = way.move


cdef inline bint offer_run(
    Core *core, Try *t, const Waypoint *way, const Shop *shop, int64_t first, int64_t compute_micro
) noexcept nogil:
    """The candidate of one shop from a period on; whether it is the best so far now."""
    cdef Candidate one
    one.cost_micro = compute_micro + way.moving_micro
    if one.cost_micro > t.best.cost_micro:
        return False
    one.compute_micro = compute_micro
    one.first = first
    one.place = way.place
    one.rtt_us = way.rtt_us
    one.n_spots = 1
    spot_set(one.spots, way, shop, shop.lots)
    if not is_better(core, t, &one):
        return False
    t.best = one
    t.n_better += 1
    return True


cdef inline int64_t run_room(const Try *t, const Waypoint *way, int64_t first) noexcept nogil:
    """The most that a run from a period on may cost if it is to win; -1 if none may."""
    cdef int64_t room = t.best.cost_micro - way.moving_micro
    if t.best.n_spots and (way.place > t.best.place or (way.place == t.best.place and (
            way.rtt_us > t.best.rtt_us or (way.rtt_us == t.best.rtt_us and first > t.best.first)))):
        return room - 1
    return room


cdef inline void try_run(Core *core, Try *t, const Waypoint *way, const Shop *shop, int64_t first) noexcept nogil:
    """The run of the task's length at one shop that begins with one period."""
    cdef int64_t end = first + t.task.periods
    cdef int64_t total = 0
    cdef int64_t period
    for period in range(first, end):
        total = cpx_cost_sum(total, period_cost(core, t, shop, period))
    if total == CPX_NO_COST or (shop.source == NULL and not is_run_allowed(core, shop.block, first, end, shop.lots)):
        return
    offer_run(core, t, way, shop, first, total)


cdef inline void scale_set(Try *t, const int64_t *row, int64_t row_size, int64_t lots, int64_t quoted_lots) noexcept nogil:
    """What market.bounds will sum: a row that is about a quantity or the power of two below it; NULL = nothing."""
    t.row = row
    t.row_size = row_size
    t.scale_lots = 1 if lots == quoted_lots else lots
    t.scale_shift = 0 if lots == quoted_lots else <uint32_t>cpx_highest_bit(<uint64_t>lots)


cdef inline int64_t scaled(const Try *t, int64_t cost_micro) noexcept nogil:
    """What a sum of market.bounds, or of its row, comes to for the lots at hand."""
    return cost_micro if cost_micro == CPX_NO_COST else cpx_scaled(cost_micro, t.scale_lots, t.scale_shift)


cdef inline int64_t sum_room(const Try *t, const Waypoint *way, int64_t first) noexcept nogil:
    """The most that a sum in market.bounds may be if the run that begins with a period is to win; -1 if none may."""
    return cpx_unscaled(run_room(t, way, first), t.scale_lots, t.scale_shift)


cdef inline void try_runs(Core *core, Try *t, const Waypoint *way, const Shop *shop) noexcept nogil:
    """Every run at one shop whose bound, in market.bounds, may still win.

    One sliding window; a run is left where what it costs so far and the bound of the rest cannot win.
    """
    cdef int64_t length = t.task.periods
    cdef const int64_t *bounds = core.market.bounds
    cdef int64_t *costs = core.market.costs
    cdef int64_t begin = way.first
    cdef int64_t end = way.first
    cdef int64_t total = 0  # of the periods begin to end
    cdef int64_t floor = 0  # of the same, in the row of bounds
    cdef int64_t most = sum_room(t, way, way.first)  # what a bound may be
    cdef int64_t later_most = sum_room(t, way, PERIOD_MASK + HORIZON)
    cdef int64_t first, cost, room
    for first in range(way.first, way.end - length + 1):
        if bounds[first - way.first] > (most if first <= t.best.first else later_most) or first < begin:
            continue
        room = run_room(t, way, first)
        if end < first:
            begin = end = first
            total = floor = 0
        while begin < first:
            total -= costs[begin - way.first]
            floor -= 0 if t.row == NULL else t.row[begin & (t.row_size - 1)]
            begin += 1
        cost = 0
        while end < first + length and total <= room and (  # two sums within the limit add up within 64 bits
                total + scaled(t, bounds[first - way.first] - floor) <= room):
            cost = period_cost(core, t, shop, end)
            if cost > t.best.cost_micro:
                break
            costs[end - way.first] = cost
            total += cost
            floor += 0 if t.row == NULL else t.row[end & (t.row_size - 1)]
            end += 1
        if cost == CPX_NO_COST:
            begin = end = end + 1
            total = floor = 0
        elif end == first + length and total <= room:
            if shop.source != NULL or is_run_allowed(core, shop.block, first, end, shop.lots):
                if offer_run(core, t, way, shop, first, total):
                    most = later_most = sum_room(t, way, first + 1)

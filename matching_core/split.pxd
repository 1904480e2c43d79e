"""Split: any periods of one source before the deadline, in runs of at least the task's minimum.

Rules kept here: RT2 (least cost; then the periods that come first, read in order), MB3 (runs and lots of a block offer).
`reference/split.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memset

from .market cimport first_after
from .market_types cimport *
from .runs cimport offer_run, period_cost, scale_set, try_runs
from .types cimport Core, cpx_grow


cdef inline int choice_order(const void *a, const void *b) noexcept nogil:
    """The cheaper one first; the earlier one of equals."""
    cdef const Choice *x = <const Choice *>a
    cdef const Choice *y = <const Choice *>b
    if x.cost_micro != y.cost_micro:
        return -1 if x.cost_micro < y.cost_micro else 1
    return -1 if x.period < y.period else 1


cdef inline uint32_t choices_find(
    Core *core, const Try *t, const Waypoint *way, const Shop *shop, int64_t first, Choice *choices
) noexcept nogil:
    """Fill market.costs by place in the window, CPX_NO_COST where a period alone costs too much, and sort the others."""
    cdef int64_t room = t.best.cost_micro - way.moving_micro
    cdef uint32_t n = 0
    cdef int64_t period, cost
    for period in range(way.first, way.end):
        cost = CPX_NO_COST if period < first else period_cost(core, t, shop, period)
        if cost > room:
            cost = CPX_NO_COST
        else:
            choices[n].cost_micro = cost
            choices[n].period = period
            n += 1
        core.market.costs[period - way.first] = cost
    qsort(choices, n, sizeof(Choice), choice_order)
    return n


cdef inline int64_t cheapest_sum(const Choice *choices, int64_t length) noexcept nogil:
    """What the first so many cost."""
    cdef int64_t total = 0
    cdef int64_t i
    for i in range(length):
        total = cpx_cost_sum(total, choices[i].cost_micro)
    return total


# --- runs of a minimum length: the least sums from the end of the window on ---


cdef inline int64_t *sums_at(int64_t *sums, int64_t place, int64_t length) noexcept nogil:
    return sums + place * (length + 1)


cdef inline int64_t run_cost(const int64_t *costs, int64_t place, int64_t n, int64_t length) noexcept nogil:
    """What the periods from one place on cost; CPX_NO_COST where they are not all there."""
    cdef int64_t total = 0
    cdef int64_t i
    if place + length > n:
        return CPX_NO_COST
    for i in range(place, place + length):
        total = cpx_cost_sum(total, costs[i])
    return total


cdef inline void sums_fill(
    const int64_t *costs, int64_t n, int64_t length, int64_t shortest, int64_t *idle, int64_t *busy
) noexcept nogil:
    """idle[place][k], busy[place][k]: the least cost of k periods from a place on; idle where no run reaches to it, busy
    where one does that is long enough."""
    cdef int64_t place = n
    cdef int64_t k, run, sum
    cdef int64_t *here
    for k in range(length + 1):
        sums_at(idle, n, length)[k] = sums_at(busy, n, length)[k] = CPX_NO_COST if k else 0
    while place > 0:
        place -= 1
        run = run_cost(costs, place, n, shortest)
        for k in range(length + 1):
            here = sums_at(idle, place, length)
            here[k] = sums_at(idle, place + 1, length)[k]
            sums_at(busy, place, length)[k] = here[k]
            if k >= shortest and run < CPX_NO_COST:
                sum = cpx_cost_sum(run, sums_at(busy, place + shortest, length)[k - shortest])
                if sum < here[k]:
                    here[k] = sum
            if k >= 1 and costs[place] < CPX_NO_COST:
                sum = cpx_cost_sum(costs[place], sums_at(busy, place + 1, length)[k - 1])
                here = sums_at(busy, place, length)
                if sum < here[k]:
                    here[k] = sum


cdef inline void sums_read(
    const int64_t *costs, int64_t n, int64_t length, int64_t shortest, int64_t *idle, int64_t *busy, int64_t first,
    uint32_t *periods,
) noexcept nogil:
    """The periods of the least sum, which is there; one is taken wherever that costs no more than to leave it."""
    cdef int64_t rest = length
    cdef int64_t place = 0
    cdef int64_t takes, run, least, i
    cdef bint in_run = False
    while rest > 0:
        takes = 1 if in_run else shortest
        least = sums_at(busy if in_run else idle, place, length)[rest]
        run = CPX_NO_COST if takes > rest else run_cost(costs, place, n, takes)
        if run == CPX_NO_COST or cpx_cost_sum(run, sums_at(busy, place + takes, length)[rest - takes]) != least:
            in_run = False
            place += 1
            continue
        for i in range(takes):
            periods[length - rest + i] = <uint32_t>(first + place + i)
        in_run = True
        place += takes
        rest -= takes


# --- sets ---


cdef inline int64_t set_choose(
    Core *core, const Try *t, const Waypoint *way, int64_t shortest, const Choice *choices, int64_t *sums,
    uint32_t *periods,
) noexcept nogil:
    """The least set of the task's length in runs of at least `shortest`, into periods; what it costs, or CPX_NO_COST."""
    cdef int64_t length = t.task.periods
    cdef int64_t n = way.end - way.first
    cdef int64_t *busy = sums + (n + 1) * (length + 1)
    cdef const Choice *last = choices + (length - 1)
    cdef const int64_t *costs = core.market.costs
    cdef uint32_t at = 0
    cdef int64_t place
    if shortest <= 1:
        for place in range(n):
            if costs[place] < last.cost_micro or (
                    costs[place] == last.cost_micro and way.first + place <= last.period):
                periods[at] = <uint32_t>(way.first + place)
                at += 1
        return cheapest_sum(choices, length)
    sums_fill(costs, n, length, shortest, sums, busy)
    if sums[length] < CPX_NO_COST:
        sums_read(costs, n, length, shortest, sums, busy, way.first, periods)
    return sums[length]


cdef inline int split_set(
    Core *core, Try *t, const Waypoint *way, const Shop *shop, int64_t shortest, int64_t first
) noexcept nogil:
    """The best set of a shop, from a period on; 0, or -1 without memory."""
    cdef Market *market = &core.market
    cdef uint64_t n = <uint64_t>(way.end - way.first)
    cdef uint64_t length = t.task.periods
    cdef uint64_t n_sums = 2 * (n + 1) * (length + 1) if shortest > 1 else 0
    cdef uint32_t periods[1024]
    cdef Choice *choices
    cdef int64_t cost
    cdef uint64_t i
    if cpx_grow(&market.scratch, &market.scratch_capacity, n * sizeof(Choice) + n_sums * sizeof(int64_t), 1):
        return -1
    choices = <Choice *>market.scratch
    if choices_find(core, t, way, shop, first, choices) < length:
        return 0
    if cheapest_sum(choices, <int64_t>length) > t.best.cost_micro - way.moving_micro:
        return 0
    cost = set_choose(core, t, way, shortest, choices, <int64_t *>(choices + n), periods)
    if cost < CPX_NO_COST and offer_run(core, t, way, shop, periods[0], cost):
        for i in range(length):
            market.periods[i] = periods[i]
    return 0


cdef inline int split_block(Core *core, Try *t, const Waypoint *way, const Shop *shop, int64_t shortest) noexcept nogil:
    """MB3: a whole run as a block would take it, or a set whose runs and lots are large enough."""
    cdef uint32_t n_better = t.n_better
    cdef uint32_t i
    scale_set(t, NULL, 1, 1, 1)
    memset(core.market.bounds, 0, <size_t>(way.end - way.first) * sizeof(int64_t))
    try_runs(core, t, way, shop)
    if t.n_better != n_better:
        for i in range(t.task.periods):
            core.market.periods[i] = <uint32_t>t.best.first + i
    if shop.lots < shop.block.min_lots or shop.block.min_periods > t.task.periods:
        return 0
    if shop.block.min_periods > shortest:
        shortest = shop.block.min_periods
    return split_set(core, t, way, shop, shortest, first_after(core, shop.block.notice_ns))


cdef inline int split_shop(Core *core, Try *t, const Waypoint *way, const Shop *shop) noexcept nogil:
    """The best candidate of one shop; 0, or -1 without memory."""
    cdef int64_t shortest = t.task.min_run if t.task.min_run > 1 else 1
    if shop.source == NULL:
        return split_block(core, t, way, shop, shortest)
    return split_set(core, t, way, shop, shortest, 0)

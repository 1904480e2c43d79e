"""The best block or split: families in the order of their bounds, until no bound can win.

Rules kept here: RT2, K3 (never above the limit). `reference/runs.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from .market_types cimport *
from .quotes cimport least_run, quote_of, quote_renew
from .rows cimport runs_bound
from .runs cimport offer_run, scale_set, scaled, shop_of_block, shop_of_source, try_run, try_runs
from .split cimport split_shop
from .types cimport CPX_SHAPE_SPLIT, NONE, Core
from .ways cimport may_win, way_bound, way_sink, ways_sort


# --- one family ---


cdef inline void try_quoted(Core *core, Try *t, const Waypoint *way, const Shop *shop, uint32_t quote) noexcept nogil:
    """A source whose row says just what the task's lots cost: its least run, the earliest of equals."""
    cdef const int64_t *sums = core.market.bounds
    cdef int64_t least = least_run(
        shop.family, shop.source, quote, way.first, way.end, t.task.periods, core.market.bounds)
    cdef int64_t first = way.first
    if least == CPX_NO_COST or least > t.best.cost_micro - way.moving_micro:
        return
    while sums[first - way.first] != least:
        first += 1
    offer_run(core, t, way, shop, first, least)


cdef inline void try_bound(Core *core, Try *t, const Waypoint *way, const Shop *shop, uint32_t quote) noexcept nogil:
    """A source whose row only says what the lots cost at least: the run of the least bound is walked first, so that few
    others need to be walked then."""
    cdef const int64_t *sums = core.market.bounds
    cdef int64_t last = way.end - t.task.periods
    cdef int64_t first = way.first
    cdef int64_t least
    scale_set(t, shop.source.rows[quote], shop.source.size, way.lots, shop.family.quotes[quote].lots)
    least = least_run(shop.family, shop.source, quote, way.first, way.end, t.task.periods, core.market.bounds)
    if scaled(t, least) > t.best.cost_micro - way.moving_micro:
        return
    while sums[first - way.first] != least:
        first += 1
    try_run(core, t, way, shop, first)
    for first in range(way.first, last + 1):  # a source ends where its ring does
        if first + t.task.periods > shop.family.base + shop.source.size:
            core.market.bounds[first - way.first] = CPX_NO_COST
    try_runs(core, t, way, shop)


cdef inline void block_sources(Core *core, Try *t, const Waypoint *way, uint32_t quote) noexcept nogil:
    """The sources of a family, with a quote that is fresh in the task's window."""
    cdef const Family *family = core.market.families + way.family
    cdef bint is_exact = family.quotes[quote].lots == way.lots and t.wanted == 0
    cdef uint32_t at = family.sources
    cdef Shop shop
    shop.lots = way.lots
    while at != NONE:
        if shop_of_source(core, t, at, &shop) and shop.source.rows[quote] != NULL:
            if is_exact and shop.source.n_minimums == 0:
                try_quoted(core, t, way, &shop, quote)
            else:
                try_bound(core, t, way, &shop, quote)
        at = core.market.sources[at].next


cdef inline void unbound_shops(Core *core, Try *t, const Waypoint *way, bint is_source) noexcept nogil:
    """The block offers of a family, or in the emergency lane its sources: every run of theirs."""
    cdef const Family *family = core.market.families + way.family
    cdef uint32_t at = family.sources if is_source else family.blocks
    cdef Shop shop
    shop.lots = way.lots
    scale_set(t, NULL, 1, 1, 1)
    memset(core.market.bounds, 0, <size_t>(way.end - way.first - t.task.periods + 1) * sizeof(int64_t))
    while at != NONE:
        if shop_of_source(core, t, at, &shop) if is_source else shop_of_block(core, t, at, &shop):
            try_runs(core, t, way, &shop)
        at = core.market.sources[at].next if is_source else core.market.blocks[at].next


cdef inline int block_way(Core *core, Try *t, Waypoint *way) noexcept nogil:
    """The best block in a family; 0, or -1 without memory."""
    cdef Family *family = core.market.families + way.family
    cdef uint32_t quote
    if t.is_emergency:
        unbound_shops(core, t, way, True)
    else:
        quote = quote_of(family, way.lots)
        if quote_renew(core, family, quote, way.first, way.end):
            return -1
        block_sources(core, t, way, quote)
    if family.blocks != NONE:
        unbound_shops(core, t, way, False)
    return 0


cdef inline int split_way(Core *core, Try *t, const Waypoint *way) noexcept nogil:
    """The best set of periods in a family; 0, or -1 without memory."""
    cdef const Family *family = core.market.families + way.family
    cdef uint32_t at = family.sources
    cdef Shop shop
    while at != NONE:
        if shop_of_source(core, t, at, &shop):
            shop.lots = way.lots
            if split_shop(core, t, way, &shop):
                return -1
        at = core.market.sources[at].next
    at = family.blocks
    while at != NONE:
        if shop_of_block(core, t, at, &shop):
            shop.lots = way.lots
            if split_shop(core, t, way, &shop):
                return -1
        at = core.market.blocks[at].next
    return 0


cdef inline void way_pop(Market *market) noexcept nogil:
    """Take the first family out of the heap."""
    market.n_heap -= 1
    if market.n_heap > 0:
        way_sink(market.heap, market.n_heap, 0, market.heap + market.n_heap)


cdef inline void way_close(Core *core, Try *t, Waypoint *way) noexcept nogil:
    """A closer bound of a family: without what has become dearer, then by its best prices in a narrow window."""
    cdef Family *family = core.market.families + way.family
    cdef bint is_narrow = way.end - way.first <= family.size // 2
    cdef int64_t least
    if way.closeness == CLOSE_OLD:
        way.bound_micro = way_bound(core, t, family, way, False)
        way.closeness = CLOSE_SIGHT if is_narrow else CLOSE_WINDOW
        return
    least = runs_bound(family.best, family.size - 1, way.first, way.end, t.task.periods, NULL)
    least = cpx_cost_sum(way.moving_micro, cpx_cost(least, way.lots))
    if least > way.bound_micro:
        way.bound_micro = least
    way.closeness = CLOSE_WINDOW


cdef inline int best_way(Core *core, Try *t) noexcept nogil:
    """Go through the families, the least bound first, until none can win; 0, or -1 without memory."""
    cdef Market *market = &core.market
    cdef bint is_block = t.task.shape != CPX_SHAPE_SPLIT
    cdef Waypoint way
    cdef int result = 0
    ways_sort(market)
    while result == 0 and market.n_heap > 0 and market.heap[0].bound_micro <= t.best.cost_micro:
        way = market.heap[0]
        if not may_win(t, &way):
            way_pop(market)
        elif is_block and way.closeness < CLOSE_WINDOW and not t.is_emergency:
            way_close(core, t, &way)
            way_sink(market.heap, market.n_heap, 0, &way)  # its place by the closer bound
        else:
            way_pop(market)
            result = block_way(core, t, &way) if is_block else split_way(core, t, &way)
    return result

"""Spread: a block whose cards come from one source, or from two of different sites, constant on each.

Rules kept here: RT2 (pairs are made of the 16 cheapest sources of a chip and a start), MB2, MB3, K3. What the 16 are depends
on the books alone: neither the clock nor a link moves a source into or out of them. `reference/spread.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport qsort

from .cells cimport LOTS_BITS
from .cheapest cimport best_way
from .market cimport lots_on_chip
from .market_types cimport *
from .runs cimport (
    is_better, is_run_allowed, period_cost, residue_cost, shop_of_block, shop_of_source, spot_order,
    spot_set,
)
from .types cimport NONE, Core, cpx_grow
from .ways cimport chip_bound, ways_find

cdef enum:
    MOST_RANKED = 16
    ASKS_OF_TWO = 8  # price ends of two sources in one period


# --- what a lot costs ---


cdef inline bint is_wanted(const Try *t, uint64_t word) noexcept nogil:
    """Whether a task buys from an ask with these marks."""
    return not word >> CELL_SHIFT & t.unwanted and (word >> CELL_SHIFT & t.wanted) == t.wanted


cdef inline int64_t unit_cost(Core *core, const Try *t, const Shop *shop, int64_t period) noexcept nogil:
    """A lot at the best price of a shop in a period; CPX_NO_COST where it has none."""
    cdef const Cell *cell
    cdef uint32_t i
    if shop.source == NULL:
        return residue_cost(core, shop.block, period, 1)
    if period >= shop.family.base + shop.source.size:
        return CPX_NO_COST
    cell = shop.source.cells + (period & (shop.source.size - 1))
    for i in range(4):
        if cell.lots[i] == 0:
            break
        if is_wanted(t, cell.lots[i]):
            return cell.units[i]
    return CPX_NO_COST


cdef inline void stock_slide(Core *core, const Try *t, Stock *stock, int64_t first) noexcept nogil:
    """Move the sum of a stock on to the run that begins with a period; each call with a later one."""
    cdef int64_t cost
    while stock.begin < first and stock.begin < stock.end:
        stock.total -= unit_cost(core, t, &stock.shop, stock.begin)
        stock.begin += 1
    if stock.end < first:
        stock.begin = stock.end = first
        stock.total = 0
    while stock.end < first + t.task.periods:
        cost = unit_cost(core, t, &stock.shop, stock.end)
        stock.end += 1
        if cost == CPX_NO_COST:
            stock.begin = stock.end
            stock.total = 0
            continue
        stock.total += cost
        while stock.total >= CPX_NO_COST:  # more than all money: in no pair
            stock.total -= unit_cost(core, t, &stock.shop, stock.begin)
            stock.begin += 1
    stock.is_there = stock.begin == first


cdef inline int64_t most_lots(const Try *t, const Shop *shop, int64_t first) noexcept nogil:
    """What a shop has in every period of a run that it has."""
    cdef int64_t most = -1
    cdef int64_t period, lots
    cdef const Cell *cell
    cdef uint32_t i
    for period in range(first, first + t.task.periods):
        lots = 0
        if shop.source == NULL:
            lots = shop.block.residues[period - shop.block.first_period].lots
        else:
            cell = shop.source.cells + (period & (shop.source.size - 1))
            for i in range(4):
                if cell.lots[i] and is_wanted(t, cell.lots[i]):
                    lots += <int64_t>(cell.lots[i] & LOTS_BITS)
        if most < 0 or lots < most:
            most = lots
    return most


# --- the sources of one chip ---


cdef inline int stock_add(Core *core, const Waypoint *way, const Shop *shop, uint64_t *n) noexcept nogil:
    cdef Market *market = &core.market
    cdef Stock *stock
    if cpx_grow(&market.scratch, &market.scratch_capacity, (n[0] + 1) * sizeof(Stock), 1):
        return -1
    stock = <Stock *>market.scratch + n[0]
    stock.shop = shop[0]
    stock.shop.lots = 1
    stock.way = way
    spot_set(&stock.spot, way, shop, 0)
    stock.total = 0
    stock.begin = stock.end = -1
    n[0] += 1
    return 0


cdef inline int64_t stocks_find(Core *core, const Try *t, uint32_t place) noexcept nogil:
    """Note every source of one chip in scratch memory, with room for the price ends behind; how many, or -1 without."""
    cdef Market *market = &core.market
    cdef const Waypoint *way
    cdef uint64_t n = 0
    cdef uint32_t i, at
    cdef Shop shop
    for i in range(market.n_heap):
        way = market.heap + i
        if way.place != place:
            continue
        at = market.families[way.family].sources
        while at != NONE:
            if shop_of_source(core, t, at, &shop) and stock_add(core, way, &shop, &n):
                return -1
            at = market.sources[at].next
        at = market.families[way.family].blocks
        while at != NONE:
            if shop_of_block(core, t, at, &shop) and stock_add(core, way, &shop, &n):
                return -1
            at = market.blocks[at].next
    if cpx_grow(&market.scratch, &market.scratch_capacity,
                n * sizeof(Stock) + HORIZON * ASKS_OF_TWO * sizeof(int64_t), 1):
        return -1
    return <int64_t>n


cdef inline bint ranks_before(Core *core, const Try *t, Stock *a, Stock *b, int64_t first) noexcept nogil:
    """Least unit cost first, then round trip, region, site, id."""
    if a.total != b.total:
        return a.total < b.total
    if a.way.rtt_us != b.way.rtt_us:
        return a.way.rtt_us < b.way.rtt_us
    return spot_order(core, t, &a.spot, &b.spot, first) < 0


cdef inline uint32_t rank(
    Core *core, const Try *t, Stock *stocks, int64_t n, int64_t first, Stock **ranked
) noexcept nogil:
    """Fill ranked[16] with the cheapest sources of a start, in order; how many."""
    cdef uint32_t n_ranked = 0
    cdef uint32_t at
    cdef int64_t i
    for i in range(n):
        stocks[i].spot.id = 0
        if not stocks[i].is_there:
            continue
        at = n_ranked
        while at > 0 and ranks_before(core, t, stocks + i, ranked[at - 1], first):
            if at < MOST_RANKED:
                ranked[at] = ranked[at - 1]
            at -= 1
        if at < MOST_RANKED:
            ranked[at] = stocks + i
            n_ranked += n_ranked < MOST_RANKED
    return n_ranked


# --- pairs ---


cdef inline int number_order(const void *a, const void *b) noexcept nogil:
    cdef int64_t x = (<const int64_t *>a)[0]
    cdef int64_t y = (<const int64_t *>b)[0]
    return -1 if x < y else x > y


cdef inline void end_add(int64_t lots, int64_t low, int64_t high, int64_t *ends, uint32_t *n) noexcept nogil:
    """Note a division that is within bounds."""
    if low <= lots <= high:
        ends[n[0]] = lots
        n[0] += 1


cdef inline void ends_of(
    const Try *t, const Stock *stock, int64_t first, int64_t whole, int64_t low, int64_t high, int64_t *ends, uint32_t *n
) noexcept nogil:
    """RT2: the lots at which a price of a source ends, or that a block offer gives at least and at most; `whole` less
    them where whole > 0."""
    cdef const Cell *cell
    cdef const BlockLine *block = stock.shop.block
    cdef int64_t period, lots
    cdef uint32_t i
    if stock.shop.source == NULL:
        lots = stock.most_lots
        end_add(whole - lots if whole else lots, low, high, ends, n)
        lots = block.min_lots if block.min_lots < lots else lots
        end_add(whole - lots if whole else lots, low, high, ends, n)
        return
    for period in range(first, first + t.task.periods):
        cell = stock.shop.source.cells + (period & (stock.shop.source.size - 1))
        lots = 0
        for i in range(4):
            if cell.lots[i] and is_wanted(t, cell.lots[i]):
                lots += <int64_t>(cell.lots[i] & LOTS_BITS)
                end_add(whole - lots if whole else lots, low, high, ends, n)


cdef inline int64_t part_cost(Core *core, const Try *t, const Stock *stock, int64_t first, int64_t lots) noexcept nogil:
    """What so many lots of one source cost over a run; CPX_NO_COST where it cannot give them."""
    cdef Shop shop = stock.shop
    cdef int64_t total = 0
    cdef int64_t period
    shop.lots = lots
    for period in range(first, first + t.task.periods):
        total = cpx_cost_sum(total, period_cost(core, t, &shop, period))
    if shop.source == NULL and total < CPX_NO_COST and not is_run_allowed(
            core, shop.block, first, first + t.task.periods, lots):
        return CPX_NO_COST
    return total


cdef inline void try_division(
    Core *core, Try *t, const Stock *one, const Stock *other, int64_t first, int64_t lots, int64_t moving_micro
) noexcept nogil:
    """The pair in which source 1 gives so many lots."""
    cdef int64_t rest = one.way.lots - lots
    cdef int64_t bound = cpx_cost_sum(cpx_cost(one.total, lots), cpx_cost(other.total, rest))
    cdef Candidate found
    if cpx_cost_sum(bound, moving_micro) > t.best.cost_micro:
        return
    found.compute_micro = part_cost(core, t, one, first, lots)
    if cpx_cost_sum(found.compute_micro, moving_micro) > t.best.cost_micro:
        return
    found.compute_micro = cpx_cost_sum(found.compute_micro, part_cost(core, t, other, first, rest))
    found.cost_micro = cpx_cost_sum(found.compute_micro, moving_micro)
    if found.cost_micro > t.best.cost_micro:
        return
    found.first = first
    found.place = one.way.place
    found.rtt_us = one.way.rtt_us if one.way.rtt_us > other.way.rtt_us else other.way.rtt_us
    found.n_spots = 2
    found.spots[0] = one.spot
    found.spots[1] = other.spot
    found.spots[0].lots = lots
    found.spots[1].lots = rest
    if is_better(core, t, &found):
        t.best = found


cdef inline void try_pair(
    Core *core, Try *t, const Stock *one, const Stock *other, int64_t first, int64_t *ends
) noexcept nogil:
    """Every division between two sources of different sites; one.spot comes before other.spot."""
    cdef int64_t whole = one.way.lots
    cdef int64_t moving_micro = one.way.moving_micro
    cdef int64_t low = whole - other.most_lots
    cdef int64_t high = one.most_lots if one.most_lots < whole - 1 else whole - 1
    cdef int64_t least = one.total if one.total < other.total else other.total
    cdef uint32_t n = 0
    cdef uint32_t i
    low = low if low > 1 else 1
    if one.spot.region != other.spot.region:
        moving_micro = cpx_cost_sum(moving_micro, other.way.moving_micro)
    if low > high or cpx_cost_sum(cpx_cost(least, whole), moving_micro) > t.best.cost_micro:
        return
    ends_of(t, one, first, 0, low, high, ends, &n)
    ends_of(t, other, first, whole, low, high, ends, &n)
    qsort(ends, n, sizeof(int64_t), number_order)
    for i in range(n):
        if i == 0 or ends[i] != ends[i - 1]:
            try_division(core, t, one, other, first, ends[i], moving_micro)


cdef inline bint is_in_time(const Try *t, const Stock *stock, int64_t first) noexcept nogil:
    """Whether its data is there by then."""
    return stock.way.first <= first and first + t.task.periods <= stock.way.end


cdef inline void try_start(Core *core, Try *t, Stock *stocks, int64_t n, int64_t first, int64_t *ends) noexcept nogil:
    """The pairs of the 16 cheapest sources of a start."""
    cdef Stock *ranked[16]
    cdef uint32_t n_ranked = rank(core, t, stocks, n, first, ranked)
    cdef uint32_t i, k
    for i in range(n_ranked):
        ranked[i].most_lots = most_lots(t, &ranked[i].shop, first)
    for i in range(n_ranked):
        for k in range(i + 1, n_ranked):
            if ranked[i].spot.account == ranked[k].spot.account:
                continue
            if not (is_in_time(t, ranked[i], first) and is_in_time(t, ranked[k], first)):
                continue
            if spot_order(core, t, &ranked[i].spot, &ranked[k].spot, first) < 0:
                try_pair(core, t, ranked[i], ranked[k], first, ends)
            else:
                try_pair(core, t, ranked[k], ranked[i], first, ends)


cdef inline void try_starts(Core *core, Try *t, Stock *stocks, int64_t n, int64_t lots) noexcept nogil:
    """Every start of one chip at which a pair may win."""
    cdef int64_t *ends = <int64_t *>(stocks + n)
    cdef int64_t first = t.open_from if t.open_from > t.task.first_period else <int64_t>t.task.first_period
    cdef int64_t end = t.sight_end if t.sight_end < t.task.end_period else <int64_t>t.task.end_period
    cdef int64_t least, i
    while first + t.task.periods <= end:
        least = CPX_NO_COST
        for i in range(n):
            stock_slide(core, t, stocks + i, first)
            if stocks[i].is_there and stocks[i].total < least:
                least = stocks[i].total
        if cpx_cost(least, lots) <= t.best.cost_micro:
            try_start(core, t, stocks, n, first, ends)
        first += 1


cdef inline int spread_find(Core *core, Try *t, const uint64_t *families) noexcept nogil:
    """The best block or pair; 0, or -1 without memory."""
    cdef Market *market = &core.market
    cdef uint32_t place, i
    cdef int64_t n, lots
    if best_way(core, t):
        return -1
    ways_find(core, t, families, True)
    for place in range(t.task.n_chips):
        if cpx_cost(chip_bound(core, t.task.chips[place].chip, t.task.periods), lots_on_chip(t.task, place)) > (
                t.best.cost_micro):
            continue
        lots = 0
        for i in range(market.n_heap):
            if market.heap[i].place == place:
                lots = market.heap[i].lots
        if lots < 2:
            continue
        n = stocks_find(core, t, place)
        if n < 0:
            return -1
        if n > 1:
            try_starts(core, t, <Stock *>market.scratch, n, lots)
    return 0

"""Where a task runs: the best of RT2's candidates over the books, block offers and links as they are now.

Nothing here changes anything but scratch memory. Which families and periods: `ways`. What is asked there: `sources`, `runs`.
Shapes: `cheapest` (block), `split`, `spread`, `bulk`. `reference/routing.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from .bulk cimport bulk_find
from .cheapest cimport best_way
from .market cimport access_reserve
from .market_types cimport *
from .runs cimport try_begin
from .spread cimport spread_find
from .types cimport CPX_SHAPE_BULK, CPX_SHAPE_SPLIT, CPX_SHAPE_SPREAD, NONE, Core
from .ways cimport is_out_of_reach, ways_find


cdef inline void found_move(Core *core, Found *found, const Spot *spot) noexcept nogil:
    """The data of one part; once a region."""
    cdef const Moving *moving
    if spot.move == NONE:
        return
    moving = &core.market.moves[spot.move].moving
    if moving.link == NONE or (found.n_moves and found.moves[0].region == moving.region):
        return
    found.moves[found.n_moves] = moving[0]
    found.n_moves += 1


cdef inline void found_set(Core *core, const Try *t, Found *found) noexcept nogil:
    """Hand out the best candidate; the periods of a split are in place already."""
    cdef const Spot *spot
    cdef FoundPart *part
    cdef uint32_t i
    memset(found, 0, sizeof(Found))
    found.compute_micro = t.best.compute_micro
    found.moving_micro = t.best.cost_micro - t.best.compute_micro
    found.first_period = <uint32_t>t.best.first
    found.chip_place = t.best.place
    found.rtt_us = t.best.rtt_us
    found.n_periods = t.task.periods
    found.n_parts = t.best.n_spots
    for i in range(t.best.n_spots):
        spot = t.best.spots + i
        part = found.parts + i
        part.account = spot.account
        part.family = spot.family
        part.block = spot.block
        part.block_id = 0 if spot.block == NONE else core.market.blocks[spot.block].id
        part.lots = spot.lots
        found.lot_periods += spot.lots * t.task.periods
        found_move(core, found, spot)
    if t.task.shape != CPX_SHAPE_SPLIT:
        for i in range(t.task.periods):
            core.market.periods[i] = found.first_period + i


cdef inline int route_find(
    Core *core, const TaskSlot *task, int64_t limit_micro, const uint64_t *families, Found *found
) noexcept nogil:
    """The best candidate within a limit, over all eligible families or those of a set: 1 found, 0 none, -1 no memory.

    Its periods are in market.periods until the next search; of a bulk, its legs in market.legs.
    """
    cdef Try t
    cdef int result
    if core.market.n_families == 0 or core.market.period_ns == 0:
        return 0
    if access_reserve(core, task.access_region):
        return -1
    try_begin(core, &t, task, limit_micro)
    if task.shape >= CPX_SHAPE_SPREAD and is_out_of_reach(core, &t):
        return 0
    ways_find(core, &t, families, False)
    if core.market.n_heap == 0 and task.shape != CPX_SHAPE_SPREAD:
        return 0
    if task.shape == CPX_SHAPE_BULK:
        return bulk_find(core, &t, found)
    if task.shape == CPX_SHAPE_SPREAD:
        result = spread_find(core, &t, families)
    else:
        result = best_way(core, &t)
    if result or t.best.n_spots == 0:
        return result
    found_set(core, &t, found)
    return 1

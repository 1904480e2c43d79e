"""The price levels of one side of a book: a sorted array of rungs, the best one last.

Everything else asks these few functions only, so that another ladder can take this one's place. Keys are mirrored:
the price for bids, minus the price for asks; the best key of either side is the largest, and one loop serves both.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memmove

from .types cimport CPX_CHECK, NONE, Ladder, Rung, cpx_grow


cdef inline int64_t ladder_key(uint32_t side, int64_t price) noexcept nogil:
    """The key of a price on a side; it is its own inverse."""
    return -price if side else price


cdef inline int ladder_reserve(Ladder *ladder) noexcept nogil:
    """Room for one more level; 0, or -1 without memory and nothing changed."""
    if ladder.n_levels < ladder.capacity:
        return 0
    return cpx_grow(<void **>&ladder.rungs, &ladder.capacity, <unsigned long long>ladder.n_levels + 1, sizeof(Rung))


cdef inline uint32_t ladder_best(const Ladder *ladder) noexcept nogil:
    """The best level, or NONE."""
    return ladder.rungs[ladder.n_levels - 1].level if ladder.n_levels else NONE


cdef inline uint32_t ladder_place(const Ladder *ladder, int64_t key) noexcept nogil:
    """The number of levels that are worse than the key; O(log levels), O(1) at the best."""
    cdef uint32_t low = 0
    cdef uint32_t high = ladder.n_levels
    cdef uint32_t middle
    if high == 0 or ladder.rungs[high - 1].key < key:
        return high
    high -= 1
    while low < high:
        middle = (low + high) >> 1
        if ladder.rungs[middle].key < key:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline uint32_t ladder_at(const Ladder *ladder, uint32_t place, int64_t key) noexcept nogil:
    """The level of exactly this key if it stands at the place that ladder_place gave, or NONE."""
    if place < ladder.n_levels and ladder.rungs[place].key == key:
        return ladder.rungs[place].level
    return NONE


cdef inline void ladder_insert(Ladder *ladder, uint32_t place, int64_t key, uint32_t level) noexcept nogil:
    """Put a new level at its place; O(levels better than it). Room was reserved before."""
    CPX_CHECK(ladder.n_levels < ladder.capacity)
    memmove(&ladder.rungs[place + 1], &ladder.rungs[place], (ladder.n_levels - place) * sizeof(Rung))
    ladder.rungs[place].key = key
    ladder.rungs[place].level = level
    ladder.n_levels += 1


cdef inline void ladder_remove(Ladder *ladder, int64_t key) noexcept nogil:
    """Take a level out; O(log levels + levels better than it)."""
    cdef uint32_t place = ladder_place(ladder, key)
    CPX_CHECK(ladder_at(ladder, place, key) != NONE)
    ladder.n_levels -= 1
    memmove(&ladder.rungs[place], &ladder.rungs[place + 1], (ladder.n_levels - place) * sizeof(Rung))


cdef inline uint32_t ladder_nth(const Ladder *ladder, uint32_t n) noexcept nogil:
    """The n-th best level, from 0, or NONE."""
    return ladder.rungs[ladder.n_levels - 1 - n].level if n < ladder.n_levels else NONE

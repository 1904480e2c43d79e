"""A small open-addressing map u64 -> u32: linear probing, backward-shift deletion, at most 5/8 full.

Rule kept here: its order is never seen. Walks that anyone can observe sort by id.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from .types cimport CPX_CHECK, NONE, Entry, Map, cpx_home, cpx_unlikely


cdef inline uint32_t map_get(const Map *m, uint64_t key) noexcept nogil:
    """The value of a key, or NONE; O(1) expected."""
    if m.n == 0:
        return NONE
    cdef uint64_t mask = m.capacity - 1
    cdef uint64_t at = cpx_home(key, m.shift)
    while m.entries[at].value != NONE:
        if m.entries[at].key == key:
            return m.entries[at].value
        at = (at + 1) & mask
    return NONE


cdef inline void map_place(Map *m, uint64_t key, uint32_t value) noexcept nogil:
    cdef uint64_t mask = m.capacity - 1
    cdef uint64_t at = cpx_home(key, m.shift)
    while m.entries[at].value != NONE:
        at = (at + 1) & mask
    m.entries[at].key = key
    m.entries[at].value = value


cdef inline int map_resize(Map *m, uint32_t bits) noexcept nogil:
    """Move everything into a table of 2^bits; 0, or -1 without memory and nothing changed."""
    cdef uint64_t capacity = <uint64_t>1 << bits
    cdef Map wider
    cdef uint64_t i
    wider.entries = <Entry *>malloc(capacity * sizeof(Entry))
    if wider.entries == NULL:
        return -1
    wider.n = m.n
    wider.shift = 64 - bits
    wider.capacity = capacity
    for i in range(capacity):
        wider.entries[i].value = NONE
    for i in range(m.capacity):
        if m.entries[i].value != NONE:
            map_place(&wider, m.entries[i].key, m.entries[i].value)
    free(m.entries)
    m[0] = wider
    return 0


cdef inline int map_reserve(Map *m, uint64_t more) noexcept nogil:
    """Room for so many more keys; 0, or -1 without memory and nothing changed."""
    cdef uint32_t bits
    if cpx_unlikely((m.n + more) * 8 > m.capacity * 5):
        bits = 4
        while (m.n + more) * 8 > (<uint64_t>5 << bits):
            bits += 1
        return map_resize(m, bits)
    return 0


cdef inline void map_put(Map *m, uint64_t key, uint32_t value) noexcept nogil:
    """Add a key that is not there; room was reserved before."""
    CPX_CHECK(value != NONE)
    CPX_CHECK(<uint64_t>m.n + 1 < m.capacity)
    CPX_CHECK(map_get(m, key) == NONE)
    map_place(m, key, value)
    m.n += 1


cdef inline void map_remove(Map *m, uint64_t key) noexcept nogil:
    """Take out a key that is there, and close the gap so that later searches need no tombstones."""
    cdef uint64_t mask = m.capacity - 1
    cdef uint64_t gap = cpx_home(key, m.shift)
    cdef uint64_t at
    CPX_CHECK(map_get(m, key) != NONE)
    while m.entries[gap].key != key or m.entries[gap].value == NONE:
        gap = (gap + 1) & mask
    at = gap
    while True:
        at = (at + 1) & mask
        if m.entries[at].value == NONE:
            break
        if ((at + m.capacity - cpx_home(m.entries[at].key, m.shift)) & mask) >= ((at + m.capacity - gap) & mask):
            m.entries[gap] = m.entries[at]
            gap = at
    m.entries[gap].value = NONE
    m.n -= 1

"""Rows of a snapshot: room for them, and the keys that bring them into canonical order."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport qsort

cdef struct RowKey:  # where a row belongs, and the index of what it tells
    uint64_t key
    uint32_t at


cdef inline int by_key(const void *a, const void *b) noexcept nogil:
    cdef uint64_t first = (<const RowKey *>a).key
    cdef uint64_t second = (<const RowKey *>b).key
    return (first > second) - (first < second)


cdef inline void sort_keys(RowKey *keys, uint64_t n) noexcept nogil:
    """Keys are distinct and mostly ascend already."""
    cdef uint64_t i
    for i in range(1, n):
        if keys[i - 1].key > keys[i].key:
            qsort(keys, n, sizeof(RowKey), by_key)
            return


cdef inline uint64_t add_key(RowKey *keys, uint64_t n, uint64_t key, uint32_t at) noexcept nogil:
    keys[n].key = key
    keys[n].at = at
    return n + 1


cdef inline bytes room_for(uint64_t n, size_t size):
    return PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(n * size))

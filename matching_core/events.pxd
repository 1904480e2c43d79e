"""What the engine needs of `events.pyx`."""

from libc.stdint cimport uint64_t

from .types cimport Event

cdef enum:
    SPARE_BUFFERS = 4  # that a pool keeps


cdef object event_record(const Event *e)


cdef class Pool:
    cdef Event *buffers[SPARE_BUFFERS]  # from malloc; the first n
    cdef uint64_t capacities[SPARE_BUFFERS]
    cdef int n
    cdef void take(self, Event **events, uint64_t *capacity) noexcept
    cdef void give(self, Event *events, uint64_t capacity, uint64_t used) noexcept


cdef class Events:
    cdef Event *events  # from malloc, or NULL; ours
    cdef Py_ssize_t n
    cdef uint64_t capacity
    cdef Pool pool  # where the buffer goes afterwards; None if it is just freed
    cdef Py_ssize_t shape[1]  # bytes, for buffer consumers
    cdef Py_ssize_t strides[1]

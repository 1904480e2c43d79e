"""What the engine needs of `events.pyx`."""

from libc.stdint cimport uint64_t

from .types cimport Event


cdef object event_record(const Event *e)


cdef class Pool:
    cdef Event *spare  # from malloc, or NULL
    cdef uint64_t capacity


cdef class Events:
    cdef Event *events  # from malloc, or NULL; ours
    cdef Py_ssize_t n
    cdef uint64_t capacity
    cdef Pool pool  # where the buffer goes afterwards; None if it is just freed
    cdef Py_ssize_t shape[1]  # bytes, for buffer consumers
    cdef Py_ssize_t strides[1]

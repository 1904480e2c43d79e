"""The events of one batch on their way out: a buffer for numpy and its like, a sequence of `Event` for all others."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_WRITABLE
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t
from libc.stdlib cimport free

from .types cimport Event

from .records import Event as EventRecord

cdef extern from "Python.h":
    ctypedef struct PyTupleObject:
        PyObject *ob_item[1]
    ctypedef struct PyTypeObject:
        pass
    object PyType_GenericAlloc(PyTypeObject *type, Py_ssize_t n)
    void PyObject_GC_UnTrack(PyObject *record)
    PyObject *PyLong_FromLong(long value)
    PyObject *PyLong_FromLongLong(long long value)
    PyObject *PyLong_FromUnsignedLongLong(unsigned long long value)

cdef enum:
    EVENT_FIELDS = 12
    SMALL_BUFFER = 65_536  # events; a larger buffer is kept only if it was well used,
    LARGE_BUFFER = 262_144  # one that is larger than this is never kept

cdef char *BYTES_FORMAT = b"B"


cdef object event_record(const Event *e):
    """One Event, made in place: the way through its constructor costs more than most commands."""
    cdef object record = PyType_GenericAlloc(<PyTypeObject *>EventRecord, EVENT_FIELDS)
    cdef PyObject **fields = (<PyTupleObject *>record).ob_item
    cdef int i
    fields[0] = PyLong_FromUnsignedLongLong(e.seq)
    fields[1] = PyLong_FromLong(e.kind)
    fields[2] = PyLong_FromLong(e.side)
    fields[3] = PyLong_FromLong(e.reason)
    fields[4] = PyLong_FromLong(e.flags)
    fields[5] = PyLong_FromLong(e.book)
    fields[6] = PyLong_FromUnsignedLongLong(e.order_id)
    fields[7] = PyLong_FromUnsignedLongLong(e.contra_id)
    fields[8] = PyLong_FromLongLong(e.price)
    fields[9] = PyLong_FromLongLong(e.qty)
    fields[10] = PyLong_FromLongLong(e.leaves)
    fields[11] = PyLong_FromLongLong(e.contra_leaves)
    for i in range(EVENT_FIELDS):
        if fields[i] == NULL:
            raise MemoryError("no memory for an event")
    PyObject_GC_UnTrack(<PyObject *>record)  # numbers only
    return record


cdef class Pool:
    """Spare event buffers: what one batch used, a later one takes over."""

    def __dealloc__(self):
        cdef int i
        for i in range(self.n):
            free(self.buffers[i])

    cdef void take(self, Event **events, uint64_t *capacity) noexcept:
        """The buffer given back last, or NULL."""
        events[0] = NULL
        capacity[0] = 0
        if self.n > 0:
            self.n -= 1
            events[0] = self.buffers[self.n]
            capacity[0] = self.capacities[self.n]

    cdef void give(self, Event *events, uint64_t capacity, uint64_t used) noexcept:
        """Keep a buffer unless it is huge, or large and hardly used: a mass expiry must not hold memory for ever."""
        if self.n == SPARE_BUFFERS or capacity > LARGE_BUFFER or (capacity > SMALL_BUFFER and used * 4 < capacity):
            free(events)
            return
        self.buffers[self.n] = events
        self.capacities[self.n] = capacity
        self.n += 1


cdef class Events:
    """The event records of one batch: a read-only buffer of 64-byte records that also reads as a sequence of Event."""

    __hash__ = None

    def __dealloc__(self):
        if self.pool is None:
            free(self.events)
        else:
            self.pool.give(self.events, self.capacity, <uint64_t>self.n)

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("events cannot be written to")
        self.shape[0] = self.n * <Py_ssize_t>sizeof(Event)
        self.strides[0] = 1
        view.buf = <void *>self.events if self.events != NULL else <void *>self.shape
        view.obj = self
        view.len = self.shape[0]
        view.itemsize = 1
        view.readonly = 1
        view.ndim = 1
        view.format = NULL
        if flags & PyBUF_FORMAT == PyBUF_FORMAT:
            view.format = BYTES_FORMAT
        view.shape = self.shape
        view.strides = self.strides
        view.suboffsets = NULL
        view.internal = NULL

    def __releasebuffer__(self, Py_buffer *view):
        pass

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if isinstance(index, slice):
            return list(self)[index]
        cdef Py_ssize_t at = index
        if at < -self.n or at >= self.n:
            raise IndexError(f"event {index} of {self.n}")
        return event_record(self.events + (at if at >= 0 else at + self.n))

    def __iter__(self):
        cdef Py_ssize_t i
        for i in range(self.n):
            yield event_record(self.events + i)

    def __bytes__(self):
        return PyBytes_FromStringAndSize(<const char *>self.events, self.n * <Py_ssize_t>sizeof(Event))

    def __eq__(self, other):
        try:
            return memoryview(self) == memoryview(other).cast("B")
        except TypeError:
            return NotImplemented

    def __repr__(self):
        return f"<Events {self.n}>"

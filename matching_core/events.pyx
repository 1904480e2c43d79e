"""The events of one batch on their way out: a buffer for numpy and friends, a sequence of `Event` for everybody else."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_WRITABLE
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport free

from .types cimport Event

from .records import Event as EventRecord

cdef char *BYTES_FORMAT = b"B"


cdef object event_record(const Event *e):
    return EventRecord._make((e.seq, e.kind, e.side, e.reason, e.flags, e.book, e.order_id, e.contra_id, e.price, e.qty,
                              e.leaves, e.contra_leaves))


cdef class Pool:
    """One spare event buffer: what one batch used, the next one takes over."""

    def __dealloc__(self):
        free(self.spare)


cdef class Events:
    """The event records of one batch: a read-only buffer of 64-byte records that also reads as a sequence of Event."""

    __hash__ = None

    def __dealloc__(self):
        if self.pool is not None and self.pool.spare == NULL:
            self.pool.spare = self.events
            self.pool.capacity = self.capacity
        else:
            free(self.events)

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

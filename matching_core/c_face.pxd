"""The C face: the engine as plain functions behind one table, for programs that do not want Python in their way.

`c_api_capsule` publishes the table; include/matching_core.h is its contract, `docs/guides/c.md` tells it. The functions
stand here so that the engine's own code serves C too and is compiled once.
Rules kept here: no function touches a Python object; a wrong argument is answered and changes nothing; IC1 (depth shows
what is displayed).
"""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from .accounts cimport account_find, order_hold
from .batch cimport run
from .book cimport book_at, book_of, ext_at, is_open, order_at, order_displayed
from .core cimport core_free, core_init, events_begin
from .directory cimport book_find, order_find
from .ladder cimport ladder_below, ladder_level, level_at, price_key
from .types cimport CPX_SIDE_BUY, CPX_SIDE_SELL, NONE, AccountLine, BookLine, Command, Core, Event, Ext, OrderSlot

cdef extern from "matching_core.h" nogil:
    ctypedef struct Handle "cpx_engine":  # a Core; C programs see its address only
        pass

    ctypedef struct Quote "cpx_quote":
        int64_t bid_price
        uint64_t bid_qty
        int64_t ask_price
        uint64_t ask_qty

    ctypedef struct Depth "cpx_level":
        int64_t price
        uint64_t qty, orders

    ctypedef struct OrderView "cpx_order":
        uint64_t order_id, client_ref
        int64_t price, qty, leaves, expiry_ns, hold_micro, aux, shown
        uint32_t book, account
        uint8_t side, order_type, tif, flags, stp

    ctypedef struct Api "cpx_api":
        uint32_t struct_size, version
        Handle *(*create)(uint32_t, int, int) noexcept
        void (*destroy)(Handle *) noexcept
        uint64_t (*process)(Handle *, const Command *, uint64_t, uint64_t, uint64_t) noexcept
        const Event *(*events)(const Handle *, uint64_t *) noexcept
        int (*top)(const Handle *, uint32_t, Quote *) noexcept
        uint32_t (*depth)(const Handle *, uint32_t, uint8_t, Depth *, uint32_t) noexcept
        int (*order)(const Handle *, uint64_t, OrderView *) noexcept
        int (*balance)(const Handle *, uint32_t, int64_t *) noexcept
        uint64_t (*n_orders)(const Handle *) noexcept
        int64_t (*now_ns)(const Handle *) noexcept

    const uint32_t CPX_API_VERSION, CPX_MAX_ORDERS
    const int64_t CPX_MAX_SEQ

cdef extern from *:
    """
    static cpx_api cpx_c_api; /* filled when the module is imported, the same ever after */
    """
    Api cpx_c_api


# --- life of an engine ---


cdef inline Handle *api_create(uint32_t max_orders, int check_funds, int listed_only) noexcept nogil:
    cdef Core *core
    if max_orders < 1 or max_orders > CPX_MAX_ORDERS:
        return NULL
    core = <Core *>malloc(sizeof(Core))
    if core != NULL and core_init(core, max_orders, check_funds != 0, listed_only != 0):
        free(core)
        core = NULL
    return <Handle *>core


cdef inline void api_destroy(Handle *engine) noexcept nogil:
    if engine != NULL:
        core_free(<Core *>engine)
        free(engine)


# --- commands in, events out ---


cdef inline bint is_sequence(uint64_t first_seq, uint64_t seq_step, uint64_t count) noexcept nogil:
    """Whether every number of a batch stays within CPX_MAX_SEQ."""
    cdef uint64_t last = <uint64_t>CPX_MAX_SEQ
    return first_seq <= last and (count < 2 or seq_step <= (last - first_seq) // (count - 1))


cdef inline uint64_t api_process(
    Handle *engine, const Command *commands, uint64_t count, uint64_t first_seq, uint64_t seq_step
) noexcept nogil:
    cdef Core *core = <Core *>engine
    if core == NULL:
        return 0
    events_begin(core)
    if commands == NULL or not is_sequence(first_seq, seq_step, count):
        return 0
    return run(core, commands, count, first_seq, seq_step)


cdef inline const Event *api_events(const Handle *engine, uint64_t *count) noexcept nogil:
    cdef const Core *core = <const Core *>engine
    if count != NULL:
        count[0] = 0 if core == NULL else core.n_events
    return NULL if core == NULL else core.events


# --- questions; they change nothing ---


cdef inline BookLine *open_book(Core *core, uint32_t book) noexcept nogil:
    """The line of an open book, or NULL."""
    cdef uint32_t at = NONE if core == NULL else book_find(core, book)
    if at == NONE or not is_open(book_at(core, at)):
        return NULL
    return book_at(core, at)


cdef inline bint show_level(Core *core, const BookLine *book, uint32_t side, int64_t key, Depth *out) noexcept nogil:
    """IC1: what a level displays; False where that is nothing."""
    cdef uint32_t slot = level_at(core, ladder_level(core, book, side, key)).head
    cdef int64_t lots
    out.price = price_key(side, key)
    out.qty = 0
    out.orders = 0
    while slot != NONE:
        lots = order_displayed(core, order_at(core, slot))
        if lots > 0:
            out.qty += <uint64_t>lots
            out.orders += 1
        slot = order_at(core, slot).next
    return out.orders > 0


cdef inline uint32_t show_side(
    Core *core, const BookLine *book, uint32_t side, Depth *out, uint32_t levels
) noexcept nogil:
    cdef Depth level
    cdef uint32_t n = 0
    cdef int64_t key = book.best[side]
    while key >= 0 and n < levels:
        if show_level(core, book, side, key, &level):
            out[n] = level
            n += 1
        key = ladder_below(core, book, side, key)
    return n


cdef inline int api_top(const Handle *engine, uint32_t book, Quote *out) noexcept nogil:
    cdef Core *core = <Core *>engine
    cdef BookLine *line = open_book(core, book)
    cdef Depth best
    if out == NULL:
        return 0
    memset(out, 0, sizeof(Quote))
    if line == NULL:
        return 0
    if show_side(core, line, CPX_SIDE_BUY, &best, 1):
        out.bid_price = best.price
        out.bid_qty = best.qty
    if show_side(core, line, CPX_SIDE_SELL, &best, 1):
        out.ask_price = best.price
        out.ask_qty = best.qty
    return 1


cdef inline uint32_t api_depth(
    const Handle *engine, uint32_t book, uint8_t side, Depth *out, uint32_t levels
) noexcept nogil:
    cdef Core *core = <Core *>engine
    cdef BookLine *line = open_book(core, book)
    if line == NULL or side > CPX_SIDE_SELL or out == NULL:
        return 0
    return show_side(core, line, side, out, levels)


cdef inline int api_order(const Handle *engine, uint64_t order_id, OrderView *out) noexcept nogil:
    cdef Core *core = <Core *>engine
    cdef uint32_t slot
    cdef OrderSlot *order
    cdef Ext *ext
    if out == NULL:
        return 0
    memset(out, 0, sizeof(OrderView))
    slot = NONE if core == NULL or order_id == 0 else order_find(core, order_id)
    if slot == NONE:
        return 0
    order = order_at(core, slot)
    out.order_id = order.id
    out.client_ref = order.client_ref
    out.price = order.price
    out.qty = order.qty
    out.leaves = order.leaves
    out.hold_micro = order_hold(core, order, book_of(core, order))
    out.book = book_of(core, order).id
    out.account = order.account
    out.side = order.book_side & 1
    if order.ext != NONE:
        ext = ext_at(core, order.ext)
        out.expiry_ns = ext.expiry_ns
        out.aux = ext.aux
        out.shown = ext.shown
        out.order_type = ext.order_type
        out.tif = ext.tif
        out.flags = ext.flags
        out.stp = ext.stp
    return 1


cdef inline int api_balance(const Handle *engine, uint32_t account, int64_t *purses) noexcept nogil:
    cdef Core *core = <Core *>engine
    cdef AccountLine *line = NULL if core == NULL else account_find(core, account)
    if purses == NULL:
        return 0
    if line == NULL:
        memset(purses, 0, sizeof(line.purses))
        return 0
    memcpy(purses, line.purses, sizeof(line.purses))
    return 1


cdef inline uint64_t api_n_orders(const Handle *engine) noexcept nogil:
    return 0 if engine == NULL else (<const Core *>engine).n_orders


cdef inline int64_t api_now_ns(const Handle *engine) noexcept nogil:
    return 0 if engine == NULL else (<const Core *>engine).now_ns


# --- the table ---


cdef inline object c_api_capsule():
    """The capsule that cpx_import of matching_core_api.h asks for, under the name it asks for."""
    cpx_c_api.struct_size = sizeof(Api)
    cpx_c_api.version = CPX_API_VERSION
    cpx_c_api.create = api_create
    cpx_c_api.destroy = api_destroy
    cpx_c_api.process = api_process
    cpx_c_api.events = api_events
    cpx_c_api.top = api_top
    cpx_c_api.depth = api_depth
    cpx_c_api.order = api_order
    cpx_c_api.balance = api_balance
    cpx_c_api.n_orders = api_n_orders
    cpx_c_api.now_ns = api_now_ns
    return PyCapsule_New(&cpx_c_api, "matching_core.engine.C_API", NULL)

"""The taker meets the book in continuous trading: what it may fill, what it fills, and what becomes of the rest.

Rules kept here: C5, C6 (best price, then first come, at the maker's price), F1-F4, MQ1, MQ2, IC3, M1, M2, ST0-ST3, B1-B3.
A maker is looked at in this order: is it within the limit, would its minimum be met, is it of the same firm, may it
print. Before anything trades, `executable` goes the same way without touching the book; both must always agree.
This is the loop for any order in any book; `plain.pxd` has the short one. `reference/matching.py`, `stp.py` and
`bands.py` are the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .accounts cimport are_one_firm, order_hold
from .book cimport (
    book_at, book_of, emit, ext_at, order_at, order_free, order_front, order_minimum, rules_of,
)
from .ladder cimport KEY_SPAN, ladder_below, ladder_level, level_at, price_key
from .dirt cimport dirty_if_idle, mark
from .phases cimport call_volatility, phase_of
from .queue cimport after_fill, discard, rest, settle, shrink, withdraw
from .sources cimport book_rules_changed
from .types cimport *

# --- bands ---


cdef inline bint is_limit_outside(Core *core, const BookLine *book, int64_t price) noexcept nogil:
    """B2: whether a limit is outside the static band; without a band or a reference none is."""
    cdef const BookRules *rules = rules_of(core, book)
    return rules != NULL and rules.static_ppm and rules.reference and not cpx_is_within(
        price, rules.reference, rules.static_ppm)


cdef inline int64_t dynamic_base(const BookRules *rules) noexcept nogil:
    """B3: what prints are measured from during one command: the last trade, else the reference; 0 = no band."""
    if rules == NULL or rules.dynamic_ppm == 0:
        return 0
    return rules.last if rules.last else rules.reference


cdef inline int64_t worst_price(Core *core, const OrderSlot *order, const BookLine *book) noexcept nogil:
    """How far an order goes as a taker: its limit, or what M2 leaves of a market order's worst price."""
    cdef const BookRules *rules = rules_of(core, book)
    cdef uint32_t side = order.book_side & 1
    cdef int64_t worst = price_key(1 - side, order.price)  # in keys of the other side the largest stop is the nearest
    cdef int64_t stop
    if rules == NULL or order.ext == NONE or ext_at(core, order.ext).order_type == CPX_ORDER_TYPE_LIMIT:
        return worst
    if rules.collar_ticks and book.best[1 - side] >= 0:
        stop = book.best[1 - side] - rules.collar_ticks
        worst = stop if stop > worst else worst
    if rules.static_ppm and rules.reference:
        if side == CPX_SIDE_BUY:
            stop = KEY_SPAN - cpx_upper_edge(rules.reference, rules.static_ppm)  # an edge may lie beyond every price
        else:
            stop = cpx_lower_edge(rules.reference, rules.static_ppm)
        worst = stop if stop > worst else worst
    return worst


# --- self-trade prevention ---


cdef inline uint8_t stp_mode(Core *core, const OrderSlot *taker, const BookLine *book) noexcept nogil:
    """ST0: the CPX_STP_* that a taker has in this book."""
    if taker.ext != NONE and ext_at(core, taker.ext).stp:
        return ext_at(core, taker.ext).stp
    return 0 if book.rules == NONE else rules_of(core, book).stp


cdef inline bint stp_meet(Core *core, uint32_t taker, uint32_t maker, uint8_t mode) noexcept nogil:
    """Apply the mode to a taker and its own maker; whether the taker goes on."""
    cdef OrderSlot *order = order_at(core, taker)
    cdef OrderSlot *own = order_at(core, maker)
    cdef int64_t lots = order.leaves if order.leaves < own.leaves else own.leaves
    if mode == CPX_STP_CANCEL_OLDEST or mode == CPX_STP_CANCEL_BOTH or (
            mode == CPX_STP_DECREMENT and own.leaves == lots):
        withdraw(core, maker, CPX_KIND_CANCELED, CPX_CANCEL_SELF_TRADE)
    elif mode == CPX_STP_DECREMENT:
        shrink(core, maker, own.leaves - lots, CPX_EVENT_SELF_TRADE)
    if mode == CPX_STP_DECREMENT and order.leaves > lots:
        shrink(core, taker, order.leaves - lots, CPX_EVENT_SELF_TRADE)
    elif mode != CPX_STP_CANCEL_OLDEST:
        discard(core, taker, CPX_KIND_CANCELED, CPX_CANCEL_SELF_TRADE)
        return False
    return True


# --- what would trade ---


cdef inline int64_t executable(Core *core, uint32_t slot) noexcept nogil:
    """How many lots `match_taker` would trade now; O(makers). Hidden slices follow once every maker of a level had its turn."""
    cdef OrderSlot *taker = order_at(core, slot)
    cdef BookLine *book = book_of(core, taker)
    cdef uint32_t side = 1 - (taker.book_side & 1)
    cdef int64_t limit = worst_price(core, taker, book)
    cdef uint8_t mode = stp_mode(core, taker, book)
    cdef const BookRules *rules = rules_of(core, book)
    cdef int64_t base = dynamic_base(rules)
    cdef int64_t missing = taker.leaves
    cdef int64_t traded = 0
    cdef int64_t key = book.best[side]
    cdef int64_t lots
    cdef uint64_t hidden
    cdef uint32_t at
    cdef OrderSlot *maker
    while key >= limit and missing > 0:
        hidden = 0
        at = level_at(core, ladder_level(core, book, side, key)).head
        while at != NONE and missing > 0:
            maker = order_at(core, at)
            at = maker.next
            lots = missing if missing < maker.leaves else maker.leaves
            if lots < order_minimum(core, maker):
                continue
            if mode and are_one_firm(core, taker.account, maker.account):
                if mode == CPX_STP_CANCEL_NEWEST or mode == CPX_STP_CANCEL_BOTH:
                    return traded
                if mode == CPX_STP_DECREMENT:
                    missing -= lots
                continue
            if base and not cpx_is_within(maker.price, base, rules.dynamic_ppm):
                return traded
            lots = order_front(core, maker)
            lots = missing if missing < lots else lots
            missing -= lots
            traded += lots
            hidden += <uint64_t>(maker.leaves - order_front(core, maker))
        lots = missing if <uint64_t>missing < hidden else <int64_t>hidden
        missing -= lots
        traded += lots
        key = ladder_below(core, book, side, key)
    return traded


cdef inline OrderSlot *first_tradable(
    Core *core, const BookLine *book, uint32_t side, int64_t price, int64_t leaves
) noexcept nogil:
    """PO1: the first maker that an order of this side would trade with, whoever owns it; NULL if it would rest."""
    cdef int64_t limit = price_key(1 - side, price)
    cdef int64_t key = book.best[1 - side]
    cdef uint32_t at
    cdef OrderSlot *maker
    while key >= limit:
        at = level_at(core, ladder_level(core, book, 1 - side, key)).head
        while at != NONE:
            maker = order_at(core, at)
            if (leaves if leaves < maker.leaves else maker.leaves) >= order_minimum(core, maker):
                return maker
            at = maker.next
        key = ladder_below(core, book, 1 - side, key)
    return NULL


# --- what trades ---


cdef inline void last_set(Core *core, BookLine *book, int64_t price) noexcept nogil:
    """The price of the last trade of a book that was set up; RT4: its dynamic band may move."""
    cdef BookRules *rules = rules_of(core, book)
    if rules.dynamic_ppm and rules.last != price:
        mark(core, book)
        book_rules_changed(core, book)
    rules.last = price


cdef inline void fill(Core *core, uint32_t taker, uint32_t maker, int64_t lots) noexcept nogil:
    """One fill at the maker's price, and the money and capacity that move with it."""
    cdef OrderSlot *order = order_at(core, taker)
    cdef OrderSlot *other = order_at(core, maker)
    cdef BookLine *book = book_of(core, order)
    cdef uint8_t side = order.book_side & 1
    cdef OrderSlot *buy = other if side else order
    cdef OrderSlot *sell = order if side else other
    cdef int64_t hold_before = order_hold(core, buy, book)
    order.leaves -= lots
    other.leaves -= lots
    emit(core, CPX_KIND_TRADE, side, 0, 0, book.id, order.id, other.id, other.price, lots, order.leaves, other.leaves)
    settle(core, book, buy, sell, other.price, lots, hold_before, 0)
    if book.rules != NONE:
        last_set(core, book, other.price)
    after_fill(core, maker, lots)


cdef enum:
    TAKER_LIVES = 0  # with lots left, or filled
    TAKER_STOPPED = 1  # by the dynamic band
    TAKER_GONE = 2  # cancelled by self-trade prevention, its slot is free


cdef inline int match_taker(Core *core, uint32_t slot) noexcept nogil:
    """Trade while a maker is there; TAKER_*. Makers that are passed over stay where they are, in front of the cursor."""
    cdef OrderSlot *taker = order_at(core, slot)
    cdef BookLine *book = book_of(core, taker)
    cdef uint32_t side = 1 - (taker.book_side & 1)
    cdef int64_t limit = worst_price(core, taker, book)
    cdef uint8_t mode = stp_mode(core, taker, book)
    cdef const BookRules *rules = rules_of(core, book)
    cdef int64_t base = dynamic_base(rules)  # as it was before this command: a sweep cannot carry its own band along
    cdef int64_t key = book.best[side]
    cdef int64_t lots, front
    cdef uint32_t at = NONE
    cdef uint32_t following
    cdef OrderSlot *maker
    while taker.leaves > 0:
        if at == NONE:  # the next level
            if key < limit:
                break
            at = level_at(core, ladder_level(core, book, side, key)).head
        maker = order_at(core, at)
        following = maker.next
        lots = taker.leaves if taker.leaves < maker.leaves else maker.leaves
        if lots < order_minimum(core, maker):
            pass
        elif mode and are_one_firm(core, taker.account, maker.account):
            if not stp_meet(core, slot, at, mode):
                return TAKER_GONE
        elif base and not cpx_is_within(maker.price, base, rules.dynamic_ppm):
            return TAKER_STOPPED
        else:
            front = order_front(core, maker)
            lots = front if front < taker.leaves else taker.leaves
            if lots == front and lots < maker.leaves and following == NONE:
                following = at  # an iceberg at the tail shows its next slice where it stands
            fill(core, slot, at, lots)
        at = following
        if at == NONE:
            key = ladder_below(core, book, side, key)
    return TAKER_LIVES


cdef inline uint8_t why_not_at_all(Core *core, uint32_t slot) noexcept nogil:
    """F1, MQ1: 0, or why nothing of the order may trade now."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef int64_t minimum = order_minimum(core, order)
    if ext_at(core, order.ext).tif == CPX_TIF_FOK and executable(core, slot) < order.leaves:
        return CPX_CANCEL_FOK
    if minimum and executable(core, slot) < minimum:
        return CPX_CANCEL_MIN_QTY
    return 0


cdef inline bint may_rest(const Ext *ext) noexcept nogil:
    """Whether what does not trade stays in the book; a market order only waits for the end of a call."""
    if ext.tif == CPX_TIF_IOC or ext.tif == CPX_TIF_FOK:
        return False
    return ext.order_type == CPX_ORDER_TYPE_LIMIT or ext.flags & CPX_FLAG_AUCTION_ONLY != 0


cdef inline void work(Core *core, uint32_t slot) noexcept nogil:
    """Trade what crosses; then rest, or cancel what may not rest. The order is known and in no queue; it has an Ext."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef Ext *ext = ext_at(core, order.ext)
    cdef uint32_t at = order.book_side >> 1
    cdef int64_t filled_before = order.qty - order.leaves
    cdef uint8_t reason
    cdef int outcome
    if phase_of(core, book_at(core, at)) != CPX_PHASE_OPEN:  # a call collects
        rest(core, slot, 0)
        return
    reason = why_not_at_all(core, slot)
    if reason == CPX_CANCEL_MIN_QTY and may_rest(ext):
        rest(core, slot, 0)
        return
    if reason:
        discard(core, slot, CPX_KIND_CANCELED, reason)
        return
    outcome = match_taker(core, slot)
    if outcome == TAKER_GONE:
        return
    if order.leaves == 0:
        order_free(core, slot)
        dirty_if_idle(core, book_at(core, at))
    elif may_rest(ext):
        rest(core, slot, order.qty - order.leaves - filled_before)
    else:
        if outcome == TAKER_STOPPED:
            reason = CPX_CANCEL_BAND
        else:
            reason = CPX_CANCEL_IOC if ext.order_type == CPX_ORDER_TYPE_LIMIT else CPX_CANCEL_NO_LIQUIDITY
        discard(core, slot, CPX_KIND_CANCELED, reason)
    if outcome == TAKER_STOPPED:
        call_volatility(core, at)

"""The call auction: who trades with whom at the one price, and what is told while a call lasts.

Rules kept here: U8-U11, H4, ST4, T4. Better prices first; within a level market orders, then what stands in the queue,
then what is hidden, each first come. A call is looked at again only when something of it has changed and its interval
is over: `core.news` has first those that wait, with the time before which none of them is due, then the fresh ones.
`figures.pxd` finds the price; `reference/auction.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .accounts cimport are_one_firm, order_hold
from .book cimport (
    book_at, emit, events_reserve, ext_at, is_iceberg, order_at, order_flags, order_free, order_front, rules_of,
)
from .figures cimport (
    Balance, Figures, balance_between, balance_volume, base_price, figures, is_market, lots_told, walk_after,
    walk_first,
)
from .ladder cimport ladder_best, level_at, price_key
from .queue cimport queue_leave, replenish, settle, withdraw
from .setup cimport news_put
from .types cimport *

cdef struct Part:  # U8, U9: lots whose turn it is: of market orders, then what stands in the queue, then what is hidden
    uint32_t side
    uint32_t slot  # whose they are, or NONE: look for the next ones
    uint32_t turn
    int64_t key  # of the level
    int64_t left


# --- the uncross ---


cdef inline bint is_outside_corridor(const BookRules *rules, const Figures *found) noexcept nogil:
    """H4: the corridor is as many steps wide as the call has been tried."""
    cdef uint64_t width = <uint64_t>rules.corridor_ppm * (<uint64_t>rules.extensions + 1)
    if found.volume == 0 or width == 0 or base_price(rules) == 0:
        return False
    return not cpx_is_within(found.price, base_price(rules), width)


cdef inline uint64_t n_call_orders(Core *core, const BookLine *book) noexcept nogil:
    """T4: how many orders end with the call."""
    cdef uint64_t n = 0
    cdef uint32_t side, slot
    for side in range(2):
        slot = walk_first(core, book, side)
        while slot != NONE:
            n += order_flags(core, order_at(core, slot)) & CPX_FLAG_AUCTION_ONLY != 0
            slot = walk_after(core, slot)
    return n


cdef inline int uncross_reserve(Core *core, uint32_t at, const Figures *found) noexcept nogil:
    """Room for the events of an uncross; 0, or -1 without memory. There are fewer trades than parts that cross."""
    cdef const BookLine *book = book_at(core, at)
    cdef uint64_t parts = 0
    cdef uint64_t icebergs = 0
    cdef uint32_t side, slot
    for side in range(2):
        slot = walk_first(core, book, side) if found.volume else NONE
        while slot != NONE and price_key(side, order_at(core, slot).price) >= price_key(side, found.price):
            icebergs += is_iceberg(core, order_at(core, slot))
            parts += 1
            slot = walk_after(core, slot)
    parts = (parts + icebergs) * (2 if core.check_funds else 1)
    return events_reserve(core, parts + icebergs + n_call_orders(core, book) + 2)


cdef inline int64_t part_lots(Core *core, const OrderSlot *order, uint32_t turn) noexcept nogil:
    """What an order has to trade in a turn; in the last one only icebergs are left, with what they hide."""
    if turn == 0:
        return order.leaves if is_market(core, order) else 0
    return order_front(core, order) if turn == 1 else order.leaves


cdef inline void part_find(Core *core, const BookLine *book, Part *part) noexcept nogil:
    """The next lots of a side. Whoever is filled leaves, so this is always about the best level."""
    while True:
        while part.slot != NONE:
            part.left = part_lots(core, order_at(core, part.slot), part.turn)
            if part.left > 0:
                return
            part.slot = order_at(core, part.slot).next
        if part.key == book.best[part.side]:
            part.turn += 1
        else:
            part.key = book.best[part.side]
            part.turn = 0
        CPX_CHECK(part.turn < 3)
        part.slot = level_at(core, ladder_best(book, part.side)).head


cdef inline void part_use(Core *core, Part *part, int64_t lots) noexcept nogil:
    """So many of the lots have traded; an order without any is forgotten."""
    cdef uint32_t slot = part.slot
    part.left -= lots
    if part.left > 0:
        return
    part.slot = order_at(core, slot).next
    if order_at(core, slot).leaves == 0:
        queue_leave(core, slot)
        order_free(core, slot)


cdef inline void part_begin(Part *part, uint32_t side) noexcept nogil:
    part.side = side
    part.slot = NONE
    part.turn = 0
    part.key = -1
    part.left = 0


cdef inline void fill_at(Core *core, OrderSlot *order, int64_t lots) noexcept nogil:
    """Fewer open lots; an iceberg's slice may go below 0, then it has used what it hides."""
    order.leaves -= lots
    if is_iceberg(core, order):
        ext_at(core, order.ext).shown -= lots


cdef inline void trade_pair(
    Core *core, const BookLine *book, uint32_t buyer, uint32_t seller, int64_t price, int64_t lots
) noexcept nogil:
    cdef OrderSlot *buy = order_at(core, buyer)
    cdef OrderSlot *sell = order_at(core, seller)
    cdef int64_t hold_before = order_hold(core, buy, book)
    cdef uint8_t flags = CPX_EVENT_AUCTION
    if are_one_firm(core, buy.account, sell.account):
        flags |= CPX_EVENT_SELF_TRADE  # ST4
    fill_at(core, buy, lots)
    fill_at(core, sell, lots)
    emit(core, CPX_KIND_TRADE, CPX_SIDE_BUY, 0, flags, book.id, buy.id, sell.id, price, lots, buy.leaves, sell.leaves)
    settle(core, book, buy, sell, price, lots, hold_before, CPX_EVENT_AUCTION)


cdef inline uint64_t trade_all(Core *core, const BookLine *book, int64_t price) noexcept nogil:
    """U8: buys and sells in their order of allocation, each pair for as many lots as both have; returns the trades."""
    cdef Balance balance = balance_between(core, book, price)
    cdef uint64_t missing = balance_volume(&balance)
    cdef uint64_t n_trades = 0
    cdef int64_t lots
    cdef Part bid, ask
    part_begin(&bid, CPX_SIDE_BUY)
    part_begin(&ask, CPX_SIDE_SELL)
    while missing > 0:
        if bid.left == 0:
            part_find(core, book, &bid)
        if ask.left == 0:
            part_find(core, book, &ask)
        lots = bid.left if bid.left < ask.left else ask.left
        trade_pair(core, book, bid.slot, ask.slot, price, lots)
        part_use(core, &bid, lots)
        part_use(core, &ask, lots)
        missing -= <uint64_t>lots
        n_trades += 1
    return n_trades


cdef inline void replenish_all(Core *core, const BookLine *book) noexcept nogil:
    """U10: icebergs without a slice; they can only be at the best levels, where the lots went out."""
    cdef uint32_t side, slot, after
    for side in range(2):
        slot = walk_first(core, book, side)
        while slot != NONE:
            after = order_at(core, slot).next
            if is_iceberg(core, order_at(core, slot)) and ext_at(core, order_at(core, slot).ext).shown <= 0:
                replenish(core, slot)
            slot = after


cdef inline void end_call_orders(Core *core, uint32_t at) noexcept nogil:
    """T4, M1: whatever takes part in this call only is cancelled with it; room for the events was reserved before."""
    cdef const BookLine *book = book_at(core, at)
    cdef uint32_t side, slot, after
    for side in range(2):
        slot = walk_first(core, book, side)
        while slot != NONE:
            after = walk_after(core, slot)
            if order_flags(core, order_at(core, slot)) & CPX_FLAG_AUCTION_ONLY:
                withdraw(core, slot, CPX_KIND_CANCELED, CPX_CANCEL_CALL_OVER)
            slot = after


cdef inline void extend_call(Core *core, uint32_t at, const Figures *found) noexcept nogil:
    """H4: the call goes on; told in one event."""
    cdef const BookLine *book = book_at(core, at)
    cdef BookRules *rules = rules_of(core, book)
    rules.extensions += 1
    emit(core, CPX_KIND_CALL_EXTENDED, 0, 0, 0, book.id, 0, rules.extensions, found.price, lots_told(found.volume),
         found.surplus, 0)


cdef inline void uncross(Core *core, uint32_t at, const Figures *found) noexcept nogil:
    """Trade at one price and end the call's own orders; room for the events was reserved before."""
    cdef const BookLine *book = book_at(core, at)
    cdef uint64_t n_trades = trade_all(core, book, found.price) if found.volume else 0
    replenish_all(core, book)
    end_call_orders(core, at)
    emit(core, CPX_KIND_UNCROSSED, 0, 0, 0, book.id, n_trades, 0, found.price, lots_told(found.volume), found.surplus,
         0)
    if found.volume:
        rules_of(core, book).last = found.price


# --- what is said meanwhile ---


cdef inline bint is_waiting(Core *core, uint32_t at) noexcept nogil:
    """U11: whether the interval since the last figures of a call is not over."""
    cdef const BookRules *rules = rules_of(core, book_at(core, at))
    return rules.told_ns != 0 and core.now_ns - rules.told_ns < rules.interval_ns


cdef inline void news_sift(Core *core) noexcept nogil:
    """Put those that must wait first, and note when the first of them is due."""
    cdef const BookRules *rules
    cdef uint32_t place, at
    cdef int64_t due_ns
    for place in range(core.n_waiting, core.n_news):
        at = core.news[place]
        if not is_waiting(core, at):
            continue
        core.news[place] = core.news[core.n_waiting]
        news_put(core, core.n_waiting, at)
        core.n_waiting += 1
        rules = rules_of(core, book_at(core, at))
        due_ns = cpx_add_capped(rules.told_ns, rules.interval_ns)
        if due_ns < core.news_due_ns:
            core.news_due_ns = due_ns


cdef inline void news_sink(Core *core, uint32_t *books, uint32_t at, uint32_t n) noexcept nogil:
    """One step of a heapsort: the highest book id comes to the top."""
    cdef uint32_t moved = books[at]
    cdef uint32_t child
    while at < n // 2:
        child = 2 * at + 1
        if child + 1 < n and book_at(core, books[child + 1]).id > book_at(core, books[child]).id:
            child += 1
        if book_at(core, books[child]).id <= book_at(core, moved).id:
            break
        books[at] = books[child]
        at = child
    books[at] = moved


cdef inline void news_sort(Core *core, uint32_t *books, uint32_t n) noexcept nogil:
    """By book id; in place."""
    cdef uint32_t at = n // 2
    cdef uint32_t last
    while at > 0:
        at -= 1
        news_sink(core, books, at, n)
    while n > 1:
        n -= 1
        last = books[n]
        books[n] = books[0]
        books[0] = last
        news_sink(core, books, 0, n)


cdef inline void tell_figures(Core *core, uint32_t at) noexcept nogil:
    """U11: what a call would give, if that is not what was told last. It is no news from now on."""
    cdef const BookLine *book = book_at(core, at)
    cdef BookRules *rules = rules_of(core, book)
    cdef Figures found = figures(core, book)
    cdef int64_t volume = lots_told(found.volume)
    rules.is_news = 0
    if found.price == rules.told_price and volume == rules.told_volume and found.surplus == rules.told_surplus:
        return
    rules.told_price = found.price
    rules.told_volume = volume
    rules.told_surplus = found.surplus
    rules.told_ns = core.now_ns
    emit(core, CPX_KIND_INDICATIVE, 0, 0, 0, book.id, 0, 0, found.price, volume, found.surplus, 0)


cdef inline void indicate(Core *core) noexcept nogil:
    """U11: after every command each call tells what it would give, if that is news and the interval is over."""
    cdef uint32_t place
    if core.now_ns >= core.news_due_ns:
        core.n_waiting = 0
        core.news_due_ns = CPX_MAX_TIME_NS
    if core.n_waiting == core.n_news:
        return
    news_sift(core)
    news_sort(core, core.news + core.n_waiting, core.n_news - core.n_waiting)
    for place in range(core.n_waiting, core.n_news):
        tell_figures(core, core.news[place])
    core.n_news = core.n_waiting

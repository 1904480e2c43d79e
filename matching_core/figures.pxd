"""What a call would give: price, volume and surplus of an uncross now.

Rules kept here: U1-U7, U9, U12, U13. Demand falls with the price and supply rises, so all is decided at the turn: the
highest tick where demand still covers supply, and the tick behind it. Both sides are counted from their best levels as
far as they cross, and no memory is needed. Market orders bring no candidate of their own; they count wherever their
worst price allows. Sums are of at most 16,000,000 orders of 10^12 lots, which 64 bits hold without a sign.
`reference/auction.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from .book cimport book_of, ext_at, order_at, rules_of
from .ladder cimport KEY_SPAN, ladder_below, ladder_best, ladder_level, level_at, level_key, price_key
from .types cimport *

cdef enum:
    NOWHERE = -1  # no price

cdef struct Figures:  # what a call gives: all 0 where nothing crosses
    int64_t price
    uint64_t volume
    int64_t surplus  # > 0 = more was bid than offered; as an event carries it

cdef struct Balance:  # both sides at one price, and from where to where they are the same
    int64_t price  # or NOWHERE
    uint64_t demand
    uint64_t supply
    int64_t low
    int64_t high

cdef struct Count:  # a side, from its best level as far as it was counted
    uint32_t side
    uint64_t lots
    int64_t last  # price of the worst level counted, or NOWHERE
    int64_t key  # of the next level, or -1

cdef struct Field:  # U1: the candidates
    int64_t low
    int64_t high
    bint is_range  # every tick from low to high, else the limits


# --- walks ---


cdef inline bint is_market(Core *core, const OrderSlot *order) noexcept nogil:
    return order.ext != NONE and ext_at(core, order.ext).order_type == CPX_ORDER_TYPE_MARKET


cdef inline uint32_t walk_first(Core *core, const BookLine *book, uint32_t side) noexcept nogil:
    """The best order of a side, or NONE."""
    return NONE if book.best[side] < 0 else level_at(core, ladder_best(book, side)).head


cdef inline uint32_t walk_after(Core *core, uint32_t slot) noexcept nogil:
    """T3: the order behind it on its side, or NONE."""
    cdef const OrderSlot *order = order_at(core, slot)
    cdef const BookLine *book = book_of(core, order)
    cdef uint32_t side = order.book_side & 1
    cdef int64_t key
    if order.next != NONE:
        return order.next
    key = ladder_below(core, book, side, level_key(core, order.level))
    return NONE if key < 0 else level_at(core, ladder_level(core, book, side, key)).head


cdef inline uint64_t level_lots(Core *core, uint32_t level) noexcept nogil:
    cdef uint32_t slot = level_at(core, level).head
    cdef uint64_t lots = 0
    while slot != NONE:
        lots += <uint64_t>order_at(core, slot).leaves
        slot = order_at(core, slot).next
    return lots


cdef inline bint level_has_limit(Core *core, uint32_t level) noexcept nogil:
    cdef uint32_t slot = level_at(core, level).head
    while slot != NONE:
        if not is_market(core, order_at(core, slot)):
            return True
        slot = order_at(core, slot).next
    return False


# --- demand and supply ---


cdef inline Count count_begin(const BookLine *book, uint32_t side) noexcept nogil:
    cdef Count count
    count.side = side
    count.lots = 0
    count.last = NOWHERE
    count.key = book.best[side]
    return count


cdef inline void count_level(Core *core, const BookLine *book, Count *count) noexcept nogil:
    """Count the next level too; there is one."""
    count.lots += level_lots(core, ladder_level(core, book, count.side, count.key))
    count.last = price_key(count.side, count.key)
    count.key = ladder_below(core, book, count.side, count.key)


cdef inline void count_to(Core *core, const BookLine *book, Count *count, int64_t price) noexcept nogil:
    """Count on, as far as a side is at or better than a price."""
    cdef int64_t limit = price_key(count.side, price)
    while count.key >= limit:
        count_level(core, book, count)


cdef inline int64_t count_beyond(const Count *count) noexcept nogil:
    """The price of the next level; where there is none, one that is never met."""
    if count.key < 0:
        return KEY_SPAN if count.side else 0
    return price_key(count.side, count.key)


cdef inline int64_t find_turn(Core *core, const BookLine *book) noexcept nogil:
    """The highest tick where demand covers supply, or NOWHERE if the sides do not cross; O(orders that cross)."""
    cdef Count bids = count_begin(book, CPX_SIDE_BUY)
    cdef Count asks = count_begin(book, CPX_SIDE_SELL)
    if bids.key < 0 or asks.key < 0 or count_beyond(&bids) < count_beyond(&asks):
        return NOWHERE
    count_level(core, book, &bids)
    count_level(core, book, &asks)
    while True:
        if bids.lots < asks.lots:
            if count_beyond(&bids) < asks.last:
                return asks.last - 1
            count_level(core, book, &bids)
        elif bids.lots > asks.lots:
            if count_beyond(&asks) > bids.last:
                return bids.last
            count_level(core, book, &asks)
        else:
            if count_beyond(&bids) < count_beyond(&asks):
                return bids.last if bids.last < count_beyond(&asks) else count_beyond(&asks) - 1
            count_level(core, book, &bids)
            count_level(core, book, &asks)


# --- candidates ---


cdef inline int64_t limit_behind(Core *core, const BookLine *book, uint32_t side, int64_t key) noexcept nogil:
    """The best key of a limit order that is this one or worse, or -1."""
    key = ladder_below(core, book, side, key + 1)
    while key >= 0 and not level_has_limit(core, ladder_level(core, book, side, key)):
        key = ladder_below(core, book, side, key)
    return key


cdef inline int64_t limit_before(Core *core, const BookLine *book, uint32_t side, int64_t key) noexcept nogil:
    """The worst key of a limit order that is this one or better, or -1."""
    cdef int64_t at = book.best[side]
    cdef int64_t found = -1
    while at >= key and at >= 0:
        if level_has_limit(core, ladder_level(core, book, side, at)):
            found = at
        at = ladder_below(core, book, side, at)
    return found


cdef inline int64_t limit_to(Core *core, const BookLine *book, int64_t price) noexcept nogil:
    """The highest limit that is not above a price, or NOWHERE; O(orders)."""
    cdef int64_t bid = limit_behind(core, book, CPX_SIDE_BUY, price)
    cdef int64_t ask = limit_before(core, book, CPX_SIDE_SELL, price_key(CPX_SIDE_SELL, price))
    ask = NOWHERE if ask < 0 else price_key(CPX_SIDE_SELL, ask)
    return bid if bid > ask else ask


cdef inline int64_t limit_from(Core *core, const BookLine *book, int64_t price) noexcept nogil:
    """The lowest limit that is not below a price, or NOWHERE; O(orders)."""
    cdef int64_t bid = limit_before(core, book, CPX_SIDE_BUY, price)
    cdef int64_t ask = limit_behind(core, book, CPX_SIDE_SELL, price_key(CPX_SIDE_SELL, price))
    if ask < 0:
        return bid
    ask = price_key(CPX_SIDE_SELL, ask)
    return ask if bid < 0 or ask < bid else bid


cdef inline bint find_field(Core *core, const BookLine *book, Field *field) noexcept nogil:
    """U1, U6: what prices may be chosen, if any. Limits at the head of both sides say that no order is out of range."""
    cdef const BookRules *rules = rules_of(core, book)
    field.is_range = rules.flags & CPX_RULE_LIMITS_ONLY == 0
    field.low = 1
    field.high = CPX_MAX_PRICE_TICKS
    if level_has_limit(core, ladder_best(book, CPX_SIDE_BUY)) and level_has_limit(
            core, ladder_best(book, CPX_SIDE_SELL)):
        return True
    field.high = limit_to(core, book, CPX_MAX_PRICE_TICKS)
    if field.high != NOWHERE:
        field.low = limit_from(core, book, 1)
        return True
    field.is_range = True
    field.low = field.high = base_price(rules)
    return field.high > 0


cdef inline int64_t candidate_to(Core *core, const BookLine *book, const Field *field, int64_t price) noexcept nogil:
    """The highest candidate that is not above a price, or NOWHERE."""
    if not field.is_range:
        return limit_to(core, book, price)
    price = price if price < field.high else field.high
    return price if price >= field.low else NOWHERE


cdef inline int64_t candidate_from(Core *core, const BookLine *book, const Field *field, int64_t price) noexcept nogil:
    """The lowest candidate that is not below a price, or NOWHERE."""
    if not field.is_range:
        return limit_from(core, book, price)
    price = price if price > field.low else field.low
    return price if price <= field.high else NOWHERE


# --- which price ---


cdef inline int64_t base_price(const BookRules *rules) noexcept nogil:
    """The reference price of a call: the one that was set, else the last trade; 0 = none."""
    return rules.reference if rules.reference else rules.last


cdef inline int64_t choose_nearest(
    Core *core, const BookLine *book, const Field *field, int64_t low, int64_t high
) noexcept nogil:
    """U5: without pressure, of the tied prices from low to high."""
    cdef const BookRules *rules = rules_of(core, book)
    cdef bint is_lower = rules.flags & CPX_RULE_TIE_LOWER != 0
    cdef int64_t base = base_price(rules)
    if rules.tie_policy == CPX_TIE_MIDPOINT:
        return (low + high + (0 if is_lower else 1)) // 2
    if base == 0:
        return low if is_lower else high
    if base <= low:
        return low
    if base >= high:
        return high
    low = candidate_to(core, book, field, base)
    high = candidate_from(core, book, field, base)
    if base - low == high - base:
        return low if is_lower else high
    return low if base - low < high - base else high


cdef inline int64_t choose_pressed(
    Core *core, const BookLine *book, const Field *field, int64_t low, int64_t high, bint is_up
) noexcept nogil:
    """U4: all tied prices leave lots of one side over, and these move the price, with CAPPED_PRESSURE so far only."""
    cdef const BookRules *rules = rules_of(core, book)
    cdef int64_t base = base_price(rules)
    cdef int64_t edge
    if rules.tie_policy != CPX_TIE_CAPPED_PRESSURE or base == 0:
        return high if is_up else low
    if is_up:
        edge = cpx_upper_edge(base, rules.cap_ppm)
        edge = candidate_to(core, book, field, edge if edge < high else high)
        return edge if edge > low else low
    edge = cpx_lower_edge(base, rules.cap_ppm)
    edge = candidate_from(core, book, field, edge if edge > low else low)
    return edge if edge < high and edge != NOWHERE else high


# --- the figures ---


cdef inline uint64_t lots_between(uint64_t one, uint64_t other) noexcept nogil:
    return one - other if one > other else other - one


cdef inline int64_t lots_told(uint64_t lots) noexcept nogil:
    """The nearest number that an event can carry."""
    cdef uint64_t most = (<uint64_t>1 << 63) - 1
    return <int64_t>(lots if lots < most else most)


cdef inline Balance balance_at(int64_t price, const Count *bids, const Count *asks) noexcept nogil:
    """What was counted for a price; both sides stay as they are from the nearest levels inside to those outside."""
    cdef Balance balance
    balance.price = price
    balance.demand = bids.lots
    balance.supply = asks.lots
    balance.low = asks.last if asks.last > count_beyond(bids) else count_beyond(bids) + 1
    balance.high = bids.last if bids.last < count_beyond(asks) else count_beyond(asks) - 1
    return balance


cdef inline Balance balance_between(Core *core, const BookLine *book, int64_t price) noexcept nogil:
    """Both sides counted anew for a price."""
    cdef Count bids = count_begin(book, CPX_SIDE_BUY)
    cdef Count asks = count_begin(book, CPX_SIDE_SELL)
    count_to(core, book, &bids, price)
    count_to(core, book, &asks, price)
    return balance_at(price, &bids, &asks)


cdef inline uint64_t balance_volume(const Balance *balance) noexcept nogil:
    if balance.price == NOWHERE:
        return 0
    return balance.demand if balance.demand < balance.supply else balance.supply


cdef inline bint is_better(const Balance *one, const Balance *other) noexcept nogil:
    """U2, U3: more volume, or as much and less surplus."""
    if balance_volume(one) != balance_volume(other):
        return balance_volume(one) > balance_volume(other)
    return lots_between(one.demand, one.supply) < lots_between(other.demand, other.supply)


cdef inline int64_t find_price(
    Core *core, const BookLine *book, const Field *field, const Balance *covered, const Balance *uncovered
) noexcept nogil:
    """U2-U5: of the last candidate where demand covers supply and the first one where it does not, and their equals."""
    cdef int64_t low, high
    if is_better(covered, uncovered):
        low = candidate_from(core, book, field, covered.low)
        if covered.demand > covered.supply:
            return choose_pressed(core, book, field, low, covered.price, True)
        return choose_nearest(core, book, field, low, covered.price)
    high = candidate_to(core, book, field, uncovered.high)
    if is_better(uncovered, covered):
        return choose_pressed(core, book, field, uncovered.price, high, False)
    low = candidate_from(core, book, field, covered.low)
    return choose_nearest(core, book, field, low, high)


cdef inline Figures figures(Core *core, const BookLine *book) noexcept nogil:
    """U2-U7: price, volume and surplus of an uncross now; O(orders that cross), with LIMITS_ONLY O(orders)."""
    cdef Figures found
    cdef Field field
    cdef Balance covered, uncovered, chosen
    cdef Count bids = count_begin(book, CPX_SIDE_BUY)
    cdef Count asks = count_begin(book, CPX_SIDE_SELL)
    cdef Count bids_first
    cdef int64_t turn = find_turn(core, book)
    found.price = 0
    found.volume = 0
    found.surplus = 0
    if turn == NOWHERE or not find_field(core, book, &field):
        return found
    covered.price = candidate_to(core, book, &field, turn)
    uncovered.price = candidate_from(core, book, &field, turn + 1)
    if uncovered.price != NOWHERE:
        count_to(core, book, &bids, uncovered.price)
    bids_first = bids
    if covered.price != NOWHERE:
        count_to(core, book, &bids, covered.price)
        count_to(core, book, &asks, covered.price)
    covered = balance_at(covered.price, &bids, &asks)
    if uncovered.price != NOWHERE:
        count_to(core, book, &asks, uncovered.price)
    uncovered = balance_at(uncovered.price, &bids_first, &asks)
    if balance_volume(&covered) == 0 and balance_volume(&uncovered) == 0:
        return found  # U7
    found.price = find_price(core, book, &field, &covered, &uncovered)
    if found.price <= covered.price:
        chosen = covered
    elif found.price >= uncovered.price:
        chosen = uncovered
    else:
        chosen = balance_between(core, book, found.price)  # the middle of limits
    found.volume = balance_volume(&chosen)
    found.surplus = lots_told(lots_between(chosen.demand, chosen.supply))
    if chosen.demand < chosen.supply:
        found.surplus = -found.surplus
    return found

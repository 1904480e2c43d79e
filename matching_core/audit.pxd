"""Every invariant of a state, looked at without Python: what `reference/audit.py` and `invariants.py` look at, and the
structures of this engine.

Rules kept here: C1 to C4, C10, T1, T4, T5, H1, X3, IC1, M1, and that every slot is used once or free once; HM2 and RT1
are in `audit_cover.pxd`. The first rule that is broken is named.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from .accounts cimport is_blocked, is_killed, pair
from .audit_cover cimport Audit, audit_accounts, audit_capacities, audit_cover, audit_positions, fail
from .audit_market cimport audit_market
from .book cimport book_at, ext_at, heap_before, is_iceberg, is_special
from .directory cimport book_find, order_find
from .ladder cimport MAX_HEIGHT, ladder_below, leaf_find, level_at, price_key
from .types cimport *

cdef inline int audit(Core *core, Audit *a) noexcept nogil:
    """Look at everything; 0, or -1 without memory. O(state)."""
    a.broken = NULL
    a.n_linked = a.n_mapped = a.n_leaves = a.n_nodes = a.n_exts = a.n_gtd = a.n_sells = a.n_books = 0
    cdef uint8_t *memory = <uint8_t *>calloc(
        (<size_t>core.accounts_used + core.capacities_used) * sizeof(int64_t) + core.exts_used + core.pages_used
        + core.rules_used + 1, 1)
    if memory == NULL:
        return -1
    a.holds = <int64_t *>memory
    a.opened = <uint64_t *>(a.holds + core.accounts_used)
    a.exts = <uint8_t *>(a.opened + core.capacities_used)
    a.pages = a.exts + core.exts_used
    a.rules = a.pages + core.pages_used
    if audit_books(core, a) and audit_slots(core, a) and audit_directory(core, a) and audit_lists(core, a) and (
            audit_market(core, a)):
        if audit_accounts(core, a) and audit_capacities(core, a):
            audit_positions(core, a)
    free(memory)
    return 0


# --- books, their sides and levels ---


cdef inline bint audit_books(Core *core, Audit *a) noexcept nogil:
    cdef BookLine *book
    cdef const BookRules *rules
    cdef uint32_t at
    for at in range(core.books_used):
        book = core.books + at
        if book.state == BOOK_FREE:
            continue
        a.n_books += 1
        if book_find(core, book.id) != at:
            return fail(a, b"counters: book {} is lost", book.id)
        if book.gate_ns != 0 and (book.gate_ns <= core.now_ns or book.gate_ns < core.next_gate_ns):
            return fail(a, b"T5: book {} is open after its gate", book.id)
        a.is_open = True
        a.is_call = False
        if book.rules != NONE:
            if book.rules >= core.rules_used or a.rules[book.rules]:
                return fail(a, b"counters: book {} has no rules of its own", book.id)
            a.rules[book.rules] = 1
            rules = core.rules + book.rules
            a.is_open = rules.phase == CPX_PHASE_OPEN
            a.is_call = rules.phase == CPX_PHASE_AUCTION
            if a.is_call and (rules.call_at >= core.n_calls or core.calls[rules.call_at] != at):
                return fail(a, b"H1: the list of calls differs from the phases of the books", 0)
        a.best_bid = 0
        if not (audit_side(core, a, book, CPX_SIDE_BUY) and audit_side(core, a, book, CPX_SIDE_SELL)):
            return False
    if a.n_books != core.n_books:
        return fail(a, b"counters: a book is lost", 0)
    if a.n_linked != core.n_orders:
        return fail(a, b"C4: live ids and linked orders differ", 0)
    if core.n_orders > core.max_orders:
        return fail(a, b"counters: more live orders than max_orders", 0)
    return True


cdef inline bint audit_side(Core *core, Audit *a, BookLine *book, uint32_t side) noexcept nogil:
    """C3: the leaves are where they are found, the best one is the best, and every level holds the right orders."""
    cdef uint64_t n_before = a.n_linked
    cdef uint64_t n_levels = 0
    cdef uint32_t n_special = 0
    cdef uint32_t leaf
    cdef int64_t key
    a.n_levels = 0
    a.top_key = -1
    if not audit_ladder(core, a, book, &book.sides[side]):
        return False
    if book.best[side] != a.top_key or (
            a.top_key >= 0 and book.best_leaf[side] != leaf_find(core, &book.sides[side], a.top_key >> 6)):
        return fail(a, b"C3: the best level of book {} is another one", book.id)
    key = book.best[side]
    while key >= 0:
        leaf = leaf_find(core, &book.sides[side], key >> 6)
        if leaf == NONE or n_levels == a.n_levels:
            return fail(a, b"C3: a level of book {} is not found", book.id)
        if not audit_level(core, a, book, side, leaf << 6 | <uint32_t>(key & 63), &n_special):
            return False
        n_levels += 1
        key = ladder_below(core, book, side, key)
    if n_levels != a.n_levels:
        return fail(a, b"C3: a level of book {} is passed over", book.id)
    if a.n_linked - n_before != book.n_orders[side] or n_special != book.n_special[side]:
        return fail(a, b"C3: book {} has lost count of its orders", book.id)
    return True


cdef inline bint audit_ladder(Core *core, Audit *a, BookLine *book, const Ladder *ladder) noexcept nogil:
    cdef uint32_t place
    if 0 < ladder.height <= MAX_HEIGHT:
        return audit_node(core, a, book, ladder, ladder.root, ladder.height, ladder.base)
    for place in range(INLINE_LEAVES):
        if ladder.leaves[place] != NONE:
            if not audit_leaf(core, a, book, ladder, ladder.leaves[place], ladder.base + place):
                return False
    return True


cdef inline bint audit_node(
    Core *core, Audit *a, BookLine *book, const Ladder *ladder, uint32_t at, uint32_t height, int64_t prefix
) noexcept nogil:
    """One node of this height and all below it; the leaves of a prefix are those that begin with it."""
    cdef uint32_t child
    a.n_nodes += 1
    if at >= core.nodes_used or a.n_nodes > core.nodes_used or core.nodes[at].occupied == 0:
        return fail(a, b"C3: the tree of book {} is broken", book.id)
    for child in range(64):
        if not core.nodes[at].occupied >> child & 1:
            continue
        if height == 1:
            if not audit_leaf(core, a, book, ladder, core.nodes[at].children[child], prefix << 6 | child):
                return False
        elif not audit_node(core, a, book, ladder, core.nodes[at].children[child], height - 1, prefix << 6 | child):
            return False
    return True


cdef inline bint audit_leaf(
    Core *core, Audit *a, BookLine *book, const Ladder *ladder, uint32_t at, int64_t number
) noexcept nogil:
    cdef const Leaf *leaf = core.leaves + at
    cdef int64_t key
    a.n_leaves += 1
    if at >= core.leaves_used or a.n_leaves > core.leaves_used or leaf.number != number or leaf.occupied == 0:
        return fail(a, b"C3: a leaf of book {} stands at the wrong price", book.id)
    if leaf_find(core, ladder, number) != at:
        return fail(a, b"C3: a leaf of book {} is not found where it stands", book.id)
    for key in range(64):
        a.n_levels += leaf.occupied >> key & 1
    key = number << 6 | <int64_t>cpx_highest_bit(leaf.occupied)
    if key > a.top_key:
        a.top_key = key
    return True


cdef inline bint audit_level(
    Core *core, Audit *a, BookLine *book, uint32_t side, uint32_t at, uint32_t *n_special
) noexcept nogil:
    """C3, C4, C10 of one level."""
    cdef const Level *level = level_at(core, at)
    cdef int64_t key = core.leaves[at >> 6].number << 6 | <int64_t>(at & 63)
    cdef uint32_t prev = NONE
    cdef uint32_t slot = level.head
    cdef const OrderSlot *order
    a.last_stamp = 0
    if slot == NONE:
        return fail(a, b"C3: book {} keeps an empty level", book.id)
    while slot != NONE:
        if slot >= core.orders_used or a.n_linked >= core.n_orders:
            return fail(a, b"C4: book {} links a slot that is not there", book.id)
        order = core.orders + slot
        if order.level != at or order.prev != prev or price_key(side, order.price) != key or (
                book_at(core, order.book_side >> 1) != book or order.book_side & 1 != side):
            return fail(a, b"C3: order {} stands in the wrong place", order.id)
        if not audit_id(core, a, order.id, slot):
            return fail(a, b"C4: order {} is not found by its id", order.id)
        if order.next != NONE and order.next < core.orders_used:
            cpx_prefetch(core.orders + order.next)
        a.n_linked += 1
        if not audit_order(core, a, order, book, slot):
            return False
        n_special[0] += is_special(core, order)
        prev = slot
        slot = order.next
    if prev != level.tail:
        return fail(a, b"C3: a level of book {} has another tail", book.id)
    return True


cdef inline bint audit_id(Core *core, Audit *a, uint64_t order_id, uint32_t slot) noexcept nogil:
    """C4: known by its page or by the map, and counted there."""
    cdef uint32_t page = core.order_ring[(order_id >> 7) & core.order_ring_mask]
    if order_id == 0 or order_id > core.highest_id or order_find(core, order_id) != slot:
        return False
    if page < core.pages_used and <uint64_t>core.page_numbers[page] == order_id >> 7 and (
            core.order_pages[<uint64_t>page * PAGE_IDS + (order_id & (PAGE_IDS - 1))] == slot):
        a.pages[page] += 1
    else:
        a.n_mapped += 1
    return True


# --- one order ---


cdef inline bint audit_order(
    Core *core, Audit *a, const OrderSlot *order, const BookLine *book, uint32_t slot
) noexcept nogil:
    """C1, C2, X3 and what its extras say."""
    cdef bint is_conditional = False
    if order.leaves < 1 or order.leaves > order.qty:
        return fail(a, b"C2: order {} has more or less open than it can", order.id)
    if order.ext != NONE:
        if not audit_ext(core, a, order, slot):
            return False
        is_conditional = ext_at(core, order.ext).flags & CPX_FLAG_MIN_QTY != 0
    elif core.check_funds:
        return fail(a, b"HM2: order {} has no place for its money", order.id)
    if a.is_open and not is_conditional:
        if order.book_side & 1 == CPX_SIDE_BUY:
            if order.price > a.best_bid:
                a.best_bid = order.price
        elif order.price <= a.best_bid:
            return fail(a, b"C1: book {} is crossed", book.id)
    if core.n_killed:
        # without funds an account may be opened, and so join a killed firm, after its orders have come
        if is_killed(core, CPX_FILTER_ACCOUNT, order.account) or (core.check_funds and is_blocked(core, order.account)):
            return fail(a, b"X3: order {} is of a killed account", order.id)
    return audit_cover(core, a, order, book, slot) if core.check_funds else True


cdef inline bint audit_ext(Core *core, Audit *a, const OrderSlot *order, uint32_t slot) noexcept nogil:
    """T1, I2, M1, IC1, T4, C10."""
    cdef const Ext *ext = core.exts + order.ext
    cdef bint is_gtd
    if order.ext >= core.exts_used or a.exts[order.ext]:
        return fail(a, b"counters: order {} has no extras of its own", order.id)
    a.exts[order.ext] = 1
    a.n_exts += 1
    is_gtd = ext.tif == CPX_TIF_GTD
    if not is_gtd and ext.tif != CPX_TIF_GTC and ext.tif != CPX_TIF_DAY:
        return fail(a, b"I2: order {} rests though it may not", order.id)
    if is_gtd != (ext.expiry_ns > 0):
        return fail(a, b"T1: order {} has the wrong kind of expiry", order.id)
    if is_gtd and ext.expiry_ns <= core.now_ns:
        return fail(a, b"T1: order {} has outlived its expiry", order.id)
    if is_gtd != (ext.heap_at < core.heap_used) or (is_gtd and core.heap[ext.heap_at] != slot):
        return fail(a, b"T1: the expiry heap does not know order {} as it should", order.id)
    a.n_gtd += is_gtd
    if ext.order_type != CPX_ORDER_TYPE_LIMIT and not ext.flags & CPX_FLAG_AUCTION_ONLY:
        return fail(a, b"M1: market order {} rests", order.id)
    if is_iceberg(core, order) and (ext.shown < 1 or ext.shown > ext.aux or ext.shown > order.leaves):
        return fail(a, b"IC1: order {} shows what it does not have", order.id)
    if ext.flags & CPX_FLAG_AUCTION_ONLY and not a.is_call:
        return fail(a, b"T4: order {} is not in a call", order.id)
    if ext.stamp <= a.last_stamp or ext.stamp > core.stamp:
        return fail(a, b"C10: order {} has the wrong place in time", order.id)
    a.last_stamp = ext.stamp
    return True


# --- slabs: everything is used once or free once ---


cdef inline bint audit_slots(Core *core, Audit *a) noexcept nogil:
    """Each list of free ones, counted; a list that runs in a circle runs past the count."""
    cdef uint64_t n = a.n_linked + 1  # nobody uses the first one
    cdef uint32_t at = core.orders_free
    while at != NONE and n < core.orders_used and core.orders[at].leaves == 0 and core.orders[at].id == 0:
        at, n = core.orders[at].next, n + 1
    if at != NONE or n != core.orders_used:
        return fail(a, b"counters: order slots are lost", 0)
    at, n = core.leaves_free, a.n_leaves
    while at != NONE and n < core.leaves_used and core.leaves[at].occupied == 0:
        at, n = <uint32_t>core.leaves[at].number, n + 1
    if at != NONE or n != core.leaves_used:
        return fail(a, b"counters: leaves are lost", 0)
    at, n = core.nodes_free, a.n_nodes
    while at != NONE and n < core.nodes_used and core.nodes[at].occupied == 0:
        at, n = core.nodes[at].children[0], n + 1
    if at != NONE or n != core.nodes_used:
        return fail(a, b"counters: nodes are lost", 0)
    at, n = core.exts_free, a.n_exts
    while at != NONE and n < core.exts_used and not a.exts[at]:
        at, n = core.exts[at].heap_at, n + 1
    if at != NONE or n != core.exts_used:
        return fail(a, b"counters: extras are lost", 0)
    at, n = core.books_free, a.n_books + 1
    while at != NONE and n < core.books_used and core.books[at].state == BOOK_FREE:
        at, n = core.books[at].positions, n + 1
    if at != NONE or n != core.books_used:
        return fail(a, b"counters: book lines are lost", 0)
    return True


cdef inline bint audit_directory(Core *core, Audit *a) noexcept nogil:
    """C4: the pages count their live ids, stand in their places, and are used once or free once."""
    cdef uint64_t n = 0
    cdef uint64_t place
    cdef uint32_t page
    for place in range(core.order_ring_mask + 1):
        page = core.order_ring[place]
        if page == 0:
            continue
        n += 1
        if page >= core.pages_used or <uint64_t>core.page_numbers[page] & core.order_ring_mask != place:
            return fail(a, b"C4: a page of order ids stands in the wrong place", 0)
        if core.page_counts[page] == 0 or core.page_counts[page] != a.pages[page]:
            return fail(a, b"C4: a page of order ids has lost count", 0)
    if n != core.n_pages or a.n_mapped != core.order_map.n:
        return fail(a, b"C4: an id is known without an order", 0)
    page, n = core.pages_free, n + 1
    while page != NONE and n < core.pages_used and core.page_counts[page] == 0:
        page, n = <uint32_t>core.page_numbers[page], n + 1
    if page != NONE or n != core.pages_used:
        return fail(a, b"counters: pages of order ids are lost", 0)
    return True


# --- lists of orders and of books ---


cdef inline bint audit_lists(Core *core, Audit *a) noexcept nogil:
    """The heaps of expiries and gates, the calls, the news, the rules, the killed."""
    cdef uint64_t n_gates = 0
    cdef uint64_t n_rules = 0
    cdef uint64_t n_calls = 0
    cdef uint64_t n_news = 0
    cdef uint32_t i, at
    if a.n_gtd != core.heap_used:
        return fail(a, b"T1: the expiry heap does not hold exactly the GTD orders", 0)
    for i in range(1, core.heap_used):
        if heap_before(core, core.heap[i], core.heap[(i - 1) >> 1]):
            return fail(a, b"T1: the expiry heap is out of order", 0)
    for at in range(core.books_used):
        n_gates += <bint>(core.books[at].state == BOOK_LISTED and core.books[at].gate_ns != 0)
    if n_gates != core.n_gates or (n_gates == 0 and core.next_gate_ns != CPX_MAX_TIME_NS):
        return fail(a, b"T5: the heap of gates does not hold exactly the books with a gate", 0)
    for i in range(core.n_gates):
        at = core.gates[i]
        if at >= core.books_used or core.books[at].gate_ns == 0 or core.books[at].state != BOOK_LISTED or (
                core.books[at].gate_ns < core.books[core.gates[(i - 1) >> 1 if i else 0]].gate_ns):
            return fail(a, b"T5: the heap of gates is out of order", 0)
    for at in range(core.rules_used):
        if a.rules[at]:
            n_rules += 1
            n_calls += core.rules[at].phase == CPX_PHASE_AUCTION
            n_news += core.rules[at].is_news
    if n_calls != core.n_calls:
        return fail(a, b"H1: the list of calls differs from the phases of the books", 0)
    if n_news != core.n_news or core.n_waiting > core.n_news:
        return fail(a, b"U11: a call whose figures are due is lost", 0)
    for i in range(core.n_news):
        at = core.books[core.news[i]].rules if core.news[i] < core.books_used else NONE
        if at == NONE or not core.rules[at].is_news or core.rules[at].news_at != i:
            return fail(a, b"U11: a book is news that cannot be", 0)
    at = core.rules_free
    while at != NONE and n_rules < core.rules_used and not a.rules[at]:
        at, n_rules = core.rules[at].call_at, n_rules + 1
    if at != NONE or n_rules != core.rules_used:
        return fail(a, b"counters: rules of books are lost", 0)
    for i in range(1, core.n_killed):
        if pair(core.killed[i - 1].kind, core.killed[i - 1].who) >= pair(core.killed[i].kind, core.killed[i].who):
            return fail(a, b"X3: the killed are out of order", 0)
    return True

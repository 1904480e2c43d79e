"""The price levels of a book: radix-64 ladders, one per side.

A leaf holds 64 neighbouring prices with one occupancy word. While the leaves of a side lie close together the ladder
keeps them in a small window, `Ladder.leaves`; where they do not, a tree of 64-way nodes as high as they are apart takes
over until the side is empty, so that the farthest price costs a few steps and never more. The book line caches the
best key and its leaf.
Keys are mirrored: the price for bids, its complement for asks; the best key of either side is the largest, and one
loop serves both. Rule kept here: C3 (a level exists exactly while its bit is set).
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from .types cimport (
    CPX_CHECK, FEW_LEVELS, INLINE_LEAVES, NONE, BookLine, Core, Fan, Ladder, Leaf, Level, Node, cpx_count_bits,
    cpx_highest_bit, cpx_pick,
)


cdef enum:
    KEY_SPAN = 0xFFFFFFFFFF  # keys are 0 to this; CPX_MAX_PRICE_TICKS < 2^40
    MAX_HEIGHT = 6  # 64^6 leaves of 64 keys are more than there are


cdef inline int64_t price_key(uint32_t side, int64_t price) noexcept nogil:
    """The key of a price on a side; it is its own inverse. A maker of that side trades at a limit if key >= limit's."""
    return price ^ (-<int64_t>side & KEY_SPAN)


cdef inline Leaf *leaf_at(Core *core, uint32_t leaf) noexcept nogil:
    CPX_CHECK(leaf < core.leaves_used)
    return core.leaves + leaf


cdef inline uint32_t levels_below(const Leaf *leaf, uint32_t place) noexcept nogil:
    """How many occupied levels of a leaf are worse than a place in it."""
    return cpx_count_bits(leaf.occupied & ((<uint64_t>1 << place) - 1))


cdef inline Level *level_at(Core *core, uint32_t level) noexcept nogil:
    """The occupied level of an OrderSlot.level. The pointer holds until a level of that leaf opens or closes."""
    cdef Leaf *leaf = leaf_at(core, level >> 6)
    CPX_CHECK(leaf.occupied >> (level & 63) & 1)
    if cpx_count_bits(leaf.occupied) <= FEW_LEVELS:
        return &leaf.few[levels_below(leaf, level & 63)]
    return &core.fans[level >> 6].levels[level & 63]


cdef inline int64_t level_key(Core *core, uint32_t level) noexcept nogil:
    return leaf_at(core, level >> 6).number << 6 | <int64_t>(level & 63)


# --- slabs: take the last one freed, else a fresh one; both are reserved for as many as there can be ---


cdef inline uint32_t leaf_take(Core *core, int64_t number) noexcept nogil:
    cdef uint32_t leaf = core.leaves_free
    if leaf != NONE:
        core.leaves_free = <uint32_t>core.leaves[leaf].number
    else:
        leaf = core.leaves_used
        core.leaves_used += 1
    core.leaves[leaf].occupied = 0
    core.leaves[leaf].number = number
    return leaf


cdef inline void leaf_give(Core *core, uint32_t leaf) noexcept nogil:
    core.leaves[leaf].number = core.leaves_free
    core.leaves_free = leaf


cdef inline void leaf_spread(Core *core, uint32_t at) noexcept nogil:
    """The few levels of a leaf move to its fan."""
    cdef const Leaf *leaf = leaf_at(core, at)
    cdef Level *levels = core.fans[at].levels
    cdef uint64_t rest = leaf.occupied
    cdef uint32_t n = FEW_LEVELS
    memset(levels, 0xFF, sizeof(Fan))
    while n > 0:
        n -= 1
        levels[cpx_highest_bit(rest)] = leaf.few[n]
        rest ^= <uint64_t>1 << cpx_highest_bit(rest)


cdef inline void leaf_gather(Core *core, uint32_t at) noexcept nogil:
    """What the fan has left moves back into its leaf."""
    cdef Leaf *leaf = leaf_at(core, at)
    cdef uint64_t rest = leaf.occupied
    cdef uint32_t n = FEW_LEVELS
    while n > 0:
        n -= 1
        leaf.few[n] = core.fans[at].levels[cpx_highest_bit(rest)]
        rest ^= <uint64_t>1 << cpx_highest_bit(rest)


cdef inline uint32_t node_take(Core *core) noexcept nogil:
    cdef uint32_t node = core.nodes_free
    if node != NONE:
        core.nodes_free = core.nodes[node].children[0]
    else:
        node = core.nodes_used
        core.nodes_used += 1
    core.nodes[node].occupied = 0
    return node


cdef inline void node_give(Core *core, uint32_t node) noexcept nogil:
    core.nodes[node].children[0] = core.nodes_free
    core.nodes_free = node


# --- the tree: only where leaves lie more than a window apart ---


cdef inline uint32_t digit(int64_t number, uint32_t height) noexcept nogil:
    """Which child of a node of this height leads to a leaf."""
    return <uint32_t>(number >> (6 * (height - 1))) & 63


cdef inline uint32_t tree_find(Core *core, const Ladder *ladder, int64_t number) noexcept nogil:
    cdef uint32_t height = ladder.height
    cdef uint32_t at = ladder.root
    cdef const Node *node
    if number >> (6 * height) != ladder.base:
        return NONE
    while height > 0:
        node = core.nodes + at
        if not node.occupied >> digit(number, height) & 1:
            return NONE
        at = node.children[digit(number, height)]
        height -= 1
    return at


cdef inline void tree_insert(Core *core, Ladder *ladder, int64_t number, uint32_t leaf) noexcept nogil:
    cdef uint32_t height, at, below
    cdef Node *node
    while number >> (6 * ladder.height) != ladder.base:  # a new top
        at = node_take(core)
        node = core.nodes + at
        node.occupied = <uint64_t>1 << (ladder.base & 63)
        node.children[ladder.base & 63] = ladder.root
        ladder.root = at
        ladder.base >>= 6
        ladder.height += 1
        CPX_CHECK(ladder.height <= MAX_HEIGHT)
    height = ladder.height
    at = ladder.root
    while True:
        node = core.nodes + at
        if height == 1:
            break
        if not node.occupied >> digit(number, height) & 1:
            below = node_take(core)
            node.occupied |= <uint64_t>1 << digit(number, height)
            node.children[digit(number, height)] = below
        at = node.children[digit(number, height)]
        height -= 1
    node.occupied |= <uint64_t>1 << (number & 63)
    node.children[number & 63] = leaf


cdef inline void tree_remove(Core *core, Ladder *ladder, int64_t number) noexcept nogil:
    """Take a leaf out, and the nodes that lead nowhere then."""
    cdef uint32_t path[8]
    cdef uint32_t height = ladder.height
    cdef uint32_t at = ladder.root
    cdef Node *node
    while height > 0:
        path[height] = at
        at = core.nodes[at].children[digit(number, height)]
        height -= 1
    while height < ladder.height:
        height += 1
        node = core.nodes + path[height]
        node.occupied &= ~(<uint64_t>1 << digit(number, height))
        if node.occupied:
            return
        node_give(core, path[height])
    ladder.height = 0
    for at in range(INLINE_LEAVES):
        ladder.leaves[at] = NONE


cdef inline uint32_t tree_below(Core *core, const Ladder *ladder, int64_t number) noexcept nogil:
    """The highest leaf whose number is smaller, or NONE."""
    cdef uint32_t height = ladder.height
    cdef uint32_t at = ladder.root
    cdef uint32_t found = NONE
    cdef uint32_t found_height = 0
    cdef int64_t prefix = number >> (6 * height)
    cdef uint64_t lower
    if prefix < ladder.base:
        return NONE
    if prefix > ladder.base:
        found = at
        found_height = height
        height = 0
    while height > 0:
        lower = core.nodes[at].occupied & ((<uint64_t>1 << digit(number, height)) - 1)
        if lower:
            found = core.nodes[at].children[cpx_highest_bit(lower)]
            found_height = height - 1
        if not core.nodes[at].occupied >> digit(number, height) & 1:
            break
        at = core.nodes[at].children[digit(number, height)]
        height -= 1
    while found != NONE and found_height > 0:
        found = core.nodes[found].children[cpx_highest_bit(core.nodes[found].occupied)]
        found_height -= 1
    return found


# --- leaves of one side ---


cdef inline uint32_t leaf_find(Core *core, const Ladder *ladder, int64_t number) noexcept nogil:
    """The leaf of this number, or NONE."""
    cdef uint64_t place
    if ladder.height == 0:
        place = <uint64_t>(number - ladder.base)
        return ladder.leaves[place] if place < INLINE_LEAVES else NONE
    return tree_find(core, ladder, number)


cdef inline uint32_t leaf_below(Core *core, const Ladder *ladder, int64_t number) noexcept nogil:
    """The highest leaf whose number is smaller, or NONE."""
    cdef int64_t place
    if ladder.height:
        return tree_below(core, ladder, number)
    place = number - ladder.base
    if place > INLINE_LEAVES:
        place = INLINE_LEAVES
    while place > 0:
        place -= 1
        if ladder.leaves[place] != NONE:
            return ladder.leaves[place]
    return NONE


cdef inline bint window_moves(Ladder *ladder, int64_t number) noexcept nogil:
    """Bring a number into the window without losing a leaf, if it can be done."""
    cdef int64_t low = INLINE_LEAVES
    cdef int64_t high = -1
    cdef int64_t place, shift, start
    for place in range(INLINE_LEAVES):
        if ladder.leaves[place] != NONE:
            high = place
            if low == INLINE_LEAVES:
                low = place
    if high < 0:
        ladder.base = number - INLINE_LEAVES // 2
        return True
    start = number if number < ladder.base + low else ladder.base + low
    if (number if number > ladder.base + high else ladder.base + high) - start >= INLINE_LEAVES:
        return False
    shift = start - ladder.base  # the lowest one becomes the first one
    if shift > 0:
        for place in range(INLINE_LEAVES):
            ladder.leaves[place] = ladder.leaves[place + shift] if place + shift < INLINE_LEAVES else NONE
    else:
        for place in range(INLINE_LEAVES - 1, -1, -1):
            ladder.leaves[place] = ladder.leaves[place + shift] if place + shift >= 0 else NONE
    ladder.base = start
    return True


cdef inline void leaf_insert(Core *core, Ladder *ladder, int64_t number, uint32_t leaf) noexcept nogil:
    cdef uint32_t place
    cdef int64_t base
    if ladder.height == 0:
        if <uint64_t>(number - ladder.base) < INLINE_LEAVES or window_moves(ladder, number):
            ladder.leaves[number - ladder.base] = leaf
            return
        base = ladder.base
        for place in range(INLINE_LEAVES):
            if ladder.leaves[place] == NONE:
                continue
            if ladder.height == 0:
                ladder.height = 1
                ladder.root = node_take(core)
                ladder.base = (base + place) >> 6
            tree_insert(core, ladder, base + place, ladder.leaves[place])
    tree_insert(core, ladder, number, leaf)


cdef inline void leaf_remove(Core *core, Ladder *ladder, int64_t number) noexcept nogil:
    if ladder.height == 0:
        ladder.leaves[number - ladder.base] = NONE
    else:
        tree_remove(core, ladder, number)


# --- levels of one side: what the rest of the engine asks for ---


cdef inline void ladder_clear(BookLine *book) noexcept nogil:
    """Both sides of a book line that is new."""
    cdef uint32_t side, place
    for side in range(2):
        book.best[side] = -1
        book.best_leaf[side] = 0
        book.n_orders[side] = 0
        book.n_special[side] = 0
        book.sides[side].base = 0
        book.sides[side].height = 0
        for place in range(INLINE_LEAVES):
            book.sides[side].leaves[place] = NONE


cdef inline int64_t ladder_below(Core *core, const BookLine *book, uint32_t side, int64_t key) noexcept nogil:
    """The best key that is smaller, or -1; O(height). Below CPX_MAX_PRICE_TICKS * 2 it is the best of all."""
    cdef const Ladder *ladder = &book.sides[side]
    cdef uint32_t leaf
    cdef uint64_t lower
    if key > book.best[side]:
        return book.best[side]
    leaf = leaf_find(core, ladder, key >> 6)
    if leaf != NONE:
        lower = leaf_at(core, leaf).occupied & ((<uint64_t>1 << (key & 63)) - 1)
        if lower:
            return (key & ~<int64_t>63) | cpx_highest_bit(lower)
    leaf = leaf_below(core, ladder, key >> 6)
    if leaf == NONE:
        return -1
    return leaf_at(core, leaf).number << 6 | cpx_highest_bit(leaf_at(core, leaf).occupied)


cdef inline uint32_t ladder_level(Core *core, const BookLine *book, uint32_t side, int64_t key) noexcept nogil:
    """The level of a key that holds an order."""
    cdef uint32_t leaf = leaf_find(core, &book.sides[side], key >> 6)
    CPX_CHECK(leaf != NONE and leaf_at(core, leaf).occupied >> (key & 63) & 1)
    return leaf << 6 | <uint32_t>(key & 63)


cdef inline uint32_t ladder_best(const BookLine *book, uint32_t side) noexcept nogil:
    """The level of the best key; the side is not empty."""
    CPX_CHECK(book.best[side] >= 0)
    return book.best_leaf[side] << 6 | <uint32_t>(book.best[side] & 63)


cdef inline void leaf_open(Core *core, uint32_t at, uint32_t place) noexcept nogil:
    """An empty level (NONE, NONE) where there is none."""
    cdef Leaf *leaf = leaf_at(core, at)
    cdef uint32_t n = cpx_count_bits(leaf.occupied)
    cdef uint32_t below = levels_below(leaf, place)
    if n < FEW_LEVELS:
        while n > below:
            leaf.few[n] = leaf.few[n - 1]
            n -= 1
        leaf.few[below].head = NONE
        leaf.few[below].tail = NONE
    elif n == FEW_LEVELS:
        leaf_spread(core, at)
    leaf.occupied |= <uint64_t>1 << place


cdef inline void leaf_close(Core *core, uint32_t at, uint32_t place) noexcept nogil:
    """Forget a level that is empty (NONE, NONE)."""
    cdef Leaf *leaf = leaf_at(core, at)
    cdef uint32_t n = cpx_count_bits(leaf.occupied)
    cdef uint32_t below = levels_below(leaf, place)
    leaf.occupied ^= <uint64_t>1 << place
    if n <= FEW_LEVELS:
        while below + 1 < n:
            leaf.few[below] = leaf.few[below + 1]
            below += 1
    elif n == FEW_LEVELS + 1:
        leaf_gather(core, at)


cdef inline uint32_t ladder_open(Core *core, BookLine *book, uint32_t side, int64_t key) noexcept nogil:
    """The level of a key, empty (NONE, NONE) if it was not there."""
    cdef int64_t number = key >> 6
    cdef uint32_t leaf
    cdef Leaf *line
    if book.best[side] >= 0 and number == book.best[side] >> 6:
        leaf = book.best_leaf[side]
    else:
        leaf = leaf_find(core, &book.sides[side], number)
        if leaf == NONE:
            leaf = leaf_take(core, number)
            leaf_insert(core, &book.sides[side], number, leaf)
    line = leaf_at(core, leaf)
    CPX_CHECK(line.number == number)
    if not line.occupied >> (key & 63) & 1:
        leaf_open(core, leaf, <uint32_t>(key & 63))
    book.best_leaf[side] = <uint32_t>cpx_pick(key > book.best[side], leaf, book.best_leaf[side])
    book.best[side] = <int64_t>cpx_pick(key > book.best[side], <uint64_t>key, <uint64_t>book.best[side])
    return leaf << 6 | <uint32_t>(key & 63)


cdef inline void ladder_close(Core *core, BookLine *book, uint32_t side, uint32_t level) noexcept nogil:
    """Forget a level that has lost its last order."""
    cdef uint32_t leaf = level >> 6
    cdef Leaf *line = leaf_at(core, leaf)
    cdef int64_t number = line.number
    cdef int64_t key = number << 6 | <int64_t>(level & 63)
    CPX_CHECK(line.occupied >> (level & 63) & 1)
    leaf_close(core, leaf, level & 63)
    if line.occupied:
        if key == book.best[side]:
            book.best[side] = number << 6 | cpx_highest_bit(line.occupied)
        return
    leaf_remove(core, &book.sides[side], number)
    leaf_give(core, leaf)
    if key == book.best[side]:
        leaf = leaf_below(core, &book.sides[side], number)
        if leaf == NONE:
            book.best[side] = -1
        else:
            book.best[side] = leaf_at(core, leaf).number << 6 | cpx_highest_bit(leaf_at(core, leaf).occupied)
            book.best_leaf[side] = leaf

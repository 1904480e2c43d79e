"""Order rows of a snapshot, out and in. Rows are those of image.ROWS["ORDR"]; nothing of a blob is believed unchecked."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from .accounts cimport account_find, has_room, hold_of, may_trade, open_resize, position_make, position_reserve
from .book cimport book_at, book_max_lots, book_open, book_reserve, ext_at, order_reserve
from .hashmap cimport map_get
from .ladder cimport ladder_reserve
from .matching cimport Taker, price_valid, rest
from .types cimport *


cdef packed struct SnapOrder:  # image.ROWS["ORDR"]
    uint64_t order_id, client_ref
    int64_t price, qty, leaves, expiry_ns, done_micro
    uint32_t book, account, fee_ppm
    uint8_t side, tif
    uint16_t zero


cdef inline void fill_row(Core *core, const OrderSlot *order, uint32_t book, SnapOrder *row) noexcept nogil:
    memset(row, 0, sizeof(SnapOrder))
    row.order_id = order.id
    row.client_ref = order.client_ref
    row.price = order.price
    row.qty = order.qty
    row.leaves = order.leaves
    row.book = book
    row.account = order.account
    row.side = order.book_side & 1
    if order.ext != NONE:
        row.expiry_ns = ext_at(core, order.ext).expiry_ns
        row.done_micro = ext_at(core, order.ext).done_micro
        row.fee_ppm = ext_at(core, order.ext).fee_ppm
        row.tif = ext_at(core, order.ext).tif


cdef inline bint rows_ascend(const SnapOrder *a, const SnapOrder *b) noexcept nogil:
    """Whether b may follow a in the walk: by book, bids then asks, best to worst."""
    if a.book != b.book:
        return a.book < b.book
    if a.side != b.side:
        return a.side < b.side
    return a.price <= b.price if a.side else a.price >= b.price


cdef inline int load_order(Core *core, const SnapOrder *row) noexcept nogil:
    """Rest one order of a snapshot: 0, -1 without memory, 1 if it is not fair or not covered."""
    cdef uint32_t at = map_get(&core.book_map, row.book)
    cdef BookLine *book = &core.blank
    cdef AccountLine *account
    cdef PositionLine *position
    cdef Taker taker
    cdef int64_t hold
    if at != NONE:
        book = book_at(core, at)
    elif core.listed_only:
        return 1
    if not is_row_fair(core, row, book):
        return 1
    if order_reserve(core) or position_reserve(core) or book_reserve(core):
        return -1
    if at == NONE:
        at = book_open(core, row.book)
    book = book_at(core, at)
    if ladder_reserve(&book.sides[row.side]):
        return -1
    if core.check_funds:
        position = position_make(core, row.account, book)
        account = account_find(core, row.account)
        if row.side:
            if position.n_asks >= CPX_MAX_SELLS_PER_BOOK:
                return 1
            if book.group and not has_room(core, row.account, book.group, row.leaves):
                return 1
            open_resize(core, row.account, book.group, row.leaves)
        else:
            hold = hold_of(row.price, row.leaves, book.value_micro, row.fee_ppm, row.done_micro)
            if hold > account.purses[<int>CPX_BUCKET_HELD] - account.order_holds:
                return 1
            account.order_holds += hold
    taker.id = row.order_id
    taker.client_ref = row.client_ref
    taker.price = row.price
    taker.qty = row.qty
    taker.leaves = row.leaves
    taker.done_micro = row.done_micro
    taker.account = row.account
    taker.fee_ppm = row.fee_ppm
    taker.side = row.side
    taker.tif = row.tif
    rest(core, at, &taker, row.expiry_ns)
    return 0


cdef inline bint is_row_fair(Core *core, const SnapOrder *row, const BookLine *book) noexcept nogil:
    if row.order_id == 0 or row.order_id > <uint64_t>CPX_MAX_ORDER_ID or row.side > CPX_SIDE_SELL or row.zero:
        return False
    if map_get(&core.order_map, row.order_id) != NONE or core.n_orders >= core.max_orders:
        return False
    if not price_valid(row.price) or row.leaves < 1 or row.leaves > row.qty or row.qty > book_max_lots(book):
        return False
    if row.tif != CPX_TIF_GTC and row.tif != CPX_TIF_GTD or (row.tif == CPX_TIF_GTC) != (row.expiry_ns == 0):
        return False
    if row.expiry_ns < 0 or row.done_micro < 0 or row.fee_ppm > CPX_MAX_FEE_PPM:
        return False
    if core.check_funds and not may_trade(core, row.account):
        return False
    if (row.side or not core.check_funds) and (row.done_micro or row.fee_ppm):
        return False
    return cpx_notional_fits(row.price, row.leaves, book.value_micro, <uint64_t>row.done_micro)

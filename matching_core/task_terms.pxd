"""From the records of a task to its terms, and whether these are fair by themselves and now.

Rules kept here: the continuation records stand in one order, lists have no gaps; RT3, RT9 (a step list is fixed at
entry), EM3, CA4 (lots on a chip are rounded up). The smallest RejectReason is reported.
`matching_core/task_records.py` and `reference/tasks.py` are the rulebook.
"""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from .accounts cimport firm_of, may_trade
from .market cimport first_open, period_at
from .task_types cimport TaskDraft
from .types cimport *

cdef enum:
    ALL_TASK_FLAGS = 3
    WORDS = 6  # of a continuation record
    PERIODS_END = 1_048_576  # 2^PERIOD_BITS

# --- records ---


cdef inline bint are_parts(const Command *parts, uint32_t n) noexcept nogil:
    """Whether these are the continuation records of a task: one of terms, some of chips, any of regions, any of steps."""
    cdef uint32_t i
    if n < 2 or parts[0].op != CPX_OP_TASK_TERMS or parts[1].op != CPX_OP_TASK_CHIPS:
        return False
    for i in range(2, n):
        if parts[i].op < parts[i - 1].op or parts[i].op > CPX_OP_TASK_STEPS:
            return False
    return True


cdef inline uint64_t word_of(const Command *part, uint32_t i) noexcept nogil:
    """One of the six words of a continuation record."""
    if i == 0:
        return part.order_id
    if i == 5:
        return part.client_ref
    if i == 1:
        return <uint64_t>part.price
    if i == 2:
        return <uint64_t>part.qty
    return <uint64_t>part.aux if i == 3 else <uint64_t>part.expiry_ns


cdef inline bint next_list(const Command *parts, uint32_t n, uint8_t op, uint32_t *first, uint32_t *n_words) noexcept nogil:
    """The records of an op from `first` on, and their words up to the last one that is not 0.

    False where the last record is empty; `first` moves behind them.
    """
    cdef uint32_t end = first[0]
    cdef uint32_t begin = first[0]
    while end < n and parts[end].op == op:
        end += 1
    first[0] = end
    n_words[0] = WORDS * (end - begin)
    if end == begin:
        return True
    while n_words[0] > 0 and word_of(&parts[begin + (n_words[0] - 1) // WORDS], (n_words[0] - 1) % WORDS) == 0:
        n_words[0] -= 1
    return n_words[0] > WORDS * (end - begin - 1)


cdef inline bint read_chips(TaskDraft *draft, const Command *parts, uint32_t n, uint32_t *at) noexcept nogil:
    cdef uint32_t begin = at[0]
    cdef uint32_t n_words, i
    cdef uint64_t word
    if not next_list(parts, n, CPX_OP_TASK_CHIPS, at, &n_words) or n_words > CPX_MAX_TASK_CHIPS:
        return False
    for i in range(n_words):
        word = word_of(&parts[begin + i // WORDS], i % WORDS)
        if word == 0:
            return False
        draft.chips[i].chip = <uint32_t>word
        draft.chips[i].factor_ppm = <uint32_t>(word >> 32)
    draft.task.n_chips = <uint8_t>n_words
    return True


cdef inline bint read_regions(TaskDraft *draft, const Command *parts, uint32_t n, uint32_t *at) noexcept nogil:
    """Ascending, so no gap and none twice."""
    cdef uint32_t begin = at[0]
    cdef uint32_t last = 0
    cdef uint32_t n_words, n_regions, region, i
    if not next_list(parts, n, CPX_OP_TASK_REGIONS, at, &n_words):
        return False
    n_regions = 2 * n_words
    if n_words and word_of(&parts[begin + (n_words - 1) // WORDS], (n_words - 1) % WORDS) >> 32 == 0:
        n_regions -= 1
    if n_regions > CPX_MAX_TASK_REGIONS:
        return False
    for i in range(n_regions):
        region = <uint32_t>(word_of(&parts[begin + i // 2 // WORDS], i // 2 % WORDS) >> (32 * (i & 1)))
        if region <= last or region > CPX_MAX_REGION:
            return False
        draft.regions[i] = <uint16_t>region
        last = region
    draft.task.n_regions = <uint8_t>n_regions
    return True


cdef inline bint read_steps(TaskDraft *draft, const Command *parts, uint32_t n, uint32_t *at) noexcept nogil:
    cdef uint32_t begin = at[0]
    cdef uint32_t n_words, n_steps, i
    if not next_list(parts, n, CPX_OP_TASK_STEPS, at, &n_words):
        return False
    n_steps = (n_words + 1) // 2
    if at[0] != begin and (n_steps < 2 or n_steps > CPX_MAX_TASK_STEPS + 1):
        return False
    for i in range(n_steps):
        draft.steps[i].at_ns = <int64_t>word_of(&parts[begin + i // 3], 2 * (i % 3))
        draft.steps[i].budget_micro = <int64_t>word_of(&parts[begin + i // 3], 2 * (i % 3) + 1)
        if draft.steps[i].at_ns == 0 and draft.steps[i].budget_micro == 0:
            return False
    draft.task.n_steps = <uint8_t>n_steps
    return True


cdef inline bint read_parts(TaskDraft *draft, const Command *parts, uint32_t n) noexcept nogil:
    """The lists of a task; False where one has gaps, ends in an empty record or is too long."""
    cdef uint32_t at = 1
    cdef uint32_t i
    for i in range(n):
        if parts[i].reserved:
            return False
    return read_chips(draft, parts, n, &at) and read_regions(draft, parts, n, &at) and read_steps(
        draft, parts, n, &at)


cdef inline void read_head(Core *core, TaskDraft *draft, const Command *c) noexcept nogil:
    """Every field that is no list, where it fits; what does not is refused by `are_fields_fair` or `why_unfair`."""
    cdef TaskSlot *task = &draft.task
    cdef const Command *terms = c + 1
    memset(task, 0, sizeof(TaskSlot))
    task.id = c.order_id
    task.client_ref = c.client_ref
    task.budget_micro = c.price
    task.limit_micro = c.price
    task.lots = c.qty
    task.data_mb = terms.aux
    task.min_fill = terms.expiry_ns
    task.max_grid = -1 if terms.client_ref == 0 else <int64_t>terms.client_ref
    task.valid_until_ns = c.expiry_ns
    task.chips = draft.chips
    task.steps = draft.steps
    task.regions = draft.regions
    task.account = c.account
    task.firm = firm_of(core, c.account)
    task.access_region = c.book
    task.data_region = terms.book
    task.max_rtt_us = terms.account
    task.first_period = <uint32_t>terms.price
    task.end_period = <uint32_t>terms.qty
    task.periods = <uint32_t>c.aux
    task.min_run = <uint32_t>terms.order_id
    task.lane = c.side
    task.shape = c.order_type
    task.tif = c.tif
    task.max_class = c.stp
    task.flags = c.flags


# --- reasons ---


cdef inline bint are_chips_fair(const TaskDraft *draft) noexcept nogil:
    cdef uint32_t i, k
    for i in range(draft.task.n_chips):
        if draft.chips[i].chip < 1 or draft.chips[i].chip > CPX_MAX_CHIP:
            return False
        if draft.chips[i].factor_ppm < CPX_MIN_FACTOR_PPM or draft.chips[i].factor_ppm > CPX_MAX_FACTOR_PPM:
            return False
        if draft.task.shape == CPX_SHAPE_BULK and draft.chips[i].factor_ppm != CPX_PPM:
            return False
        for k in range(i):
            if draft.chips[k].chip == draft.chips[i].chip:
                return False
    return draft.task.n_chips > 0


cdef inline bint are_fields_fair(const TaskDraft *draft, const Command *c) noexcept nogil:
    """Every field by itself, but prices, quantities and times; and what a shape or a lane leaves open (EM3)."""
    cdef const Command *terms = c + 1
    if c.order_id == 0 or c.order_id > <uint64_t>CPX_MAX_ORDER_ID or c.flags & ~ALL_TASK_FLAGS:
        return False
    if c.side > CPX_LANE_REPAIR or c.order_type > CPX_SHAPE_BULK or c.stp >= CPX_LATENCY_CLASSES:
        return False
    if c.tif != CPX_TIF_GTC and c.tif != CPX_TIF_IOC:
        return False
    if c.book > CPX_MAX_REGION or terms.book > CPX_MAX_REGION or terms.account > CPX_MAX_RTT_US:
        return False
    if (terms.book > 0) != (terms.aux > 0) or not are_chips_fair(draft):
        return False
    if c.side == CPX_LANE_EMERGENCY and (
            c.order_type != CPX_SHAPE_BLOCK or c.tif != CPX_TIF_IOC or c.aux > CPX_MAX_EMERGENCY_PERIODS):
        return False
    if draft.task.n_steps and c.side != CPX_LANE_ECONOMY:
        return False
    if terms.order_id and c.order_type != CPX_SHAPE_SPLIT:
        return False
    return c.order_type == CPX_SHAPE_BULK or (terms.expiry_ns == 0 and terms.client_ref == 0)


cdef inline bint are_budgets_fair(const TaskDraft *draft) noexcept nogil:
    """RT9: a limit never falls, and ends at the budget."""
    cdef const TaskSlot *task = &draft.task
    cdef uint32_t i
    if task.budget_micro < 1 or task.budget_micro > CPX_MAX_MONEY_MICRO // 4:
        return False
    for i in range(task.n_steps):
        if draft.steps[i].budget_micro < (draft.steps[i - 1].budget_micro if i else 1):
            return False
    return task.n_steps == 0 or draft.steps[task.n_steps - 1].budget_micro == task.budget_micro


cdef inline bint are_amounts_fair(const TaskDraft *draft, const Command *c) noexcept nogil:
    cdef const Command *terms = c + 1
    cdef uint64_t wanted
    cdef uint32_t i
    if c.qty < 1 or c.qty > CPX_MAX_QTY_LOTS or c.aux < 1 or c.aux > CPX_MAX_WALK_PERIODS:
        return False
    if terms.aux < 0 or terms.aux > CPX_MAX_DATA_MB:
        return False
    wanted = <uint64_t>c.qty * <uint64_t>c.aux
    if terms.expiry_ns < 0 or <uint64_t>terms.expiry_ns > wanted or terms.client_ref > wanted:
        return False
    if terms.order_id > <uint64_t>c.aux:
        return False
    for i in range(draft.task.n_chips):
        if (c.qty * CPX_PPM + draft.chips[i].factor_ppm - 1) // draft.chips[i].factor_ppm > CPX_MAX_QTY_LOTS:
            return False
    return True


cdef inline uint32_t length_of(const TaskSlot *task) noexcept nogil:
    """How many periods lie between its latest start and its end at least."""
    return 1 if task.shape == CPX_SHAPE_BULK else task.periods


cdef inline bint are_times_fair(Core *core, const TaskDraft *draft, const Command *c) noexcept nogil:
    """RT9: steps follow each other, and the last one comes well before the last gate."""
    cdef const TaskSlot *task = &draft.task
    cdef uint32_t i
    if c.expiry_ns < 0 or (c.expiry_ns > 0 and c.expiry_ns <= core.now_ns):
        return False
    for i in range(task.n_steps):
        if i == 0 and draft.steps[i].at_ns != 0:
            return False
        if i == 1 and draft.steps[i].at_ns <= core.now_ns:
            return False
        if i and draft.steps[i].at_ns <= draft.steps[i - 1].at_ns:
            return False
    if task.n_steps == 0 or core.market.period_ns == 0:
        return True
    return cpx_is_before(
        draft.steps[task.n_steps - 1].at_ns, core.market.origin_ns, core.market.period_ns,
        (c + 1).qty, length_of(task), core.market.gate_ns + CPX_STEP_BEFORE_GATE_NS)


cdef inline bint is_window(const Command *c) noexcept nogil:
    """Whether first and end period are numbers of periods, in this order."""
    return 0 <= (c + 1).price < (c + 1).qty < PERIODS_END


cdef inline bint has_start(Core *core, const TaskSlot *task) noexcept nogil:
    """Whether some start lies between now, the first and the end period."""
    cdef int64_t soonest = period_at(core, core.now_ns) if task.lane == CPX_LANE_EMERGENCY else first_open(core)
    if soonest < task.first_period:
        soonest = task.first_period
    return soonest <= <int64_t>task.end_period - length_of(task)


cdef inline uint8_t read_terms(Core *core, TaskDraft *draft, const Command *c, bint is_begun) noexcept nogil:
    """The terms of a head and its records; 0, or the smallest reason why they cannot be whatever waits.

    INVALID_WINDOW comes later: other reasons are smaller.
    """
    if core.n_parts == 0:
        return CPX_REJECT_INCOMPLETE
    if core.check_funds and not may_trade(core, c.account):
        return CPX_REJECT_UNKNOWN_ACCOUNT
    read_head(core, draft, c)
    if not read_parts(draft, c + 1, core.n_parts):
        return CPX_REJECT_INVALID_FIELD
    if not core.check_funds or is_begun or not are_fields_fair(draft, c):
        return CPX_REJECT_INVALID_FIELD
    if not are_budgets_fair(draft):
        return CPX_REJECT_INVALID_PRICE
    if not are_amounts_fair(draft, c):
        return CPX_REJECT_INVALID_QTY
    if not are_times_fair(core, draft, c):
        return CPX_REJECT_INVALID_EXPIRY
    if core.market.period_ns == 0:
        return CPX_REJECT_PHASE
    if draft.task.n_steps:
        draft.task.limit_micro = draft.steps[0].budget_micro
        draft.task.next_step = 1
    return 0

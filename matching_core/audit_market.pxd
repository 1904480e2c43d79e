"""What waiting tasks, block offers, links and the dirty set must satisfy, and the structures that keep them.

Rules kept here: K2, K3, K4, EM3, HM1, RT4, RT5, RT7, RT8, RT9, MB1, MB3, MB4, C4, C10, T1, X3.
`reference/audit_tasks.py` is the rulebook.
"""

from libc.stdint cimport uint32_t, uint64_t

from .accounts cimport account_find, capacity_find, is_blocked
from .audit_cover cimport Audit, fail
from .blocks cimport block_find
from .book cimport book_at, is_open, rules_of
from .directory cimport book_find, order_find
from .groups cimport group_find
from .market cimport family_find, family_of_book
from .task_types cimport *
from .types cimport *
from .waiting cimport task_at, task_before, task_find, task_hold, task_target


cdef inline bint audit_market(Core *core, Audit *a) noexcept nogil:
    if not core.check_funds and (core.n_tasks or core.market.n_families or core.market.period_ns):
        return fail(a, b"K4: tasks where funds are not checked", 0)
    if not (audit_offers(core, a) and audit_tasks(core, a) and audit_task_heaps(core, a) and audit_groups(core, a)):
        return False
    return audit_dirt(core, a)


# --- block offers ---


cdef inline bint audit_offers(Core *core, Audit *a) noexcept nogil:
    cdef uint64_t n = 0
    cdef uint64_t n_listed = 0
    cdef uint32_t at, number, free
    cdef const BlockLine *block
    for at in range(core.market.blocks_used):
        block = core.market.blocks + at
        if block.id == 0:
            continue
        n += 1
        if block_find(core, block.id) != at or order_find(core, block.id) != NONE or task_find(core, block.id) != NONE:
            return fail(a, b"C4: block offer {} is kept under another id, or has that of another", block.id)
        if family_find(core, block.family) == NULL:
            return fail(a, b"MB1: block offer {} is of no listed family", block.id)
        if not block.first_period <= block.next_period <= block.end_period:
            return fail(a, b"MB1: block offer {} has set more than its window", block.id)
        if block.n_residues == 0 and block.next_period >= block.end_period:
            return fail(a, b"MB3: block offer {} is kept though nothing is left", block.id)
        if is_blocked(core, block.account):
            return fail(a, b"X3: block offer {} is of a killed account", block.id)
        if not audit_residues(core, a, block):
            return False
    for number in range(core.market.family_words * 64):
        at = core.market.families[number].blocks if core.market.families[number].is_listed else <uint32_t>NONE
        while at != NONE and n_listed <= n and core.market.blocks[at].family == number:
            at, n_listed = core.market.blocks[at].next, n_listed + 1
        if at != NONE:
            return fail(a, b"counters: the block offers of family {} are lost", number)
    at, free = core.market.blocks_free, 0
    while at != NONE and free < core.market.blocks_used:
        at, free = core.market.blocks[at].next, free + 1
    if at != NONE or n_listed != n or core.block_map.n != n or n + free != core.market.blocks_used:
        return fail(a, b"counters: a block offer is lost", 0)
    return True


cdef inline bint audit_residues(Core *core, Audit *a, const BlockLine *block) noexcept nogil:
    """MB3, MB4, and RT1: open capacity counts them."""
    cdef uint32_t n = 0
    cdef uint32_t period, line
    cdef const Residue *residue
    cdef const BookLine *book
    cdef const CapacityLine *capacity
    for period in range(block.first_period, block.end_period):
        residue = block.residues + (period - block.first_period)
        if residue.lots == 0:
            continue
        n += 1
        if residue.lots < 0 or residue.price < 1 or period >= block.next_period:
            return fail(a, b"MB3: block offer {} has a residue that cannot be", block.id)
        line = book_find(core, block.family << PERIOD_BITS | period)
        if line == NONE or book_at(core, line).state != BOOK_LISTED:
            return fail(a, b"MB4: block offer {} has a residue whose book is not open", block.id)
        book = book_at(core, line)
        if book.rules != NONE and rules_of(core, book).is_gated:
            return fail(a, b"MB4: block offer {} has a residue whose book is not open", block.id)
        if book.group:
            capacity = capacity_find(core, block.account, book.group)
            if capacity == NULL:
                return fail(a, b"RT1: block offer {} without capacity", block.id)
            a.opened[(<size_t>capacity - <size_t>core.capacities) // sizeof(CapacityLine)] += <uint64_t>residue.lots
    if n != block.n_residues:
        return fail(a, b"MB3: block offer {} has lost count of its residues", block.id)
    return True


# --- tasks ---


cdef inline bint audit_tasks(Core *core, Audit *a) noexcept nogil:
    cdef uint32_t slot = core.tasks_first
    cdef uint32_t before = NONE
    cdef uint32_t n = 0
    cdef uint32_t n_spreads = 0
    cdef uint64_t stamp = 0
    cdef const TaskSlot *task
    while slot != NONE and n < core.n_tasks:
        if slot >= core.tasks_used:
            return fail(a, b"counters: a task is lost", 0)
        task = task_at(core, slot)
        n += 1
        n_spreads += task.shape == CPX_SHAPE_SPREAD
        if task.prev != before or task.stamp <= stamp or task.stamp > core.task_stamp:
            return fail(a, b"C10: task {} has the wrong place in time", task.id)
        if not (audit_task(core, a, task, slot) and audit_task_state(core, a, task)):
            return False
        stamp, before, slot = task.stamp, slot, task.next
    if slot != NONE or n != core.n_tasks or before != core.tasks_last or core.task_map.n != n:
        return fail(a, b"counters: a task is lost", 0)
    if n_spreads != core.n_spreads:
        return fail(a, b"RT4: the count of waiting spread tasks is wrong", 0)
    slot = core.tasks_free
    while slot != NONE and n < core.tasks_used and task_at(core, slot).id == 0:
        slot, n = task_at(core, slot).next, n + 1
    if slot != NONE or n != core.tasks_used:
        return fail(a, b"counters: slots of tasks are lost", 0)
    return audit_task_counts(core, a)


cdef inline bint audit_task(Core *core, Audit *a, const TaskSlot *task, uint32_t slot) noexcept nogil:
    """Where a task is known, and what it holds (HM1)."""
    cdef const AccountLine *account = account_find(core, task.account)
    if task_find(core, task.id) != slot or order_find(core, task.id) != NONE:
        return fail(a, b"C4: task {} is kept under another id, or has that of another", task.id)
    if account == NULL or account.firm != task.firm:
        return fail(a, b"HM1: task {} is of nobody", task.id)
    a.holds[(<size_t>account - <size_t>core.accounts) // sizeof(AccountLine)] += task_hold(task)
    if task.group >= core.task_groups_used or task.group_at >= core.task_groups[task.group].n_tasks or (
            core.task_groups[task.group].spans[task.group_at].slot != slot):
        return fail(a, b"counters: task {} is not in its group", task.id)
    if core.task_groups[task.group].spans[task.group_at].first_period != task.first_period or (
            core.task_groups[task.group].spans[task.group_at].end_period != task.end_period):
        return fail(a, b"RT5: task {} has another window in its group", task.id)
    if group_find(core, task, core.task_groups[task.group].hash) != task.group:
        return fail(a, b"counters: task {} is in the wrong group", task.id)
    return True


cdef inline bint audit_task_state(Core *core, Audit *a, const TaskSlot *task) noexcept nogil:
    cdef bint is_fresh = not (
        task.filled or task.spent_micro or task.notional_micro or task.grid_filled or task.n_moved)
    if task.tif != CPX_TIF_GTC or task.lane == CPX_LANE_EMERGENCY:
        return fail(a, b"EM3: task {} waits though it may not", task.id)
    if task.dies_ns <= core.now_ns:
        return fail(a, b"T1: task {} has outlived its end", task.id)
    if is_blocked(core, task.account):
        return fail(a, b"X3: task {} is of a killed account", task.id)
    if not 0 <= task.notional_micro <= task.spent_micro <= task.limit_micro <= task.budget_micro:
        return fail(a, b"K3: task {} spends too much", task.id)
    if not is_fresh and not (task.shape == CPX_SHAPE_BULK and 0 < task.filled < task_target(task)):
        return fail(a, b"K2: task {} has bought a part that it cannot have", task.id)
    if task.grid_filled > task.filled or (task.max_grid > 0 and task.grid_filled > task.max_grid):
        return fail(a, b"K1: task {} has bought too much grid power", task.id)
    if task.n_steps == 0:
        if task.next_step or task.limit_micro != task.budget_micro:
            return fail(a, b"RT9: task {} has a step too many", task.id)
        return True
    if task.next_step < 1 or task.next_step > task.n_steps or (
            task.limit_micro != task.steps[task.next_step - 1].budget_micro):
        return fail(a, b"RT9: task {} is not at the step that time has come to", task.id)
    if task.next_step < task.n_steps and task.steps[task.next_step].at_ns <= core.now_ns:
        return fail(a, b"RT9: task {} is not at the step that time has come to", task.id)
    return True


cdef inline bint audit_task_counts(Core *core, Audit *a) noexcept nogil:
    """RT8: the counts by account, firm and chip add up to the waiting tasks."""
    cdef uint64_t of_accounts = 0
    cdef uint64_t of_firms = 0
    cdef uint64_t of_chips = 0
    cdef uint64_t in_firms = 0
    cdef uint64_t i
    cdef uint32_t slot = core.tasks_first
    while slot != NONE:
        in_firms += task_at(core, slot).firm != 0
        slot = task_at(core, slot).next
    for i in range(core.accounts_used):
        of_accounts += core.accounts[i].n_tasks
    for i in range(core.firm_tasks.capacity):
        if core.firm_tasks.entries[i].value != NONE:
            of_firms += core.firm_tasks.entries[i].value
    for i in range(core.chip_tasks.capacity):
        if core.chip_tasks.entries[i].value != NONE:
            of_chips += core.chip_tasks.entries[i].value
    if of_accounts != core.n_tasks or of_firms != in_firms or of_chips != core.n_tasks:
        return fail(a, b"RT8: the counts of waiting tasks are wrong", 0)
    return True


# --- heaps and groups ---


cdef inline bint audit_task_heaps(Core *core, Audit *a) noexcept nogil:
    cdef uint32_t which, at, slot
    cdef uint32_t n_steps = 0
    cdef uint32_t n_woken = 0
    for which in range(3):
        for at in range(core.task_heaps[which].n):
            slot = core.task_heaps[which].slots[at]
            if slot >= core.tasks_used or task_at(core, slot).id == 0 or task_at(core, slot).places[which] != at:
                return fail(a, b"counters: a heap of tasks has one that is not there", 0)
            if at and task_before(core, which, slot, core.task_heaps[which].slots[(at - 1) >> 1]):
                return fail(a, b"T1: a heap of tasks is out of order", 0)
    slot = core.tasks_first
    while slot != NONE:
        n_steps += task_at(core, slot).next_step < task_at(core, slot).n_steps
        n_woken += task_at(core, slot).woken != 0
        slot = task_at(core, slot).next
    if core.task_heaps[<int>TASK_HEAP_DEADLINES].n != core.n_tasks:
        return fail(a, b"T1: the heap of deadlines does not hold exactly the waiting tasks", 0)
    if core.task_heaps[<int>TASK_HEAP_STEPS].n != n_steps:
        return fail(a, b"RT9: the heap of steps does not hold exactly the tasks with one to come", 0)
    if core.task_heaps[<int>TASK_HEAP_WOKEN].n != n_woken:
        return fail(a, b"RT5: the heap of woken tasks does not hold exactly those", 0)
    return True


cdef inline bint audit_groups(Core *core, Audit *a) noexcept nogil:
    cdef uint64_t n = 0
    cdef uint64_t n_used = 0
    cdef uint32_t at
    for at in range(core.task_groups_used):
        if core.task_groups[at].chips != NULL:
            n_used += 1
            n += core.task_groups[at].n_tasks
            if core.task_groups[at].n_tasks == 0:
                return fail(a, b"counters: a group of tasks is empty", 0)
    at = core.task_groups_free
    while at != NONE and n_used < core.task_groups_used and core.task_groups[at].chips == NULL:
        at, n_used = core.task_groups[at].next, n_used + 1
    if at != NONE or n_used != core.task_groups_used or n != core.n_tasks:
        return fail(a, b"counters: a group of tasks is lost", 0)
    return True


# --- dirt ---


cdef inline bint audit_dirt(Core *core, Audit *a) noexcept nogil:
    cdef uint32_t n = 0
    cdef uint32_t at, number
    cdef bint is_draining = False
    for at in range(core.n_dirty):
        if core.dirty[at] >= core.books_used or core.books[core.dirty[at]].dirty_at != at:
            return fail(a, b"RT4: the list of dirty books is broken", 0)
        if not is_open(core.books + core.dirty[at]) or family_of_book(core, core.books[core.dirty[at]].id) == NULL:
            return fail(a, b"RT4: book {} is dirty but not open", core.books[core.dirty[at]].id)
    for at in range(1, core.books_used):
        n += core.books[at].state != BOOK_FREE and core.books[at].dirty_at != NONE
    if n != core.n_dirty:
        return fail(a, b"RT4: a dirty book is lost", 0)
    for number in range(FAMILY_WORDS * 64):
        if core.draining[number >> 6] >> (number & 63) & 1:
            is_draining = True
            if family_find(core, number) == NULL:
                return fail(a, b"RT5: a family is drained that is not listed", 0)
    if is_draining != core.is_draining or (is_draining and core.task_heaps[<int>TASK_HEAP_WOKEN].n == 0):
        return fail(a, b"RT5: a drain goes on with nobody to try", 0)
    return True

"""Snapshot rows of tasks, block offers and what they are routed by, into an empty state.

Rules kept here: `loading_tasks` has checked the rows; what needs books, money or capacity in their places is checked
here, and `check()` then looks at the whole. Families come before orders, which are kept by family; tasks come last.
`reference/snapshot_tasks.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from .accounts cimport account_find, firm_of, has_room, held_free, open_resize, position_make, position_reserve
from .blocks cimport block_at, block_find, block_make, residue_at
from .book cimport book_at, is_open
from .directory cimport book_find
from .dirt cimport dirty_add
from .links cimport link_load_set, link_set
from .market cimport access_reserve, family_list, family_of_book, reach_set, sight_begin
from .sources cimport block_changed, grid_set
from .task_types cimport *
from .types cimport *
from .waiting cimport task_hold, task_prepare, task_wait, task_wake


cdef inline int has_memory(bint has_failed) except -1:
    if has_failed:
        raise MemoryError("no memory for the state of the snapshot")
    return 0


# --- tables: before the orders ---


cdef inline int load_tables(Core *core, dict tables) except -1:
    """Delivery periods, families, reach and links."""
    for origin_ns, period_ns, gate_ns, per_firm, per_chip in tables["GRID"]:
        has_memory(grid_set(core, origin_ns, period_ns, gate_ns, per_firm, per_chip))
    for family, chip, region, latency_class, power, _ in tables["FAML"]:
        has_memory(family_list(core, family, chip, region, latency_class, power))
    for access, host, latency_class, rtt_us in tables["RCHS"]:
        has_memory(reach_set(core, access, host, latency_class, rtt_us))
    for source, target, price, mbit, capacity in tables["LINK"]:
        has_memory(link_set(core, source, target, price, mbit, capacity))
    for source, target, period, _, mb in tables["LNKU"]:
        if not sight_begin(core) <= <int64_t>period < sight_begin(core) + HORIZON:
            raise ValueError(f"snapshot has a promise of link {source}-{target} for a period out of sight")
        has_memory(link_load_set(core, source, target, period, mb))
    return 0


# --- the rest: behind the orders ---


cdef inline int load_market(Core *core, dict tables, object tasks) except -1:
    """Block offers, tasks as `loading_tasks.tasks_of` hands them out, and what a drain has before it."""
    cdef uint32_t line
    for row in tables["BLKO"]:
        load_block(core, row)
    for offer_id, period, _, price, lots in tables["BLKR"]:
        load_residue(core, offer_id, period, price, lots)
    for fields, terms, moved in tasks:
        load_task(core, fields, terms, moved)
    for (book,) in tables["DIRT"]:
        line = book_find(core, book)
        if line == NONE or not is_open(book_at(core, line)) or family_of_book(core, book) == NULL:
            raise ValueError(f"snapshot has dirty book {book} that is not open")
        dirty_add(core, book_at(core, line))
    for (family,) in tables["DRNF"]:
        core.draining[<uint32_t>family >> 6] |= <uint64_t>1 << (<uint32_t>family & 63)
        core.is_draining = True
    return 0


cdef inline int load_block(Core *core, tuple row) except -1:
    cdef BlockLine values
    (values.id, values.client_ref, values.account, values.family, values.first_period, values.end_period,
     values.next_period, values.flags, values.min_lots, values.min_periods, values.notice_ns) = row
    values.residues = NULL
    values.n_residues = 0
    values.next = values.prev = NONE
    has_memory(block_make(core, &values) == NONE)
    return 0


cdef inline int load_residue(Core *core, uint64_t offer_id, uint32_t period, int64_t price, int64_t lots) except -1:
    """One residue, counted as open capacity."""
    cdef BlockLine *block = block_at(core, block_find(core, offer_id))
    cdef BookLine *book = book_at(core, book_find(core, block.family << PERIOD_BITS | period))
    if lots > book.max_lots or not cpx_notional_fits(price, lots, book.value_micro, 0) or (
            book.group and not has_room(core, block.account, book.group, lots)):
        raise ValueError(f"snapshot has block offer {offer_id} without capacity")
    has_memory(position_reserve(core))
    position_make(core, block.account, book)
    open_resize(core, block.account, book.group, lots)
    residue_at(block, period).price = price
    residue_at(block, period).lots = lots
    block.n_residues += 1
    block_changed(core, block, period)
    return 0


cdef inline int load_lists(TaskDraft *draft, object terms, dict moved) except -1:
    cdef uint32_t i = 0
    draft.task.chips = draft.chips
    draft.task.regions = draft.regions
    draft.task.steps = draft.steps
    for chip, factor_ppm in terms.chips:
        draft.chips[i].chip, draft.chips[i].factor_ppm = chip, factor_ppm
        i += 1
    draft.task.n_chips = <uint8_t>i
    i = 0
    for region in terms.regions:
        draft.regions[i] = region
        i += 1
    draft.task.n_regions = <uint8_t>i
    i = 0
    for at_ns, budget_micro in terms.steps:
        draft.steps[i].at_ns, draft.steps[i].budget_micro = at_ns, budget_micro
        i += 1
    draft.task.n_steps = <uint8_t>i
    i = 0
    for region, period in sorted(moved.items()):
        draft.task.moved[i], draft.task.moved_from[i] = region, period
        i += 1
    draft.task.n_moved = <uint8_t>i
    return 0


cdef inline int load_terms(Core *core, TaskSlot *task, object t) except -1:
    memset(task, 0, sizeof(TaskSlot))
    task.id, task.client_ref, task.budget_micro, task.lots = t.order_id, t.client_ref, t.budget_micro, t.lots
    task.data_mb, task.min_fill, task.valid_until_ns = t.data_mb, t.min_fill, t.valid_until_ns
    task.max_grid = t.max_grid if t.max_grid else -1
    task.account, task.access_region, task.data_region = t.account, t.access_region, t.data_region
    task.max_rtt_us, task.first_period, task.end_period = t.max_rtt_us, t.first_period, t.end_period
    task.periods, task.min_run = t.periods, t.min_run
    task.lane, task.shape, task.tif, task.max_class, task.flags = t.lane, t.shape, t.tif, t.max_class, t.flags
    task.firm = firm_of(core, task.account)
    return 0


cdef inline int load_task(Core *core, dict fields, object terms, dict moved) except -1:
    """One waiting task behind those before it, with its hold."""
    cdef TaskDraft draft
    cdef TaskSlot *task = &draft.task
    cdef uint32_t slot
    load_terms(core, task, terms)
    load_lists(&draft, terms, moved)
    task.fee_ppm, task.limit_micro, task.dies_ns = fields["fee_ppm"], fields["limit_micro"], fields["dies_ns"]
    task.filled, task.grid_filled = fields["filled"], fields["grid_filled"]
    task.spent_micro, task.notional_micro = fields["spent_micro"], fields["notional_micro"]
    task.next_step = fields["next_step"]
    if terms.max_grid < 0:
        raise ValueError(f"snapshot has task {task.id} with less than no grid power")
    if not 0 <= task.notional_micro <= task.spent_micro <= task.limit_micro <= task.budget_micro:
        raise ValueError(f"snapshot has task {task.id} that spends too much")
    if task_hold(task) > held_free(account_find(core, task.account)):
        raise ValueError(f"snapshot has task {task.id} without cover")
    has_memory(access_reserve(core, task.access_region) or task_prepare(core, task, &slot))
    core.task_stamp += 1
    task.stamp = core.task_stamp
    task_wait(core, slot, task, core.tasks_last)
    if fields["woken"]:
        task_wake(core, slot, fields["woken"])
    account_find(core, task.account).order_holds += task_hold(task)
    return 0

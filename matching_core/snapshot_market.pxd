"""Tasks, block offers and what they are routed by as snapshot rows: those of `image.TASK_ROWS`.

Rules kept here: as in `snapshot.pxd`. Tasks go in the order of their stamps, their lists by id; all else ascends.
`reference/snapshot_tasks.py` is the rulebook, `restore_market.pxd` the way back.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from .market cimport sight_begin
from .snapshot_rows cimport RowKey, add_key, room_for, sort_keys
from .types cimport *
from .waiting cimport task_at

cdef packed struct SnapGrid:
    int64_t origin_ns, period_ns, gate_ns
    uint32_t per_firm, per_chip

cdef packed struct SnapFamily:
    uint32_t family, chip, region
    uint8_t latency_class, power
    uint16_t zero

cdef packed struct SnapReach:
    uint32_t access, host, latency_class
    int32_t rtt_us

cdef packed struct SnapLink:
    uint32_t source, target
    int64_t price, mbit, capacity

cdef packed struct SnapLoad:
    uint32_t source, target, period, zero
    int64_t mb

cdef packed struct SnapBlock:
    uint64_t id, client_ref
    uint32_t account, family, first, end, following, flags
    int64_t min_lots, min_periods, notice_ns

cdef packed struct SnapResidue:
    uint64_t id
    uint32_t period, zero
    int64_t price, lots

cdef packed struct SnapTask:
    uint64_t id, client_ref
    int64_t budget, limit, lots, data_mb, min_fill, max_grid, valid_until, dies_ns, filled, grid_filled, spent, notional
    uint32_t account, access, data_region, max_rtt, first, end, periods, min_run, fee_ppm
    uint8_t lane, shape, tif, max_class, flags, woken, next_step, zero

cdef packed struct SnapPart:  # TSKC: chip, factor; TSKR: region, 0; TSKM: region, first period
    uint64_t id
    uint32_t one, other

cdef packed struct SnapStep:
    uint64_t id
    int64_t at_ns, budget


# --- tables ---


cdef inline bytes grid_rows(const Core *core):
    cdef SnapGrid row
    if core.market.period_ns == 0:
        return b""
    row.origin_ns = core.market.origin_ns
    row.period_ns = core.market.period_ns
    row.gate_ns = core.market.gate_ns
    row.per_firm = core.market.per_firm
    row.per_chip = core.market.per_chip
    return PyBytes_FromStringAndSize(<const char *>&row, sizeof(SnapGrid))


cdef inline bytes family_rows(const Core *core):
    cdef bytes rows = room_for(core.market.n_families, sizeof(SnapFamily))
    cdef SnapFamily *row = <SnapFamily *>PyBytes_AS_STRING(rows)
    cdef const Family *family
    cdef uint32_t number
    for number in range(core.market.family_words * 64):
        family = core.market.families + number
        if family.is_listed:
            row.family, row.chip, row.region = number, family.chip, family.region
            row.latency_class, row.power, row.zero = family.latency_class, family.power, 0
            row += 1
    return rows


cdef inline bytes reach_rows(const Core *core):
    cdef bytes rows = room_for(core.market.n_reaches, sizeof(SnapReach))
    cdef SnapReach *row = <SnapReach *>PyBytes_AS_STRING(rows)
    cdef const Reach *reach
    cdef uint32_t i
    for i in range(core.market.n_reaches):
        reach = core.market.reaches + i
        row[i].access, row[i].host, row[i].latency_class = reach.access_region, reach.host_region, reach.latency_class
        row[i].rtt_us = <int32_t>reach.rtt_us
    return rows


cdef inline bytes link_rows(const Core *core):
    """Links that were removed are only there for what they have promised."""
    cdef uint64_t n = 0
    cdef uint32_t i
    cdef const Link *link
    for i in range(core.market.n_links):
        n += core.market.links[i].mbit_per_s > 0
    cdef bytes rows = room_for(n, sizeof(SnapLink))
    cdef SnapLink *row = <SnapLink *>PyBytes_AS_STRING(rows)
    for i in range(core.market.n_links):
        link = core.market.links + i
        if link.mbit_per_s > 0:
            row.source, row.target, row.price = link.source, link.target, link.price_micro_per_gb
            row.mbit, row.capacity = link.mbit_per_s, link.capacity_mb
            row += 1
    return rows


cdef inline uint64_t fill_loads(Core *core, SnapLoad *row) noexcept nogil:
    """How many promises there are; their rows where a place for them is given."""
    cdef uint64_t n = 0
    cdef int64_t begin = sight_begin(core)
    cdef int64_t period
    cdef uint32_t i
    cdef const Link *link
    for i in range(core.market.n_links):
        link = core.market.links + i
        if link.load_mb == NULL:
            continue
        for period in range(begin, begin + HORIZON):
            if link.load_mb[period % HORIZON] == 0:
                continue
            if row != NULL:
                row[n].source = link.source
                row[n].target = link.target
                row[n].period = <uint32_t>period
                row[n].zero = 0
                row[n].mb = link.load_mb[period % HORIZON]
            n += 1
    return n


cdef inline bytes load_rows(Core *core):
    cdef bytes rows = room_for(fill_loads(core, NULL), sizeof(SnapLoad))
    fill_loads(core, <SnapLoad *>PyBytes_AS_STRING(rows))
    return rows


# --- block offers ---


cdef inline uint64_t block_keys(const Core *core, RowKey *keys) noexcept nogil:
    """The block offers by id."""
    cdef uint64_t n = 0
    cdef uint32_t at
    for at in range(core.market.blocks_used):
        if core.market.blocks[at].id:
            n = add_key(keys, n, core.market.blocks[at].id, at)
    sort_keys(keys, n)
    return n


cdef inline bytes block_rows(const Core *core, const RowKey *keys, uint64_t n):
    cdef bytes rows = room_for(n, sizeof(SnapBlock))
    cdef SnapBlock *row = <SnapBlock *>PyBytes_AS_STRING(rows)
    cdef const BlockLine *block
    cdef uint64_t i
    for i in range(n):
        block = core.market.blocks + keys[i].at
        row[i].id, row[i].client_ref = block.id, block.client_ref
        row[i].account, row[i].family, row[i].first = block.account, block.family, block.first_period
        row[i].end, row[i].following, row[i].flags = block.end_period, block.next_period, block.flags
        row[i].min_lots, row[i].min_periods, row[i].notice_ns = block.min_lots, block.min_periods, block.notice_ns
    return rows


cdef inline bytes residue_rows(const Core *core, const RowKey *keys, uint64_t n):
    cdef uint64_t n_residues = 0
    cdef uint64_t i
    cdef uint32_t period
    cdef const BlockLine *block
    for i in range(n):
        n_residues += core.market.blocks[keys[i].at].n_residues
    cdef bytes rows = room_for(n_residues, sizeof(SnapResidue))
    cdef SnapResidue *row = <SnapResidue *>PyBytes_AS_STRING(rows)
    for i in range(n):
        block = core.market.blocks + keys[i].at
        for period in range(block.first_period, block.end_period):
            if block.residues[period - block.first_period].lots:
                row.id, row.period, row.zero = block.id, period, 0
                row.price = block.residues[period - block.first_period].price
                row.lots = block.residues[period - block.first_period].lots
                row += 1
    return rows


# --- tasks ---


cdef inline void fill_task_row(const TaskSlot *task, SnapTask *row) noexcept nogil:
    row.id, row.client_ref, row.budget, row.limit = task.id, task.client_ref, task.budget_micro, task.limit_micro
    row.lots, row.data_mb, row.min_fill = task.lots, task.data_mb, task.min_fill
    row.max_grid = 0 if task.max_grid < 0 else task.max_grid
    row.valid_until, row.dies_ns = task.valid_until_ns, task.dies_ns
    row.filled, row.grid_filled = task.filled, task.grid_filled
    row.spent, row.notional = task.spent_micro, task.notional_micro
    row.account, row.access, row.data_region = task.account, task.access_region, task.data_region
    row.max_rtt, row.first, row.end = task.max_rtt_us, task.first_period, task.end_period
    row.periods, row.min_run, row.fee_ppm = task.periods, task.min_run, task.fee_ppm
    row.lane, row.shape, row.tif, row.max_class = task.lane, task.shape, task.tif, task.max_class
    row.flags, row.woken, row.next_step, row.zero = task.flags, task.woken, task.next_step, 0


cdef inline bytes task_rows(Core *core):
    """By stamp."""
    cdef bytes rows = room_for(core.n_tasks, sizeof(SnapTask))
    cdef SnapTask *row = <SnapTask *>PyBytes_AS_STRING(rows)
    cdef uint32_t slot = core.tasks_first
    while slot != NONE:
        fill_task_row(task_at(core, slot), row)
        slot = task_at(core, slot).next
        row += 1
    return rows


cdef inline bytes chip_rows(Core *core):
    """By stamp, then as listed."""
    cdef uint32_t slot = core.tasks_first
    cdef uint64_t n = 0
    cdef uint32_t i
    cdef const TaskSlot *task
    while slot != NONE:
        n += task_at(core, slot).n_chips
        slot = task_at(core, slot).next
    cdef bytes rows = room_for(n, sizeof(SnapPart))
    cdef SnapPart *row = <SnapPart *>PyBytes_AS_STRING(rows)
    slot = core.tasks_first
    while slot != NONE:
        task = task_at(core, slot)
        for i in range(task.n_chips):
            row.id, row.one, row.other = task.id, task.chips[i].chip, task.chips[i].factor_ppm
            row += 1
        slot = task.next
    return rows


cdef inline uint64_t task_keys(Core *core, RowKey *keys) noexcept nogil:
    """The waiting tasks by id."""
    cdef uint32_t slot = core.tasks_first
    cdef uint64_t n = 0
    while slot != NONE:
        n = add_key(keys, n, task_at(core, slot).id, slot)
        slot = task_at(core, slot).next
    sort_keys(keys, n)
    return n


cdef inline bytes region_rows(Core *core, const RowKey *keys, uint64_t n):
    cdef uint64_t n_regions = 0
    cdef uint64_t i
    cdef uint32_t k
    cdef const TaskSlot *task
    for i in range(n):
        n_regions += task_at(core, keys[i].at).n_regions
    cdef bytes rows = room_for(n_regions, sizeof(SnapPart))
    cdef SnapPart *row = <SnapPart *>PyBytes_AS_STRING(rows)
    for i in range(n):
        task = task_at(core, keys[i].at)
        for k in range(task.n_regions):
            row.id, row.one, row.other = task.id, task.regions[k], 0
            row += 1
    return rows


cdef inline bytes step_rows(Core *core, const RowKey *keys, uint64_t n):
    cdef uint64_t n_steps = 0
    cdef uint64_t i
    cdef uint32_t k
    cdef const TaskSlot *task
    for i in range(n):
        n_steps += task_at(core, keys[i].at).n_steps
    cdef bytes rows = room_for(n_steps, sizeof(SnapStep))
    cdef SnapStep *row = <SnapStep *>PyBytes_AS_STRING(rows)
    for i in range(n):
        task = task_at(core, keys[i].at)
        for k in range(task.n_steps):
            row.id, row.at_ns, row.budget = task.id, task.steps[k].at_ns, task.steps[k].budget_micro
            row += 1
    return rows


cdef inline bytes moved_rows(Core *core, const RowKey *keys, uint64_t n):
    cdef uint64_t n_moved = 0
    cdef uint64_t i
    cdef uint32_t k
    cdef const TaskSlot *task
    for i in range(n):
        n_moved += task_at(core, keys[i].at).n_moved
    cdef bytes rows = room_for(n_moved, sizeof(SnapPart))
    cdef SnapPart *row = <SnapPart *>PyBytes_AS_STRING(rows)
    for i in range(n):
        task = task_at(core, keys[i].at)
        for k in range(task.n_moved):
            row.id, row.one, row.other = task.id, task.moved[k], task.moved_from[k]
            row += 1
    return rows


# --- drains ---


cdef inline bytes dirty_rows(const Core *core, RowKey *keys):
    cdef uint64_t n = 0
    cdef uint32_t i
    for i in range(core.n_dirty):
        n = add_key(keys, n, core.books[core.dirty[i]].id, 0)
    sort_keys(keys, n)
    cdef bytes rows = room_for(n, sizeof(uint32_t))
    cdef uint32_t *row = <uint32_t *>PyBytes_AS_STRING(rows)
    for i in range(core.n_dirty):
        row[i] = <uint32_t>keys[i].key
    return rows


cdef inline bytes draining_rows(const Core *core):
    cdef uint32_t n = 0
    cdef uint32_t number
    for number in range(FAMILY_WORDS * 64):
        n += core.draining[number >> 6] >> (number & 63) & 1
    cdef bytes rows = room_for(n, sizeof(uint32_t))
    cdef uint32_t *row = <uint32_t *>PyBytes_AS_STRING(rows)
    for number in range(FAMILY_WORDS * 64):
        if core.draining[number >> 6] >> (number & 63) & 1:
            row[0] = number
            row += 1
    return rows


cdef inline dict market_sections(Core *core):
    """The rows of tasks and what they are matched against, by section; {} where there is nothing of the kind."""
    cdef uint64_t most = max(core.market.blocks_used, core.n_tasks, core.n_dirty)
    cdef uint64_t n
    cdef RowKey *keys
    cdef dict sections
    if not core.check_funds:
        return {}
    keys = <RowKey *>malloc((most + 1) * sizeof(RowKey))
    if keys == NULL:
        raise MemoryError("no memory to write the state")
    try:
        sections = {
            "GRID": grid_rows(core), "FAML": family_rows(core), "RCHS": reach_rows(core), "LINK": link_rows(core),
            "LNKU": load_rows(core), "TASK": task_rows(core), "TSKC": chip_rows(core),
            "DIRT": dirty_rows(core, keys), "DRNF": draining_rows(core),
        }
        n = block_keys(core, keys)
        sections["BLKO"] = block_rows(core, keys, n)
        sections["BLKR"] = residue_rows(core, keys, n)
        n = task_keys(core, keys)
        sections["TSKR"] = region_rows(core, keys, n)
        sections["TSKS"] = step_rows(core, keys, n)
        sections["TSKM"] = moved_rows(core, keys, n)
        return sections
    finally:
        free(keys)

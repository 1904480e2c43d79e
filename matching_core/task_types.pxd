"""The structures of waiting tasks beside their slots: what tasks of equal eligibility share, and heaps of slots.

Types only; nothing here is seen from Python.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from .market_types cimport ChipNeed, TaskSlot, TaskStep

cdef enum:  # heaps of waiting tasks
    TASK_HEAP_DEADLINES = 0  # every one, by (dies_ns, id)
    TASK_HEAP_STEPS = 1  # those with a step to come, by the time of the next one
    TASK_HEAP_WOKEN = 2  # those that a drain will try, in the order of a drain

cdef enum:  # TaskSlot.woken
    WOKEN_BY_DIRT = 1
    WOKEN_BY_STEP = 2

cdef struct TaskHeap:
    uint32_t *slots
    uint64_t capacity
    uint32_t n

cdef struct TaskSpan:  # 12 bytes: all that a drain looks at to see whether a task is meant
    uint32_t first_period
    uint32_t end_period  # exclusive
    uint32_t slot

cdef struct TaskGroup:  # waiting tasks that may use the same families
    uint64_t hash
    uint64_t owner  # a bulk task whose data moves is alone in its group: its id; else 0
    ChipNeed *chips  # of all its tasks; regions lie behind them
    uint16_t *regions
    uint64_t *families  # the set of them, n_words words
    TaskSpan *spans  # of its tasks, in no order
    uint64_t spans_capacity
    uint64_t eligibility  # core.eligibility when families was made
    uint32_t n_tasks  # 0 in a free group
    uint32_t n_words
    uint32_t next  # with the same hash; in a free group the next free one
    uint32_t access_region
    uint32_t max_rtt_us
    uint32_t data_region  # 0 = no data
    uint8_t max_class
    uint8_t flags
    uint8_t n_chips
    uint8_t n_regions

cdef struct TaskDraft:  # a task while its command is read and tried
    TaskSlot task
    ChipNeed chips[66]  # as many as records can bring; at most CPX_MAX_TASK_CHIPS pass
    uint16_t regions[72]
    TaskStep steps[18]

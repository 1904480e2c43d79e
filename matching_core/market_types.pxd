"""The structures behind tasks: families of books, what they are reached by, what they ask, and what a search finds.

A family is the books `number << 20 | period`. Per family a row of best prices over the periods in sight; per account
and family a source with one cell a period: its asks that may be bought, best first. Cells and rows are copies that are
made anew where a stale bit is set; orders and books stay the only truth. Types only; nothing here is seen from Python.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "cpx_market.h" nogil:
    const int64_t CPX_NO_COST  # what no candidate may cost; two of them still add up
    int cpx_lowest_bit(uint64_t word) noexcept
    bint cpx_is_ratio_at_most(int64_t a, int64_t b, int64_t c, int64_t d) noexcept  # a / b <= c / d
    int64_t cpx_cost(int64_t a, int64_t b) noexcept  # a x b, at most CPX_NO_COST
    int64_t cpx_cost_sum(int64_t a, int64_t b) noexcept
    int64_t cpx_scaled(int64_t a, int64_t b, uint32_t shift) noexcept  # a x b / 2^shift, at most CPX_NO_COST
    int64_t cpx_unscaled(int64_t most, int64_t b, uint32_t shift) noexcept  # the largest a whose cpx_scaled is up to most
    int64_t cpx_mul_div_ceil(int64_t a, int64_t b, int64_t c) noexcept
    int64_t cpx_charge(int64_t cost_micro, int64_t twelfths) noexcept  # EM2
    int64_t cpx_period_start(int64_t origin_ns, int64_t period_ns, int64_t period, int64_t before_ns) noexcept
    int64_t cpx_period_at(int64_t origin_ns, int64_t period_ns, int64_t time_ns) noexcept
    int64_t cpx_period_after(int64_t origin_ns, int64_t period_ns, int64_t time_ns, int64_t later_ns) noexcept
    int64_t cpx_twelfths(int64_t origin_ns, int64_t period_ns, int64_t period, int64_t now_ns) noexcept
    bint cpx_is_within_share(int64_t limit, int64_t filled, int64_t target, int64_t spent) noexcept
    int64_t cpx_affordable(int64_t limit, int64_t target, int64_t filled, int64_t spent, int64_t unit, int64_t there) noexcept

cdef enum:
    PERIOD_BITS = 20  # a book of a family is number << PERIOD_BITS | period
    PERIOD_MASK = 0xFFFFF
    MAX_FAMILY = 4095
    FAMILY_WORDS = 64  # of a set of families
    HORIZON = 1024  # periods in sight: at(now) and what follows
    FEW_PERIODS = 256  # what a ring begins with
    STALE_WORDS = 16  # of a ring of HORIZON periods
    N_BOUNDS = 29  # lengths of runs that a family knows its cheapest of, each at its remainder
    N_QUOTE_BOUNDS = 7  # lengths of runs that a quantity knows its cheapest of
    N_POWERS = 8  # powers of two that a family knows the cost of, each at its remainder
    N_QUOTES = 12  # quantities that it knows the cost of: those, and some that were asked for twice
    N_MASKS = 1024  # of families that an access region reaches within a limit
    MAX_MOVED = 8  # regions that a bulk task may have moved its data to
    MAX_CLASS = 4  # the slowest latency class

cdef struct Cell:  # 64 bytes: what one account asks in one book, best price first, then first come
    int64_t units[4]  # price in micro-yuan a lot
    uint64_t lots[4]  # open lots, and CELL_* marks in the high bits; 0 = no ask here and behind

cdef enum:
    CELL_SHIFT = 60  # of the marks in lots
    CELL_MINIMUM = 1  # has a minimum: only the order itself knows which
    CELL_INDIVISIBLE = 2
    CELL_GATED = 4  # in the emergency book

cdef struct Source:  # the asks of one account in one family
    uint32_t account
    uint32_t firm
    uint32_t family
    uint32_t next  # the next one of the family, or the next free one
    uint32_t size  # periods of its ring, a power of two; cell of a period: period modulo size
    uint32_t n_asks  # its live sells in the books of the family; the source may go at 0
    uint32_t n_minimums  # cells with an ask that has a minimum
    Cell *cells
    int64_t *rows[12]  # by quote of the family: what it costs here at least, minima aside; by period modulo size
    uint64_t stale[16]  # bit k: cell k must be made anew

cdef struct Bound:  # the cheapest run of so many periods
    uint32_t length
    uint32_t version  # of the family when this was found; 0 = never
    uint32_t easing  # Family.easing then: as long as that is the same, nothing has become cheaper
    uint32_t unused
    int64_t least_micro  # CPX_NO_COST where there is no such run

cdef struct Quote:  # a quantity whose cost is known by source and period: Source.rows
    int64_t lots  # 0 = not used
    uint64_t stale[16]  # bit k: what it costs in the period at place k of the family's row must be found anew
    Bound bounds[7]

cdef struct Family:
    uint32_t number
    uint32_t chip
    uint32_t region
    uint8_t latency_class
    uint8_t power
    uint8_t is_listed
    uint8_t is_stale  # whether any stale bit is set
    uint8_t is_easing  # whether what is stale may be cheaper by a block offer
    uint32_t sources  # first Source, or NONE
    uint32_t n_sources
    uint32_t blocks  # first BlockLine, or NONE
    uint32_t size  # periods of its row, a power of two
    int64_t base  # the first period of the row
    uint32_t version  # another one with every change of what is asked; never 0
    uint32_t easing  # another one where something became cheaper; never 0
    uint32_t unused
    uint16_t next_quote  # whose turn it is to go
    uint16_t next_asked
    int64_t *best  # micro-yuan a lot of the best ask or residue, not of gated books; CPX_NO_COST where none is
    uint64_t stale[16]
    Bound bounds[29]
    Quote quotes[12]
    int64_t asked[4]  # quantities that were asked for once

cdef struct ChipBound:  # the cheapest run of so many periods over all families of a chip
    uint64_t changes  # of the market when this was found
    int64_t base  # first period in sight then
    int64_t least_micro  # a lot
    uint32_t length  # 0 = not found yet
    uint32_t unused

cdef struct Access:  # times to every family from one access region
    uint32_t region
    uint32_t unused
    uint32_t *rtt_us  # by family number; 0 = no reach

cdef struct Reach:  # in ascending order of these fields
    uint32_t access_region
    uint32_t host_region
    uint32_t latency_class
    uint32_t rtt_us  # > 0

cdef struct Link:  # in ascending order of (source, target); stays for its load where it was removed
    uint32_t source  # from region
    uint32_t target  # to region
    int64_t price_micro_per_gb
    int64_t mbit_per_s  # 0 = removed
    int64_t capacity_mb  # a period; 0 = unlimited
    int64_t *load_mb  # promised, by period modulo HORIZON; NULL where there never was a capacity

cdef struct Mask:  # families that an access region reaches within a limit; found by both
    uint64_t version  # of the tables; 0 = empty
    uint32_t access_region
    uint32_t max_rtt_us
    uint64_t words[64]

cdef struct Residue:  # 16 bytes
    int64_t price  # ticks
    int64_t lots  # 0 = none

cdef struct BlockLine:  # a block offer
    uint64_t id  # 0 in a free line
    uint64_t client_ref
    int64_t min_lots
    int64_t min_periods
    int64_t notice_ns
    Residue *residues  # end_period - first_period of them
    uint32_t account
    uint32_t family
    uint32_t first_period
    uint32_t end_period  # exclusive
    uint32_t next_period  # no period from here on was set yet
    uint32_t flags  # CPX_FLAG_INDIVISIBLE or 0
    uint32_t n_residues  # periods with lots
    uint32_t next  # the next one of the family, or the next free line
    uint32_t prev

cdef struct ChipNeed:
    uint32_t chip
    uint32_t factor_ppm

cdef struct TaskStep:
    int64_t at_ns
    int64_t budget_micro

cdef struct TaskSlot:  # a task: what it asks for, and how far it is
    uint64_t id
    uint64_t client_ref
    uint64_t stamp
    int64_t budget_micro
    int64_t limit_micro  # what it may cost now
    int64_t lots  # on its first chip
    int64_t data_mb
    int64_t min_fill  # bulk
    int64_t max_grid  # bulk: most lot-periods of grid power; -1 = no limit
    int64_t valid_until_ns
    int64_t dies_ns
    int64_t filled  # lot-periods
    int64_t grid_filled
    int64_t spent_micro
    int64_t notional_micro
    ChipNeed *chips  # n_chips, in the buyer's order
    TaskStep *steps
    uint16_t *regions  # n_regions, ascending; none = any
    uint32_t account
    uint32_t firm
    uint32_t access_region  # 0 = reach is not asked
    uint32_t data_region
    uint32_t max_rtt_us  # 0 = any
    uint32_t first_period
    uint32_t end_period  # exclusive
    uint32_t periods
    uint32_t min_run
    uint32_t fee_ppm
    uint32_t moved_from[8]  # bulk: by place in moved, the first period by which the data is there
    uint16_t moved[8]  # bulk: regions that have its data, ascending
    uint8_t lane  # CPX_LANE_*
    uint8_t shape  # CPX_SHAPE_*
    uint8_t tif
    uint8_t max_class
    uint8_t flags  # CPX_TASK_FLAG_*
    uint8_t woken
    uint8_t next_step
    uint8_t n_chips
    uint8_t n_regions
    uint8_t n_steps
    uint8_t n_moved
    uint32_t next  # in the order of the stamps; in a free slot the next free one
    uint32_t prev
    uint32_t places[3]  # in every heap of TASK_HEAP_*, or NONE
    uint32_t group  # tasks of equal eligibility
    uint32_t group_at  # where it stands among them

cdef struct Moving:  # bringing a task's data to a region
    uint32_t region
    uint32_t link  # index, or NONE: nothing is moved, nothing is told
    int64_t mb
    int64_t micro
    int64_t delay_ns
    int64_t first  # no start before this period

cdef struct FoundPart:  # where a candidate runs; spread has two
    uint32_t account
    uint32_t family
    uint32_t block  # index of its BlockLine, or NONE: plain asks
    uint32_t unused
    uint64_t block_id  # 0 = plain asks
    int64_t lots  # in every period

cdef struct Leg:  # bulk: lots of one ask
    uint32_t slot
    uint32_t account
    uint32_t family
    uint32_t period
    int64_t unit_micro
    int64_t lots

cdef struct LegAsk:  # one ask that a purchase meets, and what it is charged there
    uint32_t slot
    uint32_t unused
    int64_t lots
    int64_t cost_micro

cdef struct Found:  # the least candidate of RT2; its periods are in market.periods, the legs of a bulk in market.legs
    int64_t compute_micro
    int64_t moving_micro
    int64_t lot_periods
    uint32_t first_period
    uint32_t chip_place
    uint32_t rtt_us
    uint32_t n_periods  # ascending; bulk: 0
    uint32_t n_parts  # 1, spread 1 or 2; bulk: 0
    uint32_t n_legs  # bulk
    uint32_t n_moves
    uint32_t unused
    FoundPart parts[2]
    Moving moves[2]  # those with a link only, in the order of the parts

cdef enum:  # how close a bound is
    CLOSE_OLD = 0  # nothing in sight costs less; it may cost more by now
    CLOSE_SIGHT = 1  # the cheapest run in sight
    CLOSE_WINDOW = 2  # the cheapest run in the task's window

cdef struct Waypoint:  # 64 bytes: a family in a search; in a heap, the least bound on top
    int64_t bound_micro  # nothing here costs less
    int64_t moving_micro
    int64_t lots
    int64_t first  # first period that may be used
    int64_t end  # exclusive
    uint32_t family
    uint32_t place
    uint32_t rtt_us
    uint32_t closeness  # of the bound: CLOSE_*
    uint32_t move  # index of the region's Move
    uint32_t unused

cdef struct Move:  # what one search found out about one region
    uint64_t search
    Moving moving
    bint is_possible

cdef struct Spot:  # one source of a candidate
    uint64_t id  # 0 = not asked yet
    int64_t lots
    int64_t moving_micro
    uint32_t region
    uint32_t account
    uint32_t family
    uint32_t block  # index of its BlockLine, or NONE
    uint32_t move
    uint32_t unused

cdef struct Candidate:  # RT2
    int64_t cost_micro  # compute and moving
    int64_t compute_micro
    int64_t first
    uint32_t place
    uint32_t rtt_us  # spread: the larger one
    uint32_t n_spots  # 0 = there is none; then cost_micro is the limit
    uint32_t unused
    Spot spots[2]

cdef struct Try:  # one search
    const TaskSlot *task
    Candidate best
    int64_t open_from  # the first period that this lane may use
    int64_t sight_end
    uint64_t unwanted  # CELL_* marks of asks that it passes over
    uint64_t wanted  # CELL_* marks that an ask must have
    const int64_t *row  # what market.bounds sums, by period modulo row_size; NULL = nothing
    int64_t row_size
    int64_t scale_lots  # what is in row and bounds costs at least so often as much, divided by 2^scale_shift
    uint32_t scale_shift
    uint32_t n_better  # how often the best one has changed
    bint is_emergency

cdef struct Shop:  # one source in a search; its asks in one family, or a block offer
    const Family *family
    const Source *source  # NULL: a block offer
    const BlockLine *block
    int64_t lots
    uint32_t block_at  # index of the block, or NONE

cdef struct Choice:  # split: one period that may be chosen
    int64_t cost_micro
    int64_t period

cdef struct Stock:  # spread: one source with what a lot of a run costs there at its best price
    Shop shop
    const Waypoint *way
    Spot spot
    int64_t total  # of the periods begin to end (exclusive)
    int64_t begin
    int64_t end
    int64_t most_lots  # in every period of the run
    bint is_there  # whether it has the run at hand

cdef struct Shelf:  # bulk: the asks of one source in one period, and which of them comes next
    int64_t unit_micro
    uint64_t id  # of that ask; 0 = not asked yet
    uint32_t slot
    uint32_t place
    uint32_t rtt_us
    uint32_t period
    uint32_t region
    uint32_t source  # index
    uint32_t account
    uint32_t n_taken

cdef struct Market:  # all zero until the first SET_GRID, LIST_FAMILY, SET_REACH or SET_LINK
    int64_t origin_ns
    int64_t period_ns  # 0 = no grid
    int64_t gate_ns
    uint32_t per_firm
    uint32_t per_chip
    int64_t clock_ns  # the moment that the next two are about; they are found once for every moment
    int64_t clock_at
    int64_t clock_open
    bint has_clock
    uint32_t n_families  # listed ones
    uint32_t family_words  # words of a set of families that can be other than 0
    Family *families  # by number; MAX_FAMILY + 1 of them, or NULL
    uint64_t *chip_masks  # FAMILY_WORDS each, by index of chip_list
    uint64_t *region_masks
    uint32_t *chip_index  # by chip: where its mask is, + 1; 0 = no family
    uint32_t *region_index
    ChipBound *chip_bounds  # N_BOUNDS each, by index as the masks
    uint64_t chips_capacity
    uint64_t chip_bounds_capacity
    uint64_t changes  # grows when something may cost another price than before
    uint64_t regions_capacity
    uint32_t n_chips
    uint32_t n_regions
    uint64_t class_masks[320]  # families of class <= c: 64 words each
    uint64_t green_mask[64]
    uint64_t tables_version  # grows with LIST_FAMILY and SET_REACH
    Mask *masks  # N_MASKS
    Reach *reaches
    uint64_t reaches_capacity
    Link *links
    uint64_t links_capacity
    Access *accesses
    uint64_t accesses_capacity
    uint32_t *access_index  # by region: index + 1
    uint32_t n_reaches
    uint32_t n_links
    uint32_t n_accesses
    uint32_t sources_used
    uint32_t sources_free
    Source *sources
    uint64_t sources_capacity
    BlockLine *blocks
    uint64_t blocks_capacity
    uint32_t blocks_used
    uint32_t blocks_free
    # what searches write to; nothing of it is state
    uint64_t search  # number of the last one
    Waypoint *heap  # MAX_FAMILY + 1
    uint32_t n_heap
    uint32_t *periods  # HORIZON: of the candidate found
    Move *moves  # as many as region masks
    uint64_t moves_capacity
    int64_t *bounds  # HORIZON: what the runs of one family cost at least, by start from the first of the window
    int64_t *costs  # HORIZON: of the periods of one source
    Leg *legs
    uint64_t legs_capacity
    void *scratch
    uint64_t scratch_capacity

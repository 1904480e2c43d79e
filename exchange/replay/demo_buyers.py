"""The demo's buyers and their tasks. Sizes, lengths and hours of the day follow the published 2023 GPU trace.

The figures below are counts and quantiles of that trace (8,152 pods), not rows of it; everything else is
invented. Draws belong to a task's number.
"""

from dataclasses import dataclass, replace

from exchange.adapters.draws import Draws
from exchange.adapters.market_files import ANY_LATENCY_US, TaskRow
from exchange.adapters.reference_prices import list_price_micro, to_tick
from exchange.domain.commands import SetVenue, SubmitTask, Task, TaskChip
from exchange.domain.units import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND, PPM, div_ceil
from matching_core.limits import MAX_EMERGENCY_PERIODS

BUYERS_PER_KIND = 40

# Seconds from creation to deletion in steps of 5 %; the last step ends at the 99 % quantile, not at the
# longest.
SECONDS_QUANTILES = (
    0, 48, 80, 112, 146, 167, 202, 244, 301, 406, 540, 691, 883, 1_122, 1_422, 1_974, 2_700, 4_006, 6_574, 16_425,
    99_719,
)  # fmt: skip
# (tenths of a card, pods), rounded up to tenths; and the same for pods without GPU, 16 cores a card.
GPU_LOTS = (
    (1, 7), (2, 99), (3, 207), (4, 388), (5, 899), (6, 147), (7, 253), (9, 1078), (10, 3911), (20, 16), (40, 15),
    (80, 44),
)  # fmt: skip
CPU_LOTS = ((5, 185), (7, 1), (8, 381), (10, 134), (11, 95), (13, 2), (20, 290))
# Pods created in each hour of the day.
HOURS = tuple(enumerate((
    515, 456, 362, 436, 426, 318, 291, 331, 242, 146, 222, 204, 152, 149, 137, 271, 301, 425, 550, 466, 352, 430, 432,
    538,
)))  # fmt: skip

# Ours: caps per thousand of the reference price, spare hours before the deadline.
CAP_QUANTILES = (700, 870, 970, 1_040, 1_110, 1_190, 1_280, 1_400, 1_560, 1_820, 2_400)
SPARE_TIGHT = (0, 1, 1, 2, 3)
SPARE_LOOSE = (3, 6, 9, 12, 18, 24)
MAX_HOURS = 24

HUBEI = (
    ("hubei-wuhan", 10), ("hubei-yichang", 3), ("hubei-xiangyang", 3), ("hubei-jingzhou", 2), ("hubei-huangshi", 1),
    ("hubei-shiyan", 1), ("hubei-xiaogan", 1), ("hubei-enshi", 1),
)  # fmt: skip
CITIES = (
    ("beijing", 4), ("shanghai", 4), ("guangzhou", 3), ("shenzhen", 3), ("chengdu", 2), ("hangzhou", 2), ("nanjing", 2),
    ("xian", 1), ("changsha", 1), ("zhengzhou", 1),
)  # fmt: skip
HUBEI_SITES = ("hubei-wuhan", "hubei-yichang", "hubei-xiangyang", "hubei-jingzhou", "hubei-huangshi")


@dataclass(frozen=True, slots=True)
class BuyerKind:
    """One trade of buyers. Chip lists, latency limits and scale factors come with weights; shares are percent."""

    name: str
    weight: int  # share of all tasks
    in_hubei: int
    chips: tuple[tuple[tuple[str, ...], int], ...]
    latency_ms: tuple[tuple[int, int], ...]  # in Hubei; 0 = any. Elsewhere a limit is doubled
    scale: tuple[tuple[int, int], ...]  # times the trace's cards: jobs over whole machines
    data_mb: tuple[int, ...]  # quantiles, for each card-hour
    has_data: int
    bulk: int
    economy: int
    emergency: int
    green: int
    at_home: int  # data must stay in Hubei


KINDS = (
    BuyerKind(
        name="hospital", weight=18, in_hubei=100,
        chips=((("L40S", "A10", "RTX4090"), 4), (("L40S",), 2), (("A10", "L40S"), 2), (("RTX4090", "A10"), 2)),
        latency_ms=((1, 1), (5, 7), (10, 2)), scale=((1, 8), (2, 2)), data_mb=(50, 200, 500, 1_200, 3_000), has_data=70,
        bulk=0, economy=0, emergency=8, green=2, at_home=30,
    ),
    BuyerKind(
        name="film", weight=20, in_hubei=40,
        chips=((("RTX4090", "L40S"), 5), (("RTX4090",), 3), (("L40S", "RTX4090"), 2)),
        latency_ms=((0, 1),), scale=((1, 5), (4, 3), (16, 2)),
        data_mb=(500, 1_000, 2_000, 4_000, 8_000, 15_000), has_data=80,
        bulk=30, economy=45, emergency=0, green=8, at_home=0,
    ),
    BuyerKind(
        name="lab", weight=24, in_hubei=55,
        chips=(
            (("A910B", "H800"), 3), (("A910B",), 3), (("A100-SXM-80", "H800"), 1), (("K920",), 5), (("SW26010P",), 1),
        ),
        latency_ms=((0, 1),), scale=((1, 5), (8, 4), (32, 1)), data_mb=(50, 200, 800, 3_000, 10_000),
        has_data=50, bulk=15, economy=30, emergency=0, green=12, at_home=2,
    ),
    BuyerKind(
        name="startup", weight=26, in_hubei=45,
        chips=(
            (("H800", "H100-SXM-80", "A910B"), 3), (("A910B", "H800"), 4), (("H100-SXM-80", "H800"), 2), (("H800",), 2),
            (("MI300X", "H100-SXM-80"), 1),
        ),
        latency_ms=((10, 5), (0, 6)), scale=((1, 4), (8, 4), (32, 1), (64, 1)),
        data_mb=(100, 500, 2_000, 5_000, 12_000), has_data=50,
        bulk=8, economy=12, emergency=0, green=10, at_home=2,
    ),
    BuyerKind(
        name="factory", weight=12, in_hubei=60,
        chips=((("T4", "A10"), 4), (("A10", "L40S", "T4"), 4), (("K920",), 2)),
        latency_ms=((5, 4), (7, 2), (10, 4)), scale=((1, 5), (4, 5)), data_mb=(50, 200, 500, 1_500), has_data=40,
        bulk=0, economy=5, emergency=2, green=3, at_home=5,
    ),
)  # fmt: skip


def demo_tasks(seed: int, start_ns: int, count: int, venue: SetVenue) -> list[TaskRow]:
    """`count` tasks submitted within the 24 hours from start_ns, in order of (time, id)."""
    rows = [_task_row(seed, number, start_ns, venue) for number in range(1, count + 1)]
    rows.sort(key=lambda row: (row.submit_ns, row.command.task.client_order_id))
    return rows


def _task_row(seed: int, number: int, start_ns: int, venue: SetVenue) -> TaskRow:
    draws = Draws(seed, "task", number)
    kind = draws.weighted(tuple((kind, kind.weight) for kind in KINDS))
    buyer = f"buyer-{kind.name}-{draws.between(1, BUYERS_PER_KIND):03d}"
    submit_ns = (
        start_ns + draws.weighted(HOURS) * NS_PER_HOUR + draws.below(3_600_000) * (NS_PER_SECOND // 1_000)
    )
    lots, seconds, chips = _size(draws, kind, venue)
    period_s = venue.period_min * 60
    periods = min(max(1, div_ceil(seconds, period_s)), MAX_HOURS * 60 // venue.period_min)
    waste = lots * periods * venue.period_min - div_ceil(lots * min(seconds, periods * period_s), 60)
    terms = _terms(draws, kind, buyer)
    if terms.lane == "emergency" and periods > MAX_EMERGENCY_PERIODS:  # EM3
        terms = replace(terms, lane="standard")
    cap = list_price_micro(chips[0]) * draws.from_quantiles(CAP_QUANTILES) // 1_000
    is_bulk, min_fill = draws.chance(kind.bulk), draws.chance(20)
    is_unbroken, is_abandoned = draws.chance(8), draws.chance(20)
    task = Task(
        participant=buyer,
        client_order_id=f"{kind.name}-{number:05d}",
        access_region=terms.access_region,
        max_latency_us=terms.max_latency_us,
        chips=tuple(TaskChip(chip) for chip in chips),
        lots=lots,
        periods=periods,
        earliest_start_ns=submit_ns,
        deadline_ns=_deadline(draws, submit_ns, periods, terms, venue),
        price_cap_micro=to_tick(
            cap * (1_300 if terms.lane == "emergency" else 1_000) // 1_000, venue.tick_micro
        ),
        data_mb=div_ceil(
            terms.data_mb_per_card_hour * lots * periods * venue.period_min, 60 * venue.lots_per_card
        ),
        data_region=terms.data_region,
        lane=terms.lane,
        shape="bulk" if is_bulk else "block",
        allowed_regions=terms.allowed_regions,
        min_green_ppm=terms.min_green_ppm,
        checkpoint="none" if is_unbroken and not is_bulk else "hourly",
        on_break="abandon" if is_abandoned and not is_bulk else "continue",
        min_fill=div_ceil(lots * periods, 4) if is_bulk and min_fill else 0,
    )
    return TaskRow(submit_ns, SubmitTask(task), "", 0, max(0, waste))


def _size(draws: Draws, kind: BuyerKind, venue: SetVenue) -> tuple[int, int, tuple[str, ...]]:
    """(lots, seconds, chips): the trace's tenths of a card, times the kind's scale."""
    chips, scale = draws.weighted(kind.chips), draws.weighted(kind.scale)
    gpu, cpu = draws.weighted(GPU_LOTS), draws.weighted(CPU_LOTS)
    tenths = cpu if chips == ("K920",) else gpu * scale
    return div_ceil(tenths * venue.lots_per_card, 10), draws.from_quantiles(SECONDS_QUANTILES), chips


@dataclass(frozen=True, slots=True)
class _Terms:
    access_region: str
    max_latency_us: int
    lane: str
    data_mb_per_card_hour: int
    data_region: str
    allowed_regions: tuple[str, ...]
    min_green_ppm: int


def _terms(draws: Draws, kind: BuyerKind, buyer: str) -> _Terms:
    """Where from, how near, in which lane. A buyer's place belongs to the buyer, not to the task."""
    home = Draws(0, "home", buyer)
    in_hubei = home.chance(kind.in_hubei)
    access = home.weighted(HUBEI) if in_hubei else home.weighted(CITIES)
    limit_ms = draws.weighted(kind.latency_ms) * (1 if in_hubei else 2)
    is_economy, is_emergency = draws.chance(kind.economy), draws.chance(kind.emergency)
    has_data, data_mb, is_local = (
        draws.chance(kind.has_data),
        draws.from_quantiles(kind.data_mb),
        draws.chance(85),
    )
    is_green, is_bound = draws.chance(kind.green), draws.chance(kind.at_home)
    lane = "emergency" if is_emergency else "economy" if is_economy and not limit_ms else "standard"
    has_data = has_data and lane != "emergency"  # EM3: data in place
    return _Terms(
        access_region=access,
        max_latency_us=limit_ms * 1_000 or ANY_LATENCY_US,
        lane=lane,
        data_mb_per_card_hour=data_mb if has_data else 0,
        data_region=(access if is_local else "hubei-wuhan") if has_data else "",
        allowed_regions=HUBEI_SITES if is_bound and in_hubei else (),
        min_green_ppm=PPM // 2 if is_green else 0,
    )


def _deadline(draws: Draws, submit_ns: int, periods: int, terms: _Terms, venue: SetVenue) -> int:
    """First period that can still be bought, plus the hours, plus spare: little where latency matters."""
    period_ns = venue.period_min * NS_PER_MINUTE
    first_ns = div_ceil(submit_ns + venue.gate_min * NS_PER_MINUTE + 1, period_ns) * period_ns
    tight, loose = draws.from_quantiles(SPARE_TIGHT), draws.from_quantiles(SPARE_LOOSE)
    spare_hours = (
        0 if terms.lane == "emergency" else loose if terms.max_latency_us == ANY_LATENCY_US else tight
    )
    spare = div_ceil(spare_hours * 60, venue.period_min) + (1 if terms.data_mb_per_card_hour else 0)
    return first_ns + (periods + spare) * period_ns

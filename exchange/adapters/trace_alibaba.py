"""Alibaba's 2023 GPU trace (openb_pod_list_*.csv, openb_node_list_*.csv) as tasks for the market.

The trace says what ran, not what it was worth: prices, deadlines, places and data are drawn by the seeded
rule of docs/guides/alibaba_trace.md, which also fixes how each column is read. Draws belong to a pod's name,
so the order of rows does not matter. A pod longer than the horizon is bought in successive pieces and is
answered when all of them are.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from exchange.adapters.catalogue_files import chip_code
from exchange.adapters.draws import Draws
from exchange.adapters.market_files import ANY_LATENCY_US, DEFAULT_VENUE, TaskRow
from exchange.adapters.reference_prices import USD_RATE_PPM, list_price_micro, to_tick
from exchange.adapters.rows import CellError, Cells, Columns, Problem, read_records
from exchange.domain.commands import SetVenue, SubmitTask, Task, TaskChip
from exchange.domain.units import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND, PPM, div_ceil, div_floor

POD_COLUMNS = Columns(
    required=(
        "name", "cpu_milli", "num_gpu", "gpu_milli", "gpu_spec", "qos", "creation_time", "deletion_time",
    ),
    is_closed=False,
)  # fmt: skip
NODE_COLUMNS = Columns(required=("sn", "cpu_milli", "gpu", "model"), is_closed=False)

DEFAULT_EPOCH_NS = 1_767_542_400 * NS_PER_SECOND  # 2026-01-05T00:00:00+08:00
DEFAULT_SEED = 1
CPU_CHIP = "K920"
CORES_PER_CARD = 16
BUSY_DAYS = 31

# The node list's own count of cards, for imports without it; also the order in which an empty gpu_spec
# accepts chips.
DEFAULT_CARDS = (
    ("G2", 4392), ("T4", 842), ("G3", 312), ("P100", 265), ("V100M32", 204), ("V100M16", 195), ("A10", 2),
)  # fmt: skip
KNOWN_CHIPS = frozenset(code for code, _ in DEFAULT_CARDS)

MAX_CPU_MILLI = 16_000_000
MAX_GPUS = 10_000
MAX_SECONDS = 10 * 366 * 86_400

LATENCY_SENSITIVE = ("LS", "Guaranteed")
QOS = (*LATENCY_SENSITIVE, "Burstable", "BE")
BUYERS = 300
WUHAN = "hubei-wuhan"
OTHER_HUBEI = ("jingzhou", "yichang", "xiangyang", "huangshi", "shiyan", "jingmen")
CITIES = ("beijing", "shanghai", "guangzhou", "shenzhen", "chengdu", "nanjing", "hangzhou", "xian")

# Equally spaced quantiles, straight lines between: caps per thousand of the list price, megabytes of data
# for each card-hour, spare periods.
CAP_QUANTILES = (600, 800, 920, 1_010, 1_100, 1_180, 1_270, 1_390, 1_560, 1_850, 2_600)
DATA_MB_QUANTILES = (50, 200, 500, 1_000, 2_000, 4_000, 10_000)
SPARE_TIGHT = (0, 1, 1, 2, 3)
SPARE_LOOSE = (4, 8, 12, 24, 36, 60)


@dataclass(frozen=True, slots=True)
class Demand:
    """What tasks ask for in the busy window: lot-periods per chip, and the largest task that names the chip.

    Tasks that accept several chips count for each by its share of the fleet's cards; those that accept every
    chip name none.
    """

    start_ns: int
    busy_start_ns: int
    last_submit_ns: int
    end_ns: int
    lot_periods: tuple[tuple[str, int], ...]
    largest_lots: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class TaskRows:
    """An imported trace: tasks by submit time, what could not be read, and the counts that the guide states."""

    rows: tuple[TaskRow, ...]
    problems: tuple[Problem, ...]
    pods: int
    cpu_pods: int
    long_pods: int
    paid_lot_minutes: int
    waste_lot_minutes: int
    demand: Demand


@dataclass(frozen=True, slots=True)
class _Options:
    seed: int
    epoch_ns: int
    venue: SetVenue
    piece_periods: int
    usd_rate_ppm: int
    cards: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class _Pod:
    name: str
    file: str
    line: int
    chips: tuple[str, ...]
    milli_cards: int  # what it uses
    lots: int  # what it buys
    qos: str
    created_s: int
    seconds: int


@dataclass(slots=True)
class _Total:
    rows: list[TaskRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    first_line: dict[str, int] = field(default_factory=dict)
    pods: int = 0
    cpu_pods: int = 0
    long_pods: int = 0


def import_trace(
    pods_path: Path,
    nodes_path: Path | None = None,
    seed: int = DEFAULT_SEED,
    epoch_ns: int = DEFAULT_EPOCH_NS,
    *,
    venue: SetVenue = DEFAULT_VENUE,
    piece_periods: int = 72,
    usd_rate_ppm: int = USD_RATE_PPM,
) -> TaskRows:
    """A pod list as tasks, sorted by (submit time, id); second 0 of the trace falls on epoch_ns."""
    total = _Total()
    cards = DEFAULT_CARDS if nodes_path is None else read_node_cards(nodes_path, total.problems)
    options = _Options(seed, epoch_ns, venue, piece_periods, usd_rate_ppm, cards)
    for found in read_records(pods_path, POD_COLUMNS, lambda cells: _pod(cells, options)):
        if isinstance(found, Problem):
            total.problems.append(found)
        else:
            _add_pod(found.value, options, total)
    total.rows.sort(key=lambda row: (row.submit_ns, row.command.task.client_order_id))
    paid = sum(row.command.task.lots * row.command.task.periods for row in total.rows) * venue.period_min
    return TaskRows(
        rows=tuple(total.rows),
        problems=tuple(total.problems),
        pods=total.pods,
        cpu_pods=total.cpu_pods,
        long_pods=total.long_pods,
        paid_lot_minutes=paid,
        waste_lot_minutes=sum(row.waste_lot_minutes for row in total.rows),
        demand=demand_of(total.rows, cards, venue),
    )


def read_node_cards(path: Path, problems: list[Problem]) -> tuple[tuple[str, int], ...]:
    """(chip, cards) of a node list, most cards first, then by code; unreadable lines are added to problems."""
    cards: dict[str, int] = {}
    for found in read_records(path, NODE_COLUMNS, _node):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            chip, count = found.value
            cards[chip] = cards.get(chip, 0) + count
    if not cards:
        problems.append(
            Problem(path.name, 0, "", "missing", "lists no GPU; the trace's own counts are used instead")
        )
        return DEFAULT_CARDS
    return tuple(sorted(cards.items(), key=lambda item: (-item[1], item[0])))


def demand_of(rows: Iterable[TaskRow], cards: tuple[tuple[str, int], ...], venue: SetVenue) -> Demand:
    """Demand of tasks in the last BUSY_DAYS days in which anybody new came; offers stand until the last deadline.

    Only a row's first task counts as new: the pieces of a long pod go on for weeks after everybody else has come.
    """
    tasks: list[tuple[int, Task]] = []
    came: dict[tuple[str, int], int] = {}
    for row in rows:
        tasks.append((row.submit_ns, row.command.task))
        came[row.file, row.line] = min(row.submit_ns, came.get((row.file, row.line), row.submit_ns))
    if not tasks:
        return Demand(0, 0, 0, 0, (), ())
    period_ns = venue.period_min * NS_PER_MINUTE
    start_ns = min(submit for submit, _ in tasks) // period_ns * period_ns
    last_ns = max(came.values())
    busy_ns = max(start_ns, (last_ns - BUSY_DAYS * NS_PER_DAY) // period_ns * period_ns)
    weight = dict(cards)
    wanted: dict[str, int] = {}
    largest: dict[str, int] = {}
    for task in (task for submit_ns, task in tasks if busy_ns <= submit_ns <= last_ns):
        accepted = [chip.chip for chip in task.chips]
        whole = sum(weight.get(chip, 1) for chip in accepted)
        for chip in accepted:  # thousandths, so that small shares are not lost
            part = task.lots * task.periods * 1_000 * weight.get(chip, 1) // whole
            wanted[chip] = wanted.get(chip, 0) + part
            if len(accepted) < len(cards):
                largest[chip] = max(largest.get(chip, 0), task.lots)
    end_ns = div_ceil(max(task.deadline_ns for _, task in tasks), period_ns) * period_ns
    lot_periods = tuple((chip, div_ceil(wanted[chip], 1_000)) for chip in sorted(wanted))
    return Demand(start_ns, busy_ns, last_ns, end_ns, lot_periods, tuple(sorted(largest.items())))


def _node(cells: Cells) -> tuple[str, int]:
    return _chip(cells, "model", cells.required("model")), cells.scaled("gpu", 1, 0, MAX_GPUS)


def _chip(cells: Cells, column: str, name: str) -> str:
    code = chip_code(name, KNOWN_CHIPS)
    if not code:
        message = f"{name[:40]!r} is no chip of the trace; known are {', '.join(sorted(KNOWN_CHIPS))}"
        raise CellError(column, "unknown_code", message)
    return code


def _pod(cells: Cells, options: _Options) -> _Pod:
    gpus = cells.scaled("num_gpu", 1, 0, MAX_GPUS)
    cpu_milli = cells.scaled("cpu_milli", 1, 0 if gpus else 1, MAX_CPU_MILLI)
    lots_per_card = options.venue.lots_per_card
    if gpus:
        gpu_milli = cells.scaled("gpu_milli", 1, 1, 1_000)
        names = [part.strip() for part in cells.text("gpu_spec").split("|") if part.strip()]
        accepted = [_chip(cells, "gpu_spec", name) for name in names] or [code for code, _ in options.cards]
        milli_cards, lots = gpus * gpu_milli, gpus * div_ceil(gpu_milli * lots_per_card, 1_000)
    else:
        accepted = [CPU_CHIP]
        milli_cards = div_ceil(cpu_milli, CORES_PER_CARD)
        lots = div_ceil(cpu_milli * lots_per_card, 1_000 * CORES_PER_CARD)
    created_s = cells.scaled("creation_time", 1, 0, MAX_SECONDS)
    deleted_s = cells.scaled("deletion_time", 1, 0, MAX_SECONDS)
    if deleted_s < created_s:
        raise CellError("deletion_time", "time_order", "lies before creation_time")
    return _Pod(
        name=cells.code("name"),
        file=cells.file,
        line=cells.line,
        chips=tuple(dict.fromkeys(accepted)),
        milli_cards=milli_cards,
        lots=lots,
        qos=cells.choice("qos", QOS),
        created_s=created_s,
        seconds=deleted_s - created_s,
    )


def _add_pod(pod: _Pod, options: _Options, total: _Total) -> None:
    first = total.first_line.setdefault(pod.name, pod.line)
    if first != pod.line:
        message = f"pod {pod.name} stands already in line {first}; keep one"
        total.problems.append(Problem(pod.file, pod.line, "name", "duplicate", message))
        return
    rows = _pieces(pod, options)
    total.rows += rows
    total.pods += 1
    total.cpu_pods += pod.chips == (CPU_CHIP,)
    total.long_pods += len(rows) > 1


def _pieces(pod: _Pod, options: _Options) -> list[TaskRow]:
    """The pod's tasks: one, or where it outlasts the horizon one per piece, each submitted when the last
    window ends.
    """
    venue = options.venue
    period_s = venue.period_min * 60
    submit_ns = options.epoch_ns + pod.created_s * NS_PER_SECOND
    is_long = pod.seconds > venue.horizon_periods * period_s
    most_s = options.piece_periods * period_s if is_long else max(pod.seconds, 1)
    wish = _draw_wish(pod, options)
    rows: list[TaskRow] = []
    left_s = pod.seconds
    while left_s > 0 or not rows:
        seconds = min(left_s, most_s)
        left_s -= seconds
        periods = max(1, div_ceil(seconds, period_s))
        name = pod.name if not rows else f"{pod.name}.{len(rows) + 1}"
        task = _task(name, pod, periods, submit_ns, wish, venue)
        used = div_floor(pod.milli_cards * venue.lots_per_card * seconds, 60_000)
        waste = pod.lots * periods * venue.period_min - used
        rows.append(TaskRow(submit_ns, SubmitTask(task), pod.file, pod.line, waste))
        submit_ns = task.deadline_ns
    return rows


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the trace does not say and the seed decides."""

    buyer: str
    access_region: str
    max_latency_us: int
    cap_micro: int
    spare_periods: int
    data_mb_per_card_hour: int
    data_region: str
    lane: str
    min_green_ppm: int
    checkpoint: str
    on_break: str


def _draw_wish(pod: _Pod, options: _Options) -> _Wish:
    """One pod's draws, always all of them and in this order, so that a change of one rule moves no other draw."""
    draws = Draws(options.seed, pod.name)
    is_tight = pod.qos in LATENCY_SENSITIVE
    buyer = f"buyer-{draws.below(BUYERS):03d}"
    place = draws.weighted((("wuhan", 50), ("hubei", 20), ("city", 30)))
    town, city = OTHER_HUBEI[draws.below(len(OTHER_HUBEI))], CITIES[draws.below(len(CITIES))]
    access = {"wuhan": WUHAN, "hubei": f"hubei-{town}", "city": city}[place]
    cap = list_price_micro(pod.chips[0], options.usd_rate_ppm) * draws.from_quantiles(CAP_QUANTILES) // 1_000
    spare = draws.from_quantiles(SPARE_TIGHT if is_tight else SPARE_LOOSE)
    has_data, data_mb = draws.chance(40), draws.from_quantiles(DATA_MB_QUANTILES)
    is_local, is_economy, is_green = draws.chance(80), draws.chance(35), draws.chance(8)
    is_unbroken, is_abandoned = draws.chance(10), draws.chance(20)
    return _Wish(
        buyer=buyer,
        access_region=access,
        max_latency_us=(20_000 if place == "city" else 10_000) if is_tight else ANY_LATENCY_US,
        cap_micro=to_tick(cap, options.venue.tick_micro),
        spare_periods=spare,
        data_mb_per_card_hour=data_mb if has_data else 0,
        data_region=(access if is_local else WUHAN) if has_data else "",
        lane="economy" if is_economy and not is_tight else "standard",
        min_green_ppm=PPM // 2 if is_green and not is_tight else 0,
        checkpoint="none" if is_unbroken else "hourly",
        on_break="abandon" if is_abandoned else "continue",
    )


def _task(name: str, pod: _Pod, periods: int, submit_ns: int, wish: _Wish, venue: SetVenue) -> Task:
    period_ns = venue.period_min * NS_PER_MINUTE
    first_ns = div_ceil(submit_ns + venue.gate_min * NS_PER_MINUTE + 1, period_ns) * period_ns
    card_minutes = div_ceil(pod.lots * periods * venue.period_min, venue.lots_per_card)
    moving_periods = 1 if wish.data_mb_per_card_hour else 0  # the data must be there first
    spare = min(wish.spare_periods + moving_periods, max(0, venue.horizon_periods - periods - 1))
    return Task(
        participant=wish.buyer,
        client_order_id=name,
        access_region=wish.access_region,
        max_latency_us=wish.max_latency_us,
        chips=tuple(TaskChip(chip) for chip in pod.chips),
        lots=pod.lots,
        periods=periods,
        earliest_start_ns=submit_ns,
        deadline_ns=first_ns + (periods + spare) * period_ns,
        price_cap_micro=wish.cap_micro,
        data_mb=div_ceil(wish.data_mb_per_card_hour * card_minutes, 60),
        data_region=wish.data_region,
        lane=wish.lane,
        min_green_ppm=wish.min_green_ppm,
        checkpoint=wish.checkpoint,
        on_break=wish.on_break,
    )

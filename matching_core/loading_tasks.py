"""The rows of tasks, block offers and what they are routed by: what a snapshot may say of them, checked once for both engines.

Rules kept here: a row that no command could have made is refused. What needs orders, money or books in their places is
left to the engine and its `check()`.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter, lt

from . import image
from .enums import Lane, OrderFlag, Power, Shape, TimeInForce
from .limits import (
    LATENCY_CLASSES,
    MAX_CHIP,
    MAX_DATA_MB,
    MAX_FAMILIES,
    MAX_FEE_PPM,
    MAX_MBIT_PER_S,
    MAX_MOVED_REGIONS,
    MAX_ORDER_ID,
    MAX_PRICE_MICRO_PER_GB,
    MAX_PRICE_TICKS,
    MAX_QTY_LOTS,
    MAX_REGION,
    MAX_RTT_US,
    MAX_TASK_CHIPS,
    MAX_TASK_REGIONS,
    MAX_TASK_STEPS,
    MAX_TASKS,
    MAX_WALK_PERIODS,
    PERIOD_BITS,
)
from .task_checks import are_fields_fair, are_quantities_fair, are_steps_rising, is_budget_fair, is_window
from .task_records import TaskTerms

_END_OF_PERIODS = 1 << PERIOD_BITS
_LATEST_NS = 2**62
_OFFER_FLAGS = (0, int(OrderFlag.INDIVISIBLE))


def need(condition: bool, wrong: str) -> None:
    """ValueError unless the condition holds."""
    if not condition:
        raise ValueError(f"snapshot {wrong}")


def need_ascending(keys: Sequence, what: str) -> None:
    """ValueError unless each key is greater than the one before."""
    need(all(map(lt, keys, islice(keys, 1, None))), f"has {what} out of order")


def check(rows: dict[str, list[tuple]], now_ns: int, traders: Collection[int], listed: Collection[int]) -> None:
    """ValueError naming what is wrong with these rows; traders may have tasks, listed are the listed books."""
    _check_grid(rows["GRID"])
    _check_tables(rows)
    families = {row[0] for row in rows["FAML"]}
    offers = _check_offers(rows["BLKO"], traders, families)
    _check_residues(rows["BLKR"], offers, listed)
    need(bool(rows["GRID"]) or not (rows["TASK"] or rows["LNKU"]), "has tasks or promises without periods")
    if rows["LNKU"]:
        now = (now_ns - rows["GRID"][0][0]) // rows["GRID"][0][1]
        in_sight = range(max(0, now), now + MAX_WALK_PERIODS)
        need(all(row[2] in in_sight for row in rows["LNKU"]), "has a promise in a period out of sight")
    need(len(rows["TASK"]) <= MAX_TASKS, "has too many tasks")
    for fields, terms, moved in tasks_of(rows):
        is_fair = fields["account"] in traders and _are_terms_fair(terms) and _is_state_fair(fields, terms, moved, now_ns)
        need(is_fair, f"has task {terms.order_id} with a field out of range")
    _check_drain(rows, families)


def _check_grid(rows: list[tuple]) -> None:
    need(len(rows) <= 1, "has more than one grid")
    for origin_ns, period_ns, gate_ns, _, _ in rows:
        is_fair = 0 <= origin_ns <= _LATEST_NS and 10**9 <= period_ns <= 2**42 and 0 <= gate_ns < _LATEST_NS
        need(is_fair, "has a grid out of range")


def _are_regions(*regions: int) -> bool:
    return all(1 <= region <= MAX_REGION for region in regions)


def _check_tables(rows: dict[str, list[tuple]]) -> None:
    for tag, what, width in (("FAML", "families", 1), ("RCHS", "reach", 3), ("LINK", "links", 2), ("LNKU", "promises", 3)):
        need_ascending([row[:width] for row in rows[tag]], what)
    for family, chip, region, latency_class, power, zero in rows["FAML"]:
        is_fair = 1 <= family <= MAX_FAMILIES and 1 <= chip <= MAX_CHIP and _are_regions(region) and zero == 0
        need(is_fair and latency_class < LATENCY_CLASSES and power <= Power.GREEN, "has a family out of range")
    for access, host, latency_class, rtt_us in rows["RCHS"]:
        is_fair = _are_regions(access, host) and latency_class < LATENCY_CLASSES
        need(is_fair and 1 <= rtt_us <= MAX_RTT_US, "has reach out of range")
    for source, target, price, mbit, capacity_mb in rows["LINK"]:
        is_fair = _are_regions(source, target) and 0 <= price <= MAX_PRICE_MICRO_PER_GB
        is_fair = is_fair and 1 <= mbit <= MAX_MBIT_PER_S and 0 <= capacity_mb <= MAX_DATA_MB
        need(is_fair, "has a link out of range")
    for source, target, _, zero, data_mb in rows["LNKU"]:
        is_fair = _are_regions(source, target) and zero == 0 and 1 <= data_mb <= MAX_DATA_MB
        need(is_fair, "has a promise out of range")


def _check_offers(rows: list[tuple], traders: Collection[int], families: Collection[int]) -> dict[int, dict[str, int]]:
    """The offers by id."""
    need_ascending([row[0] for row in rows], "block offers")
    offers = {row[0]: dict(zip(image.BLOCK_FIELDS, row, strict=True)) for row in rows}
    for offer_id, o in offers.items():
        first, end = o["first_period"], o["end_period"]
        is_fair = 1 <= offer_id <= MAX_ORDER_ID and o["account"] in traders and o["family"] in families
        is_fair = is_fair and first < end <= min(first + MAX_WALK_PERIODS, _END_OF_PERIODS)
        is_fair = is_fair and first <= o["next_period"] <= end and o["flags"] in _OFFER_FLAGS and o["notice_ns"] >= 0
        is_fair = is_fair and 1 <= o["min_lots"] <= MAX_QTY_LOTS and 1 <= o["min_periods"] <= MAX_WALK_PERIODS
        need(is_fair, f"has block offer {offer_id} with a field out of range")
    return offers


def _check_residues(rows: list[tuple], offers: dict[int, dict[str, int]], listed: Collection[int]) -> None:
    need_ascending([row[:2] for row in rows], "residues")
    for offer_id, period, zero, price, lots in rows:
        need(offer_id in offers, "has a residue of no block offer")
        o = offers[offer_id]
        is_fair = o["first_period"] <= period < o["next_period"] and o["family"] << PERIOD_BITS | period in listed
        is_fair = is_fair and zero == 0 and 1 <= price <= MAX_PRICE_TICKS and 1 <= lots <= MAX_QTY_LOTS
        need(is_fair, f"has a residue of block offer {offer_id} out of range")


def tasks_of(rows: dict[str, list[tuple]]) -> Iterator[tuple[dict[str, int], TaskTerms, dict[int, int]]]:
    """(fields, terms, region with its data -> first period with it) of each task; ValueError where a list is of none."""
    fields_of = [dict(zip(image.TASK_FIELDS, row, strict=True)) for row in rows["TASK"]]
    ids = [fields["order_id"] for fields in fields_of]
    need(len(set(ids)) == len(ids), "has two tasks with one id")
    for tag, what in (("TSKR", "regions of tasks"), ("TSKS", "steps of tasks"), ("TSKM", "moved data of tasks")):
        need_ascending(rows[tag], what)
    need([key for key, _ in groupby(rows["TSKC"], itemgetter(0))] == ids, "has chips of no task, or out of order")
    lists = {
        tag: {key: [row[1:] for row in part] for key, part in groupby(rows[tag], itemgetter(0))}
        for tag in ("TSKC", "TSKR", "TSKS", "TSKM")
    }
    need(all(lists[tag].keys() <= set(ids) for tag in lists), "has a list of no task")
    need(not any(row[2] for row in rows["TSKR"]), "has a list of regions with something else")
    need(len({row[:2] for row in rows["TSKM"]}) == len(rows["TSKM"]), "has data moved twice")
    names = set(TaskTerms._fields) - {"chips", "regions", "steps"}
    for fields in fields_of:
        key = fields["order_id"]
        regions = tuple(row[0] for row in lists["TSKR"].get(key, ()))
        chips, steps = (tuple(lists[tag].get(key, ())) for tag in ("TSKC", "TSKS"))
        own = {name: value for name, value in fields.items() if name in names}
        yield fields, TaskTerms(**own, chips=chips, regions=regions, steps=steps), dict(lists["TSKM"].get(key, ()))


def _are_terms_fair(t: TaskTerms) -> bool:
    are_lists_fair = len(t.chips) <= MAX_TASK_CHIPS and len(t.regions) <= MAX_TASK_REGIONS
    are_lists_fair = are_lists_fair and (not t.steps or 2 <= len(t.steps) <= MAX_TASK_STEPS + 1)
    is_waiting = t.tif == TimeInForce.GTC and t.lane != Lane.EMERGENCY
    is_fair = are_lists_fair and is_waiting and are_fields_fair(t) and is_budget_fair(t) and are_quantities_fair(t)
    return is_fair and are_steps_rising(t) and is_window(t)


def _is_state_fair(fields: dict[str, int], t: TaskTerms, moved: dict[int, int], now_ns: int) -> bool:
    if fields["fee_ppm"] > MAX_FEE_PPM or fields["woken"] > 2 or fields["zero"] or fields["next_step"] > len(t.steps):
        return False
    if fields["dies_ns"] <= now_ns or t.valid_until_ns < 0 or 0 < t.valid_until_ns < fields["dies_ns"]:
        return False
    if min(fields["filled"], fields["grid_filled"], fields["notional_micro"]) < 0:
        return False
    if t.shape != Shape.BULK and (fields["filled"] or moved):
        return False
    if bool(moved) != (t.data_mb > 0 and fields["filled"] > 0) or len(moved) > MAX_MOVED_REGIONS:
        return False
    are_moved_fair = _are_regions(*moved) and all(period < _END_OF_PERIODS for period in moved.values())
    return are_moved_fair and fields["filled"] < t.lots * t.periods


def _check_drain(rows: dict[str, list[tuple]], families: Collection[int]) -> None:
    for tag, what in (("DIRT", "dirty books"), ("DRNF", "families of a drain")):
        need_ascending([row[0] for row in rows[tag]], what)
    need(all(book >> PERIOD_BITS in families for (book,) in rows["DIRT"]), "has a dirty book of no family")
    need(all(family in families for (family,) in rows["DRNF"]), "has a drain of no family")

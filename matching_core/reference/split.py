"""Split: any periods of one source before the deadline, in runs of at least the task's minimum.

Rules kept here: RT2 (least cost; then the periods that come first, read in order), MB3 (runs and lots of a block offer).
"""

from .market import BlockOffer
from .runs import Candidate, Row, best_offer_run, bound, least, rows, run_costs, single
from .sources import NONE, Source, Try, ask_costs, is_noticed, offer_costs
from .windows import Eligible, Window

_NEVER = 1 << 200  # above every sum that can be


def best_split(t: Try, families: list[Eligible], windows: dict[int, Window]) -> Candidate | None:
    """RT2: the least set of periods within the limit; None if there is none."""
    best = None
    shortest = max(1, t.terms.min_run)
    for row in rows(t, families, windows, t.terms.periods):
        for account, shelf in row.shelves.items():
            costs = ask_costs(shelf, row.stalls, row.eligible.lots)
            source = Source(row.eligible, account)
            best = least(best, _best_set(t, row, source, costs, shortest, bound(t, best)))
        for offer in row.offers:
            best = least(best, _with_periods(best_offer_run(t, row, offer, bound(t, best))))
            best = least(best, _best_offer_set(t, row, offer, shortest, bound(t, best)))
    return best


def _with_periods(found: Candidate | None) -> Candidate | None:
    """RT2, for sets: of one source the periods decide last."""
    if found is None:
        return None
    periods = tuple(found.periods)
    return found._replace(key=(*found.key, periods), periods=periods)


def _best_offer_set(t: Try, row: Row, offer: BlockOffer, shortest: int, limit_micro: int) -> Candidate | None:
    """Sets inside one block offer: enough lots for its minimum, every run as long as its minimum (MB3)."""
    lots = row.eligible.lots
    if lots < offer.min_lots:
        return None
    costs = offer_costs(offer, row.stalls, row.window.first, lots)
    for place in range(len(costs)):
        if is_noticed(t, offer, row.window.first + place):
            break
        costs[place] = NONE  # a set that began here would leave too little notice
    source = Source(row.eligible, offer.account, offer)
    return _best_set(t, row, source, costs, max(shortest, offer.min_periods), limit_micro)


def _best_set(t: Try, row: Row, source: Source, costs: list[int], shortest: int, limit_micro: int) -> Candidate | None:
    """The least set of periods of one source that costs at most the limit."""
    length, most = t.terms.periods, limit_micro - row.window.moving_micro
    cheapest = sorted(cost for cost in costs if cost != NONE)[:length]
    if len(cheapest) < length or sum(cheapest) > most:
        return None  # not even without regard to runs
    places = choose(costs, length, shortest)
    if places is None or sum(costs[place] for place in places) > most:
        return None
    periods = tuple(row.window.first + place for place in places)
    return _with_periods(single(row, source, periods, sum(costs[place] for place in places)))


def choose(costs: list[int], length: int, shortest: int) -> list[int] | None:
    """The least set of `length` places in runs of at least `shortest`; of equals the first in order of the places.

    O(places x length) where runs matter, else a sort.
    """
    if shortest == 1:
        open_places = [place for place, cost in enumerate(costs) if cost != NONE]
        cheapest = sorted(open_places, key=lambda place: (costs[place], place))[:length]
        return sorted(cheapest) if len(cheapest) == length else None
    return _read_back(costs, length, shortest)


def _least_sums(costs: list[int], length: int, shortest: int) -> tuple[list[list[int]], list[list[int]]]:
    """idle[i][k], busy[i][k]: the least cost of k places from i on; idle where no run reaches to i, busy where one does
    that is long enough."""
    count = len(costs)
    nothing_more = [0] + [_NEVER] * length
    idle, busy = [nothing_more] * (count + 1), [nothing_more] * (count + 1)
    starts = run_costs(costs, shortest) + [NONE] * shortest
    for place in range(count - 1, -1, -1):
        idle_here, busy_here = list(idle[place + 1]), list(idle[place + 1])
        if starts[place] != NONE:
            after_run = busy[place + shortest]
            for chosen in range(shortest, length + 1):
                idle_here[chosen] = min(idle_here[chosen], starts[place] + after_run[chosen - shortest])
        if costs[place] != NONE:
            for chosen in range(1, length + 1):
                busy_here[chosen] = min(busy_here[chosen], costs[place] + busy[place + 1][chosen - 1])
        idle[place], busy[place] = idle_here, busy_here
    return idle, busy


def _read_back(costs: list[int], length: int, shortest: int) -> list[int] | None:
    """The places of the least sum; a place is taken wherever that costs no more than to leave it."""
    idle, busy = _least_sums(costs, length, shortest)
    if idle[0][length] >= _NEVER:
        return None
    places: list[int] = []
    place, in_run = 0, False
    while len(places) < length:
        rest = length - len(places)
        if in_run:
            takes = 1 if _is_best(costs, place, 1, busy[place][rest], busy, rest) else 0
        else:
            takes = shortest if _is_best(costs, place, shortest, idle[place][rest], busy, rest) else 0
        places += range(place, place + takes)
        in_run = takes > 0
        place += takes or 1
    return places


def _is_best(costs: list[int], place: int, takes: int, least_sum: int, busy: list[list[int]], rest: int) -> bool:
    """Whether the least sum can be had by taking so many places from this one on."""
    taken = costs[place : place + takes]
    if takes > rest or len(taken) < takes or NONE in taken:
        return False
    return sum(taken) + busy[place + takes][rest - takes] == least_sum

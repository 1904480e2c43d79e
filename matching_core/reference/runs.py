"""Blocks: so many lots in every period of one run, all from one source; and what makes one candidate better (RT2).

Rules kept here: RT2 (the order of candidates), MB2 (one source), K3 (never above the limit).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .market import BlockOffer
from .sources import (
    NONE,
    Shelf,
    Source,
    Stall,
    Try,
    ask_costs,
    is_fill_allowed,
    offer_costs,
    shelves,
    stalls,
)
from .windows import Eligible, Window

NO_PARTNER = (0, 0, 0, 0)  # region, site, id and lots: only a spread has a second source


class Candidate(NamedTuple):
    """One way to run a task; the one with the least `key` wins (RT2)."""

    key: tuple  # the cost first
    parts: tuple[tuple[Source, int], ...]  # (source, lots in every period)
    periods: Sequence[int]
    compute_micro: int
    moving_micro: int


class Row(NamedTuple):
    """One eligible family in its window: how its books sell, and what its sites and block offers have there."""

    eligible: Eligible
    window: Window
    stalls: list[Stall | None]  # by period from window.first, as every list of periods here
    shelves: dict[int, Shelf]
    offers: list[BlockOffer]

    def place(self, period: int) -> int:
        """Where a period stands in the lists."""
        return period - self.window.first


def rows(t: Try, families: list[Eligible], windows: dict[int, Window], length: int) -> Iterator[Row]:
    """The families whose windows hold so many periods."""
    for eligible in families:
        window = windows.get(eligible.region)
        if window is not None and window.end - window.first >= length:
            yield row_of(t, eligible, window)


def row_of(t: Try, eligible: Eligible, window: Window) -> Row:
    """What one family has in a window."""
    here = stalls(t, eligible.family, window)
    return Row(eligible, window, here, shelves(t, here), t.offers.get(eligible.family, []))


def single(row: Row, source: Source, periods: Sequence[int], compute_micro: int) -> Candidate:
    """The candidate of one source over these periods."""
    eligible, moving_micro = row.eligible, row.window.moving_micro
    key = (compute_micro + moving_micro, eligible.place, eligible.rtt_us, periods[0], eligible.region, source.account,
           source_id(row, source, periods[0]), *NO_PARTNER)  # fmt: skip
    return Candidate(key, ((source, eligible.lots),), periods, compute_micro, moving_micro)


def source_id(row: Row, source: Source, period: int) -> int:
    """RT2, last: the block offer's id, or that of the site's best ask in the first period."""
    if source.offer is not None:
        return source.offer.order_id
    return row.shelves[source.account][row.place(period)][0].order_id


def least(one: Candidate | None, other: Candidate | None) -> Candidate | None:
    """RT2: the better one of two."""
    if one is None or other is None:
        return one or other
    return other if other.key < one.key else one


def bound(t: Try, best: Candidate | None) -> int:
    """K3: what another candidate may cost at most."""
    return t.limit_micro if best is None else best.key[0]


def best_block(t: Try, families: list[Eligible], windows: dict[int, Window]) -> Candidate | None:
    """RT2: the least block within the limit; None if there is none. O(asks + sources x periods)."""
    best = None
    for row in rows(t, families, windows, t.terms.periods):
        for account, shelf in row.shelves.items():
            costs = ask_costs(shelf, row.stalls, row.eligible.lots)
            best = least(best, _best_run(t, row, Source(row.eligible, account), costs, bound(t, best)))
        for offer in row.offers:
            best = least(best, best_offer_run(t, row, offer, bound(t, best)))
    return best


def _best_run(t: Try, row: Row, source: Source, costs: list[int], limit_micro: int) -> Candidate | None:
    """The least run of one site's asks that costs at most the limit."""
    found = [(cost, place) for place, cost in enumerate(run_costs(costs, t.terms.periods)) if cost != NONE]
    if not found:
        return None
    cost, place = min(found)
    if cost + row.window.moving_micro > limit_micro:
        return None
    start = row.window.first + place
    return single(row, source, range(start, start + t.terms.periods), cost)


def run_costs(costs: list[int], length: int) -> list[int]:
    """By place of its first period: what a run of that length costs, NONE where it has a gap. One sliding window."""
    found = []
    total = run = 0
    for place, cost in enumerate(costs):
        if cost == NONE:
            total = run = 0
        else:
            total += cost
            run += 1
            if run > length:
                total -= costs[place - length]
                run = length
        if place >= length - 1:
            found.append(total if run == length else NONE)
    return found


def best_offer_run(t: Try, row: Row, offer: BlockOffer, limit_micro: int) -> Candidate | None:
    """The least run inside one block offer that costs at most the limit (MB3)."""
    first, length, lots = row.window.first, t.terms.periods, row.eligible.lots
    most, best = limit_micro - row.window.moving_micro, None
    for start, cost in enumerate(run_costs(offer_costs(offer, row.stalls, first, lots), length), first):
        if cost == NONE or cost > most or (best is not None and cost == most):
            continue
        run = range(start, start + length)
        if is_fill_allowed(t, offer, run, lots):
            most, best = cost, run
    return None if best is None else single(row, Source(row.eligible, offer.account, offer), best, most)

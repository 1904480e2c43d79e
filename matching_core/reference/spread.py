"""Spread: a block whose cards come from one source, or from two of different sites, constant on each.

Rules kept here: RT2 (pairs are made of the 16 cheapest sources of a chip and a start), MB2, MB3, K3.
What the 16 are depends on the books alone: neither the clock nor a link moves a source into or out of them.
"""

from collections.abc import Iterator
from heapq import nsmallest
from itertools import accumulate, combinations
from typing import NamedTuple

from ..limits import MAX_SPREAD_SITES
from .runs import Candidate, Row, best_block, bound, least, row_of, run_costs, source_id
from .sources import (
    NONE,
    Source,
    Try,
    ask_costs,
    is_fill_allowed,
    least_lots,
    offer_costs,
    smallest_residue,
)
from .windows import Eligible, Window, first_start, last_end


class Stock(NamedTuple):
    """One source with what a lot of each run costs there at its best price."""

    row: Row
    source: Source
    unit_costs: list[int]  # by place of the run's first period

    def most_lots(self, run: range) -> int:
        """What it has in every period of a run that it has."""
        if self.source.offer is not None:
            return smallest_residue(self.source.offer, run)
        shelf = self.row.shelves[self.source.account]
        return min(sum(ask.leaves for ask in shelf[self.row.place(period)]) for period in run)


class Ranked(NamedTuple):
    """One source as it stands among those of a start: least unit cost first, then round trip, region, site, id."""

    unit_micro: int
    rtt_us: int
    region: int
    account: int
    order_id: int
    stock: Stock

    @property
    def identity(self) -> tuple[int, int, int]:
        """RT2: what decides between sources of the same cost."""
        return self.region, self.account, self.order_id


def best_spread(t: Try, families: list[Eligible], windows: dict[int, Window]) -> Candidate | None:
    """RT2: the least block or pair within the limit; None if there is none."""
    best = best_block(t, families, windows)
    for least_micro, start, ranked in sorted(_pools(t, families), key=lambda pool: pool[:2]):
        if least_micro > bound(t, best):
            break  # no pair of this start, or of a later one in this order, can cost less
        run = range(start, start + t.terms.periods)
        usable = sorted((item for item in ranked if _is_in_time(item, start, windows)), key=lambda item: item.identity)
        most_lots = {item.identity: item.stock.most_lots(run) for item in usable}
        for one, other in combinations(usable, 2):
            if one.account != other.account:
                lots = one.stock.row.eligible.lots
                within = range(max(1, lots - most_lots[other.identity]), min(lots - 1, most_lots[one.identity]) + 1)
                best = least(best, _best_pair(t, one, other, run, within, bound(t, best)))
    return best


def _is_in_time(item: Ranked, start: int, windows: dict[int, Window]) -> bool:
    window = windows.get(item.region)
    return window is not None and window.first <= start


def _pools(t: Try, families: list[Eligible]) -> Iterator[tuple[int, int, list[Ranked]]]:
    """Per chip and start: the least that a pair could cost, the start, and the sources that pairs are made of."""
    first, end, length = first_start(t.engine, t.terms), last_end(t.engine, t.terms), t.terms.periods
    for place in sorted({eligible.place for eligible in families}):
        here = [eligible for eligible in families if eligible.place == place]
        stocks = [stock for eligible in here for stock in _stocks(t, eligible, first, end)]
        for start in range(first, end - length + 1):
            ranked = nsmallest(MAX_SPREAD_SITES, _ranked(stocks, start), key=lambda item: item[:-1])
            if len(ranked) > 1:
                yield ranked[0].unit_micro * here[0].lots, start, ranked


def _stocks(t: Try, eligible: Eligible, first: int, end: int) -> Iterator[Stock]:
    """The sources of one family, whenever its data could be there."""
    row = row_of(t, eligible, Window(first, end, 0))
    for account, shelf in row.shelves.items():
        pairs = zip(shelf, row.stalls, strict=True)
        units = [here.charge(asks[0].price, 1) if asks and here else NONE for asks, here in pairs]
        yield Stock(row, Source(eligible, account), run_costs(units, t.terms.periods))
    for offer in row.offers:
        units = offer_costs(offer, row.stalls, first, 1)
        yield Stock(row, Source(eligible, offer.account, offer), run_costs(units, t.terms.periods))


def _ranked(stocks: list[Stock], start: int) -> Iterator[Ranked]:
    """The sources with at least one lot in every period of the run that begins there."""
    for stock in stocks:
        unit_micro = stock.unit_costs[stock.row.place(start)]
        if unit_micro != NONE:
            eligible, source = stock.row.eligible, stock.source
            yield Ranked(unit_micro, eligible.rtt_us, eligible.region, source.account,
                         source_id(stock.row, source, start), stock)  # fmt: skip


def _best_pair(
    t: Try, one: Ranked, other: Ranked, run: range, within: range, limit_micro: int
) -> Candidate | None:
    """The least pair of two sources that costs at most the limit; `within`: what source 1, the first by id, may give."""
    eligible, lots = one.stock.row.eligible, one.stock.row.eligible.lots
    moving_micro = sum(t.engine.market.moving(t.terms, region)[0] for region in {one.region, other.region})
    rtt_us = max(one.rtt_us, other.rtt_us)
    best = None
    for lots_1 in _divisions(one, other, run, lots, within):
        most = bound(t, best) if best is not None else limit_micro
        if one.unit_micro * lots_1 + other.unit_micro * (lots - lots_1) + moving_micro > most:
            continue
        costs = _part_cost(t, one.stock, run, lots_1), _part_cost(t, other.stock, run, lots - lots_1)
        if NONE in costs or sum(costs) + moving_micro > most:
            continue
        key = (sum(costs) + moving_micro, eligible.place, rtt_us, run[0], *one.identity, *other.identity, lots_1)
        parts = (one.stock.source, lots_1), (other.stock.source, lots - lots_1)
        best = least(best, Candidate(key, parts, run, sum(costs), moving_micro))
    return best


def _divisions(one: Ranked, other: Ranked, run: range, lots: int, within: range) -> list[int]:
    """RT2: what source 1 may give: up to where a price of one of the two ends, in any period of the run."""
    if not within:
        return []
    ends = _price_ends(one.stock, run) | {lots - there for there in _price_ends(other.stock, run)}
    return sorted(there for there in ends if there in within)


def _price_ends(stock: Stock, run: range) -> set[int]:
    """The lots at which a source's price steps up, or that a block offer can give at least and at most."""
    offer = stock.source.offer
    if offer is not None:
        return {least_lots(offer, run), smallest_residue(offer, run)}
    shelf = stock.row.shelves[stock.source.account]
    by_period = (shelf[stock.row.place(period)] for period in run)
    return {there for asks in by_period for there in accumulate(ask.leaves for ask in asks)}


def _part_cost(t: Try, stock: Stock, run: range, lots: int) -> int:
    """What so many lots of one source cost over the run; NONE where it cannot give them."""
    row, offer = stock.row, stock.source.offer
    places = slice(row.place(run[0]), row.place(run[-1]) + 1)
    if offer is None:
        costs = ask_costs(row.shelves[stock.source.account][places], row.stalls[places], lots)
    else:
        costs = offer_costs(offer, row.stalls[places], run[0], lots)
    if NONE in costs or (offer is not None and not is_fill_allowed(t, offer, run, lots)):
        return NONE
    return sum(costs)

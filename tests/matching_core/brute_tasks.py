"""RT2 by trying everything: every start, source, set of hours, pair of sites and split of the lots, ask by ask.

Written from the rules alone; it shares no code with either engine. Slow on purpose: no window slides here, every run is
priced anew.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from types import MappingProxyType
from typing import NamedTuple

from task_market import Ask, Family, Market, Terms

from matching_core.enums import OrderFlag, Shape, TaskFlag
from matching_core.limits import MAX_MONEY_MICRO, PPM

MOST_SOURCES = 16  # of a spread task


class Source(NamedTuple):
    """Plain asks of a site in a family (block 0), or a block offer."""

    region: int
    account: int
    block: int
    family: int
    place: int
    rtt_us: int


class Choice(NamedTuple):
    """One way to run a whole task; keys stand in the order of RT2."""

    key: tuple
    sources: tuple[Source, ...]
    lots: tuple[int, ...]
    periods: tuple[int, ...]
    compute_micro: int
    moving_micro: int


class Search:
    """One task over one market as it stands."""

    def __init__(self, market: Market, terms: Terms, families=None, moved=MappingProxyType({})):
        self.market, self.terms = market, terms
        self.grid, self.end = market.grid, market.last(terms)
        self.moved = moved
        self.families = [f for f in market.eligible(terms, moved) if families is None or f.number in families]
        self.movings = {f.region: market.moving(terms, f.region, moved) for f in self.families}
        self.base = market.base(terms)
        self.costs: dict[tuple, int | None] = {}
        self.found: dict[tuple[int, int], dict[int, list[Ask]]] = {}

    def best(self, limit_micro: int) -> Choice | None:
        """The least of all choices, if it is within the limit."""
        found = min(self.choices(), default=None)
        return found if found is not None and found.key[0] <= limit_micro else None

    def choices(self, every_split: bool = False):
        """Every feasible way, dear ones included."""
        ways = {Shape.BLOCK: self._blocks, Shape.SPLIT: self._splits, Shape.SPREAD: self._spreads}
        for choice in ways[Shape(self.terms.shape)](every_split):
            if choice.key[0] <= MAX_MONEY_MICRO:
                yield choice

    # --- what a source offers in one period ---

    def asks(self, family: int, period: int) -> dict[int, list[Ask]]:
        """Asks that may be used, by account, best first, then first come."""
        if (family, period) not in self.found:
            self.found[family, period] = self._find_asks(family, period)
        return self.found[family, period]

    def _find_asks(self, family: int, period: int) -> dict[int, list[Ask]]:
        market, terms = self.market, self.terms
        state, sells = market.look(family << 20 | period)
        found = defaultdict(list)
        if state is None or not market.is_takeable(terms, state):
            return found
        for ask in sells:
            if not market.is_own(terms, ask.account) and market.is_fair(terms, state, ask):
                found[ask.account].append(ask)
        return found

    def is_open(self, source: Source, period: int) -> bool:
        """Whether the book may be bought from."""
        state, _ = self.market.look(source.family << 20 | period)
        return state is not None and self.market.is_takeable(self.terms, state)

    def charge(self, source: Source, period: int, price: int, lots: int) -> int:
        """What some lots of one ask or residue cost; only asks of the running hour are charged in part (EM2)."""
        whole = price * lots * self.market.value(source.family, period)
        return whole if source.block else whole * self.market.twelfths(self.terms, period) // 12

    def fills(self, source: Source, period: int, lots: int) -> list[tuple[int, int, int]] | None:
        """(ask or block offer, price, lots) for so many lots, best first; None where they are not there (MQ2)."""
        if self.market.twelfths(self.terms, period) < 1 or not self.is_open(source, period):
            return None
        if source.block:
            price, there = self.market.blocks[source.block].residues.get(period, (0, 0))
            return [(source.block, price, lots)] if there >= lots else None
        found, missing = [], lots
        for ask in self.asks(source.family, period).get(source.account, ()):
            taken = min(missing, ask.leaves)
            if taken and taken >= ask.minimum:
                found.append((ask.order_id, ask.price, taken))
                missing -= taken
        return None if missing else found

    def cost(self, source: Source, period: int, lots: int) -> int | None:
        """What a source asks for so many lots in one period."""
        key = source.family, source.account, source.block, period, lots
        if key not in self.costs:
            fills = self.fills(source, period, lots)
            parts = [self.charge(source, period, price, taken) for _, price, taken in fills or ()]
            self.costs[key] = None if fills is None else sum(parts)
        return self.costs[key]

    # --- sources ---

    def lots_on(self, place: int) -> int:
        """CA4: cards on that chip, rounded up."""
        return -(-self.terms.lots * PPM // self.terms.chips[place][1])

    def sources(self) -> list[Source]:
        """Every site with asks somewhere in the window, and every block offer."""
        market, terms = self.market, self.terms
        chips = [chip for chip, _ in terms.chips]
        found = []
        for family in self.families:
            if self.movings[family.region] is None and terms.shape != Shape.SPREAD:
                continue
            place, rtt = chips.index(family.chip), market.rtt_us(terms, family)
            window = range(self.base, self.end)
            sites = {a for p in window for a in self.asks(family.number, p)}
            found += [Source(family.region, a, 0, family.number, place, rtt) for a in sorted(sites)]
            for block in market.blocks.values():
                is_whole = not terms.flags & TaskFlag.INDIVISIBLE or block.flags & OrderFlag.INDIVISIBLE
                if block.family == family.number and is_whole and not market.is_own(terms, block.account):
                    found.append(Source(family.region, block.account, block.order_id, family.number, place, rtt))
        return found

    def id_of(self, source: Source, period: int) -> int:
        """What stands for a source in RT2: the block offer, or the best ask of its first hour."""
        if source.block:
            return source.block
        return self.asks(source.family, period)[source.account][0].order_id

    def window(self, region: int) -> range:
        """The periods that find the data there."""
        moving = self.movings[region]
        return range(max(self.base, moving.ready), self.end) if moving else range(0)

    def runs(self, window: range) -> list[range]:
        """Every run of hours within a window."""
        return [range(s, s + self.terms.periods) for s in window[: max(0, len(window) - self.terms.periods + 1)]]

    def total(self, source: Source, periods, lots: int) -> int | None:
        """The sum over some hours, None where one is missing."""
        costs = [self.cost(source, period, lots) for period in periods]
        return None if None in costs else sum(costs)

    def is_noticed(self, source: Source, first: int) -> bool:
        """Whether a block offer still takes a start then."""
        return self.grid.start(first) - self.market.blocks[source.block].notice_ns > self.market.now_ns

    def is_run_long(self, source: Source, run) -> bool:
        """MB3: enough hours, or all that is left of them."""
        block = self.market.blocks[source.block]
        has_more = block.is_left(run[0] - 1) or block.is_left(run[-1] + 1)
        return len(run) >= block.min_periods or not has_more

    def may_run(self, source: Source, run, lots: int) -> bool:
        """MB3 for so many lots in a run of hours; of plain asks nothing is asked here."""
        if not source.block:
            return True
        block = self.market.blocks[source.block]
        if any(block.residues.get(period, (0, 0))[1] < lots for period in run):
            return False
        smallest = min(block.residues[period][1] for period in run)
        is_enough = lots >= min(block.min_lots, smallest)
        return is_enough and self.is_run_long(source, run) and self.is_noticed(source, run[0])

    def _choice(self, sources, lots, periods, with_set=False) -> Choice | None:
        compute = 0
        for source, part in zip(sources, lots, strict=True):
            cost = self.total(source, periods, part)
            if cost is None:
                return None
            compute += cost
        moving = sum(self.movings[region].price_micro for region in {source.region for source in sources})
        who = [(s.region, s.account, self.id_of(s, periods[0])) for s in sources] + [(0, 0, 0)]
        rtt = max(source.rtt_us for source in sources)
        lots1 = lots[0] if len(sources) > 1 else 0
        key = (compute + moving, sources[0].place, rtt, periods[0], *who[0], *who[1], lots1)
        periods = tuple(periods)
        return Choice(key + (periods,) * with_set, tuple(sources), tuple(lots), periods, compute, moving)

    # --- shapes ---

    def _blocks(self, _every_split=False):
        for source in self.sources():
            lots = self.lots_on(source.place)
            for run in self.runs(self.window(source.region)):
                if self.may_run(source, run, lots):
                    choice = self._choice((source,), (lots,), run)
                    if choice is not None:
                        yield choice

    def _splits(self, _every_split=False):
        for source in self.sources():
            lots = self.lots_on(source.place)
            window = self.window(source.region)
            there = [p for p in window if self.cost(source, p, lots) is not None]
            for periods in combinations(there, self.terms.periods):
                if self._may_split(source, periods, lots):
                    yield self._choice((source,), (lots,), periods, with_set=True)

    def _may_split(self, source: Source, periods: tuple[int, ...], lots: int) -> bool:
        runs = runs_of(periods)
        if min(map(len, runs)) < max(1, self.terms.min_run):
            return False
        if not source.block:
            return True
        if len(runs) == 1 and self.may_run(source, periods, lots):
            return True
        block = self.market.blocks[source.block]
        is_each_long = min(map(len, runs)) >= block.min_periods
        return is_each_long and lots >= block.min_lots and self.is_noticed(source, periods[0])

    def _spreads(self, every_split=False):
        yield from self._blocks()
        by_start = defaultdict(list)
        for source in self.sources():
            for run in self.runs(range(self.base, self.end)):
                unit = self.unit_cost(source, run)
                if unit is not None:
                    who = (unit, source.rtt_us, source.region, source.account, self.id_of(source, run[0]))
                    by_start[source.place, run[0]].append((who, source))
        for (place, start), found in by_start.items():
            run = range(start, start + self.terms.periods)
            cheapest = [source for _, source in sorted(found)[:MOST_SOURCES]]
            cheapest.sort(key=lambda source: (source.region, source.account, self.id_of(source, start)))
            for one, two in combinations(cheapest, 2):
                if one.account != two.account and all(start in self.window(s.region) for s in (one, two)):
                    yield from self._pair(one, two, run, self.lots_on(place), every_split)

    def unit_cost(self, source: Source, run) -> int | None:
        """What the first lots of a source cost over a run; None where an hour offers none."""
        total = 0
        for period in run:
            prices = [price for price, _ in self.ladder(source, period)]
            if not prices:
                return None
            total += prices[0] * self.market.value(source.family, period)
        return total

    def ladder(self, source: Source, period: int) -> list[tuple[int, int]]:
        """(price, lots) that a source offers in one hour, best first."""
        if not self.is_open(source, period):
            return []
        if source.block:
            residue = self.market.blocks[source.block].residues.get(period)
            return [residue] if residue else []
        asks = self.asks(source.family, period).get(source.account, ())
        return [(ask.price, ask.leaves) for ask in asks]

    def _pair(self, one: Source, two: Source, run, lots: int, every_split: bool):
        splits = range(1, lots) if every_split else self.breaks(one, two, run, lots)
        for lots1 in splits:
            if self.may_run(one, run, lots1) and self.may_run(two, run, lots - lots1):
                choice = self._choice((one, two), (lots1, lots - lots1), run)
                if choice is not None:
                    yield choice

    def breaks(self, one: Source, two: Source, run, lots: int) -> list[int]:
        """Where a price changes on either side."""
        found = self._steps(one, run) | {lots - step for step in self._steps(two, run)}
        return sorted(step for step in found if 1 <= step < lots)

    def _steps(self, source: Source, run) -> set[int]:
        if source.block:
            block = self.market.blocks[source.block]
            smallest = min(block.residues[period][1] for period in run)
            return {min(block.min_lots, smallest), smallest}
        steps = set()
        for period in run:
            there = 0
            for _, lots in self.ladder(source, period):
                there += lots
                steps.add(there)
        return steps


def runs_of(periods) -> list[list[int]]:
    """A set of hours as runs without a gap."""
    runs: list[list[int]] = []
    for period in periods:
        if runs and runs[-1][-1] == period - 1:
            runs[-1].append(period)
        else:
            runs.append([period])
    return runs


# --- bulk ---


class BulkLeg(NamedTuple):
    """Some lots of one ask."""

    source: Source
    period: int
    ask_id: int
    price: int
    lots: int
    cost_micro: int


class BulkPlan(NamedTuple):
    """What one plan of a bulk task buys."""

    legs: tuple[BulkLeg, ...]
    compute_micro: int
    moving_micro: int
    region: int  # 0 where no data moves
    lots: int


class Bought(NamedTuple):
    """What a bulk task has bought before."""

    filled: int = 0
    grid_filled: int = 0
    spent_micro: int = 0


def bulk_plan(search: Search, limit_micro: int, bought: Bought = Bought()) -> BulkPlan | None:
    """The best region's plan: most lots, then cheapest, then the region's number."""
    groups = defaultdict(list)
    for family in search.families:
        groups[family.region if search.terms.data_mb else 0].append(family)
    plans = [_bulk_in(search, region, groups[region], limit_micro, bought) for region in sorted(groups)]
    found = [plan for plan in plans if plan is not None]
    return min(found, key=lambda p: (-p.lots, p.compute_micro + p.moving_micro, p.region), default=None)


def _bulk_asks(search: Search, families: list[Family]) -> list[tuple[tuple, Source, int, Ask]]:
    market, terms = search.market, search.terms
    chips = [chip for chip, _ in terms.chips]
    found = []
    for family in families:
        place, rtt = chips.index(family.chip), market.rtt_us(terms, family)
        for period in search.window(family.region):
            value = market.value(family.number, period)
            for account, asks in search.asks(family.number, period).items():
                source = Source(family.region, account, 0, family.number, place, rtt)
                for ask in asks:
                    key = (ask.price * value, place, rtt, period, family.region, account, ask.order_id)
                    found.append((key, source, period, ask))
    return sorted(found, key=lambda row: row[0])


def _bulk_in(search, region, families, limit: int, bought: Bought) -> BulkPlan | None:
    terms, target = search.terms, search.terms.target
    moving = search.movings[region].price_micro if region and search.movings[region] else 0
    filled, grid_filled = bought.filled, bought.grid_filled
    spent = bought.spent_micro + moving
    legs: list[BulkLeg] = []
    kept = 0
    power = {family.number: family.power for family in families}
    for (unit, *_), source, period, ask in _bulk_asks(search, families):
        lots = min(ask.leaves, target - filled, affordable(limit, target, filled, spent, unit, ask.leaves))
        if lots <= 0:
            break
        if terms.max_grid and not power[source.family]:
            lots = min(lots, terms.max_grid - grid_filled)
        if lots <= 0 or ask.minimum:  # a bulk passes over minima
            continue
        legs.append(BulkLeg(source, period, ask.order_id, ask.price, lots, lots * unit))
        filled, spent = filled + lots, spent + lots * unit
        grid_filled += 0 if power[source.family] else lots
        if spent <= limit * filled // target:
            kept = len(legs)
    lots = sum(leg.lots for leg in legs[:kept])
    if not kept or (bought.filled == 0 and lots < min(terms.min_fill, target)):
        return None
    compute = sum(leg.cost_micro for leg in legs[:kept])
    if compute + moving > MAX_MONEY_MICRO:
        return None
    return BulkPlan(tuple(legs[:kept]), compute, moving, region, lots)


def affordable(limit: int, target: int, filled: int, spent: int, unit: int, there: int) -> int:
    """The most lots at `unit` each after which spent <= limit x filled / target, tried one power of two at a time."""

    def is_fair(lots: int) -> bool:
        return (spent + lots * unit) * target <= limit * (filled + lots)

    if unit * target <= limit:
        return there  # each of them brings the average down
    low, high = 0, there
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_fair(middle) else (low, middle - 1)
    return low

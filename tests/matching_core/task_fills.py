"""A drain and a try as the rules have them: which task is next, what it buys, and the events of the fill, foretold."""

from __future__ import annotations

from dataclasses import dataclass, field

from brute_tasks import Bought, Choice, Search, Source, bulk_plan
from task_market import Ask, Terms

from matching_core.enums import EventFlag, Kind, Lane, OrderFlag, RejectReason, Shape, Side
from matching_core.limits import PPM
from matching_core.records import Command, Event

LINE = {Lane.REPAIR: 0, Lane.STANDARD: 1, Lane.ECONOMY: 2}
TASK, BLOCK, TAKE = EventFlag.TASK, EventFlag.BLOCK, EventFlag.TAKE


def event(kind, **fields) -> Event:
    """An event without its number."""
    named = dict.fromkeys(Event._fields, 0) | {"kind": kind} | fields
    return Event(**{name: int(value) for name, value in named.items()})


def fee(ppm: int, notional: int) -> int:
    """The fee on a notional, rounded up."""
    return -(-ppm * notional // PPM)


def refused(c: Command, reason: int, kind: int = Kind.REJECTED) -> Event:
    """The only event of a command that changes nothing."""
    return event(kind, side=c.side, reason=reason, book=c.book, order_id=c.order_id, contra_id=c.client_ref, price=c.price,
                 qty=c.qty)  # fmt: skip


@dataclass
class Waiting:
    """A task that waits, or is being tried."""

    terms: Terms
    fee_ppm: int
    limit_micro: int
    dies_ns: int = 0
    filled: int = 0
    grid_filled: int = 0
    spent_micro: int = 0
    notional_micro: int = 0
    woken: int = 0
    moved: dict[int, int] = field(default_factory=dict)  # region -> first period with the data there

    @property
    def held_micro(self) -> int:
        """HM1."""
        budget = self.terms.budget_micro
        paid = self.spent_micro + fee(self.fee_ppm, self.notional_micro)
        return budget + fee(self.fee_ppm, budget) - paid

    @property
    def wanted(self) -> int:
        """Lot-periods that are not bought."""
        return self.terms.target - self.filled

    @property
    def bought(self) -> Bought:
        """What a bulk plan goes on from."""
        return Bought(self.filled, self.grid_filled, self.spent_micro)


class Fills:
    """The part of a `Model` that buys: it has market, tasks, dirt and books."""

    # --- tasks are tried ---

    def _drain(self, c: Command, _records) -> list[Event] | None:
        if c.qty < 0:
            return [refused(c, RejectReason.INVALID_QTY)]
        if not self.dirt.books and not self.woken():
            return []
        found, fills = [], 0
        while not (c.qty and fills == c.qty):
            if not self.dirt.draining and self.dirt.books:
                self.dirt.wake()
            if not self.woken():
                if not self.dirt.books:
                    break
                continue
            told = self._try_first(self.woken()[0])
            found += told
            fills += bool(told)
        is_more = bool(self.dirt.books or self.woken())
        return [*found, event(Kind.DRAINED, qty=fills, leaves=is_more)]

    def woken(self) -> list[Waiting]:
        """Woken tasks in the order of RT5."""
        found = [task for task in self.tasks.values() if task.woken]
        return sorted(found, key=lambda task: LINE[task.terms.lane])  # stable: then by stamp

    def _try_first(self, task: Waiting) -> list[Event]:
        is_wide = task.woken == 2 or task.terms.shape in (Shape.BULK, Shape.SPREAD)
        families = None if is_wide else set(self.dirt.draining)
        task.woken = 0
        found = self._try(task, families)
        self.dirt.settle()
        return found

    def feasible(self, task: Waiting, families=None):
        """What a try would buy: a Choice, a BulkPlan or None."""
        search = Search(self.market, task.terms, families, task.moved)
        if task.terms.shape == Shape.BULK:
            return search, bulk_plan(search, task.limit_micro, task.bought)
        return search, search.best(task.limit_micro)

    def _try(self, task: Waiting, families=None) -> list[Event]:
        found = []
        while task.wanted:
            search, way = self.feasible(task, families)
            if way is None:
                break
            found += self._buy_choice(task, search, way) if isinstance(way, Choice) else self._buy_plan(task, search, way)
        return found

    def _buy_choice(self, task: Waiting, search: Search, choice: Choice) -> list[Event]:
        legs = []
        for source, lots in zip(choice.sources, choice.lots, strict=True):
            for period in choice.periods:
                legs += [(source, period, *fill) for fill in search.fills(source, period, lots)]
        lot_periods = sum(lots for *_, lots in legs)
        return self._book(task, search, legs, sorted({s.region for s in choice.sources}), lot_periods, task.wanted)

    def _buy_plan(self, task: Waiting, search: Search, plan) -> list[Event]:
        legs = [(leg.source, leg.period, leg.ask_id, leg.price, leg.lots) for leg in plan.legs]
        grid = [leg.lots for leg in plan.legs if not self.market.families[leg.source.family].power]
        task.grid_filled += sum(grid)
        found = self._book(task, search, legs, [plan.region] if plan.region else [], plan.lots, plan.lots)
        if plan.region:
            task.moved.setdefault(plan.region, search.movings[plan.region].ready)
        return found

    def _book(self, task, search, legs, regions, lot_periods: int, progress: int) -> list[Event]:
        """The events of one fill, and what it changes."""
        t, compute, over, found = task.terms, 0, [], []
        for region in regions:
            found += self._move_data(task, region, search.movings[region])
        for source, period, maker, price, lots in legs:
            book, cost = source.family << 20 | period, search.charge(source, period, price, lots)
            charged = fee(task.fee_ppm, task.notional_micro + cost) - fee(task.fee_ppm, task.notional_micro)
            task.notional_micro += cost
            compute += cost
            left, more = self._take(source, period, maker, lots)
            flags = TAKE | (BLOCK if source.block else 0)
            about = {"side": Side.BUY, "flags": flags, "book": book, "order_id": t.order_id}
            found.append(event(Kind.TRADE, contra_id=maker, price=price, qty=lots, contra_leaves=left, **about))
            found.append(event(Kind.POSTED, contra_id=t.account, price=charged, qty=cost, contra_leaves=source.account,
                               **about))  # fmt: skip
            found += more
            if source.block and source.block not in over:
                over.append(source.block)
        task.spent_micro += compute
        task.filled += progress
        for offer in over:
            block = self.market.blocks[offer]
            self.dirt.mark_block(block)
            found += self._forget(block) if block.is_over else []
        if not task.wanted:
            self.tasks.pop(t.order_id, None)  # until now it counts among those that wait
        freed = 0 if task.wanted else task.held_micro
        first = legs[0][0].family << 20 | legs[0][1]
        found.append(event(Kind.TASK_FILLED, side=t.lane, order_id=t.order_id, contra_id=t.client_ref, book=first,
                           price=compute, qty=lot_periods, leaves=task.wanted, contra_leaves=freed))  # fmt: skip
        return found

    def _move_data(self, task: Waiting, region: int, moving) -> list[Event]:
        if not moving.is_linked:
            return []
        t = task.terms
        task.spent_micro += moving.price_micro
        for period, promised in moving.promised:
            self.market.load[t.data_region, region, period] += promised
        return [event(Kind.DATA_MOVED, order_id=t.order_id, contra_id=t.account, book=region, price=t.data_mb,
                      qty=moving.price_micro, leaves=moving.delay_ns)]  # fmt: skip

    def _take(self, source: Source, period: int, maker: int, lots: int) -> tuple[int, list[Event]]:
        """Takes lots off an ask or a residue; what is left there, and the next slice of an iceberg."""
        book = source.family << 20 | period
        if source.block:
            block = self.market.blocks[source.block]
            price, there = block.residues.pop(period)
            if there > lots:
                block.residues[period] = price, there - lots
            self.dirt.end_residue(block, period)
            return there - lots, []
        _, sells = self.look(book)
        self.dirt.mark_less(book, source.account, sells)
        ask = next(ask for ask in sells if ask.order_id == maker)
        ask.leaves -= lots
        if not ask.leaves:
            sells.remove(ask)
            if not sells:
                self.dirt.empty(book)
            return 0, []
        return ask.leaves, self._replenish(book, sells, ask, lots)

    def _replenish(self, book: int, sells: list[Ask], ask: Ask, lots: int) -> list[Event]:
        if not ask.flags & OrderFlag.ICEBERG:
            return []
        ask.shown -= lots
        if ask.shown > 0:
            return []
        ask.shown = min(ask.aux, ask.leaves)
        sells.remove(ask)
        place = sum(other.price <= ask.price for other in sells)
        sells.insert(place, ask)
        return [event(Kind.REPLENISHED, side=Side.SELL, book=book, order_id=ask.order_id, contra_id=ask.client_ref,
                      price=ask.price, qty=ask.shown, leaves=ask.leaves)]  # fmt: skip

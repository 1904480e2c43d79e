"""An engine under the eyes of the model: every command foretold where the rules of tasks decide, every promise looked at."""

from __future__ import annotations

from collections import Counter

from brute_tasks import Search
from task_fills import LINE, Waiting
from task_market import Terms
from task_model import Model
from task_words import read

from matching_core.enums import Bucket, DenyReason, EventFlag, Kind, Lane, Op, RejectReason, Shape
from matching_core.records import Event, unpack_commands

SIZE = 64


class Referee:
    """Plays commands on one engine and holds what it says and keeps against the model."""

    def __init__(self, engine):
        self.model = Model(engine)
        self.count = 0  # records played
        self.said: list[Event] = []
        self.seen: Counter = Counter()
        self.shapes: dict[int, str] = {}
        self.data_region: dict[int, int] = {}
        self.capacities: Counter = Counter()  # (from, to) -> the most that a link ever carried
        self.wealth: Counter = Counter()  # account -> what it owns
        self.escrow: Counter = Counter()
        self.reserved: Counter = Counter()  # account -> what the venue itself holds
        self.bids: dict[int, list] = {}  # book -> the orders that hold money
        self.is_open = False  # the opening is over, and every command is looked at

    @property
    def engine(self):
        """The engine at hand."""
        return self.model.engine

    def play(self, records: bytes) -> list[Event]:
        """One command with every check."""
        model, engine = self.model, self.engine
        command = unpack_commands(records[:SIZE])[0]
        if command.op == Op.SET_LINK:
            link = command.account, command.book
            self.capacities[link] = max(self.capacities[link], command.aux)
        if command.op in (Op.TASK, Op.TASK_AMEND):
            self.terms = read(records)
            self.ask(records)
        waiting = list(model.tasks.values())
        if command.op == Op.ADVANCE_TIME:
            dying = [task for task in waiting if task.dies_ns <= command.aux]
            dying.sort(key=lambda task: (task.dies_ns, task.terms.order_id))
            assert engine.tasks_due(command.aux) == [task.terms.order_id for task in dying]
        foretold = model.expect(records)
        events = list(engine.process(records, first_seq=self.count + 1))
        assert {each.seq for each in events} <= {self.count + 1}
        self.count += len(records) // SIZE
        if foretold is not None:
            told = [each._replace(seq=0) for each in events]
            assert told == foretold, difference(told, foretold)
        model.learn(records, events)
        self.said += events
        self._count(command, events)
        self._look_at_money(command, events)
        self._look_at_tasks(waiting)
        if command.op != Op.TAKE:
            self._look_at_fills(events)
        if self.is_open and events:
            engine.check()
        if command.op == Op.DRAIN and events and not events[-1].leaves:
            self.look_at_waiting()
        return events

    def swap(self) -> None:
        """The engine that its snapshot gives, in its place."""
        blob = self.engine.snapshot()
        restored = type(self.engine).restore(blob)
        assert restored.snapshot() == blob
        assert restored.state_hash() == self.engine.state_hash()
        self.model.engine = restored

    # --- questions ---

    def ask(self, records: bytes) -> None:
        """What `find_task` says is what trying everything finds."""
        model, terms = self.model, self.terms
        reason = model.why_rejected(terms, is_question=True)
        try:
            route = self.engine.find_task(records)
        except ValueError as refusal:
            assert str(refusal) == RejectReason(reason).name if reason else False, (refusal, reason)
            return
        assert not reason, (RejectReason(reason), route)
        limit = terms.steps[0][1] if terms.steps else terms.budget_micro
        search, way = model.feasible(Waiting(terms, 0, limit))
        if way is None or route is None:
            assert way is route, (terms, way, route)
        elif terms.shape == Shape.BULK:
            legs = tuple((leg.source.account, 0, leg.source.family, leg.lots, leg.ask_id) for leg in way.legs)
            assert (legs, tuple(leg.period for leg in way.legs)) == (tuple(map(tuple, route.parts)), route.periods)
            assert (way.compute_micro, way.moving_micro, way.lots) == route[1:4]
            _, less = model.feasible(Waiting(terms, 0, limit // 2 + 1))
            told = self.engine.find_task(records, limit // 2 + 1)
            assert (less and (less.compute_micro, less.lots)) == (told and (told.compute_micro, told.lot_periods))
        else:
            self._same_route(terms, way, route)
            assert self.engine.find_task(records, way.key[0]) == route
            assert way.key[0] == 1 or self.engine.find_task(records, way.key[0] - 1) is None
            self.try_every_split(search, way)

    def _same_route(self, terms: Terms, way, route) -> None:
        parts = tuple((s.account, s.block, s.family, lots, 0) for s, lots in zip(way.sources, way.lots, strict=True))
        lot_periods = sum(way.lots) * terms.periods
        found = (
            way.periods[0],
            way.compute_micro,
            way.moving_micro,
            lot_periods,
            way.key[1],
            way.key[2],
            parts,
            way.periods,
        )
        told = (*tuple(route)[:6], tuple(map(tuple, route.parts)), tuple(route.periods))
        assert told == found, (told, found)

    def try_every_split(self, search: Search, way) -> None:
        """Of a pair no split of the lots is cheaper than the best breakpoint, where no minimum plays a part."""
        if search.terms.shape != Shape.SPREAD or self._has_minimum(search):
            return
        least = min(choice.key[0] for choice in search.choices(every_split=True))
        assert least == way.key[0], (least, way)
        self.seen["every split"] += 1

    def _has_minimum(self, search: Search) -> bool:
        return any(source.block for source in search.sources()) or any(
            ask.minimum for found in search.found.values() for asks in found.values() for ask in asks
        )

    # --- promises ---

    def _count(self, command, events: list[Event]) -> None:
        self.seen["op", Op(command.op).name] += 1
        is_refused = events and events[0].kind in (Kind.REJECTED, Kind.DENIED)
        if command.op in (Op.TASK, Op.TASK_AMEND) and not is_refused:
            self.shapes[command.order_id] = Shape(command.order_type).name
            self.data_region[command.order_id] = self.terms.data_region
        legs: list[Event] = []
        sellers: set[int] = set()
        for each in events:
            self.seen[Kind(each.kind).name] += 1
            if each.kind == Kind.TRADE and each.flags & EventFlag.TAKE:
                legs.append(each)
            elif each.kind == Kind.POSTED and legs:
                sellers.add(each.contra_leaves)
            elif each.kind == Kind.DATA_MOVED:
                capacity = self.model.market.links[self.data_region[each.order_id], each.book].capacity_mb
                self.seen["moved", "within a capacity" if capacity else "freely"] += 1
                self._look_at_link(self.data_region[each.order_id], each.book, capacity)
            elif each.kind == Kind.TASK_FILLED:
                self._count_fill(each, legs, len(sellers) > 1)
                legs, sellers = [], set()
            elif each.kind in (Kind.REJECTED, Kind.DENIED):
                self.seen["refused", (RejectReason if each.kind == Kind.REJECTED else DenyReason)(each.reason).name] += 1

    def _look_at_link(self, start: int, to: int, capacity: int) -> None:
        """RT7: never more megabytes promised in a period than the link carries, whatever it carried before."""
        for key, promised in self.model.market.load.items():
            if key[:2] == (start, to) and capacity:
                assert self.engine.link_load(*key) == promised
                assert promised <= max(capacity, self.capacities[start, to]), (key, promised, capacity)

    def _count_fill(self, told: Event, legs: list[Event], is_pair: bool) -> None:
        periods = sorted({leg.book for leg in legs})
        shape = self.shapes[told.order_id]
        self.seen["filled", shape] += 1
        self.seen["filled in lane", Lane(told.side).name] += 1
        self.seen["filled by", "block offer" if any(leg.flags & EventFlag.BLOCK for leg in legs) else "asks"] += 1
        self.seen["filled by two sites", shape] += is_pair
        if shape == Shape.BLOCK.name:
            self._look_at_block(legs, is_pair)
        self.seen["filled with a gap", shape] += periods[-1] - periods[0] >= len(periods)
        self.seen["bulk left some", shape] += bool(told.leaves)

    def _look_at_block(self, legs: list[Event], is_pair: bool) -> None:
        """RT2: one family, one site, contiguous hours, as many lots in each."""
        lots: Counter = Counter()
        for leg in legs:
            lots[leg.book] += leg.qty
        assert sorted(lots) == list(range(min(lots), max(lots) + 1)), legs
        assert len(set(lots.values())) == 1, legs
        assert not is_pair, legs

    def _look_at_money(self, command, events: list[Event]) -> None:
        """HM1, HM2 to the unit: what is held is what open buys and waiting tasks need, what is paid lies in escrow."""
        model = self.model
        for each in events:
            if each.kind == Kind.TRANSFERRED:
                self._move(each.order_id, each.side, -each.qty)
                self._move(each.contra_id, each.flags, each.qty)
            elif each.kind == Kind.POSTED:
                buyer = each.contra_id
                self.escrow[buyer] += each.qty + each.price
                if command.op == Op.TAKE:  # paid out of what the venue holds
                    self.reserved[buyer] -= each.qty + each.price
            elif each.kind == Kind.DATA_MOVED:
                self.escrow[each.contra_id] += each.qty
        if not events or not self.is_open:
            return
        held: Counter = Counter(self.reserved)
        for task in model.tasks.values():
            held[task.terms.account] += task.held_micro
            assert task.spent_micro <= task.limit_micro <= task.terms.budget_micro  # K3
        for book in {each.book for each in events} & set(self.engine.books()) | self.bids.keys():
            self.bids[book] = [order for order in self.engine.orders(book) if order.hold_micro]
            if not self.bids[book]:
                del self.bids[book]
        for order in (order for orders in self.bids.values() for order in orders):
            held[order.account] += order.hold_micro
        for account in model.market.firms:
            purses = self.engine.balance(account)
            assert purses[Bucket.HELD] == held[account], ("held", account, purses, held[account])
            assert purses[Bucket.ESCROW] == self.escrow[account], ("escrow", account, purses)
            assert sum(purses) == self.wealth[account], ("wealth", account, purses)

    def _move(self, account: int, bucket: int, amount: int) -> None:
        self.wealth[account] += amount
        if bucket == Bucket.ESCROW:
            self.escrow[account] += amount
        elif bucket == Bucket.HELD:
            self.reserved[account] += amount

    def _look_at_tasks(self, before: list[Waiting]) -> None:
        """The engine's own view of what waits, is offered, is promised and is dirty."""
        model, engine = self.model, self.engine
        assert engine.tasks() == sorted(model.tasks)
        assert engine.n_tasks == len(model.tasks)
        for task in {**{t.terms.order_id: t for t in before}, **model.tasks}.values():
            view = engine.task(task.terms.order_id)
            if task.terms.order_id not in model.tasks:
                assert view is None
                continue
            task, t = model.tasks[task.terms.order_id], task.terms
            t = task.terms
            told = (t.order_id, t.account, t.lane, t.shape, task.limit_micro, t.budget_micro, t.target, task.filled,
                    task.spent_micro, task.notional_micro, task.held_micro, task.dies_ns, task.woken, task.fee_ppm)  # fmt: skip
            assert tuple(view) == told, (view, told)
            assert task.dies_ns > engine.now_ns
        for block in model.market.blocks.values():
            residues = tuple((period, *block.residues[period]) for period in sorted(block.residues))
            told = (block.order_id, block.account, block.family, block.first, block.end, block.next, block.min_lots,
                    block.min_periods, block.notice_ns, block.flags, residues)  # fmt: skip
            assert tuple(engine.block_offer(block.order_id)) == told, (engine.block_offer(block.order_id), told)
        assert engine.dirty() == sorted(model.dirt.books), (engine.dirty(), sorted(model.dirt.books))
        for (start, to, period), promised in model.market.load.items():
            assert engine.link_load(start, to, period) == promised

    def _look_at_fills(self, events: list[Event]) -> None:
        """K2: the legs of a fill stand together, and a block is of one site."""
        task = 0
        for each in events:
            if each.kind == Kind.TRADE and each.flags & EventFlag.TAKE:
                assert task in (0, each.order_id), events
                task = each.order_id
            elif each.kind == Kind.TASK_FILLED:
                assert task == each.order_id
                task = 0
            elif task:
                assert each.kind in (Kind.POSTED, Kind.REPLENISHED, Kind.BLOCK_CLOSED)
        assert not task

    def look_at_waiting(self) -> None:
        """RT10: after a drain nothing that waits could be bought."""
        model = self.model
        for task in model.tasks.values():
            _, way = model.feasible(task)
            assert way is None, ("RT10", task, way)
            self.seen["nothing feasible"] += 1
        assert not [task for task in model.tasks.values() if task.woken and task.terms.lane in LINE]


def difference(told, foretold) -> str:
    """Where two lists of events part."""
    for i, (ours, theirs) in enumerate(zip(told, foretold, strict=False)):
        if ours != theirs:
            return f"event {i} is\n  {shown(ours)}\nand should be\n  {shown(theirs)}"
    longer, what = (told, "too many") if len(told) > len(foretold) else (foretold, "missing")
    return f"{what}:\n" + "\n".join(map(shown, longer[min(len(told), len(foretold)) :]))


def shown(each: Event) -> str:
    """An event as one would read it."""
    fields = {name: value for name, value in each._asdict().items() if value and name not in ("kind", "seq")}
    return f"{Kind(each.kind).name} " + ", ".join(f"{name}={value}" for name, value in fields.items())

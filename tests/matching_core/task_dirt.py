"""RT4, RT5 told from outside: which books a command makes dirty, and which waiting tasks that wakes."""

from __future__ import annotations

from matching_core.enums import EventFlag, Kind, Op, OrderFlag, Shape, Side
from matching_core.records import Command, Event

REQUEUED = (Kind.ACCEPTED, Kind.REPLACED)
REFUSED = (Kind.REJECTED, Kind.DENIED)
OF_A_BOOK = {Op.SET_PHASE, Op.UNCROSS, Op.SET_BANDS, Op.SET_REFERENCE}
THAT_LAST = {Op.LIST_BOOK, Op.SET_BOOK, Op.SET_BANDS, Op.SET_REFERENCE, Op.SET_FIX}


class Dirt:
    """The dirty books and draining families of a model."""

    def __init__(self, model):
        self.model = model
        self.books: set[int] = set()
        self.draining: set[int] = set()
        self.groups: dict[int, int] = {}  # book -> capacity group
        self.lasting: set[int] = set()  # books that are listed or set up; any other closes with its last order
        self.time_before = 0
        self.waiting_before = 0

    # --- marks ---

    def mark(self, book: int) -> None:
        """Remembers a book for the next drain, if it is open and anybody waits."""
        market = self.model.market
        is_open = self.model.look(book)[0] is not None
        if is_open and book >> 20 in market.families and self.model.tasks:
            self.books.add(book)

    def mark_block(self, block) -> None:
        """The books of what a block offer has left."""
        for period in block.residues:
            self.mark(block.family << 20 | period)

    def end_residue(self, block, period: int) -> None:
        """A residue has shrunk or ended: the sources of a spread task may be others now."""
        if self._has_spread():
            self.mark(block.family << 20 | period)

    def mark_less(self, book: int, account: int, sells) -> None:
        """A sell of that account shrinks or goes, of those that stood before."""
        has_minimum = any(ask.account == account and ask.flags & OrderFlag.MIN_QTY for ask in sells)
        if has_minimum or self._has_spread():
            self.mark(book)

    def empty(self, book: int) -> None:
        """The last sell of a book has been bought."""
        if book not in self.lasting and all(order.side == Side.SELL for order in self.model.engine.orders(book)):
            self.books.discard(book)

    def _has_spread(self) -> bool:
        return any(task.terms.shape == Shape.SPREAD for task in self.model.tasks.values())

    # --- what a command has done to the books ---

    def remember(self, command: Command) -> None:
        """Before a command: how the books stand that it may change."""
        engine = self.model.engine
        self.time_before = engine.now_ns
        books = {command.book}
        order = engine.order(command.order_id)
        if order:
            books.add(order.book)
        if command.op in (Op.MASS_CANCEL, Op.SESSION_CLOSE, Op.KILL, Op.ADVANCE_TIME):
            books = set(engine.books())
        self.before = {}
        for book in sorted(books):
            state, sells = self.model.look(book)
            self.before[book] = state, [(ask, ask.leaves) for ask in sells]

    def learn(self, c: Command, events: list[Event]) -> None:
        """After a command: its marks."""
        if events and events[0].kind not in REFUSED:
            if c.op not in (Op.KILL, Op.DRAIN, Op.TASK, Op.TASK_AMEND):
                self.learn_orders(c, events)
            self._learn_tables(c)
        for told in events:
            if told.kind == Kind.PHASE_SET:
                self.lasting.add(told.book)
            if told.kind == Kind.BOOK_CLOSED:
                self.books.discard(told.book)
                self.lasting.discard(told.book)
        gone = [book for book in self.books if self.model.look(book)[0] is None]
        self.books.difference_update(gone)

    def learn_orders(self, c: Command, events: list[Event]) -> None:
        """Sells that came, shrank or went; phases and prints."""
        touched = {told.book for told in events if not told.flags & (EventFlag.TASK | EventFlag.BLOCK)}
        for book in sorted(touched & self.before.keys()):
            self.model.books.pop(book, None)
            self._compare(book, events)
        if c.op in OF_A_BOOK:
            self.mark(c.book)

    def _compare(self, book: int, events: list[Event]) -> None:
        state_before, sells_before = self.before[book]
        state, sells = self.model.look(book)
        if state is None:
            return
        there = {ask.order_id: ask.leaves for ask in sells}
        told = [each for each in events if each.book == book]
        came = {
            each.order_id for each in told
            if each.side == Side.SELL and each.kind in REQUEUED and not each.flags & EventFlag.KEPT_PRIORITY
        }  # fmt: skip
        if came & there.keys() or any(each.kind == Kind.PHASE_SET for each in told):
            self.mark(book)
        asks = [ask for ask, _ in sells_before]
        for ask, leaves in sells_before:
            if ask.order_id in came or there.get(ask.order_id, 0) < leaves:
                self.mark_less(book, ask.account, asks)
        if state.dynamic_ppm:
            self._compare_prints(book, state_before, told)

    def _compare_prints(self, book: int, state, told: list[Event]) -> None:
        last = state.last if state else 0
        for each in told:
            if each.kind == Kind.TRADE and not each.flags & EventFlag.TAKE:
                if each.price != last:
                    self.mark(book)
                last = each.price

    def _learn_tables(self, c: Command) -> None:
        market, engine = self.model.market, self.model.engine
        if c.op in THAT_LAST:
            self.lasting.add(c.book)
        if c.op == Op.LIST_BOOK:
            self.groups[c.book] = c.aux
        concerned = {
            Op.SET_REACH: lambda f: (f.region, f.latency_class) == (c.book, c.price),
            Op.SET_LINK: lambda f: f.region == c.book,
        }.get(c.op)
        if concerned:
            for book in engine.books():
                family = market.families.get(book >> 20)
                if family and concerned(family):
                    self.mark(book)

    def come_into_sight(self, before_ns: int) -> None:
        """Books whose periods a try could not see before."""
        grid = self.model.market.grid
        old, new = grid.at(before_ns) + 1024, grid.at(self.model.market.now_ns)
        for book in self.model.engine.books():
            if max(old, new) <= book % 2**20 < new + 1024:
                self.mark(book)

    # --- waking ---

    def wake(self) -> None:
        """The tasks that something new may suit; they are tried over the families it came in."""
        market = self.model.market
        self.draining = {book >> 20 for book in self.books}
        for task in self.model.tasks.values():
            families = {family.number for family in market.eligible(task.terms, task.moved)}
            terms = task.terms
            is_concerned = any(
                book >> 20 in families and terms.first_period <= book % 2**20 < terms.end_period for book in self.books
            )
            if is_concerned and not task.woken:
                task.woken = 1
        self.books = set()
        self.settle()

    def settle(self) -> None:
        """Where nobody is woken nothing drains."""
        if not self.model.woken():
            self.draining = set()

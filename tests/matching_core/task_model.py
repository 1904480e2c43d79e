"""What the rules say that commands about tasks and block offers do: their events, one by one, foretold.

The model knows an engine only by its commands, its events and its books. `expect` gives the events of a command before
the engine sees it (None where the rules of orders decide), `learn` reads what came of it. Searching is `brute_tasks`.
"""

from __future__ import annotations

from task_dirt import Dirt
from task_fills import Fills, Waiting, event, refused
from task_market import Block, Family, Grid, Link, Market, Terms, sells_of
from task_words import read

from matching_core.enums import (
    Bucket,
    CancelReason,
    DenyReason,
    EventFlag,
    ExpireReason,
    Kind,
    Lane,
    MassFilter,
    Op,
    RejectReason,
    Shape,
    Side,
    TimeInForce,
)
from matching_core.limits import MAX_MONEY_MICRO, MAX_QTY_LOTS, MAX_WALK_PERIODS, PPM
from matching_core.records import Command, Event, unpack_commands

MINUTE = 60 * 10**9
TASK, BLOCK = EventFlag.TASK, EventFlag.BLOCK


class Model(Fills):
    """The market of one engine, its waiting tasks and its dirt, as the rules have them."""

    def __init__(self, engine):
        self.engine = engine
        self.books: dict[int, tuple] = {}  # book -> (state, sells), as last looked at
        self.market = Market(self.look)
        self.tasks: dict[int, Waiting] = {}  # by stamp
        self.dirt = Dirt(self)
        self.fees = [0, 0, 0, 0]

    def look(self, book: int):
        """State and sells of a book; what the oracle buys is taken off these asks."""
        if book not in self.books:
            self.books[book] = self.engine.book_state(book), sells_of(self.engine, book)
        return self.books[book]

    # --- what a command will say ---

    def expect(self, records: bytes) -> list[Event] | None:
        """The events of a command about tasks or block offers; None where orders and books decide."""
        command = unpack_commands(records[:64])[0]
        self.dirt.remember(command)
        told = {
            Op.TASK: self._task, Op.TASK_AMEND: self._task, Op.TASK_CANCEL: self._cancel, Op.DRAIN: self._drain,
            Op.BLOCK_OPEN: self._block_open, Op.BLOCK_SET: self._block_set, Op.BLOCK_CLOSE: self._block_close,
        }.get(command.op)  # fmt: skip
        return told(command, records) if told else None

    def learn(self, records: bytes, events: list[Event]) -> None:
        """Takes over what the engine says of tables, accounts, orders and time."""
        command = unpack_commands(records[:64])[0]
        for told in events:
            self.books.pop(told.book, None)
            if told.kind == Kind.BOOK_CLOSED:
                self.market.values.pop(told.book, None)
                self.dirt.groups.pop(told.book, None)
        self.books.pop(command.book, None)
        if not (events and events[0].kind in (Kind.REJECTED, Kind.DENIED)):
            learn = getattr(self, f"_learn_{Op(command.op).name.lower()}", None)
            if learn:
                learn(command, events)
        self.dirt.learn(command, events)

    def _learn_advance_time(self, c, events) -> None:
        self.expect_time(c, events)

    def _learn_open_account(self, c, _events) -> None:
        self.market.firms[c.account] = c.book

    def _learn_set_fee(self, c, _events) -> None:
        self.fees[c.side] = c.price

    def _learn_list_book(self, c, _events) -> None:
        self.market.values[c.book] = c.price

    def _learn_set_grid(self, c, _events) -> None:
        self.market.grid = Grid(c.price, c.aux, c.expiry_ns, c.qty, c.client_ref)

    def _learn_list_family(self, c, _events) -> None:
        self.market.families[c.book] = Family(c.book, c.account, c.aux, c.price, c.side)
        self._renew_dying()

    def _learn_set_reach(self, c, _events) -> None:
        self.market.reach[c.account, c.book, c.price] = c.qty
        self._renew_dying()

    def _learn_set_link(self, c, _events) -> None:
        self.market.links.pop((c.account, c.book), None)
        if c.qty:
            self.market.links[c.account, c.book] = Link(c.price, c.qty, c.aux)
        self._renew_dying()

    def _renew_dying(self) -> None:
        for task in self.tasks.values():
            task.dies_ns = max(self.dies_ns(task.terms, task.moved), self.market.now_ns + 1)

    def _learn_kill(self, c, events) -> None:
        self.expect_kill(c, events)

    # --- time ---

    def expect_time(self, c: Command, events: list[Event]) -> None:
        """ADVANCE_TIME: tasks that die come first, steps last; residues end at their gates."""
        self.market.now_ns, before = c.aux, self.market.now_ns
        dying = [task for task in self.tasks.values() if task.dies_ns <= c.aux]
        dying.sort(key=lambda task: (task.dies_ns, task.terms.order_id))
        foretold = [self._ended(task, Kind.EXPIRED, self._why_dead(task)) for task in dying]
        told = [told._replace(seq=0) for told in events]
        assert told[: len(foretold)] == foretold, ("tasks that die", told, foretold)
        assert not any(is_task_end(each) for each in told[len(foretold) :])
        self._expect_gates([each for each in told if each.flags & BLOCK or each.kind in CLOSINGS])
        stepped = self._steps_due()
        assert [each for each in told if each.kind == Kind.TASK_STEPPED] == stepped, ("steps", told, stepped)
        assert told[len(told) - len(stepped) :] == stepped
        if self.market.grid:
            now = self.market.grid.at(c.aux)
            for key in [key for key in self.market.load if key[2] < now]:
                del self.market.load[key]
            self.dirt.come_into_sight(before)

    def _why_dead(self, task: Waiting) -> int:
        is_over = task.terms.valid_until_ns and task.terms.valid_until_ns == task.dies_ns
        return ExpireReason.GTD if is_over else ExpireReason.GATE

    def _steps_due(self) -> list[Event]:
        found = []
        for order_id, task in sorted(self.tasks.items()):
            due = [step for step in task.terms.steps[1:] if step[0] <= self.market.now_ns]
            if due and due[-1][0] > self.dirt.time_before:
                task.limit_micro, task.woken = due[-1][1], 2
                found.append(event(Kind.TASK_STEPPED, order_id=order_id, contra_id=task.terms.client_ref,
                                   price=task.limit_micro))  # fmt: skip
        return found

    def _expect_gates(self, told: list[Event]) -> None:
        """The residues of each book that closes, by offer; then the offer, if it is over."""
        blocks, foretold = self.market.blocks, []
        for book in [each.book for each in told if each.kind in (Kind.BOOK_CLOSED, Kind.BOOK_GATED)]:
            family, period = book >> 20, book % 2**20
            for block in sorted(blocks.values(), key=lambda block: block.order_id):
                if block.family == family and period in block.residues:
                    foretold += self._residue_ends(block, period, Kind.EXPIRED, ExpireReason.GATE)
                    self.dirt.mark_block(block)
            foretold.append(book)
        for block in blocks.values():
            for period in block.residues:
                state = self.look(block.family << 20 | period)[0]
                assert state is not None and not state.is_gated, ("a residue outlived its book", block)
        told = [each.book if each.kind in (Kind.BOOK_CLOSED, Kind.BOOK_GATED) else each for each in told]
        assert told == foretold, ("gates", told, foretold)

    def _residue_ends(self, block: Block, period: int, kind: int, reason: int) -> list[Event]:
        price, lots = block.residues.pop(period)
        self.dirt.end_residue(block, period)
        found = [
            event(kind, side=Side.SELL, reason=reason, flags=BLOCK, book=block.family << 20 | period, order_id=block.order_id,
                  contra_id=block.client_ref, price=price, qty=lots)
        ]  # fmt: skip
        return found + (self._forget(block) if block.is_over and kind == Kind.EXPIRED else [])

    def _forget(self, block: Block) -> list[Event]:
        del self.market.blocks[block.order_id]
        return [event(Kind.BLOCK_CLOSED, order_id=block.order_id, contra_id=block.client_ref)]

    # --- kills ---

    def expect_kill(self, c: Command, events: list[Event]) -> None:
        """X3: orders, then tasks by id, then block offers by id."""

        def is_meant(account: int) -> bool:
            firm = self.market.firms.get(account, 0)
            return account == c.account if c.flags == MassFilter.ACCOUNT else firm == c.aux

        self.dirt.learn_orders(c, events)
        foretold = []
        for task in sorted(self.tasks.values(), key=lambda task: task.terms.order_id):
            if is_meant(task.terms.account):
                foretold.append(self._ended(task, Kind.CANCELED, CancelReason.KILLED))
        for block in sorted(self.market.blocks.values(), key=lambda block: block.order_id):
            if is_meant(block.account):
                foretold += self._close(block, CancelReason.KILLED)
        told = [each._replace(seq=0) for each in events]
        told = [each for each in told if each.kind != Kind.INDICATIVE]  # of books in a call, behind everything else
        orders = [each for each in told[:-1] if not each.flags & (TASK | BLOCK) and each.kind != Kind.BLOCK_CLOSED]
        assert told[len(orders) : -1] == foretold, ("kill", told, foretold)
        assert (told[-1].kind, told[-1].qty) == (Kind.KILLED, len(orders))

    def _close(self, block: Block, reason: int) -> list[Event]:
        found = []
        for period in sorted(block.residues):
            found += self._residue_ends(block, period, Kind.CANCELED, reason)
        return found + self._forget(block)

    # --- block offers ---

    def _block_open(self, c: Command, _records) -> list[Event]:
        family, first = c.book >> 20, c.book % 2**20
        is_end_fair = first < c.price <= min(first + MAX_WALK_PERIODS, 2**20)
        if reason := least(
            (family not in self.market.families, RejectReason.UNKNOWN_BOOK),
            (not self._may_trade(c.account), RejectReason.UNKNOWN_ACCOUNT),
            (c.flags & ~32 or not 1 <= c.aux <= MAX_WALK_PERIODS or not is_end_fair, RejectReason.INVALID_FIELD),
            (not 1 <= c.qty <= MAX_QTY_LOTS, RejectReason.INVALID_QTY),
            (c.expiry_ns < 0, RejectReason.INVALID_EXPIRY),
            (self._is_id_used(c.order_id), RejectReason.DUPLICATE_ID),
        ):
            return [refused(c, reason)]
        if self.engine.is_blocked(c.account):
            return [refused(c, DenyReason.BLOCKED, Kind.DENIED)]
        self.market.blocks[c.order_id] = Block(c.order_id, c.client_ref, c.account, family, first, c.price, first, c.qty,
                                               c.aux, c.expiry_ns, c.flags)  # fmt: skip
        return [
            event(Kind.BLOCK_OPENED, side=Side.SELL, book=c.book, order_id=c.order_id, contra_id=c.client_ref, price=c.price,
                  qty=c.qty, leaves=c.aux, contra_leaves=c.expiry_ns)
        ]  # fmt: skip

    def _may_trade(self, account: int) -> bool:
        return account in self.market.firms

    def _is_id_used(self, order_id: int) -> bool:
        return order_id in self.tasks or order_id in self.market.blocks or self.engine.order(order_id) is not None

    def _block_set(self, c: Command, _records) -> list[Event] | None:
        block = self.market.blocks.get(c.order_id)
        state = self.look(c.book)[0]
        period = c.book % 2**20
        is_mine = block is not None and block.account == c.account
        if state is None or c.book not in self.market.values or not self._may_trade(c.account) or c.qty < 0:
            return None  # the stream of records looks at those
        is_of_it = is_mine and block.family == c.book >> 20 and block.first <= period < block.end
        if reason := least(
            (is_mine and not is_of_it, RejectReason.INVALID_FIELD),
            (c.qty and c.price < 1, RejectReason.INVALID_PRICE),
            (state.is_gated, RejectReason.PHASE),
            (not is_mine, RejectReason.UNKNOWN_ORDER),
        ):
            return [refused(c, reason)]
        price, old = block.residues.get(period, (0, 0))
        group = self.dirt.groups.get(c.book, 0)
        attested, is_open, sold = self.engine.capacity(c.account, group) if group else (0, 0, 0)
        if group and c.qty > old and is_open + sold + c.qty - old > attested:
            return [refused(c, DenyReason.CAPACITY, Kind.DENIED)]
        if self.engine.is_blocked(c.account):
            return None
        block.residues.pop(period, None)
        if c.qty:
            block.residues[period] = c.price, c.qty
        block.next = max(block.next, period + 1)
        if c.qty < old:
            self.dirt.end_residue(block, period)
        self.dirt.mark_block(block)
        told = event(Kind.BLOCK_CHANGED, order_id=c.order_id, contra_id=block.client_ref, book=c.book,
                     price=c.price if c.qty else 0, qty=c.qty, leaves=old)  # fmt: skip
        return [told, *(self._forget(block) if block.is_over else [])]

    def _block_close(self, c: Command, _records) -> list[Event]:
        block = self.market.blocks.get(c.order_id)
        if reason := least(
            (not self._may_trade(c.account), RejectReason.UNKNOWN_ACCOUNT),
            (block is None or block.account != c.account, RejectReason.UNKNOWN_ORDER),
        ):
            return [refused(c, reason)]
        return self._close(block, CancelReason.ASKED)

    # --- tasks come and go ---

    def _task(self, c: Command, records: bytes) -> list[Event]:
        terms = read(records)
        old = self.tasks.get(terms.order_id) if c.op == Op.TASK_AMEND else None
        if reason := self.why_rejected(terms, c.op):
            return [refused(c, reason)]
        rate = old.fee_ppm if old and old.terms.lane == terms.lane else self.fees[terms.lane]
        task = Waiting(terms, rate, terms.steps[0][1] if terms.steps else terms.budget_micro)
        cash = self.engine.balance(terms.account)[Bucket.CASH] + (old.held_micro if old else 0)
        if cash < task.held_micro:
            return [refused(c, DenyReason.INSUFFICIENT_FUNDS, Kind.DENIED)]
        if self.engine.is_blocked(terms.account):
            return [refused(c, DenyReason.BLOCKED, Kind.DENIED)]
        about = {"side": terms.lane, "order_id": terms.order_id, "contra_id": terms.client_ref, "price": terms.budget_micro,
                 "qty": terms.target, "leaves": terms.target, "contra_leaves": task.held_micro}  # fmt: skip
        task.dies_ns = self.dies_ns(terms)
        if old:
            is_kept = keeps_stamp(old.terms, terms)
            told = event(Kind.REPLACED, flags=TASK | EventFlag.KEPT_PRIORITY * is_kept, **about)
            if not is_kept:
                del self.tasks[terms.order_id]
            self.tasks[terms.order_id] = task  # it waits while it is tried
            self.dirt.settle()
        else:
            told = event(Kind.ACCEPTED, flags=TASK, **about)
        found = [told, *self._try(task)]
        if not task.wanted:
            return found
        if terms.tif == TimeInForce.IOC:
            return [*found, self._ended(task, Kind.CANCELED, CancelReason.IOC)]
        if task.dies_ns <= self.market.now_ns:
            return [*found, self._ended(task, Kind.EXPIRED, self._why_dead(task))]
        self.tasks[terms.order_id] = task
        return [*found, event(Kind.TASK_WAITING, **about | {
            "price": task.limit_micro, "qty": task.wanted, "leaves": task.dies_ns, "contra_leaves": task.held_micro,
        })]  # fmt: skip

    def why_rejected(self, t: Terms, op: int = Op.TASK, is_question: bool = False) -> int:
        """The smallest reason against a well-formed task; 0 if there is none."""
        market, grid = self.market, self.market.grid
        old = self.tasks.get(t.order_id) if op == Op.TASK_AMEND else None
        is_mine = old is not None and old.terms.account == t.account
        has_bought = is_mine and old.terms.shape == Shape.BULK and old.filled
        is_strange = t.is_emergency and (t.shape != Shape.BLOCK or t.tif != TimeInForce.IOC or t.periods > 2)
        lots = [-(-t.lots * PPM // factor) for _, factor in t.chips]
        reasons = [
            (not self._may_trade(t.account), RejectReason.UNKNOWN_ACCOUNT),
            (is_strange or (t.steps and t.lane != Lane.ECONOMY) or has_bought, RejectReason.INVALID_FIELD),
            (not 1 <= t.budget_micro <= MAX_MONEY_MICRO // 4, RejectReason.INVALID_PRICE),
            (not 1 <= t.periods <= MAX_WALK_PERIODS or t.lots < 1 or max(lots) > MAX_QTY_LOTS, RejectReason.INVALID_QTY),
            (t.valid_until_ns and t.valid_until_ns <= market.now_ns, RejectReason.INVALID_EXPIRY),
            (grid is None, RejectReason.PHASE),
        ]  # fmt: skip
        if grid and t.steps:
            latest = grid.gate(t.end_period - t.length) - MINUTE
            is_late = t.steps[-1][0] > latest or any(at_ns <= market.now_ns for at_ns, _ in t.steps[1:])
            reasons.append((is_late, RejectReason.INVALID_EXPIRY))
        if not is_question:
            reasons.append((op == Op.TASK and self._is_id_used(t.order_id), RejectReason.DUPLICATE_ID))
            reasons.append((op == Op.TASK_AMEND and not is_mine, RejectReason.UNKNOWN_ORDER))
        if grid:
            is_window = 0 <= t.first_period < t.end_period < 2**20
            is_room = is_window and market.base(t) + t.length <= t.end_period
            reasons.append((not is_room, RejectReason.INVALID_WINDOW))
            reasons.append((not is_question and self._are_too_many(t, op), RejectReason.TOO_MANY_WAITING))
        return least(*reasons)

    def _are_too_many(self, t: Terms, op: int) -> bool:
        """RT8."""
        if t.tif == TimeInForce.IOC:
            return False
        grid, firms = self.market.grid, self.market.firms

        def whose(terms: Terms) -> tuple[int, int]:
            return (1, firms[terms.account]) if firms[terms.account] else (0, terms.account)

        others = [w.terms for w in self.tasks.values() if op == Op.TASK or w.terms.order_id != t.order_id]
        of_firm = sum(whose(other) == whose(t) for other in others)
        of_chip = sum(other.chips[0][0] == t.chips[0][0] for other in others)
        return of_firm >= grid.per_firm or of_chip >= grid.per_chip

    def dies_ns(self, t: Terms, moved=()) -> int:
        """When a task can no longer be filled."""
        grid, last = self.market.grid, t.end_period - t.length
        ends = [grid.gate(last)]
        if t.valid_until_ns:
            ends.append(t.valid_until_ns)
        if t.data_mb and t.shape != Shape.BULK:
            delays = [self.market.delay_ns(t, family.region) for family in self.market.eligible(t, moved)]
            if delays:
                ends.append(grid.start(last) - min(delays) + 1)
        return min(ends)

    def _cancel(self, c: Command, _records) -> list[Event]:
        task = self.tasks.get(c.order_id)
        if reason := least(
            (not self._may_trade(c.account), RejectReason.UNKNOWN_ACCOUNT),
            (task is None or task.terms.account != c.account, RejectReason.UNKNOWN_ORDER),
        ):
            return [refused(c, reason)]
        return [self._ended(task, Kind.CANCELED, CancelReason.ASKED)]

    def _ended(self, task: Waiting, kind: int, reason: int) -> Event:
        self.tasks.pop(task.terms.order_id, None)
        self.dirt.settle()
        t = task.terms
        return event(kind, side=t.lane, reason=reason, flags=TASK, order_id=t.order_id, contra_id=t.client_ref,
                     price=t.budget_micro, qty=task.wanted, contra_leaves=task.held_micro)  # fmt: skip


CLOSINGS = (Kind.BLOCK_CLOSED, Kind.BOOK_CLOSED, Kind.BOOK_GATED)


def is_task_end(told: Event) -> bool:
    """Whether a task ends here unfilled."""
    return bool(told.flags & TASK) and told.kind in (Kind.CANCELED, Kind.EXPIRED)


def least(*reasons) -> int:
    """The smallest reason that applies."""
    return int(min((reason for applies, reason in reasons if applies), default=0))


def keeps_stamp(old: Terms, new: Terms) -> bool:
    """RT8: whether an amend asks for no more than before."""
    rest = iter(old.chips)
    is_subset = all(chip in rest for chip in new.chips)
    are_regions_less = not old.regions or (new.regions and set(new.regions) <= set(old.regions))
    is_rtt_less = not old.max_rtt_us or 0 < new.max_rtt_us <= old.max_rtt_us
    is_less = (
        new.budget_micro <= old.budget_micro and new.lots <= old.lots and is_subset and are_regions_less and is_rtt_less
        and new.max_class <= old.max_class and old.flags & ~new.flags == 0 and not old.steps and not new.steps
    )  # fmt: skip
    is_cap_less = new.budget_micro * old.lots <= old.budget_micro * new.lots
    is_as_green = not old.max_grid or 0 < new.max_grid <= old.max_grid
    fields = ("budget_micro", "lots", "chips", "regions", "max_rtt_us", "max_class", "max_grid", "flags")
    same = dict.fromkeys(fields, 0)
    return bool(is_less and is_cap_less and is_as_green and old._replace(**same) == new._replace(**same))

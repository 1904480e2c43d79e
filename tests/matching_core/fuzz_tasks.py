"""The part of `fuzz_stream` that is about tasks: tables, block offers, tasks with their records whole and broken, drains."""

from __future__ import annotations

import struct

from matching_core.enums import Kind, Lane, Op, Shape, Side, TimeInForce
from matching_core.records import COMMAND, RECORD_SIZE, Command

PERIOD_NS = 10**9  # the shortest: the clock of the stream goes by nanoseconds, and now and then by a period
FAMILIES = (1, 2, 4095)  # family 1 and 4095 have books at the ends of the numbers too
TASK_BOOKS = tuple(family << 20 | period for family in FAMILIES for period in (1, 2, 3)) + (1 << 20 | 4, 2 << 20 | 900)
CHIPS = (1, 2, 4095)
REGIONS = (1, 2, 4095)
PPM = 10**6
HEADS = (Op.TASK, Op.TASK_AMEND)
TAIL = (Op.TASK_TERMS, Op.TASK_CHIPS, Op.TASK_REGIONS, Op.TASK_STEPS)
EDGES = (
    0, 1, -1, 2, 24, 25, 63, 64, 65, 999, 1000, 1001, 1024, 1025, 4095, 4096, 10**6, 10**9, 10**9 + 1, 2**20 - 1, 2**20,
    2**31, 2**32 - 1, 2**32, 10**12, 10**12 + 1, 10**18, 10**18 + 1, 4 * 10**18, 2**63 - 1, -(2**63), 1 << 32 | 1,
    PPM << 32 | 1, PPM << 32, 4096 << 32 | 1, (10**9 + 1) << 32 | 1, 999 << 32 | 1,
)  # fmt: skip
TASK_WEIGHTS = {
    Op.SET_GRID: 0.3, Op.LIST_FAMILY: 1.5, Op.SET_REACH: 1, Op.SET_LINK: 2,
    Op.BLOCK_OPEN: 6, Op.BLOCK_SET: 20, Op.BLOCK_CLOSE: 1, Op.TASK: 38,
    Op.TASK_AMEND: 6, Op.TASK_CANCEL: 2, Op.DRAIN: 12, Op.TASK_TERMS: 0.2, Op.TASK_CHIPS: 0.2,
    Op.TASK_REGIONS: 0.2, Op.TASK_STEPS: 0.2,
}  # fmt: skip


def opening():
    """Families, reach, links, and books of tasks with capacity."""
    for number, family in enumerate(FAMILIES):
        yield {
            "op": Op.LIST_FAMILY,
            "book": family,
            "account": CHIPS[number % 2],
            "aux": REGIONS[number],
            "side": number % 2,
        }
    for access in REGIONS:
        for host in REGIONS:
            yield {"op": Op.SET_REACH, "account": access, "book": host, "qty": 1000 + access % 5 * 100 + host % 7}
    yield {"op": Op.SET_LINK, "account": 1, "book": 2, "price": 500, "qty": 10**9, "aux": 100}
    yield {"op": Op.SET_LINK, "account": 2, "book": 1, "price": 0, "qty": 10**9}
    for place, book in enumerate(TASK_BOOKS):
        gate_ns = book % 2**20 * PERIOD_NS - 500
        yield {"op": Op.LIST_BOOK, "book": book, "price": 1 + place % 3, "aux": 1 + place % 2, "expiry_ns": gate_ns}
        yield {"op": Op.SET_BOOK, "book": book, "expiry_ns": gate_ns + 500 + PERIOD_NS}


class TaskStream:
    """Fields of the operations of tasks; mixed into `Stream`, which has engine, random, book and chance."""

    def _set_grid(self):
        """Fair in the one way that the stream lives by, or not at all."""
        fair = {"price": 0, "aux": PERIOD_NS, "expiry_ns": 500, "qty": 12, "client_ref": 20}
        wrong = {
            "price": 2**62 + 1,
            "aux": self._pick(PERIOD_NS - 1, 2**42 + 1),
            "expiry_ns": 2**62,
            "qty": 2**32,
            "client_ref": 2**32,
        }
        name = self._pick(*wrong)
        return fair | ({name: wrong[name]} if self._is(0.4) else {})

    def _list_family(self):
        fair = {"book": self._pick(3, 4, 5, 6, 4094), "account": self._pick(*CHIPS), "aux": self._pick(*REGIONS),
                "price": self._pick(0, 4), "side": self._pick(0, 1)}  # fmt: skip
        number = self._pick(0, 4096)
        wrong = {"book": self._pick(1, number), "account": number, "aux": number, "price": 5, "side": 2}
        name = self._pick(*wrong)
        return fair | ({name: wrong[name]} if self._is(0.5) else {})

    def _set_reach(self):
        return {"account": self._pick(*REGIONS), "book": self._pick(*REGIONS, 0), "price": self._pick(0, 0, 0, 4, 5),
                "qty": self._pick(0, 900, 1500, 10**9, 10**9 + 1)}  # fmt: skip

    def _set_link(self):
        return {"account": self._pick(1, 2, 2, 4095), "book": self._pick(*REGIONS), "price": self._pick(0, 5_000, 10**9),
                "qty": self._pick(0, 10**9, 10**9, 10**9, 1, 10**9 + 1), "aux": self._pick(0, 0, 40, 200, 10**12)}  # fmt: skip

    # --- block offers ---

    def _a_task_book(self):
        return self.book if self.book in TASK_BOOKS else self._pick(*TASK_BOOKS)

    def _block_open(self):
        book = self._a_task_book()
        count, notice_ns = self._pick(1, 2, 3, 3, self._pick(0, 1024, 1025)), self._pick(0, 0, 0, PERIOD_NS)
        return {"account": self._pick(2, 3, 4), "order_id": self._new_id(), "book": book, "price": book % 2**20 + count,
                "qty": self._pick(1, 1, 2, 3, 10**12), "aux": self._pick(1, 1, 1, 2, 1024, 0), "expiry_ns": notice_ns,
                "flags": self._pick(0, 32, 32, 1)}  # fmt: skip

    def _block_set(self):
        if not self.blocks:
            return {"account": 2, "order_id": 7, "book": self._a_task_book(), "price": 100, "qty": 3}
        number = self._pick(*sorted(self.blocks))
        block = self.engine.block_offer(number)
        there = [row[0] for row in block.residues]
        period = (
            self._pick(*there) if there and self._is(0.3) else self.random.randint(block.first_period, block.end_period)
        )
        return {"account": block.account, "order_id": number, "book": block.family << 20 | period % 2**20,
                "price": self._pick(96, 97, self._price(Side.SELL)), "qty": self._pick(0, 1, 3, 5, 9, 60)}  # fmt: skip

    def _block_close(self):
        if not self.blocks:
            return {"account": 2, "order_id": 7}
        number = self._pick(*sorted(self.blocks))
        return {"account": self.engine.block_offer(number).account, "order_id": number}

    # --- tasks ---

    def _task(self):
        shape, lane = self._pick(*Shape, Shape.BLOCK, Shape.SPREAD), self._pick(0, 0, 0, 0, 1, 1, 1, 2, 3)
        lots, periods = self._pick(1, 2, 3, 5, 8), self._pick(1, 1, 2, 2, 3)
        tif = self._pick(0, 0, 0, 0, 0, TimeInForce.IOC)
        if lane == Lane.EMERGENCY and self._is(0.9):
            shape, tif, periods = Shape.BLOCK, TimeInForce.IOC, self._pick(1, 2)
        whole = self._pick(99, 101, 103, 103, 120) * lots * periods
        until = self._pick(0, 0, 0, 0, 0, self.engine.now_ns + self._pick(0, 1, 30, PERIOD_NS))
        fields = {"side": lane, "order_type": shape, "tif": tif, "stp": self._pick(4, 4, 4, 4, 0),
                  "flags": self._pick(0, 0, 0, 0, 1, 2, 3), "book": self._pick(0, 0, *REGIONS),
                  "account": self._pick(1, 2, 2, 2, 5, 5), "order_id": self._new_id(),
                  "price": whole * self._pick(1, 2, 3, 4), "qty": lots, "aux": periods, "expiry_ns": until}  # fmt: skip
        if self._is(0.06):
            fields |= self._pick({"side": 4}, {"side": 255}, {"order_type": 4}, {"tif": 2}, {"stp": 5}, {"flags": 4})
        return fields

    def _task_amend(self):
        waiting = self.engine.tasks()
        if not waiting or self._is(0.1):
            return self._task()
        view = self.engine.task(self._pick(*waiting))
        fields = self._task() | {"order_id": view.order_id, "account": view.account, "side": view.lane}
        return fields | ({"order_type": view.shape, "price": view.budget_micro - self._pick(0, 1)} if self._is(0.6) else {})

    def _task_cancel(self):
        waiting = self.engine.tasks()
        if not waiting:
            return {"order_id": self._new_id()}
        view = self.engine.task(self._pick(*waiting))
        return {"order_id": view.order_id, "account": view.account}

    def _drain(self):
        return {"qty": self._pick(0, 0, 0, 1, 1, 2, -1)}

    def _task_terms(self):
        return {"price": 0, "qty": 4, "reserved": self._pick(0, 1)}

    def _chips_or_so(self):
        return {"order_id": PPM << 32 | 1}

    _task_chips = _task_regions = _task_steps = _chips_or_so

    def _moment(self):
        """A gate of what a block offer has left, the end of a task, or simply far away."""
        now_ns = self.engine.now_ns
        blocks = [self.engine.block_offer(number) for number in sorted(self.blocks)]
        gates = [row[0] * PERIOD_NS - 500 for block in blocks for row in block.residues]
        ends = [self.engine.task(number).dies_ns for number in self.engine.tasks()]
        far = now_ns + PERIOD_NS // self._pick(3, 5, 9)
        for moments in (gates, ends) if self._is(0.7) else (ends, [far]):
            near = [moment for moment in moments if now_ns < moment < now_ns + PERIOD_NS]
            if near:
                return self._pick(*near)
        return far

    # --- the records behind a head ---

    def tail(self, fields) -> list[bytes]:
        """The continuation records of a head, mostly fair ones."""
        shape, target = fields["order_type"], max(fields["qty"] * fields["aux"], 0)
        now = max(self.engine.now_ns // PERIOD_NS, 0)
        first = self._pick(0, 0, now, now + 1)
        end = max(first, now) + max(min(fields["aux"], 1024), 0) + self._pick(0, 1, 2, 2, 3, 1100)
        terms = {"op": Op.TASK_TERMS, "account": self._pick(0, 0, 0, 1100, 10**9), "price": first, "qty": end,
                 "order_id": self._pick(0, 1, fields["aux"]) if shape == Shape.SPLIT else 0}  # fmt: skip
        if self._is(0.3):
            terms |= {"book": self._pick(1, 1, 2, 2, 4095), "aux": self._pick(1, 30, 60, 200)}
        if shape == Shape.BULK:
            terms |= {"expiry_ns": self._pick(0, 1, target), "client_ref": self._pick(0, 1, target)}
        chips = self.random.sample(CHIPS, self._pick(1, 2, 2, 3))
        if self._is(0.005):
            chips = range(1, self._pick(65, 66, 200))
        words = [chip | self._factor(shape == Shape.BULK) << 32 for chip in chips]
        tail = [wrapped(terms), *six(Op.TASK_CHIPS, words)]
        if self._is(0.2):
            regions = sorted(self.random.sample(REGIONS, self._pick(1, 2, 3)))
            if self._is(0.05):
                regions = list(range(1, 66))
            regions += [0] * (len(regions) % 2)
            pairs = zip(regions[::2], regions[1::2], strict=True)
            tail += six(Op.TASK_REGIONS, [low | high << 32 for low, high in pairs])
        if self._is(0.7 if fields["side"] == Lane.ECONOMY else 0.01):
            tail += six(Op.TASK_STEPS, self._steps(fields["price"]))
        return tail

    def _factor(self, is_bulk: bool) -> int:
        return PPM if is_bulk and self._is(0.97) else self._pick(PPM, PPM, 500_000, 1_500_000, 10**9, 1_000)

    def _steps(self, budget: int) -> list[int]:
        count = self._pick(1, 1, 2, 3, self._pick(16, 17))
        times = [self.engine.now_ns + (at + 1) * self._pick(1, 7, 7) + at for at in range(count)]
        limits = sorted(max(1, budget - self._pick(0, 1, budget // 2)) for _ in range(count))
        return [0, limits[0], *(word for pair in zip(times, [*limits[1:], budget], strict=True) for word in pair)]

    def with_tail(self, fields) -> bytes:
        """Head and records as one buffer, now and then broken."""
        tail = self.tail(fields)
        head = fields | {"reserved": len(tail)}
        if self._is(0.04):
            head["reserved"] = self._pick(*EDGES) % 2**16
        if self._is(0.12):
            tail = self._broken(tail)
        return wrapped(head) + b"".join(tail)

    def _broken(self, tail: list[bytes]) -> list[bytes]:
        at = self.random.randrange(len(tail))
        if self._is(0.15):
            return tail[:at] + tail[at + 1 :]
        if self._is(0.1):
            return tail[: at + 1] + tail[at:]
        if self._is(0.1):
            self.random.shuffle(tail)
            return tail
        fields = Command._make(COMMAND.unpack(tail[at]))._asdict()
        fields[self._pick(*fields)] = self._pick(*EDGES)
        return [*tail[:at], wrapped(fields), *tail[at + 1 :]]

    def read_market(self, events) -> None:
        """Which block offers are open, and whether there is a grid."""
        for event in events:
            self.has_grid |= event.kind == Kind.GRID_SET
            if event.kind == Kind.BLOCK_OPENED:
                self.blocks.add(event.order_id)
            elif event.kind == Kind.BLOCK_CLOSED:
                self.blocks.discard(event.order_id)


def six(op: int, words) -> list[bytes]:
    """Words as records, six in each."""
    rows = [[*words[at : at + 6]] for at in range(0, len(words), 6)] or [[]]
    return [Command(op).pack()[:16] + struct.pack("<6Q", *(word % 2**64 for word in (row + [0] * 6)[:6])) for row in rows]


def wrapped(fields) -> bytes:
    """A record whose fields are the low bits of the numbers given."""
    packed = b""
    for name, code in zip(Command._fields, "BBBBBBHIIQQQQQQ", strict=True):
        size = 8 * struct.calcsize("<" + code)
        packed += struct.pack("<" + code, int(fields.get(name, 0)) % 2**size)
    assert len(packed) == RECORD_SIZE
    return packed


def is_tail(step) -> bool:
    """Whether a step begins with a continuation record."""
    return not isinstance(step, dict | str) and step[0] in TAIL

"""Random commands over many books: every operation, flag and mode, and numbers from the edges of every field.

The stream asks an engine where its books stand, so that most commands meet something. A step is a dict of arguments of
`submit` or the 64 bytes of a record for `process`, of a task with its records behind it; a list of steps plays again without
the stream. `Coverage` counts what a run has reached, and names what it has not, so that the stream cannot get blunt unseen.
"""

from collections import Counter

import fuzz_tasks
from fuzz_tasks import TASK_BOOKS, TASK_WEIGHTS, TaskStream

from matching_core.enums import (
    BookRule,
    Bucket,
    CallKind,
    CancelReason,
    DenyReason,
    EventFlag,
    ExpireReason,
    FixGrade,
    Kind,
    Lane,
    MassFilter,
    Op,
    OrderFlag,
    OrderType,
    Phase,
    RejectReason,
    Shape,
    Side,
    StpMode,
    TaskFlag,
    TiePolicy,
    TimeInForce,
)
from matching_core.limits import MAX_MONEY_MICRO, MAX_PRICE_TICKS
from matching_core.records import COMMAND, COMMAND_FIELDS, Command

BOOKS = (0, 1, 2, 3, 7, 2**16, 2**16 + 1, 2**20, 2**31, 2**32 - 1)
NEVER_LISTED = (2, 7, 2**20, 2**32 - 1)  # unless the engine is listed_only
WIDE = (3, 2**31)  # books whose prices go from 1 to the cap
PIVOT = 2**20  # of a wide book
ACCOUNTS = (1, 2, 3, 4, 5, 2**32 - 1)
FIRMS = {1: 1, 2: 1, 3: 2, 4: 0, 5: 2**32 - 1, 2**32 - 1: 2}
GROUPS = (1, 2, 2**32 - 1)
FAR_IDS = (127, 128, 129, 2**20, 2**20 + 128, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53 + 1, 2**63 - 129, 2**63 - 1)
EDGES = (
    0, 1, -1, 2, 63, 64, 255, 256, 10**6, 10**6 + 1, 2**31 - 1, 2**31, 2**32 - 1, 2**53 - 1, 2**53 + 1, 10**12, 10**12 + 1,
    4 * 10**18, 4 * 10**18 + 1, 2**63 - 1, -(2**31), -(2**53) - 1, -(2**63),
)  # fmt: skip
MISFITS = (2**32, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**30, -(10**30))  # too large for some field or for all
WIDTHS = {name: (2 ** (8 * int(kind[-1])), "i" in kind) for name, kind in COMMAND_FIELDS}
RESTING = (TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY)

WEIGHTS = {
    Op.NEW: 100, Op.CANCEL: 7, Op.REPLACE: 6, Op.REDUCE: 5, Op.MASS_CANCEL: 2, Op.ADVANCE_TIME: 5, Op.SET_PHASE: 3,
    Op.UNCROSS: 2, Op.AMEND: 14, Op.OPEN_ACCOUNT: 1, Op.TRANSFER: 6, Op.SET_FEE: 1, Op.LIST_BOOK: 2, Op.SET_CAPACITY: 4,
    Op.TAKE: 8, Op.ADJUST_SOLD: 3, Op.SET_BOOK: 4, Op.SET_BANDS: 4, Op.SET_REFERENCE: 4, Op.SET_FIX: 2, Op.SESSION_CLOSE: 1,
    Op.KILL: 2, Op.LIFT: 1,
}  # fmt: skip


def opening():
    """Accounts of some firms, money, fees, listed books with and without gates, and capacity."""
    for account, firm in FIRMS.items():
        if account != ACCOUNTS[-1]:
            yield {"op": Op.OPEN_ACCOUNT, "account": account, "book": firm}
    for account, cash, held in ((1, 90_000, 45_000), (2, 3_000_000, 10**6), (3, 30_000, 10_000), (5, 3 * 10**18, 5)):
        yield {"op": Op.TRANSFER, "account": 0, "book": account, "qty": cash}
        yield {"op": Op.TRANSFER, "account": 0, "book": account, "order_type": Bucket.HELD, "qty": held}
    yield {"op": Op.SET_FEE, "side": 0, "price": 1500}
    yield {"op": Op.SET_FEE, "side": 1, "price": 333_333}
    yield {"op": Op.LIST_BOOK, "book": 0, "price": 1, "qty": 25, "aux": 1, "expiry_ns": 300}
    yield {"op": Op.LIST_BOOK, "book": 1, "price": 3, "aux": 1}
    yield {"op": Op.LIST_BOOK, "book": 3, "price": 1, "aux": 2}
    for account in (2, 3, 4):
        yield {"op": Op.SET_CAPACITY, "account": account, "aux": 1, "qty": 200}
        yield {"op": Op.SET_CAPACITY, "account": account, "aux": 2, "qty": 10**12}
    yield from fuzz_tasks.opening()


class Stream(TaskStream):
    """Commands as dicts of arguments of `submit`, one at a time; the engine is asked before each of them."""

    def __init__(self, random, engine):
        self.random = random
        self.engine = engine
        self.books = (*BOOKS, *TASK_BOOKS, *TASK_BOOKS) if engine.check_funds else BOOKS
        self.blocks = set()  # the block offers that are open
        self.has_grid = False
        self.listable = [book for book in self.books if engine.listed_only or book not in NEVER_LISTED]
        self.gates = {}  # book -> its gate, 0 = none
        self.focus = 0  # the book of every second command, for a while

    def read(self, events):
        """What the stream wants to remember of the answers to its last step."""
        for event in events:
            if event.kind in (Kind.BOOK_LISTED, Kind.BOOK_GATED):
                self.gates[event.book] = event.leaves
            elif event.kind == Kind.BOOK_CLOSED:
                del self.gates[event.book]
        self.read_market(events)

    def step(self):
        """The next step: mostly a record, now and then arguments that need not fit one."""
        chance = self.random.random()
        if chance < 0.005:
            return self.random.randbytes(64)
        fields = self.command()
        if fields["op"] in (Op.TASK, Op.TASK_AMEND) and chance > 0.03:
            return self.with_tail(fields)
        if chance > 0.08:
            return record(fields)
        fields.pop("reserved", None)  # submit has no such argument
        return fields | self._misfit(fields) if chance < 0.03 else fields

    def command(self):
        """Fields of one command, all of them within their widths."""
        if self._is(0.015):
            self.focus = self._pick(*self.books)
        self.book = self.focus if self._is(0.5) else self._pick(*self.books)
        self.state = self.engine.book_state(self.book)
        op = self._op()
        fields = {
            "op": op, "side": self._pick(0, 1), "book": self.book, "account": self._pick(*ACCOUNTS),
            "client_ref": self._pick(0, 5, 2**63, 2**64 - 1), **self._fields_of(op),
        }  # fmt: skip
        if self._is(0.05):
            fields |= {self._pick(*WIDTHS): self._pick(*EDGES) for _ in range(self._pick(1, 1, 2))}
        if self._is(0.004):
            fields |= {name: self._pick(*EDGES) for name in WIDTHS if name != "op"}
        return {name: _wrap(name, int(value)) for name, value in fields.items()}

    # --- which operation ---

    def _op(self):
        if self._is(0.004):
            return self.random.randrange(256)
        weights = WEIGHTS | {Op.TAKE: 8 if self.engine.check_funds else 1}
        weights |= {op: weight if self.engine.check_funds else weight * 0.05 for op, weight in TASK_WEIGHTS.items()}
        if self.engine.check_funds and not self.has_grid:
            weights[Op.SET_GRID] = 10
        if self.book in self.listable and self.state is None:
            weights[Op.LIST_BOOK] = 60
        if self.state and self.state.phase == Phase.AUCTION:
            weights[Op.UNCROSS] = 25
        elif self.state and self.state.phase != Phase.OPEN:
            weights[Op.SET_PHASE] = 60
            weights[Op.NEW] = 20
        if any(self.engine.is_blocked(account) for account in ACCOUNTS):
            weights[Op.LIFT] = 12
        return self.random.choices(list(weights), list(weights.values()))[0]

    def _fields_of(self, op):
        name = Op(op).name.lower() if op in set(Op) else "nothing"
        return getattr(self, f"_{name}", self._nothing)()

    # --- orders ---

    def _new(self):
        is_call = self.state is not None and self.state.phase == Phase.AUCTION
        is_emergency = self.state is not None and self.state.end_ns
        side = self._pick(Side.BUY, Side.SELL)
        qty = self._qty()
        fields = {"order_id": self._new_id(), "side": side, "price": self._price(side), "qty": qty,
                  "tif": self._pick(*RESTING), "stp": self._pick(0, 0, 0, *StpMode), "aux": self._pick(0, 1, 2, 3, 5, 9, qty),
                  "expiry_ns": self.engine.now_ns + self._pick(1, 3, 5, 20, 60, self._pick(-1, 0, 2**62))}  # fmt: skip
        if side == Side.SELL:
            fields["account"] = self._pick(*ACCOUNTS, 4, 4, 4)
        elif self.book in WIDE:
            fields["account"] = self._pick(*ACCOUNTS, 5, 5, 5)
        kinds = "nnnnnpiiiaaaa" if is_call else "nnnnnnnnnpppiiiimmmkkkkfff"
        what = self._pick(*kinds, *("ssssss" if is_emergency else ""), *("ams" if self._is(0.2) else ""))
        if what == "p":
            fields["flags"] = OrderFlag.POST_ONLY
        elif what == "i":
            fields |= {"flags": OrderFlag.ICEBERG | self._pick(0, 0, OrderFlag.POST_ONLY),
                       "aux": self._pick(1, 2, 2, 3, 3, qty, qty // 2 + 1, self._pick(qty + 1, 0))}  # fmt: skip
        elif what == "m":
            fields |= {"flags": OrderFlag.MIN_QTY, "tif": self._pick(*TimeInForce),
                       "aux": self._pick(1, 2, 3, 5, qty, qty, qty // 2 + 1, self._pick(0, qty + 1))}  # fmt: skip
        elif what == "k":
            fields |= {"order_type": OrderType.MARKET, "tif": self._pick(0, 0, 1, 1, 2, 2, self._pick(3, 4)),
                       "price": fields["price"] + self._pick(0, 3, -3)}  # fmt: skip
        elif what == "f":
            fields["tif"] = self._pick(TimeInForce.IOC, TimeInForce.FOK)
        elif what == "a":
            kind = self.state.call & 7 if is_call else 0
            fields |= {"flags": OrderFlag.AUCTION_ONLY, "order_type": self._pick(0, 1), "tif": self._pick(0, 3, 4),
                       "aux": self._pick(0, kind, kind, self._pick(1, 2, 4, 7))}  # fmt: skip
        elif what == "s":
            fields |= {"flags": OrderFlag.STANDBY | self._pick(0, 0, OrderFlag.ICEBERG, OrderFlag.MIN_QTY),
                       "side": Side.SELL, "account": self._pick(2, 3, 4)}  # fmt: skip
        if self._is(0.2 if fields["price"] > 4 * 10**6 else 0.01):
            fields["qty"] = MAX_MONEY_MICRO // max(fields["price"], 4 * 10**6) + self._pick(0, 0, 1)
        if self._is(0.04):
            fields |= {"flags": self.random.randrange(64), "order_type": self._pick(0, 1, 2), "tif": self.random.randrange(6)}
        if fields["side"] == Side.SELL and self._is(0.3):
            fields["flags"] = fields.get("flags", 0) | OrderFlag.INDIVISIBLE
        return fields

    def _new_id(self):
        if self._is(0.1):
            return self._pick(*FAR_IDS)
        number = self.random.randrange(1, 300)
        return number if self.engine.order(number) is None or self._is(0.2) else self.random.randrange(1, 300)

    def _qty(self):
        if self._is(0.04):
            return self._pick(25, 26, 2_500, 3_000, 10**6, 10**12, 10**12 + 1)
        return self.random.randrange(1, 12) if self._is(0.7) else self.random.randrange(0, 30)

    def _price(self, side):
        if self._is(0.15):
            orders = self.engine.orders(self.book)
            if orders:
                return max(0, self._pick(*orders).price + self._pick(-1, 0, 0, 1))
        if self.book in WIDE:
            low, high = (0, 21) if (side == Side.BUY) == self._is(0.9) else (20, 40)
            price = (1 << self.random.randrange(low, high)) + self._pick(-1, 0, 0, 1, 63, 64)
            return self._pick(price, price, price, PIVOT, PIVOT + self.random.randrange(-70, 70), 1, MAX_PRICE_TICKS)
        return 100 + self.random.randrange(-6, 7) + (0 if self._is(0.5) else (2 if side == Side.SELL else -2))

    def _live_order(self):
        """A live order, mostly of the book at hand; None where nothing is live."""
        orders = self.engine.orders(self.book)
        if not orders:
            orders = [order for book in self.engine.books() for order in self.engine.orders(book)]
        return self._pick(*orders) if orders else None

    def _cancel(self):
        order = self._live_order() if self._is(0.9) else None
        if order is None:
            return {"order_id": self._new_id()}
        is_stranger = self._is(0.05)
        return {"order_id": order.order_id, "account": self._pick(*ACCOUNTS) if is_stranger else order.account}

    def _change(self):
        order = self._live_order() if self._is(0.95) else None
        if order is None:
            return {"order_id": self._new_id(), "price": 100, "qty": 5}
        price = order.price + (0 if self._is(0.4) else self._pick(-9, -2, -1, 1, 2, 9))
        filled = order.qty - order.leaves
        qty = self._pick(order.qty, order.qty - 1, order.qty + 1, order.leaves, filled, filled + 1, self._qty())
        return {"order_id": order.order_id, "account": order.account, "price": price, "qty": qty}

    _replace = _change
    _amend = _change

    def _reduce(self):
        fields = self._change()
        order = self.engine.order(fields["order_id"])
        if order and self._is(0.7):
            fields["qty"] = self.random.randrange(1, min(order.leaves, 2**31) + 1)
        return fields

    def _take(self):
        sellers = [order for order in self.engine.orders(self.book) if order.side == Side.SELL]
        ask = self._pick(*sellers) if sellers else None
        return {"account": self._pick(1, 2, 3, 5), "aux": ask.account if ask else self._pick(*ACCOUNTS), "side": 0,
                "order_id": self._pick(900, 901, self._new_id()), "order_type": self._pick(0, 1, 1),
                "price": ask.price + self._pick(0, 0, 5) if ask else 110,
                "qty": self._pick(ask.leaves, 1, self.random.randrange(1, 9)) if ask else 1,
                "client_ref": self._pick(0, 0, 5, 10**6)}  # fmt: skip

    # --- the venue's own ---

    def _advance_time(self):
        if self.engine.check_funds and self._is(0.15):
            return {"aux": self._moment()}
        return {"aux": self.engine.now_ns + self._pick(-1, 0, 1, 3, 7, 20, 40)}

    def _open_account(self):
        account = self._pick(*ACCOUNTS)
        return {"account": account, "book": FIRMS[account]}

    def _transfer(self):
        return {"account": self._pick(0, 0, 0, *ACCOUNTS), "book": self._pick(*ACCOUNTS), "side": self._pick(0, 0, *Bucket),
                "order_type": self._pick(0, 0, 1, *Bucket, 5),
                "qty": self._pick(1, 3_000, 100_000, 10**18, 4 * 10**18)}  # fmt: skip

    def _set_fee(self):
        return {"side": self._pick(0, 0, 1, 2, 3, 4), "price": self._pick(0, 1500, 10**6, 777_777, 1)}

    def _list_book(self):
        gate_ns = self.engine.now_ns + self._pick(0, 30, 60, 90, 200)
        if self.book in TASK_BOOKS:
            gate_ns = self.book % 2**20 * fuzz_tasks.PERIOD_NS - self._pick(500, 500, 0)
            gate_ns = gate_ns if gate_ns > self.engine.now_ns else 0
        return {"price": self._pick(1, 1, 3, 1000), "qty": self._pick(0, 0, 25, 3_000),
                "aux": self._pick(0, 1, 1, 2, 2**32 - 1), "expiry_ns": self._pick(0, gate_ns, gate_ns, gate_ns)}  # fmt: skip

    def _set_capacity(self):
        return {"account": self._pick(2, 3, 4, *ACCOUNTS), "aux": self._pick(1, 1, 1, *GROUPS),
                "qty": self._pick(0, 50, 100, 500, 500, 10**12)}  # fmt: skip

    def _adjust_sold(self):
        return {"account": self._pick(2, 3, 4), "aux": self._pick(1, 1, 1, *GROUPS),
                "qty": self._pick(-1, 1, 5, -30, 30, 300, 0)}  # fmt: skip

    def _set_book(self):
        gate_ns = self.gates.get(self.book, 0)
        end_ns = gate_ns + self._pick(1, 40, 100) if gate_ns and self._is(0.9) else self._pick(0, 0, 0, 0, 500)
        return {"flags": self.random.randrange(16), "stp": self._pick(0, 0, *StpMode), "order_type": self._pick(*TiePolicy),
                "price": self._pick(0, 10_000, 50_000, 10**6), "qty": self._pick(0, 0, 0, 2, 10), "aux": self._pick(0, 0, 5),
                "expiry_ns": end_ns}  # fmt: skip

    def _set_bands(self):
        return {"price": self._pick(0, 0, 40_000, 100_000), "qty": self._pick(0, 0, 20_000, 30_000),
                "aux": self._pick(0, 0, 5_000, 10_000, 10**6)}  # fmt: skip

    def _set_reference(self):
        return {"price": PIVOT if self.book in WIDE else self._pick(0, 98, 100, 100, 102)}

    def _set_fix(self):
        return {"price": self._price(0), "side": self._pick(*FixGrade, 4)}

    def _set_phase(self):
        phase = self._pick(*([Phase.AUCTION] * 8), *Phase)
        flags = self._pick(0, *CallKind, *CallKind, 3, 9) if phase == Phase.AUCTION else self._pick(0, 0, 0, 1)
        return {"aux": phase, "flags": flags, "expiry_ns": self._pick(0, 0, 0, self.engine.now_ns + self._pick(0, 3, 9))}

    def _uncross(self):
        return {"aux": self._pick(*([Phase.OPEN] * 12), *([Phase.CLOSED] * 2), Phase.AUCTION)}

    def _mass_cancel(self):
        flags = self._pick(*MassFilter, 12, 5, 6, 15, 3) if self._is(0.9) else self.random.randrange(32)
        return {"flags": flags, "aux": self._pick(1, 2, 2**32 - 1, 0)}

    def _session_close(self):
        return {"flags": self._pick(0, MassFilter.BOOK, MassFilter.BOOK, 1)}

    def _kill(self):
        return {"flags": self._pick(1, 1, 1, 2, 2, 2, 0, 3), "aux": self._pick(1, 2, 2**32 - 1, 0)}

    def _lift(self):
        killed = [account for account in ACCOUNTS if self.engine.is_blocked(account)]
        account = self._pick(*killed) if killed else self._pick(*ACCOUNTS)
        return {"flags": self._pick(MassFilter.ACCOUNT, MassFilter.FIRM), "account": account, "aux": FIRMS[account]}

    def _nothing(self):
        return {}

    # --- chance ---

    def _is(self, probability):
        return self.random.random() < probability

    def _pick(self, *values):
        return values[self.random.randrange(len(values))]

    def _misfit(self, fields):
        return {self._pick(*fields): self._pick(*MISFITS)}


def _wrap(name, value):
    """The number of the same low bits that fits the field of a record."""
    size, is_signed = WIDTHS[name]
    value %= size
    return value - size if is_signed and value >= size // 2 else value


def record(fields):
    """The 64 bytes of a command given as fields that fit."""
    return Command(**fields).pack()


def fields_of(step):
    """The fields of a step, of a task its head; those of a dict are as given, however large."""
    if isinstance(step, dict):
        return step
    return Command._make(COMMAND.unpack(step[: COMMAND.size]))._asdict()


# --- what a run has reached ---

ONLY_WITH_FUNDS = {
    *(("op", op) for op in range(Op.SET_GRID, Op.TASK_TERMS)),
    *(("kind", kind) for kind in range(Kind.TASK_WAITING, Kind.TASK_STEPPED + 1)),
    ("event flag", EventFlag.TASK), ("event flag", EventFlag.BLOCK), ("REJECTED", RejectReason.INVALID_WINDOW),
    ("REJECTED", RejectReason.TOO_MANY_WAITING),
    ("op", Op.TAKE), ("kind", Kind.POSTED), ("event flag", EventFlag.TAKE), ("REJECTED", RejectReason.NOT_ENOUGH_DEPTH),
    ("DENIED", DenyReason.TOO_MANY_SELLS),
}  # fmt: skip
REASONS = {Kind.REJECTED: RejectReason, Kind.DENIED: DenyReason, Kind.CANCELED: CancelReason, Kind.EXPIRED: ExpireReason}


class Coverage:
    """Counts of what the events of a run have shown."""

    def __init__(self):
        self.seen = Counter()

    def add(self, step, events):
        """Count one step and its events."""
        for event in events:
            self.seen["kind", event.kind] += 1
            if event.kind in REASONS:
                self.seen[Kind(event.kind).name, event.reason] += 1
                self._bits(f"{Kind(event.kind).name} of", event.flags, (EventFlag.TASK, EventFlag.BLOCK))
            elif event.kind in (Kind.ACCEPTED, Kind.TRADE, Kind.POSTED, Kind.REPLACED):
                self._bits("event flag", event.flags, EventFlag)
            elif event.kind == Kind.PHASE_SET:
                self.seen["phase", event.price] += 1
        if not events or events[0].kind not in (Kind.REJECTED, Kind.DENIED):
            self._accepted(fields_of(step))

    def _accepted(self, fields):
        op, flags = fields["op"], fields.get("flags", 0)
        self.seen["op", op] += 1
        if op == Op.NEW:
            self._bits("order flag", flags, OrderFlag)
            self.seen["stp", fields.get("stp", 0)] += 1
            self.seen["type", (fields.get("order_type", 0), fields.get("tif", 0))] += 1
        elif op == Op.SET_BOOK:
            self._bits("rule", flags, BookRule)
            self.seen["tie", fields.get("order_type", 0)] += 1
            self.seen["book stp", fields.get("stp", 0)] += 1
        elif op == Op.SET_PHASE:
            self._bits("call", flags, CallKind)
        elif op == Op.SET_FIX:
            self.seen["grade", fields.get("side", 0)] += 1
        elif op == Op.MASS_CANCEL:
            self._bits("filter", flags, MassFilter)
        elif op in (Op.KILL, Op.LIFT):
            self.seen[Op(op).name, flags] += 1
        elif op == Op.TASK:
            self._bits("task flag", flags, TaskFlag)
            self.seen["lane", fields["side"]] += 1
            self.seen["shape", fields["order_type"]] += 1

    def _bits(self, what, flags, kinds):
        for bit in kinds:
            self.seen[what, bit] += bool(flags & bit)

    def missing(self, check_funds):
        """What this run should have reached and has not, by name."""
        wanted = {("op", op) for op in Op if op < Op.TASK_TERMS} | {("kind", kind) for kind in Kind}
        wanted |= {(kind.name, reason) for kind, reasons in REASONS.items() for reason in reasons}
        for what, kinds in (
            ("event flag", EventFlag), ("phase", Phase), ("order flag", OrderFlag), ("stp", StpMode), ("book stp", StpMode),
            ("rule", BookRule), ("tie", TiePolicy), ("call", CallKind), ("filter", MassFilter), ("grade", list(FixGrade)[1:]),
            ("KILL", (MassFilter.ACCOUNT, MassFilter.FIRM)), ("LIFT", (MassFilter.ACCOUNT, MassFilter.FIRM)),
        ):  # fmt: skip
            wanted |= {(what, kind) for kind in kinds}
        wanted |= {("type", (kind, tif)) for kind in OrderType for tif in TimeInForce}
        of_tasks = {
            (what, kind) for what, kinds in (("task flag", TaskFlag), ("lane", Lane), ("shape", Shape)) for kind in kinds
        }
        of_tasks |= {
            (f"{kind.name} of", flag) for kind in (Kind.CANCELED, Kind.EXPIRED) for flag in (EventFlag.TASK, EventFlag.BLOCK)
        }
        wanted |= of_tasks if check_funds else set()
        if not check_funds:
            wanted -= ONLY_WITH_FUNDS
        return sorted(f"{what} {getattr(value, 'name', value)}" for what, value in wanted if not self.seen[what, value])
